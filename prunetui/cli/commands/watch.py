"""``prunetui watch``."""

from __future__ import annotations

from typing import Annotated

import typer

from prunetui.cli.arguments import Ascii, Device, Runs, complete_runs, root_of
from prunetui.cli.open_app import open_application


def watch(
    ctx: typer.Context,
    run: Annotated[str, typer.Argument(help="Id, part of it, path, or last.", autocompletion=complete_runs)] = "last",
    runs: Runs = None,
    device: Device = "auto",
    ascii_only: Ascii = False,
) -> None:
    """Open the application on a run, live wherever it was started."""
    from prunetui.store import find_run

    root = root_of(ctx, runs)
    found = find_run(root, run)
    raise typer.Exit(open_application(found.folder.parent, device, ascii_only, found.id))
