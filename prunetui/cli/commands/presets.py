"""``prunetui presets``."""

from __future__ import annotations

from prunetui.cli.arguments import Json, Runs


def presets(json: Json = False, runs: Runs = None) -> None:
    """List the studies that ship with prunetui."""
    from prunetui.cli.list_offers import print_presets

    print_presets(json)
