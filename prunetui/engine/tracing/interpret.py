"""Runs an exported graph on labels: each operation by its rule, until nothing new is found."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

from torch import Tensor, fx
from torch.export import ExportedProgram
from torch.export.graph_signature import OutputKind
from torch.utils import _pytree as pytree

from prunetui.engine.tracing import labelled
from prunetui.engine.tracing.candidate_attributes import ReshapedChannels
from prunetui.engine.tracing.labelled import Labelled
from prunetui.engine.tracing.operations import RULES, Call
from prunetui.engine.tracing.products import MULTIPLIES
from prunetui.engine.tracing.tensor_labels import TensorLabels

OUTPUT = "its channels are part of the output"
INPUT = "it meets the network's input"
SIZED = """
view reshape _unsafe_view unflatten expand repeat split split_with_sizes chunk slice narrow
pixel_shuffle pixel_unshuffle channel_shuffle conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d
pad constant_pad_nd group_norm layer_norm rms_norm cat
"""
"""Operations to which code says sizes or numbers of channels."""
MOST_PASSES = 8
MISFIT = (NotImplementedError, RuntimeError, IndexError, KeyError, TypeError, ValueError, StopIteration)


class Interpreter:
    """Unites the labels of one network's tensors by what its graphs do with them."""

    def __init__(self, tensors: TensorLabels) -> None:
        self.tensors = tensors
        self.labels = tensors.labels
        self.unknown: dict[str, None] = {}
        """Operations without a rule, or used in a way that their rule does not know."""
        self._divided: list[Tensor] = []
        """Labellings that vary along several dimensions."""

        self.multiplied: list[tuple[str, Call]] = []
        """Products of the last graph, that of evaluation, with the module whose code calls them."""
        self._sized: list[tuple[str, Tensor]] = []
        """What operations with sizes as arguments read and make, with the module whose code calls them."""

    def run(self, programs: Sequence[ExportedProgram]) -> None:
        """Pass after pass over all graphs: what one pass unites may divide tensors otherwise in the next."""
        for _ in range(MOST_PASSES):
            before = self.labels.changes
            self._sized.clear()
            for program in programs:
                self.multiplied.clear()
                self._program(program)
            self._rectangles()
            if self.labels.changes == before:
                return

    def _program(self, program: ExportedProgram) -> None:
        signature = program.graph_signature
        named = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
        inputs: list[Any] = []
        live = live_nodes(program.graph)
        for node in program.graph.nodes:
            if node.op == "placeholder":
                value = node.meta.get("val")
                if node.name in named and named[node.name] in self.tensors.first:
                    inputs.append(self.tensors.tensor(named[node.name], used=node in live))
                else:
                    inputs.append(Labelled(tuple(value.shape), why=INPUT) if isinstance(value, Tensor) else value)
        outputs = self._graph(program.graph_module, inputs)
        for spec, output in zip(signature.output_specs, outputs, strict=True):
            if spec.kind == OutputKind.USER_OUTPUT and isinstance(output, Labelled):
                labelled.pin(self.labels, output, OUTPUT)

    def _graph(self, module: fx.GraphModule, inputs: Sequence[Any]) -> list[Any]:
        """One graph from its inputs to its outputs; graphs inside it (under ``no_grad``) in their turn."""
        values: dict[fx.Node, Any] = {}
        given, live = iter(inputs), live_nodes(module.graph)
        for node in module.graph.nodes:
            if node.op == "placeholder":
                values[node] = next(given)
            elif node not in live:
                continue
            elif node.op == "get_attr":
                values[node] = _attribute(module, str(node.target))
            elif node.op == "output":
                return pytree.tree_leaves(fx.node.map_arg(node.args, lambda n: values[n]))
            else:
                self._node(node, values)
                self._note(node, values)
        return []

    def _node(self, node: fx.Node, values: dict[fx.Node, Any]) -> None:
        args = fx.node.map_arg(node.args, lambda n: values[n])
        kwargs = fx.node.map_arg(node.kwargs, lambda n: values[n])
        if node.target is operator.getitem:
            items: Any = args[0]
            index: Any = args[1]
            values[node] = items[int(index)] if isinstance(items, (list, tuple)) else None
            return
        every: list[Any] = [*args, *kwargs.values()]
        inner = next((i for i, argument in enumerate(every) if isinstance(argument, fx.GraphModule)), None)
        if inner is not None:
            values[node] = self._graph(every[inner], every[inner + 1 :])
            return
        values[node] = self._call(node, args, kwargs)
        if str(getattr(node.target, "_opname", "")).endswith("_") and node.args and isinstance(node.args[0], fx.Node):
            values[node.args[0]] = values[node]  # changed in place

    def _call(self, node: fx.Node, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        made = [value for value in pytree.tree_leaves(node.meta.get("val")) if isinstance(value, Tensor)]
        if not made:
            return node.meta.get("val")
        call = self._described(node, args, kwargs, [tuple(value.shape) for value in made])
        if call.operation in MULTIPLIES:
            self.multiplied.append((module_of(node), call))
        rule = RULES.get(call.operation)
        several = isinstance(node.meta["val"], (list, tuple))
        if rule is None:
            return self._refused(call, f"operation {call.operation} is not known", several)
        try:
            found = rule(call)
        except MISFIT as error:
            why = f" ({error})" if isinstance(error, NotImplementedError) and str(error) else ""
            return self._refused(call, f"operation {call.operation} is used in a way that is not known{why}", several)
        results = found if isinstance(found, list) else [found]
        if [result.shape for result in results] != call.shapes[: len(results)]:
            return self._refused(call, f"operation {call.operation} is used in a way that is not known", several)
        results += [Labelled(shape) for shape in call.shapes[len(results) :]]
        return results if several else results[0]

    def _described(self, node: fx.Node, args: Sequence[Any], kwargs: dict[str, Any], shapes: list[Any]) -> Call:
        schema = getattr(node.target, "_schema", None)
        name = getattr(node.target, "_opname", getattr(node.target, "__name__", str(node.target)))
        arguments = dict(kwargs)
        if schema is None:
            arguments.update({str(i): value for i, value in enumerate(args)})
        else:
            for i, argument in enumerate(schema.arguments):
                if i < len(args):
                    arguments[argument.name] = args[i]
                elif argument.name not in arguments and not argument.is_out:
                    arguments[argument.name] = argument.default_value
        if name.endswith("_") and not name.endswith("__"):
            name = "filled" if name in ("fill_", "zero_") else name[:-1]
        return Call(name, node.target, arguments, shapes, self.labels, self.tensors.mark)

    def _refused(self, call: Call, why: str, several: bool) -> Any:
        self.unknown[call.operation] = None
        for value in call.tensors():
            labelled.pin(self.labels, value, why)
        results = [Labelled(shape, why=why) for shape in call.shapes]
        return results if several else results[0]

    def _note(self, node: fx.Node, values: dict[fx.Node, Any]) -> None:
        made = values[node] if isinstance(values[node], list) else [values[node]]
        for labelling in (x for value in made if isinstance(value, Labelled) for x in value.labellings):
            small = labelled.compact(labelling)
            if sum(size > 1 for size in small.shape) > 1:
                self._divided.append(small)
        if getattr(node.target, "_opname", "") in SIZED.split():
            read = [values[argument] for argument in node.all_input_nodes]
            module = module_of(node)
            for value in (*made, *read):
                for labelling in value.labellings if isinstance(value, Labelled) else ():
                    self._sized.append((module, labelling))

    def reshaped(self) -> tuple[ReshapedChannels, ...]:
        """Where channels lie in activations whose sizes a module's code says."""
        found: dict[ReshapedChannels, None] = {}
        for module, labelling in self._sized:
            small = labelled.compact(labelling)
            for d in labelled.varies(self.labels, labelling):
                vector = labelled.first_of(small, [e for e in range(small.dim()) if e != d]).flatten()
                found[ReshapedChannels(module, tuple(self.labels.roots(vector).tolist()))] = None
        return tuple(found)

    def _rectangles(self) -> None:
        """What is left of a tensor must be a tensor: channels lie along one dimension of each labelling.

        Where they are divided along several, as [groups, channels of a group] of a shuffle, those at one place of the
        largest dimension go together.
        """
        divided, self._divided = self._divided, []
        for labelling in divided:
            along = labelled.varies(self.labels, labelling)
            if len(along) > 1 and not bool(self.labels.pinned(labelling).all()):
                largest = max(along, key=lambda d: labelling.shape[d])
                labelled.unite_along(self.labels, labelling, along - {largest})


def live_nodes(graph: fx.Graph) -> set[fx.Node]:
    """The nodes that something comes of: an output, or a change of a tensor in place.

    Attention that is asked for its weights, which nobody looks at, takes a mean over its heads for nothing.
    """
    live: set[fx.Node] = set()
    for node in reversed(graph.nodes):
        schema = getattr(node.target, "_schema", None)
        acts = node.op == "output" or (node.op == "call_function" and (schema is None or schema.is_mutable))
        if (acts and node.target is not operator.getitem) or not live.isdisjoint(node.users):
            live.add(node)
    return live


def module_of(node: fx.Node) -> str:
    """The module whose code calls an operation."""
    stack = node.meta.get("nn_module_stack")
    return str(list(stack.values())[-1][0]) if stack else ""


def _attribute(module: fx.GraphModule, path: str) -> Any:
    value = operator.attrgetter(path)(module)
    return Labelled(tuple(value.shape)) if isinstance(value, Tensor) else value
