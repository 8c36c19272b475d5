"""The U-Net, the detector and the transformers: sizes worked out by hand, what they read, and what can be removed."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from prunetui.engine.models import Architecture, build
from prunetui.engine.trace_network import trace
from prunetui.errors import TrialError, UsageError

BLOCK = 2 * (4 + 4) + 4 * (16 + 4) + (64 + 16) + (64 + 4)
"""Two norms, four projections and a perceptron of hidden width 16, of width 4."""
VIT = Architecture("vit", 1, 5, 3, width=4, options={"patch": 2, "depth": 1, "heads": 2})
TEXT = Architecture("tiny-transformer", 1, 1, 5, width=4, options={"depth": 1, "heads": 2, "context": 6})
DETECTOR = Architecture("tiny-detector", 1, 16, 3, width=2)
UNET = Architecture("unet", 1, 8, 2, width=2, options={"depth": 2})


def net_of(architecture: Architecture) -> torch.nn.Module:
    torch.manual_seed(0)
    return build(architecture).eval()


@pytest.mark.parametrize(
    ("architecture", "params"),
    [
        (VIT, (4 * 4 + 4) + 9 * 4 + BLOCK + 8 + (4 * 3 + 3)),  # 5 pixels a side are padded to 6: 9 patches
        (TEXT, 5 * 4 + 6 * 4 + BLOCK + 8 + (4 * 5 + 5)),
        # Ten convolutions of 3x3 with norms, two of 1x1 and two heads with biases.
        (
            DETECTOR,
            9 * (2 + 4 + 8 + 16 + 32 + 64 + 4 * 16)
            + 2 * (2 + 2 + 4 + 4 + 8 + 8 + 4 * 4)
            + (16 + 4)
            + (32 + 4)
            + 36 * (3 + 4)
            + (3 + 4),
        ),
        # Two convolutions and norms a level, those of the way up reading 2 + 4 channels; the head.
        (UNET, 9 * (2 + 4) + 8 + 9 * (8 + 16) + 16 + 9 * (12 + 4) + 8 + (4 + 2)),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_a_network_has_as_many_parameters_as_its_layers(architecture: Architecture, params: int) -> None:
    assert sum(p.numel() for p in net_of(architecture).parameters()) == params


def test_a_causal_transformer_does_not_read_ahead() -> None:
    net = net_of(TEXT)
    texts = torch.tensor([[0, 1, 2, 3], [0, 1, 4, 4]])
    with torch.inference_mode():
        one, other = net(texts)
    assert one.shape == (4, 5)
    torch.testing.assert_close(one[:2], other[:2])
    assert not torch.allclose(one[2], other[2])
    with pytest.raises(TrialError, match=r"texts have 7 tokens, the model 6: set model\.options\.context = 7"):
        net(torch.zeros(1, 7, dtype=torch.int64))


def test_a_vision_transformer_reads_pixels_that_are_no_whole_patch() -> None:
    net, images = net_of(VIT), torch.zeros(2, 1, 5, 5)
    images[1, 0, 4, 4] = 1.0
    with torch.inference_mode():
        blank, dotted = net(images)
    assert blank.shape == (3,)
    assert not torch.allclose(blank, dotted)


def test_heads_share_the_width_evenly() -> None:
    with pytest.raises(UsageError, match=r"width = 6 is no multiple of model\.options\.heads = 4: they"):
        build(Architecture("vit", 1, 8, 3, width=6))


@pytest.mark.parametrize("size", [8, 9])
def test_a_unet_gives_as_many_pixels_as_it_reads(size: int) -> None:
    with torch.inference_mode():
        assert net_of(UNET)(torch.zeros(1, 1, size, size + 1)).shape == (1, 2, size, size + 1)


@pytest.mark.parametrize("size", [16, 18])
def test_a_detector_gives_a_place_for_each_four_pixels(size: int) -> None:
    with torch.inference_mode():
        maps = net_of(DETECTOR)(torch.randn(2, 1, size, size + 4))
    rows, columns = -(-size // 4), -(-(size + 4) // 4)
    assert {name: tuple(of.shape) for name, of in maps.items()} == {
        "scores": (2, 3, rows, columns),
        "distances": (2, 4, rows, columns),
    }
    assert bool((maps["distances"] > 0).all())
    assert float(maps["scores"].sigmoid().mean()) == pytest.approx(0.01, abs=0.002)  # untrained, it holds little likely


@pytest.mark.parametrize(
    ("architecture", "example", "widths"),
    [
        (VIT, torch.zeros(1, 1, 5, 5), {"blocks.0.attention.query": 2, "blocks.0.mlp.up": 16}),
        (TEXT, torch.zeros(1, 6, dtype=torch.int64), {"blocks.0.attention.query": 2, "blocks.0.mlp.up": 16}),
        (
            UNET, torch.zeros(1, 1, 8, 8),
            {"down.0.0": 2, "down.0.3": 2, "down.1.0": 4, "down.1.3": 4, "up.0.0": 2, "up.0.3": 2},
        ),
        (
            DETECTOR, torch.zeros(1, 1, 16, 16),
            {
                "level2.0.0": 2, "level4.1.0": 4, "level8.0.0": 8, "level8.1.0": 8, "across": 4, "down": 4,
                "classify.0.0": 4, "classify.1.0": 4, "locate.0.0": 4, "locate.1.0": 4,
            },
        ),
    ],
    ids=["vit", "tiny-transformer", "unet", "tiny-detector"],
)  # fmt: skip
def test_heads_hidden_widths_and_channels_are_proved(
    architecture: Architecture, example: Any, widths: dict[str, int]
) -> None:
    graph = trace(architecture, example)
    assert graph.attributes is not None  # of a graph that was proved
    found = {layer: group.width for group in graph.groups for layer in group.producers}
    assert {layer: found.get(layer) for layer in widths} == widths
    assert not {"linear", "head", "scores", "distances"} & found.keys()
