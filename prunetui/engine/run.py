"""Walks the plan's tree trial by trial; the only owner of mutable state.

Sees neither the store nor a screen: finished steps go to ``Steps``, half-finished training to ``Partials``,
and all that happens to ``emit``.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load

from prunetui import events
from prunetui.config import Study
from prunetui.engine import steps
from prunetui.engine.data import Dataset
from prunetui.engine.device import Device
from prunetui.engine.graph import Graph
from prunetui.engine.keep import Partials, Steps
from prunetui.engine.latency import latency, timer
from prunetui.engine.measure import evaluate
from prunetui.engine.models import Architecture
from prunetui.engine.partial import partial_bytes, read_partial
from prunetui.engine.row import trial_row, zeros_note
from prunetui.engine.state import State, capture, extra_bytes, from_files, instantiate, model_bytes
from prunetui.engine.train import Baggage, Course, Hooks, Report, train
from prunetui.engine.verify_edit import check_shaped
from prunetui.errors import Interrupted, Skipped, TrialError
from prunetui.plan import (
    Calibrate,
    Images,
    Latency,
    Load,
    Measure,
    Node,
    Plan,
    Prune,
    Rewind,
    Step,
    Train,
    Trial,
    label,
    measurements,
    step_key,
    work,
)

MODEL, EXTRA = "model.safetensors", "extra.safetensors"
UNREADABLE = (SafetensorError, KeyError, ValueError, RuntimeError, TypeError)
"""What the content of a file raises that is not of this format, though its checksum fits."""
IN_MEMORY = 4


@dataclass
class Engine:
    """Executes trials of one plan on one device."""

    study: Study
    plan: Plan
    data: Dataset
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
    _carrying: set[str] | None = None
    _trial: str = ""

    def run_trial(self, trial: Trial) -> dict[str, Any]:
        """The row of a trial, from steps found or computed.

        Raises:
            TrialError: a step of it failed, now or in an earlier trial.
            Interrupted: it was asked to stop.
        """
        self._trial = trial.id
        final = self.state(trial.after)
        wanted = measurements(self.study, trial).items()
        measured = {
            name: self._leaf(key, step)
            for name, (key, step) in wanted
            if self.time_latency or type(step) is not Latency
        }
        saved = self.model_file(trial)
        size = saved.stat().st_size if saved else None
        row = trial_row(trial, final, measured, self.graph, size, self._seconds(trial))
        return {**row, "note": self._note(trial, final)}

    def _note(self, trial: Trial, final: State) -> str | None:
        """That a trial asks for no more than the zeros its checkpoint came with."""
        if not self.study.model.checkpoint or trial.method == "dense":
            return None
        note = zeros_note(trial, self.state(trial.start), final, self.graph)
        if note:
            self.emit(events.Log("info", f"{trial.id}: {note}"))
        return note

    def model_file(self, trial: Trial) -> Path | None:
        """The saved network of a finished trial."""
        return self.kept.file(trial.after, MODEL)

    def _seconds(self, trial: Trial) -> float:
        """What the trial's own steps took, from the first edit on, whoever computed them."""
        own = {node.key for node in self.plan.path(trial.after)[len(self.plan.path(trial.start)) :]}
        measured = [step_key(key, step) for key, step in measurements(self.study, trial).values() if key in own]
        path = self._noted(trial.after, "path_seconds") - self._noted(trial.start, "path_seconds")
        return path + sum(self._noted(key, "seconds") for key in measured)

    def _noted(self, key: str, name: str) -> float:
        return float((self.kept.meta(key) or {}).get(name, 0.0))

    def work(self, step: Step) -> int:
        """The size of a step in images passed forward."""
        return work(step, self.images())

    def images(self) -> Images:
        """How many images each split has."""
        return Images(len(self.data.train), len(self.data.validation), len(self.data.test))

    # States ---------------------------------------------------------------------------------------

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
        meta = self.kept.meta(node.key)
        files = self.kept.files(node.key) if meta is not None and self.is_there(node) else None
        if meta is None or files is None:
            return None
        try:
            extra = load(files[EXTRA]) if EXTRA in files else {}
            state = from_files(load(files[MODEL]), extra, self.architecture)
        except UNREADABLE as error:
            self.kept.damaged(node.key, f"{type(error).__name__}: {error}")
            return None
        if node.key not in self._told:
            self._finished(node, meta["seconds"], cached=True)
        return state

    def is_there(self, node: Node) -> bool:
        """Whether a step's result is kept, with the momentum if this plan goes on with it (another may not have).

        A latency must have been timed on a machine as this one.
        """
        meta = self.kept.meta(node.key)
        if meta is None:
            return False
        if isinstance(node.step, Latency):
            return bool(meta.get("timer") == self._timer)
        return meta.get("momentum", False) or not self._is_carried(node)

    @cached_property
    def _timer(self) -> dict[str, str]:
        return timer(self.device)

    def _compute(self, node: Node) -> State:
        self._guard(node)
        parent = self.state(node.parent) if node.parent else None
        self._started(node)
        started = time.monotonic()
        try:
            state = self._apply(node, parent)
        except (Interrupted, Skipped):
            raise
        except Exception as error:
            self._failed[node.key] = str(error) or type(error).__name__
            self.partials.drop(node.key)
            raise
        seconds = time.monotonic() - started
        files = {MODEL: model_bytes(state, self._header())}
        extra = extra_bytes(state)
        before = self._noted(node.parent, "path_seconds") if node.parent else 0.0
        carried = self._is_carried(node)
        meta = {"seconds": seconds, "path_seconds": before + seconds, "momentum": carried}
        if carried:
            self.kept.drop(node.key)  # one that was kept without the momentum that is needed now
        self.kept.put(node.key, meta, {**files, **({EXTRA: extra} if extra else {})})
        self.partials.drop(node.key)
        self._finished(node, seconds, cached=False)
        return state

    def _apply(self, node: Node, parent: State | None) -> State:
        step = node.step
        if isinstance(step, Load) or parent is None:
            return steps.fresh(self.architecture, node.seed, self.study.model)
        if isinstance(step, Train):
            return self._train(node, step, parent)
        if isinstance(step, Prune):
            return steps.prune(parent, step, self._stream(node), self.data, self.graph, self.device)
        if isinstance(step, Rewind):
            return steps.rewind(parent, self.state(step.to), self.graph)
        assert isinstance(step, Calibrate)
        return steps.calibrate(parent, step.images, self._stream(node), self.data, self.device)

    def _stream(self, node: Node) -> str:
        """Names a step's randomness: that of its seed and place, so that all methods see the same batches.

        A training that begins in the middle of a recipe sees the images it would have seen from the start.
        """
        step, kind = node.step, type(node.step)
        alike = [earlier.step for earlier in self.plan.path(node.key) if isinstance(earlier.step, kind)]
        whole = [earlier for earlier in alike if not (isinstance(earlier, Train) and earlier.first)]
        place = len(whole)
        if isinstance(step, Train) and step.first:
            begun = [i for i, one in enumerate(whole, 1) if isinstance(one, Train) and one.recipe == step.recipe]
            place = begun[-1]
        return f"{kind.__name__}:{node.seed}:{place}"

    def _header(self) -> dict[str, Any]:
        """What goes home with a model: how to normalise its input and what its outputs mean."""
        data = self.data
        return {"data": data.name, "mean": data.mean, "std": data.std, "classes": data.classes}

    def _train(self, node: Node, step: Train, parent: State) -> State:
        start = parent if step.carry else parent.without_momentum()
        first, start = self._resumed(node.key, step.first, start)
        model = instantiate(start, self.device.torch)

        def save_epoch(epoch: int, baggage: Baggage) -> None:
            self.partials.save(node.key, partial_bytes(epoch, model, baggage))

        def tell(report: Report) -> None:
            self._report(node, step, report)

        course = Course(
            recipe=step.recipe,
            key=self._stream(node),
            first=first,
            last=step.last,
            shape=steps.shape_of(step, start, self.graph),
            teacher=instantiate(self.state(step.teacher), self.device.torch) if step.teacher else None,
            begun=step.first,
        )
        baggage = Baggage(start.momentum, start.masks, start.memory)
        after = train(model, self.data, course, baggage, self.device, Hooks(tell, save_epoch, self.should_stop))
        state = capture(model, start, after.momentum if self._is_carried(node) else None)
        if not step.shaped:
            return state
        check_shaped(step, parent, after.masks)  # not ``start``, which an interrupted training may have changed
        cpu = {name: tensor.cpu() for name, tensor in after.memory.items()}
        return replace(state, masks={name: mask.cpu() for name, mask in after.masks.items()}, memory=cpu)

    def _resumed(self, key: str, first: int, start: State) -> tuple[int, State]:
        """The next epoch of a training and the state before it: where it was interrupted, else ``start``."""
        data = self.partials.load(key)
        if data is None:
            return first, start
        try:
            epochs, saved = read_partial(data)
        except UNREADABLE as error:
            self.partials.damaged(key, f"{type(error).__name__}: {error}")
            return first, start
        kinds = (saved["model"], saved["mask"], saved["momentum"], start.kept, saved["memory"])
        return epochs, State(start.architecture, *kinds)

    def _is_carried(self, node: Node) -> bool:
        """Whether a later training goes on with the momentum of this state."""
        if self._carrying is None:
            self._carrying = self.plan.carrying()
        return node.key in self._carrying

    # Measurements ---------------------------------------------------------------------------------

    def _leaf(self, state_key: str, step: Step) -> dict[str, Any]:
        """A measurement of a state, found or made."""
        node = self.plan.nodes[step_key(state_key, step)]
        meta = self.kept.meta(node.key)
        if meta is not None and self.is_there(node):
            if node.key not in self._told:
                self._finished(node, meta["seconds"], cached=True, result=meta["result"])
            return dict(meta["result"])
        self._guard(node)
        state = self.state(state_key)
        self._started(node)
        started = time.monotonic()
        noted: dict[str, Any] = {}
        if isinstance(step, Latency):
            noted["timer"] = self._timer
            result = latency(state, step.batches, self.data, self.device, self.should_stop)
        else:
            assert isinstance(step, Measure)
            images = self.data.test if step.split == "test" else self.data.validation
            model = instantiate(state, self.device.torch)
            how = {"loss": step.loss, "screened": self.device.bf16}
            result = asdict(evaluate(model, self.data, images, step.batch_size, self.should_stop, **how))
        seconds = time.monotonic() - started
        if meta is not None:
            self.kept.drop(node.key)  # a latency of another machine
        self.kept.put(node.key, {"seconds": seconds, "result": result, **noted})
        self._finished(node, seconds, cached=False, result=result)
        return result

    # Events ---------------------------------------------------------------------------------------

    def _guard(self, node: Node) -> None:
        """Refuse what an earlier trial has found to fail, and stop when asked to."""
        if (self.rest_between_steps or self.should_stop)():
            raise Interrupted("stopped between two steps")
        for earlier in self.plan.path(node.key):
            if earlier.key in self._failed:
                raise TrialError(f"{label(earlier.step)} failed: {self._failed[earlier.key]}")

    def _started(self, node: Node) -> None:
        self.emit(
            events.StepStarted(node.key, type(node.step).__name__, label(node.step), self._trial, self.work(node.step))
        )

    def _finished(self, node: Node, seconds: float, cached: bool, result: dict[str, Any] | None = None) -> None:
        self._told.add(node.key)
        name = type(node.step).__name__
        self.emit(events.StepFinished(node.key, name, round(seconds, 4), cached, self.work(node.step), result))

    def _report(self, node: Node, step: Train, report: Report) -> None:
        epochs = step.first + step.epochs
        self.emit(
            events.Progress(
                node.key, report.done, report.total, report.epoch, epochs, round(report.images_per_second, 1),
                round(report.loss, 6), report.lr,
            )
        )  # fmt: skip
        if report.epoch_finished:
            self.emit(events.EpochFinished(node.key, report.epoch, epochs, report.loss, report.accuracy))
