"""What the screen of results looks at: a run with its tables, which are computed by the feed's thread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from prunetui.results import summary
from prunetui.results.axes import y_axes
from prunetui.results.summary import UNREADABLE, Line, Sensitivity
from prunetui.store import Run
from prunetui.tui.run_look import RunLook
from prunetui.tui.views import RunView

Row = Mapping[str, Any]


@dataclass(frozen=True)
class RunResults:
    """A run with its tables; ``layers`` has those of a sensitivity study by figure."""

    view: RunView
    lines: tuple[Line, ...] = ()
    layers: Mapping[str, Sequence[Sensitivity]] = field(default_factory=dict)
    trouble: str = ""

    @property
    def is_sensitivity(self) -> bool:
        return any(self.layers.values())

    def why_empty(self) -> str:
        """Why there is no chart."""
        status, rows = self.view.status, self.view.rows
        if status is None:
            return f"{self.view.folder} cannot be read as a run."
        if any(row.get("status") == "done" for row in rows):
            return "Only the dense network is measured so far."
        if self.view.state == "failed" or rows:
            reason = status.message or next((str(row["error"]) for row in rows if row.get("error")), "")
            return f"No trial succeeded: {reason or 'worker.log in the folder of the run tells why'}."
        if self.view.state == "died":
            return f"No trial was finished: {status.message}; r in the list of runs resumes it."
        if self.view.state == "interrupted":
            return "The run was interrupted before a trial was finished; r in the list of runs resumes it."
        return "No trial is finished yet; the first one draws the chart."


class ResultsLook:
    """One run; its tables are made anew when its rows are others."""

    def __init__(self, run: Run) -> None:
        self._look = RunLook(run)
        self._last: RunResults | None = None

    def __call__(self) -> RunResults:
        view, last = self._look(), self._last
        if last is None or view.rows is not last.view.rows:
            self._last = _tables(view)
        elif view is not last.view:
            self._last = replace(last, view=view)
        assert self._last is not None
        return self._last


def _tables(view: RunView) -> RunResults:
    try:
        metrics = view.metrics
        rows = summary.with_drop(view.rows, metrics)
        lines = tuple(summary.lines((row for row in rows if not row.get("layer")), metrics))
        layers = {axis.key: summary.sensitivities(rows, axis.key, metrics) for axis in y_axes(metrics)}
    except UNREADABLE as error:
        return RunResults(view, trouble=f"results.csv cannot be read: {type(error).__name__}: {error}")
    return RunResults(view, lines, layers, view.trouble)
