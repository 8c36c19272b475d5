"""``prunetui models``."""

from __future__ import annotations

from prunetui.cli.arguments import Json, Runs


def models(json: Json = False, runs: Runs = None) -> None:
    """List the models that a study can name."""
    from prunetui.cli.list_contributions import print_models

    print_models(json)
