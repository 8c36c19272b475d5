"""A computing process: executes the trials it is told, one after the other, until it is told to end.

Whatever it does to itself - a crash in native code, the system's out-of-memory killer - costs the trial it is at. It
sees of its owner only the pipe.
"""

from __future__ import annotations

import ctypes
import faulthandler
import importlib
import logging
import os
import queue
import signal
import sys
import threading
from multiprocessing.connection import Connection
from pathlib import Path

from prunetui.config import parse_study
from prunetui.engine.device import find_device  # noqa: F401 - whoever imports this module wants torch to be there
from prunetui.errors import Interrupted, PrunetuiError, RunFailed, UsageError
from prunetui.execute.assembly import Assembled, assemble
from prunetui.execute.logs import logging_to
from prunetui.execute.messages import Begin, Compute, End, Row, Stop, Stopped, Unable
from prunetui.execute.python_process import isolate_imports
from prunetui.execute.run_control import Obedience
from prunetui.execute.stop_signals import STOP_SIGNALS
from prunetui.execute.trials import row_of
from prunetui.store import Run
from prunetui.store.control import Control

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
    inbox = _Inbox(pipe, os.getppid())
    run = Run(Path(begin.folder))
    with logging_to(run.folder / "worker.log"):
        try:
            made = _assembled(run, begin, inbox)
        except Interrupted as error:
            inbox.send(Stopped(str(error)))
        except Exception as error:
            logging.getLogger(__name__).exception("a computing process cannot begin")
            inbox.send(Unable(_sendable(error)))
        else:
            inbox.send(made[0].prepared())
            _compute(*made, inbox)


def ignore_stop_signals() -> None:
    """The owner hears what everyone in this terminal gets, and says stop."""
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _end_with_parent() -> None:
    """Be killed when the fork server is, where the system can do that; elsewhere ``_Inbox`` notices."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)


def _take_over(begin: Begin) -> None:
    os.chdir(begin.working_folder)
    os.environ.clear()
    os.environ.update(begin.environment)
    sys.path[:] = begin.path
    isolate_imports()
    importlib.invalidate_caches()


class _Inbox:
    """What the owner says, heard by a thread at any time; both directions of the pipe."""

    def __init__(self, pipe: Connection, parent: int) -> None:
        self._pipe = pipe
        self._parent = parent
        self._process = os.getpid()
        self._stopped = threading.Event()
        self._work: queue.SimpleQueue[Compute | None] = queue.SimpleQueue()
        threading.Thread(target=self._listen, name="inbox", daemon=True).start()

    def _listen(self) -> None:
        while True:
            try:
                said = self._pipe.recv()
            except (EOFError, OSError):  # the owner has gone
                self._stopped.set()
                said = End()
            if isinstance(said, Stop):
                self._stopped.set()
            elif isinstance(said, Compute):
                self._work.put(said)
            else:
                self._work.put(None)
                return

    def should_stop(self) -> bool:
        """Whether the owner wants it, or is gone."""
        return self._stopped.is_set() or os.getppid() != self._parent

    def next(self) -> Compute | None:
        """The next trial; waits for it. None when there are no more."""
        return self._work.get()

    def send(self, message: object) -> None:
        """Tell the owner; one that is gone stops this process."""
        if os.getpid() != self._process:
            os._exit(1)  # a copy that a method made of this process
        try:
            self._pipe.send(message)
        except OSError:
            self._stopped.set()
            self._work.put(None)


def _assembled(run: Run, begin: Begin, inbox: _Inbox) -> tuple[Assembled, Obedience]:
    obey = Obedience(inbox.should_stop, Control(run), lambda what: None)
    study = parse_study(run.study_text(), file=str(run.folder / "study.toml"))
    return assemble(run, study, begin.device, obey, inbox.send, begin.processes, begin.threads), obey


def _compute(made: Assembled, obey: Obedience, inbox: _Inbox) -> None:
    trials = {trial.id: trial for trial in made.engine.plan.trials}
    while (asked := inbox.next()) is not None:
        ignore_stop_signals()  # a method may have set them back
        made.engine.time_latency = asked.time_latency
        try:
            inbox.send(Row(asked.trial, row_of(made.engine, trials[asked.trial], obey)))
        except Interrupted as error:
            inbox.send(Stopped(str(error)))
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
