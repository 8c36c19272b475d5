"""What ``prunetui models`` and ``prunetui tasks`` print: the catalogue's contributions of a kind. Torch-free."""

from __future__ import annotations

import json
from typing import Any

from prunetui.plugins.catalogue import catalogue
from prunetui.plugins.contribution import Contribution
from prunetui.plugins.libraries import FORMS
from prunetui.plugins.option import Option
from prunetui.terminal.output import console, print_json, say, table


def print_models(as_json: bool) -> None:
    """All models: of which family they are, what options they have, where they come from; and how others are named."""
    _print_kind("model", {}, as_json)
    if not as_json:
        forms = table("or a name such as", "which is")
        for form, summary in FORMS:
            forms.add_row(form, summary)
        console().print(forms)


def print_tasks(as_json: bool) -> None:
    """All tasks, each with the metric that decides."""
    _print_kind("task", {"primary": "primary metric"}, as_json)


def _print_kind(kind: str, given: dict[str, str], as_json: bool) -> None:
    """``given`` are arguments of the kind's decorator that are shown, each with the title of its column."""
    found = catalogue(kind)
    every = [contribution_object(one, tuple(given)) for one in found.found.values()]
    if as_json:
        print_json(every)
    else:
        shown = table(kind, "family", *given.values(), "options", "summary", "source")
        for one in every:
            options = ", ".join(_option_text(option) for option in one["options"])
            shown.add_row(
                one["name"], one["family"], *(str(one[key]) for key in given), options, one["summary"], one["source"]
            )
        console().print(shown)
    for problem in found.problems:
        say(f"warning: {problem}", err=True)


def contribution_object(one: Contribution, given: tuple[str, ...] = ()) -> dict[str, Any]:
    """A contribution as JSON; its family is the file that it shares with others of its kind."""
    return {
        "name": one.name,
        "family": one.file.stem,
        "summary": one.summary,
        "source": one.source,
        **{key: one.given.get(key) for key in given},
        "options": [option_object(option) for option in one.options],
    }


def option_object(option: Option) -> dict[str, Any]:
    """An option as JSON; one that is required has no default."""
    return {
        "name": option.name,
        "type": option.annotation,
        "default": option.default,
        "required": option.required,
        "help": option.help,
    }


def _option_text(option: dict[str, Any]) -> str:
    return str(option["name"]) if option["required"] else f"{option['name']} = {json.dumps(option['default'])}"
