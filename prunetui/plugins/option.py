"""The options of a contribution: fields of a dataclass, or parameters of a function, as its source says them."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Literal, get_origin

from annotated_types import Ge, Gt, Le

from prunetui.errors import PrunetuiError

ANNOTATIONS: dict[str, Any] = {
    "Annotated": Annotated,
    "Literal": Literal,
    "Scope": Literal["global", "local"],
    "ChannelScope": Literal["global", "local", "isomorphic"],
    "Budget": Literal["uniform", "erk", "owl", "alpha"],
    "Normalise": Literal["none", "mean", "l2"],
    "Count": Annotated[int, Ge(0)],
    "Positive": Annotated[int, Ge(1)],
    "Factor": Annotated[float, Ge(0)],
    "FromOne": Annotated[float, Ge(1)],
    "Part": Annotated[float, Ge(0), Le(1)],
    "Share": Annotated[float, Gt(0), Le(1)],
    **{kind.__name__: kind for kind in (bool, int, float, str, tuple)},
}
"""What the annotation of an option may be made of; the same names `prunetui.api` offers."""


ARGUMENT = re.compile(r"^\s+(\w+)(?: \([^)]*\))?: (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Option:
    """One option: its name, the text of its annotation (empty is anything), its default and one line of help."""

    name: str
    annotation: str
    default: Any
    help: str
    required: bool = False
    """Whether it has no default: a study must say it."""

    @property
    def type(self) -> Any:
        """The annotation as a type.

        Raises:
            PrunetuiError: when it uses a name that options may not use.
        """
        if not self.annotation:
            return Any
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


def fields_of(node: ast.ClassDef, apart: Collection[str], reserved: Collection[str]) -> list[Option]:
    """The fields of a dataclass with the docstring under each; without those in ``apart``.

    Raises:
        PrunetuiError: a field has no default, is private, or has the name of a key that is ``reserved``.
    """
    options = []
    for item, below in zip(node.body, [*node.body[1:], None], strict=True):
        if not (isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)):
            continue
        name = item.target.id
        if item.value is None:
            raise PrunetuiError(f"option {name} of {node.name} needs a default")
        if name.startswith("_"):
            raise PrunetuiError(f"{name} of {node.name} is private; options are what users write")
        if name in apart:
            continue
        if name in reserved:
            raise PrunetuiError(f"option {name} of {node.name} has the name of a key that every method has")
        text = below.value.value if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant) else ""
        told = " ".join(str(text).split())
        options.append(Option(name, ast.unparse(item.annotation), ast.literal_eval(item.value), told))
    for option in options:
        _ = option.type  # raises here, where the file is known, not when a study uses it
    return options


def parameters_of(
    node: ast.FunctionDef | ast.ClassDef, supplied: Collection[str]
) -> tuple[list[Option], frozenset[str]]:
    """The options of a function, or of a class's ``__init__``; and which ``supplied`` parameters it asks for.

    A parameter whose annotation is none that options may have takes anything; its default must be a literal.

    Raises:
        PrunetuiError: a parameter is only given by its place, or a default is no literal.
    """
    function = _called(node)
    if function is None:
        return [], frozenset()
    if function.args.posonlyargs:
        raise PrunetuiError(f"{node.name}: parameters are given by name, so none may stand before a `/`")
    arguments = function.args
    names = arguments.args[1:] if isinstance(node, ast.ClassDef) else arguments.args
    first = len(names) - len(arguments.defaults)
    defaults: list[ast.expr | None] = [None] * max(0, first) + list(arguments.defaults[-len(names) :] if names else ())
    pairs = [*zip(names, defaults, strict=True), *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)]
    help_of = _told(ast.get_docstring(function) or "")
    options = [_parameter(argument, default, help_of) for argument, default in pairs if argument.arg not in supplied]
    return options, frozenset(argument.arg for argument, _ in pairs) & frozenset(supplied)


def _called(node: ast.FunctionDef | ast.ClassDef) -> ast.FunctionDef | None:
    """What runs when the function or class is called; None for a class without ``__init__`` of its own."""
    if isinstance(node, ast.FunctionDef):
        return node
    own = [item for item in node.body if isinstance(item, ast.FunctionDef) and item.name == "__init__"]
    return own[0] if own else None


def _parameter(argument: ast.arg, default: ast.expr | None, help_of: dict[str, str]) -> Option:
    annotation = ast.unparse(argument.annotation) if argument.annotation else ""
    try:
        value = ast.literal_eval(default) if default is not None else None
    except (ValueError, TypeError):
        raise PrunetuiError(f"the default of {argument.arg} must be a literal: it is read without running it") from None
    option = Option(argument.arg, annotation, value, help_of.get(argument.arg, ""), required=default is None)
    try:
        _ = option.type
    except PrunetuiError:
        return Option(option.name, "", option.default, option.help, option.required)
    return option


def _told(doc: str) -> dict[str, str]:
    """The lines of a docstring's ``Args:`` by parameter."""
    _, _, section = doc.partition("Args:\n")
    return {found[1]: " ".join(found[2].split()) for found in ARGUMENT.finditer(section)}
