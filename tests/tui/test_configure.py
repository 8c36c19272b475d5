"""A study is made, mended, saved, edited and started from the keyboard."""

from __future__ import annotations

import asyncio
import stat
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tomli
from textual.pilot import Pilot
from textual.widgets import Input, Static

from prunetui.config import load_study, parse_study, study_toml
from prunetui.config.read_study import preset_names
from prunetui.store import Run, Status, create_run
from prunetui.tui.app import PrunetuiApp
from prunetui.tui.navigation import OpenConfigure
from prunetui.tui.screens.configure.configure_screen import ConfigureScreen
from prunetui.tui.screens.configure.field_row import FieldRow
from prunetui.tui.screens.configure.form import Form
from prunetui.tui.screens.configure.method_picker import MethodPicker
from prunetui.tui.screens.configure.pages import Nav, Pages
from prunetui.tui.screens.configure.plan_pane import PlanPane, numbers
from prunetui.tui.screens.configure.unsaved import UnsavedScreen
from prunetui.tui.screens.dialogs import Choice, TextPrompt
from prunetui.tui.screens.live.live_screen import LiveScreen
from prunetui.tui.screens.runs.runs_screen import RunsScreen
from prunetui.tui.widgets.virtual_table import VirtualTable

Scene = Callable[[Pilot[int], ConfigureScreen], Awaitable[None]]
SIZES = [(80, 24), (120, 40)]
LONG = 20.0


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., PrunetuiApp]:
    def app(**more: Any) -> PrunetuiApp:
        more = {"serve": False, "now": lambda: 1_800_000_000.0, "device": "cpu", **more}
        return PrunetuiApp(tmp_path / "runs", settings=tmp_path / "settings.json", **more)

    return app


async def until(pilot: Pilot[int], true: Callable[[], bool], seconds: float = LONG) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited in vain"
        await pilot.pause(0.02)
    await pilot.pause()


def screen_of(pilot: Pilot[int]) -> ConfigureScreen:
    return next(screen for screen in pilot.app.screen_stack if isinstance(screen, ConfigureScreen))


async def settled(pilot: Pilot[int]) -> None:
    """Until what is typed is checked and its plan is made."""
    await pilot.pause()
    await until(pilot, lambda: screen_of(pilot).settled)


async def opened(pilot: Pilot[int], start: str = "") -> ConfigureScreen:
    app = pilot.app
    assert isinstance(app, PrunetuiApp)
    app.post_message(OpenConfigure(start))
    await until(pilot, lambda: isinstance(app.screen, ConfigureScreen) and app.screen.settled)
    return screen_of(pilot)


def play(app: PrunetuiApp, scene: Scene, size: tuple[int, int] = (80, 24), start: str = "") -> None:
    async def run() -> None:
        async with app.run_test(size=size) as pilot:
            await scene(pilot, await opened(pilot, start))

    asyncio.run(run())


async def page(pilot: Pilot[int], key: str) -> Any:
    """Bring a page to the front by its place in the list."""
    screen = screen_of(pilot)
    screen.query_one(Nav).focus()
    screen.query_one(Nav).go_to(key)
    await until(pilot, lambda: screen.query_one(Pages).key == key and bool(screen.query(f"#page-{key}")))
    return screen.query_one(f"#page-{key}")


async def field(pilot: Pilot[int], form: Form, *path: str | int) -> FieldRow:
    """Focus a field by its path."""
    await until(pilot, lambda: any(row.spec.path == path for row in form.query(FieldRow)))
    form.go_to(path)
    await pilot.pause()
    return next(row for row in form.query(FieldRow) if row.spec.path == path)


async def typed(pilot: Pilot[int], form: Form, path: tuple[str | int, ...], text: str) -> FieldRow:
    """Replace what a field says, but for its last letter at once: a key costs a tenth of a second here."""
    row = await field(pilot, form, *path)
    assert isinstance(row.control, Input)
    row.control.value = text[:-1]
    row.control.cursor_position = len(text)
    if text:
        await pilot.press(text[-1])
    await pilot.pause()
    return row


