import torch
from torch import Tensor

from prunetui.api import Keep, Masks, Net, Positive, Scope, Training, TrialError, dataclass, keep_top, register

WARM_UP, SETTLED = 0.1, 0.2
"""Parts of a training before the first weight is hidden, and after the last: the authors' for SQuAD."""


@register("movement", source="Sanh et al. 2020, Movement Pruning, arXiv:2005.07683")
@dataclass(frozen=True)
class Movement:
    """Zero the weights that training moves towards zero, or away from it least.

    As published, the network trains with the weights of the lowest scores hidden, the share of them rising along a
    cubic; a weight that is hidden keeps its value, and comes back when its score rises. The score is -sum of weight x
    gradient (eq. 3 of the paper), the gradient being that of the masked network (straight-through). Where we depart:
    the authors' code updates scores by Adam, here it is the sum itself, in which a rate of its own would cancel out;
    their soft variant, a threshold instead of a share, is not offered; and a schedule of several steps goes on scoring
    what is left, for what a step has pruned stays pruned.
    """

    scope: Scope = "local"
    """Rank within each layer, as published, or across the whole net."""

    epochs: Positive = 2
    """Epochs of training with hidden weights before the first edit."""

    def during_training(self, training: Training, sparsity: float) -> None:
        memory, weights = training.memory, training.parameters()
        weights = {name: w for name, w in weights.items() if w.grad is not None}
        if training.batch == 0:
            _check_all_learn(training)
        full = {name: w + memory.get(_hidden(name), 0) for name, w in weights.items()}
        for name, w in weights.items():
            assert w.grad is not None
            memory[name] = memory.get(name, 0) - full[name] * w.grad
            w.grad *= _mask(training, name)  # hidden weights do not learn
        keep = self._keep(training, {name: memory[name] for name in weights}, sparsity)
        for name, w in weights.items():
            w.copy_(full[name] * keep[name])
            memory[_hidden(name)] = full[name] * ~keep[name]
            training.masks[name] = keep[name]

    def _keep(self, training: Training, scores: dict[str, Tensor], sparsity: float) -> dict[str, Tensor]:
        """What is not hidden in the next batch; after the last one all that was there comes back, to be pruned."""
        held = {name: _mask(training, name, training.held) for name in scores}
        if training.is_last:
            return held
        gone = training.gone
        place = min(1.0, max(0.0, (training.progress - WARM_UP) / (1 - WARM_UP - SETTLED)))
        share = gone + max(0.0, sparsity - gone) * (1 - (1 - place) ** 3)
        return keep_top(scores, share, self.scope, held, training.floor)

    def prune(self, net: Net, sparsity: float) -> Masks:
        if not net.memory:
            raise TrialError("movement has watched no training: it needs epochs > 0")
        scores = {name: net.memory[name] for name in net.weights()}
        return Masks(keep_top(scores, sparsity, self.scope, within=net))


def _check_all_learn(training: Training) -> None:
    """
    Raises:
        TrialError: a layer is frozen, so that its weights do not move.
    """
    if frozen := [name for name, weight in training.parameters().items() if not weight.requires_grad]:
        raise TrialError(
            f"movement ranks weights by how training moves them, and {', '.join(frozen[:3])} is frozen; "
            "layers.exclude keeps it as it is"
        )


def _mask(training: Training, name: str, masks: Keep | None = None) -> Tensor:
    found = (training.masks if masks is None else masks).get(name)
    return torch.ones_like(training.parameters()[name], dtype=torch.bool) if found is None else found


def _hidden(name: str) -> str:
    """Under which name the values of a layer's hidden weights are noted."""
    return f"hidden of {name}"
