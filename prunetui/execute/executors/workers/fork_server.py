"""A small process that imports torch, then forks a worker for each request.

It never computes itself, so it has no threads that a fork would lose. It ends, with all that it started, when the
process that owns the run is gone. Started as ``python -m prunetui.execute.executors.workers.fork_server SOCKET``.
"""

from __future__ import annotations

import contextlib
import gc
import os
import selectors
import signal
import socket
import sys
import time
import traceback
from multiprocessing.connection import Connection

from prunetui.execute.executors.workers.fork_protocol import ANSWER, CANNOT_START, EXITED, STARTED
from prunetui.execute.stop_signals import STOP_SIGNALS, ignore_stop_signals


def main() -> None:
    """Serve the socket on the command line."""
    ignore_stop_signals()  # the owner hears them, and says stop
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
    import prunetui.execute.executors.workers.worker  # noqa: F401 - brings torch; workers import the rest as needed

    gc.collect()
    gc.freeze()  # what has been imported is garbage in no process, and is not copied for being looked at
    ForkServer(socket.socket(fileno=int(sys.argv[1]))).serve()


class ForkServer:
    """Forks workers and tells when they end."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._logs: dict[int, int] = {}
        """Running processes and the descriptors of their stderr."""
        self._woken, wake = os.pipe()
        os.set_blocking(wake, False)
        os.set_blocking(self._woken, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)

    def serve(self) -> None:
        """Until the owner is gone."""
        selector = selectors.DefaultSelector()
        selector.register(self._control, selectors.EVENT_READ)
        selector.register(self._woken, selectors.EVENT_READ)
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
                        os.read(self._woken, 1024)
                    self._reap()

    def _fork(self, pipe: int, stderr: int) -> None:
        for descriptor in (pipe, stderr):
            os.set_inheritable(descriptor, False)  # what a method starts must not keep the pipe open
        try:
            process = os.fork()
        except OSError as error:
            os.close(pipe)
            os.close(stderr)
            self._send(CANNOT_START, 0, error.errno or 0)
            return
        if process == 0:
            self._become_worker(pipe, stderr)
        os.close(pipe)
        self._logs[process] = stderr
        self._send(STARTED, process, 0)

    def _become_worker(self, pipe: int, stderr: int) -> None:
        code = 1
        try:
            self._control.close()
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.dup2(stderr, 1)
            os.dup2(stderr, 2)
            for descriptor in self._logs.values():
                os.close(descriptor)
            from prunetui.execute.executors.workers.worker import serve

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
            self._send(EXITED, process, os.waitstatus_to_exitcode(status))

    def _send(self, kind: bytes, process: int, code: int) -> None:
        with contextlib.suppress(OSError):  # the owner has gone: heard in a moment
            self._control.sendall(ANSWER.pack(kind, process, code))

    def _end(self) -> None:
        """Leave nothing behind; the log says so, for who was killed cannot."""
        for process, log in self._logs.items():
            os.kill(process, signal.SIGKILL)
            stamp = time.strftime("%Y-%m-%d %H:%M:%S,000")
            message = f"the run's own process has ended, so computing process {process} ends, too"
            line = f"{stamp} ERROR prunetui: {message}\n"
            with contextlib.suppress(OSError):
                os.write(log, line.encode())


if __name__ == "__main__":
    main()