def words(widget: Any) -> str:
    return str(widget.render())


def mistake_at(row: FieldRow) -> str:
    return words(row.query_one(".field-mistake", Static)) if row.has_class("wrong") else ""


def verdict(screen: ConfigureScreen) -> str:
    return words(screen.query_one("#verdict", Static))


# Beginning ----------------------------------------------------------------------------------------


def test_it_begins_from_quickstart_without_a_word(make):
    async def scene(pilot, screen):
        assert screen.draft.data["name"] == "quickstart"
        assert not screen.unsaved
        assert verdict(screen).startswith("+ ready  31 trials")
        shown = next(iter(screen.query_one("#page-study", Form).query(Input)))
        assert shown.value == "quickstart"

    play(make(), scene)


def test_it_begins_from_a_preset_that_is_chosen(make):
    async def scene(pilot, screen):
        await pilot.press("b")
        await until(pilot, lambda: isinstance(pilot.app.screen, Choice))
        await pilot.press(*"j" * preset_names().index("five-methods"), "enter")
        await until(pilot, lambda: screen.draft.data["name"] == "five-methods")
        await settled(pilot)
        assert screen.checked.study == load_study("five-methods")
        assert not screen.unsaved

    play(make(), scene)


def test_it_begins_from_a_run_with_only_what_differs_from_the_defaults(make):
    app = make()
    text = '[train]\nepochs = 3\n[[methods]]\nname = "l1-structured"\nscope = "global"\n'
    run = create_run(app.session.root, study_toml(parse_study(text)), Status("done", name="study"))

    async def scene(pilot, screen):
        assert screen.draft.data == {"train": {"epochs": 3}, "methods": [{"name": "l1-structured", "scope": "global"}]}
        assert run.id in words(screen.query_one("#title"))

    play(app, scene, start=run.id)


def test_a_run_that_cannot_be_read_is_told_and_quickstart_takes_its_place(make):
    async def scene(pilot, screen):
        assert screen.origin == "preset quickstart"
        assert any("cannot read the study" in n.message for n in pilot.app._notifications)

    play(make(), scene, start="no-such-run")


def test_n_in_the_list_of_runs_opens_it_and_escape_goes_back(make):
    async def run() -> None:
        async with make().run_test(size=(80, 24)) as pilot:
            await until(pilot, lambda: isinstance(pilot.app.screen, RunsScreen))
            await pilot.press("n")
            await until(pilot, lambda: isinstance(pilot.app.screen, ConfigureScreen) and pilot.app.screen.settled)
            await pilot.press("escape")
            await until(pilot, lambda: isinstance(pilot.app.screen, RunsScreen))
            assert not any(isinstance(screen, ConfigureScreen) for screen in pilot.app.screen_stack)

    asyncio.run(run())


# Editing ------------------------------------------------------------------------------------------


def test_pages_are_reached_by_arrows_and_by_letters_and_left_by_escape(make):
    async def scene(pilot, screen):
        nav = screen.query_one(Nav)
        for key, shown in (("j", "model"), ("down", "data"), ("k", "model"), ("G", "toml"), ("g", "study")):
            await pilot.press(key)
            await until(pilot, lambda shown=shown: screen.query_one(Pages).key == shown)
        await pilot.press("enter", "down")
        assert next(n for n in screen.focused.ancestors if isinstance(n, FieldRow)).spec.path == ("kind",)
        await pilot.press("k", "end", *"12", "up", "escape")
        assert nav.has_focus
        assert screen.draft.get(("name",)) == "quickstart12"
        await pilot.press("right_square_bracket")
        await until(pilot, lambda: screen.query_one(Pages).key == "model")

    play(make(), scene)


