"""A run as it is executed: what is shown while events come, and what the keys ask of it."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Static

from prunetui import events
from prunetui.store import Run
from prunetui.store.control import Control, Wishes
from prunetui.store.queue import Queue
from prunetui.tui.app import PrunetuiApp
from prunetui.tui.navigation import OpenLive
from prunetui.tui.run_look import RUN_SECONDS, RunLook
from prunetui.tui.screens.dialogs import Choice
from prunetui.tui.screens.following import is_covered
from prunetui.tui.screens.help import keys_of
from prunetui.tui.screens.live.live_screen import PANES, LiveScreen
from prunetui.tui.screens.live.log_table import LogTable
from prunetui.tui.screens.results.results_screen import ResultsScreen
from prunetui.tui.screens.runs.runs_screen import RunsScreen
from prunetui.tui.widgets import chart_view as charts
from prunetui.tui.widgets.chart_view import ChartView
from prunetui.tui.widgets.footer import Keys
from prunetui.tui.widgets.trials_table import Trials

from .fakes import failed_row, fake_row, fake_run, study_rows, training, until

App = Callable[..., PrunetuiApp]
Drive = Callable[..., None]
RUN = "20240101-000000-first"
BEGUN = [events.RunStarted(RUN, "cpu", False), events.Planned(5, 0, 9, 1000)]
TRAINS = events.StepStarted("k9", "Train", "train 4 epochs", "taylor-0.5-s0", 200)
SEEN = events.Progress("k9", 50, 100, 2, 4, 12345.0, 0.4321, 0.1)
HOLD = """
import fcntl, sys, time
file = open(sys.argv[1], "wb")
fcntl.flock(file, fcntl.LOCK_EX)
print("held", flush=True)
time.sleep(60)
"""
"""A process that holds the lock of a run, as the one that executes it does."""


def live(story: Callable[[Pilot[Any], LiveScreen], Awaitable[None]]) -> Callable[[Pilot[Any]], Awaitable[None]]:
    """A story that begins in front of the first run."""

    async def told(pilot: Pilot[Any]) -> None:
        pilot.app.post_message(OpenLive(RUN))
        await until(pilot, lambda: getattr(pilot.app.screen, "view", None) is not None)
        await story(pilot, pilot.app.screen)

    return told


def words(screen: LiveScreen, selector: str) -> str:
    return str(screen.query_one(selector, Static).content)


def notes(pilot: Pilot[Any]) -> list[str]:
    return [note.message for note in pilot.app._notifications]


def tell(run: Run, *told: events.Event, **status: Any) -> None:
    """What the run's process would write."""
    with run.appender() as append:
        for event in told:
            append(event)
    if status:
        run.write_status(replace(run.status(), **status))


# What is shown ----------------------------------------------------------------------------------------


def test_progress_epochs_and_trials_appear_as_they_happen(root: Path, app_of: App, drive: Drive):
    run = fake_run(root, "first", "running", told=BEGUN)

    async def story(pilot: Pilot[Any], screen: LiveScreen) -> None:
        assert words(screen, "#title").startswith("> running  first  resnet20 on digits  cpu")
        assert "0 %  0/5 trials" in words(screen, "#overall")
        assert "The first finished trial" in str(screen.query_one("#accuracy-chart", ChartView).render())
        tell(run, TRAINS, SEEN)
        await until(pilot, lambda: "epoch 2/4" in words(screen, "#step"))
        assert words(screen, "#step").endswith(" 50 %  train 4 epochs  epoch 2/4  loss 0.432  12,345 img/s")
        assert len(words(screen, "#step")) <= 78
        assert "10 %" in words(screen, "#overall")
        row = fake_row()
        run.write_rows([row])
        tell(
            run, events.StepFinished("k9", "Train", 1.0, False, 200), events.TrialFinished("taylor-0.5-s0", "done", row)
        )
        await until(pilot, lambda: "20 %  1/5 trials" in words(screen, "#overall"))
        chart = screen.query_one("#accuracy-chart", ChartView)
        await until(pilot, lambda: bool(chart.picture.series))
        assert chart.picture.series[0].label == "taylor"
        assert "taylor" in words(screen, "#legend")
        assert [row["trial"] for row in screen.query_one(Trials).rows] == ["taylor-0.5-s0"]
        await until(pilot, lambda: "━" in str(chart.render()) or "sparsity" in str(chart.render()))

    drive(app_of(root), live(story))


