"""What the commands that list and show print: tables for people in a pipe and on a terminal, JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from .conftest import Call, Said
from .normal import USAGE, normalised, words_of

COMMANDS = (
    "", "batch", "methods", "models", "tasks", "layers", "presets", "runs", "show", "report", "watch", "evaluate",
    "export", "init", "doctor",
)  # fmt: skip
RUNS = ("compare", "again", "layers", "running", "died", "queued", "damaged", "failed")
NARROW = 80

Golden = Callable[[str, str], None]


def transcript(commands: Iterable[tuple[str, Said]], place: Path) -> str:
    """Commands with all that they printed and their exit codes."""
    parts = []
    for words, said in commands:
        out, err = (shown(text, place) for text in (said.out, said.err))
        told = f"--- stderr\n{err}" if err else ""
        parts.append(f"$ prunetui {words}\n{out}{told}--- exit {said.code}\n")
    return "\n".join(parts)


def shown(text: str, place: Path) -> str:
    return USAGE.sub(r"\1", normalised(text, place)).replace("\x1b", "<esc>")


def of(cli: Call, place: Path, *commands: str, terminal: int = 0) -> str:
    return transcript([(words, cli(*words.split(), terminal=terminal)) for words in commands], place)


def json_of(said: Said, place: Path) -> str:
    """What a command printed as JSON, which it is, and nothing else."""
    assert (said.code, said.err) == (0, "")
    json.loads(said.out)
    return normalised(said.out, place)


# Help -------------------------------------------------------------------------------------------------


def test_the_help_of_every_command(cli: Call, golden: Golden, place: Path) -> None:
    parts = []
    for command in COMMANDS:
        said = cli(*command.split(), "--help")
        assert (said.code, said.err) == (0, "")
        parts.append(f"$ prunetui {command} --help\n{words_of(normalised(said.out, place))}")
    golden("help.txt", "\n".join(parts))


def test_every_command_that_the_help_lists_is_held(cli: Call) -> None:
    lines = words_of(cli("--help").out).partition("Commands")[2].splitlines()
    listed = {line.split()[0] for line in lines if line and not line.startswith("Run a study")}
    assert listed == set(COMMANDS) - {"", "batch"}


def test_the_version(cli: Call, golden: Golden, place: Path) -> None:
    golden("version.txt", of(cli, place, "--version"))


# Contributions, presets and studies -------------------------------------------------------------------


def test_the_methods_for_people(cli: Call, golden: Golden, place: Path) -> None:
    golden("methods.txt", of(cli, place, "methods"))


def test_the_methods_as_json(cli: Call, golden: Golden, place: Path) -> None:
    golden("methods.json", json_of(cli("methods", "--json"), place))


def test_each_method_in_full(cli: Call, golden: Golden, place: Path) -> None:
    names = [method["name"] for method in json.loads(cli("methods", "--json").out)]
    assert "l1-structured" in names
    golden("each-method.txt", of(cli, place, *(f"methods {name}" for name in names)))
    golden("one-method.json", json_of(cli("methods", "l1-structured", "--json"), place))


@pytest.mark.parametrize("kind", ["models", "tasks"])
def test_other_contributions(kind: str, cli: Call, golden: Golden, place: Path) -> None:
    golden(f"{kind}.txt", of(cli, place, kind))
    golden(f"{kind}.json", json_of(cli(kind, "--json"), place))


def test_the_presets(cli: Call, golden: Golden, place: Path) -> None:
    golden("presets.txt", of(cli, place, "presets"))
    golden("presets.json", json_of(cli("presets", "--json"), place))


def test_the_schema_of_a_study(cli: Call, golden: Golden) -> None:
    said = cli("init", "--schema")
    assert (said.code, said.err) == (0, "")
    plain = json.loads(said.out)
    assert said.out == json.dumps(plain, indent=1) + "\n"
    golden("study-schema.json", said.out)


def test_the_commented_study_of_every_preset(cli: Call, golden: Golden, place: Path) -> None:
    names = [preset["name"] for preset in json.loads(cli("presets", "--json").out)]
    assert "quickstart" in names
    for name in names:
        assert cli("init", f"{name}.toml", "--preset", name).code == 0
        golden(f"studies/{name}.toml", (place / f"{name}.toml").read_text(encoding="utf-8"))
    golden("init.txt", of(cli, place, "init", "init quickstart.toml"))
    assert (place / "study.toml").read_bytes() == (place / "quickstart.toml").read_bytes()


# Runs -------------------------------------------------------------------------------------------------


def test_no_runs(cli: Call, golden: Golden, place: Path) -> None:
    golden("no-runs.txt", of(cli, place, "runs", "runs --json", "show last", "report last", "runs --prune-cache"))


@pytest.mark.usefixtures("runs")
def test_the_runs(cli: Call, golden: Golden, place: Path) -> None:
    golden("runs.txt", of(cli, place, "runs", "runs --runs runs", "runs --prune-cache"))
    golden("runs-narrow.txt", of(cli, place, "runs", terminal=NARROW))
    golden("runs.json", json_of(cli("runs", "--json"), place))


@pytest.mark.usefixtures("runs")
@pytest.mark.parametrize("name", RUNS)
def test_a_run(name: str, cli: Call, golden: Golden, place: Path) -> None:
    golden(f"show/{name}.txt", of(cli, place, f"show {name}"))
    said = cli("show", name, "--json")
    assert said.code == 0
    assert bool(said.err) == (name == "damaged")
    golden(f"show/{name}.json", normalised(said.out, place))


@pytest.mark.usefixtures("runs")
def test_runs_on_a_narrow_terminal_in_colour(cli: Call, golden: Golden, place: Path) -> None:
    golden("show/narrow.txt", of(cli, place, "show compare", "show layers", terminal=NARROW))


@pytest.mark.usefixtures("runs")
def test_runs_packed_for_others(cli: Call, golden: Golden, place: Path) -> None:
    golden("export-runs.txt", of(cli, place, "runs compare again --export there"))
    files = sorted(file for file in (place / "there").rglob("*") if file.is_file())
    held = ("status.json", "environment.json")
    listed = [
        f"{file.relative_to(place)}\n{file.read_text(encoding='utf-8') if file.name in held else ''}" for file in files
    ]  # the others are copies, but for the folder that is the user's home
    golden("export-runs-files.txt", normalised("".join(listed), place))
    golden("export-runs.json", json_of_export(cli, place))


def json_of_export(cli: Call, place: Path) -> str:
    said = cli("runs", "layers", "--export", "elsewhere", "--json")
    assert said.code == 0
    return normalised(said.out, place)


@pytest.mark.usefixtures("runs")
def test_what_is_refused(cli: Call, golden: Golden, place: Path) -> None:
    (place / "wrong.toml").write_text('sparsity = 0.5\nmethods = ["l1-structurd"]\n[train]\nepochs = -1\n')
    commands = (
        "nosuch", "show nosuch", "show 2023", "methods nosuch", "methods --nosuch", "runs compare",
        "report nosuch", "report compare --format doc", "report compare -o report.doc", "report queued --format svg",
        "init --preset nosuch", "--batch nosuch", "--batch wrong.toml", "--batch --set seeds=x", "--resume running",
        "evaluate nosuch.pt --model resnet20 --data digits", "watch",
        "runs running --export there", "export compare nosuch -o there.pt2",
    )  # fmt: skip
    golden("refused.txt", of(cli, place, *commands))
