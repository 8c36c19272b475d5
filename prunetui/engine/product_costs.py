"""Multiply-accumulates of what is no layer, and how often the weights of layers are used, by widths."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from prunetui.api.budget import Widths
from prunetui.engine.tracing.proposal import Product


class ProductCosts:
    """Of the products of one graph, each looked up where it has been counted at these widths before."""

    def __init__(self, products: Sequence[Product], dense: Widths) -> None:
        self._products = products
        self._dense = dense
        self._known: dict[tuple[Any, ...], int] = {}

    def macs(self, widths: Widths) -> int:
        """Those of all that is no layer."""
        return sum(self._times(i, widths) for i, one in enumerate(self._products) if not one.of_layer)

    def places(self, layer: str, widths: Widths) -> int | None:
        """How often a layer's weights are used; None where that depends on no width."""
        uses = self._uses.get(layer)
        return sum(self._times(i, widths) for i in uses) if uses else None

    def deciding(self) -> dict[str, list[str]]:
        """Layer -> the groups whose widths say how often its weights are used."""
        return {
            layer: [group for i in uses for group in self._products[i].groups if group in self._dense]
            for layer, uses in self._uses.items()
        }

    def _times(self, number: int, widths: Widths) -> int:
        product = self._products[number]
        key = (number, *(widths.get(group) for group in product.groups))
        if key not in self._known:
            lost = {group: self._dense[group] - widths[group] for group in product.groups if group in self._dense}
            self._known[key] = product.times(lost)
        return self._known[key]

    @cached_property
    def _uses(self) -> dict[str, list[int]]:
        """Layer -> the numbers of the products that it is."""
        found: dict[str, list[int]] = {}
        for i, product in enumerate(self._products):
            if product.of_layer:
                found.setdefault(product.module, []).append(i)
        return found
