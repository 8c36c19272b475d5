"""What every table of a study file is made of: strict tables, fractions, values and ranges."""

from __future__ import annotations

import math
import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

Fraction = Annotated[float, Field(ge=0.0, lt=1.0)]

RANGE = re.compile(r"^\s*([\d.eE+-]+?)\s*\.\.\s*([\d.eE+-]+?)\s*/\s*([\d.eE+-]+)\s*$")


MOST_VALUES = 1000
MOST_IN_LIST = 100_000


def unrolled_range(text: str) -> list[float]:
    """``"0.1..0.5/0.2"`` -> ``[0.1, 0.3, 0.5]``: from, to (included) and step."""
    match = RANGE.match(text)
    try:
        first, last, step = map(float, match.groups() if match else ("", "", ""))
    except ValueError:
        raise ValueError('a range is written "from..to/step", as in "0.1..0.9/0.1"') from None
    if not (0 < step < math.inf and first <= last < math.inf):
        raise ValueError("a range goes upwards with a positive step")
    steps = (last - first) / step
    if steps >= MOST_VALUES:
        raise ValueError(f"a range has at most {MOST_VALUES} values")
    return [round(first + i * step, 10) for i in range(int(steps + 1e-9) + 1)]


def _values(raw: object) -> object:
    """Accept one number, a range or a list that mixes both."""
    items = raw if isinstance(raw, list | tuple) else [raw]
    values: list[object] = []
    for item in items:
        values.extend(unrolled_range(item) if isinstance(item, str) else [item])
        if len(values) > MOST_IN_LIST:
            raise ValueError(f"at most {MOST_IN_LIST:,} values, ranges unrolled")
    return tuple(values)


def _ascending(values: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(sorted(set(values)))


def unique(values: tuple[int, ...]) -> tuple[int, ...]:
    """The seeds, each named once."""
    if len(set(values)) != len(values):
        raise ValueError("every seed may be named once")
    return values


class TomlTable(BaseModel):
    """A TOML table: strict types, unknown keys refused, frozen once read."""

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        model_title_generator=lambda table: table.__name__.removesuffix("Table"),
    )


Values = Annotated[
    tuple[Annotated[float, Field(ge=0)], ...],
    Field(strict=False, min_length=1),
    BeforeValidator(_values, json_schema_input_type=float | str | list[float | str]),
    AfterValidator(_ascending),
]
