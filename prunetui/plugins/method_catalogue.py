"""Which pruning methods exist, read from their source without importing them (they import torch).

Built-in methods are the files of the top-level package ``methods``; others announce their module as an
entry point of the group ``prunetui.methods``. Every list, form and validation works on ``MethodInfo``;
only the engine calls ``load``.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
import sys
from dataclasses import dataclass
from functools import lru_cache
from importlib.machinery import ModuleSpec
from importlib.metadata import entry_points
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_origin

from annotated_types import Ge, Gt, Le

from prunetui.errors import PrunetuiError, UsageError

if TYPE_CHECKING:
    from prunetui.api import PruningMethod

GROUP = "prunetui.methods"
PACKAGE = "methods"
FOLDER = Path(__file__).resolve().parents[2] / PACKAGE
BY_FILE = "prunetui_file_"
"""Before the name of a module that was loaded by its file, as another one has its name."""
COMMON_KEYS = ("name", "label", "schedule", "target", "sparsities", "parts")
EDITS = {"Masks": "masks", "Channels": "channels", "Modules": "modules"}
FAMILIES = {"masks": "weights", "channels": "channels", "modules": "sharing", "sequence": "sequence"}
TARGETS = {
    "masks": ("sparsity",),
    "channels": ("sparsity", "channels", "params", "macs"),
    "modules": ("channels",),
    "sequence": ("sparsity",),
}
HOOK = "during_training"

# What the annotation of an option may be made of; the same names `prunetui.api` offers to a method.
ANNOTATIONS: dict[str, Any] = {
    "Annotated": Annotated,
    "Literal": Literal,
    "Scope": Literal["global", "local"],
    "Count": Annotated[int, Ge(0)],
    "Positive": Annotated[int, Ge(1)],
    "Factor": Annotated[float, Ge(0)],
    "Share": Annotated[float, Gt(0), Le(1)],
    **{kind.__name__: kind for kind in (bool, int, float, str, tuple)},
}


@dataclass(frozen=True)
class Option:
    """One option of a method: a dataclass field and the docstring under it."""

    name: str
    annotation: str
    default: Any
    help: str

    @property
    def type(self) -> Any:
        """The annotation as a type.

        Raises:
            PrunetuiError: when it uses a name that options may not use.
        """
        try:
            found = eval(self.annotation, {"__builtins__": {}}, ANNOTATIONS)
        except (NameError, SyntaxError, TypeError):
            found = ...
        if found is None or isinstance(found, type | UnionType) or get_origin(found) is not None:
            return found
        raise PrunetuiError(
            f"option {self.name}: {self.annotation!r} is no type that an option may have; "
            f"use {', '.join(ANNOTATIONS)} or None"
        )


@dataclass(frozen=True)
class MethodInfo:
    """What can be known of a method without running it."""

    name: str
    family: str
    edit: str
    targets: tuple[str, ...]
    schedules: tuple[str, ...]
    """Schedules it makes sense for; empty when it has no say."""
    trains: str
    """Whether it shapes the training before its edit: empty, "alike" for all values, or "by value"."""
    summary: str
    doc: str
    source: str
    options: tuple[Option, ...]
    module: str
    file: Path
    digest: str


@dataclass(frozen=True)
class Catalogue:
    """All methods found, and the plugin files that could not be read, each with its reason."""

    methods: dict[str, MethodInfo]
    problems: tuple[str, ...]


@lru_cache(maxsize=1)
def catalogue() -> Catalogue:
    """Find every method; a file that cannot be read becomes a problem, never an exception."""
    methods: dict[str, MethodInfo] = {}
    problems: list[str] = []
    for module, file in _modules(problems):
        try:
            found = read_methods(module, file)
        except Exception as error:  # noqa: BLE001 - somebody else's file may be wrong in any way; it is told, not raised
            problems.append(f"{file}: {error}")
            continue
        for info in found:
            if info.name in methods:
                problems.append(f"{file}: the name {info.name!r} is taken by {methods[info.name].file}")
            else:
                methods[info.name] = info
    return Catalogue(dict(sorted(methods.items())), tuple(problems))


def method_info(name: str) -> MethodInfo:
    """The description of one method.

    Raises:
        UsageError: no method has this name.
    """
    methods = catalogue().methods
    if name not in methods:
        raise UsageError(f"no method is called {name!r}; there are: {', '.join(methods)}")
    return methods[name]


def load(name: str) -> type[PruningMethod]:
    """Import a method and return its class; this imports torch."""
    info = method_info(name)
    _import(info)
    from prunetui.api import registered

    return registered(name)


def _import(info: MethodInfo) -> None:
    """Import the very file that was read: another folder on the path may hold a module of the same name."""
    loaded = sys.modules.get(info.module)
    if loaded is not None and _is_from(loaded.__spec__, info.file):
        return
    if _is_from(_spec_of(info.module), info.file):
        importlib.import_module(info.module)
        return
    spec = importlib.util.spec_from_file_location(f"{BY_FILE}{info.module}", info.file)
    if spec is None or spec.loader is None:
        raise PrunetuiError(f"{info.file} is no Python file that can be imported")
    if spec.name in sys.modules:
        return
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[spec.name]
        raise


def _spec_of(module: str) -> ModuleSpec | None:
    """Where the path leads for a module; finding out imports the packages it is in, and nothing else."""
    if not module.startswith(f"{PACKAGE}."):
        return importlib.util.find_spec(module)
    package = importlib.util.find_spec(PACKAGE)
    if package is None or package.origin is None or not _is_from(package, FOLDER / "__init__.py"):
        return None
    return importlib.util.find_spec(module)


def _is_from(spec: ModuleSpec | None, file: Path) -> bool:
    return spec is not None and spec.origin is not None and Path(spec.origin).resolve() == file.resolve()


def _modules(problems: list[str]) -> list[tuple[str, Path]]:
    modules = [(f"{PACKAGE}.{f.stem}", f) for f in sorted(FOLDER.glob("*.py")) if f.stem != "__init__"]
    for entry in entry_points(group=GROUP):
        try:
            spec = importlib.util.find_spec(entry.module)
        except Exception as error:  # noqa: BLE001 - a parent package runs its own code when it is looked up
            problems.append(f"entry point {entry.name}: {type(error).__name__}: {error}")
            continue
        if spec is None or spec.origin is None:
            problems.append(f"entry point {entry.name}: no module {entry.module}")
        else:
            modules.append((entry.module, Path(spec.origin)))
    return modules


def read_methods(module: str, file: Path) -> list[MethodInfo]:
    """The methods that a source file registers, in the order they stand there."""
    source = file.read_bytes()
    digest = hashlib.sha256(source).hexdigest()[:16]
    classes = [node for node in ast.parse(source, str(file)).body if isinstance(node, ast.ClassDef)]
    return [
        _describe(node, call, module, file, digest)
        for node in classes
        for call in node.decorator_list
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "register"
    ]


def _describe(node: ast.ClassDef, call: ast.Call, module: str, file: Path, digest: str) -> MethodInfo:
    given = {word.arg: ast.literal_eval(word.value) for word in call.keywords if word.arg}
    name = ast.literal_eval(call.args[0]) if call.args else None
    targets, schedules = given.get("targets", ()), given.get("schedules", ())
    if not (isinstance(name, str) and name):
        raise PrunetuiError(f'{node.name} is registered without a name: @register("name", source=...)')
    for what, names in (("targets", targets), ("schedules", schedules)):
        if not (isinstance(names, tuple | list) and all(isinstance(n, str) for n in names)):
            raise PrunetuiError(f"the {what} of {name} must be a tuple of names")
    edit = _edit_of(node)
    doc = ast.get_docstring(node) or ""
    return MethodInfo(
        name=name,
        family=given.get("family", FAMILIES[edit]),
        edit=edit,
        targets=tuple(targets) or TARGETS[edit],
        schedules=tuple(schedules),
        trains=_trains(node),
        summary=" ".join(doc.split("\n\n")[0].split()),
        doc=doc,
        source=given.get("source", ""),
        options=tuple(_options(node)),
        module=module,
        file=file,
        digest=digest,
    )


def _trains(node: ast.ClassDef) -> str:
    """Which arguments the method's hook takes: ``training``, or ``training`` and ``sparsity``."""
    for item in node.body:
        if isinstance(item, ast.FunctionDef) and item.name == HOOK:
            return "by value" if len(item.args.args) > 2 else "alike"
    return ""


