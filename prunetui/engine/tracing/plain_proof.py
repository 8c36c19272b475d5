"""Proofs as plain data, for another process or a file, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, get_args

from prunetui.api.groups import Group, Indices, Role, Slice, one_each
from prunetui.engine.tracing.proposal import AttributeRule, Dimension, Product, Proposal
from prunetui.engine.tracing.prove import Proof
from prunetui.engine.tracing.silence import Way

ROLES: tuple[Role, ...] = get_args(Role)
WAYS: tuple[Way, ...] = get_args(Way)


def plain_proof(proof: Proof) -> dict[str, Any]:
    """A proof as JSON-able data."""
    return {
        "proposal": plain_proposal(proof.proposal),
        "pinned": dict(proof.pinned),
        "ways": dict(proof.ways),
        "notes": list(proof.notes),
        "untried": list(proof.untried),
        "probes": proof.probes,
        "worst": proof.worst,
        "parts": list(proof.parts),
    }


def proof_from(plain: Mapping[str, Any]) -> Proof:
    """The proof that ``plain_proof`` wrote.

    Raises:
        KeyError, TypeError, ValueError: it is something else.
    """
    return Proof(
        proposal_from(plain["proposal"]),
        _words(plain["pinned"]),
        {str(name): WAYS[WAYS.index(way)] for name, way in plain["ways"].items()},
        tuple(str(note) for note in plain["notes"]),
        tuple(str(line) for line in plain["untried"]),
        int(plain["probes"]),
        float(plain["worst"]),
        parts=tuple(map(str, plain["parts"])),
    )


def plain_proposal(proposal: Proposal) -> dict[str, Any]:
    """A proposal as JSON-able data."""
    return {
        "groups": [
            [group.name, [[s.tensor, s.dimension, s.role, _plain_indices(s.indices)] for s in group.slices]]
            for group in proposal.groups
        ],
        "attributes": [[r.module, r.attribute, r.group, r.each, r.fixed] for r in proposal.attributes],
        "kept": dict(proposal.kept),
        "products": [
            [product.module, product.of_layer, [[e.size, dict(e.parts)] for e in product.dimensions]]
            for product in proposal.products
        ],
    }


def proposal_from(plain: Mapping[str, Any]) -> Proposal:
    """The proposal that ``plain_proposal`` wrote.

    Raises:
        KeyError, TypeError, ValueError: it is something else.
    """
    groups = tuple(Group(str(name), tuple(_slice(*piece) for piece in pieces)) for name, pieces in plain["groups"])
    rules = tuple(
        AttributeRule(str(module), str(attribute), str(group), int(each), int(fixed))
        for module, attribute, group, each, fixed in plain["attributes"]
    )
    return Proposal(groups, rules, _words(plain["kept"]), tuple(_product(*one) for one in plain["products"]))


def _product(module: str, of_layer: bool, dimensions: Sequence[tuple[int, Mapping[str, int]]]) -> Product:
    found = tuple(
        Dimension(int(size), tuple((str(g), int(each)) for g, each in parts.items())) for size, parts in dimensions
    )
    return Product(str(module), bool(of_layer), found)


def _words(plain: Mapping[str, Any]) -> dict[str, str]:
    return {str(key): str(value) for key, value in plain.items()}


def _slice(tensor: str, dimension: int, role: str, indices: Any) -> Slice:
    found = one_each(*map(int, indices["run"])) if isinstance(indices, Mapping) else _as_tuples(indices)
    return Slice(str(tensor), int(dimension), found, ROLES[ROLES.index(role)])


def _as_tuples(indices: Sequence[Sequence[Any]]) -> Indices:
    return tuple(tuple(int(index) for index in channel) for channel in indices)


def _plain_indices(indices: Indices) -> Any:
    """Channels that follow one another, as most do, as their number, indices a channel and first index."""
    run = (len(indices), len(indices[0]), indices[0][0])
    return {"run": list(run)} if indices == one_each(*run) else [list(channel) for channel in indices]
