"""Whole runs in this process, on real digits and a tiny net: what is computed, shared, saved and reported."""

from __future__ import annotations

import errno
import importlib
import json
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from prunetui import events
from prunetui.cli.measure_checkpoint import evaluate_checkpoint
from prunetui.config import parse_study, study_toml
from prunetui.engine.count import count
from prunetui.engine.models import Architecture
from prunetui.engine.models.read_checkpoint import read_checkpoint
from prunetui.engine.state import State, instantiate
from prunetui.errors import RunFailed, UsageError
from prunetui.execute.execution import execute as execute_with
from prunetui.plugins.method_catalogue import forget
from prunetui.store import Cache, Run, Status, create_run

TINY = """
name = "tiny"
sparsities = [0.5, 0.8]
[data]
name = "digits"
limit = 150
[model]
name = "resnet20"
width = 4
[train]
epochs = 2
batch_size = 32
[finetune]
epochs = 1
batch_size = 32
lr = 0.05
[measure]
recalibrate = 64
calibrate = 32
"""
MASKS = '[[methods]]\nname = "global-unstructured"\n'
CHANNELS = '[[methods]]\nname = "l1-structured"\n'

execute = partial(execute_with, executor="inline")
"""In this process: its parts can be replaced here. tests/execute/test_crashes.py has the other way."""


def never() -> bool:
    return False


def begin(root: Path, study: str, *overrides: str) -> Run:
    parsed = parse_study(study, overrides)
    return create_run(root, study_toml(parsed), Status(state="queued", name=parsed.name))


def done(root: Path, study: str, *overrides: str) -> Run:
    """A run that was executed without any failure."""
    run = begin(root, study, *overrides)
    assert execute(run, "cpu", never) == 0
    return run


def steps(run: Run, kind: str = "", cached: bool | None = None) -> list[events.StepFinished]:
    finished = [event for event in run.tail().read() if isinstance(event, events.StepFinished)]
    return [e for e in finished if e.step == (kind or e.step) and cached in (None, e.cached)]


def by_trial(run: Run) -> dict[str, dict[str, str]]:
    return {row["trial"]: row for row in run.rows()}


def results(run: Run) -> list[dict[str, str]]:
    """The rows without what a clock decides."""
    return [{k: v for k, v in row.items() if k != "seconds" and "latency" not in k} for row in run.rows()]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def tiny(root: Path) -> Run:
    """Masks and channels at two sparsities, one-shot."""
    return done(root, TINY + MASKS + CHANNELS)


# What a run leaves behind -----------------------------------------------------------------------------


def test_every_trial_has_its_row_and_the_dense_control_stands_first(tiny: Run) -> None:
    assert list(by_trial(tiny)) == [
        "dense-1ep-s0", "global-unstructured-0.5-s0", "global-unstructured-0.8-s0", "l1-structured-0.5-s0",
        "l1-structured-0.8-s0",
    ]  # fmt: skip
    assert {row["status"] for row in tiny.rows()} == {"done"}


def test_every_column_is_filled(tiny: Run) -> None:
    for row in tiny.rows():
        masked = row["method"] == "global-unstructured"
        empty = {name for name, value in row.items() if value == ""}
        gpu = {f"latency{batch}_cuda{figure}_ms" for batch in ("", 128) for figure in ("", "_iqr")}
        times = {f"latency{batch}{figure}_ms" for batch in ("", 128) for figure in ("", "_iqr")}
        assert empty == {"error", "layer", "note"} | gpu | (times if masked else set())
        if masked:
            assert row["runtime"] == "no speed-up in this runtime"
            assert int(row["macs_nonzero"]) < int(row["macs"])
        else:
            assert row["runtime"].startswith("onnxruntime ")
            assert row["macs_nonzero"] == row["macs"]
            assert 0 < float(row["latency_ms"]) < float(row["latency128_ms"])
        for name in ("top1", "top1_before", "top1_before_raw", "val_top1", "top1_dense", "top1_control", "top5"):
            assert 0 <= float(row[name]) <= 100
        assert float(row["top5"]) >= float(row["top1"])
        assert float(row["seconds"]) > 0


