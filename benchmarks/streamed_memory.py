"""Peak memory of a study of 100,000 images of 224 pixels that are streamed: of all its processes together.

    python -m benchmarks.streamed_memory [IMAGES]

Files are links to a few JPEGs, the network is tiny, and one epoch is trained. On two cores it takes ten minutes.
Decoded, the images would take 15 GB. Memory is the proportional set size: what processes share counts once.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from benchmarks._photos import photo_tree

NET = """
from torch import nn


def net(classes: int) -> nn.Module:
    layers = [nn.AvgPool2d(8), nn.Conv2d(3, 8, 3, 2), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3, 2), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, classes))
"""
STUDY = """
sparsities = [0.5]
methods = ["l1-unstructured"]
data = {{ name = "folder", root = "{root}", size = 224, memory = "stream", augment = "resized-crop+flip" }}
model = {{ name = "{net}:net" }}
train = {{ epochs = 1, batch_size = 64, lr = 0.01 }}
finetune = {{ epochs = 0 }}
measure = {{ latency = false, control = false }}
"""


def main(images: int = 100_000) -> int:
    """Run the study and print its peak."""
    with tempfile.TemporaryDirectory() as folder:
        root = photo_tree(Path(folder) / "photos", round(images * 0.9), round(images * 0.1))
        study = Path(folder) / "study.toml"
        net = Path(folder) / "net.py"
        net.write_text(NET)
        study.write_text(STUDY.format(root=root, net=net))
        command = [
            sys.executable,
            "-m",
            "prunetui",
            "--batch",
            str(study),
            "--runs",
            str(Path(folder) / "runs"),
            "--quiet",
        ]
        started = time.monotonic()
        process = subprocess.Popen(command)
        peak = 0
        while process.poll() is None:
            peak = max(peak, _memory(process.pid))
            time.sleep(0.5)
        seconds = time.monotonic() - started
        if process.returncode:
            print(*(log.read_text() for log in Path(folder).glob("runs/*/worker.log")), file=sys.stderr)
    print(f"{images:,} images: {peak / 1e9:.2f} GB at most, {seconds:.0f} s, exit code {process.returncode}")
    return process.returncode


def _memory(process: int) -> int:
    """Bytes that a process and all that it started take."""
    total = 0
    try:
        family = [psutil.Process(process), *psutil.Process(process).children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    for member in family:
        try:
            total += member.memory_full_info().pss
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
    return total


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
