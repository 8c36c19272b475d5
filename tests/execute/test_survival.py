"""Real processes that are killed, interrupted and resumed: nothing is lost, nothing is computed twice."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

import prunetui
from prunetui import events
from prunetui.engine.partial import read_partial
from prunetui.store import Run, find_run
from prunetui.store.partial_files import PartialFiles

STUDY = """
name = "survivor"
sparsities = [0.5, 0.8]
schedule = "iterative"
[data]
name = "digits"
limit = 150
[model]
name = "vgg11"
width = 4
[train]
epochs = 4
batch_size = 16
[finetune]
epochs = 2
batch_size = 16
[measure]
recalibrate = 64
latency = false
[[methods]]
name = "global-unstructured"
[[methods]]
name = "l1-structured"
"""
PATIENCE = 120
"""Seconds after which a process that shows no sign of life is a failure and not a slow machine."""


class Batch:
    """One execution of ``prunetui --batch`` in a process of its own."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.root = folder / "runs"
        code = Path(prunetui.__file__).resolve().parents[1]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "prunetui", "--batch", "--runs", str(self.root), "--device", "cpu", *arguments],
            cwd=folder,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join([str(code), os.environ.get("PYTHONPATH", "")]),
                "OMP_NUM_THREADS": "1",
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def until(self, reached: Callable[[], bool]) -> bool:
        """Wait until something is so; False if the process ended before."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if reached():
                return True
            if self.process.poll() is not None:
                return reached()
            time.sleep(0.002)
        raise TimeoutError("the process shows no sign of life")

    def end(self) -> tuple[int, str, str]:
        """Exit code, stdout and stderr."""
        out, err = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, out, err

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate(timeout=PATIENCE)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Batch]]:
    """Start a process in the test's folder, or in one of it; none outlives the test."""
    started: list[Batch] = []

    def begin(*arguments: str, folder: str = ".") -> Batch:
        study = tmp_path / folder / "study.toml"
        study.parent.mkdir(exist_ok=True)
        if not study.exists():
            study.write_text(STUDY)
        started.append(Batch(tmp_path / folder, *arguments))
        return started[-1]

    yield begin
    for batch in started:
        if batch.process.poll() is None:
            batch.kill()


@pytest.fixture(scope="module")
def unharmed(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, str]]:
    """The results of a run that nobody disturbed."""
    folder = tmp_path_factory.mktemp("unharmed")
    (folder / "study.toml").write_text(STUDY)
    batch = Batch(folder, "study.toml", "--quiet")
    code, out, err = batch.end()
    assert code == 0, err
    return results(Run(Path(out.strip())))


def results(run: Run) -> list[dict[str, str]]:
    """The rows without what a clock decides."""
    return [{k: v for k, v in row.items() if k != "seconds" and "latency" not in k} for row in run.rows()]


def the_run(root: Path) -> Run | None:
    folders = sorted(folder for folder in root.glob("2*") if (folder / "status.json").is_file())
    return Run(folders[0]) if folders else None


def told(root: Path, kind: type[events.Event] = events.Event) -> list[events.Event]:
    run = the_run(root)
    return [event for event in run.tail().read() if isinstance(event, kind)] if run else []


def assert_nothing_was_computed_twice(run: Run) -> None:
    computed = [e.key for e in run.tail().read() if isinstance(e, events.StepFinished) and not e.cached]
    assert computed
    assert [key for key, times in Counter(computed).items() if times > 1] == []


def killed_and_resumed(start: Callable[..., Batch], kills: int, seed: int) -> tuple[Run, int]:
    """Kill a run ``kills`` times at random moments, resuming it each time, then let it end."""
    chance = random.Random(seed)
    landed = 0
    batch = start("study.toml")
    for _ in range(kills):
        batch.until(lambda: len(told(batch.root, events.RunStarted)) > landed)  # noqa: B023 - called at once
        moment = len(told(batch.root)) + chance.randint(1, 60 // kills + 2)
        batch.until(lambda: len(told(batch.root)) >= moment)  # noqa: B023 - called at once
        time.sleep(chance.random() * 0.02)
        if batch.process.poll() is None:
            landed += 1
        batch.kill()
        batch = start("--resume", "last")
    code, _, err = batch.end()
    assert code == 0, err
    return find_run(batch.root, "last"), landed


def test_a_run_that_is_killed_at_random_moments_ends_with_the_same_results(
    start: Callable[..., Batch], unharmed: list[dict[str, str]]
) -> None:
    run, landed = killed_and_resumed(start, kills=3, seed=1)
    assert landed == 3
    assert results(run) == unharmed
    assert_nothing_was_computed_twice(run)
    status = run.status()
    assert status is not None
    assert (status.state, status.done, status.failed) == ("done", len(unharmed), 0)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [2, 3])
def test_ten_kills_change_nothing_either(
    start: Callable[..., Batch], unharmed: list[dict[str, str]], seed: int
) -> None:
    run, landed = killed_and_resumed(start, kills=10, seed=seed)
    assert landed >= 8
    assert results(run) == unharmed
    assert_nothing_was_computed_twice(run)


