"""A training that is not finished, as a file: the network after an epoch or within one, and all that goes with it."""

from __future__ import annotations

import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from prunetui.engine.tied_tensors import once
from prunetui.engine.train_job import TrainState, WithinEpoch

KINDS = ("model", "momentum", "mask", "memory", "generator", "sum")
EPOCHS, BATCHES = "epochs", "batches"


def partial_bytes(epoch: int, model: nn.Module, state: TrainState) -> bytes:
    """A safetensors file; ``epoch`` is the number of finished epochs of the recipe."""
    within = state.within
    kinds = {
        "model": once(model.state_dict(keep_vars=True)),
        "momentum": state.momentum,
        "mask": state.masks,
        "memory": state.memory,
        "generator": within.generators,
        "sum": within.sums,
    }
    tensors = {f"{kind}/{n}": t.detach().cpu().contiguous() for kind, of in kinds.items() for n, t in of.items()}
    return bytes(save({**tensors, EPOCHS: torch.tensor(epoch), BATCHES: torch.tensor(within.batch)}))


def read_partial(data: bytes) -> tuple[int, dict[str, Tensor], TrainState]:
    """What ``partial_bytes`` wrote: the finished epochs, the network's tensors, and all that goes with them."""
    found: dict[str, dict[str, Tensor]] = {kind: {} for kind in KINDS}
    tensors = load(data)
    epochs, batch = int(tensors.pop(EPOCHS)), int(tensors.pop(BATCHES))
    for key, tensor in tensors.items():
        kind, _, name = key.partition("/")
        found[kind][name] = tensor.to(torch.bool) if kind == "mask" else tensor
    within = WithinEpoch(batch, found["generator"], found["sum"])
    return epochs, found["model"], TrainState(found["momentum"], found["mask"], found["memory"], within)
