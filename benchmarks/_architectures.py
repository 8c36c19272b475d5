"""The networks that the architecture suite goes over, at the smallest sizes that their libraries allow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from prunetui.config import ModelTable
from prunetui.engine.models import Architecture
from prunetui.engine.models.start import architecture_of

OWN = Path(__file__).with_name("_own_networks.py")
CLASSES = 10


@dataclass(frozen=True)
class Network:
    """A network as a study names it, and what goes into it."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    size: int = 64
    """Side of its images; of a network of words, their number."""
    words: bool = False
    cheap: bool = False
    """Whether it is tried with every change; the others take minutes in all."""

    @property
    def short(self) -> str:
        """Without the place of a file."""
        return self.name.rpartition("/")[2] if ".py:" in self.name else self.name

    @property
    def needs(self) -> str:
        """The package that has to be installed for it; empty where it is there anyway."""
        package = self.name.partition(":")[0]
        return package if package in ("timm", "transformers") else ""

    def architecture(self) -> Architecture:
        """What builds it."""
        config = self.name.startswith("transformers:")
        given = dict(self.options) or None
        table = ModelTable(name=self.name, options=None if config else given, config=given if config else None)
        images: tuple[Any, Any] = (None, None) if self.words else (3, self.size)
        return architecture_of(table, *images, CLASSES)

    def example(self) -> Any:
        """A batch of one of what goes into it."""
        random = torch.Generator().manual_seed(2)
        if not self.words:
            return torch.randn(1, 3, self.size, self.size, generator=random)
        ids = torch.randint(0, 90, (1, self.size), generator=random)
        mask: Tensor = torch.ones(1, self.size, dtype=torch.int64)
        return {"input_ids": ids, "attention_mask": mask}


def _torchvision(name: str, **more: Any) -> Network:
    return Network(f"torchvision:{name}", **more)


def _timm(name: str, **more: Any) -> Network:
    return Network(f"timm:{name}", **more)


def _words(name: str, **config: Any) -> Network:
    config = {"vocab_size": 100, "bos_token_id": 1, "eos_token_id": 2, **config}
    return Network(f"transformers:{name}", config, size=12, words=True)


BERT = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 256}
LLAMA = {**BERT, "num_key_value_heads": 2, "max_position_embeddings": 32}
VIT = {"img_size": 32, "patch_size": 8, "depth": 2}
NETWORKS = (
    _torchvision("resnet50"),
    _torchvision("wide_resnet50_2"),
    _torchvision("resnext50_32x4d"),
    _torchvision("mobilenet_v2"),
    _torchvision("mobilenet_v3_small"),
    _torchvision("efficientnet_b0"),
    _torchvision("convnext_tiny"),
    _torchvision("densenet121"),
    _torchvision("regnet_x_400mf"),
    _torchvision("regnet_y_400mf"),
    _torchvision("shufflenet_v2_x1_0"),
    _torchvision("squeezenet1_1"),
    _torchvision("mnasnet0_5"),
    _torchvision("vgg11_bn"),
    _torchvision("googlenet", options={"init_weights": False}),
    _torchvision("inception_v3", options={"init_weights": False}, size=299),
    Network(
        "torchvision.models.vision_transformer:VisionTransformer",
        {"image_size": 32, "patch_size": 8, "num_layers": 2, "num_heads": 4, "hidden_dim": 64, "mlp_dim": 256},
        size=32,
    ),
    Network(
        "torchvision.models.swin_transformer:SwinTransformer",
        {"patch_size": [4, 4], "embed_dim": 32, "depths": [2, 2], "num_heads": [2, 4], "window_size": [4, 4]},
    ),
    _torchvision("deeplabv3_mobilenet_v3_large"),
    _torchvision("fcn_resnet50"),
    _torchvision("lraspp_mobilenet_v3_large"),
    Network(f"{OWN}:ssdlite_backbone"),
    Network(f"{OWN}:faster_rcnn_backbone"),
    Network(f"{OWN}:unet", size=16, cheap=True),
    _timm("vit_tiny_patch16_224", options=VIT, size=32),
    _timm("deit_tiny_patch16_224", options=VIT, size=32),
    _timm("convnext_atto"),
    _timm("mobilevit_xxs"),
    _timm("efficientformer_l1", size=224),
    _timm("edgenext_xx_small"),
    _timm("mixer_s16_224", options={"img_size": 32}, size=32),
    _timm("resmlp_12_224", options={"img_size": 32}, size=32),
    _words("BertForSequenceClassification", **BERT),
    _words("DistilBertForSequenceClassification", dim=64, n_layers=2, n_heads=4, hidden_dim=256),
    _words("GPT2LMHeadModel", n_embd=64, n_layer=2, n_head=4, n_positions=32,
           tie_word_embeddings=False),
    _words("LlamaForCausalLM", **LLAMA),
    Network(
        "transformers:ViTForImageClassification",
        {**BERT, "image_size": 32, "patch_size": 8}, size=32,
    ),
)  # fmt: skip