def test_fields_are_typed_picked_and_emptied(make):
    async def scene(pilot, screen):
        form = await page(pilot, "model")
        await typed(pilot, form, ("model", "width"), "4")
        assert screen.draft.get(("model", "width")) == 4
        await field(pilot, form, "model", "shortcut")
        await pilot.press("right")
        assert screen.draft.get(("model", "shortcut")) == "A"
        await pilot.press("delete")
        assert screen.draft.get(("model", "shortcut")) is None
        form = await page(pilot, "data")
        await field(pilot, form, "data", "name")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, Choice))
        await pilot.press("down", "down", "down", "enter")  # digits-on-noise, from the default where the cursor is
        await until(pilot, lambda: pilot.app.screen is screen)
        assert screen.draft.get(("data", "name")) == "digits-on-noise"
        form = await page(pilot, "measure")
        await field(pilot, form, "measure", "keep_models")
        await pilot.press("space")
        assert screen.draft.get(("measure", "keep_models")) is False
        await pilot.press("space")
        assert screen.draft.get(("measure",)) is None
        form = await page(pilot, "train")
        await typed(pilot, form, ("train", "epochs"), "")
        assert screen.draft.get(("train", "epochs")) is None
        await settled(pilot)
        assert screen.checked.study.train.epochs == 15
        assert screen.checked.study.model.width == 4
        assert screen.unsaved

    play(make(), scene)


def test_sparsities_are_typed_as_a_list_or_a_range(make):
    async def scene(pilot, screen):
        form = screen.query_one("#page-study", Form)
        await typed(pilot, form, ("sparsities",), "0.1..0.5/0.2")
        await settled(pilot)
        assert screen.checked.study.sparsities == (0.1, 0.3, 0.5)
        await typed(pilot, form, ("sparsities",), "0.9, 0.5")
        await typed(pilot, form, ("seeds",), "0, 1")
        await settled(pilot)
        assert screen.checked.study.sparsities == (0.5, 0.9)
        assert screen.checked.study.seeds == (0, 1)
        assert "seeds = [0, 1]" in screen.draft.toml()

    play(make(), scene)


def test_each_schedule_shows_its_own_fields(make):
    async def scene(pilot, screen):
        form = await page(pilot, "schedule")
        labels = {}
        await field(pilot, form, "schedule")
        for name in (
            "one-shot", "iterative", "gradual", "lottery-ticket", "lr-rewinding", "at-init", "dynamic",
            "during-training", "dense-sparse-dense",
        ):  # fmt: skip
            await pilot.press("right")
            await until(
                pilot, lambda name=name: screen.draft.get(("schedule", "name")) == name and form.has_focus_within
            )
            labels[name] = {row.spec.label for row in form.query(FieldRow)} - {"schedule"}
        assert labels["one-shot"] == labels["at-init"] == labels["dynamic"] == labels["during-training"] == set()
        assert labels["iterative"] == {"steps", "spacing", "levels", "epochs"}
        assert labels["dense-sparse-dense"] == {"rate"}
        assert labels["gradual"] == {"steps", "until"}
        assert labels["lr-rewinding"] == {"steps", "spacing", "levels", "epoch"}
        assert labels["lottery-ticket"] == labels["lr-rewinding"] | {"rate"}

    play(make(), scene)


def test_what_two_schedules_have_in_common_is_kept(make):
    async def scene(pilot, screen):
        form = await page(pilot, "schedule")
        await field(pilot, form, "schedule")
        await pilot.press("right", "right")
        await typed(pilot, form, ("schedule", "steps"), "3")
        await field(pilot, form, "schedule")
        await pilot.press("right")
        await until(pilot, lambda: screen.draft.data["schedule"] == {"name": "gradual", "steps": 3})
        await settled(pilot)
        assert "threshold" not in verdict(screen)

    play(make(), scene)


