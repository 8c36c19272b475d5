"""The state of a run at a glance: all that a list of runs shows, in one small file."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from prunetui.events import MOST, MOST_TIME
from prunetui.metrics import CLASSIFICATION, Metrics
from prunetui.store.metrics_of_run import metrics_plain, read_metrics

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
    dense: float | None = None
    """The primary metric of the dense network, and the best that a method reached."""
    best: float | None = None
    message: str = ""
    version: str = ""
    metrics: Metrics = CLASSIFICATION


def status_plain(status: Status) -> dict[str, Any]:
    """A status for JSON: figures are called by the primary metric (``top1_dense``), which it names."""
    key = status.metrics.primary.key
    names = {"dense": f"{key}_dense", "best": f"{key}_best"}
    fields = (field.name for field in dataclasses.fields(status) if field.name != "metrics")
    plain = {names.get(name, name): getattr(status, name) for name in fields}
    return {**plain, **metrics_plain(status.metrics)}


def read_status(plain: Mapping[str, Any]) -> Status:
    """A status as it was written, by this version or another.

    Raises:
        ValueError: a field holds something else than it should, or there is no state.
    """
    metrics = read_metrics(plain)
    key = metrics.primary.key
    own = {f"{key}_dense": "dense", f"{key}_best": "best"}
    kinds = {field.name: str(field.type) for field in dataclasses.fields(Status)}
    values: dict[str, Any] = {
        own.get(name, name): tuple(v) if isinstance(v, list) else v
        for name, v in plain.items()
        if name in own or name in kinds.keys() - {*own.values(), "metrics"}
    }
    for name, value in values.items():
        if not _fits(value, kinds[name]):
            raise ValueError(f"{name} is {str(value)[:40]!r}")
    if not STATE.fullmatch(str(values.get("state"))):
        raise ValueError(f"its state is {str(values.get('state'))[:40]!r}")
    return Status(**values, metrics=metrics)


def _fits(value: Any, kind: str) -> bool:
    if kind == "str":
        return isinstance(value, str)
    if kind.startswith("tuple"):
        return isinstance(value, tuple) and all(isinstance(name, str) for name in value)
    if value is None:
        return kind.endswith("None")
    if kind == "int":
        return type(value) is int and 0 <= value <= MOST_COUNT
    if not (type(value) in (int, float) and math.isfinite(value)):
        return False
    return abs(value) <= MOST if kind.endswith("None") else bool(0 <= value <= MOST_TIME)