def test_what_changes_under_another_screen_is_shown_when_that_is_left(root: Path, app_of: App, drive: Drive):
    run = fake_run(root, "first", "running", told=BEGUN)

    async def story(pilot: Pilot[Any], screen: LiveScreen) -> None:
        below = pilot.app.screen_stack[1]
        assert isinstance(below, RunsScreen)
        assert words(below, "#title").endswith("1 run, 1 running")
        await pilot.press("r")
        await until(pilot, lambda: isinstance(pilot.app.screen, ResultsScreen))
        assert is_covered(screen)
        fake_run(root, "second")
        tell(run, TRAINS, SEEN)
        await until(pilot, lambda: len(pilot.app.session.entries) == 2)
        await pilot.pause(3 * RUN_SECONDS)  # time in which it would have looked
        assert "epoch" not in words(screen, "#step")
        assert words(below, "#title").endswith("1 run, 1 running")
        await pilot.press("escape")
        await until(pilot, lambda: "epoch 2/4" in words(screen, "#step"))
        await pilot.press("escape")
        await until(pilot, lambda: words(below, "#title").endswith("2 runs, 1 running"))

    drive(app_of(root), live(story))


def test_a_run_goes_on_behind_a_dialog(root: Path, app_of: App, drive: Drive):
    run = fake_run(root, "first", "running", told=BEGUN)

    async def story(pilot: Pilot[Any], screen: LiveScreen) -> None:
        await pilot.press("s")
        await until(pilot, lambda: isinstance(pilot.app.screen, Choice))
        tell(run, TRAINS, SEEN)
        await until(pilot, lambda: "epoch 2/4" in words(screen, "#step"))
        assert isinstance(pilot.app.screen, Choice)

    drive(app_of(root), live(story))


def test_the_time_left_is_estimated_from_the_work_done(root: Path, app_of: App, drive: Drive):
    run = fake_run(root, "first", "running")
    times = [0.0, 0.0, 10.0]
    told = [*BEGUN, events.StepFinished("k1", "Train", 1.0, False, 250)]
    lines = [events.to_json(replace(event, time=1e9 + t)) for event, t in zip(told, times, strict=True)]
    (run.folder / "events.jsonl").write_text("\n".join(lines) + "\n")

    async def story(pilot: Pilot[Any], screen: LiveScreen) -> None:
        assert "25 %  0/5 trials  0:30 left" in words(screen, "#overall")

    drive(app_of(root), live(story))


def test_the_curves_of_the_training_that_runs(root: Path, app_of: App, drive: Drive):
    run = fake_run(root, "first", "running", told=[*BEGUN, *training("dense-4ep-s0")])

    async def story(pilot: Pilot[Any], screen: LiveScreen) -> None:
        chart = screen.query_one("#training-chart", ChartView)
        accuracy, loss = chart.picture.series
        assert accuracy.y == pytest.approx((50.0, 75.0, 83.333), abs=0.01)
        assert loss.y == pytest.approx((100.0, 50.0, 33.333), abs=0.01)
        assert chart.picture.title == "dense-4ep-s0: train 3 epochs"
        await pilot.press("2")
        caption = "accuracy 83.33 %  loss 0.6667"
        await until(pilot, lambda: screen.query_one("#training").border_subtitle == caption)
        tell(run, TRAINS, events.EpochFinished("k9", 1, 4, 0.5, 60.0))
        await until(pilot, lambda: chart.picture.title == "taylor-0.5-s0: train 4 epochs")
        assert chart.picture.series[0].y == (60.0,)

    drive(app_of(root), live(story))


def test_a_resumed_training_goes_on_with_its_curve(root: Path):
    epochs = [events.EpochFinished("k9", i, 4, 1.0 / i, 10.0 * i) for i in (1, 2, 3)]
    again = [events.EpochFinished("k9", i, 4, 2.0 / i, 20.0 * i) for i in (3, 4)]
    resumed = events.RunStarted(RUN, "cpu", True)
    look = RunLook(fake_run(root, "first", "running", told=[*BEGUN, TRAINS, *epochs]))
    assert look().curves["k9"].epochs == (1, 2, 3)
    tell(Run(root / RUN), resumed, events.Planned(5, 2, 4, 600), TRAINS)
    view = look()
    assert view.curves["k9"].epochs == (1, 2, 3)
    assert (view.progress.trials_done, view.progress.fraction) == (2, 0.0)
    tell(Run(root / RUN), *again)
    curve = look().curves["k9"]
    assert (curve.epochs, curve.accuracy) == ((1, 2, 3, 4), (10.0, 20.0, 60.0, 80.0))


