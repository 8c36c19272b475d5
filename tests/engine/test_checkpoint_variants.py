"""Checkpoints as people have them: wrapped, prefixed, beside other things, masked, damaged, of another kind."""

from __future__ import annotations

import argparse
import collections
import copy
import datetime
import io
import pathlib
import pickle
import random
import sys
import types
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.utils import prune

from prunetui.config import ModelTable
from prunetui.engine.models import Architecture, build
from prunetui.engine.models.masked_weights import computed
from prunetui.engine.models.read_checkpoint import Fit, fit, read_checkpoint
from prunetui.engine.models.start import start_from
from prunetui.engine.state import State, model_bytes
from prunetui.errors import UsageError


class Tiny(nn.Module):
    """Two convolutions, a batch norm, a linear layer; and a module whose name looks like a prefix."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 1)
        self.bn = nn.BatchNorm2d(2)
        self.net = nn.Sequential(nn.Conv2d(2, 2, 1))
        self.linear = nn.Linear(2, 3)


Tensors = dict[str, Tensor]


@pytest.fixture
def weights() -> Tensors:
    torch.manual_seed(0)
    return {name: t + 1 if t.is_floating_point() else t for name, t in Tiny().state_dict().items()}


def prefixed(prefix: str) -> Callable[[Tensors], Any]:
    return lambda w: {f"{prefix}{name}": t for name, t in w.items()}


def inside(*keys: Any) -> Callable[[Tensors], Any]:
    def wrap(w: Tensors) -> Any:
        found: Any = w
        for key in reversed(keys):
            found = {"epoch": 3, key: found}
        return found

    return wrap


PREFIXES = (
    "_orig_mod.module.", "module._orig_mod.", "model._orig_mod.", "model.module.", "module.module.", "net.",
    "backbone.", "module._orig_mod.module.model.net.", "student.encoder.", "0.", "net.net.",
    "_fsdp_wrapped_module.model.",
)  # fmt: skip
WRAPPERS = (
    ("state_dict_ema",), ("model_ema",), ("ema_state_dict",), ("params",), ("network",), ("model_state",), ("module",),
    ("weights",), ("anything at all",), ("checkpoint", "model", "state_dict"), ("a", "b", "c", "d"), (0,),
)  # fmt: skip


def listed(w: Tensors) -> Any:
    return [3, ("x", {"w": w})]


def ordered(w: Tensors) -> Any:
    state = collections.OrderedDict(w)
    state._metadata = {"": {"version": 1}}  # type: ignore[attr-defined]
    return state


def in_a_defaultdict(w: Tensors) -> Any:
    found = collections.defaultdict(dict)
    found["model"] = w
    return found


def as_parameters(w: Tensors) -> Any:
    return {n: nn.Parameter(t) if t.is_floating_point() else t for n, t in w.items()}


def as_arrays(w: Tensors) -> Any:
    return {n: t.numpy() for n, t in w.items()}


def nested_by_module(w: Tensors) -> Any:
    found: dict[str, Any] = {}
    for name, t in w.items():
        module, _, last = name.rpartition(".")
        found.setdefault(module, {})[last] = t
    return found


def parallel_inside(w: Tensors) -> Any:
    return {name.replace("net.0", "net.module.0").replace("linear", "linear._orig_mod"): t for name, t in w.items()}


def averaged(w: Tensors) -> Any:
    return {"n_averaged": torch.tensor(3), **{f"module.{n}": t for n, t in w.items()}}


def with_thop(w: Tensors) -> Any:
    return w | {"total_ops": torch.zeros(1), "conv.total_ops": torch.zeros(1), "net.0.total_params": torch.zeros(1)}


def lightning(w: Tensors) -> Any:
    state = {f"model.{n}": t for n, t in w.items()}
    state |= {"criterion.weight": torch.ones(3), "train_acc.tp": torch.zeros(3), "val_cm.confmat": torch.zeros(3, 3)}
    return {"state_dict": state, "optimizer_states": [{"state": {0: {"exp_avg": torch.ones(2)}}}], "epoch": 4}


def losses_beside(w: Tensors) -> Any:
    beside = {"loss_fn.vgg.conv.weight": torch.ones(2, 2, 1, 1), "criterion.weight": torch.ones(3)}
    return w | beside | {"train_loss.weight": torch.tensor(1.0), "acc.total": torch.zeros(1)}


SHAPES = {
    **{f"prefix {p}": prefixed(p) for p in PREFIXES},
    **{f"wrapper {w}": inside(*w) for w in WRAPPERS},
    "both": lambda w: {"model_ema": prefixed("_orig_mod.module.")(w)},
    "list": listed,
    "ordered": ordered,
    "defaultdict": in_a_defaultdict,
    "parameters": as_parameters,
    "numpy arrays": as_arrays,
    "nested by module": nested_by_module,
    "wrapped inside": parallel_inside,
    "averaged": averaged,
    "thop": with_thop,
    "lightning": lightning,
    "losses": losses_beside,
    "itself": lambda w: w,
}


def saved(contents: Any, path: Path) -> Path:
    torch.save(contents, path)
    return path


def read(path: Path, key: str | None = None) -> Fit:
    return fit(read_checkpoint(path).tensors, Tiny(), path, key)


@pytest.mark.parametrize("shaped", SHAPES.values(), ids=SHAPES.keys())
def test_the_weights_are_found_wherever_their_names_fit(
    weights: Tensors, shaped: Callable[[Tensors], Any], tmp_path: Path, same: Callable[..., bool]
) -> None:
    assert same(read(saved(shaped(weights), tmp_path / "net.pt")).tensors, weights)


@pytest.mark.parametrize("zipped", [True, False])
def test_the_older_format_of_torch_is_read(
    weights: Tensors, zipped: bool, tmp_path: Path, same: Callable[..., bool]
) -> None:
    path = tmp_path / "net.pth"
    torch.save({"net": weights}, path, _use_new_zipfile_serialization=zipped)
    assert same(read(path).tensors, weights)


# Beside the weights -------------------------------------------------------------------------------


def everything() -> dict[str, Any]:
    random.seed(0)
    return {
        "best": np.float64(91.7), "count": np.int64(3), "ok": np.bool_(True), "history": np.arange(4.0),
        "names": np.array(["a", "b"]), "objects": np.array([None, "x"], dtype=object),
        "args": argparse.Namespace(lr=0.1, out=pathlib.PosixPath("/tmp/x"), seed=None), "path": Path("a/b"),
        "windows": pathlib.PureWindowsPath("c:\\x"), "torch_rng": torch.get_rng_state(),
        "numpy_rng": np.random.get_state(), "python_rng": random.getstate(), "when": datetime.datetime(2026, 1, 1),
        "version": torch.__version__, "recent": collections.deque([1, 2]), "tags": {"a"},
        "counts": collections.Counter("a"),
        "size": torch.Size([1]), "dtype": torch.float32, "device": torch.device("cpu"), "frozen": frozenset({1}),
        "generator": np.random.default_rng(0), "none": None, "complex": 1j, "bytes": b"x",
    }  # fmt: skip


@pytest.mark.parametrize("name", everything())
def test_what_is_harmless_beside_the_weights_is_no_hindrance(
    weights: Tensors, name: str, tmp_path: Path, same: Callable[..., bool]
) -> None:
    path = saved({name: everything()[name], "state_dict": weights}, tmp_path / "net.pt")
    assert same(read(path).tensors, weights)


def test_both_spellings_of_numpys_modules_and_windows_paths_are_read(weights: Tensors, tmp_path: Path) -> None:
    """A pickle written by hand: ``{"a": <global>(...)}`` beside nothing that could be imported here."""
    for name in (b"numpy.core.multiarray\nscalar", b"numpy._core.multiarray\nscalar", b"pathlib\nWindowsPath"):
        path = saved({"state_dict": weights, "x": 1}, tmp_path / "net.pt")
        replaced(path, b"X\x01\x00\x00\x00xq", b"X\x01\x00\x00\x00xq", b"c" + name + b"\n)R")
        assert list(read(path).tensors) == list(weights), name


def test_the_settings_of_lightning_are_no_hindrance(
    weights: Tensors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "pytorch_lightning.utilities.parsing"
    kind = type("AttributeDict", (dict,), {"__module__": name})
    for package in ("pytorch_lightning", "pytorch_lightning.utilities", name):
        monkeypatch.setitem(sys.modules, package, types.ModuleType(package))
    sys.modules[name].AttributeDict = kind  # type: ignore[attr-defined]
    path = saved({"state_dict": weights, "hyper_parameters": kind(lr=0.1)}, tmp_path / "net.ckpt")
    monkeypatch.undo()
    assert list(read(path).tensors) == list(weights)


def replaced(path: Path, marker: bytes, before: bytes, call: bytes) -> None:
    """In the pickle of a zip, let ``{"x": 1}`` be what ``call`` makes."""
    with zipfile.ZipFile(path) as archive:
        files = {entry.filename: archive.read(entry) for entry in archive.infolist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            if name.endswith("data.pkl"):
                start = content.index(marker) + len(marker) + 1  # the memo's number
                assert content[start : start + 2] == b"K\x01"
                content = content[:start] + call + content[start + 2 :]
            archive.writestr(name, content)


class Settings:
    """A type of somebody's own."""


