"""Data sets that are made of what is on the machine: scenes of digits, their masks and boxes, and texts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from prunetui.data.digit_scenes import DEVIATION, MEAN, draw_scenes
from prunetui.data.digits_in_boxes import digits_in_boxes, with_boxes
from prunetui.data.digits_on_noise import digits_on_noise, with_masks
from prunetui.data.system_text import names_of_bytes, system_text
from prunetui.errors import DataError


def test_a_digit_lies_somewhere_twice_as_large_and_its_mask_is_where_its_ink_is() -> None:
    drawn = np.zeros((1, 8, 8))
    drawn[0, 3, 2:4], drawn[0, 4, 2] = 1.0, 0.2  # 0.2 is too pale for ink
    images, masks = with_masks(drawn, np.array([6]), side=20, digits=1, noise=0.0, seed=3)
    assert (images.shape, images.dtype) == ((1, 1, 20, 20), np.float32)
    assert (masks.shape, masks.dtype) == ((1, 20, 20), np.int64)
    rows, columns = np.nonzero(masks[0])
    assert set(masks[0][rows, columns]) == {7}
    assert (len(rows), np.ptp(rows), np.ptp(columns)) == (8, 1, 3)
    np.testing.assert_allclose(images[0, 0], (np.where(masks[0] > 0, 1.0, 0.0) - MEAN) / DEVIATION, rtol=1e-6)


def test_scenes_are_the_same_every_time_and_show_every_digit_of_their_split() -> None:
    first, second = digits_on_noise(), digits_on_noise()
    for split, count in (("train", 1437), ("test", 360)):
        images, masks = getattr(first, split)
        assert images.shape == (count, 1, 32, 32)
        assert set(np.unique(masks)) == set(range(11))
        np.testing.assert_array_equal(images, getattr(second, split)[0])
    assert first.prepared
    assert first.classes == ("background", *"0123456789")
    with pytest.raises(DataError, match=r"side = 12: a digit has 16 pixels"):
        digits_on_noise(12)


def test_a_box_is_around_the_ink_of_a_digit_in_pixels() -> None:
    drawn = np.zeros((1, 8, 8))
    drawn[0, 3, 2:4], drawn[0, 4, 2], drawn[0, 7, 7] = 1.0, 1.0, 0.2  # 0.2 is too pale for ink
    images, boxes = with_boxes(drawn, np.array([6]), side=20, digits=1, noise=0.0, seen=0.5, seed=3)
    assert (images.shape, boxes.shape, boxes.dtype) == ((1, 1, 20, 20), (1, 1, 5), np.float32)
    left, top, right, bottom, label = boxes[0, 0].astype(int)
    assert (right - left, bottom - top, label) == (4, 4, 6)  # two pixels of each of its own
    ink = images[0, 0] > (0.5 - MEAN) / DEVIATION
    rows, columns = np.nonzero(ink)
    assert (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) == (left, top, right, bottom)


def test_a_digit_that_another_one_hides_has_no_box() -> None:
    drawn = np.ones((2, 8, 8))  # digits of 16 x 16 pixels, in images of as many: the later one covers all
    hidden, shown = with_boxes(drawn, np.array([6, 7]), 16, digits=2, noise=0.0, seen=0.5, seed=0)[1].swapaxes(0, 1)
    np.testing.assert_array_equal(hidden, [[0, 0, 0, 0, -1]] * 2)
    np.testing.assert_array_equal(shown, [[0, 0, 16, 16, 6], [0, 0, 16, 16, 7]])


def test_scenes_have_from_the_fewest_to_all_digits() -> None:
    scenes = draw_scenes(np.ones((60, 8, 8)), np.arange(60), 40, digits=3, noise=0.0, seed=1, fewest=1)
    numbers = (scenes.labels >= 0).sum(1)
    assert set(numbers) == {1, 2, 3}
    np.testing.assert_array_equal(scenes.labels[:, -1], np.arange(60))
    np.testing.assert_array_equal(scenes.seen[scenes.labels < 0], 0)


def test_boxes_are_the_same_every_time_and_of_every_digit() -> None:
    first, second = digits_in_boxes(), digits_in_boxes()
    for split, count in (("train", 1437), ("test", 360)):
        images, boxes = getattr(first, split)
        assert (images.shape, boxes.shape) == ((count, 1, 48, 48), (count, 3, 5))
        assert set(np.unique(boxes[..., 4])) == {-1, *range(10)}
        assert (boxes[:, 2, 4] >= 0).all()  # nothing covers the last one
        np.testing.assert_array_equal(boxes, getattr(second, split)[1])
    assert first.prepared
    assert first.classes == tuple("0123456789")
    behind = digits_in_boxes(background=True)
    assert behind.classes == ("background", *"0123456789")
    there = first.train[1][..., 4] >= 0
    np.testing.assert_array_equal(behind.train[1][..., 4][there], first.train[1][..., 4][there] + 1)
    np.testing.assert_array_equal(behind.train[1][..., 4][~there], -1)
    with pytest.raises(DataError, match=r"side = 12: a digit has 16 pixels"):
        digits_in_boxes(12)


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    (tmp_path / "more").mkdir()
    (tmp_path / "one.txt").write_text("a" * 40)
    (tmp_path / "more" / "two.md").write_text("b" * 40)
    (tmp_path / "three.py").write_text("no text")
    return tmp_path


def test_texts_of_ones_own_become_bytes_in_an_order_that_their_names_tell(texts: Path) -> None:
    made = system_text(length=8, folder=str(texts))
    assert (made.train.shape, made.test.shape, made.train.dtype) == ((9, 8), (1, 8), np.int64)
    whole = bytes(np.concatenate([made.train, made.test]).astype(np.uint8).ravel())
    assert whole in (("a" * 40 + "\n\n" + "b" * 40)[:80].encode(), ("b" * 40 + "\n\n" + "a" * 40)[:80].encode())
    again = system_text(length=8, folder=str(texts))
    np.testing.assert_array_equal(made.train, again.train)
    assert len(system_text(length=8, megabytes=32e-6, folder=str(texts)).train) == 3


def test_too_little_text_is_told(texts: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has 84 bytes; two examples of 64"):
        system_text(length=64, folder=str(texts))
    with pytest.raises(DataError, match=r"is no folder with files \.txt, \.md, \.rst"):
        system_text(folder=str(tmp_path / "nowhere"))


def test_the_text_of_the_system_is_there_and_the_same_every_time() -> None:
    made = system_text(length=64, megabytes=0.05)
    assert len(made.train) + len(made.test) == 50_000 // 64
    np.testing.assert_array_equal(made.test, system_text(length=64, megabytes=0.05).test)
    assert bytes(made.train.astype(np.uint8).ravel()).decode(errors="replace").count(" the ") > 50
    assert made.prepared
    assert len(made.classes or ()) == len(set(names_of_bytes())) == 256
