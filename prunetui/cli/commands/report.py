"""``prunetui report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from prunetui.cli.arguments import Runs, complete_runs, root_of


def report(
    ctx: typer.Context,
    run: Annotated[list[str], typer.Argument(help="Ids, parts of them, paths, or last.", autocompletion=complete_runs)],
    kind: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="md, html (one page that needs no network), csv (all rows), svg or png (the main chart), or json. "
            "Default: by the name of the file; md without one.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="File to write; stdout without it.", show_default=False)
    ] = None,
    runs: Runs = None,
) -> None:
    """Report one run, or compare several: which method wins where, and whether seeds confirm it."""
    from prunetui.report.write_report import make_report

    make_report(root_of(ctx, runs), run, kind, output)
