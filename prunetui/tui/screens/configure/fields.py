"""What can be set in a study, read from its schema and from the methods: a new key appears by itself.

``sections`` imports pydantic: call it from a thread.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

from prunetui.plugins.method_catalogue import MethodInfo
from prunetui.tui.screens.configure.study_draft import Path, shown

if TYPE_CHECKING:
    from pydantic import BaseModel

    from prunetui.config.named import Named

TITLES = {"finetune": "recovery", "train": "training"}
FIRST = ("study", "model", "data", "task", "methods", "schedule", "train", "finetune", "layers", "measure")
"""Sections in this order; those that are not named come after them."""


@dataclass(frozen=True)
class Spec:
    """One thing that can be set; ``kind`` is switch, choice, variant, text, list or value."""

    path: Path
    kind: str
    help: str
    default: Any = None
    choices: tuple[str, ...] = ()
    variants: Mapping[str, tuple[Spec, ...]] = field(default_factory=dict)
    """Of a table of several kinds: kind -> what else it has."""
    told: Mapping[str, str] = field(default_factory=dict)
    """Of a table of several kinds: kind -> what it is."""
    unset: str = "not set"
    """What is shown when nothing is set and there is no default."""
    outside: bool = False
    """Not a part of the study: where it runs."""

    @property
    def label(self) -> str:
        return str(self.path[-1])

    @property
    def silent(self) -> str:
        """What holds when nothing is set."""
        return self.unset if self.default is None else shown(self.default)

    def under(self, *prefix: str | int) -> Spec:
        """The same below a path."""
        inner = {name: tuple(s.under(*prefix) for s in specs) for name, specs in self.variants.items()}
        return replace(self, path=(*prefix, *self.path), variants=inner)


@dataclass(frozen=True)
class Section:
    """A page of the form; ``methods``, ``plan`` and ``toml`` have no specs."""

    key: str
    help: str = ""
    specs: tuple[Spec, ...] = ()

    @property
    def title(self) -> str:
        return TITLES.get(self.key, self.key)


def sections(device: str) -> list[Section]:
    """All pages, from the fields of ``Study``; ``device`` is what the application was started with."""
    from prunetui.config import Study

    found: dict[str, Section] = {}
    plain: list[Spec] = []
    for name, info in Study.model_fields.items():
        models = _models(info.annotation)
        if name == "methods":
            found[name] = Section(name)
        elif len(models) == 1:
            table = models[0]
            specs = tuple(spec.under(name) for spec in model_specs(table))
            found[name] = Section(name, _words(table.__doc__), specs)
        elif models:
            found[name] = Section(name, "", (_spec(name, info.annotation, info.default, info.description),))
        else:
            plain.append(_spec(name, info.annotation, info.default, info.description))
    found["study"] = Section("study", _words(Study.__doc__), (*plain, _device(device)))
    order = [*(key for key in FIRST if key in found), *(key for key in found if key not in FIRST)]
    return [*(found[key] for key in order), Section("plan"), Section("toml")]


def model_specs(model: type[BaseModel]) -> list[Spec]:
    """The fields of a table."""
    from prunetui.config.named import Named

    found = []
    for name, info in model.model_fields.items():
        named = next((mark for mark in info.metadata if isinstance(mark, Named)), None)
        found.append(_spec(name, info.annotation, info.default, info.description, named))
    return found


def method_specs(info: MethodInfo, place: int) -> tuple[Spec, ...]:
    """A method's own options, then what it may set differently from the study."""
    from prunetui.config import MethodTable

    own = [_spec(option.name, option.type, option.default, option.help) for option in info.options]
    common = [spec for spec in model_specs(MethodTable) if spec.label not in ("name", "options")]
    found = []
    for spec in [*own, *common]:
        if spec.label == "parts" and info.edit != "sequence":
            continue
        if spec.label == "target":
            spec = replace(spec, choices=info.targets)
        told = {"label": info.name, "parts": "two or more methods", "exclude": "no more than [layers] does"}
        unset = told.get(spec.label, "as the study says")
        found.append(replace(spec.under("methods", place), unset=unset))
    return tuple(found)


def _device(started_with: str) -> Spec:
    choices = dict.fromkeys(["auto", "cpu", "cuda", *_gpus(), started_with])
    text = "Where it runs; auto is the first graphics processor, else the CPU. Not a part of the study."
    return Spec(("device",), "choice", text, started_with, tuple(choices), outside=True)


def _gpus() -> list[str]:
    """cuda:N of every card, where there are several."""
    try:
        import pynvml

        pynvml.nvmlInit()
        count = pynvml.nvmlDeviceGetCount()
    except Exception:  # noqa: BLE001 - no library, no driver, no card: each says so in its own way
        return []
    return [f"cuda:{i}" for i in range(count)] if count > 1 else []


def _spec(name: str, annotation: Any, default: Any, help: str | None, named: Named | None = None) -> Spec:
    models = _models(annotation)
    if len(models) > 1:
        variants = {str(m.model_fields["name"].default): m for m in models}
        inner = {
            kind: tuple(s.under(name) for s in model_specs(m) if s.label != "name") for kind, m in variants.items()
        }
        first = getattr(default, "name", None)
        told = {kind: _words(m.__doc__) for kind, m in variants.items()}
        return Spec((name,), "variant", _words(help), first, tuple(variants), inner, told)
    kind, choices = ("choice", named.choices) if named else _kind(annotation)
    known = default if isinstance(default, bool | int | float | str) else list(default) if _is_list(default) else None
    return Spec((name,), kind, _words(help), known, choices)


def _kind(annotation: Any) -> tuple[str, tuple[str, ...]]:
    kinds = [_bare(a) for a in _alternatives(annotation)]
    if len(kinds) != 1:
        return "value", ()
    only = kinds[0]
    if get_origin(only) is Literal and all(isinstance(choice, str) for choice in get_args(only)):
        return "choice", get_args(only)
    if get_origin(only) is tuple:
        return "list", ()
    return {bool: "switch", str: "text"}.get(only, "value"), ()


def _is_list(default: object) -> bool:
    return isinstance(default, tuple) and bool(default) and all(isinstance(v, int | float | str) for v in default)


def _bare(annotation: Any) -> Any:
    return _bare(get_args(annotation)[0]) if get_origin(annotation) is Annotated else annotation


def _alternatives(annotation: Any) -> list[Any]:
    """The members of a union, without None."""
    bare = _bare(annotation)
    if get_origin(bare) in (Union, UnionType):
        return [a for part in get_args(bare) for a in _alternatives(part) if a is not NoneType]
    return [bare]


def _models(annotation: Any) -> list[type[BaseModel]]:
    """The tables that an annotation allows, if it allows nothing else."""
    found = _alternatives(annotation)
    return found if all(hasattr(a, "model_fields") for a in found) else []


def _words(text: str | None) -> str:
    return " ".join((text or "").split()).replace("`", "")
