"""Walks the plan's tree trial by trial, whatever the kinds of its steps; the only owner of mutable state.

Sees neither the store nor a screen: finished steps go to ``Steps``, half-finished training to ``Partials``,
and all that happens to ``emit``.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from safetensors.torch import load

from prunetui import events
from prunetui.api import Source, Task
from prunetui.config import Study
from prunetui.engine.device import Device
from prunetui.engine.export_header import DATA_SETTINGS
from prunetui.engine.graph import Graph
from prunetui.engine.keep import Partials, Steps
from prunetui.engine.latency_timing import timer
from prunetui.engine.models import Architecture
from prunetui.engine.row import trial_row, zeros_note
from prunetui.engine.state import State, extra_bytes, from_files, model_bytes
from prunetui.engine.step_context import UNREADABLE, StepContext
from prunetui.errors import Interrupted, Skipped, TrialError
from prunetui.tree import Node, Plan, SplitSizes, Step, Trial, is_kept, step_key

MODEL, EXTRA = "model.safetensors", "extra.safetensors"
IN_MEMORY = 4


@dataclass
class Engine:
    """Executes trials of one plan on one device."""

    study: Study
    plan: Plan
    source: Source
    task: Task
    architecture: Architecture
    graph: Graph
    device: Device
    kept: Steps
    partials: Partials
    emit: Callable[[events.Event], None]
    should_stop: Callable[[], bool]
    rest_between_steps: Callable[[], bool] | None = None
    """Whether to stop where no step is half done; as ``should_stop`` when not given."""
    time_latency: bool = True
    """Off where other work would disturb it; the rows then lack it."""
    _memory: OrderedDict[str, State] = field(default_factory=OrderedDict)
    _failed: dict[str, str] = field(default_factory=dict)
    _told: set[str] = field(default_factory=set)
    _trial: str = ""

    def run_trial(self, trial: Trial) -> dict[str, Any]:
        """The row of a trial, from steps found or computed.

        Raises:
            TrialError: a step of it failed, now or in an earlier trial.
            Interrupted: it was asked to stop.
        """
        self._trial = trial.id
        final = self.state(trial.after)
        measured = {
            name: self.figures(key, step)
            for name, (key, step) in self.plan.measurements[trial.id].items()
            if self.time_latency or not step.timed
        }
        saved = self.kept.file(trial.after, MODEL)
        size = saved.stat().st_size if saved else None
        seconds, example = self._seconds(trial), self.task.inputs(self.source.example())
        row = trial_row(trial, final, measured, self.graph, size, seconds, self.task.table, example)
        return {**row, "note": self._note(trial, final)}

    def _note(self, trial: Trial, final: State) -> str | None:
        """That a trial asks for no more than the zeros its checkpoint came with."""
        if not self.study.model.checkpoint or trial.method == "dense":
            return None
        note = zeros_note(trial, self.state(trial.start), final, self.graph)
        if note:
            self.emit(events.Log("info", f"{trial.id}: {note}"))
        return note

    def _seconds(self, trial: Trial) -> float:
        """What the trial's own steps took, from the first edit on, whoever computed them."""
        own = {node.key for node in self.plan.path(trial.after)[len(self.plan.path(trial.start)) :]}
        steps = self.plan.measurements[trial.id].values()
        measured = [step_key(key, step) for key, step in steps if key in own]
        path = self._noted(trial.after, "path_seconds") - self._noted(trial.start, "path_seconds")
        return path + sum(self._noted(key, "seconds") for key in measured)

    def _noted(self, key: str, name: str) -> float:
        return float((self.kept.meta(key) or {}).get(name, 0.0))

    def images(self) -> SplitSizes:
        """How many images each split has."""
        return SplitSizes(*map(self.source.length, ("train", "validation", "test")))

    # What is kept ---------------------------------------------------------------------------------

    def state(self, key: str) -> State:
        """The state after a step: from memory, from ``kept``, or computed from its parent's."""
        if key in self._memory:
            self._memory.move_to_end(key)
            return self._memory[key]
        node = self.plan.nodes[key]
        state = self._load(node) or self._compute(node)
        self._memory[key] = state
        while len(self._memory) > IN_MEMORY:
            self._memory.popitem(last=False)
        return state

    def _load(self, node: Node) -> State | None:
        meta = self._kept_meta(node)
        files = self.kept.files(node.key) if meta is not None else None
        if meta is None or files is None:
            return None
        try:
            extra = load(files[EXTRA]) if EXTRA in files else {}
            state = from_files(load(files[MODEL]), extra, self.architecture)
        except UNREADABLE as error:
            self.kept.damaged(node.key, f"{type(error).__name__}: {error}")
            return None
        self._found(node, meta["seconds"])
        return state

    def figures(self, state_key: str, step: Step) -> dict[str, Any]:
        """A measurement of a state, found or made."""
        node = self.plan.nodes[step_key(state_key, step)]
        meta = self._kept_meta(node)
        if meta is not None:
            self._found(node, meta["seconds"], meta["result"])
            return dict(meta["result"])
        result, seconds = self._do(node, state_key)
        noted = {"timer": self._timer} if step.timed else {}
        self._keep(node, {"seconds": seconds, "result": result, **noted}, {})
        self._finished(node, seconds, cached=False, result=result)
        return dict(result)

    def _kept_meta(self, node: Node) -> dict[str, Any] | None:
        """The notes of a step that is kept as this plan needs it."""
        meta = self.kept.meta(node.key)
        return meta if is_kept(node, meta, self._carrying, self._timer if node.step.timed else None) else None

    def _keep(self, node: Node, meta: Mapping[str, Any], files: Mapping[str, bytes]) -> None:
        if self._kept_meta(node) is None:
            self.kept.drop(node.key)  # one without the momentum that is needed now, or timed on another machine
        self.kept.put(node.key, meta, files)

    @cached_property
    def _timer(self) -> dict[str, str]:
        return timer(self.device)

    @cached_property
    def _carrying(self) -> set[str]:
        return self.plan.carrying()

    # What is computed -----------------------------------------------------------------------------

    def _compute(self, node: Node) -> State:
        made, seconds = self._do(node, node.parent)
        state: State = made
        extra = extra_bytes(state)
        before = self._noted(node.parent, "path_seconds") if node.parent else 0.0
        meta = {"seconds": seconds, "path_seconds": before + seconds, "momentum": node.key in self._carrying}
        self._keep(node, meta, {MODEL: model_bytes(state, self._header()), **({EXTRA: extra} if extra else {})})
        self.partials.drop(node.key)
        self._finished(node, seconds, cached=False)
        return state

    def _do(self, node: Node, before: str | None) -> tuple[Any, float]:
        """What a step makes of the state with the key ``before``, and in how many seconds."""
        self._guard(node)
        state = self.state(before) if before else None
        self._started(node)
        started = time.monotonic()
        try:
            made = node.step.apply(self._context(node), state)
        except (Interrupted, Skipped):
            raise
        except Exception as error:
            if node.step.makes_state:  # what is measured later is told by this trial alone
                self._failed[node.key] = str(error) or type(error).__name__
                self.partials.drop(node.key)
            raise
        return made, time.monotonic() - started

    def _context(self, node: Node) -> StepContext:
        return StepContext(
            key=node.key,
            seed=node.seed,
            randomness=self.plan.random_stream(node.key),
            model=self.study.model,
            architecture=self.architecture,
            graph=self.graph,
            source=self.source,
            task=self.task,
            device=self.device,
            state=self.state,
            keeps_momentum=node.key in self._carrying,
            partials=self.partials,
            emit=self.emit,
            should_stop=self.should_stop,
        )

    def _header(self) -> dict[str, Any]:
        """What goes home with a model: how to normalise its input and what its outputs mean."""
        asked, told = self.study.task, dict(self.source.description())
        if self.task.outputs is not None:  # not one a class
            told.pop("classes", None)
        if self.study.data.options:
            told["data_options"] = dict(self.study.data.options)
        read = set(DATA_SETTINGS) - (set() if ".py:" in self.study.data.name else {"root"})  # nobody's folder goes home
        settings = self.study.data.model_dump(include=read, exclude_defaults=True)
        if told.get("prepared") and settings:
            told["data_settings"] = settings
        return told if asked == type(asked)() else {**told, "task": asked.model_dump(exclude_none=True)}

    # What is told ---------------------------------------------------------------------------------

    def _guard(self, node: Node) -> None:
        """Refuse what an earlier trial has found to fail, and stop when asked to."""
        if (self.rest_between_steps or self.should_stop)():
            raise Interrupted("stopped between two steps")
        for earlier in self.plan.path(node.key):
            if earlier.key in self._failed:
                raise TrialError(f"{earlier.step.label} failed: {self._failed[earlier.key]}")

    def _started(self, node: Node) -> None:
        step = node.step
        self.emit(events.StepStarted(node.key, step.kind, step.label, self._trial, step.work(self.images())))

    def _found(self, node: Node, seconds: float, result: dict[str, Any] | None = None) -> None:
        if node.key not in self._told:
            self._finished(node, seconds, cached=True, result=result)

    def _finished(self, node: Node, seconds: float, cached: bool, result: dict[str, Any] | None = None) -> None:
        self._told.add(node.key)
        step, work = node.step, node.step.work(self.images())
        self.emit(events.StepFinished(node.key, step.kind, round(seconds, 4), cached, work, result))
