"""What this machine is: installed versions, the model of its processor or GPU. Torch is asked only if it is loaded."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from prunetui import __version__

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
