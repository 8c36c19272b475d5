"""Which trial is next, on plans that fit a line: every trial's steps by name, and no process anywhere."""

from __future__ import annotations

import ast
from pathlib import Path

import prunetui
from prunetui.execute.scheduler import Scheduler

SHARED = {"one": {"dense", "prune 1"}, "two": {"dense", "prune 2"}, "other": {"seed 2"}}


def test_trials_that_share_nothing_begin_in_order() -> None:
    scheduler = Scheduler({"a": {"x"}, "b": {"y"}, "c": set()})
    assert [scheduler.claim() for _ in range(4)] == ["a", "b", "c", None]
    assert (scheduler.waiting, scheduler.claimed, scheduler.unfinished) == ([], ["a", "b", "c"], 3)


def test_who_needs_a_step_that_another_computes_waits_for_it_and_others_go_first() -> None:
    scheduler = Scheduler(SHARED)
    assert scheduler.claim() == "one"
    assert scheduler.waits_for("two") == ["one"]
    assert scheduler.waits_for("other") == []
    assert [scheduler.claim(), scheduler.claim()] == ["other", None]
    scheduler.done("one")
    assert scheduler.needed("two") == {"prune 2"}
    assert scheduler.claim() == "two"


def test_a_step_is_computed_once_though_two_wait_for_it() -> None:
    scheduler = Scheduler({"a": {"x"}, "b": {"x", "y"}, "c": {"x", "y"}})
    assert [scheduler.claim(), scheduler.claim()] == ["a", None]
    scheduler.done("a")
    assert [scheduler.claim(), scheduler.claim()] == ["b", None]  # c now waits for y
    assert scheduler.waits_for("c") == ["b"]


def test_who_gives_up_leaves_to_the_next_what_it_did_not_compute() -> None:
    scheduler = Scheduler({"a": {"x", "y"}, "b": {"x", "y", "z"}})
    assert scheduler.claim() == "a"
    scheduler.gave_up("a", missing={"y"})
    assert scheduler.needed("b") == {"y", "z"}
    assert scheduler.claim() == "b"


def test_it_is_over_when_nothing_waits_or_is_claimed() -> None:
    scheduler = Scheduler({"a": {"x"}})
    assert scheduler.unfinished == 1
    scheduler.claim()
    assert scheduler.unfinished == 1
    scheduler.done("a")
    assert scheduler.unfinished == 0


def test_a_step_is_refused_after_two_deaths() -> None:
    scheduler = Scheduler({"a": {"x"}, "b": {"x"}, "c": {"x", "z"}, "d": {"y"}})
    for name in ("a", "b"):
        assert scheduler.refuse() == []
        assert scheduler.claim() == name
        scheduler.gave_up(name, missing={"x"})
        scheduler.died("x")
    assert scheduler.refuse() == [("c", "x")]
    assert scheduler.refuse() == []
    assert scheduler.waiting == ["d"]


def test_a_step_at_which_workers_died_in_an_earlier_execution_is_tried_once() -> None:
    scheduler = Scheduler({"a": {"x"}, "b": {"x"}}, died_before={"x": 2})
    assert scheduler.refuse() == []
    assert scheduler.claim() == "a"
    scheduler.gave_up("a", missing={"x"})
    scheduler.died("x")
    assert scheduler.refuse() == [("b", "x")]


def test_one_death_refuses_nobody_and_a_step_that_is_computed_at_last_is_needed_no_more() -> None:
    scheduler = Scheduler({"a": {"x"}, "b": {"x"}, "c": {"x"}})
    scheduler.claim()
    scheduler.gave_up("a", missing={"x"})
    scheduler.died("x")
    assert scheduler.refuse() == []
    assert scheduler.claim() == "b"
    scheduler.done("b")
    assert scheduler.needed("c") == set()
    assert scheduler.claim() == "c"


def test_it_knows_no_process_no_file_and_no_clock() -> None:
    tree = ast.parse((Path(prunetui.__file__).parent / "execute" / "scheduler.py").read_text())
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert imported == {"__future__", "collections", "collections.abc"}
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.Import)]
