"""Everything printed goes through one place, and names of runs from elsewhere are harmless there."""

from __future__ import annotations

import ast
import csv
import io
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import prunetui
from prunetui import events
from prunetui.cli.list_runs import print_runs
from prunetui.cli.show_run import print_run
from prunetui.results.text_tables import csv_cell, table_csv
from prunetui.store import find_run
from prunetui.store.run_folder import Run
from prunetui.terminal.output import PLAIN_WIDTH, aligned, console, json_text, packed, say, table
from tests.tui.fakes import failed_row, fake_row, fake_run, layer_rows

EVIL = "a\x1b]0;owned\x07\x1b[2J\x9b31m\r\nrow of ours\u202e[red]x[/red][link=http://a.b]y[/link]\x7f"
RAW = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u200b-\u200f\u2028\u2029\ufeff]")
PRINTERS = ("output.py", "__main__.py")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Runs in which every word is hostile: the folder's name, the status, rows, events and surroundings."""
    rows = [fake_row(m, s, label=EVIL, schedule=f"{m}{EVIL}") for m in ("taylor", "nm") for s in (0.5, 0.9)]
    rows += [failed_row("taylor", EVIL, label=EVIL, trial=EVIL)]
    for name, of in (("evil", rows), ("layers", [{**row, "label": f"{EVIL} x"} for row in layer_rows((EVIL, "fc"))])):
        told = [events.StepStarted("k", "Train", EVIL, EVIL, 1), events.Log("warning", EVIL)]
        run = fake_run(tmp_path, name, rows=of, told=told)
        changes = {"name": EVIL, "model": EVIL, "data": EVIL, "methods": (EVIL,), "device": EVIL, "message": EVIL}
        run.write_status(replace(run.status() or pytest.fail("no status"), state="failed", **changes))
        run.write_environment({"command": ["x", EVIL], "versions": {EVIL: EVIL}, "device_name": EVIL})
        run.folder.rename(tmp_path / f"{run.id}\n\x1b[31m{name}\u202e")
    return tmp_path


def is_harmless(text: str) -> bool:
    return not RAW.search(text)


def test_runs_and_show_print_no_control_character_and_no_row_that_is_not_ours(
    root: Path, capsys: pytest.CaptureFixture[str]
):
    print_runs(root, as_json=False)
    told = capsys.readouterr().out
    assert is_harmless(told)
    assert len(told.splitlines()) == 1 + 2 + 2  # titles, two runs, an empty line and the sum
    assert "\\x1b[31mevil\\u202e" in told
    for run in ("evil", "layers"):
        print_run(root, run, as_json=False)
        told = capsys.readouterr()
        assert is_harmless(told.out + told.err)
        assert "row of ours" in told.out
        assert not [line for line in (told.out + told.err).splitlines() if line.startswith(("row of ours", "x\x1b"))]
        assert "[red]x[/red]" in told.out  # as it was typed, in no colour


def test_json_is_ascii_and_tells_the_same(root: Path, capsys: pytest.CaptureFixture[str]):
    print_run(root, "evil", as_json=True)
    told = capsys.readouterr().out
    assert told.isascii()
    assert is_harmless(told)
    assert json.loads(told)["model"] == EVIL


@pytest.mark.parametrize("kind", ["md", "html", "csv", "json", "svg"])
def test_reports_carry_no_raw_control_character_nor_tags(
    root: Path, kind: str, capfdbinary: pytest.CaptureFixture[bytes]
):
    from prunetui.report.write_report import make_report

    make_report(root, ["evil"] if kind == "svg" else ["evil", "layers"], kind, None)
    told = capfdbinary.readouterr()
    assert is_harmless(told.out.decode())
    assert is_harmless(told.err.decode())
    assert "owned" in told.out.decode()


