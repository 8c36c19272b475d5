"""Start computing processes at once: a small server imports torch, then forks a process for each request.

A fresh process takes seconds to import torch; a fork of one that has done so is there in milliseconds. The server
itself never computes, so it has no threads that a fork would lose. It ends, with all that it started, when its owner is
gone.

Started as ``python -m prunetui.execute.fork_server SOCKET``. A request is one byte with two descriptors, those of the
new process's pipe and of its stderr; answers are ``ANSWER``: "s" with the process id once it has started, "x" with an
error number when it could not, "e" with its exit code, negative for a signal, when it has ended.
"""

from __future__ import annotations

import contextlib
import gc
import os
import select
import selectors
import signal
import socket
import struct
import subprocess
import sys
import time
import traceback
from multiprocessing import Pipe
from multiprocessing.connection import Connection

from prunetui.errors import RunFailed
from prunetui.execute.child_processes import stop_signals_blocked, wait_until
from prunetui.execute.python_process import python_command
from prunetui.execute.stop_signals import STOP_SIGNALS

ANSWER = struct.Struct("=cii")
MODULE = "prunetui.execute.fork_server"
ATTEMPTS = 3
PATIENCE_SECONDS = 120.0
"""How long the first import of torch may take on a busy machine with a cold disk."""


class ForkServer:
    """The owner's side: starts processes and tells how they ended."""

    def __init__(self) -> None:
        self._ended: dict[int, int] = {}
        self._launch()

    def _launch(self) -> None:
        self._control, theirs = socket.socketpair()
        with theirs, stop_signals_blocked():
            self.process = subprocess.Popen(
                python_command(MODULE, str(theirs.fileno())),
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,  # stdout is for data
            )

    def start(self, stderr: int) -> tuple[int, Connection]:
        """As ``ChildProcesses.start``; a server that was killed is started anew.

        Raises:
            RunFailed: no process can be started.
        """
        for _ in range(ATTEMPTS):
            if self.process.poll() is not None:
                self._control.close()
                self._launch()
            ours, theirs = Pipe()
            with theirs, contextlib.suppress(OSError):  # the server is gone: the next one may do
                socket.send_fds(self._control, [b"f"], [theirs.fileno(), stderr])
                process = self._started()
                if process is not None:
                    return process, ours
            ours.close()
        raise RunFailed("the process that starts the computing processes ends again and again; resume the run")

    def _started(self) -> int | None:
        """The id of the process that was asked for; None where the server is gone."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (answer := self._answer(deadline)) is not None:
            kind, process, code = answer
            if kind == b"s":
                return process
            if kind == b"x":
                raise RunFailed(f"no computing process can be started: {os.strerror(code)}")
            self._ended[process] = code
        if self.process.poll() is None:
            self.process.kill()  # it does not answer
            self.process.wait()
        return None

    def died(self) -> set[int]:
        """As ``ChildProcesses.died``."""
        while select.select([self._control], [], [], 0)[0]:
            answer = self._answer(time.monotonic() + 1)
            if answer is None:  # the server is gone: the pipes of its processes tell
                break
            self._ended[answer[1]] = answer[2]
        return set(self._ended)

    def ended(self, process: int, patience: float) -> int | None:
        """As ``ChildProcesses.ended``."""
        deadline = time.monotonic() + patience
        while process not in self._ended:
            answer = self._answer(deadline)
            if answer is None:
                return None
            self._ended[answer[1]] = answer[2]
        return self._ended.pop(process)

    def _answer(self, deadline: float) -> tuple[bytes, int, int] | None:
        self._control.settimeout(wait_until(deadline))
        try:
            data = self._control.recv(ANSWER.size, socket.MSG_WAITALL)
        except OSError:
            return None
        return ANSWER.unpack(data) if len(data) == ANSWER.size else None

    def close(self) -> None:
        """End the server, and whatever it started that has not ended."""
        self._control.close()
        self.process.wait()


def main() -> None:
    """The server's side."""
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)  # the owner hears them, and says stop
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
    import prunetui.execute.child  # noqa: F401 - brings torch; each process imports the rest as it needs it

    gc.collect()
    gc.freeze()  # what has been imported is garbage in no process, and is not copied for being looked at
    _Server(socket.socket(fileno=int(sys.argv[1]))).serve()


class _Server:
    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._logs: dict[int, int] = {}
        """Running processes and the descriptors of their stderr."""
        self._heard, wake = os.pipe()
        os.set_blocking(wake, False)
        os.set_blocking(self._heard, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)

    def serve(self) -> None:
        """Until the owner is gone."""
        selector = selectors.DefaultSelector()
        selector.register(self._control, selectors.EVENT_READ)
        selector.register(self._heard, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is self._control:
                    try:
                        data, descriptors, *_ = socket.recv_fds(self._control, 1, 2)
                    except OSError:  # gone with an answer unread
                        return self._end()
                    if not data:
                        return self._end()
                    self._fork(*descriptors)
                else:
                    with contextlib.suppress(BlockingIOError):
                        os.read(self._heard, 1024)
                    self._reap()

    def _fork(self, pipe: int, stderr: int) -> None:
        for descriptor in (pipe, stderr):
            os.set_inheritable(descriptor, False)  # what a method starts must not keep the pipe open
        try:
            process = os.fork()
        except OSError as error:
            os.close(pipe)
            os.close(stderr)
            self._send(b"x", 0, error.errno or 0)
            return
        if process == 0:
            self._become_child(pipe, stderr)
        os.close(pipe)
        self._logs[process] = stderr
        self._send(b"s", process, 0)

    def _become_child(self, pipe: int, stderr: int) -> None:
        code = 1
        try:
            self._control.close()
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.dup2(stderr, 1)
            os.dup2(stderr, 2)
            for descriptor in self._logs.values():
                os.close(descriptor)
            from prunetui.execute.child import serve

            serve(Connection(pipe))
            code = 0
        except BaseException:  # noqa: BLE001 - whatever it is, this copy of the server must end here
            traceback.print_exc()
        finally:
            with contextlib.suppress(OSError, ValueError):
                sys.stderr.flush()
            os._exit(code)

    def _reap(self) -> None:
        while self._logs:
            process, status = os.waitpid(-1, os.WNOHANG)
            if process == 0:
                return
            os.close(self._logs.pop(process))
            self._send(b"e", process, os.waitstatus_to_exitcode(status))

    def _send(self, kind: bytes, process: int, code: int) -> None:
        with contextlib.suppress(OSError):  # the owner has gone: heard in a moment
            self._control.sendall(ANSWER.pack(kind, process, code))

    def _end(self) -> None:
        """Leave nothing behind; the log says so, for who was killed cannot."""
        for process, log in self._logs.items():
            os.kill(process, signal.SIGKILL)
            stamp = time.strftime("%Y-%m-%d %H:%M:%S,000")
            told = f"the run's own process has ended, so computing process {process} ends, too"
            line = f"{stamp} ERROR prunetui: {told}\n"
            with contextlib.suppress(OSError):
                os.write(log, line.encode())


if __name__ == "__main__":
    main()