def test_the_rows_say_what_was_removed(tiny: Run) -> None:
    rows = by_trial(tiny)
    dense, masked, narrow = rows["dense-1ep-s0"], rows["global-unstructured-0.8-s0"], rows["l1-structured-0.8-s0"]
    assert (dense["target"], masked["target"], narrow["target"]) == ("sparsity:0", "sparsity:0.8", "sparsity:0.8")
    assert (float(dense["sparsity"]), float(masked["sparsity"])) == (0, pytest.approx(0.8, abs=1e-4))
    assert float(narrow["sparsity"]) == pytest.approx(0.8, abs=0.01)
    assert masked["params"] == dense["params"] == "17462"
    assert masked["macs"] == dense["macs"]
    assert int(masked["params_nonzero"]) < 0.25 * int(dense["params"])
    assert int(narrow["params"]) < 0.25 * int(dense["params"])
    assert narrow["params_nonzero"] == narrow["params"]
    assert int(narrow["macs"]) < 0.4 * int(dense["macs"])
    assert int(narrow["bytes"]) < 0.5 * int(dense["bytes"])


def test_all_trials_of_a_seed_start_from_one_dense_net_and_share_its_control(tiny: Run) -> None:
    assert len({row["top1_dense"] for row in tiny.rows()}) == 1
    assert {row["top1_control"] for row in tiny.rows()} == {by_trial(tiny)["dense-1ep-s0"]["top1"]}
    trained = steps(tiny, "Train", cached=False)
    assert len(trained) == 1 + 1 + 4  # the dense net, its control, and the recovery of each pruned net
    assert max(Counter(step.key for step in steps(tiny, cached=False)).values()) == 1


def test_the_folder_holds_all_that_the_contract_names(tiny: Run) -> None:
    names = {path.name for path in tiny.folder.iterdir()}
    assert {"study.toml", "environment.json", "events.jsonl", "status.json", "results.csv", "worker.log"} <= names
    assert sorted(path.stem for path in tiny.models.iterdir()) == sorted(by_trial(tiny))
    assert list(tiny.partial.iterdir()) == []
    status = tiny.status()
    assert status is not None
    assert (status.state, status.trials, status.done, status.failed) == ("done", 5, 5, 0)
    assert json.loads((tiny.folder / "environment.json").read_text())["device"] == "cpu"


def test_the_events_tell_the_whole_story(tiny: Run) -> None:
    told = tiny.tail().read()
    assert len(told) == len(tiny.tail().lines())  # each line is an event that this version knows
    kinds = [type(event).__name__ for event in told]
    assert kinds[0] == "RunStarted"
    assert kinds[-1] == "RunFinished"
    planned = next(event for event in told if isinstance(event, events.Planned))
    assert (planned.trials, planned.done) == (5, 0)
    computed = steps(tiny, cached=False)
    assert planned.steps == len(computed)
    assert planned.work == sum(step.work for step in computed)
    finished = [event for event in told if isinstance(event, events.TrialFinished)]
    assert [event.trial for event in finished] == list(by_trial(tiny))
    assert [str(event.row["top1"]) for event in finished] == [row["top1"] for row in tiny.rows()]


def evaluated(path: Path, capsys: pytest.CaptureFixture[str], *overrides: str) -> dict[str, Any]:
    capsys.readouterr()
    evaluate_checkpoint(path, None, None, overrides, "cpu", True)
    printed: dict[str, Any] = json.loads(capsys.readouterr().out)
    return printed


