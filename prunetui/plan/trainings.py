"""The training steps of a study, each made once: thousands of trials have the same few."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import Any

from prunetui.config import Study
from prunetui.config.recipes import FinetuneTable
from prunetui.steps import Calibrate, Train

Shaped = dict[str, Any] | None


class Trainings:
    """Makes the steps of the dense training and of recovery; equal ones are one object, whose key text is shared."""

    def __init__(self, study: Study) -> None:
        self._study = study
        self._made: dict[tuple[Any, ...], Train] = {}
        self._recoveries: dict[tuple[int, float], FinetuneTable] = {}

    def dense(self, carry: bool = False, first: int = 0, last: int | None = None, shaped: Shaped = None) -> Train:
        """Epochs of [train]."""
        return self._shared(("dense",), Train(self._study.train, carry, first, last), shaped)

    def recovery(
        self,
        epochs: int,
        carry: bool = False,
        first: int = 0,
        last: int | None = None,
        shaped: Shaped = None,
        teacher: str | None = None,
        rate: float = 1.0,
    ) -> Train:
        """Epochs of [finetune], of which there are ``epochs``, at ``rate`` times its learning rate."""
        step = Train(self._recovery(epochs, rate), carry, first, last, None, teacher)
        return self._shared(("recovery", epochs, rate), step, shaped)

    def plain(self, epochs: int, shaped: Shaped = None) -> Train:
        """As recovery, from labels alone."""
        recipe = self._recovery(epochs).model_copy(update={"distill": 0.0})
        return self._shared(("plain", epochs), Train(recipe), shaped)

    @cached_property
    def calibration(self) -> Calibrate:
        """The re-estimation of batch-norm statistics."""
        return Calibrate(self._study.measure.recalibrate)

    def _shared(self, name: tuple[Any, ...], step: Train, shaped: Shaped) -> Train:
        if shaped is not None:  # it may differ from trial to trial
            return replace(step, shaped=shaped)
        return self._made.setdefault((*name, step.carry, step.first, step.last, step.teacher), step)

    def _recovery(self, epochs: int, rate: float = 1.0) -> FinetuneTable:
        if (epochs, rate) not in self._recoveries:
            table = self._study.finetune
            self._recoveries[epochs, rate] = table.model_copy(update={"epochs": epochs, "lr": table.lr * rate})
        return self._recoveries[epochs, rate]
