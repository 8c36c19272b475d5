"""Integer attributes of modules that follow the width of a group: those that are sure, and candidates for a search."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from prunetui.api.groups import Group, Slice
from prunetui.engine.tracing.proposal import AttributeRule


def known_rules(model: nn.Module, groups: Sequence[Group]) -> tuple[AttributeRule, ...]:
    """Attributes of torch's own layers, which say the shape of their tensors.

    Where several groups lie on one dimension each has a rule, with the rest of the width as its ``fixed``.
    """
    modules = dict(model.named_modules(remove_duplicate=False))
    found: dict[tuple[str, str, str], AttributeRule] = {}
    for group in groups:
        for piece in group.slices:
            module = modules.get(piece.layer)
            for attribute, times in _sizes(module, piece) if module is not None else ():
                each = int(len(piece.indices[0]) * times)
                fixed = int(getattr(module, attribute)) - each * group.width
                key = (piece.layer, attribute, group.name)
                found.setdefault(key, AttributeRule(piece.layer, attribute, group.name, each, fixed))
    return tuple(found.values())


def _sizes(module: nn.Module, piece: Slice) -> Iterator[tuple[str, int | Fraction]]:
    """The attributes that a dimension of a layer's weight says, and how many times its size they are."""
    if piece.own == "weight":
        if isinstance(module, _ConvNd):
            yield from _of_convolution(module, piece.dimension)
        elif isinstance(module, nn.Linear):
            yield ("in_features" if piece.dimension else "out_features"), 1
        elif isinstance(module, (nn.Embedding, nn.EmbeddingBag)) and piece.dimension == 1:
            yield "embedding_dim", 1
        elif isinstance(module, nn.GroupNorm):
            yield "num_channels", 1
        elif isinstance(module, nn.PReLU):
            yield "num_parameters", 1
    elif isinstance(module, nn.RNNBase) and piece.dimension == 1:
        if piece.own == "weight_ih_l0":
            yield "input_size", 1
        elif piece.own == "weight_hh_l0":
            yield "hidden_size", 1
    if isinstance(module, _NormBase) and piece.own in ("weight", "running_mean"):
        yield "num_features", 1


def _of_convolution(module: _ConvNd, dimension: int) -> Iterator[tuple[str, int | Fraction]]:
    """One dimension of a grouped convolution's weight says only the channels of one group."""
    transposed = isinstance(module, _ConvTransposeNd)
    makes = dimension == int(transposed)
    if module.groups == 1:
        yield ("out_channels" if makes else "in_channels"), 1
    elif module.groups == module.in_channels and module.weight.shape[1] == 1:  # weight[0] says all of them
        yield "out_channels", 1
        for attribute in ("in_channels", "groups"):
            yield attribute, Fraction(module.in_channels, module.out_channels)
    else:
        yield ("out_channels" if makes else "in_channels"), module.groups if dimension else 1


@dataclass(frozen=True)
class ReshapedChannels:
    """Channels along a dimension of an activation where a module's code says sizes (a view, a split, an expansion)."""

    module: str
    roots: tuple[int, ...]
    """The class of each index."""


def candidate_rules(
    model: nn.Module, group: Group, roots: Sequence[int] = (), extents: Sequence[ReshapedChannels] = ()
) -> tuple[AttributeRule, ...]:
    """Integers that are as large as the group is somewhere, likely ones first; each has to be proved.

    They are looked for in the modules whose code reshapes the group's channels, then in those that hold the layers with
    its slices. ``roots`` are the classes of the group's channels, ``extents`` where they lie in activations.
    """
    sizes = _sizes_of(model, group, frozenset(roots), extents)
    near = dict.fromkeys(extent.module for extent in extents if not set(extent.roots).isdisjoint(roots))
    owners = dict.fromkeys(piece.layer for piece in group.slices)
    above = {name[:end]: None for name in owners for end in _ends(name)}
    modules = dict(model.named_modules(remove_duplicate=False))
    sure = {(rule.module, rule.attribute) for rule in known_rules(model, (group,))}
    found: list[tuple[tuple[int, int, int, int], AttributeRule]] = []
    for name in dict.fromkeys((*near, *above)):
        for attribute, value in vars(modules[name]).items() if name in modules else ():
            if type(value) is not int or (name, attribute) in sure or attribute.startswith("_"):
                continue
            for size, each in sizes:
                if value == size:
                    likely = (name not in near, not _telling(attribute), each, -name.count("."))
                    fixed = size - each * group.width
                    found.append((likely, AttributeRule(name, attribute, group.name, each, fixed)))
    return tuple(rule for _, rule in sorted(found, key=lambda pair: pair[0]))


TELLING = ("head", "chan", "feat", "dim", "width", "embed", "group", "hidden", "size", "plane", "filter")


def _telling(attribute: str) -> bool:
    return any(word in attribute.lower() for word in TELLING) and attribute not in ("head_dim", "kernel_size")


def _ends(name: str) -> list[int]:
    """Where the names of a module and of those that hold it end, the nearest first."""
    return [len(name), *(i for i in range(len(name) - 1, 0, -1) if name[i] == "."), 0]


def _sizes_of(
    model: nn.Module, group: Group, roots: frozenset[int], extents: Sequence[ReshapedChannels]
) -> list[tuple[int, int]]:
    """Sizes of dimensions on which the group lies, with how many indices each of its channels has there."""
    found = {(group.width, 1): None}
    for extent in extents:
        counts = Counter(root for root in extent.roots if root in roots)
        if len(counts) == group.width and len(set(counts.values())) == 1:
            found[len(extent.roots), next(iter(counts.values()))] = None
    shapes = {name: tensor.shape for name, tensor in model.state_dict(keep_vars=True).items()}
    for piece in group.slices:
        if piece.tensor in shapes:
            found[shapes[piece.tensor][piece.dimension], len(piece.indices[0])] = None
    return list(found)
