"""Tasks: figures that add up by hand, classification in both ways, and a task of the user's own from end to end."""

from __future__ import annotations

import csv
import json
import math
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from prunetui.api import Accumulator, IndexedSource, Metric, Net, Task
from prunetui.api.constraints import Constraints
from prunetui.api.outputs import RecordedOutputs
from prunetui.api.source import called, count_of, mapped, tensors_in
from prunetui.config import Recipe, load_study, parse_study
from prunetui.config.write import commented_study, study_toml
from prunetui.engine.data import Dataset
from prunetui.engine.device import Device
from prunetui.engine.evaluation import evaluate
from prunetui.engine.load_task import check_recipes, load_task
from prunetui.engine.models import Architecture
from prunetui.engine.state import State, instantiate
from prunetui.engine.train_job import Hooks, TrainJob, TrainProgress, TrainState
from prunetui.engine.training_loop import train
from prunetui.errors import ConfigError, TrialError, UsageError
from prunetui.execute.python_process import python_command
from prunetui.metrics import CLASSIFICATION
from prunetui.plan import build_plan
from prunetui.plugins.catalogue import catalogue
from prunetui.tasks.classification import Classification

Lively = Callable[..., State]
SMALL = Architecture("resnet20", 1, 8, 10, width=4)
OWN = '''\
import torch

from prunetui.api import Metric, task


@task("digit-value", primary="mae")
class DigitValue:
    """The digit as a number."""

    measures = (
        Metric("mae", "absolute error", direction="lower", format=".3f"),
        Metric("close", "within a half", "%"),
    )
    outputs = 1

    def __init__(self, scale: float = 1.0):
        self.scale = scale

    def _errors(self, model, batch):
        images, digits = batch
        return model(images)[:, 0] - self.scale * digits

    def loss(self, model, batch):
        return self._errors(model, batch).square().mean()

    def metrics(self, model, batch, accumulator):
        errors = self._errors(model, batch).abs()
        accumulator.mean("mae", errors)
        accumulator.mean("close", 100.0 * (errors < 0.5))


@task("balanced", primary="balanced")
class Balanced:
    """The mean over classes of the share of their images that are found."""

    def loss(self, model, batch):
        return torch.nn.functional.cross_entropy(model(batch[0]), batch[1])

    def metrics(self, model, batch, accumulator):
        logits, labels = model(batch[0]), batch[1]
        found = labels[logits.argmax(1) == labels]
        accumulator.add("found", torch.bincount(found, minlength=logits.shape[1]))
        accumulator.add("there", torch.bincount(labels, minlength=logits.shape[1]))

    def figures(self, accumulator):
        found, there = accumulator.sums["found"], accumulator.sums["there"]
        return {"balanced": float((found / there.clamp(min=1))[there > 0].mean())}


@task("wordless", primary="mae")
class Wordless:
    """Lacks its metrics."""

    def loss(self, model, batch):
        return model(batch[0]).mean()


@task("misnamed", primary="mae")
class Misnamed(Balanced):
    """Says one thing and measures another."""

    measures = (Metric("rmse", "rmse", direction="lower"),)
'''
STUDY = """\
sparsities = [0.5]
model = { name = "resnet20", width = 4 }
data = { name = "digits", limit = 200 }
task = { name = "my_task.py:digit-value", options = { scale = 0.1 } }
train = { epochs = 12, batch_size = 16, lr = 0.05 }
finetune = { epochs = 1, batch_size = 32, lr = 0.01 }
measure = { latency = false, calibrate = 64, recalibrate = 64 }
methods = ["taylor", { name = "l1-structured", target = "channels" }]
"""


@pytest.fixture
def study(tmp_path: Path) -> Path:
    folder = tmp_path / "study"
    folder.mkdir()
    (folder / "my_task.py").write_text(OWN)
    (folder / "study.toml").write_text(STUDY)
    return folder / "study.toml"


@pytest.fixture
def own(study: Path) -> Callable[..., Task]:
    """The user's tasks by name."""
    return lambda name, **options: load_task(f"{study.parent}/my_task.py:{name}", options)


# Batches and sums -------------------------------------------------------------------------------------


def test_a_batch_is_tensors_in_tuples_lists_and_mappings() -> None:
    batch = ({"words": torch.tensor([[1, 2], [3, 4]])}, [torch.tensor([5, 6])], "kept")
    assert count_of(batch) == 2
    assert [tensor.tolist() for tensor in tensors_in(batch)] == [[[1, 2], [3, 4]], [5, 6]]
    first = mapped(batch, lambda tensor: tensor[:1])
    assert (first[0]["words"].tolist(), first[1][0].tolist(), first[2]) == ([[1, 2]], [5], "kept")


