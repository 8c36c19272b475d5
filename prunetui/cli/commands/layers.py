"""``prunetui layers``."""

from __future__ import annotations

from typing import Annotated

import typer

from prunetui.cli.arguments import Json, Overrides, Runs


def layers(
    model: Annotated[
        str, typer.Argument(help="A model as a study names it: resnet20, torchvision:resnet50, net.py:make.")
    ],
    channels: Annotated[int, typer.Option("--channels", min=1, max=1024, help="Channels of an input image.")] = 3,
    size: Annotated[
        int | None,
        typer.Option("--size", min=1, max=4096, help="Its side in pixels. [default: 32 of built-in models, else 224]"),
    ] = None,
    classes: Annotated[int, typer.Option("--classes", min=1, max=1_000_000, help="Outputs.")] = 10,
    overrides: Overrides = None,
    json: Json = False,
    runs: Runs = None,
) -> None:
    """List a model's layers: sizes, costs, coupled channels, and whether these may go, or why not."""
    from prunetui.cli.list_layers import print_layers

    print_layers(model, channels, size, classes, overrides or [], json)