def test_methods_are_searched_taken_and_told_their_options(make):
    async def scene(pilot, screen):
        picker: MethodPicker = await page(pilot, "methods")
        await pilot.press("enter", "slash", *"slimming")
        assert [row.info.name for row in picker.table.rows] == ["bn-scale"]
        await pilot.press("enter", "space")
        assert screen.draft.methods[-1] == {"name": "bn-scale"}
        await pilot.press("enter")
        await until(pilot, lambda: bool(screen.query(".method-page FieldRow")))
        form = screen.query_one(".method-page", Form)
        labels = [row.spec.label for row in form.query(FieldRow)]
        assert labels[:4] == ["scope", "normalise", "round_to", "epochs"]
        assert "parts" not in labels
        place = len(screen.draft.methods) - 1
        await typed(pilot, form, ("methods", place, "epochs"), "2")
        await typed(pilot, form, ("methods", place, "label"), "slimming")
        await field(pilot, form, "methods", place, "scope")
        await pilot.press("right", "right")
        await settled(pilot)
        method = screen.checked.study.methods[-1]
        assert (method.label, method.options["epochs"], method.options["scope"]) == ("slimming", 2, "local")
        await pilot.press("escape")
        await until(pilot, lambda: not screen.query(".method-page"))
        assert "epochs = 2" in words(picker.query_one("#method-about"))
        await pilot.press("space")  # out, and in again with what was set
        assert screen.draft.places("bn-scale") == []
        await pilot.press("space")
        assert screen.draft.methods[-1]["epochs"] == 2
        await pilot.press("plus")
        assert len(screen.draft.places("bn-scale")) == 2
        await pilot.press("escape")
        assert len(picker.table.rows) > 20

    play(make(), scene)


def test_a_method_only_offers_targets_that_it_knows(make):
    async def scene(pilot, screen):
        await page(pilot, "methods")
        picker = screen.query_one(MethodPicker)
        picker.table.cursor = next(i for i, row in enumerate(picker.table.rows) if row.info.name == "nm")
        await pilot.press("enter", "enter")
        await until(pilot, lambda: bool(screen.query(".method-page FieldRow")))
        specs = {row.spec.label: row.spec for row in screen.query_one(".method-page", Form).query(FieldRow)}
        assert specs["target"].choices == ("pattern",)
        assert {"n", "m"} <= set(specs)

    play(make(), scene)


def test_every_key_of_the_schema_has_a_field(make):
    from prunetui.config import Study

    async def scene(pilot, screen):
        specs = [spec for section in screen.sections for spec in section.specs]
        paths = {spec.path for spec in specs}
        for name, info in Study.model_fields.items():
            inner = getattr(info.annotation, "model_fields", {})
            assert name == "methods" or (name,) in paths or all((name, key) in paths for key in inner)
            assert inner or name == "methods" or (name,) in paths
        assert all(spec.help for spec in specs)

    play(make(), scene)


def test_the_device_is_asked_for_beside_the_study(make):
    async def scene(pilot, screen):
        form = screen.query_one("#page-study", Form)
        await field(pilot, form, "device")
        await pilot.press("right")
        chosen = screen.outside.get(("device",))
        assert chosen != "cpu"
        assert "device" not in screen.draft.toml()
        screen.query_one(Nav).focus()
        await settled(pilot)
        await pilot.press("a")
        await until(pilot, lambda: bool(pilot.app.session.queue.waiting))
        run = Run(pilot.app.session.root / pilot.app.session.queue.waiting[0])
        assert run.status().device == chosen
        assert pilot.app.runner._device_of(run) == chosen
        run.write_status(replace(run.status(), state="interrupted", device="cuda:7"))
        assert pilot.app.runner._device_of(run) == "cpu"  # it goes on where the application computes

    play(make(), scene)


