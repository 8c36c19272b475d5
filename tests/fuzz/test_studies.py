"""Any text may be a study, and any words an override: each is one, or is refused in words and at once."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import tomli_w
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prunetui.config import Study, parse_study, study_toml
from prunetui.config.read_study import find_study, preset_names, preset_text
from prunetui.errors import PrunetuiError, UsageError
from prunetui.files.safe_toml import NotToml
from prunetui.plan import build_plan
from prunetui.terminal.printable import one_line, own_lines
from prunetui.tui.screens.configure.draft_checks import check, lines_of
from prunetui.tui.screens.configure.study_draft import Draft, shown, typed_list, typed_value
from tests.fuzz.mutations import BYTES, EVIL

Bounded = Callable[[], AbstractContextManager[None]]
QUIET = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large],
)
PLANNED = 300
"""Trials up to which a study that is right is planned too."""


def keys() -> list[str]:
    """Every key of a study by its path."""
    found = list(Study.model_fields)
    for name, field in Study.model_fields.items():
        found += [f"{name}.{key}" for key in getattr(field.annotation, "model_fields", {})]
    return [*found, "methods[0].name", "methods[0].scope", "methods[0].label", "methods[0].sparsities", "methods[1]"]


WORDS = ("taylor", "hybrid", "iterative", "0.1..0.9/0.1", "0..1e9/1e-9", "1..2", "sensitivity", EVIL, "threshold")
NAMES = st.text(max_size=8) | st.sampled_from(["name", "parts", "steps"])
SCALARS = (
    st.none().map(lambda _: "")
    | st.booleans()
    | st.integers(min_value=-(2**70), max_value=2**70)
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(
        ["taylor", "hybrid", "iterative", "0.1..0.9/0.1", "0..1e9/1e-9", "1..2", "sensitivity", EVIL, "threshold"]
    )
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=8) | st.sampled_from(["name", "parts", "steps"]), inner, max_size=4)
    ),
    max_leaves=12,
)


def is_told(text: str, overrides: list[str] = []) -> Study | None:  # noqa: B006 - never changed
    """The study, or None where it is refused in words that can be printed."""
    try:
        return parse_study(text, overrides)
    except PrunetuiError as error:
        told = error.told()
    assert told == own_lines(told)
    assert len(told) < 200_000
    return None


def is_planned(study: Study | None) -> None:
    """A study that was taken can be written, read again and, where it is small, planned."""
    if study is None:
        return
    text = study_toml(study)
    assert study_toml(parse_study(text)) == text
    from prunetui.config.size import prune_step_count

    if prune_step_count(study) <= PLANNED:
        assert build_plan(study).trials or study.kind == "sensitivity"


@QUIET
@given(table=st.dictionaries(st.sampled_from(keys()) | st.text(max_size=8), VALUES, max_size=5))
def test_any_table_is_a_study_or_refused_in_words(table: dict[str, object], bounded: Bounded):
    nested: dict[str, object] = {}
    for key, value in table.items():
        outer, _, inner = key.partition(".")
        if inner and isinstance(nested.setdefault(outer, {}), dict):
            nested[outer][inner] = value  # type: ignore[index]
        else:
            nested[outer] = value
    try:
        text = tomli_w.dumps(nested)
    except (ValueError, TypeError, UnicodeEncodeError):
        return
    with bounded():
        is_planned(is_told(text))


@QUIET
@given(text=st.text(max_size=200))
def test_any_text_is_a_study_or_refused_in_words(text: str, bounded: Bounded):
    with bounded():
        is_planned(is_told(text))
        checked = check(text)
        assert checked.study is not None or lines_of(checked.mistakes)


@QUIET
@given(key=st.sampled_from(keys()) | st.text(max_size=30), value=st.text(max_size=60) | VALUES.map(str))
def test_any_override_is_taken_or_refused_in_words(key: str, value: str, bounded: Bounded):
    with bounded():
        is_planned(is_told("", [f"{key}={value}"]))


@QUIET
@given(typed=st.text(max_size=60) | VALUES.map(str))
def test_whatever_is_typed_into_a_field_is_a_value(typed: str, bounded: Bounded):
    with bounded():
        value = typed_value(typed)
        typed_list(typed)
        assert one_line(shown(value)) is not None


def fuzzed(seed: int, bounded: Bounded) -> None:
    """A preset with its bytes changed."""
    chance = random.Random(seed)
    data = preset_text(chance.choice(preset_names())).encode()
    for _ in range(chance.randint(1, 3)):
        data = chance.choice(BYTES)(data, chance)
    text = data.decode(errors="replace")
    with bounded():
        study = is_told(text)
        is_planned(study)
        with contextlib.suppress(NotToml):
            assert isinstance(Draft.read(text).toml(), str)


def test_a_damaged_preset_is_a_study_or_refused_in_words(bounded: Bounded):
    for seed in range(80):
        fuzzed(seed, bounded)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_five_thousand_damaged_presets(bounded: Bounded):
    for seed in range(5000):
        fuzzed(seed, bounded)


@pytest.mark.parametrize("content", [bytes(range(256)), b"\xff" * 10, b"", b"\xef\xbb\xbf", "ü".encode("latin-1")])
def test_any_file_may_be_named_as_a_study(tmp_path: Path, content: bytes):
    (tmp_path / "x.toml").write_bytes(content)
    try:
        text, _ = find_study(str(tmp_path / "x.toml"))
    except UsageError as error:
        text = str(error)
        is_text = False
    else:
        is_text = True
        is_planned(is_told(text))
    assert is_text or "it is not UTF-8 text" in text
