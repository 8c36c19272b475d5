"""The runs of a folder as a table: live ones first, the others in the chosen order."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from prunetui.metrics import CLASSIFICATION, Metric
from prunetui.terminal.durations import ago, clock
from prunetui.tui.views import LIVE, ORDER, Entry
from prunetui.tui.widgets.table_columns import Column
from prunetui.tui.widgets.virtual_table import VirtualTable
from prunetui.tui.words import bar, state_text


class Runs(VirtualTable[Entry]):
    """One row a run; ``now`` gives the time that ages are reckoned from."""

    def __init__(self, now: Callable[[], float], ascii_only: bool, **more: Any) -> None:
        super().__init__(_columns(now, ascii_only), key=lambda entry: entry.id, **more)
        self._sorted: tuple[tuple[Entry, ...] | None, tuple[str, bool], list[Entry]] = (None, ("", False), [])
        """Which entries, in which order, in that order."""

    def ordered(self, entries: tuple[Entry, ...]) -> list[Entry]:
        """All of them in the chosen order, which is found once and not for each letter of a filter."""
        by, down = asked = self.sorted_by
        if self._sorted[0] is not entries or self._sorted[1] != asked:
            column = next((c for c in self.columns if c.key == by), self.columns[-1])
            ordered = sorted(entries, key=column.order, reverse=down)
            self._sorted = (entries, asked, sorted(ordered, key=_live_first))
        return self._sorted[2]


def _live_first(entry: Entry) -> tuple[int, int]:
    """Running, then waiting in the queue's order, then all others as they were."""
    return (ORDER.get(entry.state, 0) if entry.state in (*LIVE, "paused") else 9, entry.place)


def _figure_column(name: str, value: Callable[[Entry], float | None]) -> Column[Entry]:
    """A value of the primary metric; sorted by metric and then by value, what is missing first."""

    def metric(entry: Entry) -> Metric:
        return (entry.status.metrics if entry.status else CLASSIFICATION).primary

    def text(entry: Entry) -> str:
        """By name where it is not what most runs measure."""
        found, of = value(entry), metric(entry)
        if found is None:
            return "-"
        return of.number(found) if of == CLASSIFICATION.primary else f"{of.text(found)} {of.title}"

    def order(entry: Entry) -> tuple[str, float]:
        found = value(entry)
        return metric(entry).title, -math.inf if found is None else found

    return Column(name, name, text, order, True, 5)


def _columns(now: Callable[[], float], ascii_only: bool) -> list[Column[Entry]]:
    def status(name: str) -> Callable[[Entry], Any]:
        return lambda entry: getattr(entry.status, name, None) if entry.status else None

    def word(name: str) -> Callable[[Entry], str]:
        return lambda entry: str(status(name)(entry) or "")

    def progress(entry: Entry) -> str:
        if entry.place:
            return f"{entry.place}. in queue"
        if entry.status is None:
            return ""
        over = f"{entry.status.done + entry.status.failed}/{entry.status.trials}"
        left = entry.seconds_left(now())
        live = entry.state in ("running", "paused")
        shown = f"{bar(entry.fraction, 6, ascii_only)} " if live else ""
        return f"{shown}{over}{f' {clock(left)}' if left is not None else ''}"

    def methods(entry: Entry) -> str:
        return ", ".join(entry.status.methods) if entry.status else ""

    return [
        Column("state", "state", lambda e: state_text(e.state), lambda e: ORDER.get(e.state, 9), least=13),
        Column("name", "name", lambda e: e.name, lambda e: e.name.lower(), least=12, most=34, enough=16),
        Column("progress", "trials", progress, lambda e: e.fraction, least=17),
        Column("model", "model", word("model"), word("model"), least=5),
        Column("data", "data", word("data"), word("data"), least=5, drop=1),
        Column("methods", "methods", methods, methods, least=12, most=40, drop=2, enough=12),
        _figure_column("dense", status("dense")),
        _figure_column("best", status("best")),
        Column("age", "age", lambda e: ago(e.age(now())) if e.status else "", lambda e: e.age(now()), True, 3),
    ]