def test_a_checkpoint_takes_the_place_of_the_presets_dense_network(make, tmp_path):
    (tmp_path / "net.pt").touch()

    async def scene(pilot, screen):
        await page(pilot, "train")
        form = await page(pilot, "model")
        await typed(pilot, form, ("model", "checkpoint"), str(tmp_path / "net.pt"))
        await settled(pilot)
        assert screen.draft.get(("model", "width")) is None
        assert screen.checked.study.train.epochs == 0
        rows = {row.spec.path: row for row in screen.query(FieldRow)}
        assert rows["model", "width"].query_one(Input).value == ""
        epochs = rows["train", "epochs"].query_one(Input)
        assert (epochs.value, epochs.placeholder) == ("", "0")

    play(make(), scene)


def test_the_mouse_reaches_everything(make):
    async def scene(pilot, screen):
        await pilot.click("#nav", offset=(3, 1))
        await until(pilot, lambda: bool(screen.query("#page-model")))
        row = next(row for row in screen.query_one("#page-model", Form).query(FieldRow) if row.spec.label == "shortcut")
        await pilot.click(row.control)
        await until(pilot, lambda: isinstance(pilot.app.screen, Choice))
        await pilot.click("OptionList", offset=(3, 1))
        await until(pilot, lambda: pilot.app.screen is screen)
        assert screen.draft.get(("model", "shortcut")) == "A"

    play(make(), scene)


# Mistakes -----------------------------------------------------------------------------------------


def test_a_mistake_is_told_in_words_at_its_field_and_start_is_refused(make):
    async def scene(pilot, screen):
        form = await page(pilot, "data")
        row = await typed(pilot, form, ("data", "validation"), "1.5")
        await settled(pilot)
        assert mistake_at(row) == "should be less than 1; got 1.5"
        other = await page(pilot, "train")
        row = await typed(pilot, other, ("train", "epochs"), "many")
        await settled(pilot)
        assert "valid integer" in mistake_at(row)
        assert verdict(screen).startswith("! 2 mistakes  data.validation")
        screen.query_one(Nav).focus()
        await pilot.press("s")
        await until(pilot, lambda: screen.query_one(Pages).key == "data")
        assert pilot.app.session.queue.waiting == ()
        assert not list(pilot.app.session.root.glob("*/study.toml"))
        assert screen.focused.ancestors_with_self  # a field: the one that is wrong
        assert next(n for n in screen.focused.ancestors if isinstance(n, FieldRow)).spec.path == ("data", "validation")
        await pilot.press("ctrl+n")
        await until(pilot, lambda: screen.query_one(Pages).key == "train")

    play(make(), scene)


def test_a_method_that_does_not_fit_is_marked_and_explained(make):
    async def scene(pilot, screen):
        picker = await page(pilot, "methods")
        picker.table.cursor = next(i for i, row in enumerate(picker.table.rows) if row.info.name == "rigl")
        await pilot.press("enter", "space")
        form = await page(pilot, "schedule")
        await field(pilot, form, "schedule")
        await pilot.press("right")
        await settled(pilot)
        assert screen.checked.mistakes[0].path.startswith("methods[")
        picker = await page(pilot, "methods")
        assert "it can be dynamic" in words(picker.query_one("#method-about"))
        plan: PlanPane = await page(pilot, "plan")
        assert "1 mistake: nothing can be started." in words(plan.query_one(".plan-words"))

    play(make(), scene)


# Plan ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
def test_the_plan_is_counted_and_listed(make, size):
    from prunetui.plan import build_plan

    async def scene(pilot, screen):
        tree = build_plan(load_study("quickstart"))
        plan: PlanPane = await page(pilot, "plan")
        await settled(pilot)
        text = dict(numbers(screen.plan))
        assert text["trials"] == f"{len(tree.trials)}, 1 of them the dense control"
        assert text["steps"] == f"{len(tree.nodes)}, 6 shared between trials"
        assert text["cached"].startswith("unknown")
        assert text["time"] == text["disk"] == "unknown: no run of this model and data yet"
        assert text["images"] == "1,293 training, 144 validation, 360 test"
        assert not screen.query_one("#side").display
        await page(pilot, "data")
        assert len(plan.query_one(VirtualTable).rows) == len(tree.trials)
        assert screen.query_one("#side").display == (size[0] >= 120)

    play(make(), scene, size)


