"""Recurrent layers: a hidden channel has a row for each gate, and all layers of a stack have the same channels."""

from __future__ import annotations

from torch import Tensor

from prunetui.engine.tracing import labelled
from prunetui.engine.tracing.labelled import Labelled
from prunetui.engine.tracing.operations.call import Call, operation
from prunetui.engine.tracing.operations.contraction import reads


@operation("lstm", "gru", "rnn_tanh", "rnn_relu")
def recurrent(call: Call) -> list[Labelled]:
    """Weights of each layer and direction: [gates * hidden, in], [gates * hidden, hidden], and biases."""
    read, directions = call.tensor("input"), 1 + bool(call["bidirectional"])
    each = 4 if call["has_biases"] else 2
    parameters = call["params"]
    if len(parameters) != each * directions * call["num_layers"]:
        raise NotImplementedError("projected states")
    below = labelled.along(call.labels, read, -1)
    hidden = labelled.along(call.labels, parameters[1], 1)
    if hidden is None:
        raise NotImplementedError("one hidden channel")
    for i in range(0, len(parameters), each):
        if i == each * directions:
            below = hidden.repeat(directions)
        for weight, source in ((parameters[i], below), (parameters[i + 1], hidden)):
            reads(call, source, labelled.along(call.labels, weight, 1), read.why)
        for made in parameters[i : i + each]:
            _rows(call, made, hidden)
        if i >= each * directions and (i // each) % directions == directions - 1:
            below = hidden.repeat(directions)
    states = call["hx"] if isinstance(call["hx"], (list, tuple)) else [call["hx"]]
    for state in states:
        _state(call, state, hidden)
    kept = labelled.line(hidden.repeat(directions), call.shapes[0], -1)
    return [Labelled(call.shapes[0], (kept,)), *(Labelled(s, (labelled.line(hidden, s, -1),)) for s in call.shapes[1:])]


def _rows(call: Call, made: Labelled, hidden: Tensor) -> None:
    rows = labelled.along(call.labels, made, 0)
    if rows is not None:
        call.mark(rows, "makes")
        call.labels.unite(rows.view(-1, len(hidden)), hidden)


def _state(call: Call, state: Labelled, hidden: Tensor) -> None:
    """A first state that the network makes of zeros adapts; one of fixed size keeps the channels."""
    if not any(labelled.adapts(labelling) for labelling in state.labellings):
        channels = labelled.along(call.labels, state, -1)
        if channels is None:
            call.labels.pin(hidden, state.why)
        else:
            call.labels.unite(channels, hidden)
