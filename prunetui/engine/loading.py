"""``prunetui.load``: a pruned network back as a module, and what an exported file says of itself."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from prunetui.api import called_with, logits_of
from prunetui.engine.export_header import parse_header
from prunetui.engine.models import Architecture
from prunetui.engine.models.own_network import found_again
from prunetui.engine.models.read_checkpoint import LoadedCheckpoint, read_checkpoint
from prunetui.engine.onnx import PIXELS
from prunetui.engine.state import State, instantiate
from prunetui.errors import UsageError
from prunetui.formats.finite_values import check_finite
from prunetui.formats.refused import Refused, reason

ABOUT = "prunetui.json"
"""Name of the header inside a .pt2 file; in ONNX it is a metadata property, in safetensors the header itself."""
MOST_FILE_BYTES = 2 << 30


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
        logits: Tensor = logits_of(self.net((pixels - self.mean) / self.std))
        return logits


def load(path: str | Path, semi_structured: bool = False, trust: bool = False) -> nn.Module:
    """The network in a file of prunetui's (.safetensors, or an exported .pt2), in evaluation mode on the CPU.

    It takes float images [B, C, H, W] in [0, 1] and gives logits [B, classes]: the normalisation it was trained with
    is part of it. Of a .safetensors file ``.net`` is the bare network. One that was trained on prepared examples is the
    bare network itself, which takes such examples.

    ``semi_structured`` puts a 2:4 network (method nm) on the GPU instead, for images in bfloat16, its linear layers and
    1x1 convolutions in torch's semi-structured format where their widths are those that its kernels take.

    Nothing in a file is executed: a .pt2 that holds more than operators on tensors is refused. ``trust`` gives it to
    ``torch.export.load`` all the same, which can run any code in it; of a .safetensors file it runs
    the user's file that builds its network.

    Raises:
        UsageError: there is no such file, or it does not say how to build its network; it holds code; no GPU for the
            semi-structured format, or no layer that fits it.
    """
    path = Path(path).expanduser()
    if path.suffix.lower() == ".pt2":
        if semi_structured:
            raise UsageError(f"{path} is a fixed program; the semi-structured format is made from a .safetensors file")
        return load_exported(path, trust)[0]
    read = read_checkpoint(path)
    model: nn.Module = network_in(read, path, trust) if read.header.get("prepared") else pixels_of(read, path, trust)
    if semi_structured:
        from prunetui.engine.semi_structured import to_semi_structured

        to_semi_structured(model)
    return model


def pixels_of(checkpoint: LoadedCheckpoint, path: Path, trust: bool = False) -> Pixels:
    """The network of a file that says how to build it; ``trust`` runs the code of a user's that it names."""
    if not {"architecture", "mean", "std"} <= set(header := checkpoint.header):
        raise UsageError(f"{path} does not say how to build its network; `prunetui evaluate` takes such files")
    return Pixels(network_in(checkpoint, path, trust), header["mean"], header["std"]).eval()


def network_in(checkpoint: LoadedCheckpoint, path: Path, trust: bool = False) -> nn.Module:
    """The bare network of such a file, in evaluation mode."""
    header = checkpoint.header
    architecture = found_again(Architecture(**header["architecture"]), path, trust)
    state = State(architecture, checkpoint.tensors, attributes=attributes_of(header, path))
    return network_of(state, path, torch.device("cpu"), images=not header.get("prepared")).eval()


