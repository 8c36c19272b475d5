"""Study -> tree of content-addressed steps. Plain data, no torch.

A step's key is the hash of all that led to it: the context (data, model, seed, device, engine) and every
step before it. Equal keys are equal work, so trials share what they have in common, runs share it too, and
resuming is walking the tree again.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from prunetui.config import AtInit, Iterative, Method, OneShot, Study
from prunetui.config.checks import target_of, values_of
from prunetui.config.schema import Recipe
from prunetui.plugins import catalogue
from prunetui.schedules import levels, schedule_name

# Raise it when the engine computes something differently: older cached states are then not found.
ENGINE_VERSION = 3
MOST_LABEL = 60
"""Characters of a label in a trial's id, which is a file name."""


@dataclass(frozen=True)
class Load:
    """The fresh network of a seed, or the checkpoint's."""


@dataclass(frozen=True)
class Train:
    """Train by ``recipe``; ``carry`` goes on with the optimiser's momentum of the training before."""

    recipe: dict[str, Any]
    carry: bool = False


@dataclass(frozen=True)
class Prune:
    """Apply the edit of a method at ``target:value``; ``digest`` is the hash of its source file."""

    method: str
    options: dict[str, Any]
    digest: str
    target: str
    value: float
    progress: float
    """Place of this prune step in its schedule, in (0, 1]."""
    images: int
    """Training images a data-driven method may look at."""


@dataclass(frozen=True)
class Calibrate:
    """Re-estimate batch-norm statistics on ``images`` training images."""

    images: int


@dataclass(frozen=True)
class Measure:
    """Accuracy and loss on a split, in float32."""

    split: str
    batch_size: int


@dataclass(frozen=True)
class Latency:
    """Time of one forward pass of a batch; only of nets that are physically there, not of masks."""

    batch: int


Step = Load | Train | Prune | Calibrate | Measure | Latency


@dataclass(frozen=True)
class Node:
    """A step and the state it starts from."""

    key: str
    parent: str | None
    step: Step
    seed: int


@dataclass(frozen=True)
class Trial:
    """One path through the tree: a row of results.csv. The fields from ``dense`` on are keys of nodes."""

    id: str
    method: str
    label: str
    schedule: str
    seed: int
    target: str
    value: float
    dense: str
    """The trained dense network it is compared with."""
    start: str
    """The state its first edit is applied to: the trained network, or the fresh one."""
    edited: str
    """Right after its last edit."""
    before: str
    """After the edit and the re-estimation of batch-norm statistics, before recovery."""
    after: str
    """The final network."""
    control: str
    """The dense network trained for the same extra epochs."""


@dataclass
class Plan:
    """The tree (``nodes`` by key, parents first) and its paths."""

    nodes: dict[str, Node] = field(default_factory=dict)
    trials: list[Trial] = field(default_factory=list)

    def add(self, parent: str, step: Step, seed: int) -> str:
        """The key of ``step`` after ``parent``; the node is made unless it is there."""
        key = step_key(parent, step)
        self.nodes.setdefault(key, Node(key, parent if parent in self.nodes else None, step, seed))
        return key

    def path(self, key: str) -> list[Node]:
        """The nodes from the root to ``key``."""
        nodes: list[Node] = []
        node: Node | None = self.nodes[key]
        while node is not None:
            nodes.append(node)
            node = self.nodes[node.parent] if node.parent else None
        return nodes[::-1]

    def carrying(self) -> set[str]:
        """The states whose momentum a later training goes on with: from that one back to the last training."""
        keys: set[str] = set()
        for node in self.nodes.values():
            key = node.parent if isinstance(node.step, Train) and node.step.carry else None
            while key:
                keys.add(key)
                key = None if isinstance(self.nodes[key].step, Train) else self.nodes[key].parent
        return keys

    def users(self) -> dict[str, int]:
        """How many trials pass through each node."""
        counts = dict.fromkeys(self.nodes, 0)
        for trial in self.trials:
            for node in self.path(trial.after):
                counts[node.key] += 1
        return counts


