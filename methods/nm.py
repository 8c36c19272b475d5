import torch

from prunetui.api import Masks, Net, Positive, TrialError, dataclass, register


@register(
    "nm",
    source="Mishra et al. 2021, arXiv:2104.08378",
    targets=("pattern",),
    schedules=("one-shot", "lottery-ticket", "lr-rewinding", "at-init"),
)
@dataclass(frozen=True)
class NM:
    """Keep the n largest of every m consecutive input channels, at each place of a kernel: 2:4 by default.

    GPUs with sparse tensor cores run 2:4 faster. The pattern decides the sparsity, 1 - n/m of every layer it fits;
    layers whose input channels are no multiple of m stay dense. By magnitude, once, then retraining with the masks
    held, as in the paper; the authors' library (apex) also permutes channels so that less is lost, and leaves out
    layers that are too small to gain, which we do not. Training towards the pattern (Zhou et al. 2021, SR-STE,
    arXiv:2102.04010) is another method.
    """

    n: Positive = 2
    """Weights kept of every m."""

    m: Positive = 4
    """Length of the pattern."""

    def prune(self, net: Net, sparsity: float) -> Masks:
        keep = {}
        held = net.by_output(net.masks)
        for name, weight in net.by_output().items():
            if weight.shape[1] % self.m == 0:
                scores = weight.abs().float()
                if name in held:
                    scores = scores.masked_fill(~held[name], -1)
                rows = scores.movedim(1, -1)  # input channels last, as sparse kernels read them
                best = rows.reshape(-1, self.m).topk(self.n).indices
                kept = torch.zeros(rows.numel() // self.m, self.m, dtype=torch.bool, device=rows.device)
                mask = kept.scatter_(1, best, True).view(rows.shape).movedim(-1, 1).contiguous()
                keep[name] = mask & held[name] if name in held else mask
        if not keep:
            raise TrialError(f"no layer has input channels in multiples of {self.m}")
        return Masks(net.as_weights(keep))
