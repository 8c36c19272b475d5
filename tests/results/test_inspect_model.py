"""Layers of saved models, read without torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from prunetui.errors import DataError
from prunetui.results.inspect_model import dense_file, kept_layers, read_model


def saved(folder: Path, name: str, **tensors: np.ndarray) -> Path:
    path = folder / f"{name}.safetensors"
    save_file({key.replace("__", "."): np.ascontiguousarray(value) for key, value in tensors.items()}, path)
    return path


def ones(*shape: int) -> np.ndarray:
    return np.ones(shape, "f4")


def test_zeros_are_pruned_weights_and_norms_are_no_layers(tmp_path: Path):
    weights = np.array([[[[0.0]], [[-2.0]]], [[[1.0]], [[0.0]]]], "f4")
    model = read_model(saved(tmp_path, "m", conv__weight=weights, bn__weight=ones(2), conv__bias=ones(2)))
    (layer,) = model.layers
    assert (layer.name, layer.shape, layer.weights, layer.nonzero) == ("conv", (2, 2, 1, 1), 4, 2)
    assert (layer.density, layer.width, layer.is_shared, model.narrowed) == (0.5, 1.0, False, False)
    assert layer.histogram.limit == 2.0
    assert sum(layer.histogram.counts) == 2
    assert layer.histogram.counts[0] == 1


def test_fewer_filters_than_the_dense_network(tmp_path: Path):
    dense = saved(tmp_path, "dense-4ep-s0", conv__weight=ones(8, 3, 3, 3), fc__weight=ones(10, 8))
    model = read_model(saved(tmp_path, "m", conv__weight=ones(4, 3, 3, 3), fc__weight=ones(10, 4)), dense)
    assert [(layer.name, layer.dense, layer.width, layer.density) for layer in model.layers] == [
        ("conv", (8, 3, 3, 3), 0.5, 0.5),
        ("fc", (10, 8), 1.0, 0.5),
    ]
    assert model.narrowed
    assert (model.weights, model.nonzero) == (4 * 27 + 40, 4 * 27 + 40)


def test_projections_of_attention_are_layers_by_the_names_that_torch_gives_them(tmp_path: Path):
    tensors = {"a.in_proj_weight": ones(12, 4), "a.in_proj_bias": ones(12), "a.out_proj.weight": ones(4, 4)}
    path = tmp_path / "m.safetensors"
    save_file({**tensors, "token_weight": ones(3, 3)}, path)
    assert [(layer.name, layer.shape) for layer in read_model(path).layers] == [
        ("a.in_proj", (12, 4)),
        ("a.out_proj", (4, 4)),
    ]


def test_outputs_that_share_filters_are_counted_by_their_labels(tmp_path: Path):
    path = saved(tmp_path, "m", conv__weight=ones(3, 2, 1, 1), conv__labels=np.array([0, 1, 2, 0, 1], "i8"))
    (layer,) = read_model(path).layers
    assert (layer.shape[0], layer.outputs, layer.is_shared) == (3, 5, True)


def test_layers_stand_in_the_order_of_the_network(tmp_path: Path):
    names = ("classifier__weight", "features__10__weight", "features__3__weight", "features__0__weight")
    tensors = {name: ones(2, 2) if name.startswith("c") else ones(2, 2, 1, 1) for name in names}
    model = read_model(saved(tmp_path, "m", **tensors))
    assert [layer.name for layer in model.layers] == ["features.0", "features.3", "features.10", "classifier"]


def test_the_dense_network_of_the_seed_is_preferred(tmp_path: Path):
    assert dense_file(tmp_path, "1") is None
    for name in ("dense-2ep-s0", "dense-2ep-s1", "taylor-0.5-s1"):
        saved(tmp_path, name, fc__weight=ones(1, 1))
    assert dense_file(tmp_path, "1") == tmp_path / "dense-2ep-s1.safetensors"
    assert dense_file(tmp_path, "7") == tmp_path / "dense-2ep-s0.safetensors"


def test_a_layer_of_zeros_or_without_weights_has_an_empty_histogram(tmp_path: Path):
    model = read_model(saved(tmp_path, "m", a__weight=np.zeros((2, 2), "f4"), b__weight=np.zeros((0, 2), "f4")))
    assert [sum(layer.histogram.counts) for layer in model.layers] == [0, 0]
    assert [layer.density for layer in model.layers] == [0.0, 0.0]


def test_a_file_that_is_not_there_or_no_model_is_told(tmp_path: Path):
    with pytest.raises(DataError, match=r"there is no m\.safetensors"):
        read_model(tmp_path / "m.safetensors")
    (tmp_path / "m.safetensors").write_bytes(b"no model")
    with pytest.raises(DataError, match=r"m\.safetensors cannot be read"):
        read_model(tmp_path / "m.safetensors")


def test_counting_alone_finds_the_same_layers(tmp_path: Path):
    dense = saved(tmp_path, "dense-4ep-s0", conv__weight=ones(8, 3, 3, 3), fc__weight=ones(10, 8))
    path = saved(tmp_path, "m", conv__weight=ones(4, 3, 3, 3), fc__weight=ones(10, 4))
    counted, whole = kept_layers(path, dense), read_model(path, dense).layers
    assert [(one.name, one.nonzero, one.density) for one in counted] == [("conv", 108, 0.5), ("fc", 40, 0.5)]
    assert [(one.shape, one.dense) for one in counted] == [(one.shape, one.dense) for one in whole]
