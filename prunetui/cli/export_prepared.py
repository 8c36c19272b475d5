"""``prunetui export`` of networks that take prepared examples: any inputs, by place or by name, as pt2 or ONNX."""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prunetui.errors import PrunetuiError, UsageError
from prunetui.plugins.own_files import names_own_file, short
from prunetui.store import Run

if TYPE_CHECKING:
    from torch import Tensor, nn

EXAMPLES = 8
"""Test examples that the exported network is compared on."""
Again = Callable[[Path, Any], "list[Tensor]"]
"""Runs a file on inputs."""


def inputs_of_test(run: Run, trust: bool) -> tuple[Any, str]:
    """What goes into the network, of a few test examples of the run's data, and what that is in words.

    Raises:
        UsageError: they cannot be read, or their code is not trusted: then nothing can be checked.
    """
    from prunetui.api.source import count_of
    from prunetui.config import parse_study
    from prunetui.engine.data import load_source
    from prunetui.engine.load_task import load_task

    study = parse_study(run.study_text())
    code = [name for name in (study.data.name, study.task.name) if names_own_file(name)]
    if code and not trust:
        raise UsageError(f"its examples are made by code of {' and '.join(map(short, code))}, which --trust runs")
    try:
        source = load_source(study.data)
        task = load_task(study.task.name, study.task.options)
    except (PrunetuiError, OSError) as error:
        raise UsageError(f"the examples that it would be compared on cannot be read: {error}") from None
    batch = next(source.batches("test", min(EXAMPLES, source.length("test"))))
    return task.inputs(batch), f"{count_of(batch)} test examples"


def computed(model: nn.Module, inputs: Any) -> list[Tensor]:
    """All tensors that come out."""
    import torch

    from prunetui.api.source import called
    from prunetui.engine.tracing.output_tensors import output_tensors

    with torch.no_grad():
        return output_tensors(called(model, inputs))


def content_of(kind: str, model: nn.Module, inputs: Any, header: dict[str, Any]) -> tuple[bytes, Again]:
    """The file's content, and how to run it again; its outputs are the tensors that come out, in their order.

    Raises:
        UsageError: torch cannot export this network so; says why.
    """
    from prunetui.engine.tracing.export_graph import giving_tensors

    make, again = {"pt2": (_pt2, _run_pt2), "onnx": (_onnx, _run_onnx)}[kind]
    try:
        with giving_tensors(model), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch's own, about its own exporters
            return make(model, inputs, header), again
    except Exception as error:
        lines = [line for line in str(error).splitlines() if line.strip()]
        reason = lines[0][:300] if lines else ""
        raise UsageError(f"torch cannot export this network as {kind}: {type(error).__name__}: {reason}") from error


def _pt2(model: nn.Module, inputs: Any, header: dict[str, Any]) -> bytes:
    import torch

    from prunetui.api.source import arguments_of
    from prunetui.engine.loading import ABOUT

    args, kwargs = arguments_of(inputs)
    program = torch.export.export(model, args, dict(kwargs), dynamic_shapes=_free_batch(args, kwargs), strict=False)
    program.example_inputs = None  # they would be a pickle, which other readers should not have to open
    out = io.BytesIO()
    torch.export.save(program, out, extra_files={ABOUT: json.dumps(header)})
    return out.getvalue()


def _free_batch(args: Any, kwargs: Any) -> Any:
    """Any number of examples, of all tensors with as many as the first; AUTO lets torch say where that is not so."""
    from torch.export import Dim
    from torch.utils._pytree import tree_leaves, tree_map

    count = next(len(leaf) for leaf in tree_leaves((args, kwargs)) if hasattr(leaf, "shape") and leaf.dim())

    def free(leaf: Any) -> Any:
        return {0: Dim.AUTO} if hasattr(leaf, "shape") and leaf.dim() and len(leaf) == count else None

    shapes = tree_map(free, (args, dict(kwargs)))
    return (*shapes[0], *([shapes[1]] if kwargs else [])) if not kwargs or args else shapes[1]


def _run_pt2(path: Path, inputs: Any) -> list[Tensor]:
    import torch

    return computed(torch.export.load(path).module(), inputs)


def _onnx(model: nn.Module, inputs: Any, header: dict[str, Any]) -> bytes:
    import torch

    from prunetui.api.source import arguments_of, tensors_in
    from prunetui.engine.onnx import with_header

    args, kwargs = arguments_of(inputs)
    names, forward = _names(inputs), model.forward
    if len(tensors_in(inputs)) != len(names):
        raise ValueError("its inputs are no single tensors, by place or by name, but structures of them")

    def by_place(*given: Any) -> Any:  # else its other parameters become inputs of the file, too
        return forward(*given[: len(args)], **dict(zip(kwargs, given[len(args) :], strict=True)))

    outputs = [f"output_{i}" for i in range(len(computed(model, inputs)))]
    out: Any = io.BytesIO()
    model.forward = by_place  # as long as giving_tensors lasts
    torch.onnx.export(
        model, (*args, *kwargs.values()), out, dynamo=False, input_names=names, output_names=outputs,
        dynamic_axes={name: {0: "batch"} for name in (*names, *outputs)},
    )  # fmt: skip
    return with_header(out.getvalue(), header)


def _names(inputs: Any) -> list[str]:
    from prunetui.api.source import arguments_of

    args, kwargs = arguments_of(inputs)
    return [*(f"input_{i}" for i in range(len(args))), *map(str, kwargs)]


def _run_onnx(path: Path, inputs: Any) -> list[Tensor]:
    import onnxruntime
    import torch

    from prunetui.api.source import tensors_in

    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    there = {one.name for one in session.get_inputs()}  # one that nothing depends on is none of the file's
    given = {n: t.numpy() for n, t in zip(_names(inputs), tensors_in(inputs), strict=True) if n in there}
    return [torch.from_numpy(found) for found in session.run(None, given)]
