"""``prunetui evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from prunetui.cli.arguments import Device, Json, Overrides, Runs


def evaluate(
    checkpoint: Annotated[Path, typer.Argument(help="Weights: .pt, .pth, .th or .safetensors; .pt2 or .onnx.")],
    model: Annotated[
        str | None, typer.Option("--model", help="Architecture; files that prunetui wrote know theirs.")
    ] = None,
    data: Annotated[str | None, typer.Option("--data", help="Data set; files that prunetui wrote know theirs.")] = None,
    overrides: Overrides = None,
    device: Device = "auto",
    json: Json = False,
    trust: Annotated[
        bool, typer.Option("--trust", help="Open a .pt2 that holds code, which can then do all that you can.")
    ] = False,
    runs: Runs = None,
) -> None:
    """Measure a checkpoint on the test split, in float32."""
    from prunetui.cli.measure_checkpoint import evaluate_checkpoint

    evaluate_checkpoint(checkpoint, model, data, overrides or [], device, json, trust)
