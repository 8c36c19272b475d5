"""What a run was made with: versions, device, commit, command line. Torch is asked only if it is loaded."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from prunetui import __version__
from prunetui.files.regular import read_object

FILE = "environment.json"

PACKAGES = (
    "torch", "torchvision", "torch-pruning", "numpy", "scikit-learn", "safetensors", "onnxruntime", "textual",
    "rich", "plotext", "pydantic", "typer",
)  # fmt: skip


def versions() -> dict[str, str]:
    """Installed versions; "missing" for what is not there."""
    found = {"prunetui": __version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "missing"
    return found


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


def device_name(device: str) -> str:
    """The model of the processor or, for ``cuda``, of the GPU; empty where the system does not tell."""
    torch = sys.modules.get("torch")
    if device.startswith("cuda") and torch is not None:
        return str(torch.cuda.get_device_name(device))
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name")]
    return names[0] if names else platform.processor()


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
