from torch import Tensor

from prunetui.api import (
    Budget,
    Literal,
    Masks,
    Net,
    Positive,
    TrialError,
    blocks_of,
    dataclass,
    input_energies,
    keep_pattern,
    keep_within,
    ranked_by_output,
    register,
    weights_kept,
)


@register("wanda", source="Sun et al. 2023, arXiv:2306.11695", targets=("sparsity", "pattern"))
@dataclass(frozen=True)
class Wanda:
    """Zero the weights with the smallest |weight| x norm of the input they read, the same share of each output.

    The norm is the L2 norm over calibration images (and, for convolutions, over the places a kernel element reads).
    The paper compares within the weights of one output; so do we, by ranks, exact for each layer. Block by block, as
    there: the norms of a block are of what the pruned blocks before it hand on. Relative importance (`score = "ria"`,
    Zhang et al. 2024, ICLR, Plug-and-Play) divides |weight| by the sums of its input's and of its output's weights,
    takes the root of the norm, and ranks across the layer. Both know n:m patterns (the target `pattern`); the
    permutations that the latter's authors put before them are not done.
    """

    score: Literal["wanda", "ria"] = "wanda"
    """|weight| x norm; or (|weight| / sum of its column + |weight| / sum of its row) x root of the norm."""

    sequential: bool = True
    """Look at what the pruned blocks before a layer hand on to it, or at what the dense ones do."""

    budget: Budget = "uniform"
    """Layers alike, or denser by their shape (erk), their outliers (owl) or the tail of their spectrum (alpha)."""

    n: Positive = 2
    """Weights kept of every m, if the target is a pattern."""

    m: Positive = 4
    """Length of the pattern."""

    def prune(self, net: Net, sparsity: float) -> Masks:
        weights = net.weights()
        scores = {name: w.abs().float() for name, w in net.by_output().items()}
        before, kept = net, None
        if self.budget != "uniform":  # as in OWL, of what the dense net shows
            dense = {name: scores[name] * e.sqrt() for name, e in input_energies(net, [*weights]).items()}
            kept = weights_kept(net, net.as_weights(dense), sparsity, self.budget)
        for block in blocks_of(weights) if self.sequential else [[*weights]]:
            for name, energy in input_energies(before, block).items():
                scores[name] = self._scored(scores[name], energy.sqrt())
            keep = self._kept(net, net.as_weights(scores), sparsity, kept)
            before = before.with_weights({name: weights[name] * keep[name] for name in block if name in keep})
        return Masks(keep)

    def _kept(
        self, net: Net, scores: dict[str, Tensor], sparsity: float, kept: dict[str, float] | None
    ) -> dict[str, Tensor]:
        if net.target != "pattern":
            return keep_within(net, scores, sparsity, kept)
        if kept is not None:
            raise TrialError(f"a pattern takes the same share of every layer, which budget = {self.budget} would not")
        return keep_pattern(net, scores, self.n, self.m)

    def _scored(self, magnitudes: Tensor, norms: Tensor) -> Tensor:
        """The scores of a layer's weights, whose |weights| have these norms of inputs."""
        if self.score == "wanda":
            return ranked_by_output(magnitudes * norms)
        rows = magnitudes.flatten(1)
        relative = rows / rows.sum(0).clamp_min(1e-30) + rows / rows.sum(1, keepdim=True).clamp_min(1e-30)
        return relative.view_as(magnitudes) * norms.sqrt()
