"""Which groups of channels are of one structure: only those have scores that compare."""

from __future__ import annotations

from collections import Counter

from torch import nn

from prunetui.api.groups import Group

Structure = tuple[tuple[str, str, str, int], ...]
"""Of each kind of slice: the class of its layer, the tensor's own name, its role, and how many there are."""


def structure_of(group: Group, model: nn.Module) -> Structure:
    """What a group is made of, whatever its width and its place in the net.

    Fang et al. 2024 (arXiv:2407.04616) call sub-networks isomorphic whose graphs are the same; like their code, this
    compares the kinds of layers that are coupled, and how many of each.
    """
    kinds = Counter((type(model.get_submodule(s.layer)).__name__, s.own, s.role) for s in group.slices)
    return tuple(sorted((*kind, count) for kind, count in kinds.items()))