def test_the_type_that_is_not_loaded_is_named(weights: Tensors, tmp_path: Path) -> None:
    path = saved({"state_dict": weights, "config": Settings()}, tmp_path / "net.pt")
    with pytest.raises(UsageError, match=r"holds a `[\w.]*test_checkpoint_variants\.Settings` .* pickle can run code"):
        read_checkpoint(path)


def test_a_whole_module_is_refused_by_the_name_of_its_type(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"holds a `[\w.]*Tiny` .* save model\.state_dict\(\)"):
        read_checkpoint(saved(Tiny(), tmp_path / "net.pt"))


@pytest.mark.parametrize(
    "call",
    [
        b"cos\nsystem\n(X\x04\x00\x00\x00trueTR", b"cbuiltins\neval\n(X\x01\x00\x00\x001tR", b"cbuiltins\ngetattr\n)R",
        b"cnumpy\nload\n)R", b"cargparse\nFileType\n)R", b"cpathlib\nos\n)R", b"ctorch\nload\n)R",
        b"cnumpy\nfromfile\n)R",
    ],
)  # fmt: skip
def test_no_function_is_called_for_a_file(weights: Tensors, call: bytes, tmp_path: Path) -> None:
    path = saved({"state_dict": weights, "x": 1}, tmp_path / "net.pt")
    replaced(path, b"X\x01\x00\x00\x00xq", b"", call)
    with pytest.raises(UsageError, match="a pickle can run code"):
        read_checkpoint(path)


