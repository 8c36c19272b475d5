"""Whether what is kept of a step will do: asked by the engine, by who owns a run, and by the estimate before it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from prunetui.tree.nodes import Node


def is_kept(
    node: Node, notes: Mapping[str, Any] | None, carried: Collection[str], timer: Mapping[str, str] | None
) -> bool:
    """Whether a step's result is kept as this plan needs it, by the ``notes`` kept with it (None: nothing is kept).

    ``carried`` are the states that must have kept their momentum (``Plan.carrying``), which another plan may not have
    needed. A time must have been taken where and with what this machine's are (``timer``; None: any will do).
    """
    if notes is None:
        return False
    if node.step.timed:
        return timer is None or notes.get("timer") == dict(timer)
    return bool(notes.get("momentum", False)) or node.key not in carried
