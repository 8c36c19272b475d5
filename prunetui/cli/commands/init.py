"""``prunetui init``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from prunetui.cli.arguments import Runs, complete_presets
from prunetui.errors import UsageError


def init(
    file: Annotated[Path | None, typer.Argument(help="Where to write it. [default: study.toml]")] = None,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON Schema of a study instead.")] = False,
    preset: Annotated[
        str, typer.Option("--preset", help="Start from this preset.", autocompletion=complete_presets)
    ] = "quickstart",
    runs: Runs = None,
) -> None:
    """Write a commented study file to start from."""
    from prunetui.terminal.output import print_json, say

    if schema:
        from prunetui.config import Study

        print_json(Study.model_json_schema())
        return
    from prunetui.config import commented_study, load_study
    from prunetui.files.atomic import write_atomic

    target = file or Path("study.toml")
    if target.exists():
        raise UsageError(f"{target} is already there; name another file")
    text = commented_study(load_study(preset))
    try:
        write_atomic(target, text)
    except OSError as error:
        raise UsageError(f"cannot write {target}: {error.strerror}") from None
    say(target)
    say(f"run it with: prunetui --batch {target}", err=True)
