"""How a computing process ended, in words: by which signal or exit code, at which step, and what it said last."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

from prunetui.files.regular import open_regular

MOST_WORDS = 300
"""Characters of a process's last words in an error."""
READ_BYTES = 64 << 10
MOST_LINES = 3
FATAL = b"Fatal Python error"
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
        return "with the process that started it"
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
    """What was written to a log after position ``since`` beside ordinary log lines, its end, on one line; often empty.

    Native code says in its last line what is wrong (``double free or corruption``); then ``faulthandler`` lists where
    Python was, innermost call first.
    """
    try:
        with os.fdopen(open_regular(log), "rb") as file:
            file.seek(max(since, os.fstat(file.fileno()).st_size - READ_BYTES))
            data = file.read()
    except OSError:
        return ""
    lines = [line.strip() for line in data.splitlines() if line.strip() and not LOGGED.match(line)]
    fatal = next((i for i in reversed(range(len(lines))) if lines[i].startswith(FATAL)), len(lines))
    at = next((i for i in range(fatal, len(lines)) if lines[i].startswith(b"Current thread")), len(lines))
    told = [line for line in lines[:fatal] if not line.startswith(TRACEBACK)][-MOST_LINES:]
    inside = [line for line in lines[at:] if line.startswith(b"File ")][:1]
    words = b"; ".join([*(line[-MOST_WORDS:] for line in told), *lines[fatal : fatal + 1], *inside])
    text = words.decode(errors="replace")
    return text if len(text) <= MOST_WORDS else "..." + text[-MOST_WORDS:]


def open_log(log: Path) -> int:
    """A descriptor that appends to a log."""
    return open_regular(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
