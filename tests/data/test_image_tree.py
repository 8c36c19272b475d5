"""Image folders as people have them: what is read, what is left alone and said, which size and classes they give."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from prunetui.config import DataTable
from prunetui.engine.data import Dataset, Wanted, load_dataset
from prunetui.errors import DataError
from prunetui.files import paths
from prunetui.plan.estimate import images_of

Notes = list[tuple[str, str]]
Load = Callable[..., Dataset]


def picture(path: Path, red: int = 100, size: tuple[int, int] = (6, 6)) -> Path:
    """Red of this level, and one white pixel, so that nothing is constant."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new("RGB", size, (red, 0, 0))
    image.putpixel((0, 0), (255, 255, 255))
    image.save(path, format="PNG")
    return path


def fill(root: Path, *classes: str, splits: tuple[str, ...] = ("train", "test"), count: int = 2) -> Path:
    """``count`` images in each class of each split."""
    for split in splits:
        for name in classes:
            for i in range(count):
                picture(root / split / name / f"{i}.png")
    return root


def folder(root: Path, **more: object) -> DataTable:
    return DataTable(name="folder", root=str(root), **{"validation": 0.0, **more})


@pytest.fixture
def told() -> Notes:
    return []


@pytest.fixture
def load(tmp_path: Path, told: Notes) -> Load:
    """Load the tree below ``tmp_path``; notes go to ``told``."""
    return lambda **more: load_dataset(folder(tmp_path, **more), note=lambda level, line: told.append((level, line)))


def refusal(load: Load, **more: object) -> str:
    with pytest.raises(DataError) as caught:
        load(**more)
    return str(caught.value)


# Nothing vanishes -------------------------------------------------------------------------------------


def test_folders_inside_a_class_are_read(tmp_path: Path, load: Load) -> None:
    fill(tmp_path, "cat", "dog")
    picture(tmp_path / "train" / "cat" / "2023" / "june" / "7.png", red=7)
    data = load()
    assert data.train.labels.tolist() == [0, 0, 0, 1, 1]
    assert data.train.pixels[2, 0, 1, 1] == 7
    assert images_of(folder(tmp_path)).train == 5  # the estimate counts what is read


@pytest.mark.parametrize(
    ("ending", "kind"),
    [("jfif", "JPEG"), ("jpe", "JPEG"), ("JPG", "JPEG"), ("jp2", "JPEG2000"), ("webp", "WEBP"), ("avif", "AVIF")],
)
def test_rarer_endings_are_read(tmp_path: Path, load: Load, told: Notes, ending: str, kind: str) -> None:
    if f".{ending}" in paths.NEEDED and f".{ending}" not in paths.image_suffixes():
        pytest.skip(f"this Pillow reads no {kind}")
    fill(tmp_path, "cat", "dog")
    Image.effect_noise((6, 6), 50).convert("RGB").save(tmp_path / "train" / "cat" / f"x.{ending}", format=kind)
    assert load().train.labels.tolist() == [0, 0, 0, 1, 1]
    assert told == []


def test_heic_is_read_where_its_plugin_is_there(
    tmp_path: Path, load: Load, told: Notes, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path, "cat", "dog")
    (tmp_path / "train" / "cat" / "x.HEIC").write_bytes(b"heic")
    load()
    assert told == [
        ("info", "train: not read: 1 file without an ending of images: 1 .heic (needs the package pillow-heif)")
    ]
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "pillow_heif.py").write_text("def register_heif_opener(): pass\n")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    paths.image_suffixes.cache_clear()
    try:
        assert "1 of 5 images cannot be decoded" in refusal(load)  # the plugin of this test decodes nothing
    finally:
        paths.image_suffixes.cache_clear()


def test_other_files_are_counted_by_ending_in_one_line(tmp_path: Path, load: Load, told: Notes) -> None:
    fill(tmp_path, "cat", "dog")
    for name in ("a.txt", "b.txt", "c.json", "README"):
        (tmp_path / "train" / "cat" / name).write_text("x")
    picture(tmp_path / "test" / "stray.png")
    load()
    assert told == [
        ("info", "test: not read: 1 image outside of the class folders"),
        ("info", "train: not read: 4 files without an ending of images: 2 .txt, 1 .json, 1 without ending"),
    ]