def test_inputs_go_to_the_network_as_one_as_several_and_by_name() -> None:
    one, two = torch.tensor([1.0]), torch.tensor([10.0])
    assert called(lambda x: x, one) is one
    assert called(lambda x, y: x - y, (one, two)).tolist() == [-9.0]
    assert called(lambda y, x: x - y, {"x": one, "y": two}).tolist() == [-9.0]


def test_an_accumulator_adds_means_sums_and_keeps_objects() -> None:
    total = Accumulator()
    for values, matrix in (([1.0, 2.0, 6.0], [[1, 0], [0, 2]]), ([7.0], [[0, 1], [0, 0]])):
        part = Accumulator(total.kept)
        part.mean("error", torch.tensor(values))
        part.add("confusion", torch.tensor(matrix))
        part.keep("largest", list).append(max(values))
        total.merge(part)
    assert total.means() == {"error": 4.0}
    assert total.sums["confusion"].tolist() == [[1, 1], [0, 2]]
    assert total.kept == {"largest": [6.0, 7.0]}


def test_metrics_share_the_outputs_of_the_loss_and_other_inputs_leave_a_training_network_as_it_is() -> None:
    net = nn.BatchNorm1d(1)
    calls: list[bool] = []
    net.register_forward_hook(lambda module, inputs, output: calls.append(module.training))
    images = torch.tensor([[1.0], [3.0]])
    recorded = RecordedOutputs(net)
    output = recorded(images)
    again = recorded.again()
    assert again(images) is not output
    assert torch.equal(again(images), output)
    assert not again(images).requires_grad
    assert calls == [True]
    again(images + 1)
    assert calls == [True, False]
    assert net.training
    assert net.num_batches_tracked == 1


# Classification ---------------------------------------------------------------------------------------


class InOrder:
    """A source that gives its batches in order only, as a stream does."""

    def __init__(self, data: Dataset) -> None:
        self.device, self.length, self.batches = data.device, data.length, data.batches


def test_classification_is_the_same_all_at_once_and_batch_by_batch(digits: Dataset, lively: Lively) -> None:
    net, task = instantiate(lively(SMALL), torch.device("cpu")), Classification()
    stream: Any = InOrder(digits)
    assert isinstance(digits, IndexedSource)
    assert not isinstance(stream, IndexedSource)
    at_once, streamed = (evaluate(net, task, source, "test", 64) for source in (digits, stream))
    assert list(at_once) == ["top1", "top5", "loss", "images_per_second"]
    assert (at_once["top1"], at_once["top5"]) == (streamed["top1"], streamed["top5"])
    assert 0 < (at_once["top1"] or 0) < (at_once["top5"] or 0) < 100
    assert at_once["loss"] == pytest.approx(streamed["loss"], rel=1e-6)
    assert evaluate(net, task, stream, "test", 64, loss=False)["loss"] is None


def test_the_tasks_of_the_catalogue_and_classification_measures_what_runs_did_before_tasks_had_names() -> None:
    found = catalogue("task")
    primary = {name: task.given["primary"] for name, task in found.found.items()}
    assert primary == {
        "classification": "top1", "detection": "map", "language-modelling": "perplexity", "regression": "rmse",
        "segmentation": "miou",
    }  # fmt: skip
    assert found.problems == ()
    assert found.found["classification"].given == {"primary": "top1"}
    assert load_task("classification").table == CLASSIFICATION


# Any data, any network --------------------------------------------------------------------------------


