"""What is left of each layer, read from saved models without torch: shapes, zeros, and how weights are spread."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from prunetui.errors import DataError
from prunetui.formats.shared_filters import labels_of, sharing_layers

BINS = 48
"""Bars of a histogram."""
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Histogram:
    """How many weights that are not zero lie in each of equal stretches of [-limit, limit]."""

    limit: float
    counts: tuple[int, ...]


@dataclass(frozen=True)
class LayerSummary:
    """A convolution or linear layer of a saved model."""

    name: str
    shape: Shape
    """Of its weights: outputs, inputs, and the kernel of a convolution."""
    nonzero: int
    histogram: Histogram
    outputs: int
    """Channels it gives; more than it has filters when outputs share them."""
    dense: Shape | None = None
    """Shape of its weights before pruning, where that is known."""

    @property
    def weights(self) -> int:
        """Weights that are physically there."""
        return _product(self.shape)

    @property
    def is_shared(self) -> bool:
        """Whether several outputs use the same filter."""
        return self.outputs != self.shape[0]

    @property
    def density(self) -> float:
        """Weights that are there and not zero, as a fraction of those before pruning."""
        return self.nonzero / (_product(self.dense or self.shape) or 1)

    @property
    def width(self) -> float:
        """Filters that are left, as a fraction of those before pruning."""
        return self.shape[0] / ((self.dense or self.shape)[0] or 1)


@dataclass(frozen=True)
class ModelSummary:
    """A saved model, in the order of the network."""

    layers: tuple[LayerSummary, ...]
    histogram: Histogram
    bytes: int

    @property
    def weights(self) -> int:
        return sum(layer.weights for layer in self.layers)

    @property
    def nonzero(self) -> int:
        return sum(layer.nonzero for layer in self.layers)

    @property
    def narrowed(self) -> bool:
        """Whether a layer has lost filters or inputs, not only weights."""
        return any(layer.dense not in (None, layer.shape) for layer in self.layers)


def model_file(models: Path, trial: str) -> Path:
    """Where the model of a trial is, if it was kept."""
    return models / f"{trial}.safetensors"


def dense_file(models: Path, seed: str) -> Path | None:
    """The dense network of a seed, or of any: all have the same shapes."""
    found = sorted(models.glob("dense-*.safetensors"))
    return next((file for file in found if file.stem.endswith(f"-s{seed}")), found[0] if found else None)


def read_model(path: Path, dense: Path | None = None) -> ModelSummary:
    """The layers of a saved model, compared with those of the dense network.

    Raises:
        DataError: a file is not there or is no safetensors file.
    """
    before = _shapes(dense) if dense is not None else {}
    with _opened(path) as file:
        layers, weights = _layers(file), _weights(file)
        limit = max([layer.histogram.limit for layer in layers], default=1.0)
        whole = [0] * BINS
        for layer in layers:
            counts = _histogram(file.get_tensor(weights[layer.name]), limit).counts
            whole = [a + b for a, b in zip(whole, counts, strict=True)]
    compared = tuple(replace(layer, dense=before.get(layer.name)) for layer in layers)
    return ModelSummary(compared, Histogram(limit, tuple(whole)), path.stat().st_size)


def kept_layers(path: Path, dense: Path | None = None) -> tuple[LayerSummary, ...]:
    """The layers of ``read_model`` with empty histograms: for reports, which read many models and count only.

    Raises:
        DataError: a file is not there or is no safetensors file.
    """
    before = _shapes(dense) if dense is not None else {}
    with _opened(path) as file:
        return tuple(replace(layer, dense=before.get(layer.name)) for layer in _layers(file, histograms=False))


def _layers(file: Any, histograms: bool = True) -> list[LayerSummary]:
    weights = _weights(file)
    sharing = sharing_layers(set(file.keys()))
    return [_layer(file, name, weights[name], name in sharing, histograms) for name in _in_order(file, weights)]


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    from safetensors import SafetensorError, safe_open

    from prunetui.formats.safetensors_header import read_metadata

    try:
        read_metadata(path)
        with safe_open(path, framework="numpy") as file:
            yield file
    except FileNotFoundError:
        raise DataError(f"there is no {path.name}") from None
    except (OSError, SafetensorError, TypeError, ValueError) as error:
        raise DataError(f"{path.name} cannot be read: {error}") from None


def _weights(file: Any) -> dict[str, str]:
    """Layer -> the tensor of its weights. That of a projection of torch's attention is called ``in_proj_weight``."""
    keys = [key for key in file.keys() if re.search(r"(\.|_proj_)weight$", key)]  # noqa: SIM118 - no mapping
    return {key[: -len(".weight")]: key for key in keys if len(file.get_slice(key).get_shape()) in (2, 4)}


def _in_order(file: Any, weights: Mapping[str, str]) -> list[str]:
    """Layers as a network is walked: convolutions in the order of their numbers, then linear layers."""

    def key(name: str) -> tuple[bool, list[tuple[bool, int, str]]]:
        parts = re.findall(r"\d+|\D+", name)
        numbered = [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts]
        return len(file.get_slice(weights[name]).get_shape()) == 2, numbered

    return sorted(weights, key=key)


def _layer(file: Any, name: str, key: str, shared: bool, histogram: bool) -> LayerSummary:
    import numpy as np

    weights = file.get_tensor(key)
    outputs = file.get_slice(labels_of(name)).get_shape()[0] if shared else weights.shape[0]
    limit = float(np.abs(weights).max()) if weights.size and histogram else 0.0
    spread = _histogram(weights, limit if 0 < limit < float("inf") else 1.0) if histogram else Histogram(0.0, ())
    return LayerSummary(name, tuple(weights.shape), int(np.count_nonzero(weights)), spread, int(outputs))


def _histogram(weights: Any, limit: float) -> Histogram:
    import numpy as np

    counts, _ = np.histogram(weights[weights != 0], bins=BINS, range=(-limit, limit))
    return Histogram(limit, tuple(int(count) for count in counts))


def _shapes(path: Path) -> dict[str, Shape]:
    with _opened(path) as file:
        return {name: tuple(file.get_slice(key).get_shape()) for name, key in _weights(file).items()}


def _product(shape: Shape) -> int:
    product = 1
    for size in shape:
        product *= size
    return product
