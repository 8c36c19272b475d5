"""``prunetui.load``: a pruned network back as a module, and what an exported file says of itself."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from prunetui.engine.models import Architecture
from prunetui.engine.models.checkpoint import Checkpoint, read_checkpoint
from prunetui.engine.onnx import PIXELS
from prunetui.engine.state import State, instantiate
from prunetui.errors import UsageError

ABOUT = "prunetui.json"
"""Name of the header inside a .pt2 file; in ONNX it is a metadata property, in safetensors the header itself."""


class Pixels(nn.Module):
    """A network that takes images as they are: float [B, C, H, W] in [0, 1]; it normalises them itself."""

    mean: Tensor
    std: Tensor

    def __init__(self, net: nn.Module, mean: list[float], std: list[float]) -> None:
        super().__init__()
        self.net = net
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1))

    def forward(self, pixels: Tensor) -> Tensor:
        logits: Tensor = self.net((pixels - self.mean) / self.std)
        return logits


def load(path: str | Path, semi_structured: bool = False) -> nn.Module:
    """The network in a file of prunetui's (.safetensors, or an exported .pt2), in evaluation mode on the CPU.

    It takes float images [B, C, H, W] in [0, 1] and gives logits [B, classes]: the normalisation it was trained with
    is part of it. Of a .safetensors file ``.net`` is the bare network.

    ``semi_structured`` puts a 2:4 network (method nm) on the GPU instead, for images in bfloat16, its linear layers and
    1x1 convolutions in torch's semi-structured format where their widths are those that its kernels take.

    Raises:
        UsageError: there is no such file, or it does not say how to build its network; no GPU for the semi-structured
            format, or no layer that fits it.
    """
    path = Path(path).expanduser()
    if path.suffix == ".pt2":
        if semi_structured:
            raise UsageError(f"{path} is a fixed program; the semi-structured format is made from a .safetensors file")
        return load_exported(path)[0]
    model = pixels_of(read_checkpoint(path), path)
    if semi_structured:
        from prunetui.engine.semi_structured import to_semi_structured

        to_semi_structured(model)
    return model


def pixels_of(checkpoint: Checkpoint, path: Path) -> Pixels:
    """The network of a file that says how to build it."""
    header = checkpoint.header
    if not {"architecture", "mean", "std"} <= set(header):
        raise UsageError(f"{path} does not say how to build its network; `prunetui evaluate` takes such files")
    state = State(Architecture(**header["architecture"]), checkpoint.tensors)
    return Pixels(instantiate(state, torch.device("cpu")), header["mean"], header["std"]).eval()


def load_exported(path: Path) -> tuple[nn.Module, dict[str, Any]]:
    """The module of a .pt2 file, and its header.

    Raises:
        UsageError: it cannot be read.
    """
    about = {ABOUT: ""}
    if not path.is_file():
        raise UsageError(f"no file at {path}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch's own, about its own files
            program = torch.export.load(path, extra_files=about)
    except Exception as error:  # noqa: BLE001 - a damaged archive raises whatever its bytes lead to
        raise UsageError(f"cannot read the exported program {path}: {str(error).splitlines()[0][:200]}") from None
    return program.module(), json.loads(about[ABOUT] or "{}")


class FromNormalised(nn.Module):
    """An exported network for images that are normalised already, as the data sets here hand them out."""

    mean: Tensor
    std: Tensor

    def __init__(self, run: Callable[[Tensor], Tensor], mean: list[float], std: list[float]) -> None:
        super().__init__()
        self._run_pixels = partial(run)  # not a child: exported modules refuse to change their mode
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1))

    def forward(self, inputs: Tensor) -> Tensor:
        return self._run_pixels(inputs * self.std + self.mean)


def load_onnx(path: Path) -> tuple[Callable[[Tensor], Tensor], dict[str, Any]]:
    """What runs an ONNX file of prunetui's on images [B, C, H, W] in [0, 1], and its header.

    Raises:
        UsageError: the file cannot be read.
    """
    import onnxruntime

    try:
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except Exception as error:  # noqa: BLE001 - onnxruntime has an error class for each way a file can be wrong
        raise UsageError(f"cannot read the ONNX file {path}: {str(error).splitlines()[0][:200]}") from None

    def run(pixels: Tensor) -> Tensor:
        return torch.from_numpy(session.run(None, {PIXELS: pixels.detach().cpu().contiguous().numpy()})[0])

    return run, json.loads(session.get_modelmeta().custom_metadata_map.get("prunetui", "{}"))
