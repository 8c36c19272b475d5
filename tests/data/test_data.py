"""Images: how they are split, shuffled, cropped and normalised, and what is said when they are not there."""

from __future__ import annotations

import os
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from sklearn.datasets import load_digits

from prunetui.config import DataTable
from prunetui.config.schema import StatisticsTable
from prunetui.data.digits import read_digits
from prunetui.data.stratified import stratified
from prunetui.engine.data import Dataset, Images, images, load_dataset
from prunetui.engine.data.augment import crop
from prunetui.engine.data.dataset_loader import statistics
from prunetui.engine.data.split import draw
from prunetui.errors import DataError

# Splits -----------------------------------------------------------------------------------------------


def test_digits_are_what_scikit_learn_says_they_are() -> None:
    pixels, labels = read_digits()
    theirs = load_digits()
    assert np.array_equal(pixels, theirs.data)
    assert np.array_equal(labels, theirs.target)


def test_digits_are_1797_images_of_which_360_are_the_test_split() -> None:
    data = load_dataset(DataTable())
    assert (len(data.train), len(data.validation), len(data.test)) == (1293, 144, 360)
    assert (data.channels, data.size, data.classes) == (1, 8, tuple("0123456789"))
    assert torch.bincount(data.test.labels).tolist() == [36, 37, 35, 37, 36, 36, 36, 36, 35, 36]
    assert data.train.pixels.dtype == torch.uint8
    assert data.train.pixels.max() == 255


def test_the_test_split_is_the_same_whatever_is_held_out() -> None:
    first, second = load_dataset(DataTable()), load_dataset(DataTable(validation=0.3))
    assert torch.equal(first.test.pixels, second.test.pixels)
    assert len(second.validation) == round(0.3 * 1437)


def test_loading_twice_gives_the_same_split() -> None:
    first, second = load_dataset(DataTable(limit=100)), load_dataset(DataTable(limit=100))
    assert first.fingerprint == second.fingerprint
    assert torch.equal(first.train.pixels, second.train.pixels)
    assert torch.equal(first.validation.labels, second.validation.labels)


def test_without_validation_all_training_images_train() -> None:
    data = load_dataset(DataTable(validation=0.0))
    assert (len(data.train), len(data.validation), len(data.test)) == (1437, 0, 360)


def test_a_limit_holds_for_the_training_and_for_the_test_split_and_draws_evenly_from_the_classes() -> None:
    data = load_dataset(DataTable(limit=100, validation=0.2))
    assert (len(data.train), len(data.validation), len(data.test)) == (80, 20, 100)
    assert data.train.labels.bincount().tolist() == [8] * 10
    assert data.validation.labels.bincount().tolist() == [2] * 10


def test_a_limit_changes_the_fingerprint_and_one_beyond_the_data_changes_nothing() -> None:
    everything = load_dataset(DataTable())
    assert load_dataset(DataTable(limit=100)).fingerprint != everything.fingerprint
    assert load_dataset(DataTable(limit=5000)).fingerprint == everything.fingerprint


def test_too_few_images_are_refused() -> None:
    with pytest.raises(DataError, match="1 training and 1 test images are too few"):
        load_dataset(DataTable(limit=1))


def test_a_stratified_choice_takes_its_share_of_each_class() -> None:
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1])  # 4 and 8
    chosen, rest = stratified(labels, 3, seed=0)
    assert sorted(labels[chosen].tolist()) == [0, 1, 1]
    assert chosen.tolist() == sorted(chosen)
    assert sorted([*chosen, *rest]) == list(range(12))


def test_classes_with_the_largest_remainders_give_one_more() -> None:
    labels = np.array([0] * 5 + [1] * 3 + [2] * 2)  # shares of 5 chosen: 2.5, 1.5, 1
    assert np.bincount(labels[stratified(labels, 5, seed=0)[0]]).tolist() == [3, 1, 1]


