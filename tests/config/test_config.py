"""A study is read whole or refused whole: every mistake in one report, each with its place and a way out."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import tomli
import tomli_w
from hypothesis import given, settings
from hypothesis import strategies as st

from prunetui.config import (
    Iterative,
    OneShot,
    Study,
    commented_study,
    find_study,
    load_study,
    parse_study,
    study_toml,
)
from prunetui.config.read_study import preset_names, preset_text
from prunetui.config.write import rooted
from prunetui.errors import EXIT_USAGE, ConfigError, Mistake, UsageError
from prunetui.plan import build_plan


def mistakes(text: str, *overrides: str) -> tuple[Mistake, ...]:
    """What is wrong with a study that must be refused."""
    with pytest.raises(ConfigError) as caught:
        parse_study(text, overrides, "lab.toml")
    return caught.value.mistakes


def mistake(text: str, *overrides: str) -> Mistake:
    """The one thing that is wrong with a study."""
    found = mistakes(text, *overrides)
    assert len(found) == 1, [str(m) for m in found]
    return found[0]


# What a study may leave out ---------------------------------------------------------------------------


def test_an_empty_study_is_valid_and_has_all_defaults():
    study = parse_study("")
    assert study == Study()
    assert (study.data.name, study.model.name, study.seeds) == ("digits", "resnet20", (0,))
    assert [method.name for method in study.methods] == ["global-unstructured"]
    assert study.schedule == OneShot()


def test_three_lines_are_a_whole_study():
    study = parse_study('methods = ["l1-structured", "threshold"]\nsparsities = [0.5]\nmodel.name = "vgg11"\n')
    assert [method.name for method in study.methods] == ["l1-structured", "threshold"]
    assert study.sparsities == (0.5,)
    assert study.model.name == "vgg11"


def test_a_method_without_options_has_its_defaults_and_a_table_may_change_them():
    study = parse_study('[[methods]]\nname = "l1-structured"\n[[methods]]\nname = "l1-structured"\nscope = "global"\n')
    assert study.methods[0].options == {"scope": "local", "normalise": "mean", "round_to": 0}
    assert study.methods[1].options == {"scope": "global", "normalise": "mean", "round_to": 0}


def test_a_study_cannot_be_changed_once_read():
    study = parse_study("")
    with pytest.raises(ValueError, match="frozen"):
        study.name = "other"


# Every mistake at once --------------------------------------------------------------------------------

FIVE_MISTAKES = """\
name = "five"
sparsities = [0.5, 1.5]
seed = [0, 1]

[model]
name = "resnet200"

[train]
epochs = "ten"

