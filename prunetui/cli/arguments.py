"""Arguments that several commands share, and how they are completed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from prunetui.errors import UsageError

DEFAULT_RUNS = Path("runs")


def complete_runs(ctx: typer.Context, incomplete: str) -> list[str]:
    """Ids of the runs that hold ``incomplete``."""
    from prunetui.store import list_runs
    from prunetui.terminal.printable import one_line

    root = ctx.params.get("runs") or DEFAULT_RUNS
    ids = [run.id for run, _ in list_runs(Path(root)) if incomplete in run.id]
    return [name for name in ids if one_line(name) == name]  # a shell would print the others as they are


def complete_presets(incomplete: str) -> list[str]:
    """Names of the presets that begin with ``incomplete``."""
    from prunetui.config.read_study import preset_names

    return [name for name in preset_names() if name.startswith(incomplete)]


def complete_methods(incomplete: str) -> list[str]:
    """Names of the methods that begin with ``incomplete``."""
    from prunetui.plugins.method_catalogue import catalogue

    return [name for name in catalogue().methods if name.startswith(incomplete)]


RunsEverywhere = Annotated[
    Path | None,
    typer.Option("--runs", envvar="PRUNETUI_RUNS", help="Folder of the runs. [default: runs]", show_default=False),
]
Runs = Annotated[Path | None, typer.Option("--runs", help="Folder of the runs.", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY.PATH=VALUE",
        help="Override a key of the study (repeatable; TOML values, bare strings allowed).",
    ),
]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or cuda:N.")]
Ascii = Annotated[bool, typer.Option("--ascii", help="Draw with ASCII characters only.")]


def root_of(ctx: typer.Context, runs: Path | None) -> Path:
    """``--runs`` of the command, else the one before it, else ./runs."""
    parent = ctx.parent.params.get("runs") if ctx.parent else None
    root = runs or parent or DEFAULT_RUNS
    try:
        return root.expanduser()
    except RuntimeError:
        raise UsageError(f"there is no home folder for {root}") from None
