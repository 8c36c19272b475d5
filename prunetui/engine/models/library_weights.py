"""Weights that a library publishes for its networks: ``checkpoint = "torchvision:DEFAULT"``.

The file that lies in the library's own cache is taken; where there is none, the library's own client downloads it, as
naming these weights asks for it. It is read like any other checkpoint: no code in it is run.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from prunetui.config import ModelTable
from prunetui.engine.models import Architecture, build
from prunetui.errors import UsageError
from prunetui.files.paths import user_path
from prunetui.plugins.libraries import library_of, weights_named

SAFETENSORS = "model.safetensors"


def checkpoint_file(model: ModelTable) -> Path:
    """The file of a study's checkpoint.

    Raises:
        UsageError: the library has no such weights, or they are not here and cannot be downloaded.
    """
    assert model.checkpoint
    wanted = weights_named(model.checkpoint)
    if wanted is None:
        return user_path(model.checkpoint)
    library = library_of(model.name)
    name = model.name.partition(":")[2]
    return _of_timm(name, wanted) if library and library.package == "timm" else _of_torchvision(name, wanted)


def _of_torchvision(name: str, wanted: str) -> Path:
    from torchvision.models import get_model_weights

    weights: Any = get_model_weights(name)
    names = [one.name for one in weights]
    if wanted.upper() != "DEFAULT" and wanted not in names:
        raise UsageError(_no_weights("torchvision", name, wanted, names))
    if not names:
        raise UsageError(f"torchvision has no weights of {name}")
    return _by_address(weights[wanted.upper() if wanted not in names else wanted].url)


def _of_timm(name: str, wanted: str) -> Path:
    import timm

    base, _, tag = name.partition(".")
    tags = [one.partition(".")[2] for one in timm.list_pretrained(f"{base}.*")]
    wanted = tag if wanted.upper() == "DEFAULT" else wanted
    if not tags or (wanted and wanted not in tags):
        raise UsageError(_no_weights("timm", base, wanted or "default", tags))
    about: Any = timm.get_pretrained_cfg(f"{base}.{wanted}" if wanted else base)
    if about.url and (_hub() / Path(about.url).name).is_file():
        return _hub() / Path(about.url).name
    return _by_hub(about.hf_hub_id) if about.hf_hub_id else _by_address(about.url)


def _no_weights(library: str, name: str, wanted: str, names: list[str]) -> str:
    near = difflib.get_close_matches(wanted, names, 1)
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"{library} has no weights {wanted!r} of {name}; there are: {', '.join(names) or 'none'}{hint}"


def _hub() -> Path:
    return Path(torch.hub.get_dir()) / "checkpoints"


def _by_address(address: str) -> Path:
    """The file of an address in torch's cache, downloaded where it is not there."""
    file = _hub() / Path(address).name
    if not file.is_file():
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            digest = torch.hub.HASH_REGEX.search(file.name)
            torch.hub.download_url_to_file(address, str(file), digest[1] if digest else None, progress=False)
        except (OSError, RuntimeError) as error:
            raise UsageError(_unreachable(file, error)) from None
    return file


def _by_hub(repository: str) -> Path:
    """The file of a repository of Hugging Face's hub in its cache, downloaded where it is not there."""
    from huggingface_hub import hf_hub_download, try_to_load_from_cache

    found = try_to_load_from_cache(repository, SAFETENSORS)
    if isinstance(found, str):
        return Path(found)
    try:
        return Path(hf_hub_download(repository, SAFETENSORS))
    except Exception as error:  # noqa: BLE001 - the client has an error class for each way to fail
        raise UsageError(_unreachable(Path(repository) / SAFETENSORS, error)) from None


def _unreachable(file: Path, error: Exception) -> str:
    why = str(getattr(error, "reason", None) or error).splitlines()[0][:200]
    return (
        f"the weights {file} are not here and could not be downloaded ({why}); with a network, run again; "
        "without one, put the file there from another machine, or name any file as model.checkpoint"
    )


def with_own_head(
    tensors: Mapping[str, Tensor], architecture: Architecture, model: ModelTable
) -> tuple[Mapping[str, Tensor], tuple[str, ...]]:
    """A library's weights for the classes of the data: what is of other classes is drawn anew, and told.

    A checkpoint that a user names is never changed so: it would be another network than was meant.
    """
    if weights_named(model.checkpoint) is None:
        return tensors, ()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        fresh = build(architecture).state_dict()
    others = {
        name: tensor
        for name, tensor in fresh.items()
        if name in tensors and tensor.shape[:1] == (architecture.classes,) != tensors[name].shape[:1]
        and tensor.shape[1:] == tensors[name].shape[1:]
    }  # fmt: skip
    if not others:
        return tensors, ()
    theirs = len(tensors[next(iter(others))])
    told = (
        f"{model.checkpoint} tells {theirs} classes apart, the data has {architecture.classes}: {', '.join(others)} "
        "are drawn anew, for training ([train] epochs)"
    )
    return {**tensors, **others}, (told,)