def attributes_of(header: Mapping[str, Any], path: Path) -> dict[str, Tensor]:
    """The attributes of modules that a file says, which follow its widths.

    Raises:
        UsageError: they are no whole numbers.
    """
    given = header.get("attributes", {})
    try:
        values = {str(place): torch.tensor(value) for place, value in given.items()}
    except (AttributeError, TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise UsageError(f"the attributes that {path} says are not numbers: {error}") from None
    if wrong := [place for place, value in values.items() if value.dtype != torch.int64 or value.dim() > 1]:
        raise UsageError(f"the attributes that {path} says are no whole numbers: {', '.join(wrong[:5])}")
    return values


def network_of(state: State, path: Path, device: torch.device, images: bool = True) -> nn.Module:
    """The network of a file's architecture and tensors, which need not fit each other.

    One of ``images`` is tried; what goes into others is not known here.

    Raises:
        UsageError: they do not, or some tensors hold NaN or infinity.
    """
    try:
        net = instantiate(state, device)
        if images:
            _check_fits(net, state.architecture)
    except (RuntimeError, ValueError, TypeError, LookupError, AttributeError) as error:
        name = state.architecture.name
        raise UsageError(f"the tensors of {path} do not make the {name} that it says: {reason(error)}") from None
    check_finite(net.state_dict(), path)
    return net


def _check_fits(net: nn.Module, architecture: Architecture) -> None:
    """Run the layers of a network of images without computing, which finds widths that do not follow from each other.

    Raises:
        ValueError: the outputs are not one value a class.
    """
    if not (architecture.channels and architecture.size):
        return  # no image goes in, and the file does not say what does
    tensors = {name: tensor.to("meta") for name, tensor in [*net.named_parameters(), *net.named_buffers()]}
    channels, size = architecture.channels, architecture.size
    if channels is None or size is None:
        raise ValueError("it does not say the shape of its images")
    images = torch.empty(2, channels, size, size, device="meta")
    with torch.no_grad():
        made = logits_of(called_with(net, tensors, (images,)))
    if made.shape != (2, architecture.classes):
        raise ValueError(f"it gives {made.shape[-1]} values an image for {architecture.classes} classes")


def load_exported(path: Path, trust: bool = False) -> tuple[nn.Module, dict[str, Any]]:
    """The module of a .pt2 file, and its header.

    The archive is read as data and its program run operator by operator: nothing in it is unpickled (tensors apart, by
    ``weights_only``), evaluated or compiled. With ``trust`` it goes to ``torch.export.load``, which does all of these.

    Raises:
        UsageError: it cannot be read, asks for more than operators on tensors, or holds NaN or infinity.
    """
    data = _bytes(path)
    try:
        module, header = _trusted(data) if trust else _inspected(data)
    except Refused as error:
        raise UsageError(
            f"cannot read the exported program {path} as data: {error}; nothing in it was run. If you trust whoever "
            "made it, --trust (in Python trust=True) gives it to torch.export.load, which can run any code in it"
        ) from None
    except Exception as error:  # noqa: BLE001 - a damaged archive raises whatever its bytes lead to
        raise UsageError(f"cannot read the exported program {path}: {reason(error)}") from None
    check_finite(dict([*module.named_parameters(), *module.named_buffers()]), path)
    return module, header


def _inspected(data: bytes) -> tuple[nn.Module, dict[str, Any]]:
    from prunetui.formats.pt2_archive import read_contents
    from prunetui.formats.pt2_module import ExportedNetwork
    from prunetui.formats.pt2_program import parse_program

    contents = read_contents(data)
    header = parse_header(contents.extra.get(ABOUT, b"{}"))
    module = ExportedNetwork(parse_program(contents.program), contents.tensors)
    module.check()
    return module, header


def _trusted(data: bytes) -> tuple[nn.Module, dict[str, Any]]:
    about = {ABOUT: "{}"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch's own, about its own files
        program = torch.export.load(io.BytesIO(data), extra_files=about)
    return program.module(), parse_header(about[ABOUT])


def _bytes(path: Path) -> bytes:
    """The file, read once: what is inspected is what is used."""
    if not path.is_file():
        raise UsageError(f"no file at {path}")
    try:
        with path.open("rb") as file:
            data = file.read(MOST_FILE_BYTES + 1)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    if len(data) > MOST_FILE_BYTES:
        raise UsageError(f"{path} has more than {MOST_FILE_BYTES >> 30} GiB; larger files of this kind are not read")
    return data


def load_onnx(path: Path) -> tuple[Callable[[Tensor], Tensor], dict[str, Any]]:
    """What runs an ONNX file of prunetui's on images [B, C, H, W] in [0, 1], and its header.

    Raises:
        UsageError: the file cannot be read, or asks for more than operators on its own weights.
    """
    import onnxruntime

    from prunetui.formats.onnx_file import self_contained

    data = _bytes(path)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # its log would print names in the file as they are; errors are raised besides
    onnxruntime.set_default_logger_severity(4)
    try:
        content, about = self_contained(data, path.parent)
        header = parse_header(about if about is not None else "{}")
        one = {"providers": ["CPUExecutionProvider"], "enable_fallback": 0}  # falling back prints to stdout
        session = onnxruntime.InferenceSession(content, options, **one)
    except Refused as error:
        raise UsageError(f"cannot read the ONNX file {path} as data: {error}; nothing in it was run") from None
    except Exception as error:  # noqa: BLE001 - onnxruntime has an error class for each way a file can be wrong
        raise UsageError(f"cannot read the ONNX file {path}: {reason(error)}") from None

    def run(pixels: Tensor) -> Tensor:
        return torch.from_numpy(session.run(None, {PIXELS: pixels.detach().cpu().contiguous().numpy()})[0])

    return run, header
