"""From what a step's randomness is called to seeds, and the generators that belong to nobody."""

from __future__ import annotations

import contextlib
import hashlib
import json
import random
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

NUMPY_SEEDS = 2**32


def epoch_seed(key: str, epoch: int) -> int:
    """The seed of one epoch of the step whose randomness is called ``key``; a step without epochs takes epoch 0."""
    return int.from_bytes(hashlib.sha256(f"{key}:{epoch}".encode()).digest()[:7], "big")


def drawn_seed(generator: torch.Generator) -> int:
    """A seed drawn from a generator."""
    return int(torch.randint(2**62, (), generator=generator))


def seed_everything(seed: int, gpus: bool = False) -> None:
    """Seed the generators that belong to nobody: torch's, numpy's and Python's, and those of ``gpus``.

    What a network draws in training (dropout), and what a user's data set draws for its items, comes from them.
    """
    if gpus:
        torch.manual_seed(seed)
    else:
        torch.default_generator.manual_seed(seed)
    np.random.seed(seed % NUMPY_SEEDS)
    random.seed(seed)


@contextlib.contextmanager
def generators_restored() -> Iterator[None]:
    """Leaves the generators that belong to nobody as they were; those of GPUs are not among them."""
    states = torch.get_rng_state(), np.random.get_state(), random.getstate()
    try:
        yield
    finally:
        torch.set_rng_state(states[0])
        np.random.set_state(states[1])
        random.setstate(states[2])


def generator_states(device: torch.device) -> dict[str, Tensor]:
    """The states of the generators that belong to nobody, and of the GPU that computes, as bytes: uint8 [N]."""
    drawn = np.random.get_state(legacy=False)
    assert isinstance(drawn, dict)
    numbers = {**drawn, "state": {**drawn["state"], "key": drawn["state"]["key"].tolist()}}
    states = {"torch": torch.get_rng_state(), "numpy": _as_bytes(numbers), "python": _as_bytes(random.getstate())}
    return {**states, "cuda": torch.cuda.get_rng_state(device)} if device.type == "cuda" else states


def set_generator_states(states: Mapping[str, Tensor], device: torch.device) -> None:
    """Go on as when ``states`` were taken; on another kind of device, its own generator stays as it is."""
    numbers = _read(states["numpy"])
    numbers["state"]["key"] = np.array(numbers["state"]["key"], dtype=np.uint32)
    np.random.set_state(numbers)
    version, drawn, gauss = _read(states["python"])
    random.setstate((version, tuple(drawn), gauss))
    torch.set_rng_state(states["torch"])
    if device.type == "cuda" and "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"], device)


def _as_bytes(value: Any) -> Tensor:
    return torch.frombuffer(bytearray(json.dumps(value).encode()), dtype=torch.uint8)


def _read(written: Tensor) -> Any:
    return json.loads(bytes(written.tolist()))
