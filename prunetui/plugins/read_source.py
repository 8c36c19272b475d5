"""Read what a source file contributes: its text is parsed, nothing in it is run."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

from prunetui.errors import PrunetuiError
from prunetui.files.regular import read_regular
from prunetui.plugins.contribution import Contribution, Origin
from prunetui.plugins.kinds import Kind
from prunetui.plugins.method_source import MethodInfo, described
from prunetui.plugins.option import parameters_of
from prunetui.plugins.sibling_files import MOST_BYTES, digest_of, digest_with, imported_beside

Definition = ast.ClassDef | ast.FunctionDef


def read_contributions(kind: Kind, module: str, file: Path, origin: Origin) -> list[Contribution]:
    """The contributions of a kind that a source file registers, in the order they stand there.

    Raises:
        OSError: the file cannot be read.
        SyntaxError, ValueError: it is no Python.
        PrunetuiError: it registers something that cannot be.
    """
    source = read_regular(file, MOST_BYTES)
    place = {"module": module, "file": file, "digest": _digest(file, source, origin), "origin": origin}
    return [
        _contribution(kind, node, call, place)
        for node in ast.parse(source, str(file)).body
        if isinstance(node, Definition)
        for call in node.decorator_list
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == kind.decorator
    ]


def read_undecorated(kind: Kind, module: str, file: Path, symbol: str) -> Contribution | None:
    """The function or class called ``symbol`` of a user's file as a contribution; None where there is none."""
    source = read_regular(file, MOST_BYTES)
    place = {"module": module, "file": file, "digest": _digest(file, source, "file"), "origin": "file"}
    for node in ast.parse(source, str(file)).body:
        if isinstance(node, Definition) and node.name == symbol:
            return _contribution(kind, node, None, place)
    return None


def _digest(file: Path, source: bytes, origin: Origin) -> str:
    """Of the file; a user's own with what it imports beside it, which no installed package answers for."""
    return digest_with(source, imported_beside(file, source)) if origin == "file" else digest_of(source)


def _contribution(kind: Kind, node: Definition, call: ast.Call | None, place: dict[str, Any]) -> Contribution:
    given = {word.arg: ast.literal_eval(word.value) for word in call.keywords if word.arg} if call else {}
    name: Any = node.name
    if call is not None:
        name = ast.literal_eval(call.args[0]) if call.args else None
    if not (isinstance(name, str) and name):
        raise PrunetuiError(f'{node.name} is registered without a name: @{kind.decorator}("name"{_more(kind)})')
    doc = ast.get_docstring(node) or ""
    common = {
        "kind": kind.name,
        "name": name,
        "summary": " ".join(doc.split("\n\n")[0].split()),
        "doc": doc,
        "source": given.pop("source", ""),
        "given": given,
        "symbol": node.name,
        **place,
    }
    if kind.name == "method":
        if not isinstance(node, ast.ClassDef):
            raise PrunetuiError(f"{node.name} is a function; a method is a dataclass with a method `prune`")
        return MethodInfo(**common, **described(node, name, given))
    options, takes = parameters_of(node, kind.supplied)
    return Contribution(**common, options=tuple(options), takes=takes)


def _more(kind: Kind) -> str:
    return {"method": ", source=...", "task": ', primary="..."'}.get(kind.name, "")
