"""The maps of channels behind their activation functions, before any pooling on the way to what reads them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from torch import Tensor
from torch.overrides import TorchFunctionMode

from prunetui.api.groups import Slice
from prunetui.api.net import Net
from prunetui.api.scores import channel_maps, weights_of

SHRINKS = ("pool", "mean", "flatten", "view", "reshape", "squeeze", "dropout", "detach")
"""Parts of the names of functions after which a map is still that of the same channels, smaller or in another shape."""


def activation_maps(net: Net) -> Iterator[dict[str, Tensor]]:
    """The maps [B, width, H, W] behind each group's activation function, one batch after the other.

    That is what the group's first consumer reads, as it was before it was pooled, averaged or flattened.

    Raises:
        TrialError: no convolution and no linear layer reads a group.
    """
    batches = net.inputs()
    while True:
        with _Shrunk() as shrunk:
            seen = next(batches, None)
        if seen is None:
            return
        first = {group.name: weights_of(group, seen, "reads")[0] for group in net.groups()}
        yield {name: _whole(net, part, seen[part.layer], shrunk) for name, part in first.items()}


def _whole(net: Net, part: Slice, read: Tensor, shrunk: _Shrunk) -> Tensor:
    """A group's maps before they were shrunk to what is ``read``; as they are read where that cannot be told."""
    before = shrunk.before(read)
    each, odd = divmod(read.shape[1], before.shape[1]) if before.dim() == 4 else (0, 1)
    if not odd:
        channels = part.index // each  # a flattened map has its channels one after the other
        if bool((channels == channels[:, :1]).all()):
            return before[:, channels[:, 0].to(before.device)]
    return channel_maps(part, read, net.model.get_submodule(part.layer))


class _Shrunk(TorchFunctionMode):
    """Notes what each tensor was before it was pooled, averaged over its places, or flattened."""

    def __init__(self) -> None:
        super().__init__()
        self._before: dict[int, tuple[Tensor, Tensor]] = {}
        """By the identity of a result: the result, which must live as long, and what it was."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        name = getattr(func, "__name__", "")
        if any(part in name for part in SHRINKS) and _same_channels(name, args, kwargs or {}, result):
            self._before[id(result)] = (result, self.before(args[0]))
        return result

    def before(self, tensor: Tensor) -> Tensor:
        """What a tensor was before it was shrunk; itself if it was not."""
        return self._before[id(tensor)][1] if id(tensor) in self._before else tensor


def _same_channels(name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Any) -> bool:
    """Whether a result's second dimension is still that of the channels, or of channels and places in this order."""
    given = args[0] if args else None
    if not (isinstance(given, Tensor) and isinstance(result, Tensor)):
        return False
    if name == "mean":
        over = args[1] if len(args) > 1 else kwargs.get("dim")
        over = (over,) if isinstance(over, int) else over or ()
        return {d % given.dim() for d in over} == set(range(2, given.dim()))
    if result.dim() < 2 or given.dim() < 2 or result.shape[0] != given.shape[0]:
        return False
    return result.shape[1] in (given.shape[1], given[0].numel())
