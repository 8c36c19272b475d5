"""The command line as scripts meet it: exit codes, what goes to stdout, what to stderr, and no traceback."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import prunetui
from prunetui import __version__
from prunetui.__main__ import rewritten
from prunetui.config import parse_study
from prunetui.store import Run, Status, create_run, list_runs

ROOT = Path(prunetui.__file__).resolve().parent.parent
SETTINGS = ("PRUNETUI_RUNS", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "CLICOLOR", "CLICOLOR_FORCE", "COLUMNS")

Done = subprocess.CompletedProcess
Cli = Callable[..., Done[str]]


def environment(**more: str) -> dict[str, str]:
    plain = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    return {**plain, "PYTHONPATH": str(ROOT), **more}


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """Runs prunetui as a process of its own in an empty folder, with its output in pipes."""

    def call(*arguments: object, **more: str) -> Done[str]:
        command = [sys.executable, "-m", "prunetui", *map(str, arguments)]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment(**more), capture_output=True, encoding="utf-8", check=False
        )
        assert "Traceback" not in done.stderr, done.stderr
        return done

    return call


def refused(done: Done[str]) -> str:
    """The one line that tells why a command was refused."""
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("prunetui: ")
    return line


def printed(done: Done[str]) -> Any:
    """The JSON document on stdout."""
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def cells(**more: object) -> dict[str, object]:
    return {
        "trial": "l1-structured-0.5-s0", "method": "l1-structured", "label": "l1-structured", "schedule": "one-shot",
        "seed": 0, "target": "sparsity:0.5", "sparsity": 0.5, "params": 12_345, "macs": 1_234_567, "top1_before": 40.0,
        "top1": 90.25, "top1_dense": 91.5, "top1_control": 91.75, "status": "done", **more,
    }  # fmt: skip


def make_run(root: Path, **about: Any) -> Run:
    status = {"state": "done", "name": "lab", "model": "resnet20", "data": "digits", "trials": 2, "done": 2, **about}
    return create_run(root, 'name = "lab"\n', Status(**status))


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A finished run in ./runs."""
    run = make_run(tmp_path / "runs", methods=("l1-structured",), dense=91.5, best=90.25)
    run.write_rows([cells(), cells(trial="l1-structured-0.9-s0", target="sparsity:0.9", sparsity=0.9, top1=80.125)])
    return run


# Argv -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("", ""),
        ("methods --json", "methods --json"),
        ("--batch", "batch"),
        ("--batch lab.toml", "batch lab.toml"),
        ("--batch=lab.toml", "batch lab.toml"),
        ("--runs there --batch lab.toml", "batch --runs there lab.toml"),
        ("lab.toml --set train.epochs=1 --batch", "batch lab.toml --set train.epochs=1"),
        ("--resume last", "batch --resume last"),
        ("--resume=last", "batch --resume=last"),
        ("--batch --resume last", "batch --resume last"),
        ("batch --resume last", "batch --resume last"),
        ("--runs there runs", "--runs there runs"),
    ],
)
def test_batch_may_stand_anywhere(given: str, meant: str):
    assert rewritten(given.split()) == meant.split()


def test_without_arguments_and_screen_it_refuses(cli: Cli):
    assert "prunetui --batch" in refused(cli())


def test_help_lists_the_commands(cli: Cli):
    done = cli("--help")
    assert done.returncode == 0
    for command in (
        "methods", "models", "tasks", "presets", "runs", "show", "evaluate", "init", "doctor", "--batch", "--version",
    ):  # fmt: skip
        assert command in done.stdout
    assert cli("-h").stdout == done.stdout


def test_help_of_batch_names_its_options(cli: Cli):
    done = cli("--batch", "--help")
    assert done.returncode == 0
    for option in ("--runs", "--set", "--device", "--resume", "--json", "--quiet"):
        assert option in done.stdout


def test_the_version(cli: Cli):
    assert cli("--version").stdout == f"prunetui {__version__}\n"


