"""Weights of others: every common wrapping is read, nothing in a file is run, what does not fit is listed."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from prunetui.config import DataTable
from prunetui.engine.data import load_dataset
from prunetui.engine.evaluation import evaluate
from prunetui.engine.models import Architecture, build
from prunetui.engine.models.read_checkpoint import fitted, read_checkpoint
from prunetui.engine.state import State, instantiate, model_bytes
from prunetui.errors import UsageError
from prunetui.tasks.classification import Classification

SMALL = Architecture("resnet20", 1, 8, 10, width=4)
Tensors = dict[str, Tensor]


@pytest.fixture
def tensors(lively: Callable[..., State]) -> Tensors:
    return dict(lively(SMALL).tensors)


def plain(tensors: Tensors) -> Any:
    return tensors


def wrapped(tensors: Tensors) -> Any:
    return {"state_dict": tensors, "best_prec1": 91.73, "epoch": 200}


def data_parallel(tensors: Tensors) -> Any:
    return {"state_dict": {f"module.{name}": t for name, t in tensors.items()}}


def compiled(tensors: Tensors) -> Any:
    return {f"_orig_mod.{name}": t for name, t in tensors.items()}


def torchvision_names(tensors: Tensors) -> Any:
    return {n.replace("shortcut.", "downsample.").replace("linear.", "fc."): t for n, t in tensors.items()}


def without_counters(tensors: Tensors) -> Any:
    return {n: t for n, t in tensors.items() if not n.endswith("num_batches_tracked")}


def in_half_precision(tensors: Tensors) -> Any:
    return {n: t.half() if t.is_floating_point() else t for n, t in tensors.items()}


@pytest.mark.parametrize("saved_as", [plain, wrapped, data_parallel, compiled, torchvision_names, without_counters])
@pytest.mark.parametrize("ending", [".pt", ".pth", ".th"])
def test_a_pickled_state_dict_is_read_however_it_was_wrapped(
    tensors: Tensors, saved_as: Callable[[Tensors], Any], ending: str, tmp_path: Path, same: Callable[..., bool]
) -> None:
    path = tmp_path / f"net{ending}"
    torch.save(saved_as(tensors), path)
    assert same(fitted(read_checkpoint(path).tensors, build(SMALL), path), tensors)


@pytest.mark.parametrize("saved_as", [plain, data_parallel, torchvision_names])
def test_a_safetensors_file_of_others_is_read(
    tensors: Tensors, saved_as: Callable[[Tensors], Any], tmp_path: Path, same: Callable[..., bool]
) -> None:
    path = tmp_path / "net.safetensors"
    named = saved_as(tensors)
    save_file(named.get("state_dict", named), path, metadata={"format": "pt"})
    read = read_checkpoint(path)
    assert read.header == {}
    assert same(fitted(read.tensors, build(SMALL), path), tensors)


def test_a_file_of_our_own_says_what_it_is(tensors: Tensors, tmp_path: Path, same: Callable[..., bool]) -> None:
    path = tmp_path / "net.safetensors"
    path.write_bytes(model_bytes(State(SMALL, tensors), {"data": "digits", "classes": list("0123456789")}))
    read = read_checkpoint(path)
    assert Architecture(**read.header["architecture"]) == SMALL
    assert (read.header["data"], len(read.header["classes"])) == ("digits", 10)
    assert same(fitted(read.tensors, build(SMALL), path), tensors)


def test_weights_in_half_precision_become_float32(tensors: Tensors, tmp_path: Path) -> None:
    path = tmp_path / "net.pt"
    torch.save(in_half_precision(tensors), path)
    fit = fitted(read_checkpoint(path).tensors, build(SMALL), path)
    assert fit["linear.weight"].dtype == torch.float32
    assert torch.equal(fit["linear.weight"], tensors["linear.weight"].half().float())


class Bomb:
    """Runs a command when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.trace}",)


@pytest.mark.parametrize("ending", [".pt", ".safetensors"])
@pytest.mark.parametrize("saved_by", ["torch", "pickle"])
def test_a_malicious_pickle_is_refused_and_not_run(
    tensors: Tensors, tmp_path: Path, ending: str, saved_by: str
) -> None:
    trace, path = tmp_path / "executed", tmp_path / f"net{ending}"
    contents = {"state_dict": tensors, "extra": Bomb(trace)}
    if saved_by == "torch":
        torch.save(contents, path)
    else:
        path.write_bytes(pickle.dumps(Bomb(trace), protocol=2))
    with pytest.raises(UsageError, match=r"is not a plain state dict|cannot read the checkpoint"):
        read_checkpoint(path)
    assert not trace.exists()


