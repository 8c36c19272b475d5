import torch

from prunetui.api import Masks, Net, Scope, Training, dataclass, keep_top, register


@register(
    "str",
    source="Kusupati et al. 2020, Soft Threshold Weight Reparameterization, arXiv:2002.03231",
    schedules=("during-training",),
)
@dataclass(frozen=True)
class SoftThresholdReparameterization:
    """Learn a threshold for each layer below which weights are zero, then zero the smallest of what is left.

    The net computes with v = sign(w) max(|w| - sigmoid(s), 0); w and the layer's s learn by the chain rule, s by SGD
    with the rate, the Nesterov momentum and the weight decay of the recipe, which moves a negative s towards 0. How
    sparse a layer becomes follows from the decay and from `initial`, and the authors choose these for a sparsity (their
    ImageNet runs start at -3200); in a short training s hardly moves. Where we depart: to reach the study's sparsity
    exactly, what is missing at the end is cut from the smallest |v|, and zeros beyond it stay zero but unmasked; s is
    trained by SGD also where the recipe is AdamW; the first batch is computed with w; and only the weights that may be
    pruned, [out, in, k, k] or [out, in], are reparametrised.
    """

    initial: float = -5.0
    """s at first; the threshold is its sigmoid, 0.0067 for -5."""

    scope: Scope = "global"
    """Cut what is missing from the whole net, or bring every layer to the same share."""

    def during_training(self, training: Training) -> None:
        memory, m = training.memory, training.momentum
        for name, v in training.parameters().items():
            if v.grad is None or _dense(name) not in memory:
                continue
            s = memory[_s(name)]
            slope = -(v.grad * v.sign()).sum() * s.sigmoid() * (1 - s.sigmoid()) + training.weight_decay * s
            memory[_momentum(name)] = moved = m * memory.get(_momentum(name), 0) + slope
            memory[_s(name)] = s - training.lr * (slope + m * moved)
            v.grad *= v != 0
            v.copy_(memory[_dense(name)])

    def after_step(self, training: Training) -> None:
        memory = training.memory
        for name, w in training.parameters().items():
            if w.grad is not None:
                s = memory.setdefault(_s(name), torch.full((), self.initial, device=w.device))
                memory[_dense(name)] = w.clone()
                w.copy_(w.sign() * (w.abs() - s.sigmoid()).clamp_min(0))
        if training.is_last:
            memory.clear()

    def prune(self, net: Net, sparsity: float) -> Masks:
        return Masks(keep_top({n: w.abs() for n, w in net.weights().items()}, sparsity, self.scope, within=net))


def _s(name: str) -> str:
    """Under which name a layer's s is noted."""
    return f"s of {name}"


def _dense(name: str) -> str:
    """Under which name the w that a layer's v is computed from is noted."""
    return f"w of {name}"


def _momentum(name: str) -> str:
    """Under which name the momentum of a layer's s is noted."""
    return f"momentum of {name}"
