"""An ONNX file looked through before the runtime sees it: weights from its own folder, operators of ONNX alone.

The runtime gets bytes that hold everything, so that it opens no file and what was checked is what runs.
"""

from __future__ import annotations

import math
import os
import posixpath
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto
from torch import Tensor

from prunetui.formats.finite_values import not_finite
from prunetui.formats.refused import Refused, shown

MOST_BYTES = (2 << 30) - 1
"""Protocol buffers hold no more."""
MOST_NODES = 100_000
_FLOATS = {TensorProto.FLOAT16: np.float16, TensorProto.FLOAT: np.float32, TensorProto.DOUBLE: np.float64}
_FLOATS[TensorProto.BFLOAT16] = np.float32  # numpy has none of its own
_DOMAINS = {"", "ai.onnx"}
# What onnxruntime's own quantiser writes; its domain has others that load files.
_QUANTISED = {f"QLinear{name}" for name in ("Add", "AveragePool", "Concat", "GlobalAveragePool", "LeakyRelu", "Mul")}
_QUANTISED |= {"DequantizeLinear", "QuantizeLinear", "QLinearSigmoid", "QLinearSoftmax", "QGemm", "Gelu"}


def self_contained(data: bytes, folder: Path) -> tuple[bytes, str | None]:
    """The model with all its weights inside, and its metadata property ``prunetui``.

    Raises:
        Refused: it wants files outside ``folder``, operators of libraries, functions of its own, loops or branches, or
            its weights hold NaN or infinity.
        ValueError: it is no ONNX file.
    """
    try:
        model = onnx.load_model_from_string(data)
    except Exception:  # noqa: BLE001 - protobuf has an error class of its own in each of its builds
        raise ValueError("it is not an ONNX file") from None
    if not model.HasField("graph"):
        raise ValueError("it holds no network")
    if model.functions:
        raise Refused(f"it defines the function {shown(model.functions[0].name)}; onnx.inliner makes a file without")
    if model.training_info:
        raise Refused("it holds a program for training")
    _check_nodes(model.graph)
    changed = _take_in(model.graph, folder)
    _check_finite(model.graph)
    about = [entry.value for entry in model.metadata_props if entry.key == "prunetui"]
    # Always written anew: bytes that are read as ONNX here must not be read as another format by the runtime.
    content = model.SerializeToString()
    if changed and len(content) > MOST_BYTES:
        raise Refused("it has more than 2 GiB with its external data")
    return content, about[0] if about else None


def _check_nodes(graph: Any) -> None:
    if len(graph.node) > MOST_NODES:
        raise Refused(f"it has {len(graph.node):,} operators; at most {MOST_NODES:,} are run")
    for node in graph.node:
        if node.domain not in _DOMAINS and not (node.domain == "com.microsoft" and node.op_type in _QUANTISED):
            raise Refused(f"it calls {shown(node.op_type)} of {shown(node.domain)}, not one of ONNX's own operators")
        for attribute in node.attribute:
            if attribute.HasField("g") or attribute.graphs:
                raise Refused(f"its operator {shown(node.op_type)} runs a program inside it (a loop or a branch)")


def _take_in(graph: Any, folder: Path) -> bool:
    """Replace references to files beside the model by what they hold."""
    read, changed = 0, False
    for tensor in _tensors(graph):
        if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
            content = _external({entry.key: entry.value for entry in tensor.external_data}, folder, MOST_BYTES - read)
            read, changed = read + len(content), True
            tensor.ClearField("external_data")
            tensor.ClearField("data_location")
            tensor.raw_data = content
    return changed


def _check_finite(graph: Any) -> None:
    weights = [(tensor.name, tensor) for tensor in graph.initializer]
    weights += [(sparse.values.name, sparse.values) for sparse in graph.sparse_initializer]
    for node in graph.node:
        # Single values may be limits, as minus infinity is of a maximum; several are weights.
        several = [attribute.t for attribute in node.attribute if math.prod(attribute.t.dims) > 1]
        weights += [(" ".join(node.output), tensor) for tensor in several]
    floats = [(name, _values(tensor)) for name, tensor in weights if tensor.data_type in _FLOATS]
    if wrong := not_finite(floats):
        raise Refused(f"it {wrong}")


def _values(tensor: Any) -> Tensor:
    return torch.from_numpy(onnx.numpy_helper.to_array(tensor).astype(_FLOATS[tensor.data_type]))


def _tensors(graph: Any) -> Iterator[Any]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
                yield from (sparse.values, sparse.indices)


def _external(entries: dict[str, str], folder: Path, most: int) -> bytes:
    location = entries.get("location", "")
    offset, length = (_whole(entries.get(key, ""), key) for key in ("offset", "length"))
    with os.fdopen(_opened(location, folder), "rb") as file:
        size = os.fstat(file.fileno()).st_size
        start = offset or 0
        wanted = size - start if length is None else length
        if wanted < 0 or start + wanted > size:
            raise ValueError(f"its weights end after {shown(location)} does, which has {size:,} bytes")
        if wanted > most:
            raise Refused("it has more than 2 GiB with its external data")
        file.seek(start)
        return file.read(wanted)


def _whole(text: str, key: str) -> int | None:
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise ValueError(f"the {key} of its external data is {shown(text)}")
    return int(text)


def _opened(location: str, folder: Path) -> int:
    """A file in the model's folder or below, on the way to which there are no links.

    Raises:
        Refused: it lies elsewhere or is no regular file.
    """
    # "./w.bin" and "a/../w.bin" are the file that they name; what leads out still begins with ".." or "/".
    parts = posixpath.normpath(location).split("/")
    outside = f"its weights lie in {shown(location)}; only files in its own folder are read"
    if not location or "\\" in location or "\0" in location or any(part in ("", ".", "..") for part in parts):
        raise Refused(outside)
    path = folder
    for part in parts:
        path = path / part
        if path.is_symlink():
            raise Refused(f"{outside}, and {shown(part)} is a link")
    if not path.is_file():
        raise ValueError(f"its weights lie in {shown(location)}, and there is no such file beside it")
    try:
        opened = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except OSError as error:
        raise ValueError(f"its weights in {shown(location)} cannot be read: {error.strerror}") from None
    if not stat.S_ISREG(os.fstat(opened).st_mode):
        os.close(opened)
        raise Refused(f"its weights lie in {shown(location)}, which is no regular file")
    return opened
