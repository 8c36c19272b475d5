"""A training that is not finished, as a file: the network after an epoch and all that goes with it."""

from __future__ import annotations

import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from prunetui.engine.tied_tensors import once
from prunetui.engine.train_job import TrainState

KINDS = ("model", "momentum", "mask", "memory")
EPOCHS = "epochs"


def partial_bytes(epoch: int, model: nn.Module, state: TrainState) -> bytes:
    """A safetensors file; ``epoch`` is the number of finished epochs of the recipe."""
    kinds = {
        "model": once(model.state_dict(keep_vars=True)),
        "momentum": state.momentum,
        "mask": state.masks,
        "memory": state.memory,
    }
    tensors = {f"{kind}/{n}": t.detach().cpu().contiguous() for kind, of in kinds.items() for n, t in of.items()}
    return bytes(save({**tensors, EPOCHS: torch.tensor(epoch)}))


def read_partial(data: bytes) -> tuple[int, dict[str, dict[str, Tensor]]]:
    """What ``partial_bytes`` wrote: the finished epochs, and the tensors by kind and name."""
    found: dict[str, dict[str, Tensor]] = {kind: {} for kind in KINDS}
    tensors = load(data)
    epochs = int(tensors.pop(EPOCHS))
    for key, tensor in tensors.items():
        kind, _, name = key.partition("/")
        found[kind][name] = tensor.to(torch.bool) if kind == "mask" else tensor
    return epochs, found
