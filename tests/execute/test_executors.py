"""An executor is one file, chosen by its name; the loop that feeds it is tested with one that only answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from prunetui import events
from prunetui.config import Study, parse_study, study_toml
from prunetui.errors import Interrupted, RunFailed, UsageError
from prunetui.execute.execution import execute
from prunetui.execute.executor import Died, ExecutionContext, Finished, Outcome, Prepared, Stopped
from prunetui.execute.executor_registry import executor_names, find_executor
from prunetui.execute.kept_steps import KeptSteps
from prunetui.execute.run_control import RunControl
from prunetui.execute.trial_loop import TrialLoop
from prunetui.plan import Plan, SplitSizes, Trial, build_plan
from prunetui.store import Cache, Run, Status, create_run
from prunetui.store.control import Control

TINY = """
sparsities = [0.5]
methods = ["l1-unstructured", "lamp"]
data = {name = "digits", limit = 100}
model = {name = "resnet20", width = 4}
train = {epochs = 1, batch_size = 50}
finetune = {epochs = 0}
measure = {recalibrate = 0, latency = false}
"""
RECORDING = '''
"""A user's executor: computes in this process, and records what it is asked."""

from __future__ import annotations

from dataclasses import dataclass, field

from prunetui.execute.engine_setup import set_up_engine
from prunetui.execute.executor import ExecutionContext, Finished
from prunetui.execute.executor_registry import executor
from prunetui.execute.trial_execution import execute_trial
from prunetui.plan import Trial


@executor("recording")
@dataclass
class Recording:
    context: ExecutionContext
    engine: object = None
    trials: list[Trial] = field(default_factory=list)

    def record(self, line):
        with (self.context.run.folder / "asked").open("a") as file:
            print(line, file=file)

    def start(self):
        self.record("start")

    @property
    def capacity(self):
        return 2 - len(self.trials)

    def expect(self, trials):
        self.record(f"expect {trials}")

    def submit(self, trial, time_latency):
        self.record(f"submit {trial.id}")
        self.trials.append(trial)

    def poll(self):
        if self.engine is None:
            self.engine, prepared = set_up_engine(self.context, parallel=2)
            yield prepared
        while self.trials:
            trial = self.trials.pop()
            yield Finished(trial.id, execute_trial(self.engine, trial, self.context.control))

    def stop(self):
        self.record("stop")

    def close(self):
        self.record("close")
