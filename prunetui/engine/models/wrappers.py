"""What is put around a network for speed or for several devices, and the network inside it."""

from __future__ import annotations

from torch import nn


def inner(module: nn.Module) -> nn.Module:
    """The network inside what torch.compile, DataParallel and DistributedDataParallel make of one."""
    while True:
        if isinstance(module, nn.DataParallel | nn.parallel.DistributedDataParallel):
            module = module.module
        elif is_compiled(module):
            module = module.get_submodule("_orig_mod")
        else:
            return module


def is_compiled(module: nn.Module) -> bool:
    """Whether torch.compile made it: asking torch for the class would import its compiler."""
    return type(module).__name__ == "OptimizedModule" and "_orig_mod" in module._modules
