"""A trial's network for other programs: the same outputs in every format, and back again."""

from __future__ import annotations

import json
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

import prunetui
from prunetui.api import Modules, Shared
from prunetui.cli.export_network import export_model
from prunetui.config import parse_study
from prunetui.engine.edits import apply, apply_masks, remove_channels
from prunetui.engine.graph import Graph
from prunetui.engine.models import Architecture
from prunetui.engine.state import State, model_bytes
from prunetui.errors import RunFailed, UsageError
from prunetui.execute.submit import submit
from prunetui.store import Run

NET = Architecture("resnet20", 1, 8, 10, "B", width=4)
HEADER = {"data": "digits", "mean": [0.3], "std": [0.25], "classes": [str(i) for i in range(10)]}


def half(width: int) -> Tensor:
    return torch.arange(width) % 2 == 0


@pytest.fixture(scope="module")
def states(lively: Callable[..., State], graph_of: Callable[[Architecture], Graph]) -> dict[str, State]:
    """One net as it is, with channels removed, with weights masked, and with filters shared."""
    dense, graph = lively(NET), graph_of(NET)
    keep = {group.name: half(group.width) for group in graph.groups}
    mask = {"layer1.0.conv1": torch.rand(dense.tensors["layer1.0.conv1.weight"].shape) > 0.5}
    weight = dense.tensors["layer1.0.conv1.weight"]
    shared = Modules({"layer1.0.conv1": Shared(weight[:2].clone(), torch.tensor([0, 1, 1, 0]))})
    return {
        "dense": dense,
        "channels": remove_channels(keep, dense, graph),
        "masked": apply_masks(mask, dense),
        "shared": apply(shared, dense, graph),
    }


@pytest.fixture
def run(tmp_path: Path, states: dict[str, State]) -> Run:
    """A run that kept these networks; its data are digits."""
    made = submit(parse_study("data = { limit = 100 }\nmodel = { width = 4 }"), tmp_path / "runs")
    for name, state in states.items():
        (made.models / f"{name}.safetensors").write_bytes(model_bytes(state, HEADER))
    return made


@pytest.mark.parametrize("trial", ["dense", "channels", "masked", "shared"])
@pytest.mark.parametrize("kind", ["pt2", "onnx", "safetensors"])
def test_what_is_exported_computes_what_the_trial_does(
    run: Run, kind: str, trial: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / f"out.{kind}"
    export_model(run.folder.parent, "last", trial, kind, output)
    out, err = capsys.readouterr()
    assert out == f"{output}\n"
    assert "checked on 64 test images: largest difference of outputs" in err
    images = torch.rand(3, 1, 8, 8)
    wanted = prunetui.load(run.models / f"{trial}.safetensors")(images)
    if kind != "onnx":
        torch.testing.assert_close(prunetui.load(output)(images), wanted, rtol=1e-4, atol=1e-4)
    assert output.stat().st_size > 1000


def test_a_pt2_holds_no_pickle_and_opens_in_plain_torch(run: Run, tmp_path: Path) -> None:
    output = tmp_path / "out.pt2"
    export_model(run.folder.parent, "last", "channels", "pt2", output)
    with zipfile.ZipFile(output) as archive:
        contents = [archive.read(name) for name in archive.namelist()]
    assert not any(content.startswith((b"PK", b"\x80\x02", b"\x80\x04")) for content in contents)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        plain = torch.export.load(output).module()
    images = torch.rand(3, 1, 8, 8)
    assert torch.equal(plain(images), prunetui.load(output)(images))


def test_images_are_normalised_by_the_network_itself(run: Run) -> None:
    model = prunetui.load(run.models / "dense.safetensors")
    images = torch.rand(2, 1, 8, 8)
    assert torch.equal(model(images), model.net((images - 0.3) / 0.25))
    assert not model.training


@pytest.mark.parametrize("kind", ["pt2", "onnx", "safetensors"])
def test_evaluate_takes_every_format(run: Run, kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from prunetui.cli.measure_checkpoint import evaluate_checkpoint

    output = tmp_path / f"out.{kind}"
    export_model(run.folder.parent, "last", "channels", kind, output)
    figures = []
    for file in (run.models / "channels.safetensors", output):
        capsys.readouterr()
        evaluate_checkpoint(file, None, None, ["data.limit=100"], "cpu", True)
        figures.append(json.loads(capsys.readouterr().out))
    assert figures[1]["top1"] == figures[0]["top1"]
    assert figures[1]["loss"] == pytest.approx(figures[0]["loss"], abs=1e-4)


def test_a_trial_that_is_not_there_is_told_with_the_nearest(run: Run, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="did you mean channels"):
        export_model(run.folder.parent, "last", "chanels", "pt2", tmp_path / "x")
    with pytest.raises(UsageError, match="no format is called 'tflite'; there are: pt2, onnx, safetensors"):
        export_model(run.folder.parent, "last", "dense", "tflite", tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_a_file_that_computes_something_else_is_not_kept(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prunetui.cli.export_network._run_pt2", lambda path, images: torch.zeros(len(images), 10))
    with pytest.raises(RunFailed, match="nothing was kept"):
        export_model(run.folder.parent, "last", "dense", "pt2", tmp_path / "x.pt2")
    assert not (tmp_path / "x.pt2").exists()


def test_files_of_others_are_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "x.pt2").write_bytes(b"no archive")
    with pytest.raises(UsageError, match="cannot read the exported program"):
        prunetui.load(tmp_path / "x.pt2")
    with pytest.raises(UsageError, match="no checkpoint at"):
        prunetui.load(tmp_path / "y.safetensors")