[[methods]]
name = "l1-strucured"
"""


def test_a_study_with_five_mistakes_reports_all_five():
    by_path = {m.path: m for m in mistakes(FIVE_MISTAKES)}
    assert set(by_path) == {"sparsities", "seed", "model.name", "train.epochs", "methods[0].name"}
    assert all(m.file == "lab.toml" for m in by_path.values())

    sparsity = by_path["sparsities"]
    assert (sparsity.line, sparsity.got) == (2, "1.5")
    assert "[0, 1)" in sparsity.message

    unknown_key = by_path["seed"]
    assert (unknown_key.line, unknown_key.got, unknown_key.nearest) == (3, "[0, 1]", '"seeds"')
    assert {"seeds", "sparsities", "methods"} <= set(unknown_key.allowed.split(", "))

    choice = by_path["model.name"]
    assert (choice.line, choice.got, choice.nearest) == (6, '"resnet200"', '"resnet20"')
    assert {"resnet18", "resnet110", "vgg19"} <= set(choice.allowed.split(", "))

    wrong_type = by_path["train.epochs"]
    assert (wrong_type.line, wrong_type.got) == (9, '"ten"')
    assert "integer" in wrong_type.message

    method = by_path["methods[0].name"]
    assert (method.line, method.got, method.nearest) == (12, '"l1-strucured"', '"l1-structured"')
    assert {"l1-structured", "threshold"} <= set(method.allowed.split(", "))


def test_the_report_has_a_head_and_one_line_a_mistake_that_an_editor_can_jump_to():
    with pytest.raises(ConfigError) as caught:
        parse_study(FIVE_MISTAKES, file="lab.toml")
    head, *lines = str(caught.value).splitlines()
    assert head == "5 mistakes in the study; nothing was started:"
    assert sorted(line.split(": ")[0].strip() for line in lines) == [
        "lab.toml:12", "lab.toml:2", "lab.toml:3", "lab.toml:6", "lab.toml:9",
    ]  # fmt: skip
    assert any(line.endswith('did you mean "l1-structured"?') for line in lines)
    assert caught.value.exit_code == EXIT_USAGE


def test_a_target_that_a_masking_method_cannot_reach_is_told_beside_a_misspelt_key():
    found = mistakes('[train]\nepoch = 3\n[[methods]]\nname = "l1-unstructured"\ntarget = "channels"\n')
    assert [(m.path, m.line) for m in found] == [("train.epoch", 2), ("methods[0].target", 5)]
    assert "only masks weights" in found[1].message
    assert (found[1].got, found[1].allowed) == ('"channels"', "sparsity")


def test_an_impossible_target_is_told_beside_a_misspelt_option_of_the_same_method():
    found = mistakes('[[methods]]\nname = "l1-unstructured"\nscop = "global"\ntarget = "channels"\n')
    assert sorted((m.path, m.line) for m in found) == [("methods[0].scop", 3), ("methods[0].target", 4)]


def test_a_target_of_the_whole_study_is_blamed_on_the_line_of_the_study():
    wrong = mistake('target = "macs"\nmethods = ["l1-structured", "global-unstructured"]\n')
    assert (wrong.path, wrong.line, wrong.got) == ("methods[1].target", 1, '"macs"')


def test_no_mistake_is_told_about_a_method_that_the_study_does_not_name():
    wrong = mistake('target = "channels"\nmethods = ["l1-strucured"]\n')
    assert (wrong.path, wrong.line) == ("methods[0].name", 2)


def test_an_unknown_option_of_a_method_lists_its_options_and_the_keys_of_every_method():
    wrong = mistake('[[methods]]\nname = "l1-structured"\nscop = "global"\n')
    assert (wrong.path, wrong.line, wrong.nearest) == ("methods[0].scop", 3, '"scope"')
    assert {"scope", "round_to", "label", "schedule"} <= set(wrong.allowed.split(", "))


def test_an_option_of_a_wrong_value_names_what_is_allowed():
    wrong = mistake('[[methods]]\nname = "l1-structured"\nscope = "locl"\n')
    assert (wrong.path, wrong.got, wrong.allowed) == ("methods[0].scope", '"locl"', "global, local, isomorphic")
    assert wrong.nearest == '"local"'


def test_an_options_table_is_refused_under_its_own_name():
    wrong = mistake('[[methods]]\nname = "l1-structured"\n[methods.options]\nscope = "global"\n')
    assert (wrong.path, wrong.line) == ("methods[0].options", 3)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ('seeds = ["a"]', "seeds[0]"),
        ("seeds = [0, 1.5]", "seeds[1]"),
        ("sparsities = [true]", "sparsities[0]"),
        ("sparsities = [-0.5]", "sparsities[0]"),
        ("sparsities = [nan]", "sparsities[0]"),
        ("methods = [3]", "methods[0]"),
        ("[[methods]]\nname = 3", "methods[0].name"),
        ("[data]\nnormalize = { mean = [0.5], std = [0.0] }", "data.normalize.std[0]"),
        ("[data]\nnormalize = { mean = [0.5] }", "data.normalize.std"),
    ],
)
def test_one_wrong_item_of_a_list_or_table_is_one_mistake(text: str, path: str):
    assert mistake(text).path == path


@pytest.mark.parametrize("key", ["options", "float", "str", "iterative", "one-shot", "Statistics"])
def test_an_unknown_key_may_be_any_word(key: str):
    assert (mistake(f"{key} = 1").path, mistake(f"[train]\n{key} = 1").path) == (key, f"train.{key}")


@pytest.mark.parametrize(
    ("text", "path", "line"),
    [
        ("[train]\nlr = 0", "train.lr", 2),
        ("[train]\nmomentum = 1.0", "train.momentum", 2),
        ("[train]\nbatch_size = 1", "train.batch_size", 2),
        ("[train]\nepochs = true", "train.epochs", 2),
        ("[data]\nlimit = 0", "data.limit", 2),
        ("[data]\nvalidation = 1.0", "data.validation", 2),
        ("data = 3", "data", 1),
        ("\n[[data]]\nname = 'digits'", "data", 2),
        ('name = ""', "name", 1),
        ("seeds = []", "seeds", 1),
        ("seeds = [1, 1]", "seeds", 1),
        ("seeds = 3", "seeds", 1),
        ("sparsities = []", "sparsities", 1),
        ("sparsities = [0.5, 1.0]", "sparsities", 1),
        ("methods = []", "methods", 1),
        ("[[methods]]\nlabel = 'x'", "methods[0].name", 1),
        ("[[methods]]\nname = 'threshold'\nlabel = 'dense'", "methods[0].label", 3),
        ("schedule = { name = 'iterative', steps = 0 }", "schedule.steps", 1),
        ("schedule = { name = 'iterative', step = 3 }", "schedule.step", 1),
        ("schedule = { steps = 3 }", "schedule", 1),
        ("[model]\ncheckpoint = 'no/such.pt'", "model.checkpoint", 2),
        ("[data]\nname = 'folder'\nroot = 'no/such'", "data.root", 3),
    ],
)
def test_a_value_out_of_its_range_is_refused_at_its_line(text: str, path: str, line: int):
    wrong = mistake(text)
    assert (wrong.path, wrong.line) == (path, line)


@pytest.mark.parametrize("path", ["~nobody-has-this-name/net", "x" * 300], ids=["unknown home", "too long"])
def test_a_path_that_cannot_exist_is_a_mistake(path: str):
    assert mistake(f"[model]\ncheckpoint = '{path}'").path == "model.checkpoint"
    assert mistake(f"[data]\nname = 'folder'\nroot = '{path}'").path == "data.root"


@pytest.mark.parametrize(
    "text",
    [
        "[data]\nnormalize = { mean = [nan], std = [1.0] }",
        "[data]\nnormalize = { mean = [0.5], std = [inf] }",
        "[[methods]]\nname = 'threshold'\nsparsities = [inf]",
    ],
)
def test_numbers_that_are_not_finite_are_refused(text: str):
    assert mistake(text).line > 0


@pytest.mark.parametrize(
    "names",
    [
        ("{ name = 'l1-structured' }", "{ name = 'l1-unstructured', label = 'l1-structured' }"),
        ("{ name = 'l1-unstructured', label = 'l1-structured' }", "{ name = 'l1-structured' }"),
        ("{ name = 'threshold', label = 'x' }", "{ name = 'l1-structured', label = 'x' }"),
    ],
)
def test_two_methods_cannot_have_one_label(names: tuple[str, str]):
    assert "label" in mistake(f"methods = [{', '.join(names)}]").message


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a = = 3\n", 1),
        ('name = "x"\nname = "y"\n', 2),
        ("[train]\nepochs 3\n", 2),
        ('name = "x"\nseeds = [0,', 2),
    ],
)
def test_broken_toml_is_one_mistake_with_its_line(text: str, line: int):
    wrong = mistake(text)
    assert wrong.message.startswith("not valid TOML")
    assert (wrong.file, wrong.line) == ("lab.toml", line)


# Ranges and schedules ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_value", "values"),
    [
        ('"0.1..0.9/0.1"', (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)),
        ('"0.5 .. 0.6 / 0.25"', (0.5,)),
        ('"0..0.5/0.25"', (0.0, 0.25, 0.5)),
        ("0.9", (0.9,)),
        ("[0.9, 0.5, 0.9]", (0.5, 0.9)),
        ('[0.95, "0.1..0.3/0.1"]', (0.1, 0.2, 0.3, 0.95)),
    ],
)
def test_sparsities_are_a_number_a_list_a_range_or_a_mix_and_come_out_ascending(
    given_value: str, values: tuple[float, ...]
):
    assert parse_study(f"sparsities = {given_value}").sparsities == values


@pytest.mark.parametrize(
    "text", ["0.1-0.9", "0.1..0.9", "0.9..0.1/0.1", "0.1..0.9/0", "0..0.9/1e-9", "0.1..1e400/0.1", "0..0.9/1e-320"]
)
def test_a_range_that_is_none_is_refused(text: str):
    wrong = mistake(f'sparsities = "{text}"')
    assert (wrong.path, wrong.got) == ("sparsities", f'"{text}"')
    assert "range" in wrong.message


@pytest.mark.parametrize(
    ("given_value", "schedule"),
    [
        ('"one-shot"', OneShot()),
        ('"iterative"', Iterative()),
        ('"iterative-linear"', Iterative(spacing="linear")),
        ('{ name = "iterative", steps = 3, epochs = 1 }', Iterative(steps=3, epochs=1)),
        ('{ name = "iterative", steps = 3, spacing = "geometric" }', Iterative(steps=3, spacing="geometric")),
    ],
)
def test_a_schedule_is_a_name_or_a_table(given_value: str, schedule: OneShot | Iterative):
    assert parse_study(f"schedule = {given_value}").schedule == schedule
    assert parse_study(f"methods = [{{ name = 'l1-structured', schedule = {given_value} }}]").methods[0].schedule == (
        schedule
    )


def test_a_misspelt_schedule_is_shown_as_it_was_written():
    wrong = mistake('schedule = "iterativ"')
    names = "one-shot, iterative, gradual, lottery-ticket, lr-rewinding, at-init, dynamic, during-training"
    names += ", dense-sparse-dense"
    assert (wrong.got, wrong.allowed, wrong.nearest) == ('"iterativ"', names, '"iterative"')


def test_a_geometric_schedule_without_steps_is_shown_as_it_was_written():
    wrong = mistake('schedule = "iterative-geometric"')
    assert "steps" in wrong.message
    assert wrong.got == '"iterative-geometric"'


def test_thresholds_cannot_be_spaced_geometrically():
    wrong = mistake('methods = ["threshold"]\n[schedule]\nname = "iterative"\nsteps = 3\nspacing = "geometric"\n')
    assert wrong.path == "methods[0].schedule"


def test_augmentation_may_be_switched_on_and_off():
    assert parse_study("[data]\naugment = true").data.augment == "auto"
    assert parse_study("[data]\naugment = false").data.augment == "none"


# Overrides --------------------------------------------------------------------------------------------


def test_overrides_take_toml_values_lists_and_bare_strings():
    study = parse_study(
        "[train]\nepochs = 9\n",
        ["train.epochs=3", "train.lr=0.5", "model.name=vgg11", 'name="my lab"', "seeds=[0, 1]", "schedule=iterative"],
    )
    assert (study.train.epochs, study.train.lr, study.model.name) == (3, 0.5, "vgg11")
    assert (study.name, study.seeds, study.schedule) == ("my lab", (0, 1), Iterative())


def test_the_last_of_two_overrides_wins():
    assert parse_study("", ["train.epochs=3", "train.epochs=4"]).train.epochs == 4


def test_methods_are_replaced_as_a_whole_or_changed_one_key_at_a_time():
    assert [m.name for m in parse_study("", ['methods=["l1-structured", "threshold"]']).methods] == [
        "l1-structured",
        "threshold",
    ]
    study = parse_study(
        '[[methods]]\nname = "l1-structured"\n',
        ["methods[0].scope=global", "methods.0.round_to=8", "methods.0.label=x"],
    )
    assert study.methods[0].options == {"scope": "global", "normalise": "mean", "round_to": 8}
    assert study.methods[0].label == "x"


def test_a_method_given_by_its_name_alone_can_be_changed_too():
    study = parse_study('methods = ["l1-structured"]', ["methods[0].scope=global"])
    assert study.methods[0].options == {"scope": "global", "normalise": "mean", "round_to": 0}


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("train.epochs", "key.path=VALUE"),
        ("=3", "key.path=VALUE"),
        ("", "key.path=VALUE"),
        ("train.epochs=ten", "integer"),
        ("train.epochs=", "integer"),
        ("train.epoch=3", "unknown key"),
        ("methods[1].label=x", "no such place"),
        ("train.0=3", "no such place"),
        ("0=3", "no such place"),
        ("methods.²=3", "no such place"),
        ("train.epochs.x=3", "integer"),
        ("sparsities=1.5", "[0, 1)"),
        ("model.name=resnet200", "not a valid choice"),
    ],
)
def test_a_bad_override_is_one_mistake_blamed_on_the_command_line(override: str, told: str):
    wrong = mistake('[[methods]]\nname = "l1-structured"\n', override)
    assert told in f"{wrong.path} {wrong.message}"
    assert wrong.file == "--set"
    assert wrong.line == 0


def test_an_override_of_a_method_that_is_not_there_is_one_mistake():
    assert mistake("", "methods[0].scope=global").file == "--set"


def test_mistakes_of_the_file_and_of_the_overrides_come_in_one_report():
    found = mistakes("[train]\nlr = 0\n", "train.epoch=3", "seeds")
    assert sorted((m.file, m.line) for m in found) == [("--set", 0), ("--set", 0), ("lab.toml", 2)]


def test_an_override_repairs_a_mistake_of_the_file():
    assert parse_study("[train]\nlr = 0\n", ["train.lr=0.1"]).train.lr == 0.1


# Checkpoints ------------------------------------------------------------------------------------------


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    file = tmp_path / "net.pt"
    file.touch()
    return file


def test_a_checkpoint_turns_dense_training_off_unless_epochs_are_given(checkpoint: Path):
    model = f"[model]\ncheckpoint = '{checkpoint}'\n"
    assert parse_study(model).train.epochs == 0
    assert parse_study(model + "[train]\nlr = 0.5\n").train.epochs == 0
    assert parse_study(model + "[train]\nepochs = 3\n").train.epochs == 3
    assert parse_study("", [f"model.checkpoint={checkpoint}"]).train.epochs == 0


def test_a_run_keeps_absolute_paths_so_that_it_goes_on_from_any_folder(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(checkpoint.parent)
    study = rooted(parse_study("data.name = 'cifar10'\nmodel.checkpoint = 'net.pt'"))
    assert study.model.checkpoint == str(checkpoint.resolve())
    assert study.data.root == str((checkpoint.parent / "data").resolve())


# Writing studies --------------------------------------------------------------------------------------

STUDIES = [
    "",
    "seeds = [2, 0]\nsparsities = '0.1..0.9/0.4'\n[data]\nlimit = 100\nnormalize = { mean = [0.5], std = [0.25] }\n",
    "schedule = 'iterative'\nmethods = ['l1-unstructured', 'threshold']\n",
    "target = 'macs'\nmethods = ['l1-structured', 'random-structured']\n",
    """
    [[methods]]
    name = "l1-structured"
    scope = "global"
    target = "channels"
    schedule = { name = "iterative", steps = 2, spacing = "geometric", epochs = 1 }
    sparsities = 0.75

    [[methods]]
    name = "l1-structured"
    label = 'mine "quoted"'
    """,
]


@pytest.mark.parametrize("text", STUDIES)
def test_a_resolved_study_gives_the_same_plan(text: str):
    study = parse_study(text)
    written = study_toml(study)
    assert build_plan(parse_study(written)) == build_plan(study)
    assert study_toml(parse_study(written)) == written


@pytest.mark.parametrize("text", STUDIES)
def test_a_commented_study_gives_the_same_plan(text: str):
    study = parse_study(text)
    assert build_plan(parse_study(commented_study(study))) == build_plan(study)


def test_a_resolved_study_spells_out_what_each_method_runs():
    plain = tomli.loads(study_toml(parse_study("sparsities = [0.5]\nmethods = ['l1-structured', 'threshold']")))
    first, second = plain["methods"]
    assert first == {
        "name": "l1-structured", "target": "sparsity", "schedule": {"name": "one-shot"}, "sparsities": [0.5],
        "scope": "local", "normalise": "mean", "round_to": 0,
    }  # fmt: skip
    assert (second["target"], second["sparsities"]) == ("threshold", [0.01, 0.03, 0.05, 0.1, 0.2])


def test_a_commented_study_shows_every_key_with_its_help():
    text = commented_study(Study())
    for name in ("data", "model", "train", "finetune", "measure"):
        table = Study.model_fields[name].annotation
        assert table is not None
        assert f"[{name}]" in text
        for key, field in table.model_fields.items():
            assert f"\n{key} = " in text or f"\n# {key} = " in text, key
            assert field.description, key
    assert "# Use at most this many training" in text


def test_a_commented_study_says_what_to_take_out_for_a_checkpoint(checkpoint: Path):
    """What is no default has to stand there; what it does to a checkpoint stands above it."""
    text = commented_study(load_study("quickstart"))
    assert (
        "\n# To prune a checkpoint as it is, take this line out: left in, the checkpoint is trained on.\nepochs = 25\n"
        in text
    )
    assert "\n# To start from a checkpoint, take this line out: its own width is followed.\nwidth = 8\n" in text
    assert "take this line out: its own shortcut" not in text  # it is unset, and stands commented out
    without = text.replace("\nepochs = 25\n", "\n").replace("\nwidth = 8\n", "\n")
    study = parse_study(without, [f"model.checkpoint={checkpoint}"])
    assert (study.train.epochs, study.model.width, study.model.shortcut) == (0, None, None)
    given = commented_study(parse_study("[train]\nepochs = 7", [f"model.checkpoint={checkpoint}"]))
    assert "take this line out" not in given


def test_defaults_of_a_commented_study_give_way_to_a_checkpoint(checkpoint: Path):
    text = commented_study(Study())
    assert "\n# epochs = 15\n" in text
    assert parse_study(text) == Study()
    assert parse_study(text, [f"model.checkpoint={checkpoint}"]).train.epochs == 0


@pytest.fixture
def image_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working folder with those of images that presets name."""
    monkeypatch.chdir(tmp_path)
    for name in ("images", "cifar10"):
        (tmp_path / name / "train").mkdir(parents=True)


