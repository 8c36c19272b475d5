"""``prunetui runs --export``: a run without its weights, for a colleague to open, show and report. Torch-free."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from prunetui.errors import DataError, UsageError
from prunetui.files.atomic import sync_folder, write_synced
from prunetui.files.paths import user_path
from prunetui.files.safe_json import read_json
from prunetui.report.kept_layers import LAYERS_FILE, packed_layers
from prunetui.results.comparison import Reading, lines_of, read_run
from prunetui.results.summary import human
from prunetui.store import Run, find_run
from prunetui.store.environment import read_environment
from prunetui.store.status import status_plain
from prunetui.terminal.output import print_json, say

EVENTS = "events.jsonl"
TEXTS = ("study.toml", EVENTS, "results.csv", "worker.log")
"""Copied but for the user's home folder, which reads ``~``; a run need not have them all."""
LEFT_OUT = ("cwd",)
"""Keys of environment.json that say nothing about the figures."""
LIVE = ("running", "queued")
NOTE = (
    "Without the networks, the host's name, the process id and the working folder; your home folder reads ~. "
    "Versions, device, other paths, the command line and worker.log are in it as they are."
)


def print_packed(root: Path, given: Sequence[str], to: Path, as_json: bool) -> None:
    """Pack runs and print where they are; sizes and what was left out go to stderr."""
    folders = export_runs(root, given, user_path(to))
    if as_json:
        print_json([{"id": folder.name, "path": str(folder.resolve())} for folder in folders])
    else:
        say(*folders)


def export_runs(root: Path, given: Sequence[str], to: Path) -> list[Path]:
    """Write each run to ``to/<its id>`` and return these folders; sizes and what was left out are told on stderr.

    Raises:
        UsageError: no such run, one that is still executed, or a folder that is there already.
        DataError: a run that cannot be read.
    """
    runs = list({run.folder.resolve(): run for run in (find_run(root, name) for name in given or ["last"])}.values())
    readings = [_readable(run) for run in runs]
    for run in runs:
        if (to / run.id).exists():
            raise UsageError(f"{to / run.id} is already there; name another folder or remove it")
    try:
        packed = [_exported(run, reading, to) for run, reading in zip(runs, readings, strict=True)]
    except OSError as error:
        raise UsageError(f"cannot write to {to}: {error.strerror}") from None
    say(NOTE, err=True)
    return packed


def _readable(run: Run) -> Reading:
    found = read_run(run, run.status())
    if isinstance(found, str):
        raise DataError(found)
    if found.status.state in LIVE:
        raise UsageError(f"{run.id} is {found.status.state}; export it when it is over")
    return found


def _exported(run: Run, reading: Reading, to: Path) -> Path:
    """Made under a hidden name first: a folder that has the run's id is whole."""
    target, hidden = to / run.id, to / f".{run.id}.{os.getpid()}.tmp"
    hidden.mkdir(parents=True)
    try:
        for name, data in _files(run, reading).items():
            write_synced(hidden / name, data)
        hidden.rename(target)
    except OSError:
        shutil.rmtree(hidden, ignore_errors=True)
        raise
    sync_folder(to)
    small, whole = _size(target), _size(run.folder)
    say(f"{run.id}: {human(small)}B, of {human(whole)}B with its networks", err=True)
    return target


def _files(run: Run, reading: Reading) -> dict[str, bytes]:
    """What is in a pack, by name."""
    private = hider(str(Path.home()))
    found = {}
    for name in TEXTS:
        if (run.folder / name).is_file():
            text = (run.folder / name).read_bytes().decode(errors="surrogateescape")
            text = _private_lines(text, private) if name == EVENTS else private(text)
            found[name] = text.encode(errors="surrogateescape")
    status = replace(reading.status, host="", pid=0)
    found["status.json"] = _json(in_strings(private, status_plain(status)))
    environment = read_environment(run.folder)
    if environment is not None:
        kept = {key: value for key, value in environment.items() if key not in LEFT_OUT}
        found["environment.json"] = _json(in_strings(private, kept))
    layers = packed_layers(run.folder, lines_of(reading))
    if layers:
        found[LAYERS_FILE] = _json(in_strings(private, layers), indent=None)
    return found


def _json(plain: object, indent: int | None = 1) -> bytes:
    return (json.dumps(plain, indent=indent) + "\n").encode()


def hider(home: str) -> Callable[[str], str]:
    """A function that writes ``~`` for the folder ``home`` where a path or a file's URL begins with it; not for ``/``.

    A path may follow an escaped line break, and a full stop may follow the path.
    """
    if len(Path(home).parts) < 2:
        return lambda text: text
    before, after = r"(?:(?<![\w./-])|(?<=//)|(?<=\\[nrt]))", r"(?![\w-]|\.\w)"
    pattern = re.compile(before + re.escape(home.rstrip("/")) + after)
    return lambda text: pattern.sub("~", text)


def in_strings(change: Callable[[str], str], plain: Any) -> Any:
    """Plain data with every string in it changed, the names of fields too."""
    if isinstance(plain, str):
        return change(plain)
    if isinstance(plain, Mapping):
        return {change(str(key)): in_strings(change, value) for key, value in plain.items()}
    return [in_strings(change, value) for value in plain] if isinstance(plain, list | tuple) else plain


def _private_lines(text: str, private: Callable[[str], str]) -> str:
    """Lines of JSON; one that is not, as where a run was cut off, is changed as text."""
    return "\n".join(_private_line(line, private) for line in text.split("\n"))


def _private_line(line: str, private: Callable[[str], str]) -> str:
    try:
        plain = read_json(line)
    except ValueError:
        return private(line)
    changed = in_strings(private, plain)
    return line if changed == plain else json.dumps(changed, separators=(",", ":"))


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