# Several, and other networks ----------------------------------------------------------------------


def test_of_several_the_plain_one_is_taken_and_said_and_a_key_chooses(weights: Tensors, tmp_path: Path) -> None:
    ema = {n: t + 1 if t.is_floating_point() else t for n, t in weights.items()}
    path = saved({"state_dict_ema": prefixed("module.")(ema), "model": {"a": weights}}, tmp_path / "net.pt")
    taken = read(path)
    assert torch.equal(taken.tensors["linear.bias"], weights["linear.bias"])
    assert taken.notes == (
        'net.pt holds weights of this model several times: took "model.a", not "state_dict_ema" '
        '(--set model.key="state_dict_ema" chooses)',
    )
    for key in ("state_dict_ema", "state_dict_ema.module"):
        chosen = read(path, key)
        assert torch.equal(chosen.tensors["linear.bias"], weights["linear.bias"] + 1)
        assert chosen.notes == (f"net.pt: ignored beside the weights: {len(weights) - 1} tensors (model (10))",)
    assert torch.equal(read(path, "model").tensors["linear.bias"], weights["linear.bias"])


def test_prefixes_beside_each_other_are_several_too(weights: Tensors, tmp_path: Path) -> None:
    teacher = {f"teacher.{n}": t + 1 for n, t in weights.items()}
    path = saved(teacher | {f"student.{n}": t for n, t in weights.items()}, tmp_path / "net.pt")
    assert torch.equal(read(path).tensors["conv.bias"], weights["conv.bias"])
    assert torch.equal(read(path, "teacher").tensors["conv.bias"], weights["conv.bias"] + 1)


def test_a_key_that_is_not_there_is_answered_with_those_that_are(weights: Tensors, tmp_path: Path) -> None:
    path = saved({"a": weights, "b": {n: t + 1 for n, t in weights.items()}}, tmp_path / "net.pt")
    with pytest.raises(UsageError, match=r'model\.key: .* no weights of this model at "c"; there are: a, b'):
        read(path, "c")


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("conv3.weight", (2, 2, 1, 1)), ("layer4.0.bn1.weight", (2,)), ("layer4.0.bn1.running_mean", (2,)),
        ("net.1.weight", (2, 2, 1, 1)), ("conv.scale", (1,)), ("aux.bias", (3,)), ("head.weight", (3, 2)),
        ("prelu.weight", (1,)),
    ],
)  # fmt: skip
def test_layers_that_the_model_has_not_are_another_network(
    weights: Tensors, name: str, shape: tuple[int, ...], tmp_path: Path
) -> None:
    path = saved(
        {"model": {f"module.{n}": t for n, t in (weights | {name: torch.ones(shape)}).items()}}, tmp_path / "n"
    )
    with pytest.raises(UsageError, match=rf'at "model" does not fit the model:\n  unexpected \(1\): {name}'):
        read(path)


