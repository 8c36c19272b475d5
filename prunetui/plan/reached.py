"""What the levels of a trajectory lead to."""

from __future__ import annotations

from dataclasses import dataclass

States = dict[str, str]
"""Keys of the states of a trial, by the names of its fields."""


@dataclass(frozen=True)
class Reached:
    """What some levels of a trajectory lead to: the states of the trial and of its control."""

    edited: str
    before: str
    after: str
    control_before: str
    control: str
    trained: bool = False
    """Whether a recovery came before, whose momentum the next one goes on with."""

    def states(self, start: str) -> States:
        """Keys of the trial's states, by the names of its fields."""
        states = {"start": start, "edited": self.edited, "before": self.before, "after": self.after}
        return {**states, "control": self.control, "control_before": self.control_before}