@pytest.mark.parametrize(
    "arguments", [["nosuch"], ["methods", "--nosuch"], ["--runs"], ["--batch", "a.toml", "b.toml"], ["show"]]
)
def test_bad_usage_exits_with_2_and_prints_nothing_on_stdout(cli: Cli, arguments: list[str]):
    done = cli(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr


# Methods and presets ----------------------------------------------------------------------------------


def test_methods_as_json_are_an_array_with_the_fields_of_the_contract(cli: Cli):
    methods = printed(cli("methods", "--json"))
    assert {"l1-structured", "threshold"} <= {method["name"] for method in methods}
    for method in methods:
        assert {"name", "family", "summary", "source", "options"} <= set(method)
    (l1,) = (method for method in methods if method["name"] == "l1-structured")
    assert l1["family"] == "channels"
    assert [(option["name"], option["default"]) for option in l1["options"]] == [
        ("scope", "local"), ("normalise", "mean"), ("round_to", 0),
    ]  # fmt: skip


def test_presets_as_json_are_an_array_with_names_that_can_be_started_from(cli: Cli):
    presets = printed(cli("presets", "--json"))
    assert "quickstart" in [preset["name"] for preset in presets]
    assert all(preset["summary"] for preset in presets)


def test_methods_for_people_stand_by_family_with_options_help_and_sources(cli: Cli):
    done = cli("methods")
    assert (done.returncode, done.stderr) == (0, "")
    lines = [line.rstrip() for line in done.stdout.splitlines()]
    families = [line for line in lines if line in ("weights", "kernels", "channels", "sharing", "sequence")]
    assert families == ["weights", "kernels", "channels", "sharing", "sequence"]
    place = next(i for i, line in enumerate(lines) if line.startswith("l1-structured  Remove the channels"))
    assert lines[place + 1].startswith('    scope = "local"  Rank across the whole net')
    assert lines[place + 2].startswith('    normalise = "mean"  What divides scores')
    assert lines[place + 3].startswith("    round_to = 0  Widths become multiples")
    assert lines[place + 4].startswith("    target sparsity, channels, params, macs; source Li et al.")


def test_one_method_is_shown_in_full(cli: Cli):
    done = cli("methods", "l1-structured")
    assert done.returncode == 0
    for part in ("Remove the channels", "arXiv:1608.08710", 'scope = "local"', "round_to = 0", "Widths become"):
        assert part in done.stdout
    assert printed(cli("methods", "l1-structured", "--json"))["doc"].startswith("Remove the channels")


LAB = """\
@model("lab-net", source="the lab")
def net(channels, classes, *, depth: int, act: str = "relu"):
    '''A plain net.

    Args:
        depth: How many convolutions.
    '''


@task("lab-rank", primary="tau")
class Rank:
    '''Orders what it is shown.'''
"""


def test_models_and_tasks_of_a_package_are_listed_without_running_them(cli: Cli, tmp_path: Path):
    (tmp_path / "lab.py").write_text(f"raise SystemExit(9)\n\n\n{LAB}")
    about = tmp_path / "lab-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: lab\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[prunetui.models]\nlab = lab\n[prunetui.tasks]\nlab = lab\n")
    path = f"{ROOT}{os.pathsep}{tmp_path}"
    models = {one["name"]: one for one in printed(cli("models", "--json", PYTHONPATH=path))}
    assert {"resnet20", "vgg16"} <= set(models)
    assert models["lab-net"] == {
        "name": "lab-net", "family": "lab", "summary": "A plain net.", "source": "the lab",
        "options": [
            {"name": "depth", "type": "int", "default": None, "required": True, "help": "How many convolutions."},
            {"name": "act", "type": "str", "default": "relu", "required": False, "help": ""},
        ],
    }  # fmt: skip
    tasks = {one["name"]: one for one in printed(cli("tasks", "--json", PYTHONPATH=path))}
    assert (tasks["lab-rank"]["primary"], tasks["lab-rank"]["summary"]) == ("tau", "Orders what it is shown.")
    (row,) = (line for line in cli("models", PYTHONPATH=path).stdout.splitlines() if line.startswith("lab-net"))
    assert row.split() == ["lab-net", "lab", "depth,", "act", "=", '"relu"', "A", "plain", "net.", "the", "lab"]
    (row,) = (line for line in cli("tasks", PYTHONPATH=path).stdout.splitlines() if line.startswith("lab-rank"))
    assert row.split() == ["lab-rank", "lab", "tau", "Orders", "what", "it", "is", "shown."]


