"""What a run was made with: versions, device, commit, command line. Torch is asked only if it is loaded."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

from prunetui.files.regular import read_object
from prunetui.machine import device_name, versions

FILE = "environment.json"


def environment(device: str) -> dict[str, Any]:
    """The contents of environment.json."""
    return {
        "versions": versions(),
        "device": device,
        "device_name": device_name(device),
        "platform": platform.platform(),
        "cpu_count": os.cpu_count(),
        "threads": _threads(),
        "commit": _commit(),
        "command": sys.argv,
        "cwd": str(Path.cwd()),
    }


def read_environment(folder: Path) -> dict[str, Any] | None:
    """environment.json of a run; None where it is not there, or another's."""
    try:
        return read_object(folder / FILE)
    except (OSError, ValueError):
        return None


def _threads() -> int | None:
    torch = sys.modules.get("torch")
    return int(torch.get_num_threads()) if torch is not None else None


def _commit() -> str | None:
    """The commit of prunetui itself, when it runs from a checkout."""
    folder = Path(__file__).resolve().parents[2]
    if not (folder / ".git").exists():
        return None
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12"],
            cwd=folder, capture_output=True, text=True, timeout=5, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
