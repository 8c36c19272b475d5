"""The machine is checked before it is trusted: each kind of layer against float64, once per machine, torch, threads.

The check runs in a process of its own, since a fault may crash it. What fails is computed another way; what fails even
then is said. Kept in the user's cache folder; a check that could not be made is not kept, and is tried again.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import platformdirs
import torch

from prunetui.engine.device import Device
from prunetui.engine.fresh_python import fresh_python
from prunetui.engine.machine_cases import compute_safely
from prunetui.files.atomic import write_atomic

VERSION = 1
"""To be raised when the cases or the safe ways change: earlier checks are then made again."""
SECONDS = 180.0
"""After so long a check is given up; it takes two or three."""
VARIABLES = ("ONEDNN_", "DNNL_", "ATEN_CPU_CAPABILITY", "MKL_", "OPENBLAS_", "KMP_", "OMP_")
"""Settings that decide which kernels compute are part of what is checked."""
MALLOC_DEBUG = "libc_malloc_debug.so.0"
TUNABLES = "glibc.malloc.check=3:glibc.malloc.perturb=128"
"""Writing past an allocation is fatal at once, and memory that nobody wrote holds 3e38 instead of, by luck, zeros."""


@dataclass(frozen=True)
class Fault:
    """A kind of layer that this machine computes wrongly in the ordinary way."""

    kind: str
    arithmetic: str
    how: str
    left: str
    """What is wrong with it even in the safe way; empty if nothing is."""


@dataclass(frozen=True)
class MachineCheck:
    """What was found; ``unchecked`` says why nothing could be."""

    faults: tuple[Fault, ...] = ()
    unchecked: str = ""

    def of(self, kinds: Iterable[str]) -> MachineCheck:
        """What concerns a network with these kinds of convolutions; all other kinds of layers count as used."""
        used = set(kinds)
        return replace(
            self, faults=tuple(f for f in self.faults if f.kind in used or not f.kind.endswith("convolution"))
        )

    @property
    def without_bf16(self) -> bool:
        """Whether bfloat16 must not be used: something fails in it that float32 or the safe way would not mend."""
        return any(
            f.arithmetic == "bf16" and (f.left or not f.kind.endswith("convolution")) for f in self._faults_of_bf16_only
        )

    @property
    def _faults_of_bf16_only(self) -> list[Fault]:
        in_float32 = {fault.kind for fault in self.faults if fault.arithmetic == "fp32"}
        return [fault for fault in self.faults if fault.kind not in in_float32]

    def apply(self, device: Device) -> Device:
        """Compute the safe way in this process from now on; the device without bfloat16 if it fails in that."""
        for fault in self._mended_by_kernels:
            compute_safely(fault.kind)
        return replace(device, bf16=device.bf16 and not self.without_bf16)

    @property
    def _mended_by_kernels(self) -> list[Fault]:
        return [
            fault
            for fault in self.faults
            if fault.kind.endswith("convolution") or fault.arithmetic == "fp32"
            if not (self.without_bf16 and fault in self._faults_of_bf16_only)
        ]

    @property
    def lost(self) -> list[str]:
        """Kinds that are computed wrongly even in the safe way."""
        avoided = self._faults_of_bf16_only if self.without_bf16 else []
        return sorted({fault.kind for fault in self.faults if fault.left and fault not in avoided})

    @property
    def ways(self) -> list[str]:
        """What is computed another way than torch does by itself: it decides figures."""
        kinds = sorted({fault.kind for fault in self._mended_by_kernels})
        return [f"{kind}: safe" for kind in kinds] + ["float32 instead of bfloat16"] * self.without_bf16

    @property
    def line(self) -> str:
        """One line for the user; empty if all is well."""
        if self.unchecked:
            return f"the arithmetic of this machine could not be checked: {self.unchecked}"
        if not self.faults:
            return ""
        found = {f"{fault.kind} in {fault.arithmetic} {fault.how}": None for fault in self.faults}
        told = f"this machine computes wrongly: {'; '.join(found)}"
        if self.lost:
            return (
                f"{told}; no safe way was found for: {', '.join(self.lost)}; do not trust figures of networks with it"
            )
        return f"{told}; computed the safe way instead{', in float32' if self.without_bf16 else ''}"

    def plain(self) -> dict[str, Any]:
        """For environment.json and --json."""
        return {"faults": [asdict(fault) for fault in self.faults], "unchecked": self.unchecked, "safe": self.ways}


def check_machine(device: Device, threads: int) -> MachineCheck:
    """What this machine computes wrongly on its CPU with so many threads: known from earlier, or checked now.

    On a GPU nothing is checked.
    """
    if device.torch.type != "cpu":
        return MachineCheck()
    key = _key(device, threads)
    name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:24]
    path = platformdirs.user_cache_path("prunetui") / "machine" / f"{name}.json"
    known = _read(path, key)
    if known is not None:
        return known
    found = _checked(device, threads)
    if not found.unchecked:
        _write(path, {"key": key, "faults": [asdict(fault) for fault in found.faults]})
    return found


def _key(device: Device, threads: int) -> dict[str, Any]:
    """All that decides what the check finds."""
    return {
        "check": VERSION,
        "torch": torch.__version__,
        "threads": threads,
        "arithmetics": _arithmetics(device),
        "processor": _processor(),
        "settings": {name: value for name, value in sorted(os.environ.items()) if name.startswith(VARIABLES)},
    }


def _arithmetics(device: Device) -> list[str]:
    return ["fp32", "bf16"] if device.bf16 else ["fp32"]


def _processor() -> str:
    """Model and features: a container may run on another machine tomorrow, with the same cache folder."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    wanted = ("model name", "flags", "stepping", "microcode", "Features", "CPU part")
    return "\n".join(dict.fromkeys(line for line in lines if line.startswith(wanted)))


