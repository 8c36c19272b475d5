"""Data of any kind, and a network for it: measurements in rows, in batches of your own loaders.

    prunetui --batch --set data.name=own_loader.py:rows --set model.name=own_loader.py:perceptron

``Splits(..., prepared=True)`` takes loaders, map-style datasets, or tensors and arrays of any shape; what they give
goes to the network as it is. The seed of the study decides the order, and what the items draw at random.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from prunetui.api import Splits, data, model

COLUMNS, CLASSES = 12, ("low", "middle", "high")


class Rows(Dataset[tuple[Tensor, int]]):
    """Measurements [12] whose mean is the class; those of the training split are disturbed anew in every epoch."""

    def __init__(self, count: int, noise: float, seed: int) -> None:
        random = torch.Generator().manual_seed(seed)
        self.classes = torch.arange(count) % len(CLASSES)
        self.rows = torch.randn(count, COLUMNS, generator=random) + self.classes[:, None].float()
        self.noise = noise

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.rows[index] + self.noise * torch.randn(COLUMNS), int(self.classes[index])


@data("rows")
def rows(count: int = 600, noise: float = 0.3, workers: int = 0) -> Splits:
    """Three classes of rows.

    Args:
        count: How many the training split has; the other two have a fifth of that.
        noise: How much training rows are disturbed.
        workers: Processes that make batches.
    """
    sizes = {"train": count, "validation": count // 5, "test": count // 5}
    made = {split: Rows(size, noise * (split == "train"), seed) for seed, (split, size) in enumerate(sizes.items())}
    return Splits(
        train=DataLoader(made["train"], batch_size=50, shuffle=True, num_workers=workers),
        validation=DataLoader(made["validation"], batch_size=120),
        test=DataLoader(made["test"], batch_size=120),
        classes=CLASSES,
        prepared=True,
    )


@model("perceptron")
def perceptron(classes: int, hidden: int = 32) -> nn.Module:
    """Two hidden layers.

    Args:
        hidden: How wide they are.
    """
    layers = [nn.Linear(COLUMNS, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, classes)]
    return nn.Sequential(*layers)
