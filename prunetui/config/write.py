"""Studies as TOML: the resolved one a run keeps, and the commented one ``prunetui init`` starts from."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import BaseModel

from prunetui.config.choices import schedule_of, target_of, values_of
from prunetui.config.schema import MethodTable, Study, TaskTable
from prunetui.plugins.catalogue import contribution
from prunetui.plugins.libraries import weights_named

CHECKPOINT_NOTES = {
    ("train", "epochs"): "To prune a checkpoint as it is, take this line out: left in, the checkpoint is trained on.",
    ("model", "width"): "To start from a checkpoint, take this line out: its own width is followed.",
    ("model", "shortcut"): "To start from a checkpoint, take this line out: its own shortcut is followed.",
}
"""Said beside what a study without a checkpoint asks for, and would still ask for once one is named."""
TABLES = ("data", "model", "task", "train", "finetune", "layers", "measure")
UNSET_EXAMPLES = {
    "limit": 10000,
    "size": 32,
    "shortcut": "B",
    "width": 16,
    "checkpoint": "resnet20.pt",
    "key": "model_ema",
    "options": {"my_option": 4},
    "config": {"num_hidden_layers": 4},
}


def rooted(study: Study) -> Study:
    """The study with absolute paths, so that it runs again from any folder."""
    data, model = study.data, study.model
    if "root" in contribution("data", data.name).takes:
        data = data.model_copy(update={"root": str(Path(data.root).expanduser().resolve())})
    if model.checkpoint and not weights_named(model.checkpoint):
        model = model.model_copy(update={"checkpoint": str(Path(model.checkpoint).expanduser().resolve())})
    return study.model_copy(update={"data": data, "model": model})


def study_toml(study: Study) -> str:
    """The study with every default spelled out; reading it gives the same study."""
    return tomli_w.dumps(resolved(study))


def resolved(study: Study) -> dict[str, Any]:
    """The study as plain data, each method with its schedule, target and values."""
    apart = {"methods"} if study.task != TaskTable() else {"methods", "task"}  # readers of before know no tasks
    plain: dict[str, Any] = _plain(study.model_dump(exclude=apart))
    plain["methods"] = [
        _plain(
            {
                "name": method.name,
                "label": method.label,
                "target": target_of(study, method),
                "schedule": schedule_of(study, method).model_dump(),
                "parts": _parts(method),
                "sparsities": values_of(study, method),
                "exclude": method.exclude,
                **method.options,
            }
        )
        for method in study.methods
    ]
    return plain


def _parts(method: MethodTable) -> list[dict[str, Any]] | None:
    """The parts of a hybrid as their tables; None for other methods."""
    return [{**part.model_dump(exclude={"options"}), **part.options} for part in method.parts] or None


def commented_study(study: Study) -> str:
    """A study file in which every key stands with its help; keys that are unset stand commented out."""
    lines = [
        "# A study: model x data x methods x sparsities x schedule x seeds.",
        "# Run it: prunetui --batch THIS_FILE",
        "",
    ]
    for key in ("name", "kind", "seeds", "sparsities", "target", "schedule"):
        lines += _entry(Study, key, _plain(study.model_dump()).get(key))
    for table in TABLES:
        value = getattr(study, table)
        lines += ["", *_comment(type(value).__doc__ or ""), f"[{table}]"]
        for key in type(value).model_fields:
            entry = _entry(type(value), key, _plain(value.model_dump()).get(key))
            note = CHECKPOINT_NOTES.get((table, key))
            if note and study.model.checkpoint is None:
                entry = _given_way(entry, note, getattr(value, key) == type(value).model_fields[key].default)
            lines += entry
    lines += ["", "# One table a method (`prunetui methods` lists them); their own options go into it."]
    for method in study.methods:
        common = method.model_dump(exclude={"options"}) | {"parts": _parts(method)}
        if schedule_of(study, method) != study.schedule:  # which now stands in the file, so nothing else is implied
            common["schedule"] = schedule_of(study, method).model_dump()
        lines += [
            "[[methods]]",
            *(f"{k} = {_toml(v)}" for k, v in _plain(common | method.options).items()),
            "",
        ]
    return "\n".join(lines).rstrip() + "\n"


def _entry(model: type[BaseModel], key: str, value: object) -> list[str]:
    comment = _comment(model.model_fields[key].description or "")
    if value is None:
        return [*comment, f"# {key} = {_toml(UNSET_EXAMPLES[key])}"]
    return [*comment, f"{key} = {_toml(value)}"]


def _given_way(entry: list[str], note: str, default: bool) -> list[str]:
    """A default is commented out, so that a checkpoint changes it; beside anything else stands what it does to one."""
    *comment, line = entry
    if default:
        return [*comment, f"# {line.removeprefix('# ')}"]
    return [*comment, f"# {note}", line]


def _comment(text: str) -> list[str]:
    return textwrap.wrap(" ".join(text.split()), 110, initial_indent="# ", subsequent_indent="# ")


def _toml(value: object) -> str:
    """One value on one line (inline tables and arrays; JSON strings are TOML strings)."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{k} = {_toml(v)}" for k, v in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")  # which TOML wants escaped


def _plain(value: Any) -> Any:
    """Without the keys that are None (TOML has none) and with lists for tuples."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items() if inner is not None}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
