"""Proofs are found again for the same network only, and what is damaged is not there."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import platformdirs
import pytest
import torch
from torch import nn

from prunetui.api.groups import Group, Slice, one_each
from prunetui.engine.tracing.network_digest import network_digest
from prunetui.engine.tracing.plain_proof import plain_proof, proof_from
from prunetui.engine.tracing.probe_network import Example
from prunetui.engine.tracing.proof_cache import keep_proof, read_proof
from prunetui.engine.tracing.proposal import AttributeRule, Dimension, Product, Proposal
from prunetui.engine.tracing.prove import Proof
from prunetui.engine.tracing.prove_network import prove_network

GROUP = Group(
    "0",
    (
        Slice("0.weight", 0, one_each(4), "makes"),
        Slice("0.bias", 0, ((0,), (2,), (1,), (3,)), "makes"),
        Slice("2.weight", 1, one_each(4, 2, 5), "reads"),
    ),
)
PROOF = Proof(
    Proposal(
        (GROUP,), (AttributeRule("0", "heads", "0", 1, 2),), {"2.weight[0]": "it is an output"},
        (Product("1", False, (Dimension(8, (("0", 2),)), Dimension(5))), Product("2", True, (Dimension(4),))),
    ),
    {"2": "outputs differ"}, {"0": "reads"}, ("a note",), ("nothing is proved",), 12, 1.5e-14,
)  # fmt: skip
EXAMPLES: list[Example] = [((torch.zeros(2, 3),), {})]


def test_a_proof_is_the_same_as_plain_data() -> None:
    assert proof_from(json.loads(json.dumps(plain_proof(PROOF)))) == PROOF


def test_a_proof_is_kept_under_its_digest() -> None:
    assert read_proof("a" * 64) is None
    keep_proof("a" * 64, PROOF)
    assert read_proof("a" * 64) == PROOF
    assert read_proof("a" * 32 + "b" * 32) is None  # the same file


def the_file() -> Path:
    keep_proof("a" * 64, PROOF)
    (file,) = (platformdirs.user_cache_path("prunetui") / "proofs").iterdir()
    return file


@pytest.mark.parametrize("part", ["0.weight", "outputs differ", "1.5e-14", '"run"'])
def test_what_was_changed_is_not_there(part: str) -> None:
    file = the_file()
    text = file.read_text()
    assert part in text
    file.write_text(text.replace(part, part[:-1] + "7"))
    assert read_proof("a" * 64) is None


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"digest": 3}', b"\xff", b"[" * 2000])
def test_what_is_damaged_is_not_there_and_is_written_anew(content: bytes) -> None:
    file = the_file()
    file.write_bytes(content)
    assert read_proof("a" * 64) is None
    keep_proof("a" * 64, PROOF)
    assert read_proof("a" * 64) == PROOF


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    keep_proof("a" * 64, PROOF)
    assert read_proof("a" * 64) is None


# What decides a digest ----------------------------------------------------------------------------------

SOURCE = """
from torch import nn
import other_of_digest
class Own(nn.Module):
    def __init__(self, width=4):
        super().__init__()
        self.a, self.b, self.heads = nn.Linear(3, width), nn.Linear(width, 2), 2
        self.register_buffer("scale", nn.Parameter(self.a.weight[:, 0]).detach() * 0 + 1)
    def forward(self, x):
        return self.b(self.a(x).relu())
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    (tmp_path / "other_of_digest.py").write_text("")
    file = tmp_path / "own_of_digest.py"
    file.write_text(SOURCE)
    monkeypatch.syspath_prepend(str(tmp_path))
    import own_of_digest  # type: ignore[import-not-found]

    yield own_of_digest
    for name in ("own_of_digest", "other_of_digest"):
        del sys.modules[name]


def digest(model: nn.Module, examples: Sequence[Example] = EXAMPLES) -> str | None:
    return network_digest(model, examples, "graph")


