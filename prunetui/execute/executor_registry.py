"""Executors by name: the files of the folder ``executors``, and the user's own files as ``FILE.py:NAME``."""

from __future__ import annotations

import difflib
import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from prunetui.errors import UsageError
from prunetui.execute.executor import ExecutionContext, Executor

ExecutorFactory = Callable[[ExecutionContext], Executor]
Factory = TypeVar("Factory", bound=ExecutorFactory)
ATTRIBUTE = "executor_name"
PACKAGE = "prunetui.execute.executors"
FOLDER = Path(__file__).parent / "executors"


def executor(name: str) -> Callable[[Factory], Factory]:
    """Give an executor the name by which it is chosen; that of a built-in one is the name of its file."""

    def with_name(factory: Factory) -> Factory:
        setattr(factory, ATTRIBUTE, name)
        return factory

    return with_name


def executor_names() -> list[str]:
    """The built-in executors."""
    return sorted(file.stem for file in FOLDER.glob("*.py") if file.stem != "__init__")


def find_executor(wanted: str) -> ExecutorFactory:
    """The executor of this name.

    Raises:
        UsageError: there is none.
    """
    file, _, name = wanted.rpartition(":")
    module = _load_file(Path(file)) if file else _load_built_in(name)
    for value in vars(module).values():
        if getattr(value, ATTRIBUTE, None) == name:
            found: ExecutorFactory = value
            return found
    raise UsageError(f'{file or module.__name__} has no executor "{name}": mark its class with @executor("{name}")')


def _load_built_in(name: str) -> ModuleType:
    names = executor_names()
    if name not in names:
        near = difflib.get_close_matches(name, names, 1)
        hint = f'did you mean "{near[0]}"?' if near else f"there are {', '.join(names)}, and your own as FILE.py:NAME"
        raise UsageError(f'there is no executor "{name}"; {hint}')
    return importlib.import_module(f"{PACKAGE}.{name}")


def _load_file(file: Path) -> ModuleType:
    if not file.is_file():
        raise UsageError(f"there is no file {file} with an executor")
    name = f"prunetui_executor_{hashlib.sha256(str(file.resolve()).encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise UsageError(f"{file} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise UsageError(f"the executor {file} cannot be loaded: {type(error).__name__}: {error}") from error
    return module
