"""Opens mutated model files one after the other in this process, under an audit hook: no code, no write, no traceback.

``python mutated_files.py KIND SEED COUNT FOLDER`` prints how many were opened and how many refused, as JSON, and dies
of whatever else happens; the case it was at is in FOLDER.
"""

from __future__ import annotations

import copy
import faulthandler
import json
import logging
import os
import random
import resource
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hostile_pt2
import onnx
import torch
from safetensors.torch import save

from prunetui.engine.from_normalised import FromNormalised
from prunetui.engine.loading import load, load_exported, load_onnx
from prunetui.engine.models import Architecture, build
from prunetui.engine.onnx import onnx_bytes
from prunetui.errors import PrunetuiError

SECONDS = 60
"""For one file; a busy machine takes a tenth of one."""
MEMORY = 16 << 30
NET = Architecture("resnet20", 1, 4, 3, "B", 2)
HEADER = {"architecture": NET.plain(), "mean": [0.5], "std": [0.25], "data": "digits", "classes": ["a", "b", "c"]}
EVIL = "__import__('os').system('touch executed')"
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2, 7, 1 << 31, (1 << 63) - 1, -(1 << 63), 1 << 64, 10**30, 10**5000, 1e308, 0.0, -2.5,
    "", "x", EVIL, "x" * 3000, "\x1b[2J", "../../x", "torch.os.system", "torch.ops.aten.from_file.default",
    "torch.ops.aten.add.Tensor", "torch.ops.aten.view.default", "_operator.mul", [], {}, [[]], [1, 2], {"as_int": 3},
    {"as_ints": [0, -1]}, {"as_tensor": {"name": "pixels"}}, {"as_string": EVIL}, {"as_none": True}, {"as_graph": {}},
)  # fmt: skip
_FORBIDDEN = (
    "os.system", "subprocess.Popen", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.remove", "os.rename",
    "os.mkdir", "os.symlink", "os.link", "shutil", "socket", "ctypes.dlopen", "pickle.find_class", "os.putenv",
)  # fmt: skip


def no_code(folder: Path) -> None:
    """From now on running code, or writing anything but the case, ends the process; imports are no code of the file."""
    installed = (sys.prefix, sys.base_prefix, "<frozen", str(Path(__file__).parents[1]))

    def hook(event: str, args: tuple[Any, ...]) -> None:
        bad = event.startswith(_FORBIDDEN)
        if event == "open":
            mode = args[1] if isinstance(args[1], str) else ""
            bad = any(letter in mode for letter in "wax+") and Path(str(args[0])).parent != folder
        elif event == "exec":
            bad = not str(getattr(args[0], "co_filename", "")).startswith(installed)
        elif event == "compile":
            bad = args[0] is not None and EVIL[:12] in str(args[0])
        if bad:
            faulthandler.dump_traceback()
            sys.stderr.write(f"\nforbidden: {event} {str(args)[:300]}\n")
            sys.stderr.flush()
            os._exit(99)

    sys.addaudithook(hook)


def sample(kind: str) -> bytes:
    """A good file."""
    torch.manual_seed(0)
    net = build(NET).eval()
    if kind == "pt2":
        archive = hostile_pt2.tiny()[1]
        return hostile_pt2.rewritten(archive, {}, **{"archive/extra/prunetui.json": json.dumps(HEADER).encode()})
    if kind == "onnx":
        return onnx_bytes(net, torch.rand(1, 1, 4, 4), HEADER)
    about = {"format": "prunetui/1", **{key: json.dumps(value) for key, value in HEADER.items()}}
    return bytes(save(net.state_dict(), metadata=about))


def opened(kind: str, path: Path) -> None:
    """What ``evaluate`` does with a file, for two images."""
    images = torch.linspace(-1, 1, 32).view(2, 1, 4, 4)
    if kind == "safetensors":
        net = load(path)
        with torch.no_grad():
            net(images[:, :, : net.mean.shape[2]].expand(2, len(net.mean[0]), 4, 4))
        return
    run, header = load_onnx(path) if kind == "onnx" else load_exported(path)
    with torch.no_grad():
        FromNormalised(run, {**HEADER, **header}, path)(images)


def bytes_changed(data: bytes, draw: random.Random) -> bytes:
    changed = bytearray(data)
    how = draw.randrange(5)
    if how == 0:
        return bytes(changed[: draw.randrange(len(changed))])
    if how == 1:
        at, length, source = (draw.randrange(len(changed)) for _ in range(3))
        changed[at : at + length % 200] = changed[source : source + length % 300]
        return bytes(changed)
    for _ in range(draw.choice((1, 2, 8, 64))):
        at = draw.randrange(len(changed)) if how > 2 else -draw.randrange(1, min(len(changed), 2000))
        changed[at] = draw.choice((0, 255, 0x7F, draw.randrange(256), changed[at] ^ (1 << draw.randrange(8))))
    return bytes(changed)


