"""A run as scripts and notebooks see it: its table, figure, networks, study and events, read from its folder."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prunetui import events
from prunetui.cli.export_network import model_of
from prunetui.config import Study, parse_study
from prunetui.errors import DataError, UsageError
from prunetui.report.charts import X_LABELS, picture_of, y_labels
from prunetui.report.gather import gather
from prunetui.results.axes import X_AXES, Axis, y_axes
from prunetui.results.figure import figure_of
from prunetui.scripting.result_rows import table_of
from prunetui.store import Run, Status, find_run

if TYPE_CHECKING:
    from torch import nn

RUNS = "runs"


@dataclass(frozen=True)
class OpenedRun:
    """A run on disk, finished or not; every question reads what is there now."""

    path: Path

    @property
    def id(self) -> str:
        """The name of its folder."""
        return self.path.name

    @property
    def status(self) -> str:
        """queued, running, done, failed, interrupted or died."""
        return self._status.state

    @property
    def failed(self) -> list[dict[str, str]]:
        """The trials that failed, each with its error."""
        rows = Run(self.path).rows()
        return [{"trial": row["trial"], "error": row["error"]} for row in rows if row["status"] == "failed"]

    @property
    def study(self) -> Study:
        """What was asked, every default spelled out."""
        return parse_study(Run(self.path).study_text(), file=str(self.path / "study.toml"))

    @property
    def events(self) -> list[events.Event]:
        """All that happened."""
        return Run(self.path).tail().read()

    def table(self) -> Any:
        """One row a trial: a pandas DataFrame where pandas is installed, else a list of dicts that shows itself."""
        metrics = self._status.metrics
        return table_of(Run(self.path).rows(), (metrics.dense.key, metrics.before.key, metrics.primary.key))

    def figure(self, x: str = "sparsity", y: str | None = None) -> Any:
        """A figure of matplotlib's as a report draws it: means of seeds with their spread, one curve a method.

        ``x`` and ``y`` are columns of the table; ``y`` is the primary metric if it is not said.

        Raises:
            UsageError: no such column can stand there.
            DataError: no trial of a method is done.
        """
        material = gather(self.path.parent, [str(self.path)])
        across, up = _axis(X_AXES, x, "x"), _axis(y_axes(material.metrics), y or material.metrics.primary.key, "y")
        picture = picture_of(material.lines, across, up, with_front=False)
        if picture.bounds() is None:
            raise DataError(f"there is nothing to draw of {self.id}: no trial of a method has {x} and {up.key}")
        labels = {**X_LABELS, **y_labels(material.metrics)}
        return figure_of(picture, material.title, labels.get(up.key, up.metric.titled()))

    def model(self, trial: str, trust: bool = False) -> nn.Module:
        """The network of a trial, as ``prunetui.load`` gives it; ``trust`` runs a file of somebody's that it names.

        Raises:
            UsageError: the run kept none; or its network is built by somebody's file, which is not trusted.
        """
        from prunetui.scripting.saved_network import load

        return load(model_of(Run(self.path), trial), trust=trust)

    @property
    def _status(self) -> Status:
        status = Run(self.path).status()
        if status is None:
            raise DataError(f"{self.path} cannot be read as a run")
        return status

    def __repr__(self) -> str:
        status = self._status
        return f"<run {self.id}: {status.state}, {status.done} of {status.trials} trials done>"


def open_run(run: str | Path, runs: str | Path = RUNS) -> OpenedRun:
    """A run by its path, its id or part of that, or ``last``, in the folder ``runs``.

    Raises:
        UsageError: there is none, or several are called so.
    """
    return OpenedRun(find_run(Path(runs).expanduser(), str(run)).folder.resolve())


def _axis(axes: Sequence[Axis], key: str, which: str) -> Axis:
    keys = [axis.key for axis in axes]
    if key not in keys:
        near = difflib.get_close_matches(key, keys, 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise UsageError(f"{which} is {key!r}; there are: {', '.join(keys)}{hint}")
    return axes[keys.index(key)]
