"""The list of runs: what it shows of any folder, and every key."""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from textual.binding import Binding
from textual.pilot import Pilot
from textual.widgets import Static

from prunetui.store import Run
from prunetui.store.queue import Queue
from prunetui.store.status import status_plain
from prunetui.tui.app import PrunetuiApp
from prunetui.tui.navigation import OpenCompare, OpenConfigure, OpenLive, OpenResults, StoreChanged
from prunetui.tui.screens.compare.compare_screen import CompareScreen
from prunetui.tui.screens.configure.configure_screen import ConfigureScreen
from prunetui.tui.screens.dialogs import Choice, TextPrompt
from prunetui.tui.screens.help import HelpScreen, keys_of
from prunetui.tui.screens.leave import LeaveScreen
from prunetui.tui.screens.live.live_screen import LiveScreen
from prunetui.tui.screens.results.results_screen import ResultsScreen
from prunetui.tui.screens.runs.runs_screen import RunsScreen
from prunetui.tui.widgets.footer import Keys
from prunetui.tui.widgets.virtual_table import VirtualTable

from .fakes import NOW, fake_run, until

App = Callable[..., PrunetuiApp]
Drive = Callable[..., None]
Story = Callable[[Pilot[Any], "VirtualTable[Any]"], Awaitable[None]]


def runs(story: Story) -> Callable[[Pilot[Any]], Awaitable[None]]:
    """A story that begins when the runs are listed."""

    async def told(pilot: Pilot[Any]) -> None:
        await until(pilot, lambda: pilot.app.session.entries is not None)
        await story(pilot, pilot.app.screen.query_one(VirtualTable))

    return told


def listed(app: PrunetuiApp) -> set[str]:
    """What the line of keys tells."""
    return {hint.words for hint in app.screen.query_one(Keys).shown}


def names(table: VirtualTable[Any]) -> list[str]:
    return [entry.name for entry in table.rows]


def words(pilot: Pilot[Any], selector: str) -> str:
    return str(pilot.app.screen.query_one(selector, Static).content)


def drawn(table: VirtualTable[Any]) -> list[str]:
    """The lines of a table as they are on the screen."""
    return [table.render_line(y).text.rstrip() for y in range(len(table.rows) + 1)]


def notes(pilot: Pilot[Any]) -> list[str]:
    return [note.message for note in pilot.app._notifications]


def three(root: Path) -> None:
    """Made one after another: b, c, a, with other accuracies."""
    for age, name in enumerate(("a", "c", "b")):
        fake_run(root, name, created=NOW - 60 * (age + 1), best=80.0 + 7 * age % 10, model=f"resnet{age}")


# What is shown ----------------------------------------------------------------------------------------


def test_an_empty_folder_tells_how_to_begin_and_fills_by_itself(root: Path, app_of: App, drive: Drive):
    async def story(pilot: Pilot[Any], table: VirtualTable[Any]) -> None:
        assert "No runs in" in words(pilot, "#empty")
        assert "Press n" in words(pilot, "#empty")
        fake_run(root, "first")
        await until(pilot, lambda: names(table) == ["first"])
        assert table.has_focus
        assert table.size.height > 10
        assert not pilot.app.screen.query_one("#empty").display
        assert words(pilot, "#title").endswith("1 run")

    drive(app_of(root), runs(story))


def test_a_folder_that_is_not_there_yet_is_empty(root: Path, app_of: App, drive: Drive):
    async def story(pilot: Pilot[Any], table: VirtualTable[Any]) -> None:
        assert "No runs in" in words(pilot, "#empty")
        await pilot.press("enter", "space", "c", "r", "d", "e", "x", "plus", "minus", "down", "escape")

    drive(app_of(root / "not" / "there"), runs(story))