def computing(batch: Batch) -> list[psutil.Process]:
    """The processes that compute for a run: the children of its fork server."""
    try:
        return [child for server in psutil.Process(batch.process.pid).children() for child in server.children()]
    except psutil.NoSuchProcess:
        return []


def kill_some(batch: Batch, victims: str) -> bool:
    """Kill the run's own process, those that compute, or both at once; whether any was there."""
    doomed = computing(batch) if victims in ("child", "both") else []
    for process in doomed:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    if victims in ("owner", "both") and batch.process.poll() is None:
        doomed.append(batch.process)
        batch.process.kill()
    return bool(doomed)


def killed_in_turn(start: Callable[..., Batch], seed: int) -> tuple[Run, int]:
    """Kill owner, both and children in turn at random moments; a run that goes on without a child ends by itself.

    So children are killed last, for little is left to do then. How many of the kills found something to kill is
    returned with the run, which is then resumed until all of it is done.
    """
    chance = random.Random(seed)
    landed = 0
    folder = f"turn {seed}"
    batch = start("study.toml", folder=folder)
    for victims in ("owner", "both", "child"):
        begun = len(told(batch.root, events.RunStarted))
        batch.until(lambda: bool(told(batch.root, events.RunStarted)) and bool(computing(batch)))  # noqa: B023
        moment = len(told(batch.root)) + chance.randint(1, 12)
        batch.until(lambda: len(told(batch.root)) >= moment)  # noqa: B023 - called at once
        landed += kill_some(batch, victims)
        code, _, err = batch.end()
        assert code in (0, 3, -signal.SIGKILL), err
        assert "Traceback" not in err
        batch = start("--resume", "last", folder=folder)
        batch.until(lambda: len(told(batch.root, events.RunStarted)) > begun)  # noqa: B023 - called at once
    code, _, err = batch.end()
    while code == 3:  # trials whose process was killed are tried once again
        code, _, err = (batch := start("--resume", "last", folder=folder)).end()
    assert code == 0, err
    return find_run(batch.root, "last"), landed


def test_owner_and_children_are_killed_in_turn_and_the_results_are_the_same(
    start: Callable[..., Batch], unharmed: list[dict[str, str]]
) -> None:
    run, landed = killed_in_turn(start, seed=1)
    assert landed >= 2
    assert results(run) == unharmed


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_thirty_kills_of_owner_children_and_both_change_nothing(
    start: Callable[..., Batch], unharmed: list[dict[str, str]]
) -> None:
    landed, seed = 0, 2
    while landed < 30 and seed < 20:
        run, found = killed_in_turn(start, seed)
        assert results(run) == unharmed
        landed, seed = landed + found, seed + 1
    assert landed >= 30


def test_computing_processes_end_with_their_owner(start: Callable[..., Batch]) -> None:
    batch = start("study.toml", "--set", "train.epochs=400")
    batch.until(lambda: len(told(batch.root, events.EpochFinished)) >= 1)
    children = computing(batch)
    assert len(children) == 1
    batch.kill()
    gone, alive = psutil.wait_procs(children, timeout=10)
    assert (len(gone), alive) == (1, [])
    run = the_run(batch.root)
    assert run is not None
    assert "the run's own process has ended" in (run.folder / "worker.log").read_text()


SHAPED = (
    STUDY.partition("[[methods]]")[0].replace('schedule = "iterative"\n', "").replace("[0.5, 0.8]", "[0.6]")
    + """
[[methods]]
name = "rigl"
every = 3
[[methods]]
name = "movement"
epochs = 6
schedule = "lottery-ticket"
[[methods]]
name = "growing-reg"
epochs = 6
schedule = { name = "iterative", steps = 2 }
"""
)


@pytest.mark.slow
def test_a_run_whose_trainings_are_shaped_is_killed_in_each_and_ends_with_the_same_results(
    start: Callable[..., Batch], tmp_path: Path
) -> None:
    """Masks that have moved and what a method noted survive as weights and momentum do."""
    undisturbed = tmp_path / "undisturbed"
    for folder in (undisturbed, tmp_path):
        folder.mkdir(exist_ok=True)
        (folder / "study.toml").write_text(SHAPED)
    code, out, err = Batch(undisturbed, "study.toml", "--quiet").end()
    assert code == 0, err

    batch = start("study.toml")
    landed = 0
    for method in ("rigl", "movement", "growing-reg"):
        batch.until(lambda: trained(batch.root, f"shaped by {method}") >= 2)  # noqa: B023 - called at once
        landed += batch.process.poll() is None
        batch.kill()
        batch = start("--resume", "last")
    code, _, err = batch.end()
    assert code == 0, err
    run = find_run(batch.root, "last")
    assert landed == 3
    assert results(run) == results(Run(Path(out.strip())))
    assert len(results(run)) == 3 + 2  # a ticket and a dynamic method share their control
    assert_nothing_was_computed_twice(run)


