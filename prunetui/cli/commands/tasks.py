"""``prunetui tasks``."""

from __future__ import annotations

from prunetui.cli.arguments import Json, Runs


def tasks(json: Json = False, runs: Runs = None) -> None:
    """List the tasks that a study can name."""
    from prunetui.cli.list_contributions import print_tasks

    print_tasks(json)
