"""Attention as one operation."""

from __future__ import annotations

from prunetui.engine.tracing import labelled
from prunetui.engine.tracing.labelled import Labelled
from prunetui.engine.tracing.operations.call import Call, operation
from prunetui.engine.tracing.operations.elementwise import met
from prunetui.engine.tracing.operations.product_rules import product_of
from prunetui.engine.tracing.operations.rearranging import repeat_rows

SCALED = "attention is scaled by the width of its queries"


@operation("scaled_dot_product_attention", "_scaled_dot_product_flash_attention_for_cpu")
def attention(call: Call) -> Labelled:
    """``softmax(q @ k.T * scale + mask) @ v`` of [batch, heads, tokens, width]; a key may serve several queries."""
    labels = call.labels
    query, key, value = (call.tensor(name) for name in ("query", "key", "value"))
    if call["enable_gqa"] and key.shape[-3] != query.shape[-3]:
        times = query.shape[-3] // key.shape[-3]
        key, value = (repeat_rows(labels, shared, times, -3) for shared in (key, value))
    if call["scale"] is None:  # by the square root of the width, which would change with it
        for side in (query, key):
            for labelling in side.labellings:
                if labelled.varies(labels, labelling) == {len(side.shape) - 1}:
                    labels.pin(labelled.compact(labelling), SCALED)
    swapped = (*key.shape[:-2], key.shape[-1], key.shape[-2])
    scores = product_of(labels, query, labelled.moved(labels, key, lambda x: x.transpose(-1, -2), swapped))
    if isinstance(call["attn_mask"], Labelled):
        scores = Labelled(scores.shape, met(labels, [scores, call["attn_mask"]], scores.shape))
    return product_of(labels, scores, value)