def test_every_saved_model_evaluates_to_exactly_what_its_row_says(
    tiny: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    for row in tiny.rows():
        path = tiny.models / f"{row['trial']}.safetensors"
        result = evaluated(path, capsys, "data.limit=150")
        assert round(result["top1"], 4) == float(row["top1"])
        assert round(result["top5"], 4) == float(row["top5"])
        assert result["loss"] == pytest.approx(float(row["loss"]), abs=2e-6)
        assert path.stat().st_size == int(row["bytes"])


def test_every_saved_model_has_the_sizes_that_its_row_says(tiny: Run) -> None:
    for row in tiny.rows():
        read = read_checkpoint(tiny.models / f"{row['trial']}.safetensors")
        model = instantiate(State(Architecture(**read.header["architecture"]), read.tensors), torch.device("cpu"))
        counts = count(model, torch.zeros(1, 1, 8, 8))
        assert (counts.params, counts.params_nonzero, counts.macs) == tuple(
            int(row[name]) for name in ("params", "params_nonzero", "macs")
        )


def test_a_saved_model_is_a_checkpoint_that_a_study_can_start_from(tiny: Run, tmp_path: Path) -> None:
    path = tiny.models / "dense-1ep-s0.safetensors"
    run = done(tmp_path, TINY.replace("epochs = 2", "epochs = 0") + MASKS, f"model.checkpoint={path}")
    assert {row["top1_dense"] for row in run.rows()} == {by_trial(tiny)["dense-1ep-s0"]["top1"]}


# What is shared ---------------------------------------------------------------------------------------


def test_a_second_run_of_the_same_study_computes_nothing_and_gives_equal_rows(root: Path, tiny: Run) -> None:
    again = done(root, TINY + MASKS + CHANNELS)
    assert steps(again, cached=False) == []
    assert steps(again, cached=True)
    assert results(again) == results(tiny)


def test_times_that_were_taken_once_are_reported_again(root: Path, tiny: Run) -> None:
    again = done(root, TINY + MASKS + CHANNELS)
    for name in ("seconds", "latency_ms", "latency128_ms"):
        assert [row[name] for row in again.rows()] == [row[name] for row in tiny.rows()]


def test_times_of_another_processor_are_taken_again(tmp_path: Path) -> None:
    study = TINY + CHANNELS
    first = done(tmp_path, study)
    timed = [event.key for event in steps(first, "Latency")]
    for key in timed:
        cache = Cache(tmp_path / ".cache")
        meta = cache.meta(key)
        assert meta is not None
        meta["timer"]["processor"] += " of somebody else"
        meta["result"]["latency_ms"] = 1e6
        cache.drop(key)
        cache.put(key, meta)
    again = done(tmp_path, study)
    assert [event.key for event in steps(again, cached=False)] == timed
    assert all(float(row["latency_ms"]) < 1e6 for row in again.rows())
    assert steps(done(tmp_path, study), cached=False) == []


def test_a_run_that_has_nothing_to_compute_says_so(root: Path, tiny: Run) -> None:
    again = done(root, TINY + MASKS + CHANNELS)
    planned = next(event for event in again.tail().read() if isinstance(event, events.Planned))
    assert (planned.steps, planned.work) == (0, 0)


def test_a_run_in_another_folder_computes_the_same(tmp_path: Path, tiny: Run) -> None:
    other = done(tmp_path, TINY + MASKS + CHANNELS)
    assert steps(other, cached=True) == []
    assert results(other) == results(tiny)


def test_another_method_is_compared_with_the_dense_net_that_is_already_there(root: Path, tiny: Run) -> None:
    run = done(root, TINY + '[[methods]]\nname = "random-unstructured"\n')
    assert len(steps(run, "Train", cached=False)) == 2  # one recovery a sparsity
    assert by_trial(run)["dense-1ep-s0"] == by_trial(tiny)["dense-1ep-s0"]


def test_levels_of_an_iterative_schedule_share_one_trajectory(tmp_path: Path) -> None:
    study = TINY.replace("[0.5, 0.8]", '[0.3, 0.5, 0.8]\nschedule = "iterative"')
    run = done(tmp_path, study + MASKS + CHANNELS)
    assert len(steps(run, "Prune", cached=False)) == 3 + 3
    assert len(steps(run, "Train", cached=False)) == 1 + 3 + 3 + 3  # dense, its three controls, two trajectories
    for row in run.rows():
        assert float(row["sparsity"]) == pytest.approx(float(row["target"].partition(":")[2]), abs=0.01)
    controls = {trial: row["top1"] for trial, row in by_trial(run).items() if trial.startswith("dense")}
    assert list(controls) == ["dense-1ep-s0", "dense-2ep-s0", "dense-3ep-s0"]
    assert by_trial(run)["l1-structured-iterative-0.5-s0"]["top1_control"] == controls["dense-2ep-s0"]


def test_what_earlier_runs_left_behind_never_changes_a_result(tmp_path: Path) -> None:
    """The shorter schedule is the beginning of the longer one: its states are shared, momentum included."""
    study = TINY.replace("[0.5, 0.8]", '[0.3]\nschedule = "iterative"') + MASKS
    longer = study.replace("[0.3]", "[0.3, 0.6, 0.8]")
    done(tmp_path / "shared", study)
    after_another = done(tmp_path / "shared", longer)
    alone = done(tmp_path / "alone", longer)
    assert len(steps(after_another, cached=True)) > 0
    assert results(after_another) == results(alone)


# What decides the numbers -----------------------------------------------------------------------------


def test_seeds_are_independent_repetitions(tmp_path: Path) -> None:
    run = done(tmp_path, TINY + MASKS, "seeds=[0, 1, 2]", "sparsities=0.5")
    rows = by_trial(run)
    assert list(rows) == [f"{name}-s{seed}" for seed in (0, 1, 2) for name in ("dense-1ep", "global-unstructured-0.5")]
    for name in ("dense-1ep", "global-unstructured-0.5"):
        assert len({rows[f"{name}-s{seed}"]["loss"] for seed in (0, 1, 2)}) == 3


def test_statistics_are_left_alone_if_not_to_be_estimated_again(tmp_path: Path) -> None:
    run = done(tmp_path, TINY + MASKS, "measure.recalibrate=0")
    assert steps(run, "Calibrate") == []
    assert all(row["top1_before"] == row["top1_before_raw"] for row in run.rows())


def test_without_recovery_and_validation_the_net_is_measured_as_it_was_pruned(tmp_path: Path) -> None:
    run = done(tmp_path, TINY + MASKS, "finetune.epochs=0", "data.validation=0.0", "measure.latency=false")
    control = run.rows()[0]  # re-estimated as the pruned nets are, so that both can be compared
    assert (control["method"], control["top1_before_raw"]) == ("dense", control["top1_dense"])
    for row in run.rows():
        assert row["top1"] == row["top1_before"]
        assert row["top1_control"] == control["top1"]
        assert (row["val_top1"], row["latency_ms"]) == ("", "")


def test_without_a_control_its_column_is_empty(tmp_path: Path) -> None:
    (row,) = done(tmp_path, TINY + MASKS, "measure.control=false", "sparsities=0.5").rows()
    assert (row["trial"], row["status"], row["top1_control"]) == ("global-unstructured-0.5-s0", "done", "")
    assert row["top1_dense"]


def test_the_test_split_is_measured_once_a_state_and_never_trained_on(tiny: Run) -> None:
    on_test = [event for event in tiny.tail().read() if isinstance(event, events.StepStarted)]
    measured = Counter(event.key for event in on_test if event.label == "measure on test")
    assert set(measured.values()) == {1}
    # The dense net as trained, re-estimated and after recovery; each of the four pruned nets likewise.
    assert len(measured) == 3 + 4 * 3


def test_channels_and_thresholds_are_targets_of_their_own(tmp_path: Path) -> None:
    study = (
        TINY
        + CHANNELS
        + 'target = "channels"\nsparsities = [0.5]\n[[methods]]\nname = "threshold"\nsparsities = [0.1]\n'
    )
    rows = by_trial(done(tmp_path, study))
    narrow, sparse = rows["l1-structured-0.5-s0"], rows["threshold-0.1-s0"]
    assert (narrow["target"], sparse["target"]) == ("channels:0.5", "threshold:0.1")
    assert float(narrow["sparsity"]) == pytest.approx(0.75, abs=0.02)  # half the inputs and half the outputs
    assert 0.05 < float(sparse["sparsity"]) < 0.95


def test_a_sensitivity_study_prunes_single_layers_and_says_which_it_cannot(tmp_path: Path) -> None:
    study = 'kind = "sensitivity"\n' + TINY.replace("[0.5, 0.8]", "[0.5]")
    run = done(tmp_path, study + CHANNELS, "model.shortcut=A", "train.epochs=1", "finetune.epochs=0")
    rows = by_trial(run)
    pruned = [row for row in rows.values() if row["status"] == "done" and row["layer"]]
    assert [row["layer"] for row in pruned] == [f"layer{s}.{b}.conv1" for s in (1, 2, 3) for b in (0, 1, 2)]
    assert {row["target"] for row in pruned} == {"channels:0.5"}
    params = [int(row["params"]) for row in pruned]
    assert params == sorted(params, reverse=True)  # the later a layer, the more goes with half of its channels
    skipped = [row for row in rows.values() if row["status"] == "skipped"]
    assert len(skipped) == 1 + 9
    assert all((row["top1"], "must stay" in row["error"]) == ("", True) for row in skipped)
    status = run.status()
    assert status is not None
    assert (status.trials, status.done, status.failed) == (1 + 9, 1 + 9, 0)
    assert execute(run, "cpu", never) == 0
    assert by_trial(run) == rows


# What goes wrong --------------------------------------------------------------------------------------


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], str]]:
    """Install a distribution whose only method has this body; returns the table that puts it into a study."""

    def install(body: str) -> str:
        module = f"plugin_{uuid.uuid4().hex}"
        site = tmp_path / module
        about = site / f"{module}-1.0.dist-info"
        about.mkdir(parents=True)
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
        (about / "entry_points.txt").write_text(f"[prunetui.methods]\n{module} = {module}\n")
        lines = "".join(f"        {line}\n" for line in body.splitlines())
        (site / f"{module}.py").write_text(
            "from prunetui.api import Masks, Net, dataclass, keep_top, register\n\n\n"
            f'@register("{module}", source="a test")\n@dataclass(frozen=True)\nclass Method:\n'
            '    """What it does wrong stands in its body."""\n\n'
            f"    def prune(self, net: Net, sparsity: float) -> Masks:\n{lines}"
        )
        monkeypatch.syspath_prepend(site)
        importlib.invalidate_caches()
        forget()
        return f'[[methods]]\nname = "{module}"\nlabel = "wrong"\n'

    yield install
    forget()