@pytest.mark.usefixtures("image_folders")
@pytest.mark.parametrize("name", preset_names())
def test_a_commented_preset_reads_back_as_the_same_study(name: str):
    study = load_study(name)
    assert study_toml(parse_study(commented_study(study))) == study_toml(study)


@pytest.mark.usefixtures("image_folders")
@pytest.mark.parametrize("name", preset_names())
def test_every_preset_is_a_valid_study_that_can_be_planned(name: str):
    study = load_study(name)
    assert study.name == name
    assert build_plan(study).trials
    assert preset_text(name).startswith("# ")


def test_a_file_is_preferred_to_a_preset_of_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    assert find_study("quickstart")[1] == "preset quickstart"
    Path("quickstart").write_text('name = "mine"')
    assert find_study("quickstart") == ('name = "mine"', "quickstart")


@pytest.mark.parametrize(
    "given_name",
    ["no/such.toml", ".", "~nobody-has-this-name/lab.toml", "x" * 300],
    ids=["no file", "a folder", "unknown home", "too long"],
)
def test_a_study_that_is_not_there_is_told_with_the_presets(given_name: str):
    with pytest.raises(UsageError, match="quickstart"):
        find_study(given_name)


def test_the_nearest_preset_is_suggested():
    with pytest.raises(UsageError, match='did you mean "quickstart"'):
        find_study("quikstart")