class Sums:
    """Pairs of numbers by name and their sum: no images, no labels, and batches in order only."""

    fingerprint, device = "sums", torch.device("cpu")

    def length(self, split: str) -> int:
        return 24

    def batches(self, split: str, batch_size: int) -> Iterator[Any]:
        return self.epoch(batch_size, torch.Generator().manual_seed(len(split)))

    def epoch(self, batch_size: int, generator: torch.Generator, first: int = 0) -> Iterator[Any]:
        numbers = torch.rand(24, 2, generator=generator)
        for part in numbers.split(batch_size)[first:]:
            yield {"numbers": {"a": part[:, :1], "b": part[:, 1:]}, "sum": part.sum(1, keepdim=True)}

    def sample(self, count: int, generator: torch.Generator, batch_size: int) -> Iterator[Any]:
        return self.epoch(batch_size, generator)

    def batches_in_epoch(self, batch_size: int) -> int:
        return -(-24 // batch_size)

    def example(self) -> Any:
        return {"numbers": {"a": torch.zeros(1, 1), "b": torch.zeros(1, 1)}, "sum": torch.zeros(1, 1)}

    def description(self) -> dict[str, Any]:
        return {"data": "sums"}


class Adder(nn.Module):
    """Takes two numbers by name."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(2, 8), nn.Linear(8, 1)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return self.last(self.first(torch.cat([a, b], 1)).relu())


class SquaredError(Task):
    """How far a sum is off."""

    name = "sums"
    measures = (Metric("mse", "squared error", direction="lower", format=".4f"),)

    def inputs(self, batch: Any) -> Any:
        return batch["numbers"]

    def loss(self, model: Any, batch: Any) -> Tensor:
        return (called(model, batch["numbers"]) - batch["sum"]).square().mean()

    def metrics(self, model: Any, batch: Any, accumulator: Accumulator) -> None:
        accumulator.mean("mse", (called(model, batch["numbers"]) - batch["sum"]).square())


@pytest.mark.parametrize("graphs", [False, True])
def test_a_network_of_named_inputs_is_trained_evaluated_and_seen_by_methods(cpu: Device, graphs: bool) -> None:
    torch.manual_seed(0)
    net, task, source = Adder(), SquaredError(), Sums()
    before = evaluate(net, task, source, "test", 7)["mse"]
    told: list[TrainProgress] = []
    hooks = Hooks(told.append, lambda epoch, state: None, lambda: False)
    job = TrainJob(Recipe(epochs=40, batch_size=8, lr=0.05, weight_decay=0.0, precision="fp32"), "key")
    train(net, task, source, job, TrainState(), replace(cpu, graphs=graphs), hooks)
    after = evaluate(net, task, source, "test", 7)
    assert before is not None
    assert after["mse"] == pytest.approx(after["loss"])
    assert (after["mse"] or 1) < before / 20
    assert told[-1].metric == pytest.approx(told[-1].loss, rel=1e-5)
    assert told[-1].done == 40 * 24

    batches = list(source.batches("train", 9))
    rules = Constraints(["first", "last"])
    seen = Net(net, {}, batches, torch.Generator(), rules, 1.0, task)
    whole = next(source.batches("train", 24))
    wanted = torch.autograd.grad(task.loss(net, whole), [net.first.weight, net.last.weight])
    with seen.gradients() as found:
        for got, want in zip(found.values(), wanted, strict=True):
            torch.testing.assert_close(got, want)
    each = [chunk["first"] for chunk in seen.image_gradients()]
    assert [len(chunk) for chunk in each] == [9, 9, 6]
    torch.testing.assert_close(torch.cat(each).mean(0), wanted[0])
    read, gradients = next(seen.inputs_and_gradients())
    assert {name: tensor.shape for name, tensor in read.items()} == {"first": (9, 2), "last": (9, 8)}
    assert gradients["first"].shape == (9, 2)


# A user's task ----------------------------------------------------------------------------------------


def test_figures_of_a_users_task_are_those_worked_out_by_hand(own: Callable[..., Task]) -> None:
    pixels = torch.tensor([0, 0, 0, 9], dtype=torch.uint8)[:, None, None, None].expand(4, 1, 2, 2)

    class Guess(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return (images[:, :, 0, 0] > 0).float() * torch.tensor([-1.0, 2.0]) + torch.tensor([1.0, 0.0])

    from prunetui.engine.data import Images

    images = Images(pixels, torch.tensor([0, 0, 1, 1]))
    data = Dataset("four", ("a", "b"), images, images, images, (0.0,), (1 / 255,), "none", "")
    found = evaluate(Guess(), own("balanced"), data, "test", 3)
    assert found["balanced"] == 0.75  # both of class 0 and one of two of class 1: (1 + 1/2) / 2
    losses = [math.log(1 + math.exp(-1))] * 2 + [math.log(1 + math.exp(1)), math.log(1 + math.exp(-2))]
    assert found["loss"] == pytest.approx(sum(losses) / 4, rel=1e-6)
    # Outputs 1, 1, 1 and 0 for 0, 0, 1 and 1: errors of 1, 1, 0 and 1.
    value = evaluate(Guess(), own("digit-value"), data, "test", 3)
    assert (value["mae"], value["close"], value["loss"]) == (0.75, 25.0, pytest.approx(0.75))


def test_a_task_that_does_not_measure_what_it_says_is_told(own: Callable[..., Task], digits: Dataset) -> None:
    class Silent(type(own("balanced"))):  # type: ignore[misc]
        def figures(self, accumulator: Accumulator) -> dict[str, float]:
            return {"other": 1.0}

    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    with pytest.raises(TrialError, match="gives loss, other of the test split; it says that it measures balanced, too"):
        evaluate(net, Silent(), digits, "test", 64)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("wordless", "cannot be made: TypeError: .* abstract method '?metrics"),
        ("misnamed", 'says primary="mae", and its measures are rmse'),
    ],
)
def test_a_task_that_is_not_whole_is_refused(own: Callable[..., Task], name: str, wrong: str) -> None:
    with pytest.raises(UsageError, match=wrong):
        own(name)


@pytest.mark.parametrize("setting", ["train.label_smoothing=0.1", "finetune.distill=0.5"])
def test_settings_that_a_task_would_ignore_are_refused(own: Callable[..., Task], setting: str) -> None:
    with pytest.raises(UsageError, match=setting.partition("=")[0]):
        check_recipes(own("balanced"), parse_study("", [setting]))
    check_recipes(Classification(), parse_study("", [setting]))


def test_a_task_without_measures_has_its_primary_metric(own: Callable[..., Task]) -> None:
    assert own("balanced").measures == (Metric("balanced", "balanced"),)


def test_a_study_names_its_task_and_leaves_the_default_out(study: Path) -> None:
    found = load_study(str(study))
    assert found.task.name == f"{study.parent}/my_task.py:digit-value"
    assert "[task]" in study_toml(found)
    assert "[task]" not in study_toml(parse_study(""))
    assert 'name = "classification"' in commented_study(parse_study(""))
    with pytest.raises(ConfigError) as caught:
        load_study(str(study), ["task.name=my_task.py:nothing", "train.epochs=-1"])
    assert sorted(mistake.path for mistake in caught.value.mistakes) == ["task.name", "train.epochs"]
    with pytest.raises(ConfigError) as caught:
        load_study(str(study), ["task.options.size=3"])
    assert [mistake.path for mistake in caught.value.mistakes] == ["task.options.size"]


def test_the_task_is_part_of_every_key(study: Path) -> None:
    def keys(*overrides: str) -> set[str]:
        return set(build_plan(load_study(str(study), overrides)).nodes)

    before = keys()
    assert not before & keys("task={ name = 'classification' }")
    assert not before & keys("task.options.scale=0.2")
    (study.parent / "my_task.py").write_text(OWN + "\n# changed\n")
    assert not before & keys()


def prunetui(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = python_command("prunetui", *map(str, arguments))
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_a_users_task_runs_from_training_to_the_report(study: Path, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    done = prunetui(tmp_path, "--batch", study, "--runs", runs, "--quiet", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    (folder,) = (folder for folder in runs.iterdir() if (folder / "results.csv").is_file())
    rows = list(csv.DictReader((folder / "results.csv").read_text().splitlines()))
    assert [row["method"] for row in rows] == ["dense", "taylor", "l1-structured"]
    columns = {"mae_before", "mae", "val_mae", "mae_dense", "close", "loss"}
    assert columns <= rows[0].keys()
    assert not [column for column in rows[0] if "top1" in column]
    for row in rows:
        assert all(0 <= float(row[column]) < 100 for column in columns)
        assert row["status"] == "done"
    assert float(rows[0]["mae"]) < 0.25  # tenths of a digit: a guess of the mean is off by 0.25
    assert float(rows[1]["mae_before"]) != float(rows[1]["mae"])
    assert int(rows[2]["params"]) < int(rows[0]["params"])
    status = json.loads((folder / "status.json").read_text())
    assert (status["primary"], status["direction"]) == ("mae", "lower")
    assert status["mae_dense"] == float(rows[0]["mae_dense"])
    assert sorted(file.name.partition("-")[2] for file in (folder / "contributions").iterdir()) == ["my_task.py"]

    shown = prunetui(tmp_path, "show", folder.name, "--runs", runs)
    assert shown.returncode == 0, shown.stderr
    assert "absolute error" in shown.stdout
    report = prunetui(tmp_path, "report", folder.name, "--runs", runs)
    assert report.returncode == 0, report.stderr
    pages = [file.read_text() for file in folder.rglob("*.html")] or [report.stdout]
    assert any("absolute error" in page for page in pages)

    network = folder / "models" / "l1-structured-0.5-s0.safetensors"
    refused = prunetui(tmp_path, "evaluate", network, "--json")
    assert refused.returncode == 2
    assert "was trained for the task my_task.py:digit-value" in refused.stderr
    trusted = prunetui(tmp_path, "evaluate", network, "--json", "--trust", "--set", "data.limit=200")
    assert trusted.returncode == 0, trusted.stderr
    assert json.loads(trusted.stdout)["mae"] == pytest.approx(float(rows[2]["mae"]), abs=1e-4)
