"""What becomes of runs when the application is left."""

from __future__ import annotations

from collections.abc import Sequence

from prunetui.execute import launcher
from prunetui.store import Run
from prunetui.store.control import Control
from prunetui.tui.screens.dialogs import Choice
from prunetui.tui.views import Entry


class LeaveScreen(Choice):
    """Something runs: leave it running, stop it, or stay."""

    def __init__(self, running: Sequence[Entry], waiting: int) -> None:
        names = ", ".join(entry.name for entry in running)
        queued = f" {waiting} more wait in the queue until prunetui is opened again." if waiting else ""
        super().__init__(
            "Quit",
            f"Running: {names}.{queued}",
            [
                ("leave", "Leave it running (come back with `prunetui`)"),
                ("step", "Stop after this step, then it can be resumed"),
                ("kill", "Kill it now; finished steps are kept"),
                ("cancel", "Stay here"),
            ],
        )


def carry_out(answer: str | None, running: Sequence[Entry]) -> bool:
    """Do to the runs what was answered; True when the application is to end."""
    for entry in running:
        run = Run(entry.folder)
        if answer == "step":
            Control(run).ask(stop_after_step=True, pause=False)
        elif answer == "kill":
            launcher.kill(run)
    return answer in ("leave", "step", "kill")
