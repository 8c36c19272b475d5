"""Movements are carried out on the labels: which index of a later layer a channel comes to lie at."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import pad, pixel_shuffle, pixel_unshuffle, relu

from tests.engine.tracing.small_networks import groups, image, kept

IMAGE = image(2, 3, 8, 8)


def conv(made: int, read: int = 3, size: int = 1) -> nn.Conv2d:
    return nn.Conv2d(read, made, size, bias=False)


def test_a_flattened_map_has_a_run_of_columns_for_each_channel():
    found = groups(lambda s, x: s.b(s.a(x).flatten(1)), image(2, 3, 2, 2), a=conv(2), b=nn.Linear(8, 3))
    assert found == {"a": {"a.weight[0]": "0 1", "b.weight[1]": "0,1,2,3 4,5,6,7"}}


def test_a_map_flattened_with_its_channels_last():
    found = groups(
        lambda s, x: s.b(s.a(x).permute(0, 2, 3, 1).flatten(1)), image(2, 3, 2, 2), a=conv(2), b=nn.Linear(8, 3)
    )
    assert found["a"]["b.weight[1]"] == "0,2,4,6 1,3,5,7"


def test_concatenated_channels_begin_at_an_offset():
    found = groups(lambda s, x: s.c(torch.cat([s.a(x), s.b(x)], 1)), IMAGE, a=conv(2), b=conv(3), c=conv(2, 5))
    assert found == {
        "a": {"a.weight[0]": "0 1", "c.weight[1]": "0 1"},
        "b": {"b.weight[0]": "0 1 2", "c.weight[1]": "2 3 4"},
    }


def test_what_is_concatenated_with_the_input_goes_and_the_input_stays():
    parts = {"a": conv(2), "b": conv(2, 5)}
    assert groups(lambda s, x: s.b(torch.cat([x, s.a(x)], 1)), IMAGE, **parts) == {
        "a": {"a.weight[0]": "0 1", "b.weight[1]": "3 4"}
    }
    assert kept(lambda s, x: s.b(torch.cat([x, s.a(x)], 1)), IMAGE, **parts)["b.weight[1]"] == (
        "it meets the network's input"
    )


def test_halves_of_a_chunk_keep_step():
    def gated(s, x):
        left, right = s.a(x).chunk(2, 1)
        return s.b(left * right.sigmoid())

    assert groups(gated, IMAGE, a=conv(6), b=conv(2, 3)) == {
        "a": {"a.weight[0]": "0,3 1,4 2,5", "b.weight[1]": "0 1 2"}
    }


def test_parts_of_different_sizes_are_groups_of_their_own():
    def parted(s, x):
        left, right = s.a(x).split([2, 3], 1)
        return s.b(left), s.c(right)

    assert groups(parted, IMAGE, a=conv(5), b=conv(2, 2), c=conv(2, 3)) == {
        "a": {"a.weight[0]": "0 1", "b.weight[1]": "0 1"},
        "a#2": {"a.weight[0]": "2 3 4", "c.weight[1]": "0 1 2"},
    }


def test_shuffled_channels_go_from_every_group_at_once():
    def shuffled(s, x):
        made = s.a(x)
        batch, channels, height, width = made.shape
        return s.b(made.view(batch, 2, channels // 2, height, width).transpose(1, 2).reshape(batch, -1, height, width))

    assert groups(shuffled, IMAGE, a=conv(6), b=conv(2, 6)) == {
        "a": {"a.weight[0]": "0,3 1,4 2,5", "b.weight[1]": "0,1 2,3 4,5"}
    }


def test_channels_become_places_and_places_channels():
    found = groups(lambda s, x: s.b(pixel_shuffle(s.a(x), 2)), IMAGE, a=conv(8), b=conv(2, 2))
    assert found == {"a": {"a.weight[0]": "0,1,2,3 4,5,6,7", "b.weight[1]": "0 1"}}
    found = groups(lambda s, x: s.b(pixel_unshuffle(s.a(x), 2)), IMAGE, a=conv(2), b=conv(2, 8))
    assert found == {"a": {"a.weight[0]": "0 1", "b.weight[1]": "0,1,2,3 4,5,6,7"}}


def test_across_a_zero_padded_shortcut_the_padding_stays():
    def block(s, x):
        made = relu(s.a(x))
        return s.c(pad(made[:, :, ::2, ::2], (0, 0, 0, 0, 1, 1)) + s.b(made[:, :, ::2, ::2]))

    parts = {"a": conv(2), "b": conv(4, 2), "c": conv(3, 4)}
    found = groups(block, IMAGE, **parts)
    assert found["a"] == {
        "a.weight[0]": "0 1", "b.weight[0]": "1 2", "b.weight[1]": "0 1", "c.weight[1]": "1 2",
    }  # fmt: skip
    assert kept(block, IMAGE, **parts)["b.weight[0]"] == "channels of padding"


def test_half_a_slice_keeps_step_with_the_other_half():
    def parted(s, x):
        made = s.a(x)
        return s.c(torch.cat([s.b(made[:, :2]), made[:, 2:]], 1))

    found = groups(parted, IMAGE, a=conv(4), b=conv(2, 2), c=conv(3, 4))
    assert found["a"] == {"a.weight[0]": "0,2 1,3", "b.weight[1]": "0 1", "c.weight[1]": "2 3"}


def test_every_second_channel_goes_with_the_one_before_it():
    found = groups(lambda s, x: s.b(s.a(x)[:, ::2]), IMAGE, a=conv(6), b=conv(2, 3))
    assert found == {"a": {"a.weight[0]": "0,1 2,3 4,5", "b.weight[1]": "0 1 2"}}


def test_channels_chosen_by_an_index_stay():
    found = kept(lambda s, x: s.b(s.a(x)[:, s.order]), IMAGE, a=conv(3), b=conv(2, 3), order=torch.tensor([2, 0, 1]))
    assert found["a.weight[0]"] == "channels are chosen by a fixed index"


def test_a_part_that_is_overwritten_goes_with_what_overwrites_it():
    def overwritten(s, x):
        made = s.a(x).clone()
        made[:, :2] = s.b(made[:, :2])
        return s.c(made)

    found = groups(overwritten, IMAGE, a=conv(4), b=conv(2, 2), c=conv(3, 4))
    assert found["a"] == {
        "a.weight[0]": "0,2 1,3", "b.weight[0]": "0 1", "b.weight[1]": "0 1", "c.weight[1]": "0,2 1,3",
    }  # fmt: skip


def test_stacked_and_repeated_channels():
    found = groups(lambda s, x: s.b(s.a(x).repeat(1, 2, 1, 1)), IMAGE, a=conv(2), b=conv(3, 4))
    assert found["a"]["b.weight[1]"] == "0,2 1,3"
    found = groups(lambda s, x: s.b(s.a(x).repeat_interleave(2, dim=1)), IMAGE, a=conv(2), b=conv(3, 4))
    assert found["a"]["b.weight[1]"] == "0,1 2,3"
    found = groups(lambda s, x: s.c(torch.stack([s.a(x), s.b(x)]).sum(0)), IMAGE, a=conv(2), b=conv(2), c=conv(3, 2))
    assert found == {"a": {"a.weight[0]": "0 1", "b.weight[0]": "0 1", "c.weight[1]": "0 1"}}