def test_a_study_that_is_no_text_is_told(tmp_path: Path):
    file = tmp_path / "lab.toml"
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="cannot read the study"):
        find_study(str(file))


# The JSON Schema --------------------------------------------------------------------------------------


def _definitions() -> dict[str, dict[str, Any]]:
    schema = Study.model_json_schema()
    return {"Study": schema, **schema["$defs"]}


def test_the_json_schema_documents_every_table_and_every_field():
    definitions = _definitions()
    for name, table in definitions.items():
        assert table["description"], name
        for key, field in table["properties"].items():
            # A field that is a table, or a list of tables, is documented by the table.
            assert field.get("description") or "$ref" in field.get("items", field), f"{name}.{key}"


def _kinds(field: dict[str, Any]) -> set[str]:
    """The JSON types a field accepts."""
    inner = [*field.get("anyOf", []), *field.get("oneOf", [])]
    own = {"object"} if "$ref" in field else {field["type"]} if "type" in field else set()
    return own.union(*(_kinds(part) for part in inner))


def test_the_json_schema_accepts_the_short_forms_that_studies_use():
    definitions = _definitions()
    study = definitions["Study"]["properties"]
    assert {"array", "number", "string"} <= _kinds(study["sparsities"])
    assert {"object", "string"} <= _kinds(study["schedule"])
    assert {"object", "string"} <= _kinds(study["methods"]["items"])
    assert definitions["MethodTable"].get("additionalProperties") is not False  # a method's own options


