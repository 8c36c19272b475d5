"""Runs from elsewhere: whatever is in their files, they are listed, shown, reported and packed, or refused in words."""

from __future__ import annotations

import contextlib
import io
import json
import random
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from prunetui import events
from prunetui.cli.list_runs import print_runs
from prunetui.cli.pack_run import export_runs
from prunetui.cli.run_study import resumed
from prunetui.cli.show_run import print_run
from prunetui.errors import PrunetuiError
from prunetui.report.gather import gather
from prunetui.report.kept_layers import read_packed
from prunetui.report.write_report import made
from prunetui.store import Cache, Run
from prunetui.store.control import Control
from prunetui.store.queue import Queue
from prunetui.terminal.output import say
from prunetui.tui.run_look import RunLook
from prunetui.tui.runs_look import RunsLook
from prunetui.tui.screens.compare.compare_look import CompareLook
from prunetui.tui.screens.compare.comparison_table import _line_columns
from prunetui.tui.screens.configure.draft_checks import begin
from prunetui.tui.screens.live import headlines
from prunetui.tui.screens.results.results_look import ResultsLook
from prunetui.tui.screens.runs.runs_table import Runs
from prunetui.tui.screens.trial.trial_numbers import numbers
from prunetui.tui.widgets.trials_table import trial_columns
from tests.fuzz.mutations import EVIL, copied, damage
from tests.tui.fakes import NOW, failed_row, fake_row, fake_run, layer_rows, study_rows, training

Bounded = Callable[[], AbstractContextManager[None]]
RAW = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
PAGES = 25
"""One case in so many is drawn as a page, too, which takes half a second."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs with every file that there can be: one that was interrupted, a sensitivity study, a pack."""
    root = tmp_path_factory.mktemp("whole")
    told = [events.RunStarted("x", "cpu", False), events.Planned(5, 0, 9, 900), *training("taylor-0.5-s0")]
    told += [events.Progress("k2", 5, 9, 1, 2, 30.5, 0.4, 0.1), events.Log("warning", "a word")]
    told += [events.TrialFinished("taylor-0.5-s0", "done", fake_row()), events.RunFinished("interrupted", "stopped")]
    rows = [*study_rows((0, 1)), failed_row("taylor", "it broke\nbadly", label=EVIL.replace("\ud800", ""))]
    first = fake_run(root, "first", state="interrupted", rows=rows, told=told)
    fake_run(root, "layers", rows=layer_rows(), told=told[:3])
    for run in (first, Run(root / "20240101-000000-layers")):
        run.write_environment({"device": "cpu", "versions": {"torch": "2"}, "command": ["x", "--batch"], "threads": 2})
        (run.folder / "worker.log").write_text("a line\n", encoding="utf-8")
    kept = {"name": "conv1", "shape": [4, 1, 3, 3], "nonzero": 20, "outputs": 4, "dense": [8, 1, 3, 3]}
    (first.folder / "layers.json").write_text(json.dumps({"taylor-0.5-s0": [kept]}), encoding="utf-8")
    Control(first).ask(pause=True, skip=("taylor-0.9-s0",))
    Queue(root).add(first.id)
    Cache(root / ".cache").put("ab" * 16, {"seconds": 1.0, "momentum": False}, {"state": b"x"})
    made(gather(root, [first.id]), "svg")  # fonts are looked for once, which may take longer than all cases
    return root


def files_of(root: Path) -> list[Path]:
    """Every file of the folder that a view reads."""
    return sorted(path for path in root.rglob("*") if path.is_file() and path.suffix not in ("", ".lock"))


@contextlib.contextmanager
def printed() -> Iterator[None]:
    """What is printed must be harmless."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        yield
    assert not RAW.search(out.getvalue()), RAW.search(out.getvalue())


def in_words(do: Callable[[], Any]) -> Any:
    """What it gives, or None where it is refused in words."""
    try:
        return do()
    except PrunetuiError as error:
        say(error.told().replace("\n  | ", " "), err=True)
        return None


def commands(root: Path, ids: list[str], pages: bool, packs: Path) -> None:
    """Everything a user can ask of runs without a screen."""
    for as_json in (False, True):
        in_words(lambda a=as_json: print_runs(root, a))
        for run in ids:
            in_words(lambda r=run, a=as_json: print_run(root, r, a))
    material = in_words(lambda: gather(root, ids))
    if material is not None:
        for kind in ("md", "csv", "json", *(["html", "svg"] if pages else [])):
            content = in_words(lambda k=kind: made(material, k))
            assert content is None or not RAW.search(content.decode())
    for run in ids:
        in_words(lambda r=run: resumed(root, r, None, [], trust=False))
        in_words(lambda r=run: export_runs(root, [r], packs))
        in_words(lambda r=run: begin(r, root))


def screens(root: Path, ids: list[str]) -> None:
    """Everything that the screens read, and what they say of it."""
    entries = RunsLook(root)()
    for column in Runs(lambda: NOW, True).columns:
        [(str(column.cell(entry)), column.order(entry)) for entry in entries]
        sorted(entries, key=column.order)
    for run in ids:
        view = RunLook(Run(root / run))()
        headlines.title(view, entries), headlines.overall(view, 100, True), headlines.step(view, 100, True)
        [headlines.training(curve, view.metrics.primary) for curve in view.curves.values() if curve.epochs]
        results = ResultsLook(Run(root / run))()
        results.why_empty()
        for column in trial_columns(results.view.metrics):
            [str(column.cell(row)) for row in results.view.rows]
            sorted(results.view.rows, key=column.order)
        [numbers(row, {}, results.view.metrics) for row in results.view.rows]
        read_packed(root / run)
    compared = CompareLook(root, ids)()
    for column in _line_columns(compared.metrics):
        [str(column.cell(line)) for line in compared.lines]
    Queue(root).read()


def one_case(whole: Path, target: Path, seed: int, bounded: Bounded) -> None:
    """Damage one file, or two, and ask for everything."""
    chance = random.Random(seed)
    root = copied(whole, target / "runs")
    ids = sorted(path.name for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    done = [damage(path, chance) for path in chance.sample(files_of(root), chance.choice((1, 1, 2)))]
    try:
        with bounded(), printed():
            commands(root, ids, seed % PAGES == 0, target / f"packs{seed}")
            screens(root, ids)
    except BaseException as error:
        error.args = (f"seed {seed}, {'; '.join(done)}: {type(error).__name__}: {error}",)
        raise


def test_the_whole_folder_can_be_read(whole: Path, tmp_path: Path, bounded: Bounded):
    root = copied(whole, tmp_path / "runs")
    ids = ["20240101-000000-first", "20240101-000000-layers"]
    with bounded(), printed():
        commands(root, ids, True, tmp_path / "packs")
        screens(root, ids)
    assert len(files_of(root)) >= 13
    assert (tmp_path / "packs" / ids[0] / "layers.json").is_file()


def test_damaged_runs_are_read_or_refused_in_words(whole: Path, tmp_path: Path, bounded: Bounded):
    for seed in range(30):
        one_case(whole, tmp_path, seed, bounded)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_five_thousand_damaged_runs(whole: Path, tmp_path: Path, bounded: Bounded):
    for seed in range(5000):
        one_case(whole, tmp_path, seed, bounded)
