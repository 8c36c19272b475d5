"""What may be removed from a network: looked up, or proposed and proved in a process that can be killed."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from torch import nn

from prunetui.engine.tracing.in_child import ChildFailed, ChildRaised, Start, in_child
from prunetui.engine.tracing.network_digest import network_digest
from prunetui.engine.tracing.plain_proof import plain_proof, proof_from
from prunetui.engine.tracing.probe_network import Example
from prunetui.engine.tracing.proof_cache import keep_proof, read_proof
from prunetui.engine.tracing.proposal import Proposal
from prunetui.engine.tracing.prove import Proof, prove

Proposer = Callable[[nn.Module, Sequence[Example]], Proposal | Proof]
"""Makes a graph of a network, a module-level function; a proof of it where it computes something else than the whole.
The first that comes to an end is used."""
SECONDS = 900.0
"""After so long a proposer and its proof are given up, which is said: only what has no end should take that."""


def prove_network(
    model: nn.Module, examples: Sequence[Example], proposers: Sequence[Proposer], seconds: float = SECONDS,
    start: Start | None = None, probes: Sequence[Example] = (),
) -> Proof:  # fmt: skip
    """What holds of a network's groups; the notes say which proposers failed, and why.

    Graphs are made of ``examples``; ``probes`` (the same by default) are what is computed to prove them.
    """
    purpose = " ".join(f"{proposer.__module__}.{proposer.__qualname__}" for proposer in proposers)
    probes = probes or examples
    digest = network_digest(model, [*examples, *probes], purpose)
    known = read_proof(digest) if digest else None
    if known is not None:
        return known
    notes: list[str] = []
    cut_short = False
    on_cpu = _on_cpu(model)
    for proposer in proposers:
        try:
            plain = in_child(partial(_proposed_and_proved, on_cpu, examples, proposer, probes), seconds, start)
            proof = proof_from(plain)
        except ChildFailed as failed:
            notes.append(f"{proposer.__qualname__} {failed}")
            cut_short |= not isinstance(failed, ChildRaised)
            continue
        except (KeyError, TypeError, ValueError) as error:
            notes.append(f"{proposer.__qualname__} gave no proof that can be read: {error}")
            continue
        found = replace(proof, notes=(*notes, *proof.notes), cut_short=cut_short)
        # another time there may be more time, and of parts, values that are not in the digest may call others
        if digest and not cut_short and not found.parts:
            keep_proof(digest, found)
        return found
    return Proof(Proposal(()), notes=tuple(notes), cut_short=cut_short)


def _proposed_and_proved(
    model: nn.Module, examples: Sequence[Example], proposer: Proposer, probes: Sequence[Example]
) -> dict[str, Any]:
    found = proposer(model, examples)
    return plain_proof(found if isinstance(found, Proof) else prove(model, found, probes))


def _on_cpu(model: nn.Module) -> nn.Module:
    """A forked process cannot use a GPU that this one uses."""
    if all(tensor.device.type == "cpu" for tensor in [*model.parameters(), *model.buffers()]):
        return model
    return copy.deepcopy(model).cpu()
