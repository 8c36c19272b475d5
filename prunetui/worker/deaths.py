"""How a computing process ended, in words: by which signal or exit code, at which step, and what it said last."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

from prunetui.regular import open_regular

MOST_WORDS = 300
"""Characters of a process's last words in an error."""
READ_BYTES = 64 << 10
LOGGED = re.compile(rb"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} ")
TRACEBACK = (b"File ", b"Thread ", b"Current thread", b"Extension modules")
"""How the lines begin with which ``faulthandler`` says where Python was."""
MEANINGS = {
    signal.SIGKILL: "killed, perhaps by the system for lack of memory: lower run.parallel or the batch size",
    signal.SIGSEGV: "it accessed memory that is not its own",
    signal.SIGABRT: "it gave up",
    signal.SIGBUS: "it accessed memory that is not there, as when a disk or /dev/shm is full",
    signal.SIGILL: "its code is for another processor",
    signal.SIGFPE: "an arithmetic error",
}


def how_it_ended(code: int | None) -> str:
    """An exit code, negative for a signal, in words: ``by SIGSEGV (...)``, ``with exit code 3``."""
    if code is None:
        return "in an unknown way"
    if code >= 0:
        return f"with exit code {code}"  # "was ended with exit code 3"
    try:
        number = signal.Signals(-code)
    except ValueError:
        return f"by signal {-code}"
    meaning = f" ({MEANINGS[number]})" if number in MEANINGS else ""
    return f"by {number.name}{meaning}"


def signal_name(code: int | None) -> str:
    """``SIGSEGV``; empty where no signal ended the process."""
    if code is None or code >= 0:
        return ""
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


def size_of(log: Path) -> int:
    """Where a log ends now."""
    try:
        return log.stat().st_size
    except OSError:
        return 0


def last_words(log: Path, since: int) -> str:
    """What was written to a log after position ``since`` beside ordinary log lines, on one line; often empty.

    Native code says in its first line what is wrong (``double free or corruption``); then ``faulthandler`` lists where
    Python was, innermost call first.
    """
    try:
        with os.fdopen(open_regular(log), "rb") as file:
            file.seek(since)
            data = file.read(READ_BYTES)
    except OSError:
        return ""
    lines = [line.strip() for line in data.splitlines() if line.strip() and not LOGGED.match(line)]
    told = [line for line in lines if not line.startswith(TRACEBACK)]
    at = next((i for i, line in enumerate(lines) if line.startswith(b"Current thread")), len(lines))
    inside = [line for line in lines[at:] if line.startswith(b"File ")]
    words = b"; ".join([*told[:3], *inside[:1]]).decode(errors="replace")
    return words[:MOST_WORDS] + ("..." if len(words) > MOST_WORDS else "")


def open_log(log: Path) -> int:
    """A descriptor that appends to a log."""
    return open_regular(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