# TOML ---------------------------------------------------------------------------------------------


def test_the_toml_is_saved_asks_before_it_replaces_and_is_copied(make, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    async def scene(pilot, screen):
        await typed(pilot, screen.query_one("#page-study", Form), ("name",), "mine")
        await settled(pilot)
        screen.query_one(Nav).focus()
        assert screen.unsaved
        await pilot.press("w")
        await until(pilot, lambda: isinstance(pilot.app.screen, TextPrompt))
        await pilot.press("enter")
        file = tmp_path / "mine.toml"
        await until(pilot, lambda: file.exists() and not screen.unsaved)
        assert tomli.loads(file.read_text()) == screen.draft.data
        assert parse_study(file.read_text()) == screen.checked.study
        file.write_text("precious")
        await pilot.press("w")
        await until(pilot, lambda: isinstance(pilot.app.screen, TextPrompt))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, Choice))
        await pilot.press("enter")  # keep it
        await until(pilot, lambda: pilot.app.screen is screen)
        assert file.read_text() == "precious"
        await pilot.press("y")
        assert pilot.app.clipboard == screen.draft.toml()
        await pilot.press("v")
        await until(pilot, lambda: screen.query_one(Pages).key == "toml")
        await pilot.press("y")
        assert pilot.app.clipboard == study_toml(screen.checked.study)

    play(make(), scene)


def editor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    file = tmp_path / "editor"
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("VISUAL", str(file))


@pytest.fixture
def suspended(monkeypatch: pytest.MonkeyPatch) -> None:
    """The terminal of a test cannot be handed over: do as if."""
    import contextlib

    monkeypatch.setattr(PrunetuiApp, "suspend", lambda self: contextlib.nullcontext())


def test_the_editor_changes_the_study(make, tmp_path, monkeypatch, suspended):
    editor(tmp_path, monkeypatch, 'sed -i "s/width = 8/width = 4/" "$1"')

    async def scene(pilot, screen):
        await pilot.press("e")
        await until(pilot, lambda: screen.draft.get(("model", "width")) == 4)
        await settled(pilot)
        assert screen.checked.study.model.width == 4
        assert screen.unsaved

    play(make(), scene)


def test_what_the_editor_got_wrong_is_told_by_line_and_edited_again(make, tmp_path, monkeypatch, suspended):
    again = tmp_path / "again"
    editor(
        tmp_path, monkeypatch,
        f'if [ -e {again} ]; then sed -i "s/widht/width/" "$1"; else touch {again}; sed -i "s/width/widht/" "$1"; fi',
    )  # fmt: skip

    async def scene(pilot, screen):
        await pilot.press("e")
        await until(pilot, lambda: isinstance(pilot.app.screen, Choice))
        told = words(pilot.app.screen.query_one(Static))
        line = 1 + screen.draft.toml().splitlines().index("width = 8") + 1  # below the header
        assert f'line {line}: model.widht: unknown key; got 8; did you mean "width"?' in told
        await pilot.press("enter")
        await until(pilot, lambda: pilot.app.screen is screen)
        await settled(pilot)
        assert screen.draft.get(("model", "width")) == 8

    play(make(), scene)


def test_text_that_is_no_toml_is_not_lost(make, tmp_path, monkeypatch, suspended):
    seen = tmp_path / "seen"
    editor(tmp_path, monkeypatch, f'cp "$1" {seen}; echo "[broken" >> "$1"')

    async def scene(pilot, screen):
        before = screen.draft.toml()
        for _ in range(2):
            await pilot.press("e")
            await until(pilot, lambda: isinstance(pilot.app.screen, Choice))
            assert "not valid TOML" in words(pilot.app.screen.query_one(Static))
            await pilot.press("j", "enter")  # later
            await until(pilot, lambda: pilot.app.screen is screen)
        assert screen.draft.toml() == before
        assert "[broken" in seen.read_text()

    play(make(), scene)