def test_live_runs_come_first_then_the_queue_in_its_order_then_the_chosen_sort(root: Path, app_of: App, drive: Drive):
    three(root)
    fake_run(root, "old queued", "queued", created=NOW - 9000)
    fake_run(root, "new queued", "queued", created=NOW - 30)
    fake_run(root, "not in the queue", "queued", created=NOW - 90)
    fake_run(root, "busy", "running", created=NOW - 9999)
    fake_run(root, "paused", "running", created=NOW - 9999, message="paused")
    queue = Queue(root)
    queue.add("20240101-000000-old-queued")
    queue.add("20240101-000000-new-queued")

    async def story(pilot: Pilot[Any], table: VirtualTable[Any]) -> None:
        shown = names(table)
        assert sorted(shown[:2]) == ["busy", "paused"]
        assert shown[2:4] == ["old queued", "new queued"]
        assert shown[4:] == ["a", "not in the queue", "c", "b"]
        title = words(pilot, "#title")
        assert title.endswith("8 runs, 2 running, 2 in the queue")
        assert [entry.state for entry in table.rows[:5]].count("queued") == 2
        assert table.rows[5].state == "waiting"

    drive(app_of(root), runs(story))


def test_progress_and_time_left_of_what_runs(root: Path, app_of: App, drive: Drive):
    fake_run(root, "busy", "running", done=3, failed=1, trials=8, started=NOW - 100)

    async def story(pilot: Pilot[Any], table: VirtualTable[Any]) -> None:
        assert "━━━─── 4/8 1:40" in drawn(table)[1]
        assert drawn(table)[1].split()[:3] == [">", "running", "busy"]

    drive(app_of(root), runs(story), (120, 24))


def test_sorted_by_a_key_and_by_a_click_and_remembered(root: Path, app_of: App, drive: Drive):
    three(root)
    app = app_of(root)

    async def story(pilot: Pilot[Any], table: VirtualTable[Any]) -> None:
        assert names(table) == ["a", "c", "b"]
        await pilot.press("s", "down", "enter")
        await until(pilot, lambda: names(table) == ["a", "b", "c"])
        assert (app.session.settings.sort, app.session.settings.descending) == ("name", False)
        x = drawn(table)[0].index("name")
        await pilot.click(VirtualTable, offset=(x, 0))
        await until(pilot, lambda: names(table) == ["c", "b", "a"])
        assert "namev" in drawn(table)[0]

    drive(app, runs(story))

    async def again(pilot: Pilot[Any], table: VirtualTable[Any]) -> None:
        assert table.sorted_by == ("name", True)
        assert names(table) == ["c", "b", "a"]

    drive(app_of(root), runs(again))


def test_every_column_sorts(root: Path, app_of: App, drive: Drive):
    three(root)
    fake_run(root, "running", "running")
    (root / "foreign").mkdir()

    async def story(pilot: Pilot[Any], table: VirtualTable[Any]) -> None:
        for column in list(table.columns):
            for _ in range(2):
                table.post_message(VirtualTable.SortAsked(table, column.key))
                await pilot.pause()
                assert names(table)[0] == "running"
                assert sorted(names(table)[1:]) == ["a", "b", "c", "foreign"]

    drive(app_of(root), runs(story))


def test_filtered_while_typing_by_words_and_pairs(root: Path, app_of: App, drive: Drive):
    three(root)
    fake_run(root, "Broken one", "failed", model="vgg11")

    async def story(pilot: Pilot[Any], table: VirtualTable[Any]) -> None:
        await pilot.press("slash", *"brok")
        await pilot.pause()
        assert names(table) == ["Broken one"]
        assert "1 of 4 runs" in words(pilot, "#title")
        await pilot.press(*["backspace"] * 4, *"state:done model:resnet1")
        await pilot.pause()
        assert names(table) == ["c"]
        await pilot.press("enter")
        assert table.has_focus
        await pilot.press("escape")
        await pilot.pause()
        assert len(table.rows) == 4
        assert not pilot.app.screen.query_one("#filter").display
        await pilot.press("slash", *"nothing fits")
        await pilot.pause()
        assert names(table) == []
        assert "0 of 4 runs" in words(pilot, "#title")
        await pilot.press("enter", "enter", "space", "c", "r", "d", "e", "x")

    drive(app_of(root), runs(story))


