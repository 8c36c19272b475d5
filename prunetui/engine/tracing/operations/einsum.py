"""Products that are written as an equation over named dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from prunetui.engine.tracing import labelled
from prunetui.engine.tracing.label_classes import Labels
from prunetui.engine.tracing.labelled import Labelled
from prunetui.engine.tracing.operations.call import Call, operation
from prunetui.engine.tracing.operations.normalisation import statistics_over
from prunetui.engine.tracing.operations.product_rules import mark_weights, product_of


@operation("einsum")
def einsum(call: Call) -> Labelled:
    """Two operands as a product of matrices: dimensions of one kind next to each other, as one dimension."""
    names, operands, result = operands_of(call)
    sizes = {n: s for own, value in zip(names, operands, strict=True) for n, s in zip(own, value.shape, strict=True)}
    left, right = (_summed(call, own, value, set(result)) for own, value in _with_other(names, operands))
    batch = [n for n in left[0] if n in right[0] and n in result]
    inner = [n for n in left[0] if n in right[0] and n not in result]
    rows = [n for n in left[0] if n not in right[0]]
    columns = [n for n in right[0] if n not in left[0]]
    a = _arranged(call.labels, *left, [batch, rows, inner], sizes)
    b = _arranged(call.labels, *right, [batch, inner, columns], sizes)
    mark_weights(call, a, b)
    made = product_of(call.labels, a, b)
    order = [*batch, *rows, *columns]
    full = [sizes[n] for n in order]
    places = [order.index(n) for n in result]
    return labelled.moved(call.labels, made, lambda x: x.reshape(full).permute(places), call.shape)


def operands_of(call: Call) -> tuple[list[str], list[Labelled], str]:
    """The names of dimensions of the two operands, the operands, and the names of the result's.

    Raises:
        NotImplementedError: an equation of another form.
    """
    inputs, arrow, result = call["equation"].replace(" ", "").partition("->")
    names = inputs.split(",")
    operands = list(call.tensors())
    if "." in inputs or len(operands) != 2 or any(len(set(own)) < len(own) for own in names) or not arrow:
        raise NotImplementedError(f"equation {call['equation']}")
    return names, operands, result


def _with_other(names: Sequence[str], operands: Sequence[Labelled]) -> list[tuple[tuple[str, str], Labelled]]:
    return [((names[i], names[1 - i]), operands[i]) for i in range(2)]


def _summed(call: Call, own: tuple[str, str], value: Labelled, result: set[str]) -> tuple[str, Labelled]:
    """Without the dimensions that are in neither the other operand nor the result."""
    names, other = own
    gone = [d for d, n in enumerate(names) if n not in result and n not in other]
    if not gone:
        return names, value
    statistics_over(call, value, gone)
    kept = labelled.without(call.labels, value, gone)
    left = "".join(n for d, n in enumerate(names) if d not in gone)
    shape = tuple(size for d, size in enumerate(value.shape) if d not in gone)
    return left, Labelled(shape, tuple(labelled.first_of(x, gone).reshape(shape) for x in kept), value.why)


def _arranged(
    labels: Labels, names: str, value: Labelled, kinds: Sequence[Sequence[str]], sizes: dict[str, int]
) -> Labelled:
    """Dimensions in the order of ``kinds``; each batch dimension its own, rows, columns and inner ones joined."""
    order = [n for kind in kinds for n in kind]
    shape = (*(sizes[n] for n in kinds[0]), *(prod(sizes[n] for n in kind) for kind in kinds[1:]))
    places = [names.index(n) for n in order]
    return labelled.moved(labels, value, lambda x: x.permute(places).reshape(shape), shape)