def test_what_is_ignored_is_counted_and_named(weights: Tensors, tmp_path: Path) -> None:
    assert read(saved(lightning(weights), tmp_path / "net.ckpt")).notes == (
        "net.ckpt: ignored beside the weights: 4 tensors (state_dict (3), optimizer_states)",
    )
    assert read(saved(averaged(weights), tmp_path / "net.pt")).notes == (
        "net.pt: ignored beside the weights: 1 tensor (n_averaged)",
    )
    assert read(saved({"state_dict": weights, "epoch": 3}, tmp_path / "net.pt")).notes == ()


# Masks and norms that weights are computed from ---------------------------------------------------


def test_masks_of_torch_prune_are_read_as_the_masked_weights(weights: Tensors, tmp_path: Path) -> None:
    net = Tiny()
    net.load_state_dict(weights)
    prune.random_unstructured(net.linear, "weight", 0.5)
    prune.random_unstructured(net.conv, "bias", 0.5)
    found = read(saved({"module." + n: t for n, t in net.state_dict().items()}, tmp_path / "net.pt"))
    assert torch.equal(found.tensors["linear.weight"], net.linear.weight)
    assert torch.equal(found.tensors["conv.bias"], net.conv.bias)
    assert torch.equal(found.masks["linear.weight"], net.linear.weight_mask != 0)
    assert int((found.tensors["linear.weight"] == 0).sum()) == 3


class Mask(nn.Module):
    def __init__(self, mask: Tensor) -> None:
        super().__init__()
        self.register_buffer("mask", mask)

    def forward(self, weight: Tensor) -> Tensor:
        return weight * self.mask


def test_masks_of_a_parametrisation_are_read(weights: Tensors, tmp_path: Path) -> None:
    net = Tiny()
    net.load_state_dict(weights)
    nn.utils.parametrize.register_parametrization(net.linear, "weight", Mask(torch.tensor([[1.0, 0.0]] * 3)))
    found = read(saved(net.state_dict(), tmp_path / "net.pt"))
    assert torch.equal(found.tensors["linear.weight"], net.linear.weight)
    assert found.masks["linear.weight"].tolist() == [[True, False]] * 3


@pytest.mark.parametrize("how", ["old", "new"])
@pytest.mark.parametrize("dim", [0, 1])
def test_weight_norm_is_computed(weights: Tensors, how: str, dim: int, tmp_path: Path) -> None:
    net = Tiny()
    net.load_state_dict(weights)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        norm = nn.utils.weight_norm if how == "old" else nn.utils.parametrizations.weight_norm
        norm(net.linear, dim=dim)
    found = read(saved(net.state_dict(), tmp_path / "net.pt")).tensors["linear.weight"]
    assert torch.allclose(found, weights["linear.weight"], atol=1e-6)


@pytest.mark.parametrize(
    "names",
    [("weight_g", "weight_v"), ("parametrizations.weight.original0", "parametrizations.weight.original1")],
)
def test_weight_norm_of_kernels_larger_than_one_pixel_is_computed(names: tuple[str, str]) -> None:
    """Filters 3 4 0 0 0 0 0 0 (length 5) and 1 1 1 1 1 1 1 3 (length 4), stretched to 10 and 8."""
    direction = torch.tensor([[3.0, 4, 0, 0, 0, 0, 0, 0], [1, 1, 1, 1, 1, 1, 1, 3]]).view(2, 2, 2, 2)
    magnitude = torch.tensor([10.0, 8]).view(2, 1, 1, 1)
    found, _ = computed({f"conv.{names[0]}": magnitude, f"conv.{names[1]}": direction})
    assert found["conv.weight"].flatten(1).tolist() == [[6, 8, 0, 0, 0, 0, 0, 0], [2, 2, 2, 2, 2, 2, 2, 6]]


