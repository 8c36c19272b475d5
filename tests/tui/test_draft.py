"""The study while it is written: plain data by key path, its TOML, what is typed, and the shortest way to say it."""

from __future__ import annotations

import datetime

import pytest
import tomli
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from prunetui.config import load_study, parse_study
from prunetui.config.minimal import minimal
from prunetui.config.read_study import preset_names, preset_text
from prunetui.config.write import resolved
from prunetui.tui.screens.configure.study_draft import Draft, shown, split_items, typed_list, typed_value

PLAIN = st.one_of(st.booleans(), st.integers(-(10**9), 10**9), st.floats(allow_nan=False), st.text(max_size=12))


def test_a_value_is_set_found_and_taken_away_by_its_path():
    draft = Draft()
    draft.set(("train", "epochs"), 3)
    assert draft.data == {"train": {"epochs": 3}}
    assert draft.get(("train", "epochs")) == 3
    draft.set(("train", "epochs"), None)
    assert draft.data == {}
    assert draft.get(("train", "epochs")) is None


def test_a_short_form_becomes_a_table_when_more_is_said_and_is_written_short():
    draft = Draft({"schedule": "iterative"})
    assert draft.get(("schedule", "name")) == "iterative"
    assert draft.get(("schedule", "steps")) is None
    draft.set(("schedule", "steps"), 4)
    assert draft.data == {"schedule": {"name": "iterative", "steps": 4}}
    assert draft.toml() == 'schedule = { name = "iterative", steps = 4 }\n'
    draft.set(("schedule", "steps"), None)
    assert draft.toml() == 'schedule = "iterative"\n'
    draft.set(("schedule",), None)
    assert draft.data == {}


def test_what_stands_in_the_way_of_a_path_gives_way():
    draft = Draft({"data": 3, "methods": "none"})
    assert draft.get(("data", "name")) is None
    assert draft.get(("methods", 0)) is None
    assert draft.methods == []
    draft.set(("data", "name"), "cifar10")
    assert draft.data["data"] == {"name": "cifar10"}
    assert draft.add_method({"name": "snip"}) == 0
    assert draft.data["methods"] == [{"name": "snip"}]


def test_methods_are_tables_and_know_their_places():
    draft = Draft({"methods": ["snip", {"name": "obd", "scope": "local"}, "snip"]})
    assert draft.places("snip") == [0, 2]
    assert draft.get(("methods", 1, "scope")) == "local"
    draft.set(("methods", 1, "scope"), None)
    assert draft.methods[1] == {"name": "obd"}
    assert draft.remove_method(0) == {"name": "snip"}
    assert draft.places("snip") == [1]


def test_keys_come_before_tables_and_tables_before_methods():
    draft = Draft({"methods": ["obd"], "data": {"name": "digits", "limit": 50}, "name": "x", "odd key": 1})
    assert draft.toml() == (
        'name = "x"\n"odd key" = 1\n\n[data]\nname = "digits"\nlimit = 50\n\n[[methods]]\nname = "obd"\n'
    )


def test_a_copy_is_its_own_and_equality_is_that_of_what_is_said():
    draft = Draft({"data": {"name": "digits"}})
    other = Draft(draft.data)
    other.set(("data", "limit"), 5)
    assert draft != other
    other.set(("data", "limit"), None)
    assert draft == other


@given(
    st.dictionaries(
        st.text(max_size=8), st.one_of(PLAIN, st.lists(PLAIN, max_size=3), st.dictionaries(st.text(), PLAIN))
    )
)
def test_any_data_comes_back_from_its_toml(data):
    assert Draft.read(Draft(data).toml()).data == Draft(data).data


def test_dates_and_infinities_are_written_as_toml_has_them():
    data = {"day": datetime.date(2026, 1, 2), "far": float("inf")}
    assert tomli.loads(Draft(data).toml()) == data


def test_text_that_is_no_toml_is_refused():
    with pytest.raises(ValueError, match="Invalid value"):
        Draft.read("a = ")


@pytest.mark.parametrize(
    ("typed", "value"),
    [
        ("3", 3), ("0.5", 0.5), ("true", True), ("auto", "auto"),
        ("{mean = [0.5], std = [1]}", {"mean": [0.5], "std": [1]}),
        ("1 # 2", 1), ("a = 3", "a = 3"), ('"3"', "3"), ("3\nb = 4", "3\nb = 4"),
    ],
)  # fmt: skip
def test_a_typed_value_is_what_toml_makes_of_it(typed, value):
    assert typed_value(typed) == value


@pytest.mark.parametrize(
    ("typed", "values"),
    [
        ("0.5, 0.7", [0.5, 0.7]), ("[0.5, 0.7]", [0.5, 0.7]), ("0.1..0.9/0.1", ["0.1..0.9/0.1"]), ("", []),
        ("layer1.*, fc", ["layer1.*", "fc"]), ("0, 1,", [0, 1]),
        ('{name = "a", share = 0.5}, b', [{"name": "a", "share": 0.5}, "b"]),
    ],
)  # fmt: skip
def test_a_typed_list_has_commas_between_its_items(typed, values):
    assert typed_list(typed) == values


def test_commas_in_quotes_and_brackets_do_not_part():
    assert split_items('"a,b", [1, 2], {x = 1, y = 2}') == ['"a,b"', "[1, 2]", "{x = 1, y = 2}"]


@given(st.one_of(PLAIN, st.dictionaries(st.text(max_size=5), PLAIN, max_size=3)))
def test_what_is_shown_for_a_value_gives_it_back(value):
    assert typed_value(shown(value)) == value


@given(st.lists(st.one_of(PLAIN, st.dictionaries(st.text(max_size=5), PLAIN, max_size=2)), max_size=4))
def test_what_is_shown_for_a_list_gives_it_back(values):
    assert typed_list(shown(values)) == values


# The shortest way to say a study ------------------------------------------------------------------


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_is_said_as_shortly_as_it_is_written(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in ("images", "cifar10"):  # that presets name
        (tmp_path / folder / "train").mkdir(parents=True)
    study = load_study(name)
    short = minimal(parse_study(tomli_w.dumps(resolved(study))))
    assert resolved(parse_study(tomli_w.dumps(short))) == resolved(study)
    written = tomli.loads(preset_text(name))
    assert set(short) <= set(written)
    for table in {"data", "model", "train", "finetune", "measure", "layers"} & set(short):
        assert set(short[table]) <= set(written[table])
    for said, method in zip(short["methods"], written["methods"], strict=True):
        assert set(said) <= {"name", "schedule", *({} if isinstance(method, str) else method)}


def test_a_default_that_hangs_on_another_key_stays_where_it_is_needed(tmp_path):
    weights = tmp_path / "net.pt"
    weights.touch()
    text = f'[model]\ncheckpoint = "{weights}"\n[train]\nepochs = 15\n'
    short = minimal(parse_study(text))
    assert short["train"] == {"epochs": 15}
    silent = minimal(parse_study(f'[model]\ncheckpoint = "{weights}"\n'))
    assert parse_study(tomli_w.dumps(silent)).train.epochs == 0


def test_what_a_method_says_itself_stays():
    text = """
        [[methods]]
        name = "global-unstructured"
        schedule = { name = "iterative", steps = 3 }
        [[methods]]
        name = "l1-structured"
        scope = "global"
        target = "channels"
    """
    study = parse_study(text)
    assert minimal(study)["methods"] == [
        {"name": "global-unstructured", "schedule": {"name": "iterative", "steps": 3}},
        {"name": "l1-structured", "scope": "global", "target": "channels"},
    ]
