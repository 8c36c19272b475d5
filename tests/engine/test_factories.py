"""Networks of libraries: built with what the data says, pruned, saved, and built again from what the file says."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

import prunetui
from prunetui.api import Accumulator, logits_of
from prunetui.cli.export_network import export_model
from prunetui.cli.measure_checkpoint import evaluate_checkpoint
from prunetui.config import ModelTable, parse_study
from prunetui.engine.models import Architecture, build, factories
from prunetui.engine.models.factories import parameters_of
from prunetui.engine.models.image_input import taking_images
from prunetui.engine.models.library_weights import checkpoint_file
from prunetui.engine.models.own_network import check_network, given_to_factory
from prunetui.engine.models.start import architecture_of, started
from prunetui.errors import UsageError
from prunetui.execute.execution import execute
from prunetui.execute.submit import submit
from prunetui.tasks.classification import Classification

DATA = '''\
import torch

from prunetui.api import Splits


def bright(count, seed):
    """Noise in which one colour is bright: the class."""
    images = (torch.rand(count, 3, 32, 32, generator=torch.Generator().manual_seed(seed)) * 128).byte()
    labels = torch.arange(count) % 3
    images[torch.arange(count), labels, 8:24, 8:24] = 255
    return images, labels


def colours():
    return Splits(train=bright(48, 0), validation=bright(9, 1), test=bright(12, 2), classes="abc")
'''
STUDY = """\
sparsities = [0.5]
data = { name = "colours.py:colours" }
train = { epochs = 1, batch_size = 16 }
finetune = { epochs = 0 }
measure = { recalibrate = 16, latency = false }
methods = ["global-unstructured", { name = "l1-structured", target = "channels" }]
"""
RESNET = """\
name = "transformers:ResNetForImageClassification"
config = { embedding_size = 8, hidden_sizes = [8, 16], depths = [1, 1], layer_type = "basic" }
"""


def architecture(name: str, size: int = 32, classes: int = 3, channels: int = 3, **more: object) -> Architecture:
    return architecture_of(ModelTable.model_validate({"name": name, **more}), channels, size, classes)


def rows_of(folder: Path, model: str, study: str = STUDY) -> tuple[Path, list[dict[str, str]]]:
    """The run of a tiny study of a model, and its rows."""
    (folder / "colours.py").write_text(DATA)
    run = submit(parse_study(f"{study}[model]\n{model}", [], str(folder / "study.toml")), folder / "runs")
    assert execute(run, "cpu", lambda: False, executor="inline") == 0
    return run.folder, run.rows()


# Building ---------------------------------------------------------------------------------------------


class Base(nn.Module):
    def __init__(self, img_size: int = 8, **more: int) -> None:
        super().__init__()


class Net(Base):
    def __init__(self, num_classes: int = 3, **more: int) -> None:
        super().__init__(**more)


def plain(channels: int, size: int) -> Net:
    return Net(channels + size)


def handing_on(depth: int, **more: int) -> Net:
    return Net(**more)


def test_what_a_factory_takes_is_read_from_its_signature():
    assert parameters_of(plain) == {"channels", "size"}
    assert parameters_of(Net) == {"num_classes", "img_size"}
    assert parameters_of(handing_on) == {"depth", "num_classes", "img_size"}


def test_classes_come_from_the_data_and_options_come_first():
    assert build(architecture("torchvision:resnet18", classes=7)).fc.out_features == 7
    net = build(architecture("torchvision:resnet18", options={"num_classes": 5, "width_per_group": 64}))
    assert net.fc.out_features == 5


def test_the_size_goes_to_a_network_that_takes_one():
    with torch.device("meta"):
        net = build(architecture("torchvision:vit_b_32", size=64))
    assert net.image_size == 64
    assert net.encoder.pos_embedding.shape[1] == 2 * 2 + 1


def test_what_the_data_does_not_tell_is_said():
    said = given_to_factory(architecture("torchvision:resnet18"))
    assert said.endswith("is built with num_classes = 3 from the data; it takes no channels and no size")
    assert said.startswith("torchvision:resnet18 (torchvision ")
    assert given_to_factory(architecture("resnet20")) == ""


def test_no_weights_are_downloaded_for_a_backbone(monkeypatch: pytest.MonkeyPatch):
    def refuse(*given: object, **more: object) -> None:
        raise AssertionError("a download")

    monkeypatch.setattr("torch.hub.load_state_dict_from_url", refuse)
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", refuse)
    net = build(architecture("torchvision:lraspp_mobilenet_v3_large"))
    assert net(torch.zeros(2, 3, 32, 32))["out"].shape == (2, 3, 32, 32)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("torchvision:resnet18", {"depth": 3}, "cannot be built: TypeError: .*unexpected keyword argument 'depth'"),
        ("torchvision:resnet18", {"norm_layer": 3}, "cannot be built: TypeError"),
        ("torchvision:lraspp_mobilenet_v3_large", {}, r"gives \[2, 3, 32, 32\] of 2 examples of 3 classes"),
    ],
)
def test_what_cannot_be_used_is_refused_in_words(name: str, options: dict[str, object], words: str):
    with pytest.raises(UsageError, match=words):
        check_network(architecture(name, options=options), Classification(), torch.zeros(1, 3, 32, 32))


def test_another_module_of_that_name_on_the_path_is_not_imported(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(factories, "is_from", lambda spec, file: False)
    with pytest.raises(UsageError, match=r"another torchvision.models than .* would be imported: start from another"):
        build(architecture("torchvision:resnet18"))


def test_a_key_that_a_configuration_has_not_is_refused_with_the_nearest():
    pytest.importorskip("transformers")
    wrong = architecture("transformers:ViTForImageClassification", config={"hiden_size": 8})
    with pytest.raises(UsageError, match="ViTConfig has no key 'hiden_size'; did you mean hidden_size"):
        build(wrong)
    with pytest.raises(UsageError, match="has no configuration of its own"):
        build(architecture("transformers:AutoModelForImageClassification"))


def test_a_vit_of_transformers_is_built_for_the_data():
    pytest.importorskip("transformers")
    small = {
        "hidden_size": 8,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 8,
        "patch_size": 8,
    }
    net = build(architecture("transformers:ViTForImageClassification", 16, 5, 1, config=small)).eval()
    assert net.vit.embeddings.patch_embeddings.projection.weight.shape == (8, 1, 8, 8)
    assert logits_of(net(torch.zeros(2, 1, 16, 16))).shape == (2, 5)


def test_a_network_of_timm_is_built_for_the_data():
    pytest.importorskip("timm")
    net = build(architecture("timm:vit_tiny_patch16_224", 32, 5, 1, options={"depth": 1})).eval()
    assert net.pos_embed.shape[1] == 2 * 2 + 1
    assert net(torch.zeros(2, 1, 32, 32)).shape == (2, 5)


# Inputs and outputs -----------------------------------------------------------------------------------


class Second(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(2, 2)

    def forward(self, tokens: Tensor | None = None, pixel_values: Tensor | None = None) -> Tensor:
        assert tokens is None
        assert pixel_values is not None
        made: Tensor = self.fc(pixel_values)
        return made


def test_images_go_in_by_their_name_and_tensors_keep_theirs():
    net = Second()
    images = torch.ones(1, 2)
    wanted = net(pixel_values=images)
    adapted = taking_images(net)
    assert torch.equal(adapted(images), wanted)
    assert list(adapted.state_dict()) == ["fc.weight", "fc.bias"]
    plain = nn.Linear(2, 2)
    assert type(taking_images(plain)) is nn.Linear


@dataclass
class Outputs:
    hidden: Tensor
    logits: Tensor | None = None


def test_logits_are_read_from_what_is_plainly_there():
    ours, other = torch.tensor([[0.0, 2.0]]), torch.tensor([[3.0, 0.0]])
    for outputs in (
        ours, {"aux": other, "out": ours}, {"aux": other, "logits": ours}, (ours, other), [ours],
        Outputs(other, ours), Outputs(ours),
    ):  # fmt: skip
        assert logits_of(outputs) is ours
    assert logits_of(3) == 3


def test_classification_takes_logits_from_any_outputs():
    task, accumulator = Classification(), Accumulator()
    batch = (torch.tensor([[0.0, 2.0], [0.0, 2.0]]), torch.tensor([1, 0]))
    task.metrics(lambda images: {"aux": -images, "logits": images}, batch, accumulator)
    assert task.figures(accumulator)["top1"] == 50
    wanted = task.loss(lambda images: images, batch)
    assert torch.equal(task.loss(lambda images: Outputs(-images, images), batch), wanted)
    assert task.check_outputs({"out": torch.zeros(2, 3)}, 2, 3) == ""
    assert task.check_outputs({"out": torch.zeros(2, 4)}, 2, 3).startswith("gives [2, 4] of 2 examples")


# A study, from its first step to the exported file ------------------------------------------------------


def test_a_network_of_torchvision_is_pruned_saved_and_built_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    folder, rows = rows_of(tmp_path, 'name = "torchvision:resnet18"\noptions = { width_per_group = 64 }')
    assert [(row["method"], row["status"]) for row in rows] == [
        ("dense", "done"), ("global-unstructured", "done"), ("l1-structured", "done"),
    ]  # fmt: skip
    dense, masked, narrow = rows
    assert float(masked["sparsity"]) == pytest.approx(0.5, abs=0.001)
    assert int(dense["params"]) == 11_176_512 + 3 * 513
    assert int(narrow["params"]) < 0.27 * int(dense["params"])

    exported = tmp_path / "narrow.safetensors"
    export_model(folder.parent, folder.name, "l1-structured-0.5-s0", "safetensors", exported, trust=True)
    with safe_open(exported, framework="pt") as file:
        about = json.loads(file.metadata()["architecture"])
    assert about["name"] == "torchvision:resnet18"
    assert about["options"] == {"width_per_group": 64}
    assert about["package"].startswith("torchvision ")
    model = prunetui.load(exported)
    assert model.net.conv1.weight.shape == (32, 3, 7, 7)
    assert model(torch.rand(2, 3, 32, 32)).shape == (2, 3)
    capsys.readouterr()
    evaluate_checkpoint(exported, None, None, [], "cpu", True, trust=True)
    assert json.loads(capsys.readouterr().out)["top1"] == pytest.approx(float(narrow["top1"]), abs=0.01)


@pytest.mark.parametrize("name", ["mobilenet_v2", "squeezenet1_1"])
def test_other_networks_of_torchvision_lose_channels(name: str, tmp_path: Path):
    one = STUDY.replace('"global-unstructured", ', "").replace("epochs = 1", "epochs = 0")
    _, (dense, narrow) = rows_of(tmp_path, f'name = "torchvision:{name}"', one)
    assert (dense["status"], narrow["status"]) == ("done", "done")
    assert int(narrow["params"]) < 0.6 * int(dense["params"])


def test_a_network_of_transformers_is_pruned_and_built_again(tmp_path: Path):
    pytest.importorskip("transformers")
    folder, rows = rows_of(tmp_path, RESNET)
    assert [row["status"] for row in rows] == ["done"] * 3
    assert int(rows[2]["params"]) < 0.5 * int(rows[0]["params"])
    model = prunetui.load(folder / "models" / "l1-structured-0.5-s0.safetensors")
    assert model(torch.rand(2, 3, 32, 32)).shape == (2, 3)
    assert type(model.net).__name__ == "ResNetForImageClassification"
    for kind in ("pt2", "onnx"):
        export_model(folder.parent, folder.name, "l1-structured-0.5-s0", kind, tmp_path / f"net.{kind}", trust=True)


def test_a_network_of_timm_is_pruned_and_built_again(tmp_path: Path):
    pytest.importorskip("timm")
    folder, rows = rows_of(tmp_path, 'name = "timm:resnet10t"\noptions = { drop_rate = 0.1 }')
    assert [row["status"] for row in rows] == ["done"] * 3
    model = prunetui.load(folder / "models" / "l1-structured-0.5-s0.safetensors")
    assert model(torch.rand(2, 3, 32, 32)).shape == (2, 3)


# What a file says ---------------------------------------------------------------------------------------


def saved(folder: Path, **changes: object) -> Path:
    """A file of a dense squeezenet, whose architecture says ``changes``."""
    about = architecture("torchvision:squeezenet1_1")
    tensors = {name: tensor.clone() for name, tensor in build(about).state_dict().items()}
    header = {"format": "prunetui/1", "mean": "[0, 0, 0]", "std": "[1, 1, 1]"}
    header["architecture"] = json.dumps({**about.plain(), **changes})
    save_file(tensors, folder / "net.safetensors", header)
    return folder / "net.safetensors"


def test_a_file_of_another_version_is_built_by_the_one_that_is_here_and_says_so(tmp_path: Path):
    file = saved(tmp_path, digest="0" * 16, package="torchvision 0.1")
    with pytest.warns(UserWarning, match=r"made with torchvision 0\.1, here is torchvision"):
        assert prunetui.load(file)(torch.rand(2, 3, 32, 32)).shape == (2, 3)


def test_a_library_that_is_not_here_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from prunetui.plugins import installed

    file = saved(tmp_path, name="timm:resnet18", package="timm 1.0.31")
    monkeypatch.setattr(installed, "source_of", lambda module: None)
    installed._found.cache_clear()
    with pytest.raises(
        UsageError, match=r"built by timm:resnet18 of timm 1\.0\.31: timm is not installed: pip install"
    ):
        prunetui.load(file)
    installed._found.cache_clear()


def test_a_file_runs_no_function_of_a_package_that_it_names(tmp_path: Path):
    file = saved(tmp_path, name="torch.hub:load", options={"repo_or_dir": "x"}, package="torch 2")
    with pytest.raises(UsageError, match="building it runs that with what the file says"):
        prunetui.load(file)


def test_a_file_cannot_ask_for_a_download(tmp_path: Path):
    file = saved(tmp_path, options={"weights": "DEFAULT"})
    with pytest.raises(UsageError, match="option 'weights': weights and code from elsewhere"):
        prunetui.load(file)


# Weights of a library -----------------------------------------------------------------------------------


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """torch's cache of weights, with those of a squeezenet of 1000 classes."""
    monkeypatch.setattr("torch.hub.get_dir", lambda: str(tmp_path))
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    net = build(architecture("torchvision:squeezenet1_1", classes=1000))
    torch.save(net.state_dict(), folder / "squeezenet1_1-b8a52dc0.pth")
    return folder


