"""How networks are trained: the tables [train] and [finetune]."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from prunetui.config.table import Fraction, TomlTable


class Recipe(TomlTable):
    """How a network is trained."""

    epochs: Annotated[int, Field(ge=0, le=100_000)] = 15
    """Passes over the training images; 0 trains nothing."""
    batch_size: Annotated[int, Field(ge=2, le=65_536)] = 128
    """Images a step."""
    optimizer: Literal["sgd", "adamw"] = "sgd"
    """`sgd` is SGD with Nesterov momentum."""
    lr: Annotated[float, Field(gt=0, le=100)] = 0.1
    """Highest learning rate."""
    momentum: Fraction = 0.9
    """Momentum of SGD; beta1 of AdamW."""
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 5e-4
    """Weight decay on every parameter."""
    schedule: Literal["cosine", "one-cycle", "step", "constant"] = "cosine"
    """Learning rate: cosine to 0, one-cycle (30 % warm-up), /10 at 1/2 and 3/4, or constant."""
    label_smoothing: Fraction = 0.0
    """Share of the target spread over all classes."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Arithmetic of training; `auto` is bf16 where the hardware has it. Reported accuracies are always fp32."""


class TrainTable(Recipe):
    """Training of the dense network."""

    schedule: Literal["cosine", "one-cycle", "step", "constant"] = "one-cycle"
    """Learning rate: cosine to 0, one-cycle (30 % warm-up), /10 at 1/2 and 3/4, or constant."""


class FinetuneTable(Recipe):
    """Recovery training after a prune step: one recipe for every method, and for the dense control."""

    epochs: Annotated[int, Field(ge=0, le=100_000)] = 2
    """Passes over the training images; 0 trains nothing."""
    lr: Annotated[float, Field(gt=0, le=100)] = 0.02
    """Highest learning rate."""
    distill: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Weight of imitating the dense network's outputs (Hinton et al. 2015); 0 learns from labels alone."""
    temperature: Annotated[float, Field(gt=0, le=100)] = 4.0
    """Softens both networks' outputs while imitating."""
