"""What the listing commands print about methods and presets. Torch-free."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from rich.padding import Padding
from rich.text import Text

from prunetui.terminal.output import console, print_json, say, table
from prunetui.terminal.printable import one_line

if TYPE_CHECKING:
    from prunetui.plugins.method_catalogue import MethodInfo

FAMILY_ORDER = ("weights", "kernels", "channels", "sharing", "sequence")


def print_methods(as_json: bool) -> None:
    """All methods by family: what they are, their options with defaults and help, where they come from."""
    from prunetui.plugins.method_catalogue import catalogue

    found = catalogue()
    infos = found.methods.values()
    if as_json:
        print_json([method_object(info) for info in infos])
    else:
        families = dict.fromkeys([*FAMILY_ORDER, *(info.family for info in infos)])
        for family in families:
            _print_family(family, [info for info in infos if info.family == family])
    for problem in found.problems:
        say(f"warning: {problem}", err=True)


def _print_family(family: str, infos: list[MethodInfo]) -> None:
    out = console()
    if infos:
        out.print(Text(f"{one_line(family)}\n", "bold underline"))
    for info in infos:
        out.print(Text.assemble((one_line(info.name), "bold"), one_line(f"  {info.summary}")))
        for option in info.options:
            told = Text(one_line(f"{option.name} = {json.dumps(option.default)}  {option.help}"))
            out.print(Padding(told, (0, 0, 0, 4), expand=False))
        schedules = f"; only {', '.join(info.schedules)}" if info.schedules else ""
        schedules += f"; by default {info.schedule}" if info.schedule else ""
        about = Text(one_line(f"target {', '.join(info.targets)}{schedules}; source {info.source}"), "dim")
        out.print(Padding(about, (0, 0, 1, 4), expand=False))


def method_object(info: Any) -> dict[str, Any]:
    """A method as JSON."""
    return {
        "name": info.name,
        "family": info.family,
        "summary": info.summary,
        "source": info.source,
        "targets": list(info.targets),
        "options": [{"name": o.name, "type": o.annotation, "default": o.default, "help": o.help} for o in info.options],
    }


def print_method(name: str, as_json: bool) -> None:
    """One method: its whole docstring, source and options."""
    from prunetui.plugins.method_catalogue import method_info

    info = method_info(name)
    if as_json:
        print_json({**method_object(info), "doc": info.doc})
        return
    say(f"{info.name} ({info.family})", "", *info.doc.split("\n"), "", f"source: {info.source}")
    say(f"targets: {', '.join(info.targets)}")
    if info.options:
        say("options:")
    for option in info.options:
        say(f"  {option.name} = {json.dumps(option.default)}    {option.annotation}", f"      {option.help}")


def print_presets(as_json: bool) -> None:
    """The packaged studies with their first comment line."""
    from prunetui.config.read_study import preset_names, preset_summary

    about = [{"name": name, "summary": preset_summary(name)} for name in preset_names()]
    if as_json:
        print_json(about)
        return
    shown = table("preset", "summary")
    for preset in about:
        shown.add_row(preset["name"], preset["summary"])
    console().print(shown)
