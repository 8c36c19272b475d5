"""The schedules a study may ask for: when is pruned, through which levels, and how training goes on after it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from prunetui.config.table import TomlTable, Values

Epochs = Annotated[int, Field(ge=0, le=100_000)]
Spacing = Literal["linear", "geometric"]


class OneShot(TomlTable):
    """Prune once, then recover."""

    name: Literal["one-shot"] = "one-shot"
    """Kind of schedule."""


class Leveled(TomlTable):
    """Through which levels a schedule of several prune steps goes; what is pruned stays pruned."""

    steps: Annotated[int, Field(ge=1, le=1000)] | None = None
    """Prune steps to each sparsity; default: the study's own sparsities are the levels, one path for all."""
    spacing: Spacing = "linear"
    """Between `steps`: remove equal amounts, or equal fractions of what is left."""
    levels: Values | None = None
    """Explicit levels instead of `steps`: every sparsity is reached through those below it."""

    @model_validator(mode="after")
    def _one_way_to_say_it(self) -> Leveled:
        if self.levels is not None and self.steps is not None:
            raise ValueError("give either `steps` or explicit `levels`")
        if self.spacing == "geometric" and self.steps is None:
            raise ValueError("geometric spacing needs `steps`, the number of prune steps")
        return self


class Iterative(Leveled):
    """Prune in levels with recovery after each."""

    name: Literal["iterative"] = "iterative"
    """Kind of schedule."""
    epochs: Epochs | None = None
    """Epochs after every level but the last; default: those of [finetune]."""


class Gradual(TomlTable):
    """Prune within the recovery training, fast at first (cubic, Zhu & Gupta 2017): as many epochs as one-shot."""

    name: Literal["gradual"] = "gradual"
    """Kind of schedule."""
    steps: Annotated[int, Field(ge=2, le=1000)] | None = None
    """Prune steps, at starts of epochs of [finetune]; default: one an epoch until `until`, which must be 3 or more."""
    until: Annotated[float, Field(gt=0, le=1)] = 0.75
    """Share of the epochs in which is pruned; the rest recovers."""


class LotteryTicket(Leveled):
    """After every level weights go back to what they were early in training (Frankle et al. 2020), then train again."""

    name: Literal["lottery-ticket"] = "lottery-ticket"
    """Kind of schedule."""
    epoch: Epochs = 1
    """Epoch of [train] whose weights come back; 0 is the initial network. Training goes on from there."""
    rate: Annotated[float, Field(gt=0, le=1)] = 0.2
    """Most of the remaining weights that one round takes, where neither `steps` nor `levels` say how many rounds."""


class LrRewinding(Leveled):
    """After every level the end of [train] is repeated, learning rates included (Renda et al. 2020)."""

    name: Literal["lr-rewinding"] = "lr-rewinding"
    """Kind of schedule."""
    epoch: Epochs | None = None
    """Epoch of [train] to repeat from; default: the middle."""


class AtInit(TomlTable):
    """Prune the untrained network, then train it by the recipe of [train]."""

    name: Literal["at-init"] = "at-init"
    """Kind of schedule."""


class Dynamic(TomlTable):
    """Train sparsely from the start by the recipe of [train]; the method moves its mask on the way."""

    name: Literal["dynamic"] = "dynamic"
    """Kind of schedule."""


class DuringTraining(TomlTable):
    """Train the untrained network by the recipe of [train], shaped by the method, which prunes it at the end."""

    name: Literal["during-training"] = "during-training"
    """Kind of schedule."""


class DenseSparseDense(TomlTable):
    """Prune, recover with the zeros held, then let all weights train again (Han et al. 2017): the net ends dense."""

    name: Literal["dense-sparse-dense"] = "dense-sparse-dense"
    """Kind of schedule."""
    rate: Annotated[float, Field(gt=0, le=1)] = 0.1
    """Factor on the learning rate of [finetune] when all weights train, for as many epochs again."""


SHAPED_THROUGHOUT = ("dynamic", "during-training")
"""Schedules in which a method shapes the whole training."""


def _schedule(raw: object) -> object:
    """Accept the short forms: a schedule's name, ``iterative-linear`` and ``iterative-geometric``."""
    if not isinstance(raw, str):
        return raw
    name, _, spacing = raw.partition("-") if raw.startswith("iterative-") else (raw, "", "")
    return {"name": name, **({"spacing": spacing} if spacing else {})}


AnySchedule = (
    OneShot | Iterative | Gradual | LotteryTicket | LrRewinding | AtInit | Dynamic | DuringTraining | DenseSparseDense
)
Schedule = Annotated[
    Annotated[AnySchedule, Field(discriminator="name")],
    BeforeValidator(_schedule, json_schema_input_type=str | AnySchedule),
]
SCHEDULES: dict[str, type[AnySchedule]] = {
    "one-shot": OneShot,
    "iterative": Iterative,
    "gradual": Gradual,
    "lottery-ticket": LotteryTicket,
    "lr-rewinding": LrRewinding,
    "at-init": AtInit,
    "dynamic": Dynamic,
    "during-training": DuringTraining,
    "dense-sparse-dense": DenseSparseDense,
}
