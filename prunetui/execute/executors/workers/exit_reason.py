"""How a process ended, in words: by which signal, or with which exit code."""

from __future__ import annotations

import signal

MEANINGS = {
    signal.SIGKILL: "killed, perhaps by the system for lack of memory: lower run.parallel or the batch size",
    signal.SIGSEGV: "it accessed memory that is not its own",
    signal.SIGABRT: "it gave up",
    signal.SIGBUS: "it accessed memory that is not there, as when a disk or /dev/shm is full",
    signal.SIGILL: "its code is for another processor",
    signal.SIGFPE: "an arithmetic error",
}


def exit_reason(code: int | None) -> str:
    """An exit code, negative for a signal, in words that follow "was ended": ``by SIGSEGV (...)``."""
    if code is None:
        return "with the process that started it"
    if code >= 0:
        return f"with exit code {code}"
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