def value_changed(document: Any, draw: random.Random) -> Any:
    """JSON with one value, somewhere, replaced, removed, repeated or swapped for another of its own."""
    document = copy.deepcopy(document)
    places: list[tuple[Any, Any]] = []
    waiting = [document]
    while waiting:
        now = waiting.pop()
        keys = list(now) if isinstance(now, dict) else list(range(len(now))) if isinstance(now, list) else []
        places += [(now, key) for key in keys]
        waiting += [now[key] for key in keys]
    if not places:
        return draw.choice(VALUES)
    for _ in range(draw.choice((1, 1, 1, 3))):
        parent, key = draw.choice(places)
        other, its = draw.choice(places)
        how = draw.randrange(5)
        if not _there(parent, key):  # an earlier change removed it
            continue
        if how == 0:
            del parent[key]
        elif how == 1 and isinstance(parent, list):
            parent.insert(key, copy.deepcopy(parent[key]))
        elif how == 2 and _there(other, its):
            parent[key] = copy.deepcopy(other[its])
        elif how == 3 and isinstance(parent, dict):
            parent[draw.choice((EVIL, "", "__class__", "x" * 3000, "self"))] = parent.pop(key)
        else:
            parent[key] = draw.choice(VALUES)
    return document


def _there(parent: Any, key: Any) -> bool:
    return key in parent if isinstance(parent, dict) else key < len(parent)


def dumped(document: Any) -> bytes:
    """As JSON, the numbers that Python refuses to print included."""
    huge = "1" * 5000
    return json.dumps(_without_huge(document)).replace('"HUGE"', huge).encode()


def _without_huge(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_huge(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_huge(item) for item in value]
    return "HUGE" if type(value) is int and abs(value) > 10**40 else value


def pt2_changed(data: bytes, draw: random.Random) -> bytes:
    parts = ["archive/extra/prunetui.json", hostile_pt2.WEIGHTS, *[hostile_pt2.MODEL] * 6]
    name = draw.choice(parts)
    return hostile_pt2.rewritten(data, {name: lambda part: dumped(value_changed(json.loads(part), draw))})


def safetensors_changed(data: bytes, draw: random.Random) -> bytes:
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    if draw.randrange(2):
        about = header["__metadata__"]
        key = draw.choice([key for key in about if key != "format"])
        about[key] = dumped(value_changed([json.loads(about[key])], draw))[1:-1].decode()
    else:
        header = value_changed(header, draw)
    text = dumped(header)
    return len(text).to_bytes(8, "little") + text + data[8 + length :]


def onnx_changed(data: bytes, draw: random.Random) -> bytes:
    proto = onnx.load_model_from_string(data)
    graph = proto.graph
    node, tensor = draw.choice(graph.node), draw.choice(graph.initializer)
    how = draw.randrange(8)
    if how == 0:
        about = proto.metadata_props[0]
        about.value = dumped(value_changed(json.loads(about.value), draw)).decode()
    elif how == 1:
        node.op_type = draw.choice(("Loop", "Resize", "Expand", "Tile", "Gather", "Reshape", "Nothing", "Add", "If"))
    elif how == 2 and node.attribute:
        attribute = draw.choice(node.attribute)
        attribute.i = draw.choice((0, -1, 1 << 31, (1 << 63) - 1))
        attribute.ints[:] = [draw.choice((0, -1, 1, 1 << 31, (1 << 63) - 1)) for _ in attribute.ints]
    elif how == 3:
        tensor.dims[draw.randrange(len(tensor.dims)) :] = [draw.choice((0, -1, 1 << 31, (1 << 62)))]
    elif how == 4:
        tensor.data_location = onnx.TensorProto.EXTERNAL
        entry = tensor.external_data.add()
        entry.key, entry.value = "location", draw.choice(("../x", "/etc/passwd", "file", "*/_ORT_MEM_ADDR_/*", ""))
    elif how == 5:
        node.input[draw.randrange(len(node.input))] = draw.choice([*node.output, "pixels", "nothing", ""])
    elif how == 6:
        tensor.data_type = draw.randrange(30)
    else:
        graph.node.insert(draw.randrange(len(graph.node)), draw.choice(graph.node))
    return bytes(proto.SerializeToString())


CHANGES: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "pt2": pt2_changed,
    "onnx": onnx_changed,
    "safetensors": safetensors_changed,
}


def check_words(message: str) -> None:
    """One line without control characters."""
    assert message.isprintable(), repr(message)


def main(kind: str, seed: int, count: int, folder: Path) -> None:
    """Try ``count`` files."""
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    data, path = sample(kind), folder / f"case.{kind}"
    path.write_bytes(data)
    opened(kind, path)
    outcomes = {"opened": 0, "refused": 0}
    no_code(folder)
    for index in range(count):
        draw = random.Random(f"{seed}/{index}")
        change = CHANGES[kind] if index % 3 else bytes_changed
        path.write_bytes(change(data, draw))
        faulthandler.dump_traceback_later(SECONDS, exit=True)
        try:
            opened(kind, path)
            outcomes["opened"] += 1
        except PrunetuiError as error:
            outcomes["refused"] += 1
            check_words(str(error))
    print(json.dumps(outcomes))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
