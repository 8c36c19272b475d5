"""``prunetui doctor``: what this machine can do, and what would stop a run."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.text import Text

from prunetui.machine import versions
from prunetui.results.summary import human
from prunetui.terminal.output import console, print_json, table

if TYPE_CHECKING:
    from prunetui.engine.machine_check import MachineCheck

LOW_DISK = 2_000_000_000


def examine(runs: Path, as_json: bool) -> None:
    """Print the findings; each has a name, a value and a state of ok, warning or error."""
    findings = [*_versions(), *_devices(), *_data(), *_disk(runs), *_terminal()]
    if as_json:
        print_json(findings)
        return
    shown = table("", "check", "finding")
    styles = {"ok": "", "warning": "yellow", "error": "red"}
    for finding in findings:
        shown.add_row(Text(finding["state"], styles[finding["state"]]), finding["name"], str(finding["value"]))
    console().print(shown)


def _finding(name: str, value: Any, state: str = "ok") -> dict[str, Any]:
    return {"name": name, "value": value, "state": state}


def _versions() -> list[dict[str, Any]]:
    return [_finding(name, found, "error" if found == "missing" else "ok") for name, found in versions().items()]


def _devices() -> list[dict[str, Any]]:
    import torch

    from prunetui.engine.device import find_device
    from prunetui.engine.machine_check import check_machine

    cpu = find_device("cpu")
    found = [
        _finding("cpu threads", torch.get_num_threads()),
        _finding("cpu bf16", "in hardware" if cpu.bf16 else "no: training is in float32"),
        *(_arithmetic(threads, check_machine(cpu, threads)) for threads in sorted({1, torch.get_num_threads()})),
    ]
    if not torch.cuda.is_available():
        return [*found, _finding("cuda", "no device; training is on the CPU")]
    for i in range(torch.cuda.device_count()):
        about = torch.cuda.get_device_properties(i)
        bf16 = "bf16" if find_device(f"cuda:{i}").bf16 else "no bf16"
        found.append(_finding(f"cuda:{i}", f"{about.name}, {human(about.total_memory)}B, {bf16}"))
    return found


def _arithmetic(threads: int, found: MachineCheck) -> dict[str, Any]:
    name = f"arithmetic, {threads} thread{'s' * (threads > 1)}"
    state = "error" if found.lost else "warning" if found.line else "ok"
    return {**_finding(name, found.line or "agrees with float64", state), **found.plain()}


def _data() -> list[dict[str, Any]]:
    from prunetui.config import DataTable
    from prunetui.plugins.catalogue import catalogue

    root = Path(DataTable().root)
    found = []
    for about in catalogue("data").found.values():
        places = about.given.get("places")
        if "root" not in about.takes:
            found.append(_finding(about.name, "embedded"))
        elif places:
            there = any((root / place).exists() for place in places)  # its checksums are verified when it is read
            told = f"in {root.resolve()}" if there else f"not in {root.resolve()}: downloaded when asked for"
            found.append(_finding(about.name, told))
    return found


def _disk(runs: Path) -> list[dict[str, Any]]:
    place = next(p for p in (runs.resolve(), *runs.resolve().parents) if p.exists())
    free = shutil.disk_usage(place).free
    writable = os.access(place, os.W_OK)
    return [
        _finding("disk", f"{human(free)}B free for {runs.resolve()}", "ok" if free > LOW_DISK else "warning"),
        _finding("runs", "writable" if writable else f"{place} cannot be written", "ok" if writable else "error"),
    ]


def _terminal() -> list[dict[str, Any]]:
    size = shutil.get_terminal_size()
    encoding = (sys.stdout.encoding or "ascii").lower()
    colors = console().color_system or "none"
    return [
        _finding("terminal", f"{os.environ.get('TERM', 'unset')}, {size.columns}x{size.lines}, colours: {colors}"),
        _finding("interactive", sys.stdout.isatty() and sys.stdin.isatty()),
        _finding("encoding", encoding, "ok" if encoding.startswith("utf") else "warning"),
    ]
