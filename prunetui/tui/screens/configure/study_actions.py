"""What can be done with a study that is written: start, queue, save, copy, edit, begin again, leave."""

from __future__ import annotations

import asyncio
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from textual import work
from textual.app import SuspendNotSupported
from textual.screen import Screen

from prunetui.errors import PrunetuiError
from prunetui.files.atomic import write_atomic
from prunetui.files.paths import user_path
from prunetui.terminal.durations import ago
from prunetui.tui.navigation import OpenLive, StoreChanged
from prunetui.tui.screens.configure import draft_checks
from prunetui.tui.screens.configure.draft_checks import Checked, lines_of
from prunetui.tui.screens.configure.editor import edit, editor_command
from prunetui.tui.screens.configure.pages import Nav, Pages
from prunetui.tui.screens.configure.study_draft import Draft
from prunetui.tui.screens.configure.toml_pane import Toml
from prunetui.tui.screens.configure.unsaved import UnsavedScreen
from prunetui.tui.screens.dialogs import Choice, TextPrompt
from prunetui.tui.session import Session

if TYPE_CHECKING:
    from prunetui.plan.history import Historian

HEADER = "# A study. Save and leave the editor to take it over; `prunetui init` prints every key with its help.\n"
MOST_RUNS = 50


class StudyActions(Screen[None]):
    """The keys of the configure screen."""

    session: Session
    draft: Draft
    clean: Draft
    outside: Draft
    checked: Checked | None
    origin = ""
    _shown_mistake = -1
    _left_over = ""
    """What the editor left and is not TOML: the next time it goes on with it."""

    if TYPE_CHECKING:

        @property
        def unsaved(self) -> bool: ...
        def judge(self) -> None: ...
        def read_start(self, start: str) -> object: ...
        def show_title(self) -> None: ...
        def show_side(self) -> None: ...
        async def take(self, draft: Draft) -> None: ...

    @cached_property
    def historian(self) -> Historian:
        """Who remembers earlier runs while this study is written."""
        from prunetui.plan.history import Historian

        return Historian(self.session.root)

    # Start ----------------------------------------------------------------------------------------

    def action_start(self) -> None:
        """Queue the study and watch it."""
        self._submit(watch=True)

    def action_enqueue(self) -> None:
        """Queue the study and stay."""
        self._submit(watch=False)

    @work(exclusive=True, group="submit")
    async def _submit(self, watch: bool) -> None:
        text = self.draft.toml()
        device = str(self.outside.get(("device",)) or self.session.device)
        try:
            checked, run = await asyncio.to_thread(
                self._made_run, text, "" if device == self.session.device else device
            )
        except PrunetuiError as error:
            self.notify(str(error), severity="error", timeout=10)
            return
        if not run:
            count = len(checked.mistakes)
            self.notify(f"{count} mistake{'s' if count > 1 else ''}: nothing was started.", severity="error")
            self.checked = checked
            self.action_mistake()
            return
        self.clean = Draft(self.draft.data)
        self.app.post_message(StoreChanged())
        if watch:
            self.dismiss()
            self.app.post_message(OpenLive(run))
        else:
            waiting = self.session.queue.waiting
            place = waiting.index(run) + 1 if run in waiting else 1
            self.notify(f"in the queue, place {place}")
            self.show_title()

    def _made_run(self, text: str, device: str) -> tuple[Checked, str]:
        """In a thread: the run of a right study, put into the queue; no run for a wrong one."""
        from prunetui.execute.submit import submit

        checked = draft_checks.check(text)
        if checked.study is None:
            return checked, ""
        run = submit(checked.study, self.session.root, device)
        self.session.queue.add(run.id)
        return checked, run.id

    # Mistakes -------------------------------------------------------------------------------------

    @work
    async def action_mistake(self) -> None:
        """Go to the next thing that is wrong."""
        mistakes = self.checked.mistakes if self.checked else ()
        if not mistakes:
            self.notify("Nothing is wrong.")
            return
        self._shown_mistake = (self._shown_mistake + 1) % len(mistakes)
        mistake, pages = mistakes[self._shown_mistake], self.query_one(Pages)
        await self._turn_to(pages.page_of(mistake.path))
        pages.go_to_mistake(mistake)

    async def _turn_to(self, key: str) -> None:
        await self.query_one(Pages).turn_to(key)
        self.query_one(Nav).go_to(key)
        self.show_side()

    # TOML -----------------------------------------------------------------------------------------

    def _text(self) -> str:
        """What the TOML page shows: what differs from the defaults, or everything."""
        full = any(page.full for page in self.query(Toml))
        return self.checked.full if full and self.checked and self.checked.full else self.draft.toml()

    async def action_full(self) -> None:
        """Show every key of the TOML, or only what differs from the defaults."""
        await self._turn_to("toml")
        page = self.query_one(Toml)
        page.full = not page.full
        if self.checked:
            page.show(self.checked)

    def action_copy(self) -> None:
        """Copy the TOML to the clipboard of the terminal."""
        self.app.copy_to_clipboard(self._text())
        self.notify(f"{len(self._text().splitlines())} lines copied")

    @work
    async def action_save(self) -> None:
        """Save the TOML to a file."""
        name = str(self.draft.get(("name",)) or "study")
        given = await self.app.push_screen_wait(TextPrompt("Save", "Write the TOML to the file:", f"{name}.toml"))
        if not given:
            return
        file = user_path(given)
        if file.exists():
            answers = [("no", "Keep the file as it is"), ("yes", "Replace it")]
            if await self.app.push_screen_wait(Choice("Save", f"{file} is there already.", answers)) != "yes":
                return
        if await asyncio.to_thread(self._write, file, self._text()):
            self.clean = Draft(self.draft.data)
            self.show_title()
            self.notify(f"saved to {file}; run it anywhere with prunetui --batch {file}")

    def _write(self, file: Path, text: str) -> bool:
        try:
            write_atomic(file, text)
        except OSError as error:
            self.app.call_from_thread(self.notify, f"{file}: {error.strerror}", severity="error")
            return False
        return True

    # The editor -----------------------------------------------------------------------------------

    @work(exclusive=True, group="editor")
    async def action_edit(self) -> None:
        """Edit the TOML with $VISUAL or $EDITOR."""
        command = editor_command()
        if not command:
            self.notify("There is no editor: set EDITOR.", severity="error")
            return
        text = self._left_over or HEADER + self.draft.toml()
        while True:
            edited = self._edited(text, command)
            if edited is None or edited == text:
                return
            checked = await asyncio.to_thread(draft_checks.check, edited)
            try:
                draft = Draft.read(edited)
            except ValueError:
                draft = None
            answer = await self._ask(checked, draft is not None) if checked.mistakes else "take"
            if answer == "again":
                text = edited
                continue
            self._left_over = edited if answer == "later" else ""
            if answer == "take" and draft is not None:
                await self.take(draft)
            return

    def _edited(self, text: str, command: list[str]) -> str | None:
        try:
            with self.app.suspend():
                return edit(text, command)
        except SuspendNotSupported:
            self.notify("This terminal cannot be handed to an editor.", severity="error")
        except (OSError, ValueError) as error:
            self.notify(str(error), severity="error")
        return None

    async def _ask(self, checked: Checked, readable: bool) -> str:
        answers = [("again", "Edit again")]
        if readable:
            answers.append(("take", "Take it over as it is and mend it here"))
        else:
            answers.append(("later", "Leave the study as it was; the text is there when the editor is opened again"))
        answers.append(("drop", "Throw this edit away"))
        return await self.app.push_screen_wait(Choice("Mistakes", lines_of(checked.mistakes), answers)) or "later"

    # Begin and leave ------------------------------------------------------------------------------

    @work
    async def action_begin(self) -> None:
        """Begin from a preset or from an earlier run."""
        runs = [
            (entry.id, f"run {entry.name}, {ago(entry.age(self.session.now()))} ago: {', '.join(entry.status.methods)}")
            for entry in self.session.entries or ()
            if entry.status is not None
        ]
        answers = await asyncio.to_thread(draft_checks.beginnings, runs[:MOST_RUNS])
        question = "What is set now is lost." if self.unsaved else "A preset, or what an earlier run did."
        answer = await self.app.push_screen_wait(Choice("Begin from", question, answers))
        if answer:
            self.read_start(answer)

    @work
    async def ask_to_leave(self) -> None:
        """Leave; what is not saved or started is asked for."""
        if self.unsaved and await self.app.push_screen_wait(UnsavedScreen()) != "leave":
            return
        self.dismiss()
