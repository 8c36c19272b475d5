from prunetui.api import Factor, Masks, Net, Positive, Training, dataclass, keep_pattern, register


@register("sr-ste", source="Zhou et al. 2021, arXiv:2102.04010", targets=("pattern",), schedules=("during-training",))
@dataclass(frozen=True)
class SparseRefinedStraightThrough:
    """Learn n:m from scratch: the net always computes with the n largest weights of every m, and all of them learn.

    The forward pass has W~, the n largest of every m consecutive input channels at each place of a kernel, chosen anew
    after every step; the dense W takes the step, with the gradient dL/dW~ + strength x (W - W~): straight-through,
    while what is hidden shrinks (eq. 8 of the paper). Momentum and weight decay are of W. At the end W~ is the net.
    Where we depart: the first batch is still computed with W; layers that the pattern does not fit, or that the study's
    rules keep, stay dense.
    """

    n: Positive = 2
    """Weights kept of every m."""

    m: Positive = 4
    """Length of the pattern."""

    strength: Factor = 2e-4
    """Factor of what is hidden in the gradient, lambda in the paper; 0 is the plain straight-through estimator."""

    def during_training(self, training: Training) -> None:
        weights = training.parameters()
        for name, dense in training.memory.items():
            weight = weights[name]
            if weight.grad is not None:
                weight.grad += self.strength * (dense - weight)
            weight.copy_(dense)

    def after_step(self, training: Training) -> None:
        weights = training.parameters()
        keep = keep_pattern(training, {name: w.abs() for name, w in weights.items()}, self.n, self.m)
        training.memory.update({name: weights[name].clone() for name in keep})
        for name, mask in keep.items():
            weights[name] *= mask
        if training.is_last:
            training.memory.clear()

    def prune(self, net: Net, sparsity: float) -> Masks:
        return Masks(keep_pattern(net, {name: w.abs() for name, w in net.weights().items()}, self.n, self.m))