def test_a_study_with_mistakes_may_be_taken_from_the_editor_and_mended_in_the_form(
    make, tmp_path, monkeypatch, suspended
):
    editor(tmp_path, monkeypatch, 'sed -i "s/name = .digits./name = \\"digitz\\"/" "$1"')

    async def scene(pilot, screen):
        await pilot.press("e")
        await until(pilot, lambda: isinstance(pilot.app.screen, Choice))
        await pilot.press("j", "enter")
        await until(pilot, lambda: screen.draft.get(("data", "name")) == "digitz")
        await settled(pilot)
        form = await page(pilot, "data")
        row = await field(pilot, form, "data", "name")
        assert 'did you mean "digits"?' in mistake_at(row)
        await pilot.press("delete")
        await settled(pilot)
        assert not screen.checked.mistakes

    play(make(), scene)


def test_a_key_that_nobody_knows_can_be_emptied_in_the_form(make, tmp_path, monkeypatch, suspended):
    editor(tmp_path, monkeypatch, 'sed -i -e "s/width/widht/" -e "s/^sparsities/seed = 3\\nsparsities/" "$1"')

    async def scene(pilot, screen):
        await pilot.press("e")
        await until(pilot, lambda: isinstance(pilot.app.screen, Choice))
        await pilot.press("j", "enter")
        await until(pilot, lambda: screen.draft.get(("model", "widht")) == 8)
        await settled(pilot)
        for key, path in (("model", ("model", "widht")), ("study", ("seed",))):
            form = await page(pilot, key)
            row = await field(pilot, form, *path)
            assert "unknown key" in mistake_at(row)
            await typed(pilot, form, path, "")
        await settled(pilot)
        assert not screen.checked.mistakes

    play(make(), scene)


def test_without_an_editor_or_with_one_that_fails_nothing_changes(make, tmp_path, monkeypatch, suspended):
    editor(tmp_path, monkeypatch, "exit 3")

    async def scene(pilot, screen):
        before = screen.draft.toml()
        await pilot.press("e")
        await until(pilot, lambda: any("exit code 3" in n.message for n in pilot.app._notifications))
        monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
        monkeypatch.delenv("VISUAL")
        monkeypatch.delenv("EDITOR", raising=False)
        await pilot.press("e")
        await until(pilot, lambda: any("no editor" in n.message for n in pilot.app._notifications))
        assert screen.draft.toml() == before

    play(make(), scene)


# Starting and leaving -----------------------------------------------------------------------------


def test_a_study_is_queued_and_the_screen_stays(make):
    async def scene(pilot, screen):
        await typed(pilot, screen.query_one("#page-study", Form), ("name",), "queued one")
        screen.query_one(Nav).focus()
        await pilot.press("a")
        await until(pilot, lambda: len(pilot.app.session.queue.waiting) == 1 and not screen.unsaved)
        run = Run(pilot.app.session.root / pilot.app.session.queue.waiting[0])
        assert run.status().state == "queued"
        assert run.status().device == ""
        assert parse_study(run.study_text()).name == "queued one"
        assert pilot.app.screen is screen

    play(make(), scene)


def test_a_study_is_started_and_watched(make):
    async def scene(pilot, screen):
        await pilot.press("s")
        await until(pilot, lambda: isinstance(pilot.app.screen, LiveScreen))
        assert pilot.app.session.queue.waiting == (pilot.app.screen.run_id,)
        assert screen not in pilot.app.screen_stack

    play(make(), scene)