def test_an_unknown_method_is_one_line_that_names_the_others(cli: Cli):
    line = refused(cli("methods", "no-such-method"))
    assert "'no-such-method'" in line
    assert "l1-structured" in line


def test_a_broken_method_of_somebody_else_is_a_warning_beside_the_list(cli: Cli, tmp_path: Path):
    (tmp_path / "lab_broken.py").write_text("def (")
    about = tmp_path / "lab_broken-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: lab_broken\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[prunetui.methods]\nbroken = lab_broken\n")
    done = cli("methods", "--json", PYTHONPATH=f"{ROOT}{os.pathsep}{tmp_path}")
    assert done.returncode == 0
    assert "threshold" in [method["name"] for method in json.loads(done.stdout)]
    assert done.stderr.startswith("warning: ")
    assert "lab_broken.py" in done.stderr


# Runs -------------------------------------------------------------------------------------------------


def test_no_runs_are_an_empty_array_and_a_hint_for_people(cli: Cli, tmp_path: Path):
    assert printed(cli("runs", "--json")) == []
    assert "prunetui --batch" in cli("runs").stdout
    assert list(tmp_path.iterdir()) == []


def test_runs_as_json_are_an_array_with_their_state(cli: Cli, run: Run):
    (about,) = printed(cli("runs", "--json"))
    assert (about["id"], about["name"], about["state"]) == (run.id, "lab", "done")
    assert about["path"] == str(run.folder)
    assert (about["trials"], about["done"], about["top1_best"]) == (2, 2, 90.25)


def test_runs_for_people_tell_what_is_no_run(cli: Cli, run: Run):
    (run.folder.parent / "0-foreign").mkdir()
    shown = cli("runs").stdout
    assert re.search(rf"{run.id} +done +2/2 +resnet20 +digits +l1-structured +91.50 +90.25", shown)
    assert re.search(r"0-foreign +not a run", shown)


def test_a_run_is_shown_with_its_table_and_chart(cli: Cli, run: Run):
    done = cli("show", "last")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"{run.id}: done" in done.stdout
    assert re.search(r"l1-structured +sparsity:0.9 +0.9000 +12.35k +1.23M +40.00 +80.12", done.stdout)
    assert "dense 91.50 %" in done.stdout
    assert done.stdout.endswith(f"run: {run.folder.relative_to(run.folder.parent.parent)}\n")


def test_a_run_as_json_has_its_rows(cli: Cli, run: Run):
    about = printed(cli("show", run.id, "--json"))
    assert (about["id"], about["state"]) == (run.id, "done")
    assert [(row["trial"], row["top1"], row["status"]) for row in about["results"]] == [
        ("l1-structured-0.5-s0", "90.25", "done"),
        ("l1-structured-0.9-s0", "80.125", "done"),
    ]


def test_why_a_trial_failed_is_told_on_stderr(cli: Cli, run: Run):
    failed = cells(trial="l1-structured-0.9-s0", target="sparsity:0.9", status="failed", error="out of memory")
    run.write_rows([cells(), failed])
    done = cli("show", "last")
    assert done.stderr == "failed: l1-structured sparsity:0.9: out of memory\n"


@pytest.mark.parametrize("label", ["l1 [global]", "l1 [/x]", "[red]l1", "l1 \\[x]"])
def test_a_label_with_brackets_is_shown_as_it_is(cli: Cli, tmp_path: Path, label: str):
    make_run(tmp_path / "runs", methods=(label,)).write_rows([cells(label=label)])
    shown = cli("show", "last").stdout
    assert shown.count(label) == 2  # table and legend
    assert label in cli("runs").stdout


def test_schedules_are_a_column_where_they_differ(cli: Cli, run: Run):
    assert "one-shot" not in cli("show", "last").stdout
    run.write_rows([cells(), cells(trial="l1-structured-iterative-0.5-s0", schedule="iterative")])
    assert re.search(r"l1-structured +iterative +sparsity:0.5", cli("show", "last").stdout)