RIGHT = "scores = {name: w.abs() for name, w in net.weights().items()}\n"
GLOBAL = 'return Masks(keep_top(scores, sparsity, "global", within=net.masks))'


def test_a_method_of_somebody_else_is_found_and_run(plugin: Callable[[str], str], root: Path, tiny: Run) -> None:
    table = plugin(RIGHT + GLOBAL)
    rows = by_trial(done(root, TINY + table))
    for sparsity in ("0.5", "0.8"):  # the same masks as the built-in method's, so the same numbers
        ours, theirs = rows[f"wrong-{sparsity}-s0"], by_trial(tiny)[f"global-unstructured-{sparsity}-s0"]
        assert (ours["top1"], ours["loss"]) == (theirs["top1"], theirs["loss"])


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('raise RuntimeError("no luck today")', "RuntimeError: no luck today"),
        ("net.model.linear.weight.data.zero_()\n" + RIGHT + GLOBAL, "changed the net"),
        ("net.model.bn1.running_mean.add_(1)\n" + RIGHT + GLOBAL, "changed the net"),
        ("return Masks({})", "and removed 0.0000% of the weights"),
        (RIGHT + "return Masks({name: s > -1 for name, s in scores.items()})", "and removed 0.0000% of the weights"),
        (RIGHT + 'return Masks(keep_top(scores, sparsity / 2, "global"))', "and removed"),
        (RIGHT + 'return Masks({"nowhere": next(iter(scores.values())) > 0})', "the mask of nowhere does not fit"),
        ("return None", "NoneType"),
        (RIGHT + 'return keep_top(scores, sparsity, "global")', "dict"),
    ],
    ids=[
        "raises", "changes weights", "changes statistics", "no masks", "masks that keep all", "half of what is asked",
        "unknown layer", "nothing", "no edit",
    ],
)  # fmt: skip
def test_a_method_that_does_wrong_fails_its_trials_and_no_others(
    plugin: Callable[[str], str], root: Path, tiny: Run, body: str, said: str
) -> None:
    run = begin(root, TINY + plugin(body) + MASKS)
    assert execute(run, "cpu", never) == 3
    rows = by_trial(run)
    for sparsity in ("0.5", "0.8"):
        wrong = rows[f"wrong-{sparsity}-s0"]
        assert (wrong["status"], wrong["top1"]) == ("failed", "")
        assert said in wrong["error"]
        right = {**rows[f"global-unstructured-{sparsity}-s0"], "seconds": ""}
        assert right == {**by_trial(tiny)[f"global-unstructured-{sparsity}-s0"], "seconds": ""}
    status = run.status()
    assert status is not None
    assert (status.state, status.done, status.failed) == ("done", 3, 2)
    logged = [event.message for event in run.tail().read() if isinstance(event, events.Log) and event.level == "error"]
    assert len(logged) == 2
    assert "Traceback" in (run.folder / "worker.log").read_text()