def test_the_cursor_stays_on_its_run_when_another_appears(root: Path, app_of: App, drive: Drive):
    three(root)

    async def story(pilot: Pilot[Any], table: VirtualTable[Any]) -> None:
        await pilot.press("down")
        assert table.current.name == "c"
        fake_run(root, "newest", created=NOW)
        pilot.app.post_message(StoreChanged())
        await until(pilot, lambda: len(table.rows) == 4)
        assert table.current.name == "c"
        assert table.cursor == 2

    drive(app_of(root), runs(story))


# Folders that are not as they should be ---------------------------------------------------------------


def test_what_cannot_be_read_is_listed_as_such_and_does_no_harm(root: Path, app_of: App, drive: Drive):
    fake_run(root, "good")
    for name, text in {
        "corrupt": b"\xff\x00{",
        "half": b'{"state": "run',
        "list": b"[1, 2]",
        "wrong": b'{"state": "done", "trials": "many"}',
        "lacking": b"{}",
    }.items():
        (root / name).mkdir()
        (root / name / "status.json").write_bytes(text)
    (root / "half-written").mkdir()
    (root / "a file").write_text("foreign")
    (root / ".hidden").mkdir()

    async def story(pilot: Pilot[Any], table: VirtualTable[Any]) -> None:
        states = {entry.name: entry.state for entry in table.rows}
        bad = ("corrupt", "half", "list", "wrong", "lacking", "half-written")
        assert states == {"good": "done", **dict.fromkeys(bad, "unreadable")}
        assert "? unreadable" in "\n".join(drawn(table))
        for _ in table.rows:
            await pilot.press("e", "r", "plus", "space")
        await pilot.press("home", "enter")
        await pilot.pause(0.3)
        await pilot.press("escape")
        assert isinstance(pilot.app.screen, RunsScreen)

    drive(app_of(root), runs(story))


def test_a_status_of_a_newer_version_is_shown_as_far_as_it_is_known(root: Path, app_of: App, drive: Drive):
    run = fake_run(root, "tomorrow")
    plain = {**status_plain(run.status()), "version": "99.0", "karma": [1, 2]}
    (run.folder / "status.json").write_text(json.dumps(plain))
    odd = fake_run(root, "odd")
    (odd.folder / "status.json").write_text(json.dumps({**plain, "name": "odd", "state": "hibernating"}))

    async def story(pilot: Pilot[Any], table: VirtualTable[Any]) -> None:
        assert {entry.name: entry.state for entry in table.rows} == {"tomorrow": "done", "odd": "hibernating"}
        assert "? hibernating" in "\n".join(drawn(table))

    drive(app_of(root), runs(story), (120, 24))


def test_names_are_text_and_not_markup(root: Path, app_of: App, drive: Drive):
    for name, state in (("[/] [red]", "interrupted"), ("[/b]", "running")):
        run = fake_run(root, state, state, methods=("[x]",))
        run.write_status(replace(run.status(), name=name))

    async def story(pilot: Pilot[Any], table: VirtualTable[Any]) -> None:
        assert "[/] [red]" in drawn(table)[2]
        await pilot.press("x")
        await until(pilot, lambda: bool(notes(pilot)))
        await pilot.pause(0.1)
        assert notes(pilot) == ["[/b] is running; stop it first."]

    drive(app_of(root), runs(story))


def test_a_run_whose_process_died_says_so(root: Path, app_of: App, drive: Drive):
    import socket

    fake_run(root, "dead", "running", host=socket.gethostname(), pid=1)
    fake_run(root, "silent", "running", host="elsewhere", heartbeat=1.0)

    async def story(pilot: Pilot[Any], table: VirtualTable[Any]) -> None:
        assert [entry.state for entry in table.rows] == ["died", "died"]

    drive(app_of(root), runs(story))


# Keys -------------------------------------------------------------------------------------------------


