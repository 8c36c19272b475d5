"""``prunetui runs``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from prunetui.cli.arguments import Json, Runs, complete_runs, root_of
from prunetui.errors import UsageError


def list_all_runs(
    ctx: typer.Context,
    run: Annotated[
        list[str] | None,
        typer.Argument(help="With --export: which runs; the newest without any.", autocompletion=complete_runs),
    ] = None,
    json: Json = False,
    runs: Runs = None,
    prune_cache: Annotated[bool, typer.Option("--prune-cache", help="Remove the states that runs share.")] = False,
    export: Annotated[
        Path | None,
        typer.Option(
            "--export",
            metavar="DIR",
            help="Copy runs to DIR/<id> without their networks, for others to open with --runs DIR; "
            "host, process and working folder are left out, the home folder reads ~.",
        ),
    ] = None,
) -> None:
    """List the runs, newest first; or pack some of them for others."""
    from prunetui.cli import list_runs

    root = root_of(ctx, runs)
    if export is not None:
        from prunetui.cli.pack_run import print_packed

        print_packed(root, run or [], export, json)
    elif run:
        raise UsageError("runs are named only with --export; `prunetui show RUN` shows one")
    elif prune_cache:
        list_runs.prune_cache(root)
    else:
        list_runs.print_runs(root, json)