def test_a_run_without_results_is_shown_by_its_state(cli: Cli, tmp_path: Path):
    make_run(tmp_path / "runs", state="failed", message="the disk is full", done=0)
    done = cli("show", "last")
    assert done.returncode == 0
    assert "failed (the disk is full)" in done.stdout
    assert "0 of 2 trials done" in done.stdout


def test_an_unknown_run_is_one_line(cli: Cli, run: Run):
    assert "is called 'nosuch'" in refused(cli("show", "nosuch"))
    assert "is called '~nobody-has-this-name'" in refused(cli("show", "~nobody-has-this-name"))


def test_an_empty_cache_can_be_pruned(cli: Cli, run: Run):
    done = cli("runs", "--prune-cache")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("removed 0 cached steps")
    assert run.rows()


# Which folder of runs ---------------------------------------------------------------------------------


def _ids(done: Done[str]) -> list[str]:
    return [about["id"] for about in printed(done)]


def test_the_folder_of_runs_may_be_named_before_and_after_the_command(cli: Cli, tmp_path: Path):
    there = make_run(tmp_path / "there")
    assert _ids(cli("runs", "--json", "--runs", "there")) == [there.id]
    assert _ids(cli("--runs", "there", "runs", "--json")) == [there.id]
    assert _ids(cli("runs", "--json", PRUNETUI_RUNS="there")) == [there.id]
    assert _ids(cli("runs", "--json")) == []


def test_the_command_line_is_stronger_than_the_environment(cli: Cli, tmp_path: Path):
    here, _ = make_run(tmp_path / "here"), make_run(tmp_path / "there")
    assert _ids(cli("runs", "--json", "--runs", "here", PRUNETUI_RUNS="there")) == [here.id]
    assert _ids(cli("--runs", "here", "runs", "--json", PRUNETUI_RUNS="there")) == [here.id]


@pytest.mark.parametrize("command", [["methods"], ["models"], ["tasks"], ["presets"], ["runs"]])
def test_every_listing_takes_the_folder_of_runs(cli: Cli, command: list[str]):
    assert cli(*command, "--json", "--runs", "there").returncode == 0
    assert cli("--runs", "there", *command, "--json").returncode == 0


def test_a_folder_of_runs_that_cannot_exist_is_one_line(cli: Cli):
    assert "~nobody-has-this-name" in refused(cli("runs", "--runs", "~nobody-has-this-name/runs"))


# Batch: what is refused leaves nothing behind ---------------------------------------------------------


def test_a_missing_study_is_refused_with_the_presets(cli: Cli, tmp_path: Path):
    line = refused(cli("--batch", "missing.toml"))
    assert "missing.toml" in line
    assert "quickstart" in line
    assert list(tmp_path.iterdir()) == []


def test_a_bad_study_is_refused_with_all_its_mistakes(cli: Cli, tmp_path: Path):
    (tmp_path / "lab.toml").write_text('sparsities = [1.5]\n[train]\nepoch = 1\n[[methods]]\nname = "l1-strucured"\n')
    done = cli("--batch", "lab.toml", "--set", "model.name=resnet200")
    assert (done.returncode, done.stdout) == (2, "")
    head, *mistakes = done.stderr.splitlines()
    assert head == "prunetui: 4 mistakes in the study; nothing was started:"
    places = sorted(line.split(": ")[0].strip() for line in mistakes)
    assert places == ["--set", "lab.toml:1", "lab.toml:3", "lab.toml:5"]
    assert [path.name for path in tmp_path.iterdir()] == ["lab.toml"]