OTHER_FILES = {
    "empty": b"",
    "one line": b"not a checkpoint",
    "text": b"hello world this is text\n",
    "picture": b"\x89PNG\r\n\x1a\n",
    "zip": b"PK\x03\x04",
    "pickle of nothing": b"\x80\x02.",
    "zeros": b"\0" * 64,
}


@pytest.mark.parametrize("contents", OTHER_FILES.values(), ids=OTHER_FILES.keys())
@pytest.mark.parametrize("ending", [".pt", ".safetensors"])
def test_a_file_of_another_kind_is_refused_in_words(contents: bytes, ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"net{ending}"
    path.write_bytes(contents)
    with pytest.raises(UsageError, match=r"cannot read the checkpoint|no(t a plain)? state dict"):
        read_checkpoint(path)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("zipped", [True, False])
def test_a_truncated_or_damaged_file_is_refused_in_words(tensors: Tensors, zipped: bool, tmp_path: Path) -> None:
    path = tmp_path / "net.pt"
    torch.save({"linear.weight": tensors["linear.weight"]}, path, _use_new_zipfile_serialization=zipped)
    whole = path.read_bytes()
    for place in range(0, min(400, len(whole)), 3):
        for damaged in (whole[:place], whole[:place] + b"e" + whole[place + 1 :]):
            path.write_bytes(damaged)
            try:
                read_checkpoint(path)  # a changed number or name is still a state dict
            except UsageError as error:
                assert str(path) in str(error)  # noqa: PT017 - either outcome is right, a traceback is not


@pytest.mark.parametrize(
    "contents", [[1, 2], {"epoch": 3}, torch.zeros(2), {}], ids=["list", "numbers", "tensor", "empty"]
)
def test_a_file_without_a_state_dict_is_refused(contents: Any, tmp_path: Path) -> None:
    path = tmp_path / "net.pt"
    torch.save(contents, path)
    with pytest.raises(UsageError, match="holds no state dict"):
        read_checkpoint(path)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no checkpoint at"):
        read_checkpoint(tmp_path / "nowhere.pt")
    with pytest.raises(UsageError, match="no checkpoint at"):
        read_checkpoint(tmp_path)


def test_what_does_not_fit_is_listed_as_missing_unexpected_and_of_another_shape(tensors: Tensors) -> None:
    del tensors["conv1.weight"]
    tensors["head.weight"] = torch.zeros(3)
    tensors["linear.weight"] = torch.zeros(100, 16)
    with pytest.raises(UsageError) as caught:
        fitted(tensors, build(SMALL), Path("net.pt"))
    assert str(caught.value).splitlines() == [
        "the checkpoint net.pt does not fit the model:",
        "  missing (1): conv1.weight",
        "  unexpected (1): head.weight",
        "  other shape (1): linear.weight is (100, 16), the model has (10, 16)",
    ]


def test_a_long_list_of_what_does_not_fit_is_cut_and_counted() -> None:
    with pytest.raises(UsageError, match=r"missing \(107\): conv1.weight, .* and 99 more\n  unexpected \(1\): x"):
        fitted({"x": torch.zeros(1)}, build(SMALL), Path("net.pt"))


@pytest.mark.slow
def test_a_published_checkpoint_scores_what_it_is_known_to_score(real_data: Path) -> None:
    path = real_data / "resnet20-12fca82f.th"
    data = load_dataset(DataTable(name="folder", root=str(real_data / "cifar10"), normalize="imagenet", validation=0.0))
    architecture = Architecture("resnet20", 3, 32, 10, "A")
    state = State(architecture, fitted(read_checkpoint(path).tensors, build(architecture), path))
    result = evaluate(instantiate(state, torch.device("cpu")), Classification(), data, "test", 512)
    assert (len(data.train), len(data.test)) == (50_000, 10_000)
    assert result["top1"] == pytest.approx(81.03, abs=0.05)