@pytest.mark.parametrize("key", ["escape", "ctrl+q"])
def test_leaving_with_changes_asks(make, key):
    async def scene(pilot, screen):
        await typed(pilot, screen.query_one("#page-study", Form), ("name",), "x")
        screen.query_one(Nav).focus()
        await pilot.press(key)
        await until(pilot, lambda: isinstance(pilot.app.screen, UnsavedScreen))
        await pilot.press("enter")  # stay
        await until(pilot, lambda: pilot.app.screen is screen)
        assert screen.draft.get(("name",)) == "x"
        await pilot.press(key)
        await until(pilot, lambda: isinstance(pilot.app.screen, UnsavedScreen))
        await pilot.press("j", "enter")
        await until(pilot, lambda: screen not in pilot.app.screen_stack or not pilot.app.is_running)

    play(make(), scene)


def test_it_stands_any_size_and_ascii(make):
    async def scene(pilot, screen):
        for size in ((30, 8), (200, 60), (80, 24)):
            await pilot.resize_terminal(*size)
            await pilot.pause()
        for section in screen.sections:
            await page(pilot, section.key)
        assert screen.is_attached

    play(make(ascii_only=True), scene)


def test_digits_are_trained_for_real_from_here(make):
    async def scene(pilot, screen):
        form = await page(pilot, "model")
        await typed(pilot, form, ("model", "width"), "4")
        form = await page(pilot, "train")
        await typed(pilot, form, ("train", "epochs"), "1")
        form = await page(pilot, "finetune")
        await typed(pilot, form, ("finetune", "epochs"), "1")
        form = await page(pilot, "study")
        await typed(pilot, form, ("sparsities",), "0.5")
        for place in reversed(range(len(screen.draft.methods))):
            if screen.draft.methods[place]["name"] != "global-unstructured":
                screen.draft.remove_method(place)
        screen.judge()
        await settled(pilot)
        assert verdict(screen).startswith("+ ready  2 trials")
        screen.query_one(Nav).focus()
        await pilot.press("s")
        await until(pilot, lambda: isinstance(pilot.app.screen, LiveScreen))
        run = Run(pilot.app.session.root / pilot.app.screen.run_id)
        await until(pilot, lambda: run.status().state not in ("queued", "running"), 120)
        pilot.app.runner._child.wait()
        assert run.status().state == "done"
        assert [row["status"] for row in run.rows()] == ["done", "done"]
        assert float(run.rows()[1]["sparsity"]) == pytest.approx(0.5, abs=0.01)
        again = await opened(pilot, run.id)  # the same once more: all of it is in the cache now
        assert again.plan.left == 0
        assert again.plan.bytes == 0

    play(make(serve=True), scene)


# Pictures -----------------------------------------------------------------------------------------


async def fresh(pilot: Pilot[int]) -> None:
    await opened(pilot)


async def with_a_mistake(pilot: Pilot[int]) -> None:
    await opened(pilot)
    await typed(pilot, await page(pilot, "data"), ("data", "validation"), "1.5")
    await settled(pilot)


async def method_options(pilot: Pilot[int]) -> None:
    screen = await opened(pilot)
    picker = await page(pilot, "methods")
    picker.table.cursor = next(i for i, row in enumerate(picker.table.rows) if row.info.name == "group-lasso")
    await pilot.press("enter", "enter")
    await until(pilot, lambda: bool(screen.query(".method-page FieldRow")))
    await settled(pilot)


async def methods(pilot: Pilot[int]) -> None:
    await opened(pilot)
    await page(pilot, "methods")
    await pilot.press("enter")


async def plan_page(pilot: Pilot[int]) -> None:
    await opened(pilot)
    await page(pilot, "plan")


async def toml_page(pilot: Pilot[int]) -> None:
    await opened(pilot)
    await page(pilot, "toml")


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("before", [fresh, with_a_mistake, methods, method_options, plan_page, toml_page])
def test_it_looks_like_this(make, snap_compare, before, size):
    async def run(pilot: Pilot[int]) -> None:
        await before(pilot)
        for box in pilot.app.screen.query(Input):
            box.cursor_blink = False
        await pilot.pause()

    assert snap_compare(make(), run_before=run, terminal_size=size)
