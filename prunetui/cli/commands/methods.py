"""``prunetui methods``."""

from __future__ import annotations

from typing import Annotated

import typer

from prunetui.cli.arguments import Json, Runs, complete_methods


def methods(
    ctx: typer.Context,
    name: Annotated[
        str | None, typer.Argument(help="Show only this one, in full.", autocompletion=complete_methods)
    ] = None,
    json: Json = False,
    runs: Runs = None,
) -> None:
    """List the pruning methods."""
    from prunetui.cli import list_offers

    if name:
        list_offers.print_method(name, json)
    else:
        list_offers.print_methods(json)
