"""Executors by name: built in, announced by packages, and in the user's own files as ``FILE.py:NAME``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from prunetui.execute.executor import ExecutionContext, Executor
from prunetui.plugins.catalogue import catalogue, contribution
from prunetui.plugins.import_file import load_object

ExecutorFactory = Callable[[ExecutionContext], Executor]
Factory = TypeVar("Factory", bound=ExecutorFactory)


def executor(name: str) -> Callable[[Factory], Factory]:
    """Say by which name an executor is chosen: the catalogue reads it from the source.

    The same as ``prunetui.api.executor`` for executors that do without torch, which ``prunetui.api`` imports.
    """
    return lambda factory: factory


def executor_names() -> list[str]:
    """The executors that are built in or installed."""
    return list(catalogue("executor").found)


def find_executor(wanted: str) -> ExecutorFactory:
    """The executor of this name.

    Raises:
        UsageError: there is none.
    """
    found: ExecutorFactory = load_object(contribution("executor", wanted))
    return found
