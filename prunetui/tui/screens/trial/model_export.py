"""Networks taken home from the screen: ``prunetui export`` in a process of its own, for it needs torch."""

from __future__ import annotations

import subprocess
from pathlib import Path

from prunetui.execute.python_process import python_command

FORMATS = {
    "pt2": "PyTorch program (.pt2): runs without prunetui",
    "onnx": "ONNX (.onnx): for onnxruntime and other runtimes",
    "safetensors": "Weights with their architecture (.safetensors): for prunetui.load",
}


def export(folder: Path, trial: str, kind: str, output: Path, trust: bool = False) -> tuple[bool, str]:
    """Whether a trial's network was written to ``output``, and what was checked, or what failed.

    ``trust`` has the code run that the run names.
    """
    options = ["--format", kind, "-o", str(output), *(["--trust"] if trust else [])]
    command = python_command("prunetui", "export", str(folder), trial, *options)
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    words = " ".join(done.stderr.split())[-300:]
    return done.returncode == 0, f"saved as {output.name}; {words}" if done.returncode == 0 else words