def weights(name: str, checkpoint: str) -> ModelTable:
    return ModelTable(name=f"torchvision:{name}", checkpoint=checkpoint)


def test_weights_that_are_here_are_taken(hub: Path):
    for said in ("DEFAULT", "default", "IMAGENET1K_V1"):
        assert checkpoint_file(weights("squeezenet1_1", f"torchvision:{said}")) == hub / "squeezenet1_1-b8a52dc0.pth"
    start = started(weights("squeezenet1_1", "torchvision:DEFAULT"), 3, 32, 1000)
    assert start.notes == ()
    assert torch.equal(start.tensors["classifier.1.bias"], torch.load(next(hub.iterdir()))["classifier.1.bias"])


def test_classes_of_the_data_get_a_layer_of_their_own_and_that_is_said(hub: Path):
    model = weights("squeezenet1_1", "torchvision:DEFAULT")
    start, again = (started(model, 3, 32, 5) for _ in range(2))
    assert start.tensors["classifier.1.weight"].shape == (5, 512, 1, 1)
    assert torch.equal(start.tensors["classifier.1.weight"], again.tensors["classifier.1.weight"])
    assert start.notes[0] == (
        "torchvision:DEFAULT tells 1000 classes apart, the data has 5: classifier.1.weight, classifier.1.bias are "
        "drawn anew, for training ([train] epochs)"
    )
    with pytest.raises(UsageError, match="does not fit"):  # a file of one's own is what was meant, or is not
        started(replace_checkpoint(model, next(hub.iterdir())), 3, 32, 5)


def replace_checkpoint(model: ModelTable, file: Path) -> ModelTable:
    return model.model_copy(update={"checkpoint": str(file)})


def test_weights_that_are_nowhere_are_told(hub: Path, monkeypatch: pytest.MonkeyPatch):
    def offline(*given: object, **more: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr("torch.hub.download_url_to_file", offline)
    with pytest.raises(
        UsageError, match=r"resnet18-f37072fd.pth are not here and could not be downloaded \(no network"
    ):
        checkpoint_file(weights("resnet18", "torchvision:DEFAULT"))
    with pytest.raises(UsageError, match="no weights 'IMAGENET1K_V9' of resnet18; there are: IMAGENET1K_V1"):
        checkpoint_file(weights("resnet18", "torchvision:IMAGENET1K_V9"))


def test_a_network_is_the_same_when_its_options_are(tmp_path: Path):
    one = architecture("torchvision:resnet18", options={"width_per_group": 32, "groups": 1})
    other = replace(one, options={"groups": 1, "width_per_group": 32})
    assert one == other
    assert hash(one) == hash(other)
