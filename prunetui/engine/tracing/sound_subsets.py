"""Find what makes a set fail: the items that fail alone, and the smallest sets that fail together.

A set that holds at once needs one test. Tests are assumed to fail for every set that contains a failing one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")
F = TypeVar("F")


def failing_alone(items: Sequence[T], fails: Callable[[Sequence[T]], F | None]) -> list[tuple[T, F]]:
    """The items that fail by themselves, each with its failure. Halves are tested until they hold or are one item."""
    failure = fails(items) if items else None
    if failure is None:
        return []
    if len(items) == 1:
        return [(items[0], failure)]
    middle = len(items) // 2
    return failing_alone(items[:middle], fails) + failing_alone(items[middle:], fails)


def smallest_failing(items: Sequence[T], fails: Callable[[Sequence[T]], F | None]) -> list[T]:
    """A part of ``items``, which fail, that fails and of which every item is needed for that."""
    core: list[T] = []
    rest = list(items)
    while core == [] or fails(core) is None:
        low, high = 0, len(rest)  # the shortest beginning of the rest that fails together with the core
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if fails([*core, *rest[:middle]]) else (middle, high)
        if not rest:
            break
        core.append(rest[high - 1])
        rest = rest[: high - 1]
    return core


def separating_subsets(items: Sequence[T]) -> list[list[T]]:
    """Subsets such that of any two items, one contains the first without the second, another the second alone."""
    bits = range((len(items) - 1).bit_length() if items else 0)
    return [[item for i, item in enumerate(items) if i >> bit & 1 == value] for bit in bits for value in (0, 1)]
