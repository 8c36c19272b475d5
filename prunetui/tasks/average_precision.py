"""Mean average precision as COCO defines it (Lin et al. 2014, arXiv:1405.0312), by torchmetrics and pycocotools."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any

from torch import Tensor

PACKAGES = ("torchmetrics", "pycocotools")


def check_packages() -> None:
    """Raise ``ModuleNotFoundError`` if a package is missing; says how to install it."""
    if missing := [name for name in PACKAGES if find_spec(name) is None]:
        raise ModuleNotFoundError(
            f"mean average precision needs {' and '.join(missing)}: pip install 'prunetui[detection]'"
        )


class AveragePrecision:
    """Boxes of images add up; the figures are computed when they are asked for."""

    def __init__(self) -> None:
        from torchmetrics.detection import MeanAveragePrecision

        self._metric: Any = MeanAveragePrecision(backend="pycocotools")

    def add(self, found: Sequence[Mapping[str, Tensor]], there: Sequence[Mapping[str, Tensor]]) -> None:
        """Boxes that were found (``boxes``, ``scores``, ``labels``) and that are there, of so many images each."""
        self._metric.update([_on_cpu(one) for one in found], [_on_cpu(one) for one in there])

    def figures(self) -> tuple[float, float]:
        """The mean over classes and overlaps from 0.5 to 0.95, and at 0.5; not a number where no box is there."""
        computed = self._metric.compute()
        mean, at_half = (float(computed[key]) for key in ("map", "map_50"))
        return (mean, at_half) if mean >= 0 else (math.nan, math.nan)


def _on_cpu(boxes: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().float().cpu() if name != "labels" else tensor.cpu() for name, tensor in boxes.items()}
