"""``prunetui export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from prunetui.cli.arguments import Runs, complete_runs, root_of


def export(
    ctx: typer.Context,
    run: Annotated[str, typer.Argument(help="Id, part of it, path, or last.", autocompletion=complete_runs)],
    trial: Annotated[str, typer.Argument(help="Id of a trial, as in results.csv.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="File to write.")],
    kind: Annotated[str, typer.Option("--format", help="pt2 (torch.export), onnx or safetensors.")] = "pt2",
    trust: Annotated[
        bool, typer.Option("--trust", help="Run the code of a network or data of somebody's own that the run names.")
    ] = False,
    runs: Runs = None,
) -> None:
    """Write a trial's network, physically small, with its input normalisation."""
    from prunetui.cli.export_network import export_model

    export_model(root_of(ctx, runs), run, trial, kind, output, trust)
