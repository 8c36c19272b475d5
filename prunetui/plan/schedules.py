"""Through which levels a schedule prunes on its way to the value a trial asks for, and at which epochs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from prunetui.config.schedule import AnySchedule, Gradual, Leveled, LotteryTicket, LrRewinding


def levels(schedule: AnySchedule, value: float, values: Sequence[float], epochs: int = 0) -> tuple[float, ...]:
    """The ascending levels of one trial; the last is ``value`` itself.

    ``values`` are all that the method runs at: a schedule of levels that says nothing more passes through those
    below ``value``, so that one trajectory yields every level. With n steps, level i is ``value * i / n`` (linear),
    ``1 - (1 - value) ** (i / n)`` (geometric) or, for ``gradual`` in a training of ``epochs``,
    ``value * (1 - (1 - i / n) ** 3)`` (Zhu & Gupta 2017, arXiv:1710.01878, eq. 1).
    """
    if isinstance(schedule, Gradual):
        steps = len(prune_epochs(schedule, epochs))
        between = [value * (1 - (1 - i / steps) ** 3) for i in range(1, steps)]
    elif not isinstance(schedule, Leveled):
        between = []
    elif schedule.steps is None:
        between = [v for v in sorted(schedule.levels or values) if v < value]
    elif schedule.spacing == "linear":
        between = [value * i / schedule.steps for i in range(1, schedule.steps)]
    else:
        between = [1 - (1 - value) ** (i / schedule.steps) for i in range(1, schedule.steps)]
    return (*(round(level, 10) for level in between), value)


def rounds(schedule: AnySchedule, values: Sequence[float]) -> tuple[float, ...]:
    """The ``values`` of a method and, of a lottery ticket, what it passes through between them.

    Each of its rounds takes the same part of the remaining weights as its neighbours, and at most ``rate``; the values
    themselves are rounds (Frankle & Carbin 2019, arXiv:1803.03635: 20 % a round).
    """
    if not isinstance(schedule, LotteryTicket) or schedule.rate == 1:
        return tuple(values)
    found: list[float] = []
    left = 1.0
    for value in sorted(values):
        count = max(1, math.ceil(math.log((1 - value) / left) / math.log(1 - schedule.rate) - 1e-9))
        found += [1 - left * ((1 - value) / left) ** (i / count) for i in range(1, count)]
        found.append(value)
        left = 1 - value
    return tuple(round(level, 10) for level in found)


def shares_path(schedule: AnySchedule) -> bool:
    """Whether all values of a method lie on one trajectory."""
    return isinstance(schedule, Leveled) and schedule.steps is None


def prune_epochs(schedule: Gradual, epochs: int) -> tuple[int, ...]:
    """The epochs of a training of ``epochs`` at whose start ``gradual`` prunes; the first is 0.

    They spread evenly over the first ``until`` of the training, or over as much as their number needs.
    """
    span = max(1, round(schedule.until * epochs))
    steps = schedule.steps or span
    span = max(span, steps)
    return tuple(i * span // steps for i in range(steps))


@dataclass(frozen=True)
class Again:
    """What is trained after every prune step of a rewinding schedule: [train] from ``epoch`` on."""

    epoch: int
    weights: bool
    """Whether the weights go back to that epoch too, not only the learning rate."""


def rewinding(schedule: AnySchedule, epochs: int) -> Again | None:
    """How a schedule rewinds a dense training of ``epochs``; None for the others."""
    if isinstance(schedule, LotteryTicket):
        return Again(schedule.epoch, weights=True)
    if isinstance(schedule, LrRewinding):
        return Again(epochs // 2 if schedule.epoch is None else schedule.epoch, weights=False)
    return None


def schedule_name(schedule: AnySchedule) -> str:
    """How tables call a schedule: ``one-shot``, ``iterative``, ``iterative-geometric-5`` or ``gradual-8``."""
    if isinstance(schedule, Gradual):
        return schedule.name if schedule.steps is None else f"{schedule.name}-{schedule.steps}"
    words: list[str] = [schedule.name]
    if not isinstance(schedule, Leveled):
        return words[0]
    if schedule.levels is not None:
        words.append(f"{len(schedule.levels)}-levels")
    elif schedule.steps is not None:
        words += [schedule.spacing, str(schedule.steps)]
    return "-".join(words)