def step_key(parent: str, step: Step) -> str:
    """The key of ``step`` after the step with the key ``parent``."""
    return digest({"parent": parent, "step": type(step).__name__, **dataclasses.asdict(step)})


def digest(plain: Mapping[str, Any]) -> str:
    """The key of plain data: 32 hexadecimal digits."""
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def build_plan(study: Study, context: Mapping[str, Any] | None = None) -> Plan:
    """Unroll a study.

    ``context`` is what else decides the numbers and only the machine knows (device, arithmetic, the
    fingerprints of data and checkpoint); without it the tree has the same shape but other keys.
    """
    plan = Plan()
    labels = _labels(study)
    for seed in study.seeds:
        root = digest(
            {
                "engine": ENGINE_VERSION,
                "data": study.data.model_dump(exclude={"root", "corrupt"}),
                "model": study.model.model_dump(exclude={"checkpoint"}),
                "seed": seed,
                **(context or {}),
            }
        )
        fresh = dense = plan.add(root, Load(), seed)
        if study.train.epochs:
            dense = plan.add(fresh, Train(study.train.model_dump()), seed)
        for method, label in zip(study.methods, labels, strict=True):
            for value in values_of(study, method):
                _add_trial(plan, study, method, label, value, seed, fresh, dense)
    plan.trials = _controls_first(plan.trials)
    for trial in plan.trials:
        for key, step in measurements(study, trial).values():
            plan.add(key, step, trial.seed)
    return plan


def measurements(study: Study, trial: Trial) -> dict[str, tuple[str, Step]]:
    """What is measured for a trial: name -> (key of the state, step)."""
    test, validation = (Measure(split, study.measure.batch_size) for split in ("test", "validation"))
    wanted: dict[str, tuple[str, Step]] = {
        "dense": (trial.dense, test),
        "control": (trial.control, test),
        "edited": (trial.edited, test),
        "before": (trial.before, test),
        "after": (trial.after, test),
    }
    if study.data.validation:
        wanted["validation"] = (trial.after, validation)
    masked = trial.method != "dense" and catalogue().methods[trial.method].edit == "masks"
    if study.measure.latency_batch and not masked:
        wanted["latency"] = (trial.after, Latency(study.measure.latency_batch))
    return wanted


def _recovery(study: Study, epochs: int | None = None) -> Recipe:
    """The recovery recipe, with another number of epochs if given."""
    return study.finetune if epochs is None else study.finetune.model_copy(update={"epochs": epochs})


def _add_trial(
    plan: Plan, study: Study, method: Method, label: str, value: float, seed: int, fresh: str, dense: str
) -> None:
    schedule = method.schedule or study.schedule
    walk = _at_init if isinstance(schedule, AtInit) else _after_training
    states = walk(plan, study, method, value, seed, fresh if isinstance(schedule, AtInit) else dense)
    name = schedule_name(schedule)
    extra = "" if isinstance(schedule, OneShot) or name in label else f"-{name}"
    trial = Trial(
        id=f"{_slug(label)}{extra}-{value:.10g}-s{seed}",
        method=method.name,
        label=label,
        schedule=name,
        seed=seed,
        target=target_of(study, method),
        value=value,
        dense=dense,
        **{"control": dense, **states},
    )
    _add_control(plan, trial)
    plan.trials.append(trial)


def _at_init(plan: Plan, study: Study, method: Method, value: float, seed: int, start: str) -> dict[str, str]:
    """Prune the fresh network and train it as the dense one was trained, which is its control."""
    edited = plan.add(start, _prune(study, method, value, 1.0), seed)
    after = plan.add(edited, Train(study.train.model_dump()), seed)
    return {"start": start, "edited": edited, "before": edited, "after": after}