def test_the_log_shows_more_or_less_and_follows_its_end(root: Path, app_of: App, drive: Drive):
    lines = [events.Log(level, f"{level} {i}") for i in range(20) for level in ("info", "warning", "error")]
    run = fake_run(root, "first", "running", told=[*BEGUN, TRAINS, *lines])

    async def story(pilot: Pilot[Any], screen: LiveScreen) -> None:
        await pilot.press("4")
        log = screen.query_one(LogTable)
        await until(pilot, lambda: log.has_focus)
        assert len(log.rows) == 62
        assert log.current[1].text == "error 19"
        await until(pilot, lambda: "error 19" in log.render_line(log.size.height - 1).text)
        levels = []
        for _ in range(4):
            await pilot.press("v")
            levels.append((log.level, len(log.rows)))
        assert levels == [("debug", 63), ("error", 20), ("warning", 40), ("info", 62)]
        assert screen.query_one("#log").border_subtitle == "from info"
        tell(run, events.Log("info", "the last one"))
        await until(pilot, lambda: log.current[1].text == "the last one")
        await pilot.press("home")
        tell(run, events.Log("info", "later still"))
        await until(pilot, lambda: len(log.rows) == 64)
        assert log.cursor == 0

    drive(app_of(root), live(story))


@pytest.mark.parametrize("lines", [b'{"event": "progress"}\n', b"\xff\xfe\n[]\nnull\n", b'{"event": "of tomorrow"}\n'])
def test_lines_that_are_no_events_are_passed_over(root: Path, app_of: App, drive: Drive, lines: bytes):
    run = fake_run(root, "first", "running", told=BEGUN)
    with (run.folder / "events.jsonl").open("ab") as file:
        file.write(lines)

    async def story(pilot: Pilot[Any], screen: LiveScreen) -> None:
        tell(run, TRAINS, SEEN)
        await until(pilot, lambda: "epoch 2/4" in words(screen, "#step"))
        assert [line.text for line in screen.view.log] == [
            "starts on cpu",
            "5 trials, 0 already done, 9 steps to compute",
            "taylor-0.5-s0: train 4 epochs",
        ]

    drive(app_of(root), live(story))


def test_a_results_file_that_is_none_does_not_stop_the_rest(root: Path, app_of: App, drive: Drive):
    run = fake_run(root, "first", "running", told=BEGUN)
    (run.folder / "results.csv").write_text("what,is\nthis,?\n")

    async def story(pilot: Pilot[Any], screen: LiveScreen) -> None:
        tell(run, TRAINS, SEEN)
        await until(pilot, lambda: "epoch 2/4" in words(screen, "#step"))
        assert screen.view.lines == ()
        assert screen.query_one("#accuracy-chart", ChartView).picture.series == ()

    drive(app_of(root), live(story))


def test_failed_trials_are_told_in_the_log(root: Path, app_of: App, drive: Drive):
    row = failed_row("obd", "ValueError: singular")
    told = [*BEGUN, events.Log("error", "obd-0.5-s0: singular"), events.TrialFinished("obd-0.5-s0", "failed", row)]
    fake_run(root, "first", "running", [row], told)

    async def story(pilot: Pilot[Any], screen: LiveScreen) -> None:
        assert [line.text for _, line in screen.query_one(LogTable).rows][-2:] == [
            "obd-0.5-s0: singular",
            "obd-0.5-s0: failed",
        ]
        assert "1/5 trials" in words(screen, "#overall")

    drive(app_of(root), live(story))


