from prunetui.api import Masks, Net, dataclass, keep_erk, register


@register("erk", source="Evci et al. 2020, RigL, arXiv:1911.11134 (Erdos-Renyi-Kernel budgets); Mocanu et al. 2018")
@dataclass(frozen=True)
class ErdosRenyiKernel:
    """Zero the smallest weights of each layer, with layer densities that grow as the layer's sides shrink.

    The density of a layer [out, in, k, k] is proportional to (out + in + k + k) / (out * in * k * k); layers that would
    exceed 1 stay dense and the others share the rest. The papers give every layer its share, the first and the last
    too; here those that the study's rules let go: `[layers] first = "prune"`, `last = "prune"` for the papers'.
    """

    def prune(self, net: Net, sparsity: float) -> Masks:
        return Masks(keep_erk(net, {name: w.abs() for name, w in net.weights().items()}, sparsity))