@pytest.mark.parametrize("norm", [nn.utils.spectral_norm, nn.utils.parametrizations.spectral_norm])
@pytest.mark.parametrize(
    "layer", [nn.Linear(3, 5), nn.Conv2d(4, 4, 3), nn.ConvTranspose2d(4, 4, 3), nn.ConvTranspose2d(3, 5, 2)]
)
def test_spectral_norm_is_computed(norm: Callable[[nn.Module], nn.Module], layer: nn.Module) -> None:
    net = nn.Sequential(norm(copy.deepcopy(layer)))
    example = torch.randn(2, 3) if isinstance(layer, nn.Linear) else torch.randn(2, layer.in_channels, 4, 4)
    net(example)
    net.eval()(example)
    found, _ = computed(net.state_dict())
    assert sorted(found) == ["0.bias", "0.weight"]
    assert torch.allclose(found["0.weight"], net[0].weight, rtol=1e-5)


def test_a_parametrisation_that_is_not_read_is_told(tmp_path: Path) -> None:
    net = Tiny()
    nn.utils.parametrizations.orthogonal(net.linear)
    with pytest.raises(UsageError, match=r"missing \(1\): linear\.weight(.|\n)*parametrisation that is not read"):
        read(saved(net.state_dict(), tmp_path / "net.pt"))


# Numbers ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_other_floating_point_types_become_the_models(weights: Tensors, kind: torch.dtype, tmp_path: Path) -> None:
    path = saved({n: t.to(kind) if t.is_floating_point() else t for n, t in weights.items()}, tmp_path / "net.pt")
    found = read(path).tensors
    assert found["conv.weight"].dtype == torch.float32
    assert torch.equal(found["conv.weight"], weights["conv.weight"].to(kind).float())


def quantised(t: Tensor) -> Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.quantize_per_tensor(t, 0.1, 0, torch.qint8)


UNUSABLE = {
    "quantised": (quantised, "quantised weights are not read"),
    "int8": (lambda t: t.to(torch.int8), "quantised weights are not read"),
    "complex": (lambda t: t.to(torch.complex64), "which no layer here computes with"),
    "meta": (lambda t: t.to("meta"), "has a shape but no values"),
    "nan": (lambda t: t * torch.nan, r"holds NaN, infinity .*: conv\.weight \(2 of 2\)"),
    "infinite": (lambda t: t / 0, r"conv\.weight \(2 of 2\)"),
    "overflow": (lambda t: t.double() * 1e300, r"conv\.weight \(2 of 2\)"),
}


@pytest.mark.parametrize(("change", "words"), UNUSABLE.values(), ids=UNUSABLE.keys())
@pytest.mark.filterwarnings("ignore:torch.quantize")
def test_numbers_that_cannot_be_computed_with_are_refused(
    weights: Tensors, change: Callable[[Tensor], Tensor], words: str, tmp_path: Path
) -> None:
    path = saved(weights | {"conv.weight": change(weights["conv.weight"])}, tmp_path / "net.pt")
    with pytest.raises(UsageError, match=words):
        read(path)


def test_many_tensors_with_nan_are_counted_and_a_negative_variance_is_one(weights: Tensors, tmp_path: Path) -> None:
    bad = {n: t * torch.nan if t.is_floating_point() else t for n, t in weights.items()}
    with pytest.raises(UsageError, match=r"conv\.weight \(2 of 2\), conv\.bias \(2 of 2\), .* and 7 more tensors"):
        read(saved(bad, tmp_path / "net.pt"))
    negative = weights | {"bn.running_var": torch.tensor([1.0, -1.0])}
    with pytest.raises(UsageError, match=r"bn\.running_var \(a negative variance\)"):
        read(saved(negative, tmp_path / "net.pt"))


def test_nan_beside_the_weights_does_not_matter(weights: Tensors, tmp_path: Path) -> None:
    assert read(saved({"m": weights, "loss": torch.tensor(torch.nan)}, tmp_path / "net.pt")).tensors


# Files of other kinds -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["X.SAFETENSORS", "x.pth", "x"])
def test_safetensors_are_known_by_content(
    weights: Tensors, name: str, tmp_path: Path, same: Callable[..., bool]
) -> None:
    save_file(weights, tmp_path / name)
    assert same(read(tmp_path / name).tensors, weights)