def test_a_key_does_not_wait_for_what_the_run_can_wait_for(
    root: Path, app_of: App, drive: Drive, monkeypatch: pytest.MonkeyPatch
):
    fake_run(root, "first", "running", told=[*BEGUN, *training("dense-4ep-s0")])

    async def story(pilot: Pilot[Any], screen: LiveScreen) -> None:
        await pilot.press("2")
        chart = screen.query_one("#training-chart", ChartView)
        await until(pilot, lambda: screen.query_one("#training").border_subtitle)
        picture = chart.picture
        monkeypatch.setattr(charts, "LEAST_SECONDS", 3600.0)
        monkeypatch.setattr(charts, "SOON_SECONDS", 2.0)  # so that the key comes too early, too
        chart.show(replace(picture, title="by the run"), caption="the run's")
        await pilot.pause(0.2)
        assert screen.query_one("#training").border_subtitle == "accuracy 83.33 %  loss 0.6667"
        chart.show(replace(picture, title="by a key"), soon=True, caption="a key's")
        await until(pilot, lambda: screen.query_one("#training").border_subtitle == "a key's")
        assert "by a key" in str(chart.render())

    drive(app_of(root), live(story))


# How it ends ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("end", "note", "step"),
    [
        ({"state": "done"}, "first is done", "r shows the results"),
        ({"state": "failed", "message": "the disk is full"}, "first has failed: the disk is full", "4 shows the log"),
        ({"state": "failed", "message": "[/] odd"}, "first has failed: [/] odd", "R tries again"),
        ({"state": "interrupted", "message": "stopped"}, "first was interrupted: stopped", "R resumes it"),
    ],
)
def test_the_end_is_told_in_words(root: Path, app_of: App, drive: Drive, end: dict[str, Any], note: str, step: str):
    run = fake_run(root, "first", "running", told=[*BEGUN, TRAINS, SEEN])

    async def story(pilot: Pilot[Any], screen: LiveScreen) -> None:
        tell(run, events.RunFinished(end["state"], end.get("message", "")), **end)
        await until(pilot, lambda: screen.view.state == end["state"])
        await until(pilot, lambda: notes(pilot) == [note])
        assert step in words(screen, "#step")
        assert end.get("message", "") in words(screen, "#title")
        assert ("100 %" in words(screen, "#overall")) == (end["state"] == "done")
        await pilot.press("r")
        await until(pilot, lambda: isinstance(pilot.app.screen, ResultsScreen))

    drive(app_of(root), live(story))


def test_the_end_is_told_once_wherever_one_is(root: Path, app_of: App, drive: Drive):
    run = fake_run(root, "first", "running", told=[*BEGUN, TRAINS, SEEN])

    async def story(pilot: Pilot[Any], screen: LiveScreen) -> None:
        await pilot.press("r")
        await until(pilot, lambda: isinstance(pilot.app.screen, ResultsScreen))
        tell(run, events.RunFinished("done", ""), state="done")
        await until(pilot, lambda: notes(pilot) == ["first is done"])
        await pilot.press("escape")
        await until(pilot, lambda: screen.view.state == "done")
        await pilot.pause(3 * RUN_SECONDS)
        assert notes(pilot) == ["first is done"]

    drive(app_of(root), live(story))


def test_a_run_whose_process_died_is_interrupted_and_can_be_resumed(root: Path, app_of: App, drive: Drive):
    run = fake_run(root, "first", "running", told=[*BEGUN, TRAINS, SEEN])

    async def story(pilot: Pilot[Any], screen: LiveScreen) -> None:
        assert screen.view.is_running
        await pilot.press("R")
        assert Queue(root).waiting == ()
        run.write_status(replace(run.status(), host=socket.gethostname()))  # nobody holds its lock
        await until(pilot, lambda: screen.view.state == "died")
        assert "its process was killed after" in words(screen, "#title")
        assert "in the step 'train 4 epochs' of taylor-0.5-s0" in words(screen, "#title")
        await pilot.press("R")
        await until(pilot, lambda: notes(pilot) == ["in the queue"])
        assert Queue(root).waiting == (RUN,)

    drive(app_of(root), live(story))


def test_a_silent_run_on_another_host_has_died_and_one_that_beats_has_not(root: Path):
    run = fake_run(root, "first", "running")
    assert RunLook(run)().state == "running"
    run.write_status(replace(run.status(), heartbeat=1.0))
    assert RunLook(run)().state == "died"


def test_a_waiting_run_tells_its_place(root: Path, app_of: App, drive: Drive):
    fake_run(root, "first", "queued")

    async def story(pilot: Pilot[Any], screen: LiveScreen) -> None:
        assert "not in the queue: R puts it there" in words(screen, "#title")
        assert " 0 %  0/5 trials" in words(screen, "#overall")
        Queue(root).add("another")
        await pilot.press("R")
        await until(pilot, lambda: "2. in the queue" in words(screen, "#title"))
        Queue(root).move(RUN, -1)
        await until(pilot, lambda: "1. in the queue" in words(screen, "#title"))

    drive(app_of(root), live(story))


