"""The program of a .pt2 file as steps that are run one by one: no source is generated and no expression evaluated."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from prunetui.formats.aten_operators import ASSERTIONS, changes_first, find_operator, number_operator
from prunetui.formats.expressions import check_guard, check_size
from prunetui.formats.pt2_values import Reference, SameDevice, argument, items, mapping, named, text, union
from prunetui.formats.refused import Refused, shown

MOST_STEPS = 20_000
_TENSOR_PATH = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}(\.[A-Za-z0-9_]{1,100}){0,40}")


@dataclass(frozen=True)
class Operator:
    """One operator: what it is called with, the slots of its results, and those that nothing needs afterwards."""

    name: str
    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    results: tuple[int, ...]
    single: bool
    """One result, rather than a list of them."""
    done_with: tuple[int, ...] = ()


@dataclass(frozen=True)
class Program:
    """``tensors`` are (slot, name in the state dict), ``sizes`` those of the images, None where any will do."""

    tensors: tuple[tuple[int, str], ...]
    images: int
    sizes: tuple[int | None, ...]
    steps: tuple[Operator, ...]
    logits: int
    slots: int


class _Slots:
    """A number for every value, by name."""

    def __init__(self) -> None:
        self.by_name: dict[str, int] = {}

    def new(self, name: str) -> int:
        if name in self.by_name:
            raise ValueError(f"it has two values called {name}")
        self.by_name[name] = len(self.by_name)
        return self.by_name[name]

    def find(self, name: str) -> Reference:
        if name not in self.by_name:
            raise ValueError(f"it uses the value {name} before it is computed")
        return Reference(self.by_name[name])


def parse_program(document: Any) -> Program:
    """The program in the JSON of a .pt2 file.

    Raises:
        Refused: it asks for anything but listed operators on images and its own tensors.
        ValueError: it is not what torch writes.
    """
    _check_texts(document)
    module = mapping(mapping(document, "the program")["graph_module"], "graph_module")
    graph, signature = mapping(module["graph"], "graph"), mapping(module["signature"], "signature")
    slots = _Slots()
    tensors, images = _inputs(items(signature["input_specs"]), slots)
    nodes = items(graph["nodes"])
    if len(nodes) > MOST_STEPS:
        raise Refused(f"it has {len(nodes):,} operators; at most {MOST_STEPS:,} are run")
    fixed = len(slots.by_name)
    steps = [step for node in nodes if (step := _step(mapping(node, "node"), slots, fixed))]
    logits = slots.find(_output(items(signature["output_specs"]))).slot
    sizes = _sizes(mapping(graph["tensor_values"], "tensor_values"), images)
    freed = _with_lifetimes(steps, keep={logits, *(slot for slot, _ in tensors)})
    return Program(tensors, slots.by_name[images], sizes, freed, logits, len(slots.by_name))


def _check_texts(document: Any) -> None:
    """Every text that torch's own loader would evaluate."""
    for key, value in _entries(document):
        if key == "expr_str":
            check_size(value)
        elif key == "range_constraints":
            for symbol in mapping(value, key):
                check_size(symbol)
        elif key == "guards_code":
            for guard in items(value):
                check_guard(guard)


def _entries(document: Any) -> Iterator[tuple[str, Any]]:
    """Every key with its value, at any depth (which the reader of the JSON has bounded)."""
    if isinstance(document, dict):
        for key, value in document.items():
            yield key, value
            yield from _entries(value)
    elif isinstance(document, list):
        for value in document:
            yield from _entries(value)


def _inputs(specs: list[Any], slots: _Slots) -> tuple[tuple[tuple[int, str], ...], str]:
    """Slots and names of the tensors that are part of the file, and the name of the images."""
    tensors, images = [], []
    for spec in specs:
        kind, about = union(spec)
        if kind in ("parameter", "buffer", "tensor_constant"):
            path = text(about[f"{kind}_name"])
            if not _TENSOR_PATH.fullmatch(path):
                raise Refused(f"it has a tensor of the name {shown(path)}")
            tensors.append((slots.new(named(about["arg"])), path))
        elif kind == "user_input" and union(about["arg"])[0] == "as_tensor":
            images.append(named(union(about["arg"])[1]))
            slots.new(images[-1])
        else:
            raise Refused(f"it takes an input of the kind {shown(kind)}; networks take images")
    if len(images) != 1:
        raise Refused(f"it takes {len(images)} inputs; one tensor of images is given")
    return tuple(tensors), images[0]


