"""``prunetui.run``: a study is executed as ``prunetui --batch`` does, and its run handed back.

The run is executed by a thread, and computed by child processes: the caller's own thread only shows events and waits,
so that an interrupt is heard at once, and no signal handler of the caller's is touched.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prunetui.cli.run_study import POLL_SECONDS, check_device, is_done, resumed
from prunetui.cli.run_views import View, view_for
from prunetui.errors import UsageError
from prunetui.execute.execution import execute
from prunetui.execute.submit import submit
from prunetui.scripting.given_study import Given, given_study, overrides_of
from prunetui.scripting.opened_run import RUNS, OpenedRun
from prunetui.store import Run
from prunetui.terminal.output import say


def run(
    study: Given | None = None, *, set: Mapping[str, Any] | None = None, runs: str | Path = RUNS, device: str = "auto",
    resume: str | None = None, trust: bool = False, progress: bool = True,
) -> OpenedRun:  # fmt: skip
    """Execute a study and return its run, also where trials failed (see ``failed``).

    ``study``: a file, the name of a preset, a dict of what a file would say, or a Study; ``set``: changes on top, as
    ``{"seeds": [0, 1, 2], "train.epochs": 3}``. ``runs``: the folder of runs; steps that an earlier one of it computed
    are found. ``device``: auto, cpu, cuda or cuda:N. ``resume``: go on with a run, by its id, path or ``last``;
    ``trust`` lets one from elsewhere run the code that it names.

    An interrupt (Ctrl-C, or a notebook's stop) ends the run after the current batch and is raised then; a second one
    does not wait for that. Either way the run can be resumed.

    Raises:
        UsageError: the study has mistakes (all are told), or there is no such device or run.
        RunFailed: the run as a whole cannot go on.
    """
    root, changes = Path(runs).expanduser(), set or {}
    check_device(device)
    if resume is not None:
        if study is not None and not isinstance(study, str | Path):
            raise UsageError("resume goes with the study's file, or with none")
        made = resumed(root, resume, None if study is None else str(study), overrides_of(changes), trust)
    elif study is None:
        raise UsageError("say which study: a file, the name of a preset, a dict or a Study; or resume a run")
    else:
        made = submit(given_study(study, changes), root)
    if not is_done(made):
        _watch(_Execution(made, device), made, view_for(json=False, quiet=not progress), root)
    return OpenedRun(made.folder.resolve())


class _Execution(threading.Thread):
    """Executes a run; asks after each batch whether to stop."""

    def __init__(self, made: Run, device: str) -> None:
        super().__init__(name=f"run {made.id}", daemon=True)
        self.stopped = threading.Event()
        self.error: BaseException | None = None
        self._run, self._device = made, device

    def run(self) -> None:
        try:
            execute(self._run, self._device, self.stopped.is_set)
        except BaseException as error:  # noqa: BLE001 - raised where the caller waits
            self.error = error


def _watch(execution: _Execution, made: Run, view: View, root: Path) -> None:
    tail = made.tail()
    tail.lines()  # what an earlier execution did has been told then
    execution.start()
    try:
        while execution.is_alive():
            try:
                execution.join(POLL_SECONDS)
                view.show(tail.lines())
            except KeyboardInterrupt:
                if execution.stopped.is_set():
                    raise
                execution.stopped.set()
        view.show(tail.lines())
    finally:
        view.close()
        if execution.stopped.is_set():
            say(f"interrupted; go on with: prunetui.run(resume={made.id!r}, runs={str(root)!r})", err=True)
    if execution.error is not None:
        raise execution.error
    if execution.stopped.is_set():
        raise KeyboardInterrupt
