"""A program in a terminal of its own: when it shows something, and how many bytes it sends."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

import psutil

CODE = Path(__file__).resolve().parents[1]


class Terminal:
    """Runs ``python ARGUMENTS`` until the context is left."""

    def __init__(self, arguments: Sequence[str], size: tuple[int, int] = (80, 24), config: Path = Path()) -> None:
        self._started = time.perf_counter()
        self._pid, self._screen = pty.fork()
        if self._pid == 0:
            os.environ.update(TERM="xterm-256color", COLORTERM="truecolor", XDG_CONFIG_HOME=str(config))
            os.environ["PYTHONPATH"] = os.pathsep.join([str(CODE), os.environ.get("PYTHONPATH", "")])
            os.execv(sys.executable, [sys.executable, *arguments])
        fcntl.ioctl(self._screen, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        os.close(self._screen)

    def until_shown(self, text: bytes, seconds: float = 30) -> float:
        """Milliseconds from the start until some text is sent."""
        shown = b""
        while text not in shown:
            if time.perf_counter() - self._started > seconds:
                raise TimeoutError(f"{text!r} was never shown")
            shown += self._read()
        return 1000 * (time.perf_counter() - self._started)

    def sent(self, seconds: float, each: Callable[[], object] | None = None, hertz: float = 10) -> int:
        """Bytes sent during some seconds, in which ``each`` is done so many times a second."""
        count, began, turns = 0, time.perf_counter(), 0
        while (passed := time.perf_counter() - began) < seconds:
            if each and passed * hertz >= turns:
                turns += 1
                each()
            count += len(self._read())
        return count

    def stop(self) -> None:
        """The program stands still until ``go_on``."""
        os.kill(self._pid, signal.SIGSTOP)

    def go_on(self) -> None:
        os.kill(self._pid, signal.SIGCONT)

    def busy_seconds(self) -> float:
        """Processor time that the program has taken."""
        times = psutil.Process(self._pid).cpu_times()
        return float(times.user + times.system)

    def _read(self) -> bytes:
        return os.read(self._screen, 1 << 16) if select.select([self._screen], [], [], 0.02)[0] else b""
