"""ONNX files from elsewhere: weights from their own folder alone, operators of ONNX alone."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

from prunetui.engine.from_normalised import FromNormalised
from prunetui.engine.loading import load_onnx
from prunetui.errors import UsageError

WEIGHT = [[1.0, 0.0, 2.0, 0.0], [0.0, 1.0, 0.0, 3.0]]
"""Two logits of four pixels."""
HEADER = {
    "architecture": {"name": "resnet20", "channels": 1, "size": 2, "classes": 2, "shortcut": "B", "width": None},
    "mean": [0.0], "std": [1.0], "data": "digits",
}  # fmt: skip
EXTERNAL = onnx.TensorProto.EXTERNAL


def model() -> onnx.ModelProto:
    """One matrix product on flattened images 1 x 2 x 2."""
    nodes = [
        helper.make_node("Flatten", ["pixels"], ["flat"]),
        helper.make_node("Gemm", ["flat", "weight"], ["logits"], transB=1),
    ]
    weight = helper.make_tensor("weight", TensorProto.FLOAT, [2, 4], [value for row in WEIGHT for value in row])
    graph = helper.make_graph(
        nodes, "net",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["batch", 1, 2, 2])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 2])],
        [weight],
    )  # fmt: skip
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(made, {"prunetui": json.dumps(HEADER)})
    return made


def saved(folder: Path, proto: onnx.ModelProto) -> Path:
    path = folder / "net.onnx"
    path.write_bytes(proto.SerializeToString())
    return path


def with_external(location: str, **entries: str) -> onnx.ModelProto:
    made = model()
    weight = made.graph.initializer[0]
    weight.ClearField("float_data")
    weight.data_location = EXTERNAL
    for key, value in {"location": location, **entries}.items():
        entry = weight.external_data.add()
        entry.key, entry.value = key, value
    return made


def weights() -> bytes:
    return torch.tensor(WEIGHT).numpy().tobytes()


def test_a_plain_file_computes(tmp_path: Path) -> None:
    run, header = load_onnx(saved(tmp_path, model()))
    assert run(torch.tensor([1.0, 2.0, 3.0, 4.0]).view(1, 1, 2, 2)).tolist() == [[7.0, 14.0]]
    assert header == HEADER


def test_weights_in_its_own_folder_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")  # they lie beside the file, not where the program was started
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "all.bin").write_bytes(b"1234" + weights())
    run, _ = load_onnx(saved(tmp_path, with_external("weights/all.bin", offset="4", length="32")))
    assert run(torch.ones(1, 1, 2, 2)).tolist() == [[3.0, 4.0]]


@pytest.mark.parametrize("location", ["./w.bin", "weights/../w.bin", ".//./w.bin"])
def test_other_spellings_of_its_own_folder_are_read(tmp_path: Path, location: str) -> None:
    (tmp_path / "w.bin").write_bytes(weights())
    run, _ = load_onnx(saved(tmp_path, with_external(location)))
    assert run(torch.ones(1, 1, 2, 2)).tolist() == [[3.0, 4.0]]


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("kind", [TensorProto.FLOAT16, TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.BFLOAT16])
@pytest.mark.parametrize("raw", [False, True])
def test_weights_that_are_not_finite_are_refused(tmp_path: Path, bad: float, kind: int, raw: bool) -> None:
    proto, values = model(), [1.0, bad, 2.0]
    if raw and kind != TensorProto.BFLOAT16:
        content = np.asarray(values, helper.tensor_dtype_to_np_dtype(kind)).tobytes()
        proto.graph.initializer.append(helper.make_tensor("scale", kind, [3], content, raw=True))
    else:
        proto.graph.initializer.append(helper.make_tensor("scale", kind, [3], values))
    with pytest.raises(UsageError, match=r"holds NaN, infinity or .*: scale \(1 of 3\)"):
        load_onnx(saved(tmp_path, proto))


def test_weights_in_constants_and_beside_the_file_must_be_finite_too(tmp_path: Path) -> None:
    proto = model()
    value = helper.make_tensor("", TensorProto.FLOAT, [2], [1.0, float("nan")])
    proto.graph.node.insert(0, helper.make_node("Constant", [], ["shift"], value=value))
    with pytest.raises(UsageError, match=r"shift \(1 of 2\)"):
        load_onnx(saved(tmp_path, proto))
    (tmp_path / "w.bin").write_bytes(torch.tensor(WEIGHT).fill_(float("inf")).numpy().tobytes())
    with pytest.raises(UsageError, match=r"weight \(8 of 8\)"):
        load_onnx(saved(tmp_path, with_external("w.bin")))


@pytest.mark.parametrize(
    "location",
    [
        "../secret.bin", "/etc/passwd", "a/../../secret.bin", "", ".", "..", "./../secret.bin", "a\\..\\secret", "a//b",
        "/", "*/_ORT_MEM_ADDR_/*", "C:\\secret",
    ],
)  # fmt: skip
def test_weights_elsewhere_are_not_read(tmp_path: Path, location: str) -> None:
    (tmp_path / "secret.bin").write_bytes(weights())
    (tmp_path / "folder").mkdir()
    path = saved(tmp_path / "folder", with_external(location))
    with pytest.raises(UsageError, match=r"only files in its own folder are read|no such file beside it"):
        load_onnx(path)


def link(folder: Path) -> None:
    (folder / "w.bin").symlink_to(folder.parent / "secret.bin")


def link_to_a_folder(folder: Path) -> None:
    (folder / "w").symlink_to(folder.parent)


@pytest.mark.parametrize(
    ("prepare", "location", "words"),
    [
        (link, "w.bin", "'w.bin' is a link"),
        (link_to_a_folder, "w/secret.bin", "'w' is a link"),
        (lambda folder: os.mkfifo(folder / "w.bin"), "w.bin", "no such file beside it"),
        (lambda folder: (folder / "w.bin").mkdir(), "w.bin", "no such file beside it"),
        (lambda folder: (folder / "w.bin").write_bytes(b"short"), "w.bin", "cannot read the ONNX file"),
    ],
)
def test_only_regular_files_are_read(
    tmp_path: Path, prepare: Callable[[Path], object], location: str, words: str
) -> None:
    (tmp_path / "secret.bin").write_bytes(weights())
    (tmp_path / "folder").mkdir()
    prepare(tmp_path / "folder")
    with pytest.raises(UsageError, match=words):
        load_onnx(saved(tmp_path / "folder", with_external(location)))


@pytest.mark.parametrize("entries", [{"offset": "-1"}, {"offset": "9" * 5000}, {"length": "1e9"}, {"length": "33"}])
def test_parts_of_a_file_are_checked(tmp_path: Path, entries: dict[str, str]) -> None:
    (tmp_path / "w.bin").write_bytes(weights())
    with pytest.raises(UsageError, match=r"of its external data is|weights end after"):
        load_onnx(saved(tmp_path, with_external("w.bin", **entries)))


def in_a_constant(proto: onnx.ModelProto) -> None:
    node = proto.graph.node.add(op_type="Constant", output=["c"])
    tensor = node.attribute.add(name="value", type=onnx.AttributeProto.TENSOR).t
    tensor.data_location, tensor.data_type = EXTERNAL, TensorProto.FLOAT
    tensor.dims.append(8)
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../secret.bin"


def of_a_library(proto: onnx.ModelProto) -> None:
    proto.graph.node[0].domain = "evil.ops"
    proto.opset_import.add(domain="evil.ops", version=1)


def of_microsoft(proto: onnx.ModelProto) -> None:
    proto.graph.node[0].domain, proto.graph.node[0].op_type = "com.microsoft", "EPContext"


def with_a_loop(proto: onnx.ModelProto) -> None:
    node = proto.graph.node.add(op_type="Loop", input=["", ""], output=["x"])
    node.attribute.add(name="body", type=onnx.AttributeProto.GRAPH).g.name = "forever"


def with_a_function(proto: onnx.ModelProto) -> None:
    proto.functions.add(name="doubling", domain="here")


def header(value: str) -> Callable[[onnx.ModelProto], None]:
    def change(proto: onnx.ModelProto) -> None:
        proto.metadata_props[0].value = value

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (in_a_constant, "only files in its own folder are read"),
        (of_a_library, "calls 'Flatten' of 'evil.ops'"),
        (of_microsoft, "calls 'EPContext' of 'com.microsoft'"),
        (with_a_loop, "'Loop' runs a program inside it"),
        (with_a_function, "defines the function 'doubling'"),
        (lambda proto: proto.ClearField("graph"), "holds no network"),
        (lambda proto: proto.graph.ClearField("node"), "cannot read the ONNX file"),
        (header("[" * 100_000), "nested more than 8 deep"),
        (header('{"mean": [' + "9" * 5000 + "]}"), "integer of 5,000 digits"),
        (header('{"mean": [NaN]}'), "holds NaN"),
        (header("[]"), "not an object"),
    ],
)
def test_files_that_ask_for_more_are_refused(tmp_path: Path, change: Callable[[Any], object], words: str) -> None:
    proto = model()
    change(proto)
    with pytest.raises(UsageError, match=words) as caught:
        load_onnx(saved(tmp_path, proto))
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("content", [b"", b"no model", b"ORTM" * 20, b"\x08\x08" + b"\xff" * 50])
def test_other_files_are_told_from_onnx(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "net.onnx").write_bytes(content)
    with pytest.raises(UsageError, match="cannot read the ONNX file"):
        load_onnx(tmp_path / "net.onnx")


def test_what_cannot_be_run_is_told(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = saved(tmp_path, model())
    run, header = load_onnx(path)
    assert FromNormalised(run, header, path)(torch.ones(3, 1, 2, 2)).shape == (3, 2)
    with pytest.raises(UsageError, match="cannot be run on these images"):
        FromNormalised(run, header, path)(torch.ones(3, 1, 8, 8))
    header["architecture"]["classes"] = 5
    with pytest.raises(UsageError, match=r"gives \[3, 2\] of 3 images, not \[3, 5\] as it says"):
        FromNormalised(run, header, path)(torch.ones(3, 1, 2, 2))
    assert capfd.readouterr().err == ""