def _output(specs: list[Any]) -> str:
    kinds = [union(spec)[0] for spec in specs]
    if kinds != ["user_output"]:
        other = [kind for kind in kinds if kind != "user_output"]
        raise Refused(
            f"it also gives {shown(other[0])}" if other else f"it gives {len(kinds)} outputs; one of logits is taken"
        )
    kind, value = union(mapping(union(specs[0])[1], "user_output")["arg"])
    if kind != "as_tensor":
        raise Refused(f"its output is {shown(kind)}; one tensor of logits is taken")
    return named(value)


def _sizes(values: dict[str, Any], images: str) -> tuple[int | None, ...]:
    sizes = items(mapping(values.get(images), f"the description of {images}")["sizes"])
    found = [union(size) for size in sizes]
    return tuple(value if kind == "as_int" and isinstance(value, int) else None for kind, value in found)


def _step(node: dict[str, Any], slots: _Slots, fixed: int) -> Operator | None:
    target = text(node["target"])
    if target in ASSERTIONS:
        return None
    operator = number_operator(target)
    function = None if operator else find_operator(target)
    given = [(text(entry["name"]), entry) for entry in (mapping(item, "input") for item in items(node["inputs"]))]
    arguments = {name: argument(entry["arg"], slots.find) for name, entry in given}
    results = [union(output) for output in items(node["outputs"])]
    if function is None:
        assert operator is not None
        if any(kind == "as_tensor" for kind, _ in results):
            raise Refused(f"it calls {target} for a tensor")
        unnamed = tuple(argument(entry["arg"], slots.find) for _, entry in given)
        if not all(isinstance(value, (Reference, int, float)) for value in unnamed):
            raise Refused(f"it calls {target} for more than numbers")
        return Operator(target, operator, unnamed, {}, (_number(results, slots),), True)
    args, kwargs = _ordered(function._schema.arguments, arguments, target)
    if changes_first(function) and not (isinstance(args[0], Reference) and args[0].slot >= fixed):
        raise Refused(f"it changes its own weights or images by {target}")
    if len(results) == 1 and results[0][0] == "as_tensors":
        made = tuple(slots.new(named(value)) for value in items(results[0][1]))
        return Operator(target, function, args, kwargs, made, False)
    if len(results) == 1 and results[0][0] == "as_sym_int":
        return Operator(target, function, args, kwargs, (_number(results, slots),), True)
    made = tuple(_tensor(kind, value, slots) for kind, value in results)
    return Operator(target, function, args, kwargs, made, len(made) == 1)


def _tensor(kind: str, value: Any, slots: _Slots) -> int:
    if kind == "as_none":
        return -1
    if kind != "as_tensor":
        raise Refused(f"an operator gives {shown(kind)}")
    return slots.new(named(value))


def _number(results: list[tuple[str, Any]], slots: _Slots) -> int:
    if len(results) != 1 or results[0][0] not in ("as_sym_int", "as_sym_bool", "as_sym_float"):
        raise ValueError("an operator on sizes gives no number")
    kind, value = union(results[0][1])
    if kind != "as_name":
        raise ValueError("the result of an operator has no name")
    return slots.new(named({"name": value}))


def _ordered(schema: Any, given: dict[str, Any], target: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arguments in the order of the operator's own, by position up to the first that is left out."""
    wanted = {argument.name: argument for argument in schema}
    if unknown := set(given) - set(wanted):
        raise ValueError(f"{target} has no argument {shown(min(unknown))}")
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    for index, (name, about) in enumerate(wanted.items()):
        if name == "device":  # that of the images, not the one that the file was made on
            kwargs[name] = SameDevice()
            continue
        if name not in given:
            continue
        if index == len(args) and not about.kwarg_only:
            args.append(given[name])
        else:
            kwargs[name] = given[name]
    return tuple(args), kwargs


def _with_lifetimes(steps: list[Operator], keep: set[int]) -> tuple[Operator, ...]:
    """The steps, each with the values that it is the last to need."""
    seen, done = set(keep), []
    for step in reversed(steps):
        used = {reference.slot for reference in _references((step.args, tuple(step.kwargs.values())))}
        used |= {slot for slot in step.results if slot >= 0}
        last = tuple(sorted(used - seen))
        seen |= used
        done.append(Operator(step.name, step.function, step.args, step.kwargs, step.results, step.single, last))
    return tuple(reversed(done))


def _references(value: Any) -> Iterator[Reference]:
    if isinstance(value, Reference):
        yield value
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from _references(item)
