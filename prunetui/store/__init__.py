"""Runs on disk: the bus between whoever executes and whoever looks. Torch-free."""

from prunetui.store.run_folder import Run, Status, Tail
from prunetui.store.run_list import create_run, find_run, list_runs
from prunetui.store.step_cache import Cache

__all__ = ["Cache", "Run", "Status", "Tail", "create_run", "find_run", "list_runs"]
