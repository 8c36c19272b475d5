"""Factories of installed packages: a study names one as ``torchvision:resnet50`` or ``package.module:factory``.

What is before the colon is imported by its dotted name, as an installed package is, and never because a file of that
name lies in the working folder. Nothing is imported here: names are read from the sources. Its package's version is
part of what a study computes.
"""

from __future__ import annotations

import ast
import difflib
import hashlib
import json
import re
import sys
from collections.abc import Sequence
from functools import lru_cache
from importlib import metadata
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Any

from prunetui.errors import PrunetuiError, UsageError
from prunetui.files.regular import read_regular
from prunetui.plugins.contribution import Contribution
from prunetui.plugins.kinds import KINDS
from prunetui.plugins.libraries import LIBRARIES
from prunetui.plugins.option import parameters_of
from prunetui.plugins.sibling_files import MOST_BYTES

REFERENCE = re.compile(r"(?P<module>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):(?P<name>[A-Za-z_][\w.\-]*)", re.ASCII)
PATTERN = r"^[A-Za-z_][A-Za-z0-9_.]*:[A-Za-z_][A-Za-z0-9_.\-]*$"
"""The same for editors."""
MOST_FILES = 20_000
"""Sources of one package that are read to tell its versions apart."""


def names_installed(name: object) -> bool:
    """Whether a name in a study is that of a factory of an installed package; ``net.py:make_net`` is a file's."""
    found = REFERENCE.fullmatch(name) if isinstance(name, str) else None
    return found is not None and not found["module"].endswith(".py")


def installed_contribution(kind: str, name: str) -> Contribution:
    """What is known of a factory of an installed package without importing it.

    Raises:
        UsageError: the package is not installed, or has nothing of this name; says the nearest.
    """
    found = _found(kind, name)
    if isinstance(found, str):
        raise UsageError(found)
    return found


@lru_cache(maxsize=64)
def _found(kind: str, name: str) -> Contribution | str:
    """The contribution, or why there is none: packages do not change while the program runs."""
    parts = REFERENCE.fullmatch(name)
    assert parts
    library = LIBRARIES.get(parts["module"])
    module = library.module if library else parts["module"]
    top = module.partition(".")[0]
    if top in sys.stdlib_module_names:
        return f"{parts['module']} is part of Python and has no networks"
    file = source_of(module)
    if file is None:
        return _missing(module, library.extra if library else "")
    if library:
        names = library.names(source_of(library.package) or file, parts["name"])
        if library.base(parts["name"]) not in names:
            return f"{parts['module']} has no network called {parts['name']!r}{_near(parts['name'], names)}"
        read: dict[str, Any] = {"options": (), "takes": frozenset(), "takes_more": True}
        summary = f"A network of {library.package}."
    else:
        told = _defined(kind, file, module, parts["name"])
        if isinstance(told, str):
            return told
        read, summary = told
    return Contribution(
        kind=kind, name=name, summary=summary, doc="", source=version_of(top), given={}, symbol=parts["name"],
        module=module, file=file, digest=_digest(module, file), origin="installed", **read,
    )  # fmt: skip


def _missing(module: str, extra: str) -> str:
    top = module.partition(".")[0]
    if source_of(top) is not None:
        return f"the installed package {top} has no module {module}"
    if extra:
        return f"{top} is not installed: pip install 'prunetui[{extra}]'"
    return f'no package {top} is installed; a file of your own is named by its path, as in "{top}.py:make_net"'


def _near(name: str, names: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, names, 1)
    return f"; did you mean {near[0]}?" if near else ""


def _defined(kind: str, file: Path, module: str, symbol: str) -> tuple[dict[str, Any], str] | str:
    """What the source of a module says of a function or class; or that nothing of this name stands there."""
    try:
        tree = ast.parse(read_regular(file, MOST_BYTES), str(file))
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError, PrunetuiError) as error:
        return f"cannot read {module} ({file}): {error}"
    nodes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef)}
    node = nodes.get(symbol)
    if node is not None:
        summary = " ".join((ast.get_docstring(node) or "").split("\n\n")[0].split())
        try:
            options, takes = parameters_of(node, KINDS[kind].supplied)
        except PrunetuiError:  # a default that is no literal: importing it tells which options it has
            return {"options": (), "takes": frozenset(), "takes_more": True}, summary
        return {"options": tuple(options), "takes": takes, "takes_more": _hands_on(node)}, summary
    bound = _bound(tree)
    if symbol not in bound and not bound & {"*", "__getattr__"}:
        return f"{module} has no function or class called {symbol!r}{_near(symbol, [*nodes, *bound])}"
    return {"options": (), "takes": frozenset(), "takes_more": True}, ""


def _hands_on(node: ast.ClassDef | ast.FunctionDef) -> bool:
    """Whether it may take more than its own parameters: by ``**options``, or by an ``__init__`` that it inherits."""
    if isinstance(node, ast.FunctionDef):
        return node.args.kwarg is not None or bool(node.decorator_list)
    own = [item for item in node.body if isinstance(item, ast.FunctionDef) and item.name == "__init__"]
    return not own or own[0].args.kwarg is not None


def _bound(tree: ast.Module) -> set[str]:
    """Names that a module may have besides its classes and functions; ``*`` where it takes over another one's."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            found |= {alias.asname or alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
    return found


def source_of(module: str) -> Path | None:
    """The source file of an installed module, or None; finding it runs nothing, not even the packages it is in."""
    name, places, spec = "", None, None
    for part in module.split("."):
        name = f"{name}.{part}" if name else part
        spec = _top_spec(name) if places is None else PathFinder.find_spec(name, places)
        if spec is None:
            return None
        places = list(spec.submodule_search_locations or ())
    return Path(spec.origin) if spec and spec.origin and spec.has_location else None


def _top_spec(name: str) -> ModuleSpec | None:
    """As Python finds a package, but without the working folder, which is ``""`` on an interactive Python's path."""
    for finder in sys.meta_path:
        if finder is PathFinder:
            spec = PathFinder.find_spec(name, [place for place in sys.path if place])
        else:
            spec = finder.find_spec(name, None) if hasattr(finder, "find_spec") else None
        if spec is not None:
            return spec
    return None


@lru_cache(maxsize=64)
def version_of(package: str) -> str:
    """``timm 1.0.31``: an installed package, or only its name where nobody says its version."""
    found = _distribution(package)
    return f"{found.metadata['Name']} {found.version}" if found else package


def _distribution(package: str) -> metadata.Distribution | None:
    try:
        return metadata.distribution(package)
    except metadata.PackageNotFoundError:  # it has another name than its package, which takes a while to look up
        names = metadata.packages_distributions().get(package, ())
        return metadata.distribution(names[0]) if names else None


def _digest(module: str, file: Path) -> str:
    """The module and the version of its package; the sources themselves where they may change at one version."""
    top = module.partition(".")[0]
    found = _distribution(top)
    code = hashlib.sha256(f"{module} {version_of(top)}".encode())
    if found is None or _is_editable(found):
        place = source_of(top) or file
        folder = place.parent
        sources = sorted(folder.rglob("*.py"))[:MOST_FILES] if place.name == "__init__.py" else [place]
        for source in sources:
            code.update(f"\n{source.relative_to(folder).as_posix()} ".encode() + source.read_bytes())
    return code.hexdigest()[:16]


def _is_editable(found: metadata.Distribution) -> bool:
    try:
        told = json.loads(found.read_text("direct_url.json") or "{}")
    except ValueError:
        return True
    return isinstance(told, dict) and "dir_info" in told
