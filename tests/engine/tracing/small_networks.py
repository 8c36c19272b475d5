"""What the tests of rules share: a network from a function, and its groups written so that a reader sees them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from prunetui.engine.tracing.proposal import Proposal
from prunetui.engine.tracing.propose import LabelGraph


class Net(nn.Module):
    """A network whose forward is a function of itself and its inputs; tensors among ``parts`` become buffers."""

    def __init__(self, function: Callable[..., Any], **parts: Any) -> None:
        super().__init__()
        for name, part in parts.items():
            if isinstance(part, Tensor) and not isinstance(part, nn.Parameter):
                self.register_buffer(name, part)
            else:
                setattr(self, name, part)
        self.function = function

    def forward(self, *inputs: Any, **named: Any) -> Any:
        return self.function(self, *inputs, **named)


def image(*shape: int) -> Tensor:
    """An example; its values do not matter."""
    return torch.linspace(-1, 1, torch.Size(shape).numel()).view(shape)


def written(proposal: Proposal) -> dict[str, dict[str, str]]:
    """Group -> "tensor[dimension]" -> the indices of each channel: "0 1 2", or "0,4 1,5" where it has several."""
    return {
        group.name: {
            f"{piece.tensor}[{piece.dimension}]": " ".join(",".join(map(str, own)) for own in piece.indices)
            for piece in group.slices
        }
        for group in proposal.groups
    }


def propose(model: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any] | None = None) -> Proposal:
    """What the graph of one pass of an example proposes."""
    return LabelGraph(model, args, kwargs).proposal


def groups(function: Callable[..., Any], *inputs: Any, **parts: Any) -> dict[str, dict[str, str]]:
    """The groups of a network of these parts."""
    return written(propose(Net(function, **parts), inputs))


def graph(function: Callable[..., Any], *inputs: Any, **parts: Any) -> LabelGraph:
    """Its labelled graph."""
    return LabelGraph(Net(function, **parts), inputs)


def kept(function: Callable[..., Any], *inputs: Any, **parts: Any) -> dict[str, str]:
    """What stays of it, with the reason."""
    return dict(propose(Net(function, **parts), inputs).kept)