def test_a_method_that_scribbles_on_the_masks_in_force_cannot_bring_back_weights(
    plugin: Callable[[str], str], tmp_path: Path
) -> None:
    body = (
        "scores = {name: w.abs() if not net.masks else -w.abs() for name, w in net.weights().items()}\n"
        "for mask in net.masks.values():\n    mask.fill_(True)\n"
        'return Masks(keep_top(scores, sparsity, "global"))'
    )
    run = begin(tmp_path, TINY.replace("[0.5, 0.8]", '[0.5, 0.8]\nschedule = "iterative"') + plugin(body))
    assert execute(run, "cpu", never) == 3
    rows = by_trial(run)
    assert (rows["wrong-iterative-0.5-s0"]["status"], rows["wrong-iterative-0.8-s0"]["status"]) == ("done", "failed")
    assert "brings back" in rows["wrong-iterative-0.8-s0"]["error"]


def test_a_level_after_one_that_failed_is_not_tried_but_told_why(plugin: Callable[[str], str], tmp_path: Path) -> None:
    body = (
        RIGHT
        + 'assert sparsity != 0.5, "not at this level"\nreturn Masks(keep_top(scores, sparsity, "global", net.masks))'
    )
    study = TINY.replace("[0.5, 0.8]", '[0.3, 0.5, 0.8]\nschedule = "iterative"')
    run = begin(tmp_path, study + plugin(body))
    assert execute(run, "cpu", never) == 3
    rows = by_trial(run)
    assert [rows[f"wrong-iterative-{level}-s0"]["status"] for level in (0.3, 0.5, 0.8)] == ["done", "failed", "failed"]
    assert "not at this level" in rows["wrong-iterative-0.5-s0"]["error"]
    assert "not at this level" in rows["wrong-iterative-0.8-s0"]["error"]


