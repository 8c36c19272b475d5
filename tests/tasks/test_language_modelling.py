"""Language modelling: what is to be said where, and figures by hand."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from prunetui.api import Accumulator, TrialError
from prunetui.tasks.language_modelling import LanguageModelling, aligned

TOKENS = torch.tensor([[1, 0, 2], [2, 2, 1]])
QUARTER = math.log(3)
"""The logit of a token against two others of 0 that gives it 3/5; without it each has 1/3."""


def says(*rows: list[int | None]) -> Tensor:
    """Logits [B, T, 3] of a network that gives 3/5 to one token of each place, or 1/3 to all."""
    logits = torch.zeros(len(rows), len(rows[0]), 3)
    for b, row in enumerate(rows):
        for t, token in enumerate(row):
            if token is not None:
                logits[b, t, token] = QUARTER
    return logits


def figures(logits: Any, *batches: Any) -> dict[str, float]:
    task, total = LanguageModelling(), Accumulator()
    for batch in batches:
        task.metrics(lambda *given, **named: logits, batch, total)
    return dict(task.figures(total))


LOGITS = says([0, 1, None], [2, 2, None])
# Places 1 and 2 of the first text are followed by 0 (said) and 2 (1 was), of the second by 2 (said) and 1 (2 was).
LOSS = -(2 * math.log(3 / 5) + 2 * math.log(1 / 5)) / 4


def test_each_token_is_said_after_those_before_it() -> None:
    found = figures(LOGITS, TOKENS)
    assert found == pytest.approx({"perplexity": math.exp(LOSS), "next_token": 50.0, "loss": LOSS})
    task = LanguageModelling()
    assert float(task.loss(lambda tokens: LOGITS, TOKENS)) == pytest.approx(LOSS)
    assert task.inputs(TOKENS) is TOKENS


@pytest.mark.parametrize("wrapped", [lambda logits: {"logits": logits}, lambda logits: SimpleNamespace(logits=logits)])
def test_outputs_as_those_of_transformers(wrapped: Any) -> None:
    assert figures(wrapped(LOGITS), TOKENS) == figures(LOGITS, TOKENS)


def test_a_pair_is_shifted_already() -> None:
    targets = torch.tensor([[0, 2, 1], [2, 1, -100]])
    loss = -(2 * math.log(3 / 5) + 2 * math.log(1 / 5) + math.log(1 / 3)) / 5
    assert figures(LOGITS, (TOKENS, targets))["loss"] == pytest.approx(loss)
    assert LanguageModelling().inputs((TOKENS, targets)) is TOKENS


def test_labels_are_not_shifted_and_padding_is_not_to_be_said() -> None:
    labels = torch.tensor([[1, 0, -100], [2, 2, 1]])
    attended = torch.tensor([[1, 1, 1], [1, 1, 0]])
    batch = {"input_ids": TOKENS, "labels": labels, "attention_mask": attended}
    assert figures(LOGITS, batch) == pytest.approx({"perplexity": 5 / 3, "next_token": 100.0, "loss": math.log(5 / 3)})
    inputs = LanguageModelling().inputs(batch)
    assert list(inputs) == ["input_ids", "attention_mask"]
    assert inputs["input_ids"] is TOKENS
    assert LanguageModelling().inputs({"input_ids": TOKENS, "labels": labels}) is TOKENS


def test_figures_are_means_over_tokens_however_they_lie_in_batches() -> None:
    targets = torch.tensor([[0, 2, 1], [2, 1, -100]])
    whole = figures(LOGITS, (TOKENS, targets))
    task, total = LanguageModelling(), Accumulator()
    for i in range(2):
        task.metrics(lambda tokens, i=i: LOGITS[i : i + 1], (TOKENS[i : i + 1], targets[i : i + 1]), total)
    assert task.figures(total) == pytest.approx(whole)


def test_training_shows_the_perplexity_and_smooths_labels() -> None:
    task, total = LanguageModelling(), Accumulator()
    task.training_metrics(lambda tokens: LOGITS, TOKENS, total)
    assert task.figures(total) == pytest.approx({"perplexity": math.exp(LOSS), "loss": LOSS})
    smoothed = float(task.training_loss(lambda tokens: LOGITS, TOKENS, 0.3))
    # 0.1 of the target to each token: of two places -ln 3/5 has 0.8 of the weight, of the others 0.1.
    each = [-math.log(3 / 5), -math.log(1 / 5)]
    assert smoothed == pytest.approx((0.8 * each[0] + 0.2 * each[1] + 0.1 * each[0] + 0.9 * each[1]) / 2)


def test_a_destroyed_network_has_the_largest_perplexity_and_its_loss() -> None:
    logits = torch.zeros(1, 2, 3)
    logits[0, 0, 0] = 2000.0
    found = figures(logits, torch.tensor([[1, 2]]))
    assert (found["perplexity"], found["loss"]) == (pytest.approx(1e6), pytest.approx(2000))


def test_imitation_is_of_every_place() -> None:
    apart = 0.6 * math.log(0.6 * 3) + 0.4 * math.log(0.2 * 3)
    found = LanguageModelling().imitation(torch.tensor(2.0), says([None, None]), {"logits": says([0, None])}, 0.5, 1.0)
    assert float(found) == pytest.approx(1 + 0.5 * apart / 2)


@pytest.mark.parametrize(
    ("logits", "batch", "words"),
    [
        (torch.zeros(2, 3), TOKENS, r"gives \[2, 3\] where \[2, 3\] of int64"),
        (torch.zeros(2, 4, 3), TOKENS, r"gives \[2, 4, 3\]"),
        (torch.zeros(2, 3, 3), (TOKENS, TOKENS.float()), "of float32 are to be said"),
    ],
)
def test_what_does_not_fit_is_told(logits: Tensor, batch: Any, words: str) -> None:
    with pytest.raises(TrialError, match=words):
        aligned(logits, batch)


def test_outputs_are_checked_before_anything_is_trained() -> None:
    task = LanguageModelling()
    assert task.check_outputs({"logits": torch.zeros(2, 5, 300)}, 2, 256) == ""  # rows that nobody uses, to fill eights
    assert task.check_outputs(torch.zeros(2, 5, 7), 2, None) == ""
    assert "here [2, length, 256]" in task.check_outputs(torch.zeros(2, 256), 2, 256)