def _read(path: Path, key: Mapping[str, Any]) -> MachineCheck | None:
    """An earlier check; None if there is none that can be understood."""
    try:
        saved = json.loads(path.read_text(encoding="utf-8"))
        return MachineCheck(_faults(saved["faults"])) if saved["key"] == key else None
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None


def _faults(found: Any) -> tuple[Fault, ...]:
    """Faults as the process that checks tells them.

    Raises:
        TypeError, ValueError, KeyError: they are something else.
    """
    faults = tuple(Fault(**fault) for fault in found)
    if not all(isinstance(value, str) for fault in faults for value in asdict(fault).values()):
        raise ValueError("a fault is told in words")
    return faults


def _write(path: Path, content: Mapping[str, Any]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, json.dumps(content).encode())
    except OSError:
        return  # a cache that cannot be written: the check takes its seconds again


# The process that checks -------------------------------------------------------------------------------


def command(asked: Mapping[str, Any]) -> list[str]:
    """Starts the process that checks."""
    return fresh_python("prunetui.engine.machine_cases", json.dumps(asked))


def _environment(threads: int) -> dict[str, str]:
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": str(threads),
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_WAIT_POLICY": "passive",
    }
    if sys.platform == "linux" and platform.libc_ver()[0] == "glibc":
        for name, value, between in (("GLIBC_TUNABLES", TUNABLES, ":"), ("LD_PRELOAD", MALLOC_DEBUG, " ")):
            environment[name] = between.join(filter(None, (environment.get(name), value)))
    return environment


def _checked(device: Device, threads: int) -> MachineCheck:
    asked = {"threads": threads, "arithmetics": _arithmetics(device)}
    try:
        done = subprocess.run(
            command(asked), env=_environment(threads), stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS,
            check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return MachineCheck(unchecked=f"the check was not done after {SECONDS:g} s")
    except OSError as error:
        return MachineCheck(unchecked=str(error))
    try:
        return MachineCheck(_faults(json.loads(done.stdout)["faults"]))
    except (ValueError, TypeError, KeyError, RecursionError):
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["it said nothing"]
        return MachineCheck(unchecked=f"the check ended with {done.returncode}: {last[0][:200]}")
