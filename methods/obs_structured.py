from collections import Counter
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from prunetui.api import (
    ChannelReader,
    Channels,
    ChannelScope,
    Count,
    Factor,
    Group,
    Keep,
    Net,
    Normalise,
    Positive,
    can_unfold,
    cannot_rank,
    channel_costs,
    dataclass,
    fitted,
    input_columns,
    keep_channels,
    register,
    weight_rows,
)

Reads = dict[str, Tensor]
"""Layer -> the columns int64 [width, c] with which it reads each channel of a group."""


@register(
    "obs-structured",
    source="Kurtic, Frantar & Alistarh 2023, ZipLM, arXiv:2302.04089, without its latency table and distillation",
)
@dataclass(frozen=True)
class StructuredOptimalBrainSurgeon:
    """Remove the channels whose removal changes what their readers put out least once the other weights have moved.

    Layers that read a channel are least-squares problems with H = X X^T of their inputs. A channel with the columns S
    costs the sum over rows of W_S ([H^-1]_SS)^-1 W_S^T, relative to the energy of the layer's output; all readers add
    up. Channels go one by one, the others moving each time. Where we depart: ZipLM prunes attention heads, widths of
    MLPs and whole modules of language models, here all coupled channels may go; it searches widths that meet a latency
    by a table of timings, here the study's target decides, and costs are divided by what a channel saves of it; it
    trains with distillation, here the study's recipe does. What is left of the readers is at last fitted jointly, one
    layer after the other, to put out for the pruned net's input what the dense layer put out for its own. Only
    convolutions of one or two dimensions and linear layers are readers that count and move, and weights that several
    layers share stay as they are.
    """

    scope: ChannelScope = "global"
    """Rank across the whole net, thin every layer by the same ratio, or rank among layers of one structure."""

    normalise: Normalise = "none"
    """What divides costs before layers compete: nothing, their layer's mean, or its L2 norm."""

    damping: Factor = 0.01
    """Added to H's diagonal, relative to its mean."""

    step: Positive = 1
    """Channels that go before the others are looked at anew."""

    block: Positive = 4096
    """Most columns of a layer that are one problem; of longer rows parts know of each other only in the fit."""

    by_saving: bool = True
    """Divide costs by what a channel saves of the study's target, or compare channels of all layers as they are."""

    sequential: bool = True
    """Fit each layer to what the pruned layers before it hand on, or to what the dense ones did."""

    round_to: Count = 0
    """Widths become multiples of this; 0 is 8 where the narrowest layer has 64 channels, else 1."""

    def prune(self, net: Net, sparsity: float) -> Channels:
        costs = self.costs(net)
        if self.by_saving and net.target != "channels":
            costs = {name: cost / saving(net, name) for name, cost in costs.items()}
        keep = keep_channels(net, costs, sparsity, self.scope, self.round_to, self.normalise)
        return Channels(keep, self._moved(net, keep))

    def costs(self, net: Net) -> dict[str, Tensor]:
        """By group [width]: what each removal adds to the errors of its readers' outputs, in the order of removals."""
        reads = {group.name: columns_read(net, group) for group in net.groups()}
        weights, parts = rows_by_layer(net, reads), parts_of(net, reads, self.block)
        energy, hessians = second_moments(net, weights, parts)
        costs = {}
        for group in net.groups():
            readers = []
            for name, columns in reads[group.name].items():
                scale = 1 / max(energy[name], 1e-30)
                for part, hessian in zip(parts[name], hessians[name], strict=True):
                    channels, within = _inside(columns, part)
                    if len(channels):
                        damped = hessian + self._ridge(hessian) * torch.eye(len(part), device=hessian.device)
                        readers.append(ChannelReader(weights[name][:, :, part], damped, channels, within, scale))
            costs[group.name] = channel_costs(readers, group.width, self.step)
        return costs

    def _moved(self, net: Net, keep: Keep) -> dict[str, Tensor]:
        """The weights of the layers that read removed channels, shaped as after the removal, in the order of the net.

        ``before`` becomes the pruned net on the way: what reads removed channels reads them with zeros.
        """
        before, moved = without_channels(net, keep) if self.sequential else net, {}
        names = Counter(id(tensor) for _, tensor in net.model.named_parameters(remove_duplicate=False))
        for name, weight in net.parameters().items():
            stay = surviving(f"{name}.weight", weight.shape, net.groups(), keep)
            read = stay[0 if name in net.constraints.turned else 1].to(weight.device)
            if bool(read.all()) or not _readable(net, name) or names[id(weight)] > 1:
                continue
            fit = net.as_weights({name: self._fitted(name, net, before, read)})[name]
            if self.sequential:
                before.model.get_parameter(f"{name}.weight").data.copy_(fit)
            for dimension, mask in enumerate(stay):
                fit = fit.index_select(dimension, mask.nonzero().flatten().to(fit.device))
            moved[f"{name}.weight"] = fit
        return moved

    def _fitted(self, name: str, net: Net, before: Net, read: Tensor) -> Tensor:
        """The layer's weights, outputs first, that make the most of the inputs ``read`` [in] that ``before`` hands on.

        They minimise |V X' - W X|^2 + ridge |V - W|^2, X' of the pruned net and X of the dense one.
        """
        layer, weight = net.layers()[name], net.by_output()[name]
        w = weight_rows(layer, weight)
        kept = read.repeat_interleave(w.shape[2] // len(read)).nonzero().flatten()
        hessian, target = w.new_zeros(len(w), len(kept), len(kept)), torch.zeros_like(w[:, :, kept])
        for dense, pruned in zip(net.inputs(), before.inputs(), strict=True):
            columns = zip(input_columns(layer, dense[name]), input_columns(layer, pruned[name]), strict=True)
            for x, y in columns:
                y = y[:, kept]
                hessian.baddbmm_(y, y.mT)
                target.baddbmm_(w @ x, y.mT)
        ridge = self._ridge(hessian)
        hessian.diagonal(dim1=1, dim2=2).add_(ridge)
        target += ridge * w[:, :, kept]
        mask = net.by_output(net.masks).get(name)
        stay = None if mask is None or bool(mask.all()) else weight_rows(layer, mask)[:, :, kept].bool()
        v = torch.zeros_like(w)
        v[:, :, kept] = fitted(target, hessian, stay)
        return v.view(weight.shape)

    def _ridge(self, hessian: Tensor) -> Tensor:
        return self.damping * hessian.diagonal(dim1=1, dim2=2).mean().clamp_min(1e-30)


def columns_read(net: Net, group: Group) -> Reads:
    """With which columns of its rows each layer reads a group.

    Raises:
        UnrankedError: no layer reads it whose input can be unfolded.
    """
    weights, found = net.by_output(), Reads()
    for part in group.weights("reads"):
        if part.layer in weights and _readable(net, part.layer):
            weight = weights[part.layer]
            each = torch.arange(weight[0, 0].numel(), device=weight.device)
            columns = (part.index.to(weight.device)[:, :, None] * len(each) + each).flatten(1)
            found[part.layer] = torch.cat([found[part.layer], columns], 1) if part.layer in found else columns
    if not found:
        raise cannot_rank(group, "no convolution of one or two dimensions and no linear layer reads")
    return found


def rows_by_layer(net: Net, reads: Mapping[str, Reads]) -> dict[str, Tensor]:
    """The weights of each layer that reads a group, as rows."""
    names, layers = {name for of_group in reads.values() for name in of_group}, net.layers()
    return {name: weight_rows(layers[name], w) for name, w in net.by_output().items() if name in names}


def parts_of(net: Net, reads: Mapping[str, Reads], block: int) -> dict[str, list[Tensor]]:
    """The columns of each layer, all together if they are no more than ``block``, else whole channels at a time."""
    parts: dict[str, list[Tensor]] = {}
    for name, rows in rows_by_layer(net, reads).items():
        if rows.shape[2] <= block:
            parts[name] = [torch.arange(rows.shape[2], device=rows.device)]
        else:
            read = [of_group[name] for of_group in reads.values() if name in of_group]
            parts[name] = [p.flatten() for each in read for p in torch.split(each, max(1, block // each.shape[1]))]
    return parts


def second_moments(
    net: Net, weights: Mapping[str, Tensor], parts: Mapping[str, list[Tensor]]
) -> tuple[dict[str, float], dict[str, list[Tensor]]]:
    """Of each layer the energy of its output, |W X|^2, and of each part of its columns X X^T, [groups, d, d]."""
    energy, layers = dict.fromkeys(weights, 0.0), net.layers()
    hessians = {n: [w.new_zeros(len(w), len(p), len(p)) for p in parts[n]] for n, w in weights.items()}
    for seen in net.inputs():
        for name, w in weights.items():
            for x in input_columns(layers[name], seen[name]):
                energy[name] += float((w @ x).square().sum())
                for part, hessian in zip(parts[name], hessians[name], strict=True):
                    own = x if len(part) == w.shape[2] else x[:, part]
                    hessian.baddbmm_(own, own.mT)
    return energy, hessians


def saving(net: Net, group: str) -> float:
    """What the net costs, of the kind that is its target, more than with one channel less of a group; 1 at least."""
    widths = net.costs.current
    less = {**widths, group: max(1, widths[group] - 1)}
    return max(1, net.costs.cost(net.target, widths) - net.costs.cost(net.target, less))


def surviving(tensor: str, shape: Sequence[int], groups: Sequence[Group], keep: Keep) -> list[Tensor]:
    """Which indices of each dimension of a tensor stay, bool [size]."""
    stay = [torch.ones(size, dtype=torch.bool) for size in shape]
    for group in groups:
        for part in group.slices:
            if part.tensor == tensor:
                stay[part.dimension][part.index[~keep[group.name].cpu()]] = False
    return stay


def without_channels(net: Net, keep: Keep) -> Net:
    """The same net, in which nothing reads what is removed."""
    copied = net.with_weights({})
    state = copied.model.state_dict()
    for group in net.groups():
        for part in group.slices:
            if part.role == "reads":
                tensor = state[part.tensor]
                tensor.mul_(part.spread(keep[group.name].to(tensor.device), tensor, elsewhere=1))
    return copied


def _readable(net: Net, name: str) -> bool:
    """Whether it is known what a layer reads, and as columns."""
    layer: nn.Module = net.layers()[name]
    return name not in net.constraints.uncalled and can_unfold(layer)


def _inside(columns: Tensor, part: Tensor) -> tuple[Tensor, Tensor]:
    """The channels whose columns [width, c] lie in a part [d] of all, and where there: [n] and [n, c]."""
    place = part.new_full((int(max(columns.max(), part.max())) + 1,), -1)
    place[part] = torch.arange(len(part), device=part.device)
    within = place[columns]
    channels = (within >= 0).all(1).nonzero().flatten()
    return channels, within[channels]