def test_values_of_parameters_are_no_part_of_a_digest(own: ModuleType) -> None:
    first = digest(own.Own())
    assert first is not None
    assert digest(own.Own()) == first
    assert digest(own.Own().eval()) == first


def changed_heads(model: Any) -> None:
    model.heads = 1


def changed_buffer(model: Any) -> None:
    model.scale[0] = 2


def tied(model: Any) -> None:
    model.a.bias = nn.Parameter(model.scale.clone())
    model.extra = nn.Linear(3, 4)
    model.extra.weight = model.a.weight


def other_forward(model: Any) -> None:
    model.a.forward = lambda x: nn.functional.linear(x, model.a.weight)


def hooked(model: Any) -> None:
    model.a.register_forward_hook(lambda module, inputs, output: output * 2)


@pytest.mark.parametrize("change", [changed_heads, changed_buffer, tied, other_forward, hooked])
def test_all_else_of_a_network_is(own: ModuleType, change: Any) -> None:
    model = own.Own()
    before = digest(model)
    change(model)
    assert digest(model) != before


@pytest.mark.parametrize("file", ["own_of_digest.py", "other_of_digest.py"])
def test_code_is(own: ModuleType, file: str) -> None:
    before = digest(own.Own())
    place = Path(str(own.__file__)).with_name(file)
    place.write_text(place.read_text() + "\n# changed\n")
    assert digest(own.Own()) != before


def test_shapes_and_words_are_and_numbers_are_not(own: ModuleType) -> None:
    model = own.Own()
    assert digest(own.Own(5)) != digest(model)
    assert digest(model, [((torch.ones(2, 3),), {})]) == digest(model)
    assert digest(model, [((torch.ones(3, 3),), {})]) != digest(model)
    words = [[((torch.tensor([i]),), {})] for i in (1, 2)]
    assert digest(model, words[0]) != digest(model, words[1])


def test_code_that_lies_in_no_file_is_not_kept() -> None:
    typed: dict[str, Any] = {"__name__": "typed_in_by_hand"}
    exec("from torch import nn\nclass Typed(nn.Linear): pass", typed)
    assert digest(typed["Typed"](3, 4)) is None


# All of it together --------------------------------------------------------------------------------------


def right(model: nn.Module, examples: Sequence[Example]) -> Proposal:
    pieces = [("a.weight", 0, "makes"), ("a.bias", 0, "makes"), ("scale", 0, "makes"), ("b.weight", 1, "reads")]
    return Proposal((Group("a", tuple(Slice(n, d, one_each(4), r) for n, d, r in pieces)),))  # type: ignore[arg-type]


def endless(model: nn.Module, examples: Sequence[Example]) -> Proposal:
    while True:
        pass


def crashing(model: nn.Module, examples: Sequence[Example]) -> Proposal:
    raise RuntimeError("cannot be exported")


def test_a_proof_is_made_in_another_process_and_found_again(own: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    found = prove_network(own.Own(), [((torch.randn(4, 3),), {})], [right])
    assert [group.name for group in found.proposal.groups] == ["a"]
    monkeypatch.setattr("prunetui.engine.tracing.prove_network.in_child", None)
    assert prove_network(own.Own(), [((torch.randn(4, 3),), {})], [right]) == found


def test_the_first_proposer_that_ends_is_used_and_the_others_are_told(own: ModuleType) -> None:
    found = prove_network(own.Own(), [((torch.randn(4, 3),), {})], [crashing, endless, right], seconds=2)
    assert found.notes[:2] == ("crashing raised RuntimeError: cannot be exported", "endless did not end within 2 s")
    none = prove_network(own.Own(), [((torch.randn(4, 3),), {})], [crashing])
    assert none.proposal == Proposal(())
    assert found.cut_short  # by its time, of which another machine makes more
    assert not none.cut_short
    assert none.notes == ("crashing raised RuntimeError: cannot be exported",)
