"""A worker process: executes the trials that it is given, one after the other, until it is told to end.

Whatever it does to itself - a crash in native code, the system's out-of-memory killer - costs the trial it is at. It
knows its owner by the pipe only.
"""

from __future__ import annotations

import ctypes
import faulthandler
import importlib
import logging
import os
import signal
import sys
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

from prunetui.config import parse_study
from prunetui.engine.device import find_device  # noqa: F401 - whoever imports this module wants torch to be there
from prunetui.errors import Interrupted, PrunetuiError, RunFailed, UsageError
from prunetui.execute.engine_setup import set_up_engine
from prunetui.execute.executor import ExecutionContext, Finished, Stopped
from prunetui.execute.executors.workers.worker_inbox import WorkerInbox
from prunetui.execute.executors.workers.worker_messages import Begin, Unable
from prunetui.execute.python_process import isolate_imports
from prunetui.execute.run_control import RunControl
from prunetui.execute.run_log import logging_to
from prunetui.execute.stop_signals import STOP_SIGNALS, ignore_stop_signals
from prunetui.execute.trial_execution import execute_trial
from prunetui.store import Run
from prunetui.store.control import Control

if TYPE_CHECKING:
    from prunetui.engine.run import Engine

PR_SET_PDEATHSIG = 1


def main() -> None:
    """A process of its own, where no fork server can be: its pipe is the descriptor on the command line."""
    ignore_stop_signals()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
    serve(Connection(int(sys.argv[1])))


def serve(pipe: Connection) -> None:
    """Execute what the owner at the other end of ``pipe`` asks for."""
    _end_with_parent()
    faulthandler.enable()  # where it was goes to stderr, which is the run's log
    begin: Begin = pipe.recv()
    _take_over(begin)
    inbox = WorkerInbox(pipe, os.getppid())
    run = Run(Path(begin.folder))
    with logging_to(run.folder / "worker.log"):
        try:
            context = _context(run, begin, inbox)
            engine, prepared = set_up_engine(context, begin.parallel)
        except Interrupted as error:
            inbox.send(Stopped(str(error)))
        except Exception as error:
            logging.getLogger(__name__).exception("a computing process cannot begin")
            inbox.send(Unable(_sendable(error)))
        else:
            inbox.send(prepared)
            _execute_trials(engine, context.control, inbox)


def _end_with_parent() -> None:
    """Be killed when the fork server is, where the system can do that; elsewhere ``WorkerInbox`` notices."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)


def _take_over(begin: Begin) -> None:
    os.chdir(begin.working_folder)
    os.environ.clear()
    os.environ.update(begin.environment)
    sys.path[:] = begin.path
    isolate_imports()
    importlib.invalidate_caches()


def _context(run: Run, begin: Begin, inbox: WorkerInbox) -> ExecutionContext:
    control = RunControl(inbox.should_stop, Control(run), lambda what: None)  # the owner says that it is paused
    study = parse_study(run.study_text(), file=str(run.folder / "study.toml"))
    return ExecutionContext(run, study, begin.device, begin.threads, control, inbox.send)


def _execute_trials(engine: Engine, control: RunControl, inbox: WorkerInbox) -> None:
    trials = {trial.id: trial for trial in engine.plan.trials}
    while (asked := inbox.next()) is not None:
        ignore_stop_signals()  # a method may have set them back
        engine.time_latency = asked.time_latency
        try:
            inbox.send(Finished(asked.trial, execute_trial(engine, trials[asked.trial], control)))
        except Interrupted as error:
            inbox.send(Stopped(str(error), asked.trial))
        except (UsageError, OSError) as error:
            inbox.send(Unable(_sendable(error)))


def _sendable(error: Exception) -> Exception:
    """The same in words, of a kind that can be made again from them in another process."""
    if isinstance(error, OSError):
        return OSError(error.errno, error.strerror or str(error), error.filename)
    kind = UsageError if isinstance(error, UsageError) else RunFailed
    return kind(str(error) if isinstance(error, PrunetuiError) else f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
