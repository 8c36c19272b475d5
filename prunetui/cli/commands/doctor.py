"""``prunetui doctor``."""

from __future__ import annotations

import typer

from prunetui.cli.arguments import Json, Runs, root_of


def doctor(
    ctx: typer.Context,
    json: Json = False,
    runs: Runs = None,
) -> None:
    """Check this machine: versions, device, arithmetic, data, disk, terminal."""
    from prunetui.cli.examine_machine import examine

    examine(root_of(ctx, runs), json)
