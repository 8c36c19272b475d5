from prunetui.api import Masks, Net, Scope, Share, Training, TrialError, dataclass, keep_top, register


@register("acdc", source="Peste et al. 2021, AC/DC, arXiv:2106.12379", schedules=("during-training",))
@dataclass(frozen=True)
class AlternatingCompression:
    """Train by turns with the largest weights only and with all of them; the last turn is with the largest.

    Each compressed phase keeps the largest weights of the whole net, to the full sparsity, chosen once at its start;
    in a decompressed phase the others start at zero and all train. Momentum is forgotten where a decompressed phase
    begins, an option of the authors' code. Phases are parts of the training, by default those of the authors' 100
    epochs of ImageNet: 10 dense, then 5 and 5 by turns, from 75 on 10 decompressed and 15 compressed. Where we depart:
    these parts may begin within an epoch; sparsity is of the weights that may be pruned, [out, in, k, k] or [out, in],
    while the authors prune the first and the last layer too (a study's `[layers]` can say so).
    """

    warm_up: Share = 0.1
    """Part of the training before the first compressed phase."""

    phase: Share = 0.05
    """Length of a phase, as a part of the training; a batch at least."""

    last_dense: Share = 0.1
    """Length of the last decompressed phase."""

    last_sparse: Share = 0.15
    """Length of the last compressed phase."""

    scope: Scope = "global"
    """Rank across the whole net, as published, or within each layer."""

    def after_step(self, training: Training, sparsity: float) -> None:
        if training.batch == 0:
            self._check()
        now, then = (self._compressed(training.batch + more, training.total) for more in (0, 1))
        now &= training.batch > 0
        if training.is_last:
            training.lift_masks()  # the zeros stay; prune takes them
        elif then and not now:
            scores = {name: w.abs() for name, w in training.parameters().items()}
            training.masks.update(keep_top(scores, sparsity, self.scope, within=training))
        elif now and not then:
            training.lift_masks()
            training.reset_momentum()

    def _check(self) -> None:
        """
        Raises:
            TrialError: the parts are more than the training.
        """
        parts = self.warm_up + self.last_dense + self.last_sparse
        if parts > 1 + 1e-9:
            raise TrialError(
                f"warm_up, last_dense and last_sparse are {parts:.2f} of the training; they may be 1 at most"
            )

    def _compressed(self, batch: int, batches: int) -> bool:
        """Whether a batch lies in a compressed phase."""
        progress, end = batch / batches, 1 - self.last_sparse
        if progress >= end - 1e-9:
            return True
        turn = (progress - self.warm_up + 1e-9) // max(self.phase, 1 / batches)
        return turn >= 0 and turn % 2 == 0 and progress < end - self.last_dense - 1e-9

    def prune(self, net: Net, sparsity: float) -> Masks:
        return Masks(keep_top({n: w.abs() for n, w in net.weights().items()}, sparsity, self.scope, within=net))