@pytest.mark.parametrize("name", ["x.safetensors", "X.PT"])
def test_pickles_are_known_by_content(weights: Tensors, name: str, tmp_path: Path, same: Callable[..., bool]) -> None:
    assert same(read(saved(weights, tmp_path / name)).tensors, weights)


def zipped_of(**files: bytes) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name.replace("__", "/").replace("_", "."), content)
    return made.getvalue()


KINDS = {
    "web page": (b"<!DOCTYPE html><html>404</html>", "web page"),
    "git-lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "git-lfs pointer"),
    "empty": (b"", "it is empty"),
    "text": (b"Access denied", "it is text: 'Access denied'"),
    "HDF5": (b"\x89HDF\r\n\x1a\n" + b"\0" * 90, "HDF5"),
    "gzip": (b"\x1f\x8b\x08" + b"\0" * 90, "gzip"),
    "bytes": (bytes(range(200, 256)), "neither a PyTorch checkpoint"),
    "npz": (zipped_of(a_npy=b"x"), "npz archive"),
    "zip": (zipped_of(readme_txt=b"x"), "zip archive that torch.save did not write"),
    "TorchScript": (zipped_of(a__constants_pkl=b"x", a__data_pkl=b"x"), "TorchScript"),
    "bomb": (zipped_of(a__data_pkl=b"\x80\x02}q\x00.", a__data__0=b"\0" * 30_000_000), "claims to hold 30,000,"),
    "tar": (b"x" * 257 + b"ustar\x0000" + b"\0" * 300, "tar archive"),
}


@pytest.mark.parametrize(("content", "words"), KINDS.values(), ids=KINDS.keys())
@pytest.mark.parametrize("ending", ["pth", "safetensors"])
def test_other_files_are_called_what_they_are(content: bytes, words: str, ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"net.{ending}"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=words):
        read_checkpoint(path)


