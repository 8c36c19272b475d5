"""``prunetui show``."""

from __future__ import annotations

from typing import Annotated

import typer

from prunetui.cli.arguments import Json, Runs, complete_runs, root_of


def show(
    ctx: typer.Context,
    run: Annotated[str, typer.Argument(help="Id, part of it, path, or last.", autocompletion=complete_runs)],
    json: Json = False,
    runs: Runs = None,
) -> None:
    """Show a run: its state, results and chart."""
    from prunetui.cli.show_run import print_run

    print_run(root_of(ctx, runs), run, json)
