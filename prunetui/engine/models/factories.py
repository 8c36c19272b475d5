"""Networks by factories of installed packages: what a factory takes, and calling it with what the data says.

What is taken is read from the signature; of a factory that hands all other keywords on, also from that of the class it
says it returns. Nothing is downloaded: weights are asked for by ``model.checkpoint``.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import nn

from prunetui.engine.models.image_input import taking_images
from prunetui.errors import UsageError
from prunetui.plugins.contribution import Contribution
from prunetui.plugins.import_file import is_from, spec_of
from prunetui.plugins.kinds import FROM_DATA
from prunetui.plugins.libraries import library_of

WEIGHTS = ("weights", "weights_backbone")
"""Parameters of torchvision's factories that name weights; some would be downloaded by default."""
COMMON = ("num_labels",)
"""What every configuration of transformers takes, though its signature does not say so."""


@dataclass(frozen=True)
class Factory:
    """What builds a network, and the keywords that it is known to take; of a library only what the data tells."""

    make: Callable[..., Any]
    takes: frozenset[str]

    def from_data(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """``values`` of channels, size and classes under the names that the factory has for them."""
        return {name: values[what] for what in values for name in FROM_DATA[what] if name in self.takes}

    def not_taken(self, values: Mapping[str, Any]) -> list[str]:
        """Which of ``values`` it is not told."""
        return [what for what in values if not self.takes & {*FROM_DATA[what]}]


def factory_of(found: Contribution) -> Factory:
    """The factory that a study names in an installed package, which this imports.

    Raises:
        UsageError: the package cannot be imported, or has nothing of this name.
    """
    library = library_of(found.name)
    module = _imported(found)
    made = None if library and library.package == "timm" else getattr(module, found.symbol, None)
    if library is None:
        if not callable(made):
            raise UsageError(f"{found.module} has no function or class called {found.symbol!r}")
        return Factory(made, parameters_of(made))
    if library.package == "timm":
        takes = parameters_of(module.model_entrypoint(library.base(found.symbol))) | {"in_chans", "num_classes"}
        return Factory(partial(module.create_model, found.symbol), takes & library.told)
    if library.package == "transformers":
        return _by_configuration(made, found.name, library.told)
    builder: Any = module.get_model_builder(found.symbol)
    given = {name: None for name in WEIGHTS if name in inspect.signature(builder).parameters}
    return Factory(partial(builder, **given), parameters_of(builder) & library.told)


def network_by(found: Contribution, values: Mapping[str, Any], options: Mapping[str, Any]) -> Any:
    """What the factory makes of the data's ``values`` and of a study's ``options``, which come first.

    Raises:
        UsageError: it cannot be imported, or an option is none of its configuration.
    """
    factory = factory_of(found)
    given = {**factory.from_data(values), **{key: _listed(value) for key, value in options.items()}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of defaults that a library means to change: its version counts
        made = factory.make(**given)
    return taking_images(made) if isinstance(made, nn.Module) and library_of(found.name) else made


def told_of(found: Contribution, values: Mapping[str, Any], options: Mapping[str, Any]) -> str:
    """A sentence on what the data tells the factory, and what it is not told."""
    factory = factory_of(found)
    given = [f"{key} = {value}" for key, value in factory.from_data(values).items() if key not in options]
    words = f"{found.name} ({found.source}) is built with {', '.join(given) or 'nothing'} from the data"
    missing = factory.not_taken(values)
    return f"{words}; it takes no {' and no '.join(missing)}" if missing else words


def parameters_of(made: Callable[..., Any]) -> frozenset[str]:
    """Names of the keywords that a function or class takes, as far as signatures tell."""
    names: set[str] = set()
    for callable_ in _called(made):
        try:
            parameters = inspect.signature(callable_).parameters.values()
        except (TypeError, ValueError):  # of compiled code
            break
        names |= {one.name for one in parameters if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)}
        if not any(one.kind is one.VAR_KEYWORD for one in parameters):
            break
    return frozenset(names - {"self"})


def _called(made: Callable[..., Any]) -> Iterator[Callable[..., Any]]:
    """What gets the keywords: the function, then the class it returns and those that this one is derived from."""
    kind: Any = made
    if not isinstance(made, type):
        yield made
        try:
            kind = inspect.get_annotations(inspect.unwrap(made), eval_str=True).get("return")
        except Exception:  # noqa: BLE001 - annotations are anybody's expressions, and only a hint here
            return
    if isinstance(kind, type) and kind is not nn.Module:
        yield from (base.__dict__["__init__"] for base in kind.__mro__ if "__init__" in vars(base))


def _by_configuration(kind: Any, name: str, told: frozenset[str]) -> Factory:
    """A class of transformers, which is built from an object of its configuration class."""
    configuration = getattr(kind, "config_class", None)
    if not (isinstance(kind, type) and isinstance(configuration, type)):
        raise UsageError(
            f"{name} has no configuration of its own; name a class of one architecture, as in "
            "transformers:ViTForImageClassification"
        )
    takes = parameters_of(configuration) | {*COMMON}

    def make(**config: Any) -> nn.Module:
        for key in config:
            if key not in takes and not hasattr(configuration(), key):
                near = difflib.get_close_matches(key, sorted(takes), 1)
                hint = f"; did you mean {near[0]}?" if near else ""
                raise UsageError(f"{configuration.__name__} has no key {key!r}{hint}")
        if "use_cache" in takes:  # keys and values of earlier words would be outputs, and all heads stay
            config = {"use_cache": False, **config}
        network: nn.Module = kind(configuration(**config))
        return network

    return Factory(make, takes & told)


def _imported(found: Contribution) -> Any:
    """The module, which must be the one whose source was read."""
    if not is_from(spec_of(found.module), found.file):
        raise UsageError(f"another {found.module} than {found.file} would be imported: start from another folder")
    try:
        return importlib.import_module(found.module)
    except Exception as error:
        raise UsageError(f"{found.module} cannot be imported: {type(error).__name__}: {error}") from error


def _listed(value: Any) -> Any:
    """As a study says it: lists, which configurations tell from tuples."""
    return [_listed(one) for one in value] if isinstance(value, tuple) else value
