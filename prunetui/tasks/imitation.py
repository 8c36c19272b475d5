"""Learning from the outputs of another network as well (Hinton et al. 2015, arXiv:1503.02531)."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def imitated(loss: Tensor, logits: Tensor, taught: Tensor, weight: float, temperature: float) -> Tensor:
    """``(1 - weight) * loss + weight * T^2 * KL(teacher || student)`` at temperature T, of logits [N, classes] each."""
    ours, theirs = (F.log_softmax(given / temperature, 1) for given in (logits, taught))
    divergence = F.kl_div(ours, theirs, log_target=True, reduction="batchmean")
    return (1 - weight) * loss + weight * temperature**2 * divergence
