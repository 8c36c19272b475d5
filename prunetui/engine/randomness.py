"""From what a step's randomness is called to seeds."""

from __future__ import annotations

import hashlib


def epoch_seed(key: str, epoch: int) -> int:
    """The seed of one epoch of the step whose randomness is called ``key``; a step without epochs takes epoch 0."""
    return int.from_bytes(hashlib.sha256(f"{key}:{epoch}".encode()).digest()[:7], "big")
