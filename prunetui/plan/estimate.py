"""What a study will take, before it runs: from its plan, the cache beside the runs, and earlier runs like it.

Nothing is guessed: what no earlier run tells is None.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prunetui.config import DataTable, Study
from prunetui.errors import DataError
from prunetui.files.image_tree import count_images, split_folders
from prunetui.files.paths import user_path
from prunetui.plan.history import History, Rate
from prunetui.plan.remaining_work import missing
from prunetui.plan.unroll import build_plan
from prunetui.plugins.catalogue import contribution
from prunetui.store import Cache
from prunetui.store.run_list import CACHE
from prunetui.tree import Node, Plan, SplitSizes, Trial, is_kept


@dataclass(frozen=True)
class TrialPlan:
    """A trial before it runs."""

    trial: Trial
    steps: int
    left: int | None
    """Steps that nobody has computed yet; None when that is unknown."""


@dataclass(frozen=True)
class Estimate:
    """A study before it runs; None is unknown."""

    trials: tuple[TrialPlan, ...]
    steps: int
    shared: int
    """Steps that more than one trial needs."""
    left: int | None
    """Steps to compute; the others are found in the cache."""
    images: SplitSizes | None
    seconds: float | None
    bytes: int | None
    history: History

    @property
    def found(self) -> int | None:
        """Steps that need not be computed."""
        return None if self.left is None else self.steps - self.left


def images_of(data: DataTable) -> SplitSizes | None:
    """How many images each split of the data has; None for a folder that is not there, or where nobody says."""
    about = contribution("data", data.name).given
    train, test = _count(user_path(data.root)) if about.get("tree") else about.get("images") or (0, 0)
    if not train or not test:
        return None
    limit = data.limit or max(train, test)
    train, test = min(train, limit), min(test, limit)
    held = round(data.validation * train)
    return SplitSizes(train - held, held, test)


def _count(root: Path) -> tuple[int, int]:
    """Training and test images of an image tree; 0 where it cannot be read, which is told when it runs."""
    try:
        splits = split_folders(root)
        return count_images(splits.train or root), count_images(splits.test)
    except DataError:
        return 0, 0


def estimate(study: Study, root: Path, past: History) -> Estimate:
    """What a study in the folder of runs ``root`` takes, as far as ``past`` tells."""
    context = _with_checkpoint(past.context, study)
    plan = build_plan(study, context)
    needed = [missing(plan, [trial], _nothing).keys() for trial in plan.trials]
    counts = Counter(key for keys in needed for key in keys)
    there = _in_cache(plan, Cache(root / CACHE)) if context is not None else _nothing
    todo = missing(plan, plan.trials, there)
    images = images_of(study.data)
    rows = (
        TrialPlan(trial, len(keys), None if context is None else len(missing(plan, [trial], there)))
        for trial, keys in zip(plan.trials, needed, strict=True)
    )
    return Estimate(
        trials=tuple(rows),
        steps=len(counts),
        shared=sum(count > 1 for count in counts.values()),
        left=None if context is None else len(todo),
        images=images,
        seconds=_seconds(todo, images, past.rates) if images and plan.trials else None,
        bytes=_bytes(plan, todo, past.model_bytes) if plan.trials else None,
        history=past,
    )


def _nothing(node: Node) -> bool:
    return False


def _in_cache(plan: Plan, cache: Cache) -> Callable[[Node], bool]:
    """Whether a step's result is kept, with the momentum that this plan needs of it."""
    carrying = plan.carrying()
    known: dict[str, bool] = {}

    def there(node: Node) -> bool:
        if node.key not in known:
            known[node.key] = is_kept(node, cache.meta(node.key), carrying, timer=None)
        return known[node.key]

    return there


def _with_checkpoint(context: Mapping[str, Any] | None, study: Study) -> Mapping[str, Any] | None:
    """The context with the hash of the checkpoint as it is now."""
    if context is None or not study.model.checkpoint:
        return context
    try:
        data = user_path(study.model.checkpoint).read_bytes()
    except OSError:
        return None
    return {**context, "checkpoint": hashlib.sha256(data).hexdigest()}


def _seconds(todo: Mapping[str, Node], images: SplitSizes, rates: Mapping[str, Rate]) -> float | None:
    """By the rate of each kind of step; a kind that was never seen by the rate of all."""
    sized = [rate for rate in rates.values() if rate.work]
    if not sized:
        return None
    overall = sum(rate.seconds for rate in sized) / sum(rate.work for rate in sized)
    total = 0.0
    for node in todo.values():
        size = node.step.work(images)
        rate = rates.get(node.step.kind)
        if rate is None:
            total += size * overall
        else:
            total += size * rate.seconds / rate.work if rate.work and size else rate.seconds / rate.count
    return total


def _bytes(plan: Plan, todo: Mapping[str, Node], each: int | None) -> int | None:
    """The states that stay when the run is over: shared ones, dense ones and the last of every trial."""
    if each is None:
        return None
    users = plan.users()
    ends = {key for trial in plan.trials for key in (trial.after, trial.dense, trial.control)}
    states = [key for key, node in todo.items() if node.step.makes_state]
    return each * sum(key in ends or users[key] > 1 for key in states)
