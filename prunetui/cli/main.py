"""argv -> a command, or the terminal application where none is named."""

from __future__ import annotations

import gc
from typing import Annotated

import typer

from prunetui import __version__
from prunetui.cli.arguments import Ascii, Device, RunsEverywhere, root_of
from prunetui.cli.commands.batch import batch
from prunetui.cli.commands.doctor import doctor
from prunetui.cli.commands.evaluate import evaluate
from prunetui.cli.commands.export import export
from prunetui.cli.commands.init import init
from prunetui.cli.commands.layers import layers
from prunetui.cli.commands.methods import methods
from prunetui.cli.commands.models import models
from prunetui.cli.commands.presets import presets
from prunetui.cli.commands.report import report
from prunetui.cli.commands.runs import list_all_runs
from prunetui.cli.commands.show import show
from prunetui.cli.commands.tasks import tasks
from prunetui.cli.commands.watch import watch
from prunetui.cli.open_app import open_application

app = typer.Typer(
    name="prunetui",
    help="A pruning laboratory for neural networks in your terminal.",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Run a study without a screen: prunetui --batch [STUDY] (see prunetui --batch --help).",
)


def _version(wanted: bool) -> None:
    if wanted:
        from prunetui.terminal.output import say

        say(f"prunetui {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def main(
    ctx: typer.Context,
    runs: RunsEverywhere = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    device: Device = "auto",
    ascii_only: Ascii = False,
) -> None:
    """A pruning laboratory for neural networks in your terminal."""
    gc.enable()
    if ctx.invoked_subcommand is None:
        raise typer.Exit(open_application(root_of(ctx, runs), device, ascii_only))


app.command("batch", hidden=True)(batch)  # argv's --batch is rewritten to it
for listing in (methods, models, tasks, presets):
    app.command()(listing)
app.command("runs")(list_all_runs)
for command in (layers, show, report, watch, evaluate, export, init, doctor):
    app.command()(command)
