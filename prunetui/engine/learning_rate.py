"""How the learning rate changes over a recipe."""

from __future__ import annotations

import math

STEP_DROPS = (0.5, 0.75)
WARM_UP, WARM_UP_START = 0.3, 0.04


def learning_rate(schedule: str, progress: float) -> float:
    """The factor on the highest learning rate at ``progress`` in [0, 1).

    ``one-cycle`` rises linearly from 0.04 over the first 30 %, then falls along a cosine
    (Smith & Topin 2019, arXiv:1708.07120, without its momentum cycle).
    """
    if schedule == "one-cycle":
        if progress < WARM_UP:
            return WARM_UP_START + (1 - WARM_UP_START) * progress / WARM_UP
        progress = (progress - WARM_UP) / (1 - WARM_UP)
    if schedule in ("cosine", "one-cycle"):
        return (1 + math.cos(math.pi * progress)) / 2
    if schedule == "step":
        return 0.1 ** sum(progress >= drop for drop in STEP_DROPS)
    return 1.0
