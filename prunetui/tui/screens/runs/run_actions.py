"""What can be done to runs of the list: resume, put forward or back in the queue, rename, delete."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import replace

from textual import work
from textual.screen import Screen

from prunetui.store import Run, Status
from prunetui.tui.navigation import StoreChanged
from prunetui.tui.screens.ask_trust import is_trusted
from prunetui.tui.screens.dialogs import Choice, TextPrompt
from prunetui.tui.screens.runs.runs_table import Runs
from prunetui.tui.session import Session
from prunetui.tui.views import Entry

RESUMABLE = ("interrupted", "died", "failed", "waiting")
RUNNING = ("running", "paused")


class RunActions(Screen[None]):
    """The keys of the list of runs that change something."""

    session: Session

    @property
    def table(self) -> Runs:
        """The list."""
        return self.query_one(Runs)

    # What can be done -----------------------------------------------------------------------------

    def impossible(self) -> frozenset[str]:
        """Actions that make no sense for the runs that are marked or under the cursor."""
        table = self.table
        entry = table.current
        found: set[str] = set()
        if entry is None:
            found |= {"open", "mark", "duplicate", "sort", "rename", "delete"}
        if entry is None or not entry.place:
            found |= {"earlier", "later"}
        if entry and (entry.state in RUNNING or entry.status is None):
            found.add("rename")
        if len(table.rows) < 2:
            found.add("compare")
        if not any(one.state in RESUMABLE for one in table.chosen):
            found.add("resume")
        return frozenset(found)

    # Queue ----------------------------------------------------------------------------------------

    @work
    async def action_resume(self) -> None:
        """Queue the marked runs that are not done."""
        runs = [Run(entry.folder) for entry in self.table.chosen if entry.state in RESUMABLE]
        chosen = [run.id for run in runs if await is_trusted(self.app, run)]
        await asyncio.to_thread(self._enqueue, chosen)
        self.notify(f"{len(chosen)} run{'s' if len(chosen) != 1 else ''} in the queue")
        self.app.post_message(StoreChanged())

    def _enqueue(self, runs: list[str]) -> None:
        for run in runs:
            self.session.queue.add(run)

    def action_earlier(self) -> None:
        """Bring a waiting run forward."""
        self._move(-1)

    def action_later(self) -> None:
        """Put a waiting run back."""
        self._move(1)

    @work
    async def _move(self, by: int) -> None:
        entry = self.table.current
        if entry is not None:
            await asyncio.to_thread(self.session.queue.move, entry.id, by)
            self.app.post_message(StoreChanged())

    # Rename and delete ----------------------------------------------------------------------------

    @work
    async def action_rename(self) -> None:
        """Give the run under the cursor another name."""
        entry = self.table.current
        if entry is None or self._renamable(entry) is None:
            return
        name = await self.app.push_screen_wait(TextPrompt("Rename", "What the run is called in lists:", entry.name))
        status = self._renamable(entry) if name else None
        if name and status:
            await asyncio.to_thread(Run(entry.folder).write_status, replace(status, name=name[:80]))
            self.app.post_message(StoreChanged())

    def _renamable(self, entry: Entry) -> Status | None:
        """The status as it is now, unless the run's process writes it itself."""
        status = Run(entry.folder).status()
        if status is not None and status.state == "running":
            self.notify("A run can be renamed when it is over.", severity="warning")
            return None
        return status

    @work
    async def action_delete(self) -> None:
        """Delete the marked runs, after asking."""
        chosen = self.table.chosen
        live = [entry for entry in chosen if entry.state in RUNNING]
        if live:
            self.notify(f"{live[0].name} is running; stop it first.", severity="warning")
            return
        if not chosen:
            return
        names = ", ".join(entry.name for entry in chosen[:3]) + (" ..." if len(chosen) > 3 else "")
        many = f"{len(chosen)} runs" if len(chosen) > 1 else "this run"
        answer = await self.app.push_screen_wait(
            Choice("Delete", f"{names}: results and models go for good.", [("no", "Keep"), ("yes", f"Delete {many}")])
        )
        if answer == "yes":
            self._delete(chosen)

    @work(thread=True)
    def _delete(self, chosen: list[Entry]) -> None:
        for entry in chosen:
            self.session.queue.remove(entry.id)
            try:
                shutil.rmtree(entry.folder)
            except OSError as error:
                self.app.call_from_thread(self.notify, f"{entry.name}: {error.strerror}", severity="error")
        self.app.call_from_thread(self.table.unmark)
        self.app.post_message(StoreChanged())
