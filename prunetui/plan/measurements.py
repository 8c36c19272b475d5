"""What is measured for a trial, each step made once: thousands of trials have the same few."""

from __future__ import annotations

from prunetui.config import Study
from prunetui.steps import Latency, Measure
from prunetui.tree import Step, Trial

LATENCY_BATCHES = (1, 128)
"""Images a pass; columns of results.csv are named after them."""


class Measurements:
    """Makes the measurements of a study's trials; equal ones are one object, whose key text is written once."""

    def __init__(self, study: Study) -> None:
        self._study = study
        self._latency = Latency(LATENCY_BATCHES)
        self._made: dict[tuple[str, bool], Measure] = {}

    def of(self, trial: Trial) -> dict[str, tuple[str, Step]]:
        """What is measured for a trial: name -> (key of the state, step)."""
        study = self._study
        # The loss of what comes out, and of the dense network after the same epochs, which is a trial of its own.
        with_loss = {trial.after, trial.control} if study.measure.loss else set()
        names = ["dense", *(["control"] if study.measure.control else []), "edited", "before", "after"]
        states = {name: getattr(trial, name) for name in names}
        wanted: dict[str, tuple[str, Step]] = {
            name: (state, self._measure("test", state in with_loss)) for name, state in states.items()
        }
        if study.data.validation:
            wanted["validation"] = (trial.after, self._measure("validation"))
        if study.measure.latency and not trial.masked:
            wanted["latency"] = (trial.after, self._latency)
        return wanted

    def _measure(self, split: str, loss: bool = False) -> Measure:
        return self._made.setdefault((split, loss), Measure(split, self._study.measure.batch_size, loss))


def measurements(study: Study, trial: Trial) -> dict[str, tuple[str, Step]]:
    """What is measured for one trial."""
    return Measurements(study).of(trial)
