"""Studies of a checkpoint: nothing is trained unasked, width and shortcut follow, its own zeros stay and count."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from prunetui import events
from prunetui.cli.measure_checkpoint import evaluate_checkpoint
from prunetui.config import load_study, parse_study, study_toml
from prunetui.engine.models import Architecture
from prunetui.errors import UsageError
from prunetui.execute.execution import execute
from prunetui.store import Run, Status, create_run
from prunetui.tui.screens.configure.draft_checks import give_way
from prunetui.tui.screens.configure.study_draft import Draft

ARCHITECTURE = Architecture("resnet20", 1, 8, 10, "A", 4)
STUDY = """
sparsities = [0.5, 0.9]
[data]
name = "digits"
limit = 150
[finetune]
epochs = 1
batch_size = 32
lr = 0.05
[measure]
recalibrate = 32
calibrate = 32
latency = false
loss = false
"""
Tensors = dict[str, Tensor]


def weights_of(tensors: Tensors) -> list[str]:
    return [name for name, tensor in tensors.items() if tensor.dim() in (2, 4)]


def with_zeros(tensors: Tensors, share: float) -> Tensors:
    """The smallest weights of every layer are zero."""
    found = dict(tensors)
    for name in weights_of(tensors):
        least = tensors[name].abs().flatten().kthvalue(int(share * tensors[name].numel())).values
        found[name] = torch.where(tensors[name].abs() > least, tensors[name], 0)
    return found


@pytest.fixture
def dense(lively: Callable[..., Any], tmp_path: Path) -> Path:
    path = tmp_path / "dense.pt"
    torch.save({"state_dict": dict(lively(ARCHITECTURE).tensors)}, path)
    return path


@pytest.fixture
def sparse(lively: Callable[..., Any], tmp_path: Path) -> Path:
    path = tmp_path / "sparse.pt"
    torch.save({"state_dict": with_zeros(dict(lively(ARCHITECTURE).tensors), 0.8)}, path)
    return path


def done(root: Path, checkpoint: Path, methods: str, *overrides: str) -> Run:
    text = "".join(f"[[methods]]\n{method}\n" for method in methods.split("; "))
    study = parse_study(STUDY + text, [f"model.checkpoint={checkpoint}", *overrides])
    run = create_run(root / "runs", study_toml(study), Status(state="queued", name=study.name))
    assert execute(run, "cpu", lambda: False, executor="inline") == 0, [row["error"] for row in run.rows()]
    return run


def rows_of(run: Run) -> dict[str, dict[str, str]]:
    return {row["trial"]: row for row in run.rows()}


def logs(run: Run) -> list[str]:
    return [event.message for event in run.tail().read() if isinstance(event, events.Log)]


def trained(run: Run) -> int:
    return sum(isinstance(e, events.StepFinished) and e.step == "Train" for e in run.tail().read())


# What is trained, and what is built ---------------------------------------------------------------


@pytest.mark.parametrize("given", ["quickstart", "cifar10-resnet20"])
def test_a_presets_dense_network_gives_way_to_a_checkpoint(dense: Path, given: str) -> None:
    study = load_study(given, [f"model.checkpoint={dense}", "finetune.epochs=0"])
    assert (study.train.epochs, study.model.width, study.model.shortcut) == (0, None, None)
    assert "\nepochs = 0\n" in study_toml(study).partition("[train]")[2].partition("[")[0]
    assert parse_study(study_toml(study)) == study or study_toml(parse_study(study_toml(study))) == study_toml(study)


def test_what_is_asked_for_beside_a_checkpoint_holds(dense: Path, tmp_path: Path) -> None:
    asked = ["train.epochs=3", "model.width=4", "model.shortcut=A"]
    study = load_study("quickstart", [f"model.checkpoint={dense}", *asked])
    assert (study.train.epochs, study.model.width, study.model.shortcut) == (3, 4, "A")
    own = tmp_path / "own.toml"
    own.write_text("[train]\nepochs = 7\n[model]\nwidth = 4\n")
    written = load_study(str(own), [f"model.checkpoint={dense}"])
    assert (written.train.epochs, written.model.width) == (7, 4)
    assert load_study("quickstart", ["finetune.epochs=0"]).train.epochs == 25


def test_the_applications_form_gives_way_too(dense: Path) -> None:
    preset = Draft.read('[model]\nname = "resnet20"\nwidth = 8\n[train]\nepochs = 25\nlr = 0.2\n')
    draft = Draft(preset.data)
    assert give_way(draft, preset) == []
    draft.set(("model", "checkpoint"), str(dense))
    assert give_way(draft, preset) == [("train", "epochs"), ("model", "width")]
    assert parse_study(draft.toml()).train.epochs == 0
    draft.set(("train", "epochs"), 3)
    assert give_way(draft, preset) == []
    assert parse_study(draft.toml()).train.epochs == 3


def test_the_default_study_prunes_a_checkpoint_without_training(dense: Path, tmp_path: Path) -> None:
    overrides = [f"model.checkpoint={dense}", "finetune.epochs=0", "data.limit=150", "sparsities=[0.5]"]
    study = load_study("quickstart", [*overrides, "measure.latency=false"])
    run = create_run(tmp_path / "runs", study_toml(study), Status(state="queued", name=study.name))
    assert execute(run, "cpu", lambda: False, executor="inline") == 0
    assert trained(run) == 0
    row = rows_of(run)["dense-0ep-s0"]
    assert int(row["params"]) == sum(t.numel() for n, t in torch.load(dense)["state_dict"].items() if counted(n))


def test_a_checkpoint_that_is_trained_on_because_the_study_says_so_is_told(dense: Path, tmp_path: Path) -> None:
    for epochs, told in ((1, ["[train] epochs = 1 asked for: the checkpoint is trained on"]), (0, [])):
        overrides = ["sparsities=[0.5]", "finetune.epochs=0", f"train.epochs={epochs}"]
        run = done(tmp_path / str(epochs), dense, "name='l1-unstructured'", *overrides)
        assert [line for line in logs(run) if "[train] epochs" in line] == told
        assert trained(run) == epochs


def counted(name: str) -> bool:
    return not name.endswith(("running_mean", "running_var", "num_batches_tracked"))


def test_another_width_than_the_checkpoints_fails_the_run_in_words(dense: Path, tmp_path: Path) -> None:
    study = parse_study(STUDY, [f"model.checkpoint={dense}", "model.width=8"])
    run = create_run(tmp_path / "runs", study_toml(study), Status(state="queued", name=study.name))
    with pytest.raises(UsageError, match=r"model\.width = 8, the checkpoint's is 4: leave it out"):
        execute(run, "cpu", lambda: False, executor="inline")


# Its own zeros ------------------------------------------------------------------------------------


def nonzero(run: Run, trial: str) -> float:
    """The share of the prunable weights of a saved network that is zero, counted here."""
    from safetensors.torch import load_file

    tensors = load_file(run.models / f"{trial}.safetensors")
    names = weights_of(tensors)[1:-1]
    return sum(int((tensors[n] == 0).sum()) for n in names) / sum(tensors[n].numel() for n in names)


def test_zeros_stay_through_recovery_and_a_target_below_them_is_reached_already(sparse: Path, tmp_path: Path) -> None:
    run = done(tmp_path, sparse, "name='global-unstructured'; name='l1-unstructured'")
    rows = rows_of(run)
    for trial, row in rows.items():
        wanted = 0.9 if "-0.9-" in trial else 0.8
        assert float(row["sparsity"]) == pytest.approx(wanted, abs=0.005), trial
        assert nonzero(run, trial) == pytest.approx(float(row["sparsity"]), abs=1e-6), trial
    assert int(rows["dense-1ep-s0"]["params_nonzero"]) < 0.3 * int(rows["dense-1ep-s0"]["params"])
    below = rows["global-unstructured-0.5-s0"]
    assert (below["status"], below["error"]) == ("done", "")
    assert below["note"].startswith("reached already: 79.96%")
    assert rows["global-unstructured-0.9-s0"]["note"] == ""
    told = logs(run)
    assert sum("weights of the checkpoint are zero" in line for line in told) == 1
    assert sum(line.startswith("global-unstructured-0.5-s0: reached already") for line in told) == 1


def test_zeros_that_may_grow_are_counted_as_they_are(sparse: Path, tmp_path: Path) -> None:
    run = done(tmp_path, sparse, "name='global-unstructured'", "model.keep_zeros=false", "sparsities=[0.5]")
    row = rows_of(run)["global-unstructured-0.5-s0"]
    assert float(row["sparsity"]) == pytest.approx(0.5, abs=0.02)
    assert nonzero(run, row["trial"]) == pytest.approx(float(row["sparsity"]), abs=1e-6)
    assert not any("are zero" in line for line in logs(run))
    still = done(tmp_path, sparse, "name='global-unstructured'", "model.keep_zeros=false", "finetune.epochs=0")
    assert float(rows_of(still)["global-unstructured-0.5-s0"]["sparsity"]) == pytest.approx(0.8, abs=0.005)


def test_channels_are_removed_until_all_that_is_zero_or_gone_is_what_was_asked(sparse: Path, tmp_path: Path) -> None:
    run = done(tmp_path, sparse, "name='l1-structured'; name='random-structured'")
    rows = rows_of(run)
    for method in ("l1-structured", "random-structured"):
        below, above = rows[f"{method}-0.5-s0"], rows[f"{method}-0.9-s0"]
        assert below["note"].startswith("reached already")
        assert below["params"] == rows["dense-1ep-s0"]["params"]
        assert float(above["sparsity"]) == pytest.approx(0.9, abs=0.01)
        assert int(above["params"]) < int(below["params"])


def test_a_local_method_leaves_layers_that_have_more_zeros(lively: Callable[..., Any], tmp_path: Path) -> None:
    tensors = dict(lively(ARCHITECTURE).tensors)
    path = tmp_path / "uneven.pt"
    torch.save(
        {**with_zeros(tensors, 0.2), "layer1.0.conv1.weight": with_zeros(tensors, 0.95)["layer1.0.conv1.weight"]}, path
    )
    run = done(tmp_path, path, "name='l1-unstructured'", "sparsities=[0.5]", "finetune.epochs=0")
    row = rows_of(run)["l1-unstructured-0.5-s0"]
    assert 0.5 < float(row["sparsity"]) < 0.52
    assert row["note"] == ""


@pytest.mark.parametrize(
    ("method", "overrides"),
    [
        ("name='nm'", ["sparsities=[0.5]"]),
        ("name='global-unstructured'", ["schedule={name='iterative',steps=2}"]),
        ("name='global-unstructured'", ["schedule={name='gradual',steps=2}", "finetune.epochs=2"]),
        ("name='rigl'", ["train.epochs=1", "train.batch_size=32"]),
        ("name='hybrid'\nparts=['l1-structured', 'global-unstructured']", []),
    ],
    ids=["pattern", "iterative", "gradual", "dynamic", "hybrid"],
)
def test_every_kind_of_path_starts_from_the_zeros(
    sparse: Path, method: str, overrides: list[str], tmp_path: Path
) -> None:
    run = done(tmp_path, sparse, method, *overrides)
    for row in run.rows():
        assert float(row["sparsity"]) > 0.79
        if row["trial"].endswith("-0.9-s0"):
            assert float(row["sparsity"]) == pytest.approx(0.9, abs=0.01)


# evaluate -----------------------------------------------------------------------------------------


def test_evaluate_follows_the_checkpoint_and_says_what_it_took(dense: Path, capsys: pytest.CaptureFixture[str]) -> None:
    contents = torch.load(dense)
    torch.save({**contents, "model_ema": contents["state_dict"] | {"conv1.weight": torch.zeros(4, 1, 3, 3)}}, dense)
    evaluate_checkpoint(dense, "resnet20", "digits", ["data.limit=150"], "cpu", as_json=True)
    out, err = capsys.readouterr()
    assert '"top1"' in out
    assert 'took "state_dict", not "model_ema"' in err


def test_evaluate_refuses_nan(dense: Path) -> None:
    contents = torch.load(dense)["state_dict"]
    torch.save(contents | {"linear.bias": contents["linear.bias"] * torch.nan}, dense)
    with pytest.raises(UsageError, match=r"holds NaN, infinity .*: linear\.bias \(10 of 10\)"):
        evaluate_checkpoint(dense, "resnet20", "digits", ["data.limit=150"], "cpu", as_json=True)
