"""``evaluate`` fits the images to what the file says of its network: classes by name, size, channels."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from prunetui.cli.export_network import _pt2
from prunetui.cli.measure_checkpoint import _study, evaluate_checkpoint
from prunetui.config import DataTable, ModelTable
from prunetui.engine import machine_check
from prunetui.engine.convolutions import STRIDED_1X1, make_ordinary, safe_kinds
from prunetui.engine.data import Wanted, load_dataset
from prunetui.engine.export_header import check_header
from prunetui.engine.loading import load
from prunetui.engine.machine_check import Fault, MachineCheck
from prunetui.engine.models import Architecture
from prunetui.engine.models.start import channels_of
from prunetui.engine.onnx import onnx_bytes
from prunetui.engine.state import State, model_bytes
from prunetui.errors import DataError, UsageError

NAMES = ("ape", "bär", "cat", "dog")
KINDS = ("safetensors", "pt2", "onnx")
NET = Architecture("resnet20", 3, 8, len(NAMES), "B", width=4)


@dataclass(frozen=True)
class Files:
    """One network in every format, and images with the class that it sees in each."""

    paths: dict[str, Path]
    images: np.ndarray
    """uint8 [N, 8, 8, 3]."""
    seen: np.ndarray

    def tree(self, root: Path, classes: dict[str, str], side: int = 8, mode: str = "RGB") -> Path:
        """The images of some classes, called as ``classes`` says, in a folder each."""
        for split in ("train", "test"):
            for name, called in classes.items():
                folder = root / split / called
                folder.mkdir(parents=True)
                for i in np.flatnonzero(self.seen == NAMES.index(name)):
                    image = Image.fromarray(self.images[i]).convert(mode)
                    image.resize((side, side), Image.Resampling.NEAREST).save(folder / f"{i:03}.png")
        return root


def made(folder: Path, state: State, images: np.ndarray) -> Files:
    header = {
        "data": "folder",
        "mean": [0.5] * state.architecture.channels,
        "std": [0.25] * state.architecture.channels,
    }
    header["classes"] = list(NAMES)
    paths = {kind: folder / f"net.{kind}" for kind in KINDS}
    paths["safetensors"].write_bytes(model_bytes(state, header))
    model = load(paths["safetensors"])
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float()[:, : state.architecture.channels] / 255
    about = {**header, "architecture": state.architecture.plain()}
    paths["pt2"].write_bytes(_pt2(model, about, pixels[:2]))
    paths["onnx"].write_bytes(onnx_bytes(model, pixels[:1], about))
    with torch.inference_mode():
        return Files(paths, images, model(pixels).argmax(1).numpy())


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, lively: Callable[..., State]) -> Files:
    """A net with random weights whose classes are balanced over these images."""
    images = np.random.default_rng(0).integers(0, 256, (64, 8, 8, 3), dtype=np.uint8)
    state, folder = lively(NET), tmp_path_factory.mktemp("net")
    (folder / "x.safetensors").write_bytes(model_bytes(state, {"mean": [0.5] * 3, "std": [0.25] * 3}))
    with torch.inference_mode():
        logits = load(folder / "x.safetensors")(torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255)
    state.tensors["linear.bias"].sub_(logits.mean(0))
    files = made(folder, state, images)
    assert np.bincount(files.seen, minlength=4).min() >= 5
    return files


@pytest.fixture
def evaluated(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[dict[str, float], str]]:
    """Evaluate a file on a tree: figures, and what was said."""

    def run(path: Path, root: Path, *overrides: str) -> tuple[dict[str, float], str]:
        settings = [f"data.root={root}", *overrides]
        evaluate_checkpoint(path, None, "folder", settings, "cpu", True)
        out, err = capsys.readouterr()
        return json.loads(out), err

    return run


@pytest.mark.parametrize("kind", KINDS)
def test_some_of_the_classes_are_matched_by_name(files: Files, tmp_path: Path, evaluated, kind: str) -> None:
    root = files.tree(tmp_path, {"dog": "dog", "bär": "bär"})  # of 4 classes the 4th and the 2nd
    figures, said = evaluated(files.paths[kind], root)
    assert figures["top1"] == 100
    assert "test images are of 2 of the network's 4 classes; its answers are over all of them" in said


@pytest.mark.parametrize("kind", KINDS)
def test_labels_are_of_the_networks_classes_and_not_of_the_folders(
    files: Files, tmp_path: Path, evaluated, kind: str
) -> None:
    root = files.tree(tmp_path, {"dog": "cat", "cat": "dog"})  # each called as the other
    assert evaluated(files.paths[kind], root)[0]["top1"] == 0


def test_what_this_machine_computes_wrongly_is_computed_another_way(
    files: Files, tmp_path: Path, evaluated, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults = [Fault(kind, "fp32", "off by 0.5 of its size", "") for kind in (STRIDED_1X1, "dilated convolution")]
    monkeypatch.setattr(machine_check, "check_machine", lambda device, threads: MachineCheck(tuple(faults)))
    try:
        figures, said = evaluated(files.paths["safetensors"], files.tree(tmp_path, {"dog": "dog"}))
        assert f"this machine computes wrongly: {STRIDED_1X1} in fp32" in said
        assert "dilated" not in said  # the network has none
        assert STRIDED_1X1 in safe_kinds()
        assert figures["top1"] == 100
    finally:
        make_ordinary()


def test_unicode_forms_of_a_name_are_the_same_class(files: Files, tmp_path: Path, evaluated) -> None:
    root = files.tree(tmp_path, {"bär": unicodedata.normalize("NFD", "bär"), "cat": "cat"})
    assert evaluated(files.paths["safetensors"], root)[0]["top1"] == 100


@pytest.mark.parametrize("kind", KINDS)
def test_classes_that_the_network_does_not_know_are_refused_by_name(
    files: Files, tmp_path: Path, evaluated, kind: str
) -> None:
    root = files.tree(tmp_path, {"cat": "cat", "dog": "Dog", "ape": "zebra"})
    with pytest.raises(DataError) as caught:
        evaluated(files.paths[kind], root)
    message = str(caught.value)
    assert "has 2 classes that the network does not know: Dog (the network has dog), zebra" in message
    assert "it knows 4: ape, bär, cat, dog" in message


def test_other_data_sets_than_folders_are_matched_too(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(DataError, match="digits has 10 classes that the network does not know: 0, 1, 2"):
        evaluate_checkpoint(files.paths["safetensors"], None, "digits", [], "cpu", True)


def test_a_tree_of_test_images_alone_is_enough(files: Files, tmp_path: Path, evaluated) -> None:
    root = files.tree(tmp_path, {"dog": "dog", "bär": "bär"})
    (root / "train").rename(tmp_path / "elsewhere")
    figures, said = evaluated(files.paths["safetensors"], root)
    assert figures["top1"] == 100
    assert f"no folder train in {root}: only test is read" in said
    with pytest.raises(DataError, match="no training images to measure mean and deviation of: set data"):
        evaluated(files.paths["safetensors"], root, "data.normalize=auto")


@pytest.mark.parametrize("kind", KINDS)
def test_images_of_another_size_are_resized_to_the_networks_own(
    files: Files, tmp_path: Path, evaluated, kind: str
) -> None:
    large = np.random.default_rng(1).integers(0, 256, (40, 24, 24, 3), dtype=np.uint8)
    small = [np.asarray(Image.fromarray(image).resize((8, 8), Image.Resampling.BILINEAR)) for image in large]
    with torch.inference_mode():
        seen = load(files.paths["safetensors"])(torch.from_numpy(np.stack(small)).permute(0, 3, 1, 2).float() / 255)
    labels = seen.argmax(1).numpy()
    root = Files({}, large, labels).tree(tmp_path, {NAMES[i]: NAMES[i] for i in np.unique(labels)}, side=24)
    figures, said = evaluated(files.paths[kind], root)
    assert figures["top1"] == 100
    assert "test: 40 of 40 images were resized to 8 x 8" in said


def test_the_size_can_be_overruled_where_the_network_can_take_it(files: Files, tmp_path: Path, evaluated) -> None:
    root = files.tree(tmp_path, {name: name for name in NAMES})
    figures, said = evaluated(files.paths["safetensors"], root, "data.size=16")
    assert "test: 64 of 64 images were resized to 16 x 16" in said
    assert figures["images"] == 64
    for kind in ("pt2", "onnx"):
        with pytest.raises(UsageError, match="is a fixed program for images of 8 x 8 pixels"):
            evaluated(files.paths[kind], root, "data.size=16")
        assert evaluated(files.paths[kind], root, "data.size=8")[0]["top1"] == 100


@pytest.mark.parametrize("kind", KINDS)
def test_grey_images_become_rgb_for_a_network_of_three_channels(
    files: Files, tmp_path: Path, evaluated, kind: str
) -> None:
    root = files.tree(tmp_path, {name: name for name in NAMES}, mode="L")
    figures, said = evaluated(files.paths[kind], root)
    assert figures["images"] == 64
    assert "folder: grey images became RGB, because the network takes 3 channels" in said


@pytest.mark.parametrize("kind", KINDS)
def test_coloured_images_become_grey_for_a_network_of_one_channel(
    tmp_path: Path, lively: Callable[..., State], evaluated, kind: str
) -> None:
    grey = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 1), dtype=np.uint8).repeat(3, 3)
    files = made(tmp_path, lively(Architecture("resnet20", 1, 8, 4, "B", width=4)), grey)
    root = files.tree(tmp_path / "tree", {NAMES[i]: NAMES[i] for i in np.unique(files.seen)})
    for split in ("train", "test"):  # one coloured image makes the whole set one of colours
        place = root / split / NAMES[files.seen[0]] / "x.png"
        Image.fromarray(np.dstack([grey[0, ..., 0], grey[0, ..., 0], grey[0, ..., 0] ^ 1])).save(place)
    figures, said = evaluated(files.paths[kind], root)
    assert figures["top1"] == 100
    assert "folder: coloured images became grey, because the network takes 1 channels" in said


def test_a_fixed_program_takes_no_other_normalisation(files: Files, tmp_path: Path, evaluated) -> None:
    root = files.tree(tmp_path, {"dog": "dog"})
    for kind in ("pt2", "onnx"):
        with pytest.raises(UsageError, match=r"normalises images itself: leave data\.normalize out"):
            evaluated(files.paths[kind], root, "data.normalize=imagenet")
    assert evaluated(files.paths["safetensors"], root, "data.normalize=imagenet")[0]["images"] > 0


def test_few_training_images_do_not_matter_to_a_network_that_is_trained(
    files: Files, tmp_path: Path, evaluated
) -> None:
    root = files.tree(tmp_path, {"dog": "dog", "ape": "ape"})
    for path in sorted((root / "train").rglob("*.png"))[1:]:
        path.unlink()
    assert evaluated(files.paths["safetensors"], root)[0]["top1"] == 100


def test_the_training_split_is_neither_listed_nor_decoded(files: Files, tmp_path: Path, evaluated) -> None:
    root = files.tree(tmp_path, {"dog": "dog", "ape": "ape"})
    (root / "train" / "zebra").mkdir()
    (root / "train" / "dog" / "bad.png").write_bytes(b"no image")
    (root / "train" / "dog" / "notes.txt").write_text("x")
    figures, said = evaluated(files.paths["safetensors"], root)
    assert figures["top1"] == 100
    assert "train" not in said


def test_levels_of_more_than_8_bits_keep_the_range_of_the_training_split(tmp_path: Path) -> None:
    """12-bit training images, test images that go to 1000 alone, as the network saw them in its own study."""
    for split, high in (("train", 4095), ("test", 1000)):
        (tmp_path / split / "cat").mkdir(parents=True)
        for i in range(2):
            levels = np.full((8, 8), high, dtype=np.uint16)
            levels[0, 0] = 0
            Image.fromarray(levels).save(tmp_path / split / "cat" / f"{i}.png")
    data = DataTable(name="folder", root=str(tmp_path), validation=0.0, normalize="half")
    studied = load_dataset(data).test.pixels
    (tmp_path / "train" / "cat" / "bad.png").write_bytes(b"no image")
    (tmp_path / "train" / "zebra").mkdir()
    Image.fromarray(np.full((8, 8), 65535, dtype=np.uint16)).save(tmp_path / "train" / "zebra" / "0.png")
    told: list[tuple[str, str]] = []
    wanted = Wanted(("cat",), 8, 1)
    again = load_dataset(data, note=lambda level, line: told.append((level, line)), wanted=wanted).test.pixels
    assert again[0, 0, 1, 1] == round(1000 / 4095 * 255) == 62
    assert torch.equal(again, studied)
    assert [line for level, line in told if level == "warning" and "train: skipped 1 corrupt images" in line]


def test_a_file_that_contradicts_itself_is_refused(files: Files, tmp_path: Path, evaluated, lively) -> None:
    root = files.tree(tmp_path, {"dog": "dog"})
    for classes, why in ((["a", "b"], "names 2 classes, its architecture has 4"), (7, "classes")):
        header = {"data": "folder", "mean": [0.5] * 3, "std": [0.25] * 3, "classes": classes}
        (tmp_path / "x.safetensors").write_bytes(model_bytes(lively(NET), header))
        with pytest.raises(UsageError, match=why):
            evaluated(tmp_path / "x.safetensors", root)


# Weights that say nothing of themselves ---------------------------------------------------------------


def test_weights_of_others_say_their_channels(files: Files, tmp_path: Path, capsys, lively) -> None:
    """A folder of grey images, a checkpoint that reads three channels: the first convolution says so."""
    root = files.tree(tmp_path, {name: name for name in NAMES}, mode="L")
    tensors = {f"module.{name}": tensor for name, tensor in lively(NET).tensors.items()}
    torch.save(tensors, tmp_path / "x.pt")
    settings = [f"data.root={root}", "model.width=4", "data.normalize=imagenet"]
    evaluate_checkpoint(tmp_path / "x.pt", "resnet20", "folder", settings, "cpu", True)
    assert "grey images became RGB, because the network takes 3 channels" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["resnet20", "resnet18", "resnet50", "vgg11"])
@pytest.mark.parametrize("prefix", ["", "module.", "model._orig_mod."])
def test_the_channels_of_weights_are_those_of_the_first_convolution(name: str, prefix: str) -> None:
    from prunetui.engine.models import build

    for channels in (1, 3):
        net = build(Architecture(name, channels, 32, 10, width=4))
        tensors = {f"{prefix}{key}": tensor for key, tensor in sorted(net.state_dict().items())}
        assert channels_of(tensors, ModelTable(name=name)) == channels
    assert channels_of({"other": torch.zeros(1)}, ModelTable(name=name)) is None


Tensors = dict[str, torch.Tensor]


def below(prefix: str, tensors: Tensors) -> Tensors:
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def with_first(tensors: Tensors, pieces: Tensors) -> Tensors:
    """The first convolution stored as a parametrisation stores it."""
    return {name: t for name, t in tensors.items() if name != "conv1.weight"} | below("conv1", pieces)


@pytest.mark.parametrize("channels", [1, 3])
def test_the_channels_are_those_of_the_weights_that_fit(lively: Callable[..., State], channels: int) -> None:
    net = lively(Architecture("resnet20", channels, 8, 4, "B", width=4)).tensors
    other = lively(Architecture("resnet20", 4 - channels, 8, 4, "B", width=4)).tensors
    weight, one = net["conv1.weight"], "parametrizations.weight"
    norm = weight.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
    model = ModelTable(name="resnet20")
    beside = below("student", net) | {"aux.conv1.weight": torch.zeros(64, 64, 3, 3)}
    assert channels_of(beside, model) == channels
    both = below("grey_model", net) | below("b", other)
    assert channels_of(both, model.model_copy(update={"key": "grey_model"})) == channels
    assert channels_of(both, model.model_copy(update={"key": "b"})) == 4 - channels
    assert channels_of(both, model) is None  # either may be meant: the images decide
    masked = {f"{one}.original": weight, f"{one}.0.mask": torch.ones_like(weight)}
    assert channels_of(with_first(net, masked), model) == channels
    for magnitude, direction in (("weight_g", "weight_v"), (f"{one}.original0", f"{one}.original1")):
        assert channels_of(with_first(net, {magnitude: norm, direction: weight}), model) == channels


def test_the_key_decides_which_channels_the_images_get(files: Files, tmp_path: Path, capsys, lively) -> None:
    root = files.tree(tmp_path, {name: name for name in NAMES})
    grey = lively(Architecture("resnet20", 1, 8, len(NAMES), "B", width=4)).tensors
    torch.save({"grey_model": grey, "rgb": lively(NET).tensors}, tmp_path / "x.pt")
    settings = [f"data.root={root}", "data.normalize=auto"]
    evaluate_checkpoint(tmp_path / "x.pt", "resnet20", "folder", [*settings, "model.key=grey_model"], "cpu", True)
    assert "coloured images became grey, because the network takes 1 channels" in capsys.readouterr().err
    evaluate_checkpoint(tmp_path / "x.pt", "resnet20", "folder", settings, "cpu", True)
    assert "became" not in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["pt2", "onnx"])
def test_a_fixed_program_is_of_no_other_model(files: Files, tmp_path: Path, kind: str) -> None:
    root = files.tree(tmp_path, {"dog": "dog"})
    for model, settings, why in (
        ("resnet56", [], "name = resnet56"),
        (None, ["model.width=8"], "width = 8"),
        (None, ["model.shortcut=A"], "shortcut = A"),
        (None, ["model.key=ema"], "key = ema"),
    ):
        with pytest.raises(UsageError, match=f"is a fixed program of a resnet20 of width 4 .*{why}"):
            evaluate_checkpoint(files.paths[kind], model, "folder", [f"data.root={root}", *settings], "cpu", True)
    evaluate_checkpoint(files.paths[kind], "resnet20", "folder", [f"data.root={root}", "model.width=4"], "cpu", True)


def test_a_file_says_which_prepared_examples_its_study_measured_on(tmp_path: Path) -> None:
    file = tmp_path / "own.py"
    file.write_text("def reviews(): ...")
    header = {
        "data": f"{file}:reviews", "prepared": True, "architecture": NET.plain(),
        "data_settings": {"root": "shelf", "limit": 24, "validation": 0.0},
    }  # fmt: skip
    check_header(header)
    found = _study(header, None, None, [])
    assert (found.data.root, found.data.limit, found.data.validation) == ("shelf", 24, 0.0)
    assert _study(header, None, None, ["data.limit=7"]).data.limit == 7
    assert _study(header, None, "digits", []).data.limit is None  # of other data it says nothing
    assert _study({**header, "data": "digits"}, None, None, []).data.root == "data"  # no folder of a stranger's choice
    with pytest.raises(ValueError, match=r"its data_settings are .*; allowed: root, limit"):
        check_header({**header, "data_settings": {"name": "digits"}})