def _after_training(plan: Plan, study: Study, method: Method, value: float, seed: int, start: str) -> dict[str, str]:
    """Prune the trained network level by level, with recovery after each; the control only recovers."""
    schedule = method.schedule or study.schedule
    between = schedule.epochs if isinstance(schedule, Iterative) else None
    values = values_of(study, method)
    steps = levels(schedule, value, values)
    after = control = edited = before = start
    # A trajectory that all values share is as long as its longest trial: else progress would tell them apart.
    length = len(values) if isinstance(schedule, Iterative) and schedule.steps is None else len(steps)
    trained = False
    for i, level in enumerate(steps):
        edited = plan.add(after, _prune(study, method, level, (i + 1) / length), seed)
        calibrate = study.measure.recalibrate
        before = after = plan.add(edited, Calibrate(calibrate), seed) if calibrate else edited
        recipe = _recovery(study) if i == len(steps) - 1 else _recovery(study, between)
        if recipe.epochs:
            train = Train(recipe.model_dump(), carry=trained)
            trained = True
            after, control = plan.add(after, train, seed), plan.add(control, train, seed)
    return {"start": start, "edited": edited, "before": before, "after": after, "control": control}


def _prune(study: Study, method: Method, level: float, progress: float) -> Prune:
    return Prune(
        method=method.name,
        options=method.options,
        digest=catalogue().methods[method.name].digest,
        target=target_of(study, method),
        value=level,
        progress=progress,
        images=study.measure.calibrate,
    )


def _add_control(plan: Plan, trial: Trial) -> None:
    """The dense network trained for the same extra epochs is a trial of its own, once for all who share it."""
    if any(t.after == trial.control and t.method == "dense" for t in plan.trials):
        return
    extra = sum(
        node.step.recipe["epochs"]
        for node in plan.path(trial.control)[len(plan.path(trial.dense)) :]
        if isinstance(node.step, Train)
    )
    plan.trials.append(
        Trial(
            id=f"dense-{extra}ep-s{trial.seed}",
            method="dense",
            label="dense",
            schedule=trial.schedule,
            seed=trial.seed,
            target="sparsity",
            value=0.0,
            dense=trial.dense,
            start=trial.dense,
            edited=trial.dense,
            before=trial.dense,
            after=trial.control,
            control=trial.control,
        )
    )


def _controls_first(trials: list[Trial]) -> list[Trial]:
    """By seed, controls before what is compared with them; ids made unique where settings collide."""
    seeds = list(dict.fromkeys(trial.seed for trial in trials))
    ordered = sorted(trials, key=lambda t: (seeds.index(t.seed), t.method != "dense"))
    seen: dict[str, int] = {}
    unique = []
    for trial in ordered:
        seen[trial.id] = seen.get(trial.id, 0) + 1
        again = seen[trial.id]
        unique.append(trial if again == 1 else dataclasses.replace(trial, id=f"{trial.id}-{again}"))
    return unique


def _labels(study: Study) -> list[str]:
    """The label of each method; several entries of one method show as much as tells them apart."""
    names = [method.label or method.name for method in study.methods]
    labels = []
    for i, name in enumerate(names):
        twins = [j for j, other in enumerate(names) if other == name and j != i]
        labels.append(name if not twins else _distinct(study, i, twins, name))
    return [label if labels.count(label) == 1 else f"{label} #{i + 1}" for i, label in enumerate(labels)]


def _distinct(study: Study, index: int, twins: list[int], name: str) -> str:
    """``name`` with the fewest settings, schedule first, that no twin has all of."""
    mine = _settings(study, study.methods[index])
    rivals = [_settings(study, study.methods[j]) for j in twins]
    words = [name]
    for key, word in mine.items():
        differing = [rival for rival in rivals if rival.get(key) != word]
        if differing:
            words.append(word)
            rivals = [rival for rival in rivals if rival not in differing]
    return " ".join(words)


def _settings(study: Study, method: Method) -> dict[str, str]:
    options = {key: f"{key}={value}" for key, value in method.options.items()}
    schedule = schedule_name(method.schedule or study.schedule)
    return {"schedule": schedule, "target": target_of(study, method), **options}


def _slug(label: str) -> str:
    return "".join(c if c.isalnum() or c in "-_." else "-" for c in label)[:MOST_LABEL]