@given(st.data())
def test_a_stratified_choice_is_exact_and_fair_and_follows_its_seed(data: st.DataObject) -> None:
    labels = np.array(data.draw(st.lists(st.integers(0, 4), min_size=1, max_size=60)))
    count = data.draw(st.integers(0, len(labels)))
    seed = data.draw(st.integers(0, 9))
    chosen, rest = stratified(labels, count, seed)
    assert len(chosen) == count
    assert sorted([*chosen, *rest]) == list(range(len(labels)))
    for label in set(labels.tolist()):
        share = count * (labels == label).sum() / len(labels)
        assert abs((labels[chosen] == label).sum() - share) < 1
    assert np.array_equal(chosen, stratified(labels, count, seed)[0])


def test_rare_classes_give_one_and_the_largest_give_way() -> None:
    labels = np.array([0] * 30 + [1] * 8 + [2, 3])  # shares of 4 chosen: 3, 0.8, 0.1, 0.1
    assert np.bincount(labels[stratified(labels, 4, seed=0)[0]]).tolist() == [3, 1]
    assert np.bincount(labels[stratified(labels, 4, seed=0, least=1)[0]]).tolist() == [1, 1, 1, 1]
    assert np.bincount(labels[stratified(labels, 6, seed=0, least=1)[0]]).tolist() == [3, 1, 1, 1]
    assert len(stratified(labels, 3, seed=0, least=1)[0]) == 3


@given(st.data())
def test_a_limit_trains_and_tests_the_same_classes_however_rare_some_are(data: st.DataObject) -> None:
    sizes = data.draw(st.lists(st.sampled_from([1, 2, 3, 10, 60]), min_size=1, max_size=12))
    tests = [data.draw(st.sampled_from([1, 2, 3, 10, 60])) for _ in sizes]
    train, test = (np.repeat(np.arange(len(sizes)), counts) for counts in (sizes, tests))
    limit, validation = data.draw(st.integers(1, 150)), data.draw(st.sampled_from([0.0, 0.1, 0.5]))
    drawn = draw(train, test, limit, validation)
    trained = set(train[drawn.kept].tolist())
    assert set(test[drawn.test].tolist()) == trained
    if limit - round(validation * limit) >= len(sizes) or limit >= len(train):
        assert trained == set(range(len(sizes)))
    assert len(drawn.kept) + len(drawn.held) == len(drawn.train) == min(limit, np.isin(train, list(trained)).sum())
    assert len(drawn.test) == min(limit, np.isin(test, list(trained)).sum())


# Batches ----------------------------------------------------------------------------------------------


def numbered(count: int, size: int = 4, augment: str = "none") -> Dataset:
    """Image i has the label i and holds i + 1 in its top left corner, 200 to the right of it, else 100."""
    pixels = torch.full((count, 1, size, size), 100, dtype=torch.uint8)
    pixels[:, 0, 0, 0] = torch.arange(count) + 1
    pixels[:, 0, 0, 1] = 200
    images = Images(pixels, torch.arange(count))
    names = tuple(map(str, range(count)))
    return Dataset("numbered", names, images, images, images, (0.0,), (1 / 255,), augment, "")


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(("batch_size", "batches"), [(7, 4), (30, 1), (15, 2), (100, 1), (1, 30)])
def test_an_epoch_sees_each_image_at_most_once_and_leaves_out_the_last_incomplete_batch(
    batch_size: int, batches: int
) -> None:
    parts = list(numbered(30).epoch(batch_size, seeded(0)))
    assert [len(labels) for _, labels in parts] == [min(batch_size, 30)] * batches
    labels = torch.cat([labels for _, labels in parts])
    assert len(labels.unique()) == len(labels)
    corners = torch.cat([inputs[:, 0, 0, 0] for inputs, _ in parts])
    assert torch.equal(corners.round().long(), labels + 1)  # images keep their labels


