"""The state of a run at a glance: all that a list of runs shows, in one small file."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from prunetui.events import MOST_TIME

MOST_COUNT = 2**31
STATE = re.compile("[a-z]{1,20}")
"""A word: a later version may have states that this one does not know."""


@dataclass(frozen=True)
class Status:
    """The state of a run at a glance: all that a list of runs shows, in one small file.

    ``state`` is queued, running, done, failed, interrupted (by somebody) or died (``Run.status`` finds out);
    times are seconds since the epoch.
    """

    state: str
    name: str = ""
    data: str = ""
    model: str = ""
    methods: tuple[str, ...] = ()
    created: float = 0.0
    started: float = 0.0
    finished: float = 0.0
    heartbeat: float = 0.0
    pid: int = 0
    host: str = ""
    device: str = ""
    trials: int = 0
    done: int = 0
    failed: int = 0
    top1_dense: float | None = None
    top1_best: float | None = None
    message: str = ""
    version: str = ""


def read_status(plain: Mapping[str, Any]) -> Status:
    """A status as it was written, by this version or another.

    Raises:
        ValueError: a field holds something else than it should, or there is no state.
    """
    kinds = {field.name: str(field.type) for field in dataclasses.fields(Status)}
    values: dict[str, Any] = {
        name: tuple(v) if isinstance(v, list) else v for name, v in plain.items() if name in kinds
    }
    for name, value in values.items():
        if not _fits(value, kinds[name]):
            raise ValueError(f"{name} is {str(value)[:40]!r}")
    if not STATE.fullmatch(str(values.get("state"))):
        raise ValueError(f"its state is {str(values.get('state'))[:40]!r}")
    return Status(**values)


def _fits(value: Any, kind: str) -> bool:
    if kind == "str":
        return isinstance(value, str)
    if kind.startswith("tuple"):
        return isinstance(value, tuple) and all(isinstance(name, str) for name in value)
    if value is None:
        return kind.endswith("None")
    if kind == "int":
        return type(value) is int and 0 <= value <= MOST_COUNT
    return type(value) in (int, float) and math.isfinite(value) and 0 <= value <= MOST_TIME
