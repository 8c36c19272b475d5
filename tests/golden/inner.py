"""All that the golden tests take from inside prunetui: where a module or a function moves, only this file changes.

Everything else goes through the command line and ``prunetui.config``, ``prunetui.plan`` and ``prunetui.store``.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from prunetui.tree import SplitSizes, Step, Units

__all__ = ["SplitSizes", "Units", "hashed_fields", "kind_of", "label_of", "needs_of", "without_digests", "work_of"]


def kind_of(step: Step) -> str:
    """The kind of a step, as events and keys call it."""
    return step.kind


def label_of(step: Step) -> str:
    """A step in a few words, as users see it."""
    return step.label


def needs_of(step: Step) -> tuple[str, ...]:
    """Keys of the states that a step looks at besides its parent's."""
    return step.needs()


def work_of(step: Step, images: SplitSizes) -> int:
    """The size of a step in images passed forward."""
    return step.work(images)


def _named(kind: type, with_api: bool) -> str:
    return f"code of {kind.__name__}{' and of methods' if with_api else ''}"


def without_digests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys are those of code that never changes: what they cover is held, not every line of the engine."""
    monkeypatch.setattr("prunetui.tree.step.code_digest", _named)


def hashed_fields(step: Step) -> dict[str, Any]:
    """The fields of a step that its key is a hash of, besides its parent's key."""
    before, after = step.key_text
    fields: dict[str, Any] = json.loads(f'{before}""{after}')
    del fields["parent"]
    return fields
