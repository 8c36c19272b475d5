"""argv -> a command. Everything heavy is imported inside the command that needs it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from prunetui import __version__
from prunetui.errors import UsageError

app = typer.Typer(
    name="prunetui",
    help="A pruning laboratory for neural networks in your terminal.",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Run a study without a screen: prunetui --batch [STUDY] (see prunetui --batch --help).",
)

DEFAULT_RUNS = Path("runs")


def _complete_runs(ctx: typer.Context, incomplete: str) -> list[str]:
    from prunetui.store import list_runs
    from prunetui.terminal.printable import one_line

    root = ctx.params.get("runs") or DEFAULT_RUNS
    ids = [run.id for run, _ in list_runs(Path(root)) if incomplete in run.id]
    return [name for name in ids if one_line(name) == name]  # a shell would print the others as they are


def _complete_presets(incomplete: str) -> list[str]:
    from prunetui.config.load import preset_names

    return [name for name in preset_names() if name.startswith(incomplete)]


def _complete_methods(incomplete: str) -> list[str]:
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


def _root(ctx: typer.Context, runs: Path | None) -> Path:
    """``--runs`` of the command, else the one before it, else ./runs."""
    parent = ctx.parent.params.get("runs") if ctx.parent else None
    root = runs or parent or DEFAULT_RUNS
    try:
        return root.expanduser()
    except RuntimeError:
        raise UsageError(f"there is no home folder for {root}") from None


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
    if ctx.invoked_subcommand is None:
        raise typer.Exit(_application(_root(ctx, runs), device, ascii_only))


def _application(root: Path, device: str, ascii_only: bool, watch: str = "") -> int:
    """Open the terminal application; Textual draws on stderr, so both ends must be a terminal."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError("the application needs a terminal; without one run a study with `prunetui --batch`")
    from prunetui.tui.app import run_app

    return run_app(root, device, watch, ascii_only)


@app.command("batch", hidden=True)
def batch(
    ctx: typer.Context,
    study: Annotated[
        str | None,
        typer.Argument(help="Study file or preset. [default: quickstart]", autocompletion=_complete_presets),
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
            autocompletion=_complete_runs,
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One event a line on stdout, as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing but the run's path.")] = False,
) -> None:
    """Execute a study without a screen: prunetui --batch [STUDY]."""
    from prunetui.cli.batch import run_batch

    raise typer.Exit(run_batch(study, _root(ctx, runs), overrides or [], device, resume, json, quiet))


@app.command()
def methods(
    ctx: typer.Context,
    name: Annotated[
        str | None, typer.Argument(help="Show only this one, in full.", autocompletion=_complete_methods)
    ] = None,
    json: Json = False,
    runs: Runs = None,
) -> None:
    """List the pruning methods."""
    from prunetui.cli import offers

    if name:
        offers.print_method(name, json)
    else:
        offers.print_methods(json)


@app.command()
def presets(json: Json = False, runs: Runs = None) -> None:
    """List the studies that ship with prunetui."""
    from prunetui.cli.offers import print_presets

    print_presets(json)


@app.command("runs")
def list_all_runs(
    ctx: typer.Context,
    run: Annotated[
        list[str] | None,
        typer.Argument(help="With --export: which runs; the newest without any.", autocompletion=_complete_runs),
    ] = None,
    json: Json = False,
    runs: Runs = None,
    prune_cache: Annotated[bool, typer.Option("--prune-cache", help="Remove the states that runs share.")] = False,
    export: Annotated[
        Path | None,
        typer.Option(
            "--export",
            metavar="DIR",
            help="Copy runs to DIR/<id> without their networks, for others to open with --runs DIR; "
            "host, process and working folder are left out, the home folder reads ~.",
        ),
    ] = None,
) -> None:
    """List the runs, newest first; or pack some of them for others."""
    from prunetui.cli import listing

    root = _root(ctx, runs)
    if export is not None:
        from prunetui.cli.pack import print_packed

        print_packed(root, run or [], export, json)
    elif run:
        raise UsageError("runs are named only with --export; `prunetui show RUN` shows one")
    elif prune_cache:
        listing.prune_cache(root)
    else:
        listing.print_runs(root, json)


@app.command()
def show(
    ctx: typer.Context,
    run: Annotated[str, typer.Argument(help="Id, part of it, path, or last.", autocompletion=_complete_runs)],
    json: Json = False,
    runs: Runs = None,
) -> None:
    """Show a run: its state, results and chart."""
    from prunetui.cli.listing import print_run

    print_run(_root(ctx, runs), run, json)


@app.command()
def report(
    ctx: typer.Context,
    run: Annotated[
        list[str], typer.Argument(help="Ids, parts of them, paths, or last.", autocompletion=_complete_runs)
    ],
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
    from prunetui.report.command import make_report

    make_report(_root(ctx, runs), run, kind, output)


@app.command()
def watch(
    ctx: typer.Context,
    run: Annotated[str, typer.Argument(help="Id, part of it, path, or last.", autocompletion=_complete_runs)] = "last",
    runs: Runs = None,
    device: Device = "auto",
    ascii_only: Ascii = False,
) -> None:
    """Open the application on a run, live wherever it was started."""
    from prunetui.store import find_run

    root = _root(ctx, runs)
    found = find_run(root, run)
    raise typer.Exit(_application(found.folder.parent, device, ascii_only, found.id))


@app.command()
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
    from prunetui.cli.evaluate import evaluate_checkpoint

    evaluate_checkpoint(checkpoint, model, data, overrides or [], device, json, trust)


@app.command()
def export(
    ctx: typer.Context,
    run: Annotated[str, typer.Argument(help="Id, part of it, path, or last.", autocompletion=_complete_runs)],
    trial: Annotated[str, typer.Argument(help="Id of a trial, as in results.csv.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="File to write.")],
    kind: Annotated[str, typer.Option("--format", help="pt2 (torch.export), onnx or safetensors.")] = "pt2",
    runs: Runs = None,
) -> None:
    """Write a trial's network, physically small, with its input normalisation."""
    from prunetui.cli.export import export_model

    export_model(_root(ctx, runs), run, trial, kind, output)


@app.command()
def init(
    file: Annotated[Path | None, typer.Argument(help="Where to write it. [default: study.toml]")] = None,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON Schema of a study instead.")] = False,
    preset: Annotated[
        str, typer.Option("--preset", help="Start from this preset.", autocompletion=_complete_presets)
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


@app.command()
def doctor(
    ctx: typer.Context,
    json: Json = False,
    runs: Runs = None,
) -> None:
    """Check this machine: versions, device, arithmetic, data, disk, terminal."""
    from prunetui.cli.doctor import examine

    examine(_root(ctx, runs), json)
