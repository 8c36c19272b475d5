"""A run outlives the screen: the terminal closes or the application is killed, and the run is finished."""

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
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from prunetui.config import parse_study
from prunetui.execute.submit import submit
from prunetui.store import Run
from prunetui.store.queue import Queue

ROOT = Path(__file__).resolve().parents[2]
STUDY = """
name = "outlives"
sparsities = [0.5]
methods = ["global-unstructured"]
model = { name = "resnet20", width = 4 }
train = { epochs = 40, batch_size = 64 }
finetune = { epochs = 1 }
data = { limit = 600 }
"""


class Terminal:
    """The application in a terminal of its own."""

    def __init__(self, runs: Path, config: Path, *words: str) -> None:
        self.pid, self._screen = pty.fork()
        if self.pid == 0:
            signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as `nohup` has it
            os.environ.update(XDG_CONFIG_HOME=str(config), TERM="xterm-256color", PYTHONPATH=str(ROOT))
            os.chdir(ROOT)
            os.execv(sys.executable, [sys.executable, "-m", "prunetui", *words, "--runs", str(runs)])
        fcntl.ioctl(self._screen, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.shown = b""
        self._open = True

    def read(self, seconds: float) -> None:
        """Take what the application draws for a while; a full pipe would block it."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if select.select([self._screen], [], [], 0.05)[0]:
                try:
                    self.shown += os.read(self._screen, 65536)
                except OSError:  # it has gone
                    self._open = False
                    return

    def wait_for(self, text: bytes, seconds: float = 20) -> None:
        until = time.monotonic() + seconds
        while text not in self.shown:
            assert time.monotonic() < until, f"{text!r} was never shown; the last was {self.shown[-300:]!r}"
            self.read(0.2)

    def press(self, keys: bytes) -> None:
        os.write(self._screen, keys)

    def hang_up(self) -> None:
        self._open = False
        os.close(self._screen)

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)

    def ended(self, seconds: float = 30) -> int | None:
        """Its exit status, or None if it still lives: a busy disk holds who dies while it writes."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                return status
            if self._open:
                self.read(0.1)
            else:
                time.sleep(0.05)
        return None


@pytest.fixture
def queued(tmp_path: Path) -> Run:
    """A run that waits for an application to execute it."""
    run = submit(parse_study(STUDY), tmp_path / "runs")
    Queue(tmp_path / "runs").add(run.id)
    return run


@pytest.fixture
def terminals(tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    opened: list[Terminal] = []

    def open_terminal(*words: str) -> Terminal:
        opened.append(Terminal(tmp_path / "runs", tmp_path / "config", *words))
        return opened[-1]

    yield open_terminal
    for terminal in opened:
        try:
            os.kill(terminal.pid, signal.SIGKILL)
            os.waitpid(terminal.pid, 0)
        except (ProcessLookupError, ChildProcessError):
            continue  # it has ended, as it should


def state(run: Run) -> str:
    status = run.status()
    return status.state if status else "none"


def wait_until(run: Run, wanted: str, terminal: Terminal | None = None, seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while state(run) != wanted:
        assert time.monotonic() < until, f"the run is {state(run)}, not {wanted}"
        if terminal:
            terminal.read(0.1)
        else:
            time.sleep(0.05)


def test_the_terminal_closes_and_the_run_goes_on(queued: Run, terminals: Callable[..., Terminal]) -> None:
    terminal = terminals()
    terminal.wait_for(b"outlives")
    wait_until(queued, "running")
    terminal.hang_up()
    assert terminal.ended() is not None  # neither hangs nor spins
    assert state(queued) == "running"
    wait_until(queued, "done")
    assert {row["status"] for row in queued.rows()} == {"done"}


def test_the_application_is_killed_and_the_next_one_finds_its_run(
    queued: Run, terminals: Callable[..., Terminal]
) -> None:
    first = terminals()
    wait_until(queued, "running")
    first.kill()
    assert first.ended() is not None
    second = terminals("watch", "last")
    second.wait_for(b"running")
    second.press(b"s")
    second.wait_for(b"Stop after this step")
    second.press(b"\x1b[B\r")  # the second answer: stop now
    wait_until(queued, "interrupted", second)
    second.wait_for(b"R resumes it")
    second.press(b"R")
    wait_until(queued, "running", second)
    wait_until(queued, "done", second)
    second.press(b"q")
    assert second.ended() == 0
    assert second.shown.rstrip().endswith(b"\x1b[?25h") or b"\x1b[?1049l" in second.shown[-400:]  # screen restored


def test_quitting_while_something_runs_asks_and_can_leave_it_running(
    queued: Run, terminals: Callable[..., Terminal]
) -> None:
    terminal = terminals()
    wait_until(queued, "running", terminal)
    terminal.read(1.5)
    terminal.press(b"q")
    terminal.wait_for(b"Leave it running")
    terminal.press(b"\r")
    assert terminal.ended() == 0
    assert state(queued) == "running"
    wait_until(queued, "done")


def test_without_a_terminal_it_points_to_batch(tmp_path: Path) -> None:
    import subprocess

    done = subprocess.run(
        [sys.executable, "-m", "prunetui", "--runs", str(tmp_path)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 2
    assert "prunetui --batch" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
