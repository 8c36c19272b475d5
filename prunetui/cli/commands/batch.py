"""``prunetui batch``."""

from __future__ import annotations

from typing import Annotated

import typer

from prunetui.cli.arguments import Device, Overrides, Runs, complete_presets, complete_runs, root_of


def batch(
    ctx: typer.Context,
    study: Annotated[
        str | None,
        typer.Argument(help="Study file or preset. [default: quickstart]", autocompletion=complete_presets),
    ] = None,
    runs: Runs = None,
    overrides: Overrides = None,
    device: Device = "auto",
    resume: Annotated[
        str | None,
        typer.Option(
            "--resume",
            metavar="RUN",
            help="Go on with a run: its id, part of it, its path, or last.",
            autocompletion=complete_runs,
        ),
    ] = None,
    trust: Annotated[
        bool, typer.Option("--trust", help="With --resume: run the code that a run from elsewhere names.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="One event a line on stdout, as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing but the run's path.")] = False,
) -> None:
    """Execute a study without a screen: prunetui --batch [STUDY]."""
    from prunetui.cli.run_study import run_batch

    raise typer.Exit(run_batch(study, root_of(ctx, runs), overrides or [], device, resume, json, quiet, trust))
