import torch
from torch import Tensor

from prunetui.api import (
    Factor,
    InputMoments,
    Literal,
    Masks,
    Net,
    Positive,
    blocks_of,
    dataclass,
    from_input_rows,
    input_moments,
    input_rows,
    keep_scored,
    ranked_by_output,
    register,
)


@register("dsnot", source="Zhang et al. 2024, Dynamic Sparse No Training, arXiv:2310.08915",
          targets=("sparsity", "pattern"))  # fmt: skip
@dataclass(frozen=True)
class DynamicSparseNoTraining:
    """Start from wanda's masks, then exchange weights of each output so that its mean comes back; nothing is trained.

    What an output lacks is the sum over its pruned weights of w x (the input's sum over an example). While that is
    further from zero than `threshold`, the pruned weight comes back that makes up for most of it relative to its
    input's variance, and of the kept weights that add to what is lacking the one with the least |weight| x norm goes.
    Of an n:m pattern the least of the same m by the first masks' measure goes, and a row stops where it would have too
    much instead. Block by block, as wanda. The variance is over all examples and places; the authors average that of
    single examples, and leave out MLPs unless told otherwise. Made for language models: behind a ReLU, where all inputs
    are positive, the means of many weights add up, and more than a few `cycles` do harm.
    """

    start: Literal["wanda", "magnitude"] = "wanda"
    """What chooses the first masks: |weight| x norm of the input, or |weight|; the same share of each output."""

    cycles: Positive = 50
    """Exchanges of each output at most."""

    threshold: Factor = 0.1
    """What an output may lack."""

    n: Positive = 2
    """Weights kept of every m, if the target is a pattern."""

    m: Positive = 4
    """Length of the pattern."""

    def prune(self, net: Net, sparsity: float) -> Masks:
        weights = net.by_output()
        scores = {name: ranked_by_output(w.abs().float()) for name, w in weights.items()}
        before, keep = net, dict[str, Tensor]()
        for block in blocks_of(weights):
            moments = input_moments(before, block)
            for name in block:
                if self.start == "wanda":
                    scores[name] = ranked_by_output(weights[name].abs().float() * moments[name].energy.sqrt())
            found = net.by_output(keep_scored(net, net.as_weights(scores), sparsity, "local", self.n, self.m))
            period = self.m if net.target == "pattern" else 0
            chosen = {name: self._exchanged(weights[name].float(), moments[name], found[name], period)
                      for name in block if name in found}  # fmt: skip
            keep |= net.as_weights(chosen)
            before = before.with_weights(net.as_weights({name: weights[name] * mask for name, mask in chosen.items()}))
        return Masks(keep)

    def _exchanged(self, weight: Tensor, moments: InputMoments, keep: Tensor, period: int) -> Tensor:
        adds, importance = weight * moments.total, weight.abs() * moments.energy.sqrt()
        if period and self.start == "magnitude":
            importance = weight.abs()
        comes = adds / moments.variance.clamp_min(1e-12)
        adds, comes, importance = (input_rows(values.expand_as(weight)) for values in (adds, comes, importance))
        rows = exchanges(adds, comes, importance, input_rows(keep), self.cycles, self.threshold, period)
        return from_input_rows(rows, keep)


def exchanges(
    adds: Tensor, comes: Tensor, importance: Tensor, keep: Tensor, cycles: int, threshold: float, period: int
) -> Tensor:
    """Masks [R, d] after up to ``cycles`` exchanges of each row.

    ``adds`` is what a weight adds to its output's mean, ``comes`` what decides which one comes back, ``importance``
    which one goes. With a ``period`` it goes where one of the same ``period`` weights comes, and what is lacking keeps
    its sign. No weight moves twice.
    """
    keep = keep.clone()
    may_come, may_go = ~keep, keep.clone()
    lacking = (adds * ~keep).sum(1)
    first, row = lacking.sign(), torch.arange(len(adds), device=adds.device)
    active, place = torch.ones_like(lacking, dtype=torch.bool), torch.arange(adds.shape[1], device=adds.device)
    for _ in range(cycles):
        sign = lacking.sign()[:, None]
        gain, come = (comes * sign).masked_fill(~(may_come & (adds * sign > 0)), -torch.inf).max(1)
        going = place // period == (come // period)[:, None] if period else adds * sign < 0
        loss, go = importance.masked_fill(~(may_go & going), torch.inf).min(1)
        active &= (lacking.abs() > threshold) & gain.isfinite() & loss.isfinite()
        if period:
            active &= (lacking + adds[row, go] - adds[row, come]).sign() == first
        rows = active.nonzero()[:, 0]
        if not len(rows):
            break
        come, go = come[rows], go[rows]
        keep[rows, come], keep[rows, go] = True, False
        may_come[rows, come] = may_go[rows, go] = False
        lacking[rows] += adds[rows, go] - adds[rows, come]
    return keep
