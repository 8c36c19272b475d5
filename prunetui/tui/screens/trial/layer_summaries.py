"""The layers of a model as a table: how many filters and weights each has left, in numbers and as bars."""

from __future__ import annotations

from typing import Any

from prunetui.results.inspect_model import LayerSummary, ModelSummary
from prunetui.tui.widgets.table_columns import Column
from prunetui.tui.widgets.virtual_table import VirtualTable
from prunetui.tui.words import bar, size

BAR = 10


class LayerSummaries(VirtualTable[LayerSummary]):
    """One row a layer, in the order of the network."""

    def __init__(self, ascii_only: bool, **more: Any) -> None:
        self._ascii = ascii_only
        super().__init__(self._layer_columns(False), key=lambda layer: layer.name, **more)

    def fill(self, model: ModelSummary | None) -> None:
        """The layers of another model; columns about filters only where there are fewer of them than before."""
        narrowed = model is not None and (model.narrowed or any(layer.is_shared for layer in model.layers))
        self.columns = self._layer_columns(narrowed)
        self.show(model.layers if model else ())

    def _layer_columns(self, narrowed: bool) -> list[Column[LayerSummary]]:
        def bars(fraction: float) -> str:
            return bar(fraction, BAR, self._ascii)

        def shape(layer: LayerSummary) -> str:
            return "x".join(map(str, layer.shape))

        filters = [
            Column("filters", "filters", _filters, lambda layer: layer.width, True, 7),
            Column("width", "", lambda layer: bars(layer.width), lambda layer: layer.width, least=BAR),
        ]
        return [
            Column("layer", "layer", lambda layer: layer.name, lambda layer: layer.name, least=14, most=28),
            *(filters if narrowed else [Column("shape", "shape", shape, lambda layer: layer.weights, least=6)]),
            Column("nonzero", "weights", lambda layer: size(layer.nonzero), lambda layer: layer.nonzero, True, 5),
            Column("kept", "kept", lambda layer: f"{100 * layer.density:.1f} %", lambda layer: layer.density, True, 7),
            Column("density", "", lambda layer: bars(layer.density), lambda layer: layer.density, least=BAR),
        ]


def _filters(layer: LayerSummary) -> str:
    before = (layer.dense or layer.shape)[0]
    if layer.is_shared:
        return f"{layer.outputs} share {layer.shape[0]}"
    return f"{before}>{layer.shape[0]}" if before != layer.shape[0] else str(before)