def test_what_systems_leave_behind_is_ignored_in_silence(tmp_path: Path, load: Load, told: Notes) -> None:
    fill(tmp_path, "cat", "dog")
    for place in (tmp_path / "train", tmp_path / "train" / "cat"):
        for name in ("._0.png", ".DS_Store", "Thumbs.db", "desktop.ini", "Desktop.ini"):
            (place / name).write_bytes(b"\0\5\x16\7")
        picture(place / "__MACOSX" / "cat" / "._1.png")
    assert load().train.labels.tolist() == [0, 0, 1, 1]
    assert told == []


def test_hidden_folders_are_named_and_not_read(tmp_path: Path, load: Load, told: Notes) -> None:
    fill(tmp_path, "cat", "dog")
    picture(tmp_path / "train" / "cat" / ".ipynb_checkpoints" / "0.png")
    picture(tmp_path / "train" / ".trash" / "0.png")
    data = load()
    assert (data.classes, len(data.train)) == (("cat", "dog"), 4)
    assert [line for _, line in told] == [
        f"train: not read: 1 entry, hidden: {tmp_path / 'train' / '.trash'}",
        f"train: not read: 1 entry, hidden: {tmp_path / 'train' / 'cat' / '.ipynb_checkpoints'}",
    ]


def test_a_class_without_images_is_refused_by_name(tmp_path: Path, load: Load) -> None:
    fill(tmp_path, "cat", "dog")
    (tmp_path / "train" / "emu").mkdir()
    (tmp_path / "train" / "fox").mkdir()
    (tmp_path / "train" / "fox" / "x.heics").write_text("x")
    message = refusal(load)
    assert f"{tmp_path / 'train'} has classes without images: emu, fox; fill or remove" in message
    assert "other files there: .heics" in message


def test_classes_without_test_images_are_told(tmp_path: Path, load: Load, told: Notes) -> None:
    fill(tmp_path, "cat", "dog", "emu", "fox")
    for path in (tmp_path / "test" / "emu").iterdir():
        path.unlink()
    for path in (tmp_path / "test" / "fox").iterdir():
        path.unlink()
    (tmp_path / "test" / "fox").rmdir()
    assert load().test.labels.tolist() == [0, 0, 1, 1]
    assert told == [("warning", "2 of 4 classes have no test images: emu, fox")]


def test_one_class_is_told(tmp_path: Path, load: Load, told: Notes) -> None:
    fill(tmp_path, "cat")
    load()
    assert told == [("warning", "all images are of one class, cat: every accuracy will be 100 %")]


def test_a_class_whose_images_are_all_corrupt_is_refused_though_corrupt_ones_are_skipped(
    tmp_path: Path, load: Load
) -> None:
    fill(tmp_path, "cat", "dog")
    for path in (tmp_path / "train" / "dog").iterdir():
        path.write_bytes(b"no image")
    assert refusal(load, corrupt="skip") == "all training images are corrupt in 1 classes: dog"


# Names ------------------------------------------------------------------------------------------------

CAFE = unicodedata.normalize("NFC", "café"), unicodedata.normalize("NFD", "café")


def test_unicode_forms_of_a_name_are_one_class_within_a_split_and_across_splits(
    tmp_path: Path, load: Load, told: Notes
) -> None:
    composed, decomposed = CAFE
    assert composed != decomposed
    fill(tmp_path, composed, "bar", splits=("train",))
    picture(tmp_path / "train" / decomposed / "9.png", red=9)
    fill(tmp_path, decomposed, "bar", splits=("test",))
    data = load()
    assert told == [
        ("info", f"train: {composed}: 2 folders whose names differ in their Unicode form alone are one class")
    ]
    assert data.classes == ("bar", composed)
    assert data.train.labels.tolist() == [0, 0, 1, 1, 1]
    assert data.test.labels.tolist() == [0, 0, 1, 1]


def test_a_class_that_differs_in_case_is_refused_with_the_other_name(tmp_path: Path, load: Load) -> None:
    fill(tmp_path, "Cat", "dog", splits=("train",))
    fill(tmp_path, "cat", "dog", splits=("test",))
    assert "has classes that" in refusal(load)
    assert "cat there is Cat" in refusal(load)


