"""No text can be a study that exhausts the reader: each is refused in a line, at once."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from prunetui import config
from prunetui.config import MethodTable, Study, load_study, parse_study
from prunetui.config.size import prune_step_count, too_large, trial_count
from prunetui.errors import ConfigError, UsageError
from prunetui.files.safe_toml import MOST_BYTES, NotToml, read_toml
from prunetui.plan import Units, build_plan


def short(value: object) -> str:
    """The name of a case: what it holds is too long for one."""
    return repr(value)[:40]


SEEDS = ", ".join(map(str, range(1000)))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a = " + "[" * 400 + "]" * 400, "nested more than 32 deep"),
        ("a = " + "[" * 20_000 + "]" * 20_000, "nested more than 32 deep"),
        ("a = " + "{a = " * 400 + "1" + "}" * 400, "nested more than 32 deep"),
        ("methods = [" + "{name = 'hybrid', parts = [" * 300 + "]}" * 300 + "]", "nested more than 32 deep"),
        (".".join("a" * 1500) + " = 1", "a key of more than 32 parts"),
        ("[" + ".".join("a" * 1500) + "]", "a key of more than 32 parts"),
        (".".join("a" * 40) + " = 1", "nested more than 32 deep"),
        ("\n\nseeds = [" + "1" * 5000 + "]", "study:3: it holds an integer of more than 64 bits"),
        ("seeds = [0x" + "f" * 5000 + "]", "an integer of more than 64 bits"),
        ("name = 9223372036854775808", "an integer of more than 64 bits"),
        ("# " + "x" * MOST_BYTES, "at most 4,194,304 are read"),
        ("name = 'a\0b'", "not valid TOML"),
        ("sparsities = '0..0.999/1e-9'", "a range has at most 1000 values"),
        ("sparsities = '0..1e308/1e-308'", "a range has at most 1000 values"),
        ("sparsities = [" + "'0..0.999/0.001', " * 2000 + "]", "at most 100,000 values"),
        ("methods = [" + "'taylor', " * 1001 + "]", "at most 1000 items"),
        (f"methods = [{{name = 'taylor', label = '{'x' * 201}'}}]", "at most 200 characters"),
        ("methods = ['" + "x" * 100_000 + "']", "no such method"),
    ],
    ids=short,
)
def test_a_text_beyond_the_limits_is_refused_in_words(text: str, why: str):
    started = time.monotonic()
    with pytest.raises(ConfigError, match=why) as caught:
        parse_study(text)
    assert len(str(caught.value)) < 1500
    assert time.monotonic() - started < 10  # each of them took minutes, or a traceback


@pytest.mark.parametrize(
    ("override", "why"),
    [
        (".".join("a" * 1500) + "=1", "no key of a study has 1,500 parts"),
        ("methods" + "[0]" * 1500 + "=1", "no key of a study has 1,501 parts"),
        ("methods[" + "9" * 5000 + "].name=x", "methods"),
        ("name=" + "[" * 400 + "]" * 400, "nested more than 32 deep"),
        ("name=" + "[" * 20_000 + "]" * 20_000, "nested more than 32 deep"),
        ("seeds=" + "1" * 5000, "an integer of more than 64 bits"),
        ("seeds=0x" + "f" * 5000, "an integer of more than 64 bits"),
        ("seeds=[0]\nkind='x'", "seeds: should be a valid tuple"),  # not the value of seeds and something dropped
        ("a\nb\x1b=1", r"a\\nb\\x1b: unknown key"),
    ],
    ids=short,
)
def test_an_override_beyond_the_limits_is_refused_in_words(override: str, why: str):
    with pytest.raises(ConfigError, match=why) as caught:
        parse_study("", [override])
    assert len(str(caught.value)) < 1500
    assert len(str(caught.value).splitlines()) == 2


def test_thousands_of_mistakes_are_counted_and_a_hundred_told():
    with pytest.raises(ConfigError) as caught:
        parse_study("\n".join(f"k{i} = 1" for i in range(3000)))
    assert len(caught.value.mistakes) == 3000
    lines = str(caught.value).splitlines()
    assert lines[0].startswith("3000 mistakes")
    assert len(lines) == 102
    assert lines[-1] == "  and 2,900 more"


def test_a_byte_order_mark_is_no_part_of_a_study(tmp_path: Path):
    (tmp_path / "study.toml").write_bytes(b"\xef\xbb\xbfname = 'x'\r\n")
    assert load_study(str(tmp_path / "study.toml")).name == "x"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"\xff\xfen\0a\0", "not UTF-8 text .byte 0 is 0xff"),
        (b"#" * (MOST_BYTES + 1), "larger than 4 MiB"),
    ],
    ids=short,
)
def test_a_file_that_is_no_text_is_refused(tmp_path: Path, content: bytes, why: str):
    (tmp_path / "study.toml").write_bytes(content)
    with pytest.raises(UsageError, match=why):
        load_study(str(tmp_path / "study.toml"))


@pytest.mark.timeout(30)
def test_what_is_no_regular_file_is_not_opened(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/dev/zero")
    for path in (tmp_path / "pipe", tmp_path / "link", "/dev/zero"):
        with pytest.raises(UsageError, match="it is no regular file"):
            load_study(str(path))
    with pytest.raises(UsageError, match="it is a folder"):
        load_study(str(tmp_path))


def test_trials_are_counted_without_a_plan():
    study = parse_study("seeds = [0, 1, 2]\nsparsities = '0.1..0.9/0.1'\nmethods = ['taylor', 'lamp', 'snip']")
    assert trial_count(study) == 3 * 3 * 9
    assert sum(trial.method != "dense" for trial in build_plan(study).trials) == 3 * 3 * 9


@pytest.mark.parametrize(
    ("schedule", "steps"),
    [
        ("'one-shot'", 1 + 1 + 1),
        ("'iterative'", 3 * 3),
        ("{name = 'iterative', steps = 4}", 3 * 4),
        ("{name = 'iterative', levels = [0.2, 0.4]}", 3 * 3),
        ("'lottery-ticket'", 3 * (3 + 6)),  # 0.3 of the weights remain after 6 rounds of 0.8, and each value is one
        ("{name = 'gradual', steps = 5}", 3 * 5),
        ("{name = 'gradual', until = 0.5}", 3 * 5),
    ],
)
def test_prune_steps_are_at_least_those_of_the_plan(schedule: str, steps: int):
    study = parse_study(f"sparsities = [0.3, 0.5, 0.7]\nfinetune.epochs = 10\nschedule = {schedule}")
    assert prune_step_count(study) == steps
    planned = build_plan(study)
    assert sum(type(node.step).__name__ == "Prune" for node in planned.nodes.values()) <= steps


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (
            f"seeds = [{SEEDS}]\nsparsities = '0..0.999/0.001'",
            r"1,000,000 trials \(methods: 1, seeds: 1,000\)",
        ),
        (f"kind = 'sensitivity'\nseeds = [{SEEDS}]\nsparsities = '0..0.101/0.001'", "it asks for 102,000 trials"),
        ("schedule = 'gradual'\nfinetune.epochs = 100_000\nsparsities = '0..0.9/0.1'", "prune 750,000 times"),
    ],
    ids=short,
)
def test_a_study_that_is_too_large_is_refused_before_it_is_planned(
    text: str, why: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("prunetui.plan.unroll.Plan", lambda: pytest.fail("it was planned"))
    with pytest.raises(ConfigError, match=why):
        parse_study(text)


def test_a_study_made_in_python_is_refused_too_and_so_are_too_many_layers():
    large = Study(seeds=tuple(range(1000)), sparsities=tuple(i / 1000 for i in range(1000)))
    with pytest.raises(UsageError, match="1,000,000 trials"):
        build_plan(large)
    layers = Study(kind="sensitivity", seeds=tuple(range(100)), sparsities=tuple(i / 1000 for i in range(500)))
    assert too_large(layers) == ""
    with pytest.raises(UsageError, match=r"150,000 trials \(methods: 1, seeds: 100, layers: 3\)"):
        build_plan(layers, units=Units(["a", "b", "c"], [("a",)]))


def test_the_largest_study_that_is_planned_can_be_written_and_read_again():
    methods = tuple(MethodTable(name="taylor", label=f"{'x' * 190}{i}") for i in range(1000))
    study = Study(methods=methods, sparsities=tuple(i / 1000 for i in range(100)))
    assert trial_count(study) == 100_000
    assert trial_count(parse_study(config.study_toml(study))) == 100_000


def test_toml_is_read_up_to_the_limits():
    deep = "a = " + "[" * 31 + "]" * 31
    assert read_toml(deep)["a"]
    with pytest.raises(NotToml):
        read_toml("a = " + "[" * 33 + "]" * 33)
    assert read_toml("a = 9223372036854775807\nb = -9223372036854775808")["a"] == 2**63 - 1
    assert read_toml("a.b.c = 1") == {"a": {"b": {"c": 1}}}