@pytest.mark.parametrize("augment", ["none", "crop", "flip", "crop+flip"])
def test_an_epoch_is_repeated_by_its_generator_and_another_is_another(augment: str) -> None:
    data = numbered(30, augment=augment)
    first, again, other = (torch.cat([x for x, _ in data.epoch(10, seeded(seed))]) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_flipping_mirrors_about_half_of_the_images_left_to_right() -> None:
    inputs, labels = next(numbered(90, augment="flip").epoch(90, seeded(0)))
    mirrored = inputs[:, 0, 0, -1].round().long() == labels + 1
    straight = inputs[:, 0, 0, 0].round().long() == labels + 1
    assert torch.equal(mirrored, ~straight)
    assert 30 < int(mirrored.sum()) < 60


@pytest.mark.parametrize("batches", [2, 100])
def test_many_batches_augmented_at_once_are_those_augmented_one_by_one(
    monkeypatch: pytest.MonkeyPatch, batches: int
) -> None:
    data = numbered(50, augment="crop+flip")
    singly = list(data.epoch(8, seeded(3)))
    monkeypatch.setattr(images, "at_once", lambda device, batch_size: batches * batch_size)
    together = list(data.epoch(8, seeded(3)))
    assert len(together) == len(singly) == 6
    for (pixels, labels), (pixels_too, labels_too) in zip(singly, together, strict=True):
        assert torch.equal(pixels, pixels_too)
        assert torch.equal(labels, labels_too)


def test_a_gpu_augments_a_whole_epoch_at_once_in_whole_batches() -> None:
    assert images.at_once(torch.device("cpu"), 128) == 128
    assert images.at_once(torch.device("cuda"), 500) == 131 * 500


def test_cropping_leaves_the_size_and_shifts_by_an_eighth_of_the_side_at_most() -> None:
    data = numbered(60, size=16, augment="crop")  # up to 2 pixels each way
    inputs, labels = next(data.epoch(60, seeded(0)))
    assert inputs.shape == (60, 1, 16, 16)
    black_rows = (inputs[:, 0].round() == 0).all(2).sum(1)
    assert black_rows.max() == 2
    assert (black_rows == 0).any()
    assert len(labels.unique()) == 60


def test_a_crop_shifts_each_image_by_its_own_amount_and_zeros_move_in() -> None:
    image = torch.tensor([[1, 2, 3], [4, 5, 6], [7, 8, 9]], dtype=torch.uint8)
    pixels = image.expand(4, 1, 3, 3)
    rows, columns = [1, 0, 2, 0], [1, 0, 2, 2]
    out = crop(pixels, torch.tensor([rows, columns]), pad=1)[:, 0].tolist()
    assert out[0] == [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
    assert out[1] == [[0, 0, 0], [0, 1, 2], [0, 4, 5]]
    assert out[2] == [[5, 6, 0], [8, 9, 0], [0, 0, 0]]
    assert out[3] == [[0, 0, 0], [2, 3, 0], [5, 6, 0]]


def test_evaluation_batches_hold_all_images_in_order_without_augmentation() -> None:
    data = numbered(10, augment="crop+flip")
    parts = list(data.batches("test", 4))
    assert [labels.tolist() for _, labels in parts] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert torch.equal(torch.cat([x for x, _ in parts])[:, 0].round().to(torch.uint8), data.test.pixels[:, 0])


def test_a_sample_is_of_distinct_training_images_or_all_of_them() -> None:
    data = numbered(10)
    (_, labels), (_, again) = (next(data.sample(4, seeded(0), 8)) for _ in range(2))
    assert len(labels.unique()) == 4
    assert torch.equal(labels, again)
    parts = [part.tolist() for _, part in data.sample(99, seeded(0), 6)]
    assert [len(part) for part in parts] == [6, 4]
    assert sorted(label for part in parts for label in part) == list(range(10))


# Normalisation ----------------------------------------------------------------------------------------


def test_normalised_pixels_have_their_channels_mean_and_deviation_taken_away() -> None:
    data = replace(numbered(2), mean=(0.5, 0.0), std=(0.25, 1 / 255))
    pixels = torch.tensor([[[[0, 51], [102, 255]], [[0, 1], [2, 255]]]], dtype=torch.uint8)
    out = data.normalised(pixels)
    assert out.dtype == torch.float32
    assert out[0, 0].flatten().tolist() == pytest.approx([-2.0, -1.2, -0.4, 2.0], abs=1e-6)
    assert out[0, 1].flatten().tolist() == pytest.approx([0.0, 1.0, 2.0, 255.0], abs=1e-4)


def test_measured_statistics_are_numpys_on_the_raw_training_pixels() -> None:
    random = np.random.default_rng(0)
    pixels = (random.random((5000, 3, 4, 4)) ** 2 * 255).astype(np.uint8)
    images = Images(torch.from_numpy(pixels), torch.zeros(5000, dtype=torch.int64))
    mean, std = statistics(images, "auto")
    assert mean == pytest.approx((pixels / 255).mean((0, 2, 3)), abs=1e-12)
    assert std == pytest.approx((pixels / 255).std((0, 2, 3)), abs=1e-12)


def test_statistics_are_of_the_training_images_alone(digits: Dataset) -> None:
    assert digits.mean == pytest.approx([float(digits.train.pixels.double().mean() / 255)])
    normalised = digits.normalised(digits.train.pixels).double()
    assert float(normalised.mean()) == pytest.approx(0, abs=1e-5)
    assert float(normalised.std(correction=0)) == pytest.approx(1, abs=1e-5)


def test_statistics_can_be_given_and_must_fit_the_channels(digits: Dataset) -> None:
    colour = Images(torch.zeros(2, 3, 4, 4, dtype=torch.uint8), torch.zeros(2, dtype=torch.int64))
    assert statistics(colour, "half") == ((0.5,) * 3, (0.5,) * 3)
    assert statistics(colour, "imagenet") == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert statistics(digits.train, StatisticsTable(mean=(0.3,), std=(0.4,))) == ((0.3,), (0.4,))
    with pytest.raises(DataError, match="has 3 means and 3 deviations, the images 1 channels"):
        statistics(digits.train, "imagenet")


def test_images_without_any_contrast_can_be_normalised() -> None:
    flat = Images(torch.full((3, 1, 2, 2), 7, dtype=torch.uint8), torch.zeros(3, dtype=torch.int64))
    (mean,), (std,) = statistics(flat, "auto")
    assert mean == pytest.approx(7 / 255)
    assert std > 0


# Image trees ------------------------------------------------------------------------------------------


def picture(path: Path, colour: int | tuple[int, int, int], size: tuple[int, int] = (6, 6)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L" if isinstance(colour, int) else "RGB", size, colour).save(path)
    return path


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Two classes, three training images and one test image each, in colours that tell them apart."""
    for label, name in enumerate(("cat", "dog")):
        for i in range(3):
            picture(tmp_path / "train" / name / f"{i}.png", (50 * label, 10 * i, 7))
        picture(tmp_path / "test" / name / "9.png", (50 * label, 200, 7))
    return tmp_path


def folder(root: Path, **more: object) -> DataTable:
    return DataTable(name="folder", root=str(root), **{"validation": 0.0, **more})


def test_a_tree_is_read_in_the_order_of_class_and_file_names(tree: Path) -> None:
    data = load_dataset(folder(tree))
    assert (data.classes, data.channels, data.size) == (("cat", "dog"), 3, 6)
    assert data.train.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert data.train.pixels[:, :, 0, 0].tolist() == [
        [0, 0, 7], [0, 10, 7], [0, 20, 7], [50, 0, 7], [50, 10, 7], [50, 20, 7],
    ]  # fmt: skip
    assert data.test.pixels[:, :, 5, 5].tolist() == [[0, 200, 7], [50, 200, 7]]


def test_val_stands_in_for_test(tree: Path) -> None:
    (tree / "test").rename(tree / "val")
    data = load_dataset(folder(tree))
    assert data.test.labels.tolist() == [0, 1]


def test_png_and_jpeg_lie_side_by_side_and_other_files_are_left_alone(tree: Path) -> None:
    picture(tree / "train" / "dog" / "3.JPG", (50, 30, 7))
    picture(tree / "train" / "dog" / "4.jpeg", (50, 40, 7))
    (tree / "train" / "dog" / "labels.txt").write_text("not an image")
    (tree / "train" / ".thumbnails").mkdir()
    data = load_dataset(folder(tree))
    assert data.train.labels.tolist() == [0, 0, 0, 1, 1, 1, 1, 1]
    assert data.train.pixels[6, :, 3, 3].tolist() == pytest.approx([50, 30, 7], abs=3)  # JPEG is lossy


def test_grey_images_have_one_channel(tmp_path: Path) -> None:
    for split, grey in (("train", 10), ("test", 200)):
        picture(tmp_path / split / "a" / "1.png", grey)
        picture(tmp_path / split / "b" / "1.png", grey + 5)
    data = load_dataset(folder(tmp_path))
    assert (data.channels, data.train.pixels[:, 0, 0, 0].tolist()) == (1, [10, 15])


def test_a_grey_image_among_coloured_ones_is_grey_in_three_channels(tree: Path) -> None:
    picture(tree / "train" / "dog" / "7.png", 99)
    assert load_dataset(folder(tree)).train.pixels[-1, :, 0, 0].tolist() == [99, 99, 99]


def test_a_grey_first_image_does_not_take_the_colour_out_of_all_others(tree: Path) -> None:
    picture(tree / "train" / "cat" / "0-.png", 99)
    data = load_dataset(folder(tree))
    assert (data.train.labels.tolist(), data.channels) == ([0, 0, 0, 0, 1, 1, 1], 3)
    assert data.train.pixels[-1, :, 0, 0].tolist() == [50, 20, 7]


def test_sixteen_bit_grey_levels_are_scaled_and_not_cut_off(tmp_path: Path) -> None:
    levels = np.array([[0, 257 * 64], [257 * 128, 65535]], dtype=np.uint16).repeat(2, 0).repeat(2, 1)
    for split in ("train", "test"):
        for name in ("a", "b"):
            (tmp_path / split / name).mkdir(parents=True)
            Image.fromarray(levels).save(tmp_path / split / name / "1.png")
    corners = load_dataset(folder(tmp_path)).train.pixels[0, 0, ::3, ::3]
    assert corners.flatten().tolist() == [0, 64, 128, 255]


def test_images_of_different_sizes_are_resized_to_the_commonest_or_to_what_is_asked_for(tree: Path) -> None:
    picture(tree / "train" / "dog" / "7.png", (9, 8, 7), size=(20, 12))
    data = load_dataset(folder(tree))
    assert data.train.pixels.shape == (7, 3, 6, 6)
    assert data.train.pixels[-1, :, 3, 3].tolist() == [9, 8, 7]
    assert load_dataset(folder(tree, size=10)).train.pixels.shape == (7, 3, 10, 10)


@pytest.fixture
def damaged(tree: Path) -> Path:
    (tree / "train" / "cat" / "1.png").write_bytes(b"this is no picture")
    whole = (tree / "train" / "dog" / "2.png").read_bytes()
    (tree / "train" / "dog" / "2.png").write_bytes(whole[: len(whole) // 2])
    return tree


@pytest.mark.parametrize("times", [1, 2], ids=["decoded", "from the cache"])
def test_corrupt_images_are_refused_by_name_and_number(damaged: Path, times: int) -> None:
    for _ in range(times):
        with pytest.raises(DataError) as caught:
            load_dataset(folder(damaged))
    message = str(caught.value)
    assert message.startswith("2 of 6 images cannot be decoded:")
    assert str(damaged / "train" / "cat" / "1.png") in message
    assert str(damaged / "train" / "dog" / "2.png") in message
    assert 'data.corrupt = "skip"' in message


def test_corrupt_images_are_skipped_if_asked_for(damaged: Path) -> None:
    told: list[str] = []
    for _ in range(2):
        data = load_dataset(folder(damaged, corrupt="skip"), note=lambda level, line: told.append(line))
        assert data.train.labels.tolist() == [0, 0, 1, 1]
        assert data.train.pixels[:, 1, 0, 0].tolist() == [0, 20, 0, 10]
    assert sum(line.startswith("train: skipped 2 corrupt images, the first ") for line in told) == 2


def test_many_corrupt_images_are_counted_and_ten_are_named(tree: Path) -> None:
    for i in range(15):
        (tree / "train" / "cat" / f"x{i:02}.png").write_bytes(b"")
    with pytest.raises(DataError, match="15 of 21 images cannot be decoded") as caught:
        load_dataset(folder(tree))
    assert str(caught.value).count(".png: ") == 10
    assert "and 5 more" in str(caught.value)


def decoded(data: DataTable) -> tuple[Dataset, set[str]]:
    """A data set and what was done to load it."""
    told: set[str] = set()
    return load_dataset(data, lambda what, done, total: told.add(what)), told


def test_images_are_decoded_once_and_again_when_a_file_changes(tree: Path) -> None:
    first, work = decoded(folder(tree))
    assert work == {"decoding train", "decoding test"}
    second, work = decoded(folder(tree))
    assert work == set()
    assert torch.equal(first.train.pixels, second.train.pixels)
    assert first.fingerprint == second.fingerprint

    changed = picture(tree / "train" / "dog" / "2.png", (50, 21, 7))
    os.utime(changed, ns=(1, changed.stat().st_mtime_ns + 1))
    third, work = decoded(folder(tree))
    assert work == {"decoding train"}
    assert third.train.pixels[-1, :, 0, 0].tolist() == [50, 21, 7]
    assert third.fingerprint != first.fingerprint

    (tree / "train" / "dog" / "2.png").unlink()
    assert len(decoded(folder(tree))[0].train) == 5


def test_the_cache_is_of_one_size(tree: Path) -> None:
    decoded(folder(tree))
    data, work = decoded(folder(tree, size=5))
    assert (data.size, work) == (5, {"decoding train", "decoding test"})


def test_a_cache_that_cannot_be_written_costs_only_time(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tree / "file").write_text("no folder can be made below a file")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tree / "file"))
    assert len(load_dataset(folder(tree)).train) == 6


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda root: (root / "train").rename(root / "training"), ["no folder train in", "found: test, training"]),
        (lambda root: (root / "test").rename(root / "eval"), ["no folder test (or val) in", "found: eval, train"]),
        (lambda root: (root / "test" / "dog").rename(root / "test" / "wolf"), ["has classes that", "wolf"]),
    ],
    ids=["no train", "no test", "unknown class"],
)
def test_a_tree_of_another_form_is_refused_with_what_was_found(
    tree: Path, spoil: Callable[[Path], object], said: list[str]
) -> None:
    spoil(tree)
    with pytest.raises(DataError) as caught:
        load_dataset(folder(tree))
    assert all(part in str(caught.value) for part in said), str(caught.value)


def test_a_root_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no folder train in .*nowhere \(found: nothing\)"):
        load_dataset(folder(tmp_path / "nowhere"))


def test_folders_without_images_or_classes_are_refused(tmp_path: Path) -> None:
    for split in ("train", "test"):
        (tmp_path / split).mkdir()
    with pytest.raises(DataError, match="has no class folders"):
        load_dataset(folder(tmp_path))
    for split in ("train", "test"):
        (tmp_path / split / "cat").mkdir()
    with pytest.raises(DataError, match=r"has no images; known endings: \.jpg"):
        load_dataset(folder(tmp_path))


# Downloads --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("cifar10", "cifar-10-python.tar.gz"),
        ("cifar100", "cifar-100-python.tar.gz"),
        ("svhn", "train_32x32.mat"),
        ("fashion-mnist", "FashionMNIST/raw"),
    ],
)
def test_offline_a_data_set_that_is_not_there_is_named_with_where_it_was_sought_and_what_to_do(
    name: str, file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def offline(*_: object, **__: object) -> None:
        raise urllib.error.URLError("Network is unreachable")

    monkeypatch.setattr(urllib.request, "urlopen", offline)
    with pytest.raises(DataError) as caught:
        load_dataset(DataTable(name=name, root=str(tmp_path / "images")))
    message = str(caught.value)
    assert message.startswith(f"{name} is not in {(tmp_path / 'images').resolve()} and could not be downloaded")
    assert file in message
    assert "data.root" in message
    assert "\n" not in message
    assert capsys.readouterr().out == ""  # stdout is for data
