"""What becomes of a study that is neither saved nor started when it is left."""

from __future__ import annotations

from prunetui.tui.screens.dialogs import Choice


class UnsavedScreen(Choice):
    """A study is neither saved nor started."""

    def __init__(self) -> None:
        answers = [("stay", "Stay"), ("leave", "Leave; the changes are lost")]
        super().__init__("Leave", "The study is neither saved nor started.", answers)