def _edit_of(node: ast.ClassDef) -> str:
    if any(isinstance(item, ast.AnnAssign) and ast.unparse(item.target) == "parts" for item in node.body):
        return "sequence"
    for item in node.body:
        if isinstance(item, ast.FunctionDef) and item.name == "prune":
            returned = ast.unparse(item.returns) if item.returns else "nothing"
            if returned not in EDITS:
                raise PrunetuiError(f"prune of {node.name} returns {returned}; it must be one of {[*EDITS]}")
            return EDITS[returned]
    raise PrunetuiError(f"{node.name} has no method `prune`")


def _options(node: ast.ClassDef) -> list[Option]:
    options = []
    for item, below in zip(node.body, [*node.body[1:], None], strict=True):
        if not (isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)):
            continue
        if item.value is None:
            raise PrunetuiError(f"option {item.target.id} of {node.name} needs a default")
        if item.target.id.startswith("_"):
            raise PrunetuiError(f"{item.target.id} of {node.name} is private; options are what users write")
        if item.target.id == "parts":  # of a hybrid: methods of their own, read by the study itself
            continue
        if item.target.id in COMMON_KEYS:
            raise PrunetuiError(f"option {item.target.id} of {node.name} has the name of a key that every method has")
        text = below.value.value if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant) else ""
        options.append(
            Option(
                name=item.target.id,
                annotation=ast.unparse(item.annotation),
                default=ast.literal_eval(item.value),
                help=" ".join(str(text).split()),
            )
        )
    for option in options:
        _ = option.type  # raises here, where the file is known, not when a study uses it
    return options