def test_errors_and_complaints_of_the_command_line_are_harmless(root: Path):
    for argv in (
        ["show", EVIL],
        ["--batch", EVIL],
        [EVIL],
        [f"--{EVIL}"],
        ["--batch", "--set", f"{EVIL}=1"],
        ["report"],
    ):
        done = subprocess.run(
            [sys.executable, "-m", "prunetui", *argv], capture_output=True, text=True, cwd=root, check=False
        )
        assert done.returncode == 2
        assert is_harmless(done.stdout + done.stderr), argv
        assert "prunetui: " in done.stderr
        assert not any(line.startswith("row of ours") for line in done.stderr.splitlines())


def test_a_line_is_a_line(capsys: pytest.CaptureFixture[str]):
    say("a\nb", "c")
    assert capsys.readouterr().out == "a\\nb\nc\n"


def test_a_row_is_a_row_in_both_kinds_of_table(capsys: pytest.CaptureFixture[str]):
    assert aligned(["x", "y"], [["1\n2", "3"]]) == ["x     y", "1\\n2  3"]
    shown = table("x", "y")
    shown.add_row("1\n2", "[b]3[/b]\x1b")
    console().print(shown)
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [["x", "y"], ["1\\n2", "[b]3[/b]\\x1b"]]
    assert packed([("o", (1, 2, 3), "a\nb")], PLAIN_WIDTH)[0].plain == "o a\\nb   "


def test_a_console_prints_no_escape_in_words(capsys: pytest.CaptureFixture[str]):
    console().print("a\x1b[31mb\x07")
    assert is_harmless(capsys.readouterr().out)


def test_json_is_strict():
    assert json.loads(json_text({"a": [float("nan"), float("inf"), 1.5], "b": "\x9b\ud800"}, indent=None)) == {
        "a": [None, None, 1.5],
        "b": "\x9b\ud800",
    }
    assert json_text("é\x9b", None) == '"\\u00e9\\u009b"'


@pytest.mark.parametrize("number", ["-0.5", "+1e-3", "12", "-.5", "1.", "", "-7", -0.5, 3, None])
def test_numbers_stay_numbers_in_csv(number: object):
    assert csv_cell(number) == ("" if number is None else str(number))


@pytest.mark.parametrize(
    "words",
    ["=1+1", "+cmd|'/C calc'!A0", "-2+3", "@SUM(A1)", " =1", "\uff1d1+1", "\uff0b1", '"=1', "-inf", "--x", "=\x1b"],
)
def test_words_that_a_spreadsheet_would_compute_are_text(words: str):
    assert csv_cell(words).startswith("'")
    assert csv_cell(words)[1:2] == words[0]


@pytest.mark.parametrize("words", ["\t=1", "\r=1", "\n=1"])
def test_cells_that_begin_with_a_control_character_begin_with_its_escape(words: str):
    assert csv_cell(words).startswith("\\")


def test_titles_and_cells_of_csv_are_both_text():
    made = table_csv([{"=a": "=b", "c": "x,y\nz", "d": -0.5}])
    assert made == "'=a,c,d\n'=b,\"x,y\\nz\",-0.5\n"
    assert list(csv.reader(io.StringIO(made)))[1] == ["'=b", "x,y\\nz", "-0.5"]


def test_nothing_else_prints():
    """One place: nobody calls ``print``, writes to a stream of his own or makes a console of his own."""
    package = Path(prunetui.__file__).parent
    for file in package.rglob("*.py"):
        if file.name in PRINTERS:
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                is_report = (
                    file.name == "write_report.py" and called == "sys.stdout.buffer.write"
                )  # made harmless before
                assert is_report or not re.fullmatch(
                    r"print|pprint|(rich\.)?print|Console|(sys\.)?std(out|err)(\.buffer)?\.write(lines)?|(typer|click)\.s?echo",
                    called,
                ), f"{file.relative_to(package)}:{node.lineno} calls {called}: use prunetui.terminal.output.say"


def test_a_run_is_found_by_its_hostile_name(root: Path):
    assert isinstance(find_run(root, "\x1b[31mevil"), Run)
