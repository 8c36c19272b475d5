"""What ``prunetui runs`` prints: the runs of a folder, newest first, and the cache beside them. Torch-free."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prunetui.cli.run_table import fitted_runs, run_table
from prunetui.errors import UsageError
from prunetui.results import summary
from prunetui.store import Cache, Run, Status, list_runs
from prunetui.store.run_list import CACHE
from prunetui.store.status import status_plain
from prunetui.terminal.output import print_json, say


def print_runs(root: Path, as_json: bool) -> None:
    """All runs, newest first, and the size of the cache beside them."""
    listed = list_runs(root)
    if as_json:
        print_json([run_object(run, status) for run, status in listed])
        return
    if not listed:
        say(f"no runs in {root.resolve()} yet; start one with: prunetui --batch")
        return
    say(*fitted_runs(*run_table(listed)))
    entries, size = Cache(root / CACHE).size()
    say("", f"{len(listed)} runs; the cache of shared states holds {entries} steps in {summary.human(size)}B")


def run_object(run: Run, status: Status | None) -> dict[str, Any]:
    """A run as JSON."""
    about = status_plain(status) if status else {"state": "unreadable", "name": ""}
    return {"id": run.id, "path": str(run.folder.resolve()), **about}


def prune_cache(root: Path) -> None:
    """Empty the cache beside the runs and say what that freed.

    Raises:
        UsageError: a run is being executed, which needs it.
    """
    busy = [run.id for run, status in list_runs(root) if status and status.state == "running"]
    if busy:
        raise UsageError(f"the cache is in use by the run {busy[0]}; wait until it has finished")
    entries, size = Cache(root / CACHE).prune()
    say(f"removed {entries} cached steps ({summary.human(size)}B by name; models of runs stay)")
