"""What a network multiplies: the dimensions of every product in its graph, and the groups whose channels lie on them.

Counted is what ``torch.utils.flop_counter`` counts: products of matrices and convolutions, at half its operations.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from torch import nn

from prunetui.api.groups import Group
from prunetui.engine.layers import kind_of
from prunetui.engine.tracing import labelled
from prunetui.engine.tracing.label_classes import Labels
from prunetui.engine.tracing.labelled import Labelled
from prunetui.engine.tracing.operations.call import Call
from prunetui.engine.tracing.operations.einsum import operands_of
from prunetui.engine.tracing.proposal import Dimension, Product
from prunetui.engine.tracing.tensor_labels import TensorLabels

Axis = tuple[Labelled, int]
"""A dimension of a tensor."""


@dataclass(frozen=True)
class Multiplied:
    """The axes of one product; those of a weight apart, where one factor may be that of a layer."""

    axes: tuple[Axis, ...]
    weight: Labelled | None = None

    def every(self) -> Iterable[Axis]:
        """All axes."""
        yield from self.axes
        yield from ((self.weight, d) for d in range(len(self.weight.shape))) if self.weight else ()


def products_of(
    multiplied: Sequence[tuple[str, Call]], model: nn.Module, groups: Sequence[Group], tensors: TensorLabels
) -> tuple[Product, ...]:
    """The products of calls, each with the module that makes it; layers only where what they read decides."""
    widths = {group.name: group.width for group in groups}
    owners = _owners(groups, tensors)
    found = []
    for module, call in multiplied:
        for one in _axes(call):
            own = one.weight is not None and _is_layer(model, module, one.weight)
            axes = one.axes if own else tuple(one.every())
            dimensions = tuple(_dimension(call.labels, axis, owners, widths) for axis in axes)
            found.append(Product(module, own, dimensions))
    varying = {product.module for product in found if product.of_layer and product.groups}
    return tuple(product for product in found if not product.of_layer or product.module in varying)


def _axes(call: Call) -> list[Multiplied]:
    """What a call multiplies; nothing of one that is used in an unknown way: then the sum says what is missing."""
    try:
        return MULTIPLIES[call.operation](call)
    except (NotImplementedError, LookupError, AttributeError, TypeError, ValueError):
        return []


def _owners(groups: Sequence[Group], tensors: TensorLabels) -> dict[int, str]:
    """Class of labels -> the group that it is a channel of."""
    owners: dict[int, str] = {}
    for group in groups:
        piece = group.slices[0]
        labels = tensors.dimensions[tensors.first[piece.tensor]][piece.dimension]
        roots = tensors.labels.roots(labels[[own[0] for own in piece.indices]])
        owners.update(dict.fromkeys(roots.tolist(), group.name))
    return owners


def _is_layer(model: nn.Module, name: str, weight: Labelled) -> bool:
    """Whether a product is what a layer of a known kind does with its own weight."""
    module = model.get_submodule(name)
    kind = kind_of(module)
    return kind is not None and kind.prunable and getattr(module.weight, "shape", None) == weight.shape


def _dimension(labels: Labels, axis: Axis, owners: Mapping[int, str], widths: Mapping[str, int]) -> Dimension:
    value, dimension = axis
    size = value.shape[dimension]
    for labelling in value.labellings:
        dimension %= len(value.shape)
        if labelled.adapts(labelling) or dimension not in labelled.varies(labels, labelling):
            continue
        others = [d for d in range(len(value.shape)) if d != dimension]
        roots = labels.roots(labelled.first_of(labelling, others).flatten()).tolist()
        counts = Counter(owners[root] for root in roots if root in owners)
        return Dimension(size, tuple((g, count // widths[g]) for g, count in counts.items() if count % widths[g] == 0))
    return Dimension(size)


# Which axes an operation multiplies ---------------------------------------------------------------------


def _linear(call: Call) -> list[Multiplied]:
    read, weight = call.tensor("input"), call.tensor("weight")
    return [Multiplied(tuple((read, d) for d in range(len(read.shape) - 1)), weight)]


def _convolution(call: Call) -> list[Multiplied]:
    """Each weight is used at every place of the output, of a transposed one at every place of the input."""
    read, weight = call.tensor("input"), call.tensor("weight")
    places = len(weight.shape) - 2
    transposed = "transpose" in call.operation or bool(call["transposed"])
    made = read if transposed else Labelled(call.shape)
    batch = ((read, 0),) if len(read.shape) > places + 1 else ()
    rank = len(made.shape)
    return [Multiplied((*batch, *((made, d) for d in range(rank - places, rank))), weight)]


def _matmul(call: Call) -> list[Multiplied]:
    left, right = list(call.tensors())[-2:]  # the first of three is added
    if len(right.shape) < 2:
        return []  # a matrix and a vector are not counted
    if len(left.shape) < 2:
        return [Multiplied((), right)] if len(right.shape) == 2 else []
    rank = max(len(left.shape), len(right.shape))
    batch = [_broadcast(left, right, d - rank) for d in range(rank - 2)]
    if rank == 2:
        return [Multiplied(((left, 0),), right)]
    return [Multiplied((*batch, (left, -2), (right, -2), (right, -1)))]


def _broadcast(left: Labelled, right: Labelled, dimension: int) -> Axis:
    """The batch dimension of two factors: that of the one which is not repeated, and labelled if one of them is."""
    both = [value for value in (left, right) if len(value.shape) >= -dimension and value.shape[dimension] > 1]
    named = [value for value in both if any(_runs_along(x, dimension) for x in value.labellings)]
    return (next(iter([*named, *both]), left if len(left.shape) >= -dimension else right), dimension)


def _runs_along(labelling: object, dimension: int) -> bool:
    return labelled.compact(labelling).shape[dimension] > 1 and not labelled.adapts(labelling)  # type: ignore[arg-type]


def _attention(call: Call) -> list[Multiplied]:
    """Queries with keys, and what comes of it with values."""
    query, key, value = (call.tensor(name) for name in ("query", "key", "value"))
    rank = len(query.shape)
    rows = tuple((query, d) for d in range(rank - 1))
    return [Multiplied((*rows, (key, -2), (query, -1))), Multiplied((*rows, (key, -2), (value, -1)))]


def _einsum(call: Call) -> list[Multiplied]:
    """Two operands with dimensions in common that are summed over; what only one of them has is summed before."""
    names, operands, result = operands_of(call)
    inner = set(names[0]) & set(names[1]) - set(result)
    wanted = inner | set(result)
    axes = {n: (value, d) for own, value in zip(names, operands, strict=True) for d, n in enumerate(own) if n in wanted}
    return [Multiplied(tuple(axes.values()))] if inner else []


def _recurrent(call: Call) -> list[Multiplied]:
    """Each weight of a matrix is used at every step of every sequence."""
    read = call.tensor("input")
    steps = tuple((read, d) for d in range(len(read.shape) - 1))
    return [Multiplied((*steps, (w, 0), (w, 1))) for w in call["params"] if len(w.shape) == 2]


def _cell(call: Call) -> list[Multiplied]:
    read = call.tensor("input")
    weights = (call.tensor("w_ih"), call.tensor("w_hh"))
    return [Multiplied((*((read, d) for d in range(len(read.shape) - 1)), (w, 0), (w, 1))) for w in weights]


MULTIPLIES: dict[str, Callable[[Call], list[Multiplied]]] = {
    "linear": _linear,
    **dict.fromkeys(
        ("conv1d", "conv2d", "conv3d", "convolution", "_convolution", "conv_transpose1d", "conv_transpose2d",
         "conv_transpose3d"), _convolution,
    ),
    **dict.fromkeys(("matmul", "mm", "bmm", "linalg_matmul", "addmm", "baddbmm"), _matmul),
    "scaled_dot_product_attention": _attention,
    "einsum": _einsum,
    **dict.fromkeys(("lstm", "gru", "rnn_tanh", "rnn_relu"), _recurrent),
    **dict.fromkeys(("lstm_cell", "gru_cell", "rnn_tanh_cell", "rnn_relu_cell"), _cell),
}  # fmt: skip
"""Operation -> the products that a call of it computes."""