def test_a_target_that_cannot_be_reached_fails_its_trial_in_words(tmp_path: Path) -> None:
    run = begin(tmp_path, TINY.replace("[0.5, 0.8]", "[0.5, 0.9]") + CHANNELS, "model.shortcut=A", "model.width=2")
    assert execute(run, "cpu", never) == 3
    rows = by_trial(run)
    assert rows["l1-structured-0.5-s0"]["status"] == "done"
    assert rows["l1-structured-0.9-s0"]["error"].startswith("cannot remove 90.00% of the weights: the nearest is")


def test_a_training_that_diverges_fails_every_trial_that_needs_it(tmp_path: Path) -> None:
    run = begin(
        tmp_path, TINY + MASKS, "train.lr=100", "train.weight_decay=1.0", "train.batch_size=8", "train.epochs=3"
    )
    assert execute(run, "cpu", never) == 1
    assert {row["status"] for row in run.rows()} == {"failed"}
    assert all("the loss became nan" in row["error"] and "lower lr than 100" in row["error"] for row in run.rows())
    status = run.status()
    assert status is not None
    assert status.state == "failed"


def test_a_diverging_recovery_never_becomes_a_finished_row(tmp_path: Path) -> None:
    run = begin(
        tmp_path, TINY + MASKS, "finetune.lr=100", "finetune.weight_decay=1.0", "finetune.batch_size=8",
        "finetune.epochs=3",
    )  # fmt: skip
    assert execute(run, "cpu", never) == 1
    assert all(row["status"] == "failed" and row["top1"] == "" for row in run.rows())