'''


def begin(root: Path) -> Run:
    return create_run(root, study_toml(parse_study(TINY)), Status(state="queued"))


def never() -> bool:
    return False


# By name ----------------------------------------------------------------------------------------------


def test_a_users_executor_gives_the_rows_of_inline(tmp_path: Path) -> None:
    file = tmp_path / "my_executor.py"
    file.write_text(RECORDING)
    runs = {name: begin(tmp_path / str(i)) for i, name in enumerate(("inline", f"{file}:recording"))}
    for name, run in runs.items():
        assert execute(run, "cpu", never, executor=name) == 0
    inline, own = (
        [{key: value for key, value in row.items() if key != "seconds"} for row in run.rows()] for run in runs.values()
    )
    assert [row["status"] for row in own] == ["done"] * 3
    assert own == inline
    asked = (runs[f"{file}:recording"].folder / "asked").read_text().splitlines()
    assert asked[:2] == ["start", "expect 3"]
    assert [line for line in asked if line.startswith("submit")] == [
        "submit dense-0ep-s0",  # the others wait for its training
        "submit l1-unstructured-0.5-s0",
        "submit lamp-0.5-s0",
    ]
    assert asked[-1] == "close"


def test_the_built_in_executors_are_the_modules_of_their_folder() -> None:
    assert executor_names() == ["inline", "processes"]
    assert [find_executor(name).__name__ for name in executor_names()] == ["InlineExecutor", "ProcessExecutor"]


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ("inlin", "no executor is called 'inlin'; there are: inline, processes; did you mean inline?"),
        ("ray", "no executor is called 'ray'; there are: inline, processes"),
        ("{folder}/none.py:mine", "cannot read {folder}/none.py: No such file or directory"),
        ("{folder}/broken.py:mine", "{folder}/broken.py cannot be imported: ZeroDivisionError: "),
        ("{folder}/other.py:mine", "{folder}/other.py has no executor called 'mine'; it has: recording"),
    ],
)
def test_an_executor_that_is_not_there_is_refused_in_words(tmp_path: Path, wanted: str, message: str) -> None:
    (tmp_path / "broken.py").write_text('1 / 0\n\n\n@executor("mine")\nclass Mine: ...\n')
    (tmp_path / "other.py").write_text(RECORDING)
    with pytest.raises(UsageError) as caught:
        find_executor(wanted.format(folder=tmp_path))
    assert str(caught.value).startswith(message.format(folder=tmp_path))


# The loop ---------------------------------------------------------------------------------------------

Answer = Callable[[Trial], Outcome]


class Scripted:
    """An executor that computes nothing: each submitted trial has the outcome that ``answer`` gives."""

    def __init__(self, plan: Plan, answer: Answer, capacity: int = 1) -> None:
        self.plan, self.answer, self.most = plan, answer, capacity
        self.submitted: list[str] = []
        self.stopped = 0
        self._trials: list[Trial] = []
        self._first: list[Outcome] = [Prepared(plan, "cpu", {}, capacity, SplitSizes(80, 10, 10), {}, {})]

    @property
    def capacity(self) -> int:
        return self.most - len(self._trials)

    def start(self) -> None: ...

    def expect(self, trials: int) -> None: ...

    def submit(self, trial: Trial, time_latency: bool) -> None:
        self.submitted.append(trial.id)
        self._trials.append(trial)

    def poll(self) -> Iterator[Outcome]:
        outcomes = [*self._first, *map(self.answer, self._trials)]
        self._first, self._trials = [], []
        yield from outcomes

    def stop(self) -> None:
        self.stopped += 1

    def close(self) -> None: ...


class Loop:
    """A loop over the trials of ``TINY``, whose events are kept."""

    def __init__(self, root: Path, answer: Answer, stop: Callable[[], bool] = never, capacity: int = 1) -> None:
        self.run = begin(root)
        self.study: Study = parse_study(TINY)
        self.plan = build_plan(self.study)
        self.events: list[events.Event] = []
        self.executor = Scripted(self.plan, answer, capacity)
        control = RunControl(stop, Control(self.run), lambda what: None)
        context = ExecutionContext(self.run, self.study, "cpu", None, control, self.events.append)
        self.loop = TrialLoop(context, self.executor)

    def rows(self) -> dict[str, dict[str, Any]]:
        made = self.loop.prepare()
        kept = KeptSteps(made.plan, Cache(self.run.folder / "cache"), made.timer, made.images)
        return {trial.id: row for trial, row in self.loop.rows(self.plan.trials, kept, time_latency=False)}


def done(trial: Trial) -> Outcome:
    return Finished(trial.id, {"status": "done"})


def test_a_trial_is_submitted_when_what_it_shares_is_computed(tmp_path: Path) -> None:
    loop = Loop(tmp_path, done, capacity=8)
    assert {row["status"] for row in loop.rows().values()} == {"done"}
    assert loop.executor.submitted == [trial.id for trial in loop.plan.trials]


def test_a_dead_worker_costs_its_trial_and_is_told(tmp_path: Path) -> None:
    def answer(trial: Trial) -> Outcome:
        if trial.method != "lamp":
            return done(trial)
        return Died("its worker was lost", trial.id, trial.edited, "prune lamp", "SIGKILL", -9, "bye")

    loop = Loop(tmp_path, answer)
    rows = loop.rows()
    assert [row["status"] for row in rows.values()] == ["done", "done", "failed"]
    assert rows["lamp-0.5-s0"]["error"] == "its worker was lost"
    assert [event for event in loop.events if isinstance(event, events.ProcessDied)] == [
        events.ProcessDied("lamp-0.5-s0", loop.plan.trials[2].edited, "prune lamp", "SIGKILL", -9, "bye")
    ]


def test_what_needs_a_step_at_which_two_workers_died_is_not_submitted(tmp_path: Path) -> None:
    loop = Loop(tmp_path, lambda trial: Died("lost", trial.id, trial.dense, "train 1 epoch"))
    errors = [row["error"] for row in loop.rows().values()]
    assert errors == [
        "lost",
        "lost",
        "not tried: processes died in the step 'train 1 epoch'; --resume tries it again",
    ]
    assert len(loop.executor.submitted) == 2


def test_workers_that_die_outside_of_a_step_end_the_run_at_the_third(tmp_path: Path) -> None:
    loop = Loop(tmp_path, lambda trial: Died("lost", trial.id))
    with pytest.raises(RunFailed, match="3 computing processes died one after another: lost"):
        loop.rows()


def test_a_worker_that_dies_before_the_first_is_ready_ends_the_run(tmp_path: Path) -> None:
    loop = Loop(tmp_path, done)
    loop.executor._first = [Died("lost while it was getting ready")]
    with pytest.raises(RunFailed, match="lost while it was getting ready"):
        loop.rows()


def test_a_wish_to_stop_is_passed_on_once_and_every_worker_waited_for(tmp_path: Path) -> None:
    asked: list[str] = []
    loop = Loop(tmp_path, lambda trial: asked.append(trial.id) or Stopped("", trial.id), stop=lambda: bool(asked))
    with pytest.raises(Interrupted, match="stopped between two steps"):
        loop.rows()
    assert (loop.executor.submitted, loop.executor.stopped) == (["dense-0ep-s0"], 1)


def test_a_run_that_is_stopped_by_a_worker_submits_nothing_more(tmp_path: Path) -> None:
    loop = Loop(tmp_path, lambda trial: Stopped("stopped while training", trial.id))
    with pytest.raises(Interrupted, match="stopped while training"):
        loop.rows()
    assert loop.executor.submitted == ["dense-0ep-s0"]
