"""How far a call is: a bar in a terminal or a notebook, and nothing where neither is."""

from __future__ import annotations

from types import TracebackType

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from prunetui.terminal.output import console
from prunetui.terminal.printable import one_line


class StageBar:
    """A bar over stages, on stderr. It is drawn when something happens, by no thread: proofs fork this process."""

    def __init__(self, wanted: bool, stages: int) -> None:
        shown = console(err=True)
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[info]}", markup=False),
            TimeElapsedColumn(),
            console=shown,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
            transient=True,
            disable=not wanted or not (shown.is_terminal or shown.is_jupyter),
        )
        self._task = self._bar.add_task("", total=stages, info="")
        self._begun = 0

    def stage(self, words: str) -> None:
        """A stage begins; those before it are over."""
        self._show(words, self._begun, "")
        self._begun += 1

    def within(self, share: float, info: str) -> None:
        """So much of the stage is done."""
        self._show(None, self._begun - 1 + share, info)

    def _show(self, words: str | None, done: float, info: str) -> None:
        told = None if words is None else one_line(words)
        self._bar.update(self._task, completed=done, description=told, info=one_line(info), refresh=True)

    def __enter__(self) -> StageBar:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()
