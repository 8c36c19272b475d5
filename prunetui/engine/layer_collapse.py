"""Layers of which next to nothing is left, as can happen where the channels of all layers compete."""

from __future__ import annotations

from collections.abc import Mapping

COLLAPSED = 0.1
"""A layer has collapsed if it keeps less than this part of what the whole network keeps."""
NAMED = 12


def collapsed(dense: Mapping[str, int], left: Mapping[str, int], achieved: float, keeps: str) -> str:
    """What to say of groups that collapsed, of a network that lost ``achieved``; empty if none did.

    ``dense`` and ``left`` are widths by group, and ``keeps`` is the setting that keeps a tenth of each. Scores that are
    compared across layers are those of single channels, each removed alone: where a layer has many, none of which
    matters much, all of them go at once (layer collapse; Tanaka et al. 2020, arXiv:2006.05467).
    """
    gone = [group for group in dense if left[group] < COLLAPSED * (1 - achieved) * dense[group]]
    if not gone:
        return ""
    told = ", ".join(f"{left[group]} of {dense[group]} channels of {group}" for group in gone[:NAMED])
    return f"next to nothing is left of some layers: {told}; {keeps} keeps a tenth of each layer"