def test_enter_opens_what_runs_live_and_what_is_over_as_results(root: Path, app_of: App, drive: Drive):
    fake_run(root, "busy", "running")
    fake_run(root, "over")

    async def story(pilot: Pilot[Any], table: VirtualTable[Any]) -> None:
        for screen in (LiveScreen, ResultsScreen):
            await pilot.press("enter")
            await until(pilot, lambda screen=screen: isinstance(pilot.app.screen, screen))
            assert pilot.app.screen.run_id == table.current.id
            await pilot.press("escape")
            await until(pilot, lambda: isinstance(pilot.app.screen, RunsScreen))
            await pilot.press("down")
        assert names(table) == ["busy", "over"]

    drive(app_of(root), runs(story))


def test_compare_asks_for_two_marked_runs(root: Path, app_of: App, drive: Drive):
    three(root)

    async def story(pilot: Pilot[Any], table: VirtualTable[Any]) -> None:
        await pilot.press("c")
        assert "Mark two or more runs" in notes(pilot)[0]
        await pilot.press("space", "space")
        assert [entry.name for entry in table.chosen] == ["a", "c"]
        assert [line[:1] for line in drawn(table)[1:]] == ["*", "*", " "]
        await pilot.press("c")
        await until(pilot, lambda: isinstance(pilot.app.screen, CompareScreen))
        await pilot.press("escape", "escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, RunsScreen))
        await pilot.press("escape")
        assert table.marked == frozenset()

    drive(app_of(root), runs(story))


def test_resume_puts_what_is_not_done_into_the_queue(root: Path, app_of: App, drive: Drive):
    fake_run(root, "stopped", "interrupted", created=NOW - 1)
    fake_run(root, "broken", "failed", created=NOW - 2)
    fake_run(root, "forgotten", "queued", created=NOW - 3)
    fake_run(root, "over", created=NOW - 4)

    async def story(pilot: Pilot[Any], table: VirtualTable[Any]) -> None:
        await pilot.press("end", "r")
        await pilot.press("home", "space", "space", "space", "space", "r")
        await until(pilot, lambda: bool(notes(pilot)))
        assert notes(pilot) == ["3 runs in the queue"]
        waiting = ("20240101-000000-stopped", "20240101-000000-broken", "20240101-000000-forgotten")
        assert Queue(root).waiting == waiting
        await until(pilot, lambda: [entry.place for entry in table.rows] == [1, 2, 3, 0])
        assert "1. in queue" in drawn(table)[1]

    drive(app_of(root), runs(story))


@pytest.mark.parametrize(("answer", "waiting"), [("enter", 1), ("escape", 0)])
def test_code_that_a_run_from_elsewhere_names_is_asked_about(
    root: Path, tmp_path: Path, app_of: App, drive: Drive, answer: str, waiting: int
):
    (tmp_path / "net.py").write_text("def make(channels, classes):\n    ...\n")
    study = f"model = {{ name = '{tmp_path}/net.py:make' }}\nmethods = ['l1-unstructured']"
    fake_run(root, "stopped", "interrupted", study=study)

    async def story(pilot: Pilot[Any], table: VirtualTable[Any]) -> None:
        await pilot.press("r")
        await until(pilot, lambda: isinstance(pilot.app.screen, Choice))
        assert "names code of net.py:make" in str(pilot.app.screen.query_one(".note", Static).render())
        await pilot.press(answer)
        await until(pilot, lambda: bool(notes(pilot)))
        assert len(Queue(root).waiting) == waiting

    drive(app_of(root), runs(story))


def test_the_order_of_the_queue_is_changed_with_plus_and_minus(root: Path, app_of: App, drive: Drive):
    for name in ("one", "two", "three"):
        Queue(root).add(fake_run(root, name, "queued").id)

    async def story(pilot: Pilot[Any], table: VirtualTable[Any]) -> None:
        assert names(table) == ["one", "two", "three"]
        await pilot.press("plus")
        await until(pilot, lambda: names(table) == ["two", "one", "three"])
        assert table.current.name == "one"
        await pilot.press("plus")
        await until(pilot, lambda: names(table) == ["two", "three", "one"])
        await pilot.press("minus", "minus", "minus")
        await until(pilot, lambda: names(table) == ["one", "two", "three"])

    drive(app_of(root), runs(story))


def test_new_and_duplicate_open_configure(root: Path, app_of: App, drive: Drive):
    fake_run(root, "over")

    async def story(pilot: Pilot[Any], table: VirtualTable[Any]) -> None:
        for key, start in (("n", ""), ("d", "20240101-000000-over")):
            await pilot.press(key)
            await until(pilot, lambda: isinstance(pilot.app.screen, ConfigureScreen))
            assert pilot.app.screen.start == start
            await until(pilot, lambda: pilot.app.screen.settled)
            await pilot.press("escape")
            await until(pilot, lambda: isinstance(pilot.app.screen, RunsScreen))

    drive(app_of(root), runs(story))


def test_rename_keeps_everything_else(root: Path, app_of: App, drive: Drive):
    run = fake_run(root, "old", done=3)
    fake_run(root, "busy", "running")

    async def story(pilot: Pilot[Any], table: VirtualTable[Any]) -> None:
        await pilot.press("e")
        await pilot.pause()
        assert isinstance(pilot.app.screen, RunsScreen)
        await pilot.press("down", "e")
        await until(pilot, lambda: isinstance(pilot.app.screen, TextPrompt))
        await pilot.press("end", *" and new", "enter")
        await until(pilot, lambda: "old and new" in names(table))
        await pilot.press("e")
        await until(pilot, lambda: isinstance(pilot.app.screen, TextPrompt))
        await pilot.press("x", "escape")
        await pilot.pause()
        assert "old and new" in names(table)

    before = run.status()
    drive(app_of(root), runs(story))
    assert {**status_plain(run.status()), "name": "old"} == status_plain(before)


def test_a_run_that_began_meanwhile_is_not_renamed(root: Path, app_of: App, drive: Drive):
    run = fake_run(root, "old", "interrupted")

    async def story(pilot: Pilot[Any], table: VirtualTable[Any]) -> None:
        await pilot.press("e")
        await until(pilot, lambda: isinstance(pilot.app.screen, TextPrompt))
        run.write_status(type(run.status())("running", name="old", host="elsewhere", heartbeat=time.time()))
        await pilot.press("x", "enter")
        await until(pilot, lambda: bool(notes(pilot)))
        assert notes(pilot) == ["A run can be renamed when it is over."]

    drive(app_of(root), runs(story))
    assert (run.status().state, run.status().name) == ("running", "old")


def test_delete_asks_and_takes_folder_and_place_in_the_queue(root: Path, app_of: App, drive: Drive):
    doomed = fake_run(root, "doomed", "interrupted", created=NOW)
    kept = fake_run(root, "kept")
    Queue(root).add(doomed.id)

    async def story(pilot: Pilot[Any], table: VirtualTable[Any]) -> None:
        table.cursor = names(table).index("doomed")
        for answer in (["enter"], ["escape"]):
            await pilot.press("x")
            await until(pilot, lambda: isinstance(pilot.app.screen, Choice))
            await pilot.press(*answer)
            await pilot.pause()
            assert doomed.folder.is_dir()
        await pilot.press("x")
        await until(pilot, lambda: isinstance(pilot.app.screen, Choice))
        await pilot.press("down", "enter")
        await until(pilot, lambda: names(table) == ["kept"])

    drive(app_of(root), runs(story))
    assert not doomed.folder.exists()
    assert kept.folder.is_dir()
    assert Queue(root).waiting == ()


def test_delete_refuses_what_runs_and_tells_what_it_cannot(
    root: Path, app_of: App, drive: Drive, monkeypatch: pytest.MonkeyPatch
):
    busy = fake_run(root, "busy", "running")
    fake_run(root, "fixed")

    def refuse(*_: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("prunetui.tui.screens.runs.run_actions.shutil.rmtree", refuse)

    async def story(pilot: Pilot[Any], table: VirtualTable[Any]) -> None:
        await pilot.press("x")
        await until(pilot, lambda: notes(pilot) == ["busy is running; stop it first."])
        await pilot.press("down", "x")
        await until(pilot, lambda: isinstance(pilot.app.screen, Choice))
        await pilot.press("down", "enter")
        await until(pilot, lambda: "fixed: Permission denied" in notes(pilot))

    drive(app_of(root), runs(story))
    assert busy.folder.is_dir()


def test_quitting_asks_only_while_something_runs(root: Path, app_of: App, drive: Drive):
    app = app_of(root)

    async def story(pilot: Pilot[Any], table: VirtualTable[Any]) -> None:
        fake_run(root, "busy", "running")
        await until(pilot, lambda: names(table) == ["busy"])
        await pilot.press("q")
        assert isinstance(app.screen, LeaveScreen)
        await pilot.press("escape")
        assert isinstance(app.screen, RunsScreen)
        run = Run(root / "20240101-000000-busy")
        run.write_status(type(run.status())("done", name="busy"))
        await pilot.press("q")
        await pilot.pause()

    drive(app, runs(story))
    assert app.return_code == 0
    assert not app.is_running


# Sizes, help, palette ---------------------------------------------------------------------------------


def test_columns_go_where_there_is_no_room_and_come_back(root: Path, app_of: App, drive: Drive):
    fake_run(root, "a run with quite a long name of its own", methods=("taylor", "l1-unstructured", "obs", "obc"))

    async def story(pilot: Pilot[Any], table: VirtualTable[Any]) -> None:
        small = drawn(table)
        assert all(len(line) <= 80 for line in small)
        assert small[0].split() == ["state", "name", "trials", "model", "data", "dense", "best", "age^"]
        await pilot.resize_terminal(140, 30)
        await pilot.pause()
        large = drawn(table)
        assert "methods" in large[0]
        assert "taylor, l1-unstructured" in large[1]
        await pilot.resize_terminal(40, 10)
        await pilot.pause()
        assert all(len(line) <= 40 for line in drawn(table))
        await pilot.press("down", "pagedown", "end")

    drive(app_of(root), runs(story))


def test_a_thousand_runs_scroll_with_the_cursor(root: Path, app_of: App, drive: Drive):
    for i in range(1000):
        folder = root / f"20240101-{i:06d}-r"
        folder.mkdir()
        (folder / "status.json").write_text(json.dumps({"state": "done", "name": f"r{i}", "created": NOW - i}))

    async def story(pilot: Pilot[Any], table: VirtualTable[Any]) -> None:
        assert len(table.rows) == 1000
        await pilot.press("end")
        await pilot.pause()
        assert table.current.name == "r999"
        assert "r999" in table.render_line(table.size.height - 1).text
        await pilot.press("home", "pagedown", "k")
        assert table.cursor == table.size.height - 3

    drive(app_of(root), runs(story))


@pytest.mark.parametrize("screen", ["runs", "live", "results", "compare", "configure"])
def test_the_most_important_keys_are_to_be_seen_at_80_columns(root: Path, app_of: App, drive: Drive, screen: str):
    fake_run(root, "first", "running")
    fake_run(root, "second")
    first, second = "20240101-000000-first", "20240101-000000-second"

    async def story(pilot: Pilot[Any], table: VirtualTable[Any]) -> None:
        app: PrunetuiApp = pilot.app
        asked = {
            "live": OpenLive(first), "results": OpenResults(second), "compare": OpenCompare([first, second]),
            "configure": OpenConfigure(),
        }.get(screen)  # fmt: skip
        if asked:
            app.post_message(asked)
        await until(pilot, lambda: len(listed(app)) >= 8)
        await pilot.pause(0.2)
        keys = app.screen.query_one(Keys)
        line = keys.render_line(0)
        assert line.cell_length == 80
        assert line.text.split() == [
            word for hint in keys.shown for word in (*[k for _, k in hint.keys], *hint.words.split())
        ]
        assert {"Help", "Quit"} <= listed(app)

    drive(app_of(root), runs(story))


def test_a_click_on_a_key_presses_it(root: Path, app_of: App, drive: Drive):
    fake_run(root, "first")

    async def story(pilot: Pilot[Any], table: VirtualTable[Any]) -> None:
        line = pilot.app.screen.query_one(Keys).render_line(0).text
        await pilot.click(Keys, offset=(line.index("? Help"), 0))
        await until(pilot, lambda: isinstance(pilot.app.screen, HelpScreen))
        await pilot.press("escape")
        await pilot.click(Keys, offset=(line.index("Filter"), 0))
        await until(pilot, lambda: pilot.app.screen.query_one("#filter").has_focus)
        assert isinstance(pilot.app.screen, RunsScreen)

    drive(app_of(root), runs(story))


def test_the_keys_of_the_list_are_those_of_the_run_under_the_cursor(root: Path, app_of: App, drive: Drive):
    fake_run(root, "busy", "running")
    Queue(root).add(fake_run(root, "next", "queued").id)
    fake_run(root, "stopped", "interrupted", created=NOW)
    fake_run(root, "over", created=NOW - 1)
    changing = {"Resume", "Rename", "Earlier in the queue", "Later in the queue"}

    async def story(pilot: Pilot[Any], table: VirtualTable[Any]) -> None:
        seen = {}
        for entry in table.rows:
            seen[entry.name] = changing & {what for _, what in keys_of(pilot.app.screen)}
            await pilot.press("down")
        assert seen == {
            "busy": set(),
            "next": {"Rename", "Earlier in the queue", "Later in the queue"},
            "stopped": {"Rename", "Resume"},
            "over": {"Rename"},
        }
        await until(pilot, lambda: "Resume" not in listed(pilot.app))
        await pilot.press("up", "space")
        await until(pilot, lambda: "Resume" in listed(pilot.app))
        assert table.current.name == "over"

    drive(app_of(root), runs(story))


def test_help_lists_exactly_the_keys_there_are(root: Path, app_of: App, drive: Drive):
    Queue(root).add(fake_run(root, "first", "interrupted").id)
    fake_run(root, "second")

    async def story(pilot: Pilot[Any], table: VirtualTable[Any]) -> None:
        told = {what: keys for keys, what in keys_of(pilot.app.screen)}
        bindings = [
            b for b in (*RunsScreen.BINDINGS, *VirtualTable.BINDINGS, *PrunetuiApp.BINDINGS) if isinstance(b, Binding)
        ]
        own = {binding.description for binding in bindings if binding.description}
        assert set(told) == own - {"Resume"}
        assert told["Filter"] == "/"
        assert told["Delete"] == "x delete"
        assert told["Up"] == "up k"
        await pilot.press("question_mark")
        await pilot.pause()
        assert isinstance(pilot.app.screen, HelpScreen)
        await pilot.press("question_mark")
        assert isinstance(pilot.app.screen, RunsScreen)
        await pilot.press("f1", "escape")
        assert isinstance(pilot.app.screen, RunsScreen)

    drive(app_of(root), runs(story))


def test_the_palette_lists_what_has_a_key_and_does_it(root: Path, app_of: App, drive: Drive):
    fake_run(root, "first", "interrupted")

    async def story(pilot: Pilot[Any], table: VirtualTable[Any]) -> None:
        app = pilot.app
        commands = {command.title: command for command in app.get_system_commands(app.screen)}
        assert {"New study (n)", "Filter (/)", "Sort (s)", "Rename (e)", "Resume (r)", "Quit", "Help"} <= set(commands)
        assert [title for title, command in commands.items() if not command.help] == []
        commands["Mark (space)"].callback()
        await until(pilot, lambda: table.marked == {"20240101-000000-first"})
        commands["Theme prunetui-light"].callback()
        assert app.session.settings.theme == "prunetui-light"
        await pilot.press("ctrl+p", *"rename", "enter")
        await until(pilot, lambda: isinstance(app.screen, TextPrompt))

    drive(app_of(root), runs(story))


def test_themes_follow_each_other_and_are_remembered(root: Path, app_of: App, drive: Drive):
    app = app_of(root)

    async def story(pilot: Pilot[Any], table: VirtualTable[Any]) -> None:
        seen = [app.theme]
        for _ in range(3):
            await pilot.press("ctrl+t")
            seen.append(app.theme)
        assert seen == ["prunetui-dark", "prunetui-light", "prunetui-contrast", "prunetui-dark"]
        assert pilot.app.screen.query_one(Keys).is_attached

    drive(app, runs(story))
