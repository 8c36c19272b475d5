from torch import Tensor

from prunetui.api import FromOne, Masks, Net, Scope, Training, dataclass, keep_top, register


@register("powerpropagation", source="Schwarz et al. 2021, arXiv:2110.00296", schedules=("during-training",))
@dataclass(frozen=True)
class Powerpropagation:
    """Train w = theta |theta|^(alpha - 1), so that small weights hardly learn, then zero the smallest weights.

    The optimiser sees theta, not w: its gradient is dL/dw x alpha |theta|^(alpha - 1), its momentum and weight decay
    are of theta. theta starts where w is the usual initialisation. The reparametrisation is of the weights that may be
    pruned, [out, in, k, k] or [out, in]; the authors have it in all convolutions and linear layers (a study's
    `[layers]` says which here), and prune the last of their small net by half the share. Their continual learning is
    not offered.
    """

    alpha: FromOne = 2.0
    """Exponent, from 1 (an ordinary training); the authors' nets have 2 to 5."""

    scope: Scope = "local"
    """Rank within each layer, as the authors' code does, or across the whole net."""

    def during_training(self, training: Training) -> None:
        for weight in training.parameters().values():
            if weight.grad is not None:
                weight.copy_(power(weight, 1 / self.alpha))
                weight.grad *= self.alpha * weight.abs() ** (self.alpha - 1)

    def after_step(self, training: Training) -> None:
        for weight in training.parameters().values():
            if weight.grad is not None:
                weight.copy_(power(weight, self.alpha))

    def prune(self, net: Net, sparsity: float) -> Masks:
        return Masks(keep_top({n: w.abs() for n, w in net.weights().items()}, sparsity, self.scope, within=net))


def power(x: Tensor, exponent: float) -> Tensor:
    """sign(x) |x|^exponent, whose inverse has the inverse exponent."""
    return x.sign() * x.abs() ** exponent