def test_an_unknown_device_is_refused_before_a_run_is_made(cli: Cli, tmp_path: Path):
    assert "'gpu'" in refused(cli("--batch", "--device", "gpu"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("arguments", [["--set", "train.epochs=1"], ["other.toml"]])
def test_a_resumed_run_cannot_be_another(cli: Cli, tmp_path: Path, arguments: list[str]):
    run = make_run(tmp_path / "runs", state="interrupted")
    (run.folder / "study.toml").write_text("broken = ")  # whoever would go on with it fails at once
    line = refused(cli("--batch", "--resume", "last", *arguments))
    assert "--resume cannot be combined with" in line


def test_the_same_command_again_with_resume_goes_on(cli: Cli, tmp_path: Path):
    (tmp_path / "lab.toml").write_text(TINY)
    command = ["--batch", "lab.toml", "--set", "seeds=[3]", "--device", "cpu"]
    first = cli(*command)
    assert first.returncode == 0
    again = cli(*command, "--resume", "last")
    assert (again.returncode, again.stdout) == (0, first.stdout)  # it is done, so it is shown
    assert len(list_runs(tmp_path / "runs")) == 1
    line = refused(cli("--batch", "lab.toml", "--set", "seeds=[4]", "--resume", "last"))
    assert "--resume cannot be combined with another study" in line
    assert "seeds = 3, not 4" in line
    line = refused(cli("--batch", "--set", "finetune.lr=0.5", "--resume", "last"))
    assert re.search(
        r"was started with finetune.lr = [\d.]+, not 0.5; only name, run.parallel, data.root, measure", line
    )


def test_settings_that_change_no_figure_may_be_others_when_a_run_is_resumed(cli: Cli, tmp_path: Path):
    (tmp_path / "lab.toml").write_text(TINY)
    assert cli("--batch", "lab.toml", "--device", "cpu").returncode == 0
    ((run, _),) = list_runs(tmp_path / "runs")
    before = run.rows()
    neutral = ("--set", "run.parallel=2", "--set", "name=other", "--set", "measure.keep_models=false")
    done = cli("--batch", "--resume", "last", *neutral, "--device", "cpu")
    assert (done.returncode, run.rows()) == (0, before)
    text = run.study_text()
    assert 'name = "other"' in text
    assert "parallel = 2" in text
    assert "keep_models = false" in text


def test_a_run_that_is_done_is_shown_and_not_executed_again(cli: Cli, run: Run):
    done = cli("--batch", "--resume", "last")
    assert done.returncode == 0
    assert re.search(r"l1-structured +sparsity:0.9 +0.9000", done.stdout)
    assert not (run.folder / "events.jsonl").exists()


def test_a_run_to_resume_that_is_not_there_is_one_line(cli: Cli, tmp_path: Path):
    assert "there is no run" in refused(cli("--batch", "--resume", "last"))
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_that_is_not_there_is_one_line(cli: Cli):
    line = refused(cli("evaluate", "missing.pt", "--model", "resnet20", "--data", "digits"))
    assert "missing.pt" in line


# Batch: a study of hardly any work -----------------------------------------------------------------------

TINY = """
name = "tiny"
sparsities = [0.5]
methods = ["l1-structured"]
data = { limit = 60 }
model = { width = 4 }
train = { epochs = 0 }
finetune = { epochs = 0 }
"""


def test_a_study_is_executed_and_its_events_are_the_only_output(cli: Cli, tmp_path: Path):
    (tmp_path / "tiny.toml").write_text(TINY)
    done = cli("--batch", "tiny.toml", "--json", "--device", "cpu", "--runs", "there")
    assert (done.returncode, done.stderr) == (0, "")
    told = [json.loads(line) for line in done.stdout.splitlines()]
    named = [event["event"] for event in told if event["event"] != "log"]  # a processor may have a warning to give
    assert named[:2] == ["run_started", "planned"]
    assert (told[-1]["event"], told[-1]["state"]) == ("run_finished", "done")
    rows = [event["row"] for event in told if event["event"] == "trial_finished"]
    assert [(row["trial"], row["status"]) for row in rows] == [
        ("dense-0ep-s0", "done"),
        ("l1-structured-0.5-s0", "done"),
    ]
    assert rows[1]["sparsity"] == pytest.approx(0.5, abs=0.02)
    (folder,) = (path for path in (tmp_path / "there").iterdir() if not path.name.startswith("."))
    files = {path.name for path in folder.iterdir()}
    assert files >= {
        "study.toml",
        "environment.json",
        "events.jsonl",
        "status.json",
        "results.csv",
        "worker.log",
        "models",
    }
    assert {path.stem for path in (folder / "models").iterdir()} == {row["trial"] for row in rows}
    assert parse_study((folder / "study.toml").read_text()).data.limit == 60


def test_who_stops_reading_events_gets_no_complaint_and_the_run_goes_on(tmp_path: Path):
    (tmp_path / "tiny.toml").write_text(TINY)
    command = [sys.executable, "-m", "prunetui", "--batch", "tiny.toml", "--json", "--device", "cpu"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        complaint = process.stderr.read()
    assert "Traceback" not in complaint
    ((_, status),) = list_runs(tmp_path / "runs")
    assert status is not None
    assert (status.state, status.done) == ("done", 2)


# Init -------------------------------------------------------------------------------------------------


def test_init_writes_a_study_that_validates_and_refuses_to_overwrite_it(cli: Cli, tmp_path: Path):
    done = cli("init")
    assert (done.returncode, done.stdout) == (0, "study.toml\n")
    assert "prunetui --batch study.toml" in done.stderr
    text = (tmp_path / "study.toml").read_text()
    assert parse_study(text).name == "quickstart"
    assert "# " in text
    assert "already there" in refused(cli("init"))
    assert (tmp_path / "study.toml").read_text() == text
    assert cli("init", "mine.toml").stdout == "mine.toml\n"


def test_init_tells_where_it_cannot_write_and_what_it_cannot_start_from(cli: Cli, tmp_path: Path):
    assert "no/such/folder.toml" in refused(cli("init", "no/such/folder.toml"))
    assert 'did you mean "quickstart"' in refused(cli("init", "--preset", "quikstart"))
    assert list(tmp_path.iterdir()) == []


def test_init_can_print_the_json_schema(cli: Cli, tmp_path: Path):
    schema = printed(cli("init", "--schema"))
    assert schema["type"] == "object"
    assert {"sparsities", "methods", "train"} <= set(schema["properties"])
    assert list(tmp_path.iterdir()) == []


# Pipes, terminals and colours -------------------------------------------------------------------------


@pytest.mark.parametrize("command", [["methods"], ["models"], ["presets"], ["runs"], ["show", "last"], ["--help"]])
def test_a_pipe_gets_no_escape_codes(cli: Cli, run: Run, command: list[str]):
    done = cli(*command, TERM="xterm-256color")
    assert done.stdout
    assert "\x1b" not in done.stdout + done.stderr


def on_terminal(folder: Path, *arguments: str, **more: str) -> str:
    """What prunetui writes on a terminal of 120 columns."""
    master, slave = os.openpty()
    command = [sys.executable, "-m", "prunetui", *arguments]
    settings = environment(TERM="xterm-256color", COLUMNS="120", LINES="40", **more)
    with subprocess.Popen(command, cwd=folder, env=settings, stdin=slave, stdout=slave, stderr=slave) as process:
        os.close(slave)
        written = b""
        while True:
            try:
                part = os.read(master, 65_536)
            except OSError:  # Linux says EIO where the other side is closed
                break
            if not part:
                break
            written += part
        assert process.wait() == 0
    os.close(master)
    return written.decode()


COLOUR = re.compile(r"\x1b\[(?:\d+;)*(?:3[0-9]|38;[0-9;]+|9[0-7])m")


def test_a_terminal_gets_colours_unless_no_color_is_set(tmp_path: Path, run: Run):
    assert COLOUR.search(on_terminal(tmp_path, "show", "last"))
    plain = on_terminal(tmp_path, "show", "last", NO_COLOR="1")
    assert run.id in plain
    assert not COLOUR.search(plain)


@pytest.mark.parametrize("command", [["methods"], ["show", "last"], ["runs"]])
def test_a_terminal_that_knows_only_ascii_is_no_reason_to_fail(cli: Cli, run: Run, command: list[str]):
    done = cli(*command, PYTHONIOENCODING="ascii")
    assert done.returncode == 0
    assert "l1-structured" in done.stdout


def test_who_stops_reading_gets_no_complaint(tmp_path: Path, run: Run):
    command = [sys.executable, "-m", "prunetui", "methods", "--json"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        complaint = process.stderr.read()
    assert complaint == ""
