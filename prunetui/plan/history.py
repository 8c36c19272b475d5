"""What earlier runs of the same model and data tell about a study that has not run."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prunetui import events
from prunetui.config import Study
from prunetui.config.write import resolved, rooted
from prunetui.files.safe_toml import read_toml
from prunetui.plugins.catalogue import contribution
from prunetui.plugins.own_files import short
from prunetui.store import Run, list_runs
from prunetui.store.environment import read_environment

NEWEST = 3
"""Runs whose steps tell how long steps take."""
LOOK_AT = 60
"""Runs of the same model and data that are looked at; older ones are not."""


@dataclass(frozen=True)
class Rate:
    """What steps of one kind took together."""

    work: int = 0
    seconds: float = 0.0
    count: int = 0

    def plus(self, work: int, seconds: float) -> Rate:
        return Rate(self.work + work, self.seconds + seconds, self.count + 1)


@dataclass(frozen=True)
class History:
    """What earlier runs of the same model and data tell."""

    context: Mapping[str, Any] | None = None
    """What else decides the keys of steps on this machine; None when no run of the same data tells."""
    rates: Mapping[str, Rate] = field(default_factory=dict)
    model_bytes: int | None = None
    runs: tuple[str, ...] = ()


class Historian:
    """Looks earlier runs up, and remembers the last answer: typing a name asks nothing new."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._asked = ""
        self._answer = History()

    def __call__(self, study: Study, device: str) -> History:
        wanted = resolved(rooted(study))
        asked = json.dumps([wanted["data"], wanted["model"], _precisions(wanted), device], sort_keys=True)
        if asked != self._asked:
            self._answer, self._asked = self._look(wanted, device), asked
        return self._answer

    def _look(self, wanted: Mapping[str, Any], device: str) -> History:
        context = model_bytes = None
        rates: dict[str, Rate] = {}
        runs: list[str] = []
        for run, past, environment in self._alike(wanted, device):
            if context is None and _same_keys(wanted, past):
                context = environment.get("context")
            if len(runs) < NEWEST and _add_rates(run, rates):
                runs.append(run.id)
                model_bytes = model_bytes or _model_bytes(run)
            if context is not None and len(runs) == NEWEST:
                break
        return History(context, rates, model_bytes, tuple(runs))

    def _alike(
        self, wanted: Mapping[str, Any], device: str
    ) -> Iterator[tuple[Run, Mapping[str, Any], Mapping[str, Any]]]:
        """Runs of the same model and data on the same kind of device, newest first, with study and environment."""
        names = (short(wanted["model"]["name"]), short(wanted["data"]["name"]))
        listed = [run for run, s in list_runs(self._root) if s and (s.model, s.data) == names and s.started]
        for run in listed[:LOOK_AT]:
            try:
                past = read_toml(run.study_text())
                environment = read_environment(run.folder) or {}
                fits = _without(past["model"], "checkpoint") == _without(wanted["model"], "checkpoint")
                kind = str(environment["device"]).partition(":")[0]
            except (OSError, ValueError, KeyError, TypeError, AttributeError):
                continue  # a run that cannot be read tells nothing
            if fits and device.partition(":")[0] in ("auto", kind):
                yield run, past, environment


def _precisions(study: Mapping[str, Any]) -> list[Any]:
    return [study[table]["precision"] for table in ("train", "finetune")]


def _same_keys(wanted: Mapping[str, Any], past: Mapping[str, Any]) -> bool:
    """Whether equal steps of two studies have equal keys: the same images and the same arithmetic."""
    always_the_same = contribution("data", wanted["data"]["name"]).given.get("images")
    ignored = ("corrupt", "root") if always_the_same else ("corrupt",)
    try:
        return _without(wanted["data"], *ignored) == _without(past["data"], *ignored) and _precisions(
            wanted
        ) == _precisions(past)
    except (KeyError, TypeError):
        return False


def _without(table: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in table.items() if key not in keys}


def _add_rates(run: Run, rates: dict[str, Rate]) -> bool:
    """Add what the computed steps of a run took; False when none was."""
    found = False
    for line in run.tail().lines():
        event = events.from_json(line) if b'"step_finished"' in line else None
        if isinstance(event, events.StepFinished) and not event.cached:
            rates[event.step] = rates.get(event.step, Rate()).plus(event.work, event.seconds)
            found = True
    return found


def _model_bytes(run: Run) -> int | None:
    """The size of a saved network: the dense one's, which is the largest."""
    try:
        return max((int(row["bytes"]) for row in run.rows() if row.get("bytes")), default=None)
    except (OSError, ValueError):
        return None
