"""The runner of the benchmarks: what it finds, what it prints."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.metadata import version
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


def test_a_table_says_what_printed_it_on_what_and_when(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "made-up", "--markdown") == 0
    above, empty, *table = capsys.readouterr().out.splitlines()
    assert above.startswith("`python -m benchmarks made-up --markdown` on ")
    assert f"torch {version('torch')}" in above
    assert empty == ""
    assert table == [
        "| name | ours | peer | ratio | spread |",
        "| --- | ---: | ---: | ---: | ---: |",
        "| made up | 2 ms | 5 ms | 2.50 | ±0.1 |",
        "| bare | 1 | 2 | 2.00 |  |",
    ]


def test_a_peer_that_fails_is_a_line() -> None:
    failed = {"name": "x", "ours": None, "peer": None, "ratio": None, "unit": "%", "fails": "KeyError: 'conv'"}
    assert runner.line(failed, runner.MARKDOWN) == "| x |  | fails |  | KeyError: 'conv' |"


def test_an_unknown_case_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        run(monkeypatch, "nothing")
    assert "no case is called 'nothing'; there are: made-up" in capsys.readouterr().err


def test_both_sides_take_turns() -> None:
    turns: list[str] = []
    result = side_by_side("x", lambda: turns.append("ours"), lambda: turns.append("peer"), rounds=4)
    assert turns[-8:] == ["ours", "peer"] * 4
    assert set(result) == {"name", "ours", "peer", "ratio", "spread", "unit"}


def test_a_turn_may_be_several_passes_by_any_clock() -> None:
    turns: list[str] = []
    ticks = iter(range(0, 1000, 6))  # 6 s a turn

    def clock() -> float:
        return float(next(ticks))

    result = side_by_side("x", lambda: turns.append("ours"), lambda: turns.append("peer"), 2, 3, clock)
    assert turns[-6:] == ["ours"] * 3 + ["peer"] * 3
    assert (result["ours"], result["peer"], result["ratio"]) == (2000.0, 2000.0, 1.0)


def test_the_benchmark_of_latency_compares_the_widths_it_says() -> None:
    from benchmarks.latency import ALIGNED, ARCHITECTURE, EXAMPLE, ODD, Timed, narrowed, pruned
    from prunetui.config import LayersTable
    from prunetui.engine.models import build
    from prunetui.engine.state import State
    from prunetui.engine.trace_network import trace

    graph = trace(ARCHITECTURE, EXAMPLE).restricted(LayersTable())
    dense = State(ARCHITECTURE, dict(build(ARCHITECTURE).state_dict()))
    hundredth = Timed(pruned(dense, graph, 0.9, 2))
    assert (hundredth.widths, hundredth.counts.params, hundredth.counts.macs) == ("6/12/24/50", 105_428, 5_124_788)
    smaller = Timed(pruned(dense, graph, 0.9, 4))
    assert (smaller.widths, smaller.counts.params, smaller.counts.macs) == ("4/12/24/48", 98_582, 4_178_400)
    aligned, odd = (Timed(narrowed(dense, graph, widths)) for widths in (ALIGNED, ODD))
    assert aligned.counts.macs == pytest.approx(odd.counts.macs, rel=0.01)


def test_the_page_of_methods_says_what_the_methods_say() -> None:
    from benchmarks.methods_page import PAGE, page

    assert PAGE.read_text(encoding="utf-8") == page()


def test_the_page_of_the_side_by_side_says_what_its_trials_say() -> None:
    from benchmarks.torch_pruning import read_log
    from benchmarks.torch_pruning_page import PAGE, TRIALS, page

    assert PAGE.read_text(encoding="utf-8") == page(*read_log(TRIALS))
