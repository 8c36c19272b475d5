"""Executes trials in worker processes on this machine, one or several at once."""

from prunetui.execute.executors.processes.process_executor import ProcessExecutor

__all__ = ["ProcessExecutor"]
