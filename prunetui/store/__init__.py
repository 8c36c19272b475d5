"""Runs on disk: the bus between whoever executes and whoever looks. Torch-free."""

from prunetui.store.cache import Cache
from prunetui.store.run import Run, Status, Tail
from prunetui.store.runs import create_run, find_run, list_runs

__all__ = ["Cache", "Run", "Status", "Tail", "create_run", "find_run", "list_runs"]
