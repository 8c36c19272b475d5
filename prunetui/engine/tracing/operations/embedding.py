"""Tables from which rows are taken."""

from __future__ import annotations

from prunetui.engine.tracing import labelled
from prunetui.engine.tracing.labelled import Labelled
from prunetui.engine.tracing.operations.call import Call, operation


@operation("embedding", "embedding_bag", "_embedding_bag")
def embedding(call: Call) -> Labelled:
    """Rows stay, whether the example asks for them or not; columns are channels."""
    table = call.tensor("weight")
    rows, columns = (labelled.along(call.labels, table, d) for d in (0, 1))
    if rows is not None:
        call.labels.pin(rows, "embedding rows")
    if columns is None:
        return Labelled(call.shape)
    call.mark(columns, "makes")
    return Labelled(call.shape, (labelled.line(columns, call.shape, -1),))
