"""What the options of a method may be."""

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le

Scope = Literal["global", "local"]
"""Rank across the whole net, or within each layer."""
ChannelScope = Literal["global", "local", "isomorphic"]
"""Rank channels across the whole net, within each layer, or across layers of one structure."""
Budget = Literal["uniform", "erk", "owl", "alpha"]
"""How dense each layer is to be: all alike, by its shape, by outliers of its scores, or by its weights' spectrum."""
Normalise = Literal["none", "mean", "l2"]
"""What divides the scores of channels before layers compete: nothing, their layer's mean, or its L2 norm."""
Count = Annotated[int, Ge(0)]
"""An option that is a whole number from 0."""
Positive = Annotated[int, Ge(1)]
"""An option that is a whole number from 1."""
Factor = Annotated[float, Ge(0)]
"""An option that is a number from 0."""
FromOne = Annotated[float, Ge(1)]
"""An option that is a number from 1."""
Part = Annotated[float, Ge(0), Le(1)]
"""An option that is a part of a whole, in [0, 1]."""
Share = Annotated[float, Gt(0), Le(1)]
"""An option that is a part of a whole, in (0, 1]."""
