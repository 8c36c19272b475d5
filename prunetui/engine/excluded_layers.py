"""Which layers the patterns of a study, or of a call, leave alone."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase

from prunetui.api import Group
from prunetui.errors import UsageError


def layers_matching(patterns: Sequence[str], layers: Mapping[str, str], where: str) -> set[str]:
    """The layers, by the names that they go by, which patterns fit; ``where`` is what a study calls the patterns.

    Raises:
        UsageError: a pattern fits no layer.
    """
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in layers):
            raise UsageError(f'{where}: no layer fits "{pattern}"; there are: {", ".join(layers)}')
    return {layer for name, layer in layers.items() if any(fnmatchcase(name, pattern) for pattern in patterns)}


def makers_beside(weighted: Container[str], groups: Iterable[Group]) -> dict[str, str]:
    """What makes channels and is none of the layers with prunable weights, as an embedding: its name and the layer.

    The network itself, which makes channels by a parameter of its own, goes by the name of their group.
    """
    made = [(layer or group.name, layer) for group in groups for layer in group.producers]
    return {name: layer for name, layer in made if layer not in weighted}
