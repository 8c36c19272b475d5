"""What ``torch.save`` wrote, read by ``weights_only``: no code in a file is run.

Beside weights people save numbers of NumPy, command lines, paths, dates and states of random generators. None of them
is needed, so what stands for them here does nothing and imports nothing: it takes the arguments and keeps none. Only
NumPy arrays are read, from their bytes and by our own few lines, because some state dicts consist of them.
"""

from __future__ import annotations

import pickle
import re
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from prunetui.engine.models.file_kind import refused
from prunetui.formats.pickle_limits import check_limits
from prunetui.formats.refused import Refused, reason

SAVE = "save model.state_dict() alone, or use safetensors"
ARRAY_TYPES = re.compile(r"[fiu][1248]|b1")
PROTOCOL = re.compile(r"Unsupported operand \d+")
GLOBAL = re.compile(r"GLOBAL (\S+)")


class Ignored:
    """Stands for an object beside the weights: takes whatever it is made of and keeps nothing."""

    def __new__(cls, *arguments: object, **options: object) -> Ignored:
        return object.__new__(cls)

    def __init__(self, *arguments: object, **options: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        """Nothing is kept."""


class ArrayType:
    """A NumPy type by its letter and size, ``f4``; its byte order comes as its state."""

    def __init__(self, code: object = "", *flags: object) -> None:
        self.code, self.order = code if isinstance(code, str) else "", "<"

    def __setstate__(self, state: Any) -> None:
        self.order = ">" if isinstance(state, tuple) and state[1:2] == (">",) else "<"


class Array:
    """A NumPy array as it lies in the file."""

    def __init__(self, *arguments: object) -> None:
        self.state: Any = ()

    def __setstate__(self, state: object) -> None:
        self.state = state

    def tensor(self) -> Tensor | None:
        """Its numbers; None where it holds anything else."""
        if not isinstance(self.state, tuple) or len(self.state) != 5:
            return None
        _, shape, kind, fortran, raw = self.state
        if not isinstance(kind, ArrayType) or not ARRAY_TYPES.fullmatch(kind.code) or not isinstance(raw, bytes):
            return None
        try:
            flat = np.frombuffer(raw, np.dtype(kind.order + kind.code))
            array = flat.reshape(shape, order="F" if fortran else "C")
        except (TypeError, ValueError, MemoryError):
            return None
        if array.dtype.kind == "u" and array.dtype.itemsize > 1:  # torch computes with few unsigned integers
            array = array.astype(np.int64)
        return torch.from_numpy(np.ascontiguousarray(array.astype(array.dtype.newbyteorder("="), copy=True)))


def an_array(*arguments: object) -> Array:
    """Stands for ``numpy._reconstruct``."""
    return Array()


def a_dict(*arguments: object) -> OrderedDict[Any, Any]:
    """Stands for a ``defaultdict``, whose factory is not needed."""
    return OrderedDict()


def a_list(items: Iterable[Any] = (), *arguments: object) -> list[Any]:
    """Stands for a ``deque``."""
    return list(items) if isinstance(items, list | tuple) else []


IGNORED = (
    "argparse.Namespace",
    "types.SimpleNamespace",
    *(f"{module}.{kind}" for module in ("pathlib", "pathlib._local") for kind in (
        "Path", "PosixPath", "WindowsPath", "PurePath", "PurePosixPath", "PureWindowsPath",
    )),
    *(f"datetime.{kind}" for kind in ("datetime", "date", "time", "timedelta", "timezone")),
    "decimal.Decimal",
    "fractions.Fraction",
    "uuid.UUID",
    "torch.torch_version.TorchVersion",
    "numpy.bool_", "numpy.bool",
    *(f"numpy.{kind}{bits}" for kind in ("int", "uint", "float") for bits in (8, 16, 32, 64)),
    *(f"numpy{core}.multiarray.scalar" for core in (".core", "._core")),
    *(f"numpy.random._pickle.__{kind}_ctor" for kind in ("generator", "bit_generator", "randomstate")),
    *(f"numpy.random.{name}" for name in (
        "_mt19937.MT19937", "_pcg64.PCG64", "_pcg64.PCG64DXSM", "_philox.Philox", "_sfc64.SFC64",
        "bit_generator.SeedSequence", "bit_generator.__pyx_unpickle_SeedSequence",
    )),
    "builtins.int", "builtins.float", "builtins.str", "builtins.bool", "builtins.list", "builtins.dict",
    "builtins.tuple", "builtins.frozenset", "builtins.range", "builtins.slice",
)  # fmt: skip
"""Globals that are harmless because nothing of them is called: ``Ignored`` stands for each."""
LIGHTNING = (
    "pytorch_lightning.utilities.parsing", "lightning.pytorch.utilities.parsing",
    "lightning_fabric.utilities.data", "lightning.fabric.utilities.data",
)  # fmt: skip
"""Modules whose ``AttributeDict`` holds the settings in every checkpoint of Lightning; it is a dict."""
STANDING_IN: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    *((Ignored, name) for name in IGNORED),
    *((an_array, f"numpy{core}.multiarray._reconstruct") for core in (".core", "._core")),
    (Array, "numpy.ndarray"),
    (ArrayType, "numpy.dtype"),
    (a_dict, "collections.defaultdict"),
    (a_list, "collections.deque"),
    *((dict, f"{module}.AttributeDict") for module in LIGHTNING),
]


def unpickled(path: Path) -> object:
    """The contents of a file that ``torch.save`` wrote.

    Raises:
        UsageError: it is damaged, or holds what is not loaded, which is named.
    """
    try:
        check_limits(path)
        # Opened here: of a path, torch believes the ending.
        with path.open("rb") as file, torch.serialization.safe_globals(STANDING_IN), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's, of its pickle protocols and storages
            return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # noqa: BLE001 - a damaged file raises whatever its bytes lead to
        raise refused(path, _reason(error)) from None


def _reason(error: Exception) -> str:
    text = str(error)
    if isinstance(error, Refused):
        return reason(error)
    named = GLOBAL.search(text)
    if named:
        return (
            f"it holds a `{named[1]}` beside the weights or instead of them, which is not loaded, because a pickle "
            f"can run code; {SAVE}"
        )
    if isinstance(error, pickle.UnpicklingError):
        if PROTOCOL.search(text):
            return f"it is damaged, or was saved with a pickle protocol other than 2, the default of torch.save; {SAVE}"
        first = text.splitlines()[-1].removeprefix("Error: ")[:200] if text else "UnpicklingError"
        return f"it is damaged, or more than data, and nothing else is loaded, because a pickle can run code ({first})"
    if isinstance(error, EOFError):
        return "it is not whole: download or copy it again"
    if isinstance(error, MemoryError) or "can't allocate memory" in text:
        return "it claims to hold more than this machine has memory for"
    first = text.splitlines()[0][:200] if text else type(error).__name__
    return f"it is damaged, or no checkpoint ({first})"