def trained(root: Path, label: str) -> int:
    """How many epochs are finished of trainings with these words in their label."""
    keys = {e.key for e in told(root, events.StepStarted) if isinstance(e, events.StepStarted) and label in e.label}
    return sum(isinstance(e, events.EpochFinished) and e.key in keys for e in told(root))


def test_epochs_that_were_finished_before_a_kill_are_not_trained_again(start: Callable[..., Batch]) -> None:
    first = start("study.toml", "--set", "train.epochs=400")
    first.until(lambda: len(told(first.root, events.EpochFinished)) >= 5)
    first.kill()
    run = the_run(first.root)
    assert run is not None
    status = run.status()
    assert status is not None
    assert status.state == "died"
    assert status.message.startswith("its process was killed after ")
    assert status.message.endswith(", in the step 'train 400 epochs' of dense-2ep-s0")
    (partial,) = run.partial.glob("*.partial")
    data = PartialFiles(run.partial).load(partial.stem)
    assert data is not None
    saved = read_partial(data)[0]
    before = len(told(first.root))
    assert 4 <= saved < 400

    second = start("--resume", run.id)
    second.until(lambda: any(isinstance(e, events.EpochFinished) for e in told(second.root)[before:]))
    second.kill()
    resumed = [e for e in told(second.root)[before:] if isinstance(e, events.EpochFinished)]
    assert (resumed[0].key, resumed[0].epoch) == (partial.stem, saved + 1)


def test_an_interrupt_ends_in_130_says_how_to_go_on_and_going_on_works(
    start: Callable[..., Batch], unharmed: list[dict[str, str]]
) -> None:
    first = start("study.toml")
    first.until(lambda: len(told(first.root, events.EpochFinished)) >= 2)
    first.process.send_signal(signal.SIGINT)
    code, out, err = first.end()
    run = the_run(first.root)
    assert run is not None
    assert code == 130
    assert f"run: {run.folder}" in out
    assert f"go on with: prunetui --batch --runs {first.root} --resume {run.id}" in err
    assert "Traceback" not in err
    status = run.status()
    assert status is not None
    assert status.state == "interrupted"
    assert isinstance(run.tail().read()[-1], events.RunFinished)

    code, _, err = start("--resume", run.id).end()
    assert code == 0, err
    assert f"resuming {run.id} on cpu" in err
    assert results(run) == unharmed
    assert_nothing_was_computed_twice(run)


def test_a_second_interrupt_ends_the_process_at_once(start: Callable[..., Batch]) -> None:
    """While statistics of a wide net are estimated: the first interrupt alone would be heard seconds later."""
    quickly_there = ("train.epochs=0", "finetune.epochs=0", "schedule=one-shot")
    quickly_there += ("model.name=resnet20", "model.width=128", "data.limit=1797", "measure.recalibrate=2048")
    batch = start("study.toml", *(word for setting in quickly_there for word in ("--set", setting)))
    batch.until(lambda: any(e.step == "Calibrate" for e in told(batch.root, events.StepStarted)))
    batch.process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert batch.process.poll() is None
    batch.process.send_signal(signal.SIGINT)
    code, _, err = batch.end()
    assert code == 130
    assert "stopped at once" in err
    run = the_run(batch.root)
    assert run is not None
    status = run.status()
    assert status is not None
    assert status.state == "interrupted"


BUSY = """
import hashlib
from prunetui.execute.stop_signals import Stop
Stop().listen()
print("ready", flush=True)
hashlib.pbkdf2_hmac("sha256", b"", b"", 2_000_000_000)
"""


def test_a_second_interrupt_is_heard_in_the_middle_of_a_long_computation() -> None:
    """As in a backward pass of seconds: the interpreter calls no signal handler before it returns."""
    with subprocess.Popen(
        [sys.executable, "-c", BUSY],
        env={**os.environ, "PYTHONPATH": str(Path(prunetui.__file__).resolve().parents[1])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        try:
            for _ in range(2):
                time.sleep(0.5)
                process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=20)  # the computation takes many minutes
        finally:
            process.kill()
    assert process.returncode == 130
    assert "stopped at once" in err


def test_a_second_process_on_the_same_run_is_refused_and_a_terminated_one_stops_politely(
    start: Callable[..., Batch],
) -> None:
    first = start("study.toml", "--set", "train.epochs=5000", "--json")
    first.until(lambda: bool(told(first.root, events.EpochFinished)))
    run = the_run(first.root)
    assert run is not None
    code, _, err = start("--resume", "last").end()
    assert code == 2
    assert f"the run {run.id} is being executed by process {first.process.pid}" in err
    assert first.process.poll() is None
    assert len(told(first.root, events.RunStarted)) == 1

    first.process.send_signal(signal.SIGTERM)
    code, out, _ = first.end()
    assert code == 130
    last = events.from_json(out.splitlines()[-1])
    assert isinstance(last, events.RunFinished)
    assert last.state == "interrupted"