def test_a_folder_that_is_no_run_is_told(root: Path, app_of: App, drive: Drive):
    async def story(pilot: Pilot[Any], screen: LiveScreen) -> None:
        assert words(screen, "#title") == f"? unreadable  {RUN}"
        await pilot.press("p", "s", "x", "R", "v", "1", "2", "3", "4", "tab", "escape")

    drive(app_of(root), live(story))


# Steering ---------------------------------------------------------------------------------------------


def test_pause_writes_the_wish_and_takes_it_back(root: Path, app_of: App, drive: Drive):
    run = fake_run(root, "first", "running", told=[*BEGUN, TRAINS, SEEN])

    async def story(pilot: Pilot[Any], screen: LiveScreen) -> None:
        await pilot.press("p")
        await until(pilot, lambda: notes(pilot) == ["pauses after this batch"])
        assert Control(run).read() == Wishes(pause=True)
        tell(run, message="paused")
        await until(pilot, lambda: words(screen, "#title").startswith("= paused") and screen.view.wishes.pause)
        await pilot.press("p")
        await until(pilot, lambda: notes(pilot) == ["pauses after this batch", "goes on"])
        assert Control(run).read() == Wishes()

    drive(app_of(root), live(story))


@pytest.mark.parametrize(
    ("answer", "wishes", "shown"),
    [
        (["enter"], Wishes(stop_after_step=True), "stops after this step"),
        (["down", "enter"], Wishes(stop=True), "stops  train"),
        (["end", "enter"], Wishes(pause=True), "train"),
        (["escape"], Wishes(pause=True), "train"),
    ],
)
def test_stop_asks_how(root: Path, app_of: App, drive: Drive, answer: list[str], wishes: Wishes, shown: str):
    run = fake_run(root, "first", "running", told=[*BEGUN, TRAINS, SEEN])
    Control(run).ask(pause=True)

    async def story(pilot: Pilot[Any], screen: LiveScreen) -> None:
        await pilot.press("s")
        await until(pilot, lambda: isinstance(pilot.app.screen, Choice))
        await pilot.press(*answer)
        await until(pilot, lambda: pilot.app.screen is screen and screen.view.wishes == wishes)
        assert shown in words(screen, "#step")
        assert len(words(screen, "#step")) <= 78

    drive(app_of(root), live(story))
    assert Control(run).read() == wishes


def test_kill_ends_the_process_of_this_machine_only(root: Path, app_of: App, drive: Drive):
    run = fake_run(root, "first", "running", told=[*BEGUN, TRAINS, SEEN])
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(run.folder / "lock")], start_new_session=True, stdout=subprocess.PIPE
    )
    assert child.stdout.readline() == b"held\n"

    async def kill(pilot: Pilot[Any]) -> None:
        await pilot.press("s")
        await until(pilot, lambda: isinstance(pilot.app.screen, Choice))
        await pilot.press("down", "down", "enter")

    async def story(pilot: Pilot[Any], screen: LiveScreen) -> None:
        await kill(pilot)
        await until(pilot, lambda: notes(pilot) == ["Its process is not on this machine."])
        assert child.poll() is None
        run.write_status(replace(run.status(), host=socket.gethostname(), pid=child.pid))
        await kill(pilot)
        assert child.wait(10) == -9
        await until(pilot, lambda: screen.view.state == "interrupted")

    try:
        drive(app_of(root), live(story))
    finally:
        child.kill()
        child.wait()
        child.stdout.close()


def test_skip_asks_and_leaves_out_the_current_trial(root: Path, app_of: App, drive: Drive):
    run = fake_run(root, "first", "running", told=[*BEGUN, TRAINS, SEEN])

    async def story(pilot: Pilot[Any], screen: LiveScreen) -> None:
        for answer in (["escape"], ["enter"], ["down", "enter"]):
            assert Control(run).read().skip == ()
            await pilot.press("x")
            await until(pilot, lambda: isinstance(pilot.app.screen, Choice))
            await pilot.press(*answer)
            await until(pilot, lambda: pilot.app.screen is screen)
        await until(pilot, lambda: Control(run).read().skip == ("taylor-0.5-s0",))

    drive(app_of(root), live(story))


