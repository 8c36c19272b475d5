"""The folder of runs: make a new one, list all, find one by what the user calls it."""

from __future__ import annotations

import re
import secrets
import time
from dataclasses import replace
from pathlib import Path

from prunetui.errors import RunFailed, UsageError
from prunetui.files.atomic import write_atomic
from prunetui.files.paths import is_file, user_path
from prunetui.store.run_folder import Run, Status

CACHE = ".cache"


def create_run(root: Path, study_text: str, status: Status) -> Run:
    """A new run folder ``<UTC time>-<slug>-<short id>`` that holds the study and its first status.

    Raises:
        RunFailed: the folder cannot be written.
    """
    now = time.time()
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(now))
    slug = re.sub(r"[^a-z0-9]+", "-", status.name.lower()).strip("-")[:40] or "study"
    run = Run(root / f"{stamp}-{slug}-{secrets.token_hex(3)}")
    try:
        run.models.mkdir(parents=True)
        write_atomic(run.folder / "study.toml", study_text)
        run.write_status(replace(status, created=now))
    except OSError as error:
        raise RunFailed(f"cannot create a run in {root}: {error.strerror}") from None
    return run


def list_runs(root: Path) -> list[tuple[Run, Status | None]]:
    """All run folders, newest first; the status is None for a folder that is not (yet) a run."""
    if not root.is_dir():
        return []
    folders = [f for f in root.iterdir() if f.is_dir() and not f.name.startswith(".")]
    return [(run, run.status()) for run in (Run(f) for f in sorted(folders, key=lambda f: f.name, reverse=True))]


def find_run(root: Path, given: str) -> Run:
    """The run called ``given``: its id, an unambiguous part of it, its path, or ``last``.

    Raises:
        UsageError: no run, or more than one, is called so.
    """
    path = user_path(given)
    if is_file(path / "status.json") or is_file(path / "events.jsonl"):
        return Run(path.resolve())
    listed = [(run, status) for run, status in list_runs(root) if status is not None]
    if given == "last":
        if not listed:
            raise UsageError(f"there is no run in {root} yet")
        return max(listed, key=lambda pair: pair[1].created)[0]
    runs = [run for run, _ in listed]
    matches = [run for run in runs if run.id == given] or [run for run in runs if given and given in run.id]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise UsageError(f"{given!r} fits {len(matches)} runs: {', '.join(run.id for run in matches[:5])}")
    raise UsageError(f"no run in {root} is called {given!r}; `prunetui runs` lists them")
