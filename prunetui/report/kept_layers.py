"""Which layers keep how much: counted in saved networks, or read from ``layers.json`` of a run packed without them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prunetui.errors import DataError
from prunetui.files.regular import read_object
from prunetui.results.inspect_model import Histogram, LayerSummary, dense_file, kept_layers, model_file
from prunetui.results.summary import Line, named

LAYERS_FILE = "layers.json"
"""Beside a run without models: trial -> its layers, as ``packed_layers`` has them."""

Layers = tuple[LayerSummary, ...]


@dataclass(frozen=True)
class Kept:
    """What one method leaves of each layer at each of its targets, in the network of one seed."""

    method: str
    seed: str
    layers: tuple[str, ...]
    targets: tuple[str, ...]
    density: tuple[tuple[float, ...], ...]
    """A row a target: weights that are there and not zero, as a fraction of the dense layer's, in [0, 1]."""


def kept(folder: Path, lines: Iterable[Line]) -> list[Kept]:
    """One picture a method, of the first seed that is there; empty where no network was kept."""
    packed = read_packed(folder)
    groups: dict[str, list[tuple[Line, str, Layers]]] = {}
    for name, line in named(lines):
        found = _layers_of(folder, line, packed) if line.method != "dense" else None
        if found:
            groups.setdefault(name, []).append((line, *found))
    return [_kept(name, of) for name, of in groups.items()]


def _kept(name: str, of: list[tuple[Line, str, Layers]]) -> Kept:
    of = sorted(of, key=lambda one: one[0].figures["sparsity"].mean if "sparsity" in one[0].figures else 0.0)
    names = tuple(dict.fromkeys(layer.name for _, _, layers in of for layer in layers))
    rows = [{layer.name: layer.density for layer in layers} for _, _, layers in of]
    return Kept(
        name,
        of[0][1],
        names,
        tuple(line.target for line, _, _ in of),
        tuple(tuple(row.get(layer, 0.0) for layer in names) for row in rows),  # a layer that is gone keeps nothing
    )


def _layers_of(folder: Path, line: Line, packed: Mapping[str, Layers]) -> tuple[str, Layers] | None:
    """(seed, layers) of the first trial of a line whose network can be read."""
    models = folder / "models"
    for row in line.of:
        trial, seed = str(row.get("trial")), str(row.get("seed"))
        if trial in packed:
            return seed, packed[trial]
        try:
            return seed, kept_layers(model_file(models, trial), dense_file(models, seed))
        except DataError:
            continue  # the network was not kept, or is damaged: another seed's shows the same
    return None


def packed_layers(folder: Path, lines: Iterable[Line]) -> dict[str, list[dict[str, Any]]]:
    """What ``kept`` needs of each line, as plain data: trial -> layers of its first seed."""
    found: dict[str, list[dict[str, Any]]] = {}
    packed = read_packed(folder)
    for line in lines:
        got = _layers_of(folder, line, packed)
        if got:
            trial = next(str(row.get("trial")) for row in line.of if str(row.get("seed")) == got[0])
            found[trial] = [_plain(layer) for layer in got[1]]
    return found


def _plain(layer: LayerSummary) -> dict[str, Any]:
    return {
        "name": layer.name,
        "shape": list(layer.shape),
        "nonzero": layer.nonzero,
        "outputs": layer.outputs,
        "dense": None if layer.dense is None else list(layer.dense),
    }


def read_packed(folder: Path) -> dict[str, Layers]:
    """Layers by trial of a run packed without its networks; empty when there is no such file, or it is another's.

    Of each line of the table the first seed is there, and no histogram.
    """
    try:
        plain = read_object(folder / LAYERS_FILE)
        return {trial: tuple(_layer(layer) for layer in layers) for trial, layers in plain.items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}


def _layer(plain: Mapping[str, Any]) -> LayerSummary:
    dense = plain["dense"]
    return LayerSummary(
        str(plain["name"]),
        tuple(int(size) for size in plain["shape"]),
        int(plain["nonzero"]),
        Histogram(0.0, ()),
        int(plain["outputs"]),
        None if dense is None else tuple(int(size) for size in dense),
    )
