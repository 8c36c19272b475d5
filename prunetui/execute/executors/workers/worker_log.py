"""What a worker wrote to the run's log before it died."""

from __future__ import annotations

import os
import re
from pathlib import Path

from prunetui.files.regular import open_regular

MOST_WORDS = 300
"""Characters of a worker's last words in an error."""
READ_BYTES = 64 << 10
MOST_LINES = 3
FATAL = b"Fatal Python error"
LOGGED = re.compile(rb"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} ")
TRACEBACK = (b"File ", b"Thread ", b"Current thread", b"Extension modules")
"""How the lines begin with which ``faulthandler`` says where Python was."""


def open_log(log: Path) -> int:
    """A descriptor that appends to a log."""
    return open_regular(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)


def log_size(log: Path) -> int:
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
    stack = next((i for i in range(fatal, len(lines)) if lines[i].startswith(b"Current thread")), len(lines))
    said = [line for line in lines[:fatal] if not line.startswith(TRACEBACK)][-MOST_LINES:]
    innermost = [line for line in lines[stack:] if line.startswith(b"File ")][:1]
    words = b"; ".join([*(line[-MOST_WORDS:] for line in said), *lines[fatal : fatal + 1], *innermost])
    text = words.decode(errors="replace")
    return text if len(text) <= MOST_WORDS else "..." + text[-MOST_WORDS:]
