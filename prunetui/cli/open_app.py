"""Opens the terminal application from a command."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from prunetui.errors import UsageError


def open_application(root: Path, device: str, ascii_only: bool, watch: str = "") -> int:
    """Open the terminal application; Textual draws on stderr, so both ends must be a terminal.

    Raises:
        UsageError: one of them is not.
    """
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError("the application needs a terminal; without one run a study with `prunetui --batch`")
    from prunetui.tui.app import run_app

    # Under `nohup`, and shells like it, the application would outlive its terminal and write into nothing.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    return run_app(root, device, watch, ascii_only)
