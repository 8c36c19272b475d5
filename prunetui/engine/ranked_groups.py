"""Groups of channels that a method can rank: those that it cannot are left alone, if there are others."""

from __future__ import annotations

from dataclasses import replace

from prunetui.api.constraints import Constraints
from prunetui.errors import UnrankedError


def without_group(constraints: Constraints, error: UnrankedError) -> Constraints:
    """The same without the group that ``error`` is about.

    Raises:
        UnrankedError: none is left then.
    """
    left = [group for group in constraints.groups if group.name != error.group]
    if not left or len(left) == len(constraints.groups):
        raise error
    return replace(constraints, groups=left)
