"""``prunetui --batch``: executes a run in this process and shows its events in the terminal.

The run has the main thread: signals arrive there; a thread reads the
run's events from its folder, as every view does, and draws them on stderr. stdout gets the results.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

from prunetui.cli.run_views import View, view_for
from prunetui.errors import EXIT_DONE, EXIT_INTERRUPTED, UsageError
from prunetui.store import Run, find_run
from prunetui.terminal.output import say

POLL_SECONDS = 0.2


def run_batch(
    study: str | None,
    runs: Path,
    overrides: Sequence[str],
    device: str,
    resume: str | None,
    json: bool,
    quiet: bool,
    trust: bool = False,
) -> int:
    """Execute a study, or go on with a run; returns the exit code."""
    check_device(device)
    created = study or "quickstart"
    run = resumed(runs, resume, study, overrides, trust) if resume else _created(created, runs, overrides)
    view = view_for(json, quiet)
    code = EXIT_DONE
    try:
        code = EXIT_DONE if is_done(run) else _execute(run, device, view)
    finally:
        if not json:
            _tell_end(run, quiet)
        if code == EXIT_INTERRUPTED:
            resume = f"prunetui --batch --runs {runs} --resume {run.id}"
            say(f"interrupted; go on with: {resume}", err=True)
    return code


def check_device(device: str) -> None:
    """Refuse a device that is not there before a folder is made for it."""
    if device not in ("auto", "cpu"):
        from prunetui.engine.device import find_device

        find_device(device)


def _created(study: str, runs: Path, overrides: Sequence[str]) -> Run:
    from prunetui.config import load_study
    from prunetui.execute.submit import submit

    return submit(load_study(study, overrides), runs)


def resumed(runs: Path, resume: str, study: str | None, overrides: Sequence[str], trust: bool) -> Run:
    """The run to go on with; the command that started it may be repeated, with other settings that change no figure.

    Raises:
        UsageError: it is executed already, other settings differ, or it names code that nobody here has named.
    """
    from prunetui.execute import trusted_code

    run = find_run(runs, resume)
    status = run.status()
    if status is None:
        raise UsageError(f"{run.folder} is not a run that can be resumed")
    if status.state == "running":  # before a view shows what that process does
        raise UsageError(f"the run {run.id} is being executed by process {status.pid} on {status.host}")
    named = trusted_code.untrusted_code(run)
    if named and not trust:
        raise UsageError(
            f"{run.id} comes from elsewhere and names code of {' and '.join(named)}, which resuming it runs: "
            "--trust if you trust whoever made it"
        )
    if study or overrides:
        from prunetui.execute.resume import change_settings

        change_settings(run, study, overrides)
    trusted_code.trust(run)
    return run


def is_done(run: Run) -> bool:
    status = run.status()
    return status is not None and status.state == "done" and not status.failed


def _execute(run: Run, device: str, view: View) -> int:
    over = threading.Event()
    tail = run.tail()
    tail.lines()  # what an earlier execution did has been told then

    def watch() -> None:
        while not over.wait(POLL_SECONDS):
            view.show(tail.lines())
        view.show(tail.lines())
        view.close()

    from prunetui.execute.execution import execute
    from prunetui.execute.launcher import note_interrupted
    from prunetui.execute.stop_signals import Stop

    stop = Stop(before_exit=lambda: note_interrupted(run, "stopped at once"))
    stop.listen()
    watcher = threading.Thread(target=watch, name="view", daemon=True)
    watcher.start()
    try:
        return execute(run, device, stop)
    finally:
        over.set()
        watcher.join()


def _tell_end(run: Run, quiet: bool) -> None:
    from prunetui.cli.show_run import print_results

    if not quiet and run.rows():
        print_results(run.rows(), run.metrics())
    say(run.folder if quiet else f"run: {run.folder}")
