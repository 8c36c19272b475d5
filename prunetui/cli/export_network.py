"""``prunetui export``: the network of a trial for other programs, checked on real images before it is handed over."""

from __future__ import annotations

import difflib
import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prunetui.cli.export_prepared import computed, content_of, inputs_of_test
from prunetui.errors import RunFailed, UsageError
from prunetui.files.atomic import write_atomic
from prunetui.plugins.own_files import names_own_file, short
from prunetui.store import Run, find_run
from prunetui.terminal.output import say

if TYPE_CHECKING:
    from torch import Tensor

    from prunetui.engine.loading import Pixels

FORMATS = ("pt2", "onnx", "safetensors")
IMAGES = 64
"""Test images that the exported network is compared on."""
TOLERANCE = 1e-3
"""Largest difference of outputs, relative to the largest."""


def export_model(root: Path, run: str, trial: str, kind: str, output: Path, trust: bool = False) -> None:
    """Write a trial's network to ``output`` and print the path; what was checked goes to stderr.

    Code that the run names, of a network or data of somebody's own, is run only with ``trust``: a run may come from
    elsewhere.

    Raises:
        UsageError: no such run, trial or format; its network is built by code that is not trusted.
        RunFailed: the written file computes something else.
    """
    from prunetui.engine.tracing.output_tensors import difference

    found = find_run(root, run)
    source, output = model_of(found, trial), output.expanduser()
    if kind not in FORMATS:
        raise UsageError(f"no format is called {kind!r}; there are: {', '.join(FORMATS)}")
    made = _of_images_or_prepared(found, source, kind, trust)
    try:
        write_atomic(output, made.content)
    except OSError as error:
        raise UsageError(f"cannot write {output}: {error.strerror}") from None
    apart = difference(made.again(output, made.inputs), made.wanted)
    if not apart.relative <= TOLERANCE:
        output.unlink(missing_ok=True)
        far = apart.words or f"it differs by {apart.relative:.3g} of the largest output"
        raise RunFailed(f"the exported network is not the trial's on {made.what}: {far}; nothing was kept")
    _tell(found, trial, output, apart.relative, made)
    say(output)


@dataclass(frozen=True)
class _Exported:
    """A file's content, and what it is compared on."""

    content: bytes
    again: Callable[[Path, Any], list[Tensor]]
    """Runs the file."""
    inputs: Any
    what: str
    """The inputs in words."""
    wanted: list[Tensor]
    takes: str = ""


def _of_images_or_prepared(run: Run, source: Path, kind: str, trust: bool) -> _Exported:
    import torch

    from prunetui.engine.loading import load, network_in, pixels_of
    from prunetui.engine.models.read_checkpoint import read_checkpoint

    checkpoint = read_checkpoint(source)
    if checkpoint.header.get("prepared"):
        bare = network_in(checkpoint, source, trust)
        inputs, what = inputs_of_test(run, trust)
        wanted = computed(bare, inputs)
        if kind == "safetensors":
            return _Exported(source.read_bytes(), lambda p, x: computed(load(p, trust=True), x), inputs, what, wanted)
        return _Exported(*content_of(kind, bare, inputs, checkpoint.header), inputs, what, wanted)
    model = pixels_of(checkpoint, source, trust)
    images, what = _images(run, checkpoint.header, trust)
    with torch.inference_mode():
        wanted = [model(images)]
    content, again = _made(kind, model, checkpoint.header, source, images[:2])
    return _Exported(content, lambda p, x: [again(p, x)], images, what, wanted, "; takes images in [0, 1]")


def model_of(run: Run, trial: str) -> Path:
    """The file of a trial's network.

    Raises:
        UsageError: the run kept none; says the nearest trial.
    """
    path = run.models / f"{trial}.safetensors"
    if path.is_file():
        return path
    there = sorted(file.stem for file in run.models.glob("*.safetensors"))
    near = difflib.get_close_matches(trial, there, 1)
    hint = f"; did you mean {near[0]}?" if near else f"; there are: {', '.join(there) or 'none'}"
    raise UsageError(f"{run.id} kept no network of a trial {trial!r}{hint}")


def _images(run: Run, header: dict[str, Any], trust: bool) -> tuple[Tensor, str]:
    """Test images in [0, 1] that the run measured on; noise where they are gone, or their code is not trusted."""
    import torch

    from prunetui.config import parse_study
    from prunetui.engine.data import Wanted, load_dataset
    from prunetui.errors import PrunetuiError

    shape = header["architecture"]
    try:
        wanted = Wanted(size=shape["size"], channels=shape["channels"])
        asked = parse_study(run.study_text()).data
        if names_own_file(asked.name) and not trust:
            raise UsageError(f"they are made by code of {short(asked.name)}, which --trust runs")
        data = load_dataset(asked, wanted=wanted)
        images = data.test.pixels[:IMAGES].float() / 255
        return images, f"{len(images)} test images"
    except (PrunetuiError, OSError) as error:
        say(f"warning: compared on noise, for the data cannot be read: {error}", err=True)
        noise = torch.rand(IMAGES, shape["channels"], shape["size"], shape["size"], generator=torch.Generator())
        return noise, f"{IMAGES} images of noise"


Runner = Callable[[Path, "Tensor"], "Tensor"]
"""Runs a file on images."""


def _made(kind: str, model: Pixels, header: dict[str, Any], source: Path, example: Tensor) -> tuple[bytes, Runner]:
    """The file's content, and how to run it again."""
    if kind == "safetensors":
        from prunetui.engine.loading import load

        # The code that it names has just been run.
        return source.read_bytes(), lambda path, images: load(path, trust=True)(images).detach()
    if kind == "pt2":
        return _pt2(model, header, example), _run_pt2
    if kind == "onnx":
        from prunetui.engine.onnx import onnx_bytes

        return onnx_bytes(model, example[:1], header), _run_onnx
    raise AssertionError(kind)


def _pt2(model: Pixels, header: dict[str, Any], example: Tensor) -> bytes:
    import io

    import torch

    from prunetui.engine.loading import ABOUT

    out = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch's own, about its own files
        program = torch.export.export(model, (example,), dynamic_shapes=({0: torch.export.Dim("batch")},))
        program.example_inputs = None  # they would be a pickle, which other readers should not have to open
        torch.export.save(program, out, extra_files={ABOUT: json.dumps(header)})
    return out.getvalue()


def _run_pt2(path: Path, images: Tensor) -> Tensor:
    from prunetui.engine.loading import load_exported

    result: Tensor = load_exported(path)[0](images).detach()
    return result


def _run_onnx(path: Path, images: Tensor) -> Tensor:
    from prunetui.engine.loading import load_onnx

    return load_onnx(path)[0](images)


def _tell(run: Run, trial: str, output: Path, worst: float, made: _Exported) -> None:
    row = next((row for row in run.rows() if row["trial"] == trial), {})
    say(f"checked on {made.what}: largest difference of outputs {worst:.3g} of the largest", err=True)
    if row.get("params"):
        params, alive = int(row["params"]), int(row["params_nonzero"])
        size = output.stat().st_size / 1e6
        zeros = f", {params - alive:,} of them zero (masks bring no speed-up in this format)" if alive < params else ""
        say(f"{params:,} parameters{zeros}; {size:.2f} MB{made.takes}", err=True)