def test_a_file_that_is_not_whole_is_refused_at_every_length(weights: Tensors, tmp_path: Path) -> None:
    for zipped in (True, False):
        torch.save(weights, tmp_path / "whole", _use_new_zipfile_serialization=zipped)
        whole = (tmp_path / "whole").read_bytes()
        for length in range(0, len(whole) - 100, len(whole) // 23):
            path = tmp_path / "net.pt"
            path.write_bytes(whole[:length])
            with pytest.raises(UsageError, match=r"net\.pt"):
                read(path)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a folder"):
        read_checkpoint(tmp_path)


def test_dicts_that_hold_themselves_or_each_other_a_million_times_end(weights: Tensors, tmp_path: Path) -> None:
    loop: dict[str, Any] = {"w": weights}
    loop["self"] = loop
    many: Any = [0]
    for _ in range(40):
        many = [many] * 10
    assert read(saved({"loop": loop, "many": many}, tmp_path / "net.pt")).tensors


def test_a_claim_of_endless_size_is_no_hang(tmp_path: Path) -> None:
    torch.save({"conv.weight": torch.zeros(1).expand(10**12)}, tmp_path / "net.pt")
    with pytest.raises(UsageError, match=r"conv\.weight is \(1000000000000,\)"):
        read(tmp_path / "net.pt")


def test_a_plain_pickle_of_tensors_names_what_it_would_run(weights: Tensors, tmp_path: Path) -> None:
    path = tmp_path / "net.pkl"
    path.write_bytes(pickle.dumps(weights, protocol=2))
    with pytest.raises(UsageError, match=r"holds a `torch\.storage\._load_from_bytes`"):
        read_checkpoint(path)


# The architecture follows -------------------------------------------------------------------------


def resnet(shortcut: str, width: int, classes: int = 10, channels: int = 1) -> Tensors:
    return dict(build(Architecture("resnet20", channels, 8, classes, shortcut, width)).state_dict())


@pytest.mark.parametrize("shortcut", ["A", "B"])
@pytest.mark.parametrize("width", [2, 4, 16])
@pytest.mark.parametrize("wrap", [inside(), inside("state_dict"), prefixed("module.")])
def test_width_and_shortcut_follow_the_checkpoint(
    shortcut: str, width: int, wrap: Callable[[Tensors], Any], tmp_path: Path
) -> None:
    path = saved(wrap(resnet(shortcut, width)), tmp_path / "net.pt")
    start = start_from(read_checkpoint(path), path, ModelTable(name="resnet20"), 1, 8, 10)
    assert (start.architecture.shortcut, start.architecture.width) == (shortcut, width)
    assert start.masks == {}


@pytest.mark.parametrize(
    ("model", "given", "words"),
    [
        (ModelTable(name="resnet20", width=4), (1, 8, 10), r"model\.width = 4, the checkpoint's is 2: leave it out"),
        (ModelTable(name="resnet20"), (3, 8, 10), "the images have 3 channels, the checkpoint reads 1"),
        (ModelTable(name="resnet20"), (1, 8, 7), "the data has 7 classes, the checkpoint tells 10 apart"),
        (ModelTable(name="resnet20", shortcut="B"), (1, 8, 10), r"missing \(10\): layer2\.0\.shortcut"),
        (ModelTable(name="vgg11"), (1, 8, 10), r"missing \("),
        (ModelTable(name="resnet32"), (1, 8, 10), r"missing \("),
    ],
)
def test_what_contradicts_the_checkpoint_is_said(
    model: ModelTable, given: tuple[int, int, int], words: str, tmp_path: Path
) -> None:
    path = saved(resnet("A", 2), tmp_path / "net.pt")
    with pytest.raises(UsageError, match=words):
        start_from(read_checkpoint(path), path, model, *given)


def test_a_deeper_network_is_not_a_shallower_one(tmp_path: Path) -> None:
    path = saved(dict(build(Architecture("resnet32", 1, 8, 10, "A", 2)).state_dict()), tmp_path / "net.pt")
    with pytest.raises(UsageError, match=r"unexpected \(\d+\): layer1\.3\.conv1\.weight"):
        start_from(read_checkpoint(path), path, ModelTable(name="resnet20"), 1, 8, 10)


def test_a_network_that_lost_channels_is_no_start(tmp_path: Path) -> None:
    tensors = resnet("B", 4)
    for name in ("weight", "bias", "running_mean", "running_var"):
        tensors[f"layer1.0.bn1.{name}"] = tensors[f"layer1.0.bn1.{name}"][:3]
    tensors["layer1.0.conv1.weight"] = tensors["layer1.0.conv1.weight"][:3]
    tensors["layer1.0.conv2.weight"] = tensors["layer1.0.conv2.weight"][:, :3]
    path = tmp_path / "net.safetensors"
    path.write_bytes(model_bytes(State(Architecture("resnet20", 1, 8, 10, "B", 4), tensors)))
    with pytest.raises(UsageError, match="has lost channels, and a study starts from a dense one"):
        start_from(read_checkpoint(path), path, ModelTable(name="resnet20"), 1, 8, 10)


# Zeros --------------------------------------------------------------------------------------------


def start_of(tensors: Tensors, path: Path, **model: Any) -> Any:
    saved(tensors, path)
    return start_from(read_checkpoint(path), path, ModelTable(name="resnet20", **model), 1, 8, 10)


def test_zeros_beyond_chance_are_masks_of_every_layer(tmp_path: Path) -> None:
    tensors = resnet("B", 2)
    tensors["layer1.0.conv1.weight"].flatten()[:4] = 0
    tensors["linear.weight"].flatten()[0] = 0
    start = start_of(tensors, tmp_path / "net.pt")
    assert {name: int((~mask).sum()) for name, mask in start.masks.items()} == {"layer1.0.conv1": 4, "linear": 1}
    assert start.notes[-1].startswith("5 of ")
    assert "--set model.keep_zeros=false" in start.notes[-1]
    assert "except where a method exchanges weights as it trains, as dynamic schedules do" in start.notes[-1]
    free = start_of(tensors, tmp_path / "net.pt", keep_zeros=False)
    assert (free.masks, free.notes) == ({}, ())


def test_a_few_zeros_are_chance(tmp_path: Path) -> None:
    tensors = resnet("B", 2)
    tensors["layer1.0.conv1.weight"].flatten()[:3] = 0
    start = start_of(tensors, tmp_path / "net.pt")
    assert (start.masks, start.notes) == ({}, ())


def test_masks_in_the_file_hold_whatever_their_number(tmp_path: Path) -> None:
    tensors = resnet("B", 2)
    tensors["linear.weight_orig"] = tensors.pop("linear.weight")
    tensors["linear.weight_mask"] = torch.ones(10, 8)
    tensors["linear.weight_mask"][0, 0] = 0
    start = start_of(tensors, tmp_path / "net.pt")
    assert (~start.masks["linear"]).nonzero().tolist() == [[0, 0]]
    assert float(start.tensors["linear.weight"][0, 0]) == 0
