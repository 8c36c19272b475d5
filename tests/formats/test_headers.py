"""Headers of files from elsewhere: limits, and values that are checked before anything is built from them."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save
from torch import Tensor

from prunetui.cli.measure_checkpoint import evaluate_checkpoint
from prunetui.engine.export_header import parse_header
from prunetui.engine.loading import load
from prunetui.engine.models import Architecture, build
from prunetui.engine.models.read_checkpoint import read_checkpoint
from prunetui.errors import UsageError

NET = Architecture("resnet20", 1, 8, 3, "B", 2)
HEADER = {"architecture": NET.plain(), "mean": [0.5], "std": [0.25], "data": "digits", "classes": ["a", "b", "c"]}


@pytest.fixture(scope="module")
def tensors() -> dict[str, Tensor]:
    torch.manual_seed(0)
    return build(NET).state_dict()


def written(folder: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> Path:
    path = folder / "net.safetensors"
    path.write_bytes(save(tensors, metadata=metadata))
    return path


def metadata(**changes: object) -> dict[str, str]:
    header = {**HEADER, **changes}
    return {"format": "prunetui/1", **{key: json.dumps(value) for key, value in header.items()}}


def test_a_good_header_loads(tensors: dict[str, Tensor], tmp_path: Path) -> None:
    assert load(written(tmp_path, tensors, metadata()))(torch.rand(2, 1, 8, 8)).shape == (2, 3)


def architecture(**changes: object) -> dict[str, Any]:
    return {"architecture": {**NET.plain(), **changes}}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (architecture(channels=10**9), "channels = 1000000000; allowed: 1 to 1,024"),
        (architecture(size=-8), "size = -8; allowed"),
        (architecture(classes=0), "classes = 0; allowed"),
        (architecture(width=10**12), "width = 1000000000000; allowed"),
        (architecture(size=8.0), "size = 8.0; allowed"),
        (architecture(size=True), "size = True; allowed"),
        (architecture(size="8"), "size = '8'; allowed"),
        (architecture(name="os.system"), "is called 'os.system'; there are: resnet110"),
        (architecture(name=["resnet20"]), r"is called \['resnet20'\]"),
        (architecture(shortcut=["B"]), "shortcut"),
        (architecture(evil=1), "says 'evil', which this version does not know"),
        ({"architecture": {"name": "resnet20"}}, "says no channels"),
        ({"architecture": [1]}, r"is \[1\], not an object"),
        ({"architecture": "resnet20"}, "not an object"),
        ({"architecture": 0}, "not an object"),
        ({"mean": [0.5, 0.5]}, "2 values for images of 1 channels"),
        ({"mean": ["0.5"]}, "its mean is"),
        ({"mean": 0.5}, "its mean is"),
        ({"std": [0.0]}, "its std is"),
        ({"std": [-1.0]}, "its std is"),
        ({"std": [float("nan")]}, "holds NaN"),
        ({"mean": [float("inf")]}, "holds Infinity"),
        ({"data": 7}, "its data is 7"),
        ({"data": "a\x1b[2J"}, r"its data is 'a\\x1b\[2J'"),
        ({"classes": "abc"}, "its classes are 'abc'"),
        ({"classes": ["a", "b", 3]}, "its classes are"),
        ({"classes": ["a"]}, "names 1 classes, its architecture has 3"),
        ({"classes": ["a", "b", "c\n"]}, "its class is"),
        ({"classes": ["a", "b", "a"]}, "names the class 'a' 2 times"),
        ({"classes": ["\u00e4", "b", "a\u0308"]}, r"names the class '\\xe4' 2 times"),  # the same to label_map
    ],
)
def test_values_that_cannot_be_are_named(
    tensors: dict[str, Tensor], changes: dict[str, object], words: str, tmp_path: Path
) -> None:
    path = written(tmp_path, tensors, metadata(**changes))
    with pytest.raises(UsageError, match=words) as caught:
        load(path)
    assert len(str(caught.value).splitlines()) == 1
    with pytest.raises(UsageError, match=words):
        evaluate_checkpoint(path, None, None, [], "cpu", True)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ('{"name": "resnet20", "channels": ' + "9" * 5000 + "}", "an integer of 5,000 digits"),
        ("[" * 100_000, "nested more than 8 deep"),
        ("resnet20", "it is not JSON"),
        ('{"name": "\\ud800"}', "half of a Unicode character"),
    ],
)
def test_text_that_is_hostile_is_refused(tensors: dict[str, Tensor], raw: str, words: str, tmp_path: Path) -> None:
    path = written(tmp_path, tensors, metadata() | {"architecture": raw})
    with pytest.raises(UsageError, match=words):
        load(path)


def test_a_later_format_is_not_guessed_at(tensors: dict[str, Tensor], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="of the format 'prunetui/2'; this version reads prunetui/1"):
        load(written(tmp_path, tensors, metadata() | {"format": "prunetui/2"}))


def test_tensors_that_do_not_make_the_network(tensors: dict[str, Tensor], tmp_path: Path) -> None:
    short = {name: tensor for name, tensor in tensors.items() if name != "linear.bias"}
    wide = {**tensors, "layer1.0.conv2.weight": torch.zeros(5, 2, 3, 3)}
    flat = {**tensors, "conv1.weight": torch.zeros(18)}
    for changed in (short, wide, flat, {}):
        with pytest.raises(UsageError, match="do not make the resnet20 that it says"):
            load(written(tmp_path, changed, metadata()))
    other = metadata(**architecture(classes=4), classes=["a", "b", "c", "d"])
    with pytest.raises(UsageError, match="3 values an image for 4 classes"):
        load(written(tmp_path, tensors, other))


def raw_header(header: bytes, length: int | None = None) -> bytes:
    return (len(header) if length is None else length).to_bytes(8, "little") + header


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (raw_header(b"{" + b" " * (100 << 20) + b"}"), "its header has 104,857,602 bytes; at most are read 16,777,216"),
        (raw_header(b"{}", 1 << 63), "neither a PyTorch checkpoint"),
        (raw_header(b"{}", 1 << 31), "the file has 2"),
        (raw_header(b'{"a":' * 200_000), "nested more than 4 deep"),
        (raw_header(b'{"a":{"dtype":"F32","shape":[' + b"9" * 5000 + b'],"data_offsets":[0,4]}}'), "5,000 digits"),
        (raw_header(b'{"a":{"dtype":"F32","shape":[99999999999],"data_offsets":[0,4]}}' + bytes(4), 64), "cannot read"),
        (raw_header(b"[]"), "nor a safetensors file"),
        (raw_header(b'{"__metadata__":{"format":1}}'), "not texts by name"),
        (raw_header(b'{"a\\u001b":{}}'), "a tensor of the name"),
        (raw_header(b'{"' + b"9" * 5000 + b'.weight":{}}'), "a tensor of the name"),
        (b"", "cannot read"),
        (b"\0" * 7, "cannot read"),
    ],
)
def test_headers_of_safetensors_have_limits(content: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    path.write_bytes(content)
    began = time.monotonic()
    with pytest.raises(UsageError, match=words) as caught:
        read_checkpoint(path)
    assert len(str(caught.value).splitlines()) == 1
    assert time.monotonic() - began < 5


def test_the_headers_of_programs_are_one_object() -> None:
    assert parse_header(json.dumps(HEADER)) == HEADER
    assert parse_header(b"{}") == {}
    for text, words in (("[]", "not an object"), ("", "not JSON"), ('{"mean": []}', "its mean is"), (b"\xff", "UTF-8")):
        with pytest.raises(ValueError, match=words):
            parse_header(text)


DIGITS = [str(digit) for digit in range(10)]


def test_a_header_cannot_make_evaluate_allocate_or_guess(tensors: dict[str, Tensor], tmp_path: Path) -> None:
    ten = {**NET.plain(), "classes": 10}
    huge = metadata(architecture={**ten, "name": "vgg19", "width": 4096}, classes=DIGITS)
    with pytest.raises(UsageError, match="does not fit the model"):  # 370 GB of weights, were they made
        evaluate_checkpoint(written(tmp_path, tensors, huge), None, None, ["data.limit=100"], "cpu", True)
    torn = {**build(Architecture(**ten)).state_dict(), "layer1.0.conv1.weight": torch.zeros(5, 2, 3, 3)}
    path = written(tmp_path, torn, metadata(architecture=ten, classes=DIGITS))
    with pytest.raises(UsageError, match=r"do not make the resnet20 that it says|does not fit"):
        evaluate_checkpoint(path, None, None, ["data.limit=100"], "cpu", True)
    half = {key: value for key, value in metadata().items() if key not in ("data", "std")}
    with pytest.raises(UsageError, match="does not say its data and std"):
        evaluate_checkpoint(written(tmp_path, tensors, half), None, None, [], "cpu", True)


@pytest.mark.parametrize("name", ['digits"\nmodel.name = "vgg11', "digits'", "d\\u00e9j", "😀", "'''", "x" * 5000])
def test_the_name_of_a_data_set_is_a_name(tensors: dict[str, Tensor], name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"its data is|data\.name"):
        evaluate_checkpoint(written(tmp_path, tensors, metadata(data=name)), None, None, [], "cpu", True)
