"""Import the file of a contribution and return what it contributes. This runs it; most import torch."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

from prunetui.errors import PrunetuiError, UsageError
from prunetui.files.regular import read_regular
from prunetui.plugins.contribution import Contribution
from prunetui.plugins.sibling_files import MOST_BYTES, digest_with, imported_beside, make_importable

REGISTRY = "prunetui.api.registry"
BY_FILE = "prunetui_file_"
"""Before the name of a module that was loaded by its file, as another one has its name."""


def load_object(found: Contribution) -> Any:
    """The class or function of a contribution.

    Raises:
        UsageError: the user's file was changed since it was read, or cannot be imported.
    """
    module = _own(found) if found.origin == "file" else _imported(found)
    registry = sys.modules.get(REGISTRY)  # which imports torch: what has not asked for it is not registered there
    name = found.name.rpartition(":")[2] if found.origin == "file" else found.name
    known = registry.registered(found.kind, name, module.__name__) if registry else None
    return getattr(module, found.symbol) if known is None else known


def _imported(found: Contribution) -> ModuleType:
    """The very file that was read: another folder on the path may hold a module of the same name."""
    loaded = sys.modules.get(found.module)
    if loaded is not None and is_from(loaded.__spec__, found.file):
        return loaded
    if is_from(spec_of(found.module), found.file):
        return importlib.import_module(found.module)
    name = found.module if found.origin == "built-in" else f"{BY_FILE}{found.module}"
    if name in sys.modules:
        return sys.modules[name]
    return _executed(name, found.file, read_regular(found.file, MOST_BYTES))


def _own(found: Contribution) -> ModuleType:
    """The user's file as a module, which is named after its content."""
    if found.module in sys.modules:
        return sys.modules[found.module]
    source = read_regular(found.file, MOST_BYTES)
    beside = imported_beside(found.file, source)
    if digest_with(source, beside) != found.digest:
        files = f"{found.file} or what it imports beside it" if beside else found.file
        raise UsageError(f"{files} was changed while it was in use; start again")
    make_importable(found.file, beside)
    try:
        return _executed(found.module, found.file, source)
    except Exception as error:
        raise UsageError(f"{found.file} cannot be imported: {type(error).__name__}: {error}") from error


def _executed(name: str, file: Path, source: bytes) -> ModuleType:
    """Run ``source``, the content of ``file``, as the module ``name``; nothing is written beside the file."""
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None:
        raise PrunetuiError(f"{file} is no Python file that can be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    try:
        with contextlib.redirect_stdout(sys.stderr):  # stdout is for data
            exec(compile(source, str(file), "exec"), module.__dict__)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def spec_of(module: str) -> ModuleSpec | None:
    """Where the path leads for a module; finding out imports the packages it is in, and nothing else."""
    try:
        return importlib.util.find_spec(module)
    except ModuleNotFoundError:  # the package is not there: methods of a checkout are not in prunetui's folder
        return None


def is_from(spec: ModuleSpec | None, file: Path) -> bool:
    """Whether it is this very file that would be imported."""
    return spec is not None and spec.origin is not None and Path(spec.origin).resolve() == file.resolve()
