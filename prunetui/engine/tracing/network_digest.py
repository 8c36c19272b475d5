"""A digest of all that decides what is proved of a network: its code, its make-up, its shapes, and versions.

Values of parameters and of inputs that are floats are no part of it, since proofs are made with random ones; buffers
are part of the code. Where only parts were proved, these values decided what called them: such proofs are not kept.
"""

from __future__ import annotations

import hashlib
import json
import platform
import sys
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_structure

from prunetui import __version__
from prunetui.engine.tracing.cut_tensors import named_tensors
from prunetui.engine.tracing.probe_network import Example
from prunetui.tree.step_code import SOURCES

PLAIN = (bool, int, float, str, bytes, type(None), complex, torch.dtype, torch.Size)
STATISTICS = ("running_mean", "running_var", "num_batches_tracked")
OWN = frozenset(vars(nn.Module()))
"""What every module has; its parts are looked at one by one."""
DEEPEST = 4


class NotInFile(Exception):
    """A class whose code lies in no file."""


def network_digest(model: nn.Module, examples: Sequence[Example], purpose: str) -> str | None:
    """The digest for one ``purpose``; None where some code of the network is in no file, as when it was typed in."""
    try:
        facts = {
            "purpose": purpose,
            "versions": [__version__, torch.__version__, platform.python_version(), platform.machine()],
            "proofs": SOURCES.digest(file.as_posix() for file in sorted(Path(__file__).parent.rglob("*.py"))),
            "code": sorted(_sources(model)),
            "modules": [_module(name, part) for name, part in model.named_modules(remove_duplicate=False)],
            "tensors": list(_tensors(model)),
            "examples": [[str(tree_structure(one)), [_input(leaf) for leaf in tree_leaves(one)]] for one in examples],
        }
    except NotInFile:
        return None
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _module(name: str, module: nn.Module) -> list[Any]:
    own = {key: _value(value, DEEPEST) for key, value in vars(module).items() if key not in OWN}
    hooks = [_value(list(of.values()), DEEPEST) for key, of in vars(module).items() if is_hooks(key, of)]
    return [name, f"{type(module).__module__}.{type(module).__qualname__}", own, hooks]


def is_hooks(key: str, value: Any) -> bool:
    """Whether an attribute of a module holds hooks, and no number of somebody's that is called so."""
    return key.endswith("_hooks") and isinstance(value, Mapping)


def _value(value: Any, depth: int) -> Any:
    """Something that a module holds, as plain data: by value where it is simple, else by what it is."""
    if isinstance(value, PLAIN):
        return repr(value)
    if isinstance(value, Tensor):
        return _of_tensor(value)
    if isinstance(value, FunctionType | MethodType):
        return _of_code(value.__code__)
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    if not depth or isinstance(value, nn.Module | ModuleType | type):
        return getattr(value, "__qualname__", kind)
    if isinstance(value, Mapping):
        return [kind, sorted([repr(key), _value(part, depth - 1)] for key, part in value.items())]
    if isinstance(value, list | tuple | set | frozenset):
        parts = [_value(part, depth - 1) for part in value]
        return [kind, sorted(parts, key=repr) if isinstance(value, set | frozenset) else parts]
    held = vars(value) if hasattr(value, "__dict__") else {}
    name = getattr(value, "__qualname__", getattr(value, "__name__", ""))
    return [kind, str(name), {str(key): _value(part, depth - 1) for key, part in held.items()}]


def _of_code(code: CodeType) -> str:
    """By its instructions and constants: where it stands in its file does not matter."""
    parts = [_of_code(part) if isinstance(part, CodeType) else repr(part) for part in code.co_consts]
    return hashlib.sha256(code.co_code + json.dumps([code.co_names, parts]).encode()).hexdigest()


def _of_tensor(tensor: Tensor) -> str:
    values = tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes() if tensor.numel() else b""
    return f"{tensor.dtype} {tuple(tensor.shape)} {hashlib.sha256(values).hexdigest()}"


def _tensors(model: nn.Module) -> Iterator[list[Any]]:
    """Every tensor by name, with the name of the one that it is tied to."""
    first: dict[int, str] = {}
    for name, tensor in named_tensors(model).items():
        valued = not isinstance(tensor, nn.Parameter) and not name.endswith(STATISTICS)
        what = _of_tensor(tensor) if valued else f"{tensor.dtype} {tuple(tensor.shape)}"
        yield [name, first.setdefault(id(tensor), name), what]


def _input(leaf: Any) -> Any:
    """Numbers that count something, as words do, decide what is computed."""
    if isinstance(leaf, Tensor):
        return f"{leaf.dtype} {tuple(leaf.shape)}" if leaf.is_floating_point() else _of_tensor(leaf)
    return _value(leaf, DEEPEST)


def _sources(model: nn.Module) -> Iterator[str]:
    """The files that the network's classes are in, by name and digest, and what lies beside the user's own."""
    names = {base.__module__ for part in model.modules() for base in type(part).__mro__}
    for name in sorted(name for name in names if name.split(".")[0] not in ("torch", "builtins")):
        file = getattr(sys.modules.get(name), "__file__", None)
        if file is None or not Path(file).is_file():
            raise NotInFile(name)
        top = sys.modules.get(name.split(".")[0])
        yield f"{name} {getattr(top, '__version__', '')} {_of_file(Path(file))}"
        if not _is_installed(Path(file)) and not name.startswith(f"{__package__.partition('.')[0]}."):
            yield from _beside(name, Path(file).resolve())


def _is_installed(file: Path) -> bool:
    paths = sysconfig.get_paths()
    return any(file.is_relative_to(paths[key]) for key in ("purelib", "platlib", "stdlib"))


def _beside(name: str, file: Path) -> Iterator[str]:
    """What has been imported from the same folder, or of the same package: a network may compute with it."""
    folder = file.parents[min(name.count("."), len(file.parents) - 1)]
    for module in list(sys.modules.values()):
        other = getattr(module, "__file__", None)
        if isinstance(other, str) and _is_own(Path(other), folder):
            yield f"{module.__name__} {_of_file(Path(other))}"


def _is_own(file: Path, folder: Path) -> bool:
    inside = file.suffix == ".py" and file.resolve().is_relative_to(folder)
    return inside and not _is_installed(file) and file.is_file()


def _of_file(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
