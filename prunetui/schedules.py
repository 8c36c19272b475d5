"""Through which levels a schedule prunes on its way to the value a trial asks for."""

from __future__ import annotations

from collections.abc import Sequence

from prunetui.config import AnySchedule, Iterative


def levels(schedule: AnySchedule, value: float, values: Sequence[float]) -> tuple[float, ...]:
    """The ascending levels of one trial; the last is ``value`` itself.

    ``values`` are all that the method runs at: an iterative schedule without ``steps`` passes through
    those below ``value``, so that one trajectory yields every level. With n steps, level i is
    ``value * i / n`` (linear) or ``1 - (1 - value) ** (i / n)`` (geometric).
    """
    if not isinstance(schedule, Iterative):
        return (value,)
    if schedule.steps is None:
        return tuple(v for v in sorted(values) if v <= value)
    shares = [i / schedule.steps for i in range(1, schedule.steps)]
    if schedule.spacing == "linear":
        between = [value * share for share in shares]
    else:
        between = [1 - (1 - value) ** share for share in shares]
    return (*(round(level, 10) for level in between), value)


def schedule_name(schedule: AnySchedule) -> str:
    """How tables call a schedule: ``one-shot``, ``iterative`` or ``iterative-geometric-5``."""
    if not isinstance(schedule, Iterative) or schedule.steps is None:
        return schedule.name
    return f"{schedule.name}-{schedule.spacing}-{schedule.steps}"