def test_names_with_control_characters_and_bytes_that_are_no_text(tmp_path: Path, load: Load) -> None:
    fill(tmp_path, "cat")
    picture(tmp_path / "train" / "cat" / "new\nline\x1b[31m.png").write_bytes(b"no image")
    message = refusal(load)
    assert "\\nline\\x1b[31m.png: no image that can be read, by its first bytes" in message
    assert "\x1b" not in message
    (tmp_path / "train" / "cat" / "new\nline\x1b[31m.png").unlink()
    for split in ("train", "test"):
        odd = os.fsencode(tmp_path / split) + b"/\xff\xfe"
        os.mkdir(odd)  # noqa: PTH102 - bytes
        picture(tmp_path / "x.png").rename(Path(os.fsdecode(odd + b"/1.png")))
    assert load().classes == ("\\xff\\xfe", "cat")


@pytest.mark.parametrize("root", ["~nobody-of-this-name/x", "a\0b", "x" * 5000, ""])
def test_roots_that_cannot_exist_are_refused_in_words(
    root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="no folder train in"):
        load_dataset(DataTable(name="folder", root=root))


def test_a_folder_that_may_not_be_read_is_named(tmp_path: Path, load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, "cat", "dog")
    scandir = os.scandir

    def guarded(folder: os.PathLike[str] | str) -> object:
        if str(folder).endswith("dog"):
            raise PermissionError(13, "Permission denied")
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", guarded)
    assert refusal(load) == f"cannot read the folder {tmp_path / 'train' / 'dog'}: Permission denied"
    assert images_of(folder(tmp_path)) is None


# Links and things that are no files -------------------------------------------------------------------


def test_links_to_classes_and_files_are_read(tmp_path: Path, load: Load, told: Notes) -> None:
    fill(tmp_path / "real", "cat")
    fill(tmp_path, "dog")
    for split in ("train", "test"):
        (tmp_path / split / "cat").symlink_to(tmp_path / "real" / split / "cat")
    (tmp_path / "train" / "dog" / "linked.png").symlink_to(tmp_path / "real" / "train" / "cat" / "0.png")
    assert load().train.labels.tolist() == [0, 0, 1, 1, 1]
    assert told == []


def test_a_loop_of_links_ends_and_is_told(tmp_path: Path, load: Load, told: Notes) -> None:
    fill(tmp_path, "cat", "dog")
    (tmp_path / "train" / "cat" / "again").symlink_to(tmp_path / "train" / "cat")
    for i in range(30):  # 2^30 ways down
        (tmp_path / "train" / "dog" / f"d{i}").mkdir()
        for name in ("x", "y"):
            (tmp_path / "train" / "dog" / f"d{i}" / name).symlink_to(tmp_path / "train" / "dog" / f"d{(i + 1) % 30}")
    (tmp_path / "train" / "cat" / "itself").symlink_to(tmp_path / "train" / "cat" / "itself")
    assert load().train.labels.tolist() == [0, 0, 1, 1]
    lines = [line for _, line in told]
    assert any("not read: 61 entries, links to folders that are read already" in line for line in lines), lines
    assert any("not read: 1 entry, neither files nor folders" in line and "itself" in line for line in lines), lines


def test_pipes_and_broken_links_do_not_hang_and_are_told(tmp_path: Path, load: Load, told: Notes) -> None:
    fill(tmp_path, "cat", "dog")
    os.mkfifo(tmp_path / "train" / "cat" / "pipe.png")
    (tmp_path / "train" / "cat" / "gone.png").symlink_to("nowhere")
    (tmp_path / "train" / "cat" / "zero.png").symlink_to("/dev/zero")
    assert load().train.labels.tolist() == [0, 0, 1, 1]
    [(level, line)] = told
    assert level == "info"
    assert line.startswith("train: not read: 3 entries, neither files nor folders (broken links, pipes, devices): ")


# Tiny-ImageNet ----------------------------------------------------------------------------------------


def tiny(root: Path) -> Path:
    """As it is unpacked: boxes beside the training images, a flat val/, a test/ without labels."""
    for name in ("n01", "n02"):
        for i in range(2):
            picture(root / "train" / name / "images" / f"{name}_{i}.JPEG")
        (root / "train" / name / f"{name}_boxes.txt").write_text("boxes")
        picture(root / "val" / "images" / f"val_{name}.JPEG", red=int(name[1:]))
    (root / "val" / "val_annotations.txt").write_text("val_n01.JPEG\tn01\t0\t0\t9\t9\nval_n02.JPEG\tn02\t0\t0\t9\t9\n")
    picture(root / "test" / "images" / "test_0.JPEG")
    return root


