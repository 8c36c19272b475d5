"""What the screen that compares looks at: several runs, which are read by the feed's thread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from prunetui.results.comparison import Comparison, Reading, compared, read_run
from prunetui.store import Run
from prunetui.tui.run_look import modified


class CompareLook:
    """Several runs; a file is read again when it has changed."""

    def __init__(self, root: Path, runs: Sequence[str]) -> None:
        self._runs = [Run(root / run) for run in runs]
        self._seen: dict[str, tuple[Any, Reading | str]] = {}
        self._last = Comparison()

    def __call__(self) -> Comparison:
        before = {run: seen for run, (seen, _) in self._seen.items()}
        found = [self._read(run) for run in self._runs]
        if before != {run: seen for run, (seen, _) in self._seen.items()}:
            self._last = compared(found)
        return self._last

    def _read(self, run: Run) -> Reading | str:
        status, changed = run.status(), modified(run.folder / "results.csv")
        seen = (replace(status, heartbeat=0.0) if status else None, changed)
        if run.id not in self._seen or self._seen[run.id][0] != seen:
            self._seen[run.id] = seen, read_run(run, status)
        return self._seen[run.id][1]