STEERING = {"Pause", "Stop...", "Skip trial"}


def test_only_what_can_be_done_now_is_listed(root: Path, app_of: App, drive: Drive):
    run = fake_run(root, "first", "running", told=[*BEGUN, TRAINS, SEEN])

    def listed(app: PrunetuiApp) -> list[set[str]]:
        """In the line of keys, in the help and in the palette."""
        footer = {hint.words for hint in app.screen.query_one(Keys).shown}
        helped = {what for _, what in keys_of(app.screen)}
        commands = {command.title.rpartition(" (")[0] for command in app.get_system_commands(app.screen)}
        return [footer, helped, commands]

    async def story(pilot: Pilot[Any], screen: LiveScreen) -> None:
        await until(pilot, lambda: listed(pilot.app)[0] > STEERING)
        assert all(names > STEERING and "Resume" not in names for names in listed(pilot.app))
        tell(run, state="interrupted")
        await until(pilot, lambda: not listed(pilot.app)[0] & STEERING)
        assert all("Results" in names and not names & STEERING for names in listed(pilot.app))
        assert all("Resume" in names for names in listed(pilot.app)[1:])

    drive(app_of(root), live(story))


def test_nothing_is_asked_of_what_does_not_run(root: Path, app_of: App, drive: Drive):
    run = fake_run(root, "first", rows=study_rows(), told=[*BEGUN, *training("dense-4ep-s0")])

    async def story(pilot: Pilot[Any], screen: LiveScreen) -> None:
        await pilot.press("p", "s", "x", "R")
        await pilot.pause()
        assert pilot.app.screen is screen
        assert notes(pilot) == []

    drive(app_of(root), live(story))
    assert Control(run).read() == Wishes()
    assert Queue(root).waiting == ()


# Panes ------------------------------------------------------------------------------------------------


def shown(screen: LiveScreen) -> list[str]:
    return [name for name in PANES if screen.query_one(f"#{name}").display]


def test_a_small_terminal_shows_one_pane_and_a_large_one_all(root: Path, app_of: App, drive: Drive):
    fake_run(root, "first", "running", study_rows(), [*BEGUN, *training("dense-4ep-s0")])

    async def story(pilot: Pilot[Any], screen: LiveScreen) -> None:
        assert shown(screen) == ["accuracy"]
        for key, pane in zip("23411", ("training", "trials", "log", "accuracy", "accuracy"), strict=True):
            await pilot.press(key)
            assert shown(screen) == [pane]
            assert screen.query_one(f"#{pane}").has_focus_within
        for pane in ("training", "trials", "log", "accuracy"):
            await pilot.press("tab")
            assert shown(screen) == [pane]
        await pilot.resize_terminal(160, 50)
        await until(pilot, lambda: shown(screen) == list(PANES))
        log = screen.query_one(LogTable)
        await until(pilot, lambda: log.scroll_offset.y == max(0, len(log.rows) + 1 - log.size.height))
        regions = [screen.query_one(f"#{name}").region for name in PANES]
        assert all(region.width > 40 and region.height > 10 for region in regions)
        assert not any(a.overlaps(b) for a in regions for b in regions if a is not b)
        await pilot.press("3")
        assert screen.query_one(Trials).has_focus
        await pilot.resize_terminal(80, 24)
        await until(pilot, lambda: shown(screen) == ["trials"])

    drive(app_of(root), live(story))


def test_how_busy_the_machine_is(root: Path, app_of: App, drive: Drive):
    fake_run(root, "first", "running", told=BEGUN)

    async def story(pilot: Pilot[Any], screen: LiveScreen) -> None:
        await until(pilot, lambda: words(screen, "#gauges").startswith("CPU "))
        assert " %  |  RAM " in words(screen, "#gauges")

    drive(app_of(root), live(story))


def test_watching_a_run_from_the_command_line_opens_it(root: Path, app_of: App, drive: Drive):
    fake_run(root, "first", "running", told=BEGUN)

    async def story(pilot: Pilot[Any]) -> None:
        await until(pilot, lambda: isinstance(pilot.app.screen, LiveScreen))
        await pilot.press("escape")
        assert not isinstance(pilot.app.screen, LiveScreen)

    drive(app_of(root, watch=RUN), story)