def test_tiny_imagenets_flat_validation_is_explained_and_the_command_given_sorts_it(
    tmp_path: Path, load: Load, told: Notes
) -> None:
    (tiny(tmp_path) / "test").rename(tmp_path / "unlabelled")
    message = refusal(load)
    assert "is flat, as Tiny-ImageNet comes: val_annotations.txt names the class of each image" in message
    command = message.partition("by running there: ")[2]
    assert os.system(f"cd {tmp_path / 'val'} && {command}") == 0
    told.clear()
    data = load()
    assert data.classes == ("n01", "n02")
    assert data.test.pixels[:, 0, 1, 1].tolist() == [1, 2]
    assert sorted(told) == [("info", "train: not read: 2 files without an ending of images: 2 .txt"),
                            ("info", "val: not read: 1 file without an ending of images: 1 .txt")]  # fmt: skip


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("classes", [None, ("n01", "n02"), ("n01",)])
def test_tiny_imagenet_as_it_is_unpacked_is_explained(
    tmp_path: Path, told: Notes, train: bool, classes: tuple[str, ...] | None
) -> None:
    tiny(tmp_path)
    if not train:
        (tmp_path / "train").rename(tmp_path / "elsewhere")
    wanted = Wanted(classes, 6, 3)
    with pytest.raises(DataError, match="no folder train in" if classes is None and not train else "is flat, as Tiny"):
        load_dataset(folder(tmp_path, normalize="half"), wanted=wanted)


def test_a_sorted_validation_that_kept_its_list_is_not_called_flat(tmp_path: Path, load: Load) -> None:
    fill(tmp_path, "n01", splits=("train",))
    fill(tmp_path, "n01", "n02", splits=("val",))
    (tmp_path / "val" / "val_annotations.txt").write_text("x")
    assert "has classes that" in refusal(load)


def test_a_test_folder_without_labels_gives_way_to_val(tmp_path: Path, load: Load, told: Notes) -> None:
    tiny(tmp_path)
    for name in ("n01", "n02"):
        picture(tmp_path / "val" / name / "images" / "0.JPEG")
    (tmp_path / "val" / "images").rename(tmp_path / "flat")
    assert len(load().test) == 2
    assert ("info", "test has none of the classes of train: the test split is val") in told
    assert images_of(folder(tmp_path)).test == 2


def test_of_test_and_val_test_is_read_and_it_is_said(tmp_path: Path, load: Load, told: Notes) -> None:
    fill(tmp_path, "cat", "dog", splits=("train", "test", "val"))
    load()
    assert told == [("info", "the test split is test; val is not read")]


# Size -------------------------------------------------------------------------------------------------


def test_the_size_is_the_commonest_and_what_is_resized_is_counted(tmp_path: Path, load: Load, told: Notes) -> None:
    fill(tmp_path, "cat", "dog", count=3)
    picture(tmp_path / "train" / "cat" / "-first.png", size=(40, 20))
    assert load().size == 6
    assert told == [("info", "train: 1 of 7 images were resized to 6 x 6; 1 were not square and are stretched")]


def test_widely_different_sizes_are_asked_for(tmp_path: Path, load: Load) -> None:
    for split in ("train", "test"):
        for i, side in enumerate((32, 48, 64, 100, 200, 333)):
            picture(tmp_path / split / "cat" / f"{i}.png", size=(side, side))
    message = refusal(load)
    assert "images differ widely in size: of 6 that were looked at shorter sides go from 32 to 333 pixels" in message
    assert "data.size = 32" in message
    assert load(size=32).size == 32


def test_sizes_that_differ_little_give_the_commonest(tmp_path: Path, load: Load) -> None:
    fill(tmp_path, "dog")
    for i, side in enumerate((6, 7, 7, 8, 8, 8)):
        picture(tmp_path / "train" / "cat" / f"{i}.png", size=(side, side))
    assert load().size == 8  # three are 6, three are 8: the larger


@pytest.mark.parametrize("side", [1, 3000])
def test_one_pixel_and_three_thousand_are_questioned(tmp_path: Path, load: Load, side: int) -> None:
    for split in ("train", "test"):
        Image.new("L", (side, side)).save(picture(tmp_path / split / "cat" / "1.png"))
    message = refusal(load)
    assert f"is this meant? The commonest shorter side of 1 images that were looked at is {side} pixels" in message
    assert "data.size" in message


def test_single_tiny_images_are_warned_of(tmp_path: Path, load: Load, told: Notes) -> None:
    fill(tmp_path, "cat", "dog")
    picture(tmp_path / "train" / "cat" / "9.png", size=(1, 1))
    load()
    assert ("warning", "train: 1 of 5 images are less than 4 pixels wide or high") in told


