"""The runner of the benchmarks: what it finds, what it prints."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from benchmarks import __main__ as runner
from benchmarks._timing import side_by_side


def made_up() -> Iterator[dict[str, Any]]:
    yield {"name": "made up", "ours": 2.0, "peer": 5.0, "ratio": 2.5, "unit": "ms", "spread": 0.1}
    yield {"name": "bare", "ours": 1, "peer": 2, "ratio": 2}


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(runner, "cases", lambda: {"made-up": made_up})
    monkeypatch.setattr("sys.argv", ["benchmarks", *arguments])
    return runner.main()


def test_cases_are_the_modules_with_results() -> None:
    found = runner.cases()
    assert "kmeans-shared" in found
    assert not any(name.startswith("-") for name in found)


def test_a_result_is_a_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        ["name", "ours", "peer", "ratio", "spread"],
        ["made", "up", "2", "ms", "5", "ms", "2.50", "±0.1"],
        ["bare", "1", "2", "2.00"],
    ]


def test_json_is_one_object_a_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "made-up", "--json") == 0
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == list(made_up())


def test_an_unknown_case_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        run(monkeypatch, "nothing")
    assert "no case is called 'nothing'; there are: made-up" in capsys.readouterr().err


def test_both_sides_take_turns() -> None:
    turns: list[str] = []
    result = side_by_side("x", lambda: turns.append("ours"), lambda: turns.append("peer"), rounds=4)
    assert turns[-8:] == ["ours", "peer"] * 4
    assert set(result) == {"name", "ours", "peer", "ratio", "spread", "unit"}


def test_the_page_of_methods_says_what_the_methods_say() -> None:
    from benchmarks.methods_page import PAGE, page

    assert PAGE.read_text(encoding="utf-8") == page()
