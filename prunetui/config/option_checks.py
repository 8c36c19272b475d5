"""The options that a study gives to its model, data set and task: known, complete, and of the right types."""

from __future__ import annotations

from pydantic import ValidationError

from prunetui.config.method_tables import options_model
from prunetui.config.mistakes import from_pydantic
from prunetui.config.schema import DataTable, ModelTable, Study, TaskTable
from prunetui.errors import Mistake
from prunetui.plugins.catalogue import catalogue
from prunetui.plugins.contribution import Contribution

Located = tuple[tuple[str | int, ...], Mistake]
OF_TABLE = ("width", "shortcut")
"""Keys of [model] that a factory of a user's is given only if it takes them."""
OF_NAME = ("options", *OF_TABLE)
"""Keys that say nothing where the name is not known."""


def option_mistakes(study: Study) -> list[Located]:
    """All that is wrong with the options of the model, the data set and the task."""
    found: list[Located] = []
    for kind, table in (("model", study.model), ("data", study.data), ("task", study.task)):
        about = catalogue(kind).found.get(table.name)
        if about is not None:
            found += _options(about, kind, table) + _not_taken(about, table)
    return found


def _options(about: Contribution, kind: str, table: ModelTable | DataTable | TaskTable) -> list[Located]:
    given = table.options or {}
    at = (kind, "options")
    nested = [key for key, value in given.items() if isinstance(value, dict)]
    if nested:
        words = "an option is a number, a text, true or false, or a list of them"
        return [((*at, key), Mistake(f"{kind}.options.{key}", words, repr(given[key]))) for key in nested]
    model = options_model(about)
    try:
        model.model_validate(given)
    except ValidationError as error:
        return from_pydantic(error, model, given, at)
    return []


def _not_taken(about: Contribution, table: ModelTable | DataTable | TaskTable) -> list[Located]:
    """Keys of the table that a user's own factory does not ask for, which would be ignored silently."""
    if about.origin == "built-in" or not isinstance(table, ModelTable):
        return []
    return [
        (("model", key), Mistake(f"model.{key}", f"{about.symbol} takes no {key}", repr(getattr(table, key))))
        for key in OF_TABLE
        if getattr(table, key) is not None and key not in about.takes
    ]
