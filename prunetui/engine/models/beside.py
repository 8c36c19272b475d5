"""What stands beside a model's weights in a file: what may be ignored, and what says that it is another network.

Ignored are notes that tools leave in every module (thop's ``total_ops``), and whatever a network does not compute with:
a loss, its class weights, metrics, optimisers, averages with a count. They lie outside the model's tree of modules, and
hold no layer. A layer that the model has not (``layer4.0.conv1.weight``, ``head.bias``) is never ignored, nor is
anything inside a module of the model: leaving it out would compute something else.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from torch import Tensor

from prunetui.engine.models.parts import COUNTER

NOTES = frozenset({"total_ops", "total_params", "n_averaged", "_extra_state", COUNTER})
"""Last words of names that tools add to any module, and that no module computes with."""
AIMS = re.compile(
    r"criteri|loss|metric|meter|auroc|accuracy|confusion|confmat|f1|(?:^|_)acc(?:$|_|\d)|optim", re.IGNORECASE
)
PARAMETERS = re.compile(r"weight|bias|running_(?:mean|var)|in_proj_\w+|weight_\w+|bias_\w+|original\d?")
NAMED = 4


def foreign(
    names: Iterable[str], prefix: str, tensors: Mapping[str, Tensor], wanted: Mapping[str, Tensor]
) -> list[str]:
    """Those of ``names``, all below ``prefix``, that cannot be ignored."""
    tree = {name.partition(".")[0] for name in wanted}
    classes = {tensor.shape[0] for name, tensor in wanted.items() if tensor.dim() == 2}
    return [name for name in names if not _may_go(name.removeprefix(prefix), tensors[name], tree, classes)]


def _may_go(name: str, tensor: Tensor, tree: set[str], classes: set[int]) -> bool:
    first, _, _ = name.partition(".")
    last = name.rpartition(".")[2]
    if last in NOTES:
        return True
    if first in tree:
        return False
    if tensor.dim() == 0 or AIMS.search(first):
        return True
    if last in ("weight", "pos_weight") and tensor.dim() == 1 and len(tensor) in classes:
        return True  # of the classes, in a loss: a layer would have a bias or statistics, which are told
    return not PARAMETERS.fullmatch(last)


def told(names: Sequence[str]) -> str:
    """``34 tensors (optimizer, criterion.weight)``: how many, and the first few by the first words of their places."""
    by_place = Counter(name if name.count(".") < 2 else name.partition(".")[0] for name in names)
    shown = [f"{place} ({count})" if count > 1 else place for place, count in by_place.items()]
    more = f" and {len(shown) - NAMED} more" if len(shown) > NAMED else ""
    return f"{len(names)} tensor{'s' if len(names) != 1 else ''} ({', '.join(shown[:NAMED])}{more})"
