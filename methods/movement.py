from prunetui.api import Masks, Net, Positive, Scope, Training, TrialError, dataclass, keep_top, register


@register("movement", source="Sanh et al. 2020, Movement Pruning, arXiv:2005.07683")
@dataclass(frozen=True)
class Movement:
    """Zero the weights that training moves towards zero, or away from it least.

    The score is -sum of learning rate x weight x gradient over the training before the edit (eq. 3 of the paper). There
    a weight may come back; here what is pruned stays pruned, and a schedule of several steps goes on scoring the rest.
    """

    scope: Scope = "global"
    """Rank across the whole net, or within each layer."""

    epochs: Positive = 2
    """Epochs of training that are watched before the first edit."""

    def during_training(self, training: Training) -> None:
        for name, weight in training.parameters().items():
            if weight.grad is not None:
                moved = training.lr * weight * weight.grad
                training.memory[name] = training.memory[name] - moved if name in training.memory else -moved

    def prune(self, net: Net, sparsity: float) -> Masks:
        if not net.memory:
            raise TrialError("movement has watched no training: it needs epochs > 0")
        scores = {name: net.memory[name] for name in net.weights()}
        return Masks(keep_top(scores, sparsity, self.scope, within=net))