# Interruptions ----------------------------------------------------------------------------------------


def test_a_run_that_is_stopped_again_and_again_ends_as_one_that_never_was(tmp_path: Path, tiny: Run) -> None:
    run = begin(tmp_path, TINY + MASKS + CHANNELS)
    codes = []
    for patience in (0, 1, 3, 7, 13, 14, 29, 31, 50, 10_000):
        left = iter(range(patience))
        codes.append(execute(run, "cpu", lambda left=left: next(left, None) is None))
    assert codes[:4] == [130] * 4
    assert codes[-1] == 0
    assert results(run) == results(tiny)
    computed = Counter(step.key for step in steps(run, cached=False))
    assert max(computed.values()) == 1
    epochs = Counter((e.key, e.epoch) for e in run.tail().read() if isinstance(e, events.EpochFinished))
    assert max(epochs.values()) == 1


def test_a_finished_run_that_is_executed_again_has_nothing_to_do(tmp_path: Path) -> None:
    run = done(tmp_path, TINY + MASKS, "sparsities=0.5")
    before = run.rows()
    assert execute(run, "cpu", never) == 0
    assert run.rows() == before


def test_failed_trials_are_tried_again_when_a_run_is_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = begin(tmp_path, TINY + MASKS)
    from prunetui.steps import Prune

    with monkeypatch.context() as patched:
        patched.setattr(Prune, "apply", unlucky)
        assert execute(run, "cpu", never) == 3
    assert [row["status"] for row in run.rows()] == ["done", "failed", "failed"]
    assert execute(run, "cpu", never) == 0
    assert [(row["status"], row["error"]) for row in run.rows()] == [("done", "")] * 3


def unlucky(*_: object) -> None:
    raise MemoryError("not today")


@pytest.mark.parametrize("written", [0, 9])
def test_a_full_disk_ends_the_run_with_a_folder_that_can_be_read_and_resumed(
    written: int, tmp_path: Path, tiny: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = begin(tmp_path, TINY + MASKS + CHANNELS)
    put, calls = Cache.put, []

    def full(self: Cache, key: str, meta: Mapping[str, Any], files: Mapping[str, bytes] | None = None) -> None:
        calls.append(key)
        if len(calls) > written:
            raise OSError(errno.ENOSPC, "No space left on device", key)
        put(self, key, meta, files)

    with monkeypatch.context() as patched:
        patched.setattr(Cache, "put", full)
        with pytest.raises(RunFailed, match=r"the disk is full .* the run can be resumed") as caught:
            execute(run, "cpu", never)
    assert caught.value.exit_code == 1
    assert len(calls) == written + 1  # the next trial is not tried on a full disk
    status = run.status()
    assert status is not None
    assert (status.state, "disk is full" in status.message) == ("failed", True)
    assert {row["status"] for row in run.rows()} <= {"done"}
    assert len(run.tail().read()) == len(run.tail().lines())

    assert execute(run, "cpu", never) == 0
    assert results(run) == results(tiny)


def test_a_run_without_its_study_is_refused_in_words(tmp_path: Path) -> None:
    run = begin(tmp_path, TINY + MASKS)
    (run.folder / "study.toml").unlink()
    with pytest.raises(UsageError):
        execute(run, "cpu", never)


def test_a_device_that_is_not_there_is_refused_and_the_run_says_so(tmp_path: Path) -> None:
    run = begin(tmp_path, TINY + MASKS)
    with pytest.raises(UsageError, match="the device cuda:99 is not there"):
        execute(run, "cuda:99", never)
    status = run.status()
    assert status is not None
    assert (status.state, "cuda:99" in status.message) == ("failed", True)
