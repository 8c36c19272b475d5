"""Which methods may follow each other in a hybrid, and why others may not."""

from __future__ import annotations

from prunetui.config.choices import shaping_epochs
from prunetui.config.schedule import SHAPED_THROUGHOUT
from prunetui.config.schema import MethodTable, PartTable
from prunetui.errors import Mistake
from prunetui.plugins.method_catalogue import MethodInfo, catalogue


def part_mistakes(method: MethodTable, where: str) -> list[Mistake]:
    """All that is wrong with the parts of a method."""
    if catalogue().methods[method.name].edit != "sequence":
        if method.parts:
            return [Mistake(f"{where}.parts", f"only a hybrid has parts; {method.name} is one method")]
        return []
    if len(method.parts) < 2:
        example = 'parts = ["l1-structured", "global-unstructured"]'
        return [Mistake(f"{where}.parts", f"a hybrid needs at least two parts, as in {example}")]
    return _shares(method, where) or _orders(method, where)


def _shares(method: MethodTable, where: str) -> list[Mistake]:
    given = sum(part.share or 0.0 for part in method.parts)
    silent = any(part.share is None for part in method.parts)
    if given > 1 + 1e-9 or (silent and given > 1 - 1e-9) or (not silent and abs(given - 1) > 1e-9):
        return [Mistake(f"{where}.parts", "the shares of the parts must add up to 1", f"{given:g}")]
    return []


def _orders(method: MethodTable, where: str) -> list[Mistake]:
    found = []
    masked = ""
    for i, part in enumerate(method.parts):
        reason = _reason_against(catalogue().methods[part.name], part, masked)
        if reason:
            found.append(Mistake(f"{where}.parts[{i}]", reason, f'"{part.name}"'))
        if catalogue().methods[part.name].edit == "masks":
            masked = masked or part.name
    return found


def _reason_against(info: MethodInfo, part: PartTable, masked: str) -> str:
    """Why a part cannot stand where it stands; ``masked`` is a part before it that masks weights."""
    if info.edit == "sequence":
        return "a hybrid cannot be part of a hybrid; list its parts instead"
    if "sparsity" not in info.targets:
        return f"it knows no sparsity (only {', '.join(info.targets)}), so it cannot take a share of one"
    throughout = info.schedules and set(info.schedules) <= set(SHAPED_THROUGHOUT)
    if throughout or shaping_epochs(MethodTable(name=part.name, options=part.options)):
        return "it shapes a training, and a hybrid is applied at once"
    if masked and info.edit == "channels":
        return (
            f"it would undo {masked} before it: removing channels takes masked weights along, so neither share "
            "would be kept; put channels first"
        )
    return ""
