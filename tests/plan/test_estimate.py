"""What a study will take: counted on the plan, looked up in the cache, and timed by earlier runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from prunetui import events
from prunetui.config import DataTable, Recipe, Study, parse_study, study_toml
from prunetui.engine.data import load_dataset
from prunetui.plan import Latency, Measure, Prune, SplitSizes, Train, build_plan, measurements, step_key
from prunetui.plan.estimate import estimate, images_of
from prunetui.plan.history import Historian, History, Rate
from prunetui.plugins.catalogue import contribution
from prunetui.store import Cache, Run, Status, create_run
from prunetui.store.run_list import CACHE

CONTEXT = {"images": "abc", "checkpoint": None, "device": "cpu", "arithmetic": ["fp32", "fp32"], "torch": "2.15.0"}
TEXT = """
sparsities = [0.5, 0.9]
[model]
width = 4
[train]
epochs = 2
[finetune]
epochs = 1
[measure]
recalibrate = 0
latency = false
[[methods]]
name = "global-unstructured"
"""


def study(more: str = "") -> Study:
    return parse_study(more + TEXT)


def past_run(root: Path, of: Study, device: str = "cpu", rate: float = 100.0, context: Any = CONTEXT) -> Run:
    """A run that computed every kind of step: a training of 1000 images at ``rate`` and prunings of 0.5 s."""
    status = Status("done", data=of.data.name, model=of.model.name, started=1.0)
    run = create_run(root, study_toml(of), status)
    run.write_environment({"device": device, **({"context": context} if context else {})})
    with run.appender() as emit:
        emit(events.StepFinished("a", "Train", 1000 / rate, cached=False, work=1000))
        emit(events.StepFinished("b", "Train", 999.0, cached=True, work=5))
        emit(events.StepFinished("c", "Measure", 100 / rate, cached=False, work=100))
        emit(events.StepFinished("d", "Prune", 0.5, cached=False, work=0))
    run.write_rows([{"trial": "dense", "status": "done", "bytes": 1000}, {"trial": "x", "status": "failed"}])
    return run


# Counting -----------------------------------------------------------------------------------------


def test_the_steps_of_a_small_study_by_hand(tmp_path):
    plan = estimate(study(), tmp_path, History())
    # load, train; dense measured, dense recovered, measured twice (test, validation); and for each of 2 values:
    # prune, recover, measured right after the edit, at the end, and on the validation split
    assert plan.steps == 2 + 1 + 3 + 2 * 5
    assert len(plan.trials) == 3
    # load, train, and the measurements of the dense net, of its control: needed by all three
    assert plan.shared == 2 + 1 + 2
    assert [row.steps for row in plan.trials] == [6, 10, 10]
    assert plan.left is None
    assert plan.found is None
    assert [row.left for row in plan.trials] == [None] * 3


def test_what_is_in_the_cache_is_found_under_the_context_of_an_earlier_run(tmp_path):
    asked = study()
    past_run(tmp_path, asked)
    past = Historian(tmp_path)(asked, "auto")
    assert past.context == CONTEXT
    assert estimate(asked, tmp_path, past).found == 0
    cache, tree = Cache(tmp_path / CACHE), build_plan(asked, CONTEXT)
    trial = tree.trials[-1]
    for key, step in measurements(asked, trial).values():
        cache.put(step_key(key, step), {"seconds": 1})
    cache.put(trial.after, {"seconds": 1})
    plan = estimate(asked, tmp_path, past)
    assert plan.trials[-1].left == 0
    # the states on the way are still needed by the other two trials, but for the prune step itself; the dense net
    # and the control are measured, the control is not kept
    assert plan.left == plan.steps - 5 - 2


def test_a_state_without_the_momentum_that_is_needed_is_not_there(tmp_path):
    longer = parse_study("schedule = 'gradual'\n" + TEXT.replace("[finetune]\nepochs = 1", "[finetune]\nepochs = 4"))
    tree = build_plan(longer, CONTEXT)
    carried = next(iter(tree.carrying()))
    cache = Cache(tmp_path / CACHE)
    cache.put(carried, {"seconds": 1})
    without = estimate(longer, tmp_path, History(CONTEXT)).left
    cache.drop(carried)
    cache.put(carried, {"seconds": 1, "momentum": True})
    assert estimate(longer, tmp_path, History(CONTEXT)).left < without


def test_a_sensitivity_study_has_no_trials_before_the_network_is_known(tmp_path):
    plan = estimate(study("kind = 'sensitivity'\n"), tmp_path, History())
    assert plan.trials == ()
    assert plan.seconds is None
    assert plan.bytes is None


# Images -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("more", [{}, {"validation": 0.0}, {"limit": 203}, {"limit": 500, "validation": 0.25}])
def test_the_images_of_digits_are_counted_as_the_engine_counts_them(more):
    data = DataTable(**more)
    real = load_dataset(data)
    assert images_of(data) == SplitSizes(len(real.train), len(real.validation), len(real.test))


def test_the_images_of_public_data_sets():
    assert sum(contribution("data", "digits").given["images"]) == 1797
    assert images_of(DataTable(name="cifar10", validation=0.1)) == SplitSizes(45_000, 5_000, 10_000)
    assert images_of(DataTable(name="svhn", validation=0.0)) == SplitSizes(73_257, 0, 26_032)
    assert images_of(DataTable(name="fashion-mnist", limit=100, validation=0.1)) == SplitSizes(90, 10, 100)


def test_the_images_of_a_folder_are_its_files(tmp_path):
    for split, count in (("train", 5), ("val", 2)):
        for name in ("cat", "dog"):
            folder = tmp_path / split / name
            folder.mkdir(parents=True)
            for i in range(count):
                (folder / f"{i}.PNG").touch()
            (folder / "notes.txt").touch()
    assert images_of(DataTable(name="folder", root=str(tmp_path), validation=0.1)) == SplitSizes(9, 1, 4)
    assert images_of(DataTable(name="folder", root=str(tmp_path / "none"))) is None


# History ------------------------------------------------------------------------------------------


def test_nothing_is_guessed_without_a_run_of_the_model(tmp_path):
    asked = study()
    past_run(tmp_path, parse_study(study_toml(asked).replace("width = 4", "width = 8")))
    past_run(tmp_path, parse_study(study_toml(asked).replace('name = "resnet20"', 'name = "vgg11"')))
    assert Historian(tmp_path)(asked, "auto") == History()
    plan = estimate(asked, tmp_path, History())
    assert plan.seconds is None
    assert plan.bytes is None


def test_the_time_is_the_work_by_the_rate_of_its_kind(tmp_path):
    asked = study()
    past_run(tmp_path, asked)
    past = Historian(tmp_path)(asked, "cpu")
    assert past.rates == {"Train": Rate(1000, 10, 1), "Measure": Rate(100, 1, 1), "Prune": Rate(0, 0.5, 1)}
    plan = estimate(asked, tmp_path, past)
    trained = 3 * 1293 * (2 + 1 + 2 * 1)  # dense, its control, two recoveries; 1437 images less 144 held out
    measured = 360 * (1 + 1 + 2 * 2) + 144 * 3
    assert plan.seconds == pytest.approx((trained + measured) / 100 + 2 * 0.5)


def test_a_kind_that_was_never_seen_takes_the_rate_of_all(tmp_path):
    asked = study()
    rates = {"Train": Rate(300, 3, 1)}
    plan = estimate(asked, tmp_path, History(None, rates))
    sizes = [3 * 1293 * 5, 360 * 6 + 144 * 3, 2 * 512]  # trained, measured, seen by the prune steps
    assert plan.seconds == pytest.approx(sum(sizes) / 100)


def test_the_newest_three_runs_on_the_same_kind_of_device_count(tmp_path, monkeypatch):
    asked = study()
    for second, rate in enumerate((1.0, 100.0, 100.0, 100.0)):
        monkeypatch.setattr("time.time", lambda second=second: 1_000_000_000.0 + second)
        past_run(tmp_path, asked, rate=rate)
    monkeypatch.setattr("time.time", lambda: 1_000_000_100.0)
    past_run(tmp_path, asked, device="cuda:0", rate=10_000.0)
    past = Historian(tmp_path)(asked, "cpu")
    assert len(past.runs) == 3
    assert past.rates["Train"] == Rate(3000, 30, 3)
    assert len(Historian(tmp_path)(asked, "cuda").runs) == 1
    assert Historian(tmp_path)(asked, "auto").runs[0].startswith("20010909-014820")


@pytest.mark.parametrize("change", ["[data]\nlimit = 100", "[data]\nvalidation = 0.2", "[data]\naugment = 'none'"])
def test_other_images_have_other_keys_but_the_same_speed(tmp_path, change):
    asked = parse_study(f"{change}\n{TEXT}".replace("sparsities = [0.5, 0.9]\n", ""))
    past_run(tmp_path, study())
    past = Historian(tmp_path)(asked, "auto")
    assert past.context is None
    assert past.rates


def test_where_the_data_lies_does_not_matter_and_a_broken_run_tells_nothing(tmp_path):
    asked = study()
    past_run(tmp_path, asked)
    broken = past_run(tmp_path, asked)
    (broken.folder / "environment.json").write_text("{")
    older = past_run(tmp_path, asked, context=None)
    assert json.loads((older.folder / "environment.json").read_text()) == {"device": "cpu"}
    elsewhere = parse_study("[data]\nroot = '/elsewhere'\n" + TEXT.replace("sparsities = [0.5, 0.9]\n", ""))
    past = Historian(tmp_path)(elsewhere, "auto")
    assert past.context == CONTEXT
    assert broken.id not in past.runs


def test_the_disk_holds_the_states_that_stay(tmp_path):
    plan = estimate(study(), tmp_path, History(model_bytes=1000))
    # load and the dense net (shared), its control, and the last state of two trials; prune steps go
    assert plan.bytes == 5000


def test_a_checkpoint_is_hashed_as_it_is_now(tmp_path):
    weights = tmp_path / "net.pt"
    weights.write_bytes(b"one")
    asked = parse_study(f'[model]\ncheckpoint = "{weights}"\n')
    first = estimate(asked, tmp_path, History(CONTEXT))
    assert first.found == 0
    cache = Cache(tmp_path / CACHE)
    for node in build_plan(asked, {**CONTEXT, "checkpoint": _sha(b"one")}).nodes.values():
        cache.put(node.key, {"seconds": 1, "momentum": True})
    assert estimate(asked, tmp_path, History(CONTEXT)).left == 0
    weights.write_bytes(b"two")
    assert estimate(asked, tmp_path, History(CONTEXT)).found == 0


def _sha(data: bytes) -> str:
    import hashlib

    return hashlib.sha256(data).hexdigest()


def test_the_sizes_of_steps():
    images = SplitSizes(1000, 100, 200)
    assert Train(Recipe(epochs=5), first=2).work(images) == 3 * 3 * 1000
    assert [Measure(split, 10).work(images) for split in ("test", "validation")] == [200, 100]
    assert Prune("x", {}, "", "sparsity", 0.5, 1.0, 5000).work(images) == 1000
    assert Latency((1, 128)).work(images) == 0