def test_a_size_holds_for_every_data_set(told: Notes) -> None:
    data = load_dataset(DataTable(limit=100, size=16), note=lambda level, line: told.append((level, line)))
    assert data.train.pixels.shape[1:] == (1, 16, 16)
    assert told == [("info", "digits: images were resized from 8 x 8 to 16 x 16")]


def test_more_images_than_memory_are_refused_in_words(
    tmp_path: Path, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path, "cat")

    def full(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr("prunetui.data.tree.read._decode_all", full)
    assert "train: 2 images of 6 x 6 take 0.0 GB of memory, more than there is; make data.size smaller" in refusal(load)


def test_a_process_that_dies_while_it_decodes_is_told_in_words(
    tmp_path: Path, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path, "cat", "dog")

    def dead(*_: object) -> None:
        raise BrokenProcessPool

    monkeypatch.setattr("prunetui.data.tree.read.SMALL_SET", 0)
    monkeypatch.setattr("prunetui.data.tree.read.ProcessPoolExecutor.map", dead)
    message = refusal(load)
    assert message.startswith("a process that decodes images died, of too little memory or of a file that crashes")
    assert str(tmp_path / "train" / "cat" / "0.png") in message


def test_processes_decode_as_this_one_does(tmp_path: Path, load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, "cat", "dog", count=5)
    here = load()
    monkeypatch.setattr("prunetui.data.tree.read.SMALL_SET", 0)
    monkeypatch.setattr("prunetui.data.tree.read.CHUNK", 4)
    monkeypatch.setattr("prunetui.data.tree.decoded_cache.RULES", 0)
    assert (load().train.pixels == here.train.pixels).all()


# The cache --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", ["empty", "cut", "flipped", "other"])
def test_damaged_cached_images_are_decoded_again_and_it_is_said(
    tmp_path: Path, load: Load, told: Notes, damage: str
) -> None:
    fill(tmp_path, "cat", "dog")
    first = load()
    for kept in Path(os.environ["XDG_CACHE_HOME"]).rglob("*.npz"):
        content = bytearray(kept.read_bytes())
        content[len(content) // 3] ^= 255
        if damage == "other":
            np.savez(kept, pixels=np.zeros(3), facts=np.zeros(3), about=np.array('{"deep": [], "corrupt": []}'))
        else:
            kept.write_bytes({"empty": b"", "cut": bytes(content[:300]), "flipped": bytes(content)}[damage])
    again = load()
    assert (again.train.pixels == first.train.pixels).all()
    assert [level for level, line in told if "are damaged" in line and "decoded again" in line] == ["warning"] * 2
    told.clear()
    load()
    assert told == []


# Limits -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("validation", [0.0, 0.1, 0.5])
def test_a_limit_below_the_classes_draws_the_same_classes_in_both_splits(
    tmp_path: Path, load: Load, told: Notes, validation: float
) -> None:
    for label in range(30):
        for split, count in (("train", 4 + label % 3), ("test", 2 + label % 2)):
            for i in range(count):
                picture(tmp_path / split / f"c{label:02}" / f"{i}.png")
    data = load(limit=10, validation=validation)
    trained = set(data.train.labels.tolist())
    assert set(data.test.labels.tolist()) == trained
    assert set(data.validation.labels.tolist()) <= trained
    assert len(data.train) + len(data.validation) == len(data.test) == 10
    assert len(data.classes) == 30
    assert ("info", f"data.limit = 10 draws {len(trained)} of 30 classes, the same in both splits") in told
    assert len(trained) == 10 - round(validation * 10)


def test_a_rare_class_that_a_limit_leaves_out_of_training_is_not_tested(tmp_path: Path, load: Load) -> None:
    fill(tmp_path, "common", count=40)
    fill(tmp_path, "rare", splits=("train",), count=1)
    fill(tmp_path, "rare", splits=("test",), count=40)
    data = load(limit=10)
    assert set(data.train.labels.tolist()) == set(data.test.labels.tolist())


def test_no_class_is_held_out_altogether(tmp_path: Path, load: Load) -> None:
    fill(tmp_path, *"abcdefgh", count=1)
    fill(tmp_path, "z", count=8)
    data = load(validation=0.4)
    assert set(data.train.labels.tolist()) == set(range(9))
    assert len(data.train) + len(data.validation) == 16
