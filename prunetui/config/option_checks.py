"""The options that a study gives to its model, data set and task: known, complete, and of the right types."""

from __future__ import annotations

from pydantic import ValidationError

from prunetui.config.method_tables import options_model
from prunetui.config.mistakes import from_pydantic
from prunetui.config.schema import DataTable, ModelTable, Study, TaskTable
from prunetui.errors import Mistake
from prunetui.plugins.catalogue import catalogue
from prunetui.plugins.contribution import Contribution
from prunetui.plugins.libraries import library_of

Located = tuple[tuple[str | int, ...], Mistake]
OF_TABLE = ("width", "shortcut")
"""Keys of [model] that a factory of a user's is given only if it takes them."""
OF_NAME = ("options", "config", *OF_TABLE)
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
    library = library_of(about.name) if about.origin == "installed" else None
    key = library.options if library else "options"
    found = _in_other_table(about, table, key)
    given = getattr(table, key) or {}
    at = (kind, key)
    for name, value in given.items():
        where = f"{kind}.{key}.{name}"
        if isinstance(value, dict):
            words = "an option is a number, a text, true or false, or a list of them"
            found.append(((*at, name), Mistake(where, words, repr(value))))
        elif library and (wrong := library.wrong_option(name, value)):
            found.append(((*at, name), Mistake(where, wrong, repr(value))))
    if found or about.takes_more:
        return found
    model = options_model(about)
    # What the data says of a network, a study may say otherwise of one that is not built in.
    said = about.takes - {*OF_TABLE} if about.origin != "built-in" and kind == "model" else ()
    try:
        model.model_validate({name: value for name, value in given.items() if name not in said})
    except ValidationError as error:
        return from_pydantic(error, model, given, at)
    return []


def _in_other_table(about: Contribution, table: ModelTable | DataTable | TaskTable, key: str) -> list[Located]:
    """Options that stand where this model's do not."""
    other = {"options": "config", "config": "options"}[key]
    given = getattr(table, other, None) if isinstance(table, ModelTable) else None
    if not given:
        return []
    if key == "config":
        words = f"{about.symbol} is built from its configuration: write these as model.config"
    else:
        words = "only a class of transformers has a configuration; write these as model.options"
    return [(("model", other), Mistake(f"model.{other}", words, repr(given)))]


def _not_taken(about: Contribution, table: ModelTable | DataTable | TaskTable) -> list[Located]:
    """Keys of the table that a user's own factory does not ask for, which would be ignored silently."""
    if about.origin == "built-in" or not isinstance(table, ModelTable):
        return []
    return [
        (("model", key), Mistake(f"model.{key}", f"{about.symbol} takes no {key}", repr(getattr(table, key))))
        for key in OF_TABLE
        if getattr(table, key) is not None and key not in about.takes
    ]
