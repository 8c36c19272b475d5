"""A method of your own: a frozen dataclass that looks at a net and returns an edit.

    prunetui --batch --set 'methods=["own_method.py:layer-mean", "global-unstructured"]'

In a study: ``methods = ["own_method.py:layer-mean"]``, or with options ``[[methods]]`` and
``name = "own_method.py:layer-mean"``. As ``methods/layer_mean.py`` of the repository it is ``layer-mean`` everywhere.
"""

from __future__ import annotations

from prunetui.api import Masks, Net, Scope, dataclass, keep_top, register


@register("layer-mean", source="an example")
@dataclass(frozen=True)
class LayerMean:
    """Zero the weights that are small for their layer.

    The score of a weight w is |w| / mean |w| of its layer.
    """

    scope: Scope = "global"
    """Rank across the whole net, or within each layer."""

    def prune(self, net: Net, sparsity: float) -> Masks:
        scores = {name: w.abs() / w.abs().mean() for name, w in net.weights().items()}
        return Masks(keep_top(scores, sparsity, self.scope, within=net.masks))