# Anything at all --------------------------------------------------------------------------------------

KEYS = st.sampled_from(
    [
        "name", "seeds", "sparsities", "target", "schedule", "data", "model", "train", "finetune", "measure", "methods",
        "steps", "spacing", "epochs", "lr", "label", "options", "normalize", "mean", "std", "checkpoint", "root",
    ]
)  # fmt: skip
WORDS = st.sampled_from(["iterative", "one-shot", "channels", "threshold", "l1-structured", "folder", "", "0..0.5/0.2"])
SCALARS = st.one_of(
    st.booleans(), st.integers(-3, 2**40), st.floats(), WORDS, st.text(max_size=5), st.dates(), st.times()
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


def _read(text: str) -> Study | None:
    """The study or None where it is refused; any other exception fails the test."""
    try:
        return parse_study(text)
    except ConfigError:
        return None


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.dictionaries(KEYS | st.text(max_size=3), VALUES, max_size=4))
def test_any_toml_is_a_study_or_a_report_of_mistakes(plain: dict[str, Any]):
    study = _read(tomli_w.dumps(plain))
    assert study is None or all(0 <= value < math.inf for value in study.sparsities)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.data())
def test_a_study_with_one_value_exchanged_is_refused_or_can_be_planned_and_written(data: st.DataObject):
    plain = tomli.loads(study_toml(parse_study(STUDIES[-1] + "\n[data]\nnormalize = 'half'\n")))
    table = plain
    while True:
        key = data.draw(st.sampled_from(list(table) if isinstance(table, dict) else range(len(table))))
        if not (table[key] and isinstance(table[key], dict | list)) or data.draw(st.booleans()):
            break
        table = table[key]
    table[key] = data.draw(VALUES)
    study = _read(tomli_w.dumps(plain))
    if study is not None:
        assert build_plan(parse_study(study_toml(study))) == build_plan(study)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.text(max_size=30))
def test_any_text_is_a_study_or_a_report_of_mistakes(text: str):
    study = _read(text)
    assert study is None or isinstance(study, Study)


@pytest.mark.parametrize(
    "table",
    [
        "{ name = 'rigl', every = 0 }",
        "{ name = 'rigl', fraction = 1.5 }",
        "{ name = 'l1-structured', round_to = -1 }",
        "{ name = 'movement', epochs = 0 }",
        "{ name = 'group-lasso', strength = -1.0 }",
    ],
)
def test_options_out_of_their_range_are_refused(table):
    wrong = mistake(f"methods = [{table}]")
    assert wrong.message.startswith("should be ")
