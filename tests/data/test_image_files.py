"""Single image files as people have them: orientation, transparency, depth, modes, frames, damage and false claims."""

from __future__ import annotations

import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from prunetui.config import DataTable
from prunetui.data.tree.decode import MAX_PIXELS, Fact, decode
from prunetui.data.tree.levels import Extent, Range, range_of
from prunetui.engine.data import Dataset, load_dataset
from prunetui.errors import DataError

Notes = list[tuple[str, str]]
Read = Callable[..., tuple[Dataset, Notes]]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Load the tree below ``tmp_path``: the data set, and what was said."""

    def load(**more: object) -> tuple[Dataset, Notes]:
        notes: Notes = []
        data = DataTable(name="folder", root=str(tmp_path), **{"validation": 0.0, **more})
        return load_dataset(data, note=lambda level, line: notes.append((level, line))), notes

    return load


def everywhere(root: Path, save: Callable[[Path], object], ending: str = "png") -> None:
    """The same file in two classes of both splits."""
    for split in ("train", "test"):
        for name in ("a", "b"):
            (root / split / name).mkdir(parents=True, exist_ok=True)
            save(root / split / name / f"1.{ending}")


def chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk of a PNG file."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, depth: int, kind: int, rows: bytes, more: bytes = b"") -> bytes:
    """A PNG file of these rows, each after its filter byte, whether or not they are as many as it claims."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + more + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def coloured() -> Image.Image:
    """4 x 4 pixels: red top left, green top right, blue below left, yellow below right."""
    corners = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [255, 255, 0]]], dtype=np.uint8)
    return Image.fromarray(corners.repeat(2, 0).repeat(2, 1))


# Orientation ------------------------------------------------------------------------------------------

UPRIGHT = {
    1: None, 2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}  # fmt: skip
"""What a camera does to an image before it writes this orientation, so that turning it back gives the image."""


@pytest.mark.parametrize("ending", ["png", "tif", "webp"])
@pytest.mark.parametrize("orientation", list(range(1, 9)))
def test_the_twin_with_an_orientation_tag_has_the_pixels_of_the_upright_one(
    tmp_path: Path, orientation: int, ending: str
) -> None:
    stored = coloured() if UPRIGHT[orientation] is None else coloured().transpose(UPRIGHT[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / f"turned.{ending}", exif=exif, lossless=True)
    coloured().save(tmp_path / f"twin.{ending}", lossless=True)
    found = decode([str(tmp_path / f"turned.{ending}"), str(tmp_path / f"twin.{ending}")], 4, {})
    assert (found.pixels[0] == found.pixels[1]).all()
    assert found.pixels[0, :, 0, 0].tolist() == [255, 0, 0]


def test_turned_images_are_counted_in_one_line(tmp_path: Path, read: Read) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    everywhere(tmp_path, lambda path: coloured().save(path, exif=exif))
    for _ in ("decoded", "from the cache"):
        data, notes = read()
        assert data.train.pixels[0, :, 0, 3].tolist() == [255, 0, 0]  # stored top left, shown top right
        assert ("info", "train: 2 of 2 images were turned as their EXIF orientation says") in notes


def test_a_damaged_exif_block_costs_no_image(tmp_path: Path) -> None:
    coloured().save(tmp_path / "x.jpg", exif=b"Exif\0\0II*\0\xff\xff\xff\xff garbage", quality=100)
    found = decode([str(tmp_path / "x.jpg")], 4, {})
    assert not found.corrupt
    assert found.pixels[0, 0, 0, 0] > 200


# Transparency -----------------------------------------------------------------------------------------


def see_through(mode: str) -> Image.Image:
    """Left half black and opaque, right half black (or any colour) and fully transparent."""
    alpha = Image.fromarray(np.array([[255, 255, 0, 0]] * 4, dtype=np.uint8))
    image = Image.new("RGBA", (4, 4), (0, 0, 0, 255))
    image.putalpha(alpha)
    return image.convert(mode)


@pytest.mark.parametrize(("mode", "ending"), [("RGBA", "png"), ("LA", "png"), ("RGBA", "webp"), ("RGBA", "tif")])
def test_alpha_is_composed_on_white(tmp_path: Path, mode: str, ending: str) -> None:
    see_through(mode).save(tmp_path / f"x.{ending}", lossless=True)
    found = decode([str(tmp_path / f"x.{ending}")], 4, {})
    assert found.pixels[0, :, 0].tolist() == [[0, 0, 255, 255]] * 3
    assert found.facts[0] & Fact.TRANSPARENT


def test_half_transparent_black_is_grey_on_white(tmp_path: Path) -> None:
    Image.new("RGBA", (4, 4), (0, 0, 0, 102)).save(tmp_path / "x.png")  # 40 % black
    assert decode([str(tmp_path / "x.png")], 4, {}).pixels[0, :, 0, 0].tolist() == [153] * 3


def test_a_palette_with_transparent_entries_is_composed_on_white(tmp_path: Path) -> None:
    image = Image.fromarray(np.array([[0, 1, 2, 2]] * 4, dtype=np.uint8)).convert("P")
    image.putpalette([9, 9, 9, 50, 60, 70, 1, 2, 3])
    image.save(tmp_path / "entry.png", transparency=2)
    image.save(tmp_path / "alphas.png", transparency=bytes([255, 255, 0]))
    image.save(tmp_path / "entry.gif", transparency=2)
    found = decode([str(tmp_path / name) for name in ("entry.png", "alphas.png", "entry.gif")], 4, {})
    for pixels in found.pixels:
        assert pixels[:, 0].T.tolist() == [[9, 9, 9], [50, 60, 70], [255] * 3, [255] * 3]


@pytest.mark.parametrize(("mode", "key"), [("L", 7), ("RGB", (7, 7, 7))])
def test_a_colour_that_png_declares_transparent_is_white(tmp_path: Path, mode: str, key: object) -> None:
    image = Image.fromarray(np.array([[7, 7, 90, 90]] * 4, dtype=np.uint8)).convert(mode)
    image.save(tmp_path / "x.png", transparency=key)
    assert decode([str(tmp_path / "x.png")], 4, {}).pixels[0, :, 0].tolist() == [[255, 255, 90, 90]] * 3


@pytest.mark.parametrize(
    ("depth", "kind", "row", "key", "right"),
    [
        (1, 0, b"\x0f", struct.pack(">H", 0), 255),
        (2, 0, b"\x00\xaa", struct.pack(">H", 0), 170),
        (2, 0, b"\x55\xaa", struct.pack(">H", 1), 170),
        (4, 0, b"\x55\x55\xaa\xaa", struct.pack(">H", 5), 170),
        (16, 0, struct.pack(">8H", *[999] * 4, *[40000] * 4), struct.pack(">H", 999), 156),
        (16, 2, struct.pack(">24H", *[999] * 12, *[40000] * 12), struct.pack(">3H", 999, 999, 999), 156),
    ],
)
def test_the_transparent_level_of_every_depth_is_white(
    tmp_path: Path, depth: int, kind: int, row: bytes, key: bytes, right: int
) -> None:
    """Eight columns: the left four have the level that the file declares transparent."""
    content = png(8, 8, depth, kind, b"".join(b"\0" + row for _ in range(8)), chunk(b"tRNS", key))
    (tmp_path / "x.png").write_bytes(content)
    found = decode([str(tmp_path / "x.png")], 8, {"whole": Range(0, 65535)})
    assert found.corrupt == []
    assert found.pixels[0, 1, 3].tolist() == [255] * 4 + [right] * 4


def test_an_opaque_alpha_channel_changes_no_pixel_and_is_not_told(tmp_path: Path) -> None:
    random = np.random.default_rng(0).integers(0, 256, (8, 8, 4), dtype=np.uint8)
    random[..., 3] = 255
    Image.fromarray(random).save(tmp_path / "x.png")
    found = decode([str(tmp_path / "x.png")], 8, {})
    assert (found.pixels[0].transpose(1, 2, 0) == random[..., :3]).all()
    assert not found.facts[0] & Fact.TRANSPARENT


# Depth ------------------------------------------------------------------------------------------------


def deep(levels: list[int] | list[float], dtype: str) -> Image.Image:
    """The levels as columns of a 4 x 4 image."""
    return Image.fromarray(np.array([levels] * 4, dtype=dtype))


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_sixteen_bits_are_scaled_by_their_range(tmp_path: Path, read: Read, ending: str) -> None:
    everywhere(tmp_path, lambda path: deep([0, 257, 257 * 128, 65535], "uint16").save(path), ending)
    data, notes = read()
    assert data.train.pixels[0, 0, 0].tolist() == [0, 1, 128, 255]
    said = "train: 2 of 2 images have levels of more than 8 bits, scaled to 0..255 from 0..65535 (whole)"
    assert ("info", said) in notes


def test_big_endian_sixteen_bits_are_the_same_levels(tmp_path: Path) -> None:
    levels = np.array([[0, 257, 257 * 128, 65535]] * 4, dtype=">u2")
    header = struct.pack(">2sHIH", b"MM", 42, 8, 8)
    tags = [(256, 4), (257, 4), (258, 16), (259, 1), (262, 1), (273, 110), (278, 4), (279, 32)]
    entries = b"".join(struct.pack(">HHIHH", tag, 3, 1, value, 0) for tag, value in tags)
    (tmp_path / "x.tif").write_bytes(header + entries + bytes(4) + levels.tobytes())
    found = decode([str(tmp_path / "x.tif")], 4, {"whole": Range(0, 65535)})
    assert found.corrupt == []
    assert found.pixels[0, 0, 0].tolist() == [0, 1, 128, 255]


def test_twelve_bits_in_sixteen_are_not_nearly_black(tmp_path: Path, read: Read) -> None:
    everywhere(tmp_path, lambda path: deep([0, 0, 2048, 4000], "uint16").save(path))
    data, notes = read()
    assert data.train.pixels[0, 0, 0].tolist() == [0, 0, 128, 249]  # of 0..4095
    assert not [line for level, line in notes if level == "warning"]


def test_all_images_of_a_set_share_one_range(tmp_path: Path, read: Read) -> None:
    everywhere(tmp_path, lambda path: deep([0, 0, 0, 1000], "uint16").save(path))
    deep([0, 0, 0, 4000], "uint16").save(tmp_path / "train" / "b" / "1.png")
    data, _ = read()
    assert data.train.pixels[:, 0, 0, 3].tolist() == [62, 249]
    assert data.test.pixels[:, 0, 0, 3].tolist() == [62, 62]  # by the range of the training images


def test_thirty_two_bits_with_negative_levels_go_from_the_smallest_to_the_largest(tmp_path: Path, read: Read) -> None:
    everywhere(tmp_path, lambda path: deep([-1000, 0, 0, 3000], "int32").save(path), "tif")
    data, _ = read()
    assert data.train.pixels[0, 0, 0].tolist() == [0, 64, 64, 255]


def test_thirty_two_bits_beyond_sixteen_are_not_cut_off(tmp_path: Path, read: Read) -> None:
    everywhere(tmp_path, lambda path: deep([0, 2**19, 2**20 - 1, 100], "int32").save(path), "tif")
    data, _ = read()
    assert data.train.pixels[0, 0, 0].tolist() == [0, 128, 255, 0]


@pytest.mark.parametrize(
    ("levels", "wanted"), [([0, 0.2, 0.6, 0.8], [0, 51, 153, 204]), ([-2, 0, 0, 2], [0, 128, 128, 255])]
)
def test_fractions_are_scaled_by_their_range(
    tmp_path: Path, read: Read, levels: list[float], wanted: list[int]
) -> None:
    everywhere(tmp_path, lambda path: deep(levels, "float32").save(path), "tif")
    data, notes = read()
    assert data.train.pixels[0, 0, 0].tolist() == wanted
    again, notes_again = read()
    assert (again.train.pixels == data.train.pixels).all()
    assert notes_again == notes


def test_test_levels_outside_of_the_training_range_are_cut_off_and_counted(tmp_path: Path, read: Read) -> None:
    everywhere(tmp_path, lambda path: deep([-1, 0, 0, 1], "float32").save(path), "tif")
    deep([-1, 0, 5, 1], "float32").save(tmp_path / "test" / "b" / "1.tif")
    data, notes = read()
    assert data.test.pixels[1, 0, 0].tolist() == [0, 128, 255, 255]
    assert ("info", "test: 1 of 2 images have levels outside of that range, which were cut off") in notes


def test_levels_that_are_no_numbers_are_corrupt(tmp_path: Path, read: Read) -> None:
    everywhere(tmp_path, lambda path: deep([0, 1, 0, 1], "float32").save(path), "tif")
    deep([0, 1, float("nan"), 1], "float32").save(tmp_path / "train" / "b" / "1.tif")
    with pytest.raises(DataError, match=r"b/1\.tif: ValueError: levels that are NaN or infinite"):
        read()


def test_a_deep_image_among_eight_bit_ones_leaves_those_alone(tmp_path: Path, read: Read) -> None:
    everywhere(tmp_path, lambda path: deep([0, 1, 2, 200], "uint8").save(path))
    deep([0, 0, 0, 65535], "uint16").save(tmp_path / "train" / "b" / "2.png")
    data, _ = read()
    assert data.train.pixels[:, 0, 0].tolist() == [[0, 1, 2, 200], [0, 1, 2, 200], [0, 0, 0, 255]]


def test_the_range_of_levels() -> None:
    assert range_of([Extent("whole", 0, 3)]) == Range(0, 255)
    assert range_of([Extent("whole", 5, 256)]) == Range(0, 511)
    assert range_of([Extent("whole", 5, 9), Extent("whole", -1, 7)]) == Range(-1, 9)
    assert range_of([Extent("fractions", 0, 0.5)]) == Range(0, 1)
    assert range_of([Extent("fractions", 0, 255)]) == Range(0, 255)
    assert range_of([Extent("fractions", 7, 7)]) == Range(7, 8)  # no division by zero


# Modes and frames -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "ending"),
    [("CMYK", "tif"), ("CMYK", "jpg"), ("YCbCr", "jpg"), ("LAB", "tif"), ("P", "png"), ("P", "bmp"), ("RGB", "jp2"),
     ("RGB", "qoi"), ("RGB", "ppm"), ("RGBX", "tif")],
)  # fmt: skip
def test_every_mode_gives_the_colours_of_the_image(tmp_path: Path, mode: str, ending: str) -> None:
    colour = (200, 100, 50)
    image = Image.new("RGB", (16, 16), colour)
    if mode == "LAB":
        from PIL import ImageCms

        to_lab = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
        image = ImageCms.applyTransform(image, to_lab)
    else:
        image = image.quantize() if mode == "P" else image.convert(mode)
    image.save(tmp_path / f"x.{ending}")
    found = decode([str(tmp_path / f"x.{ending}")], 16, {})
    assert found.corrupt == []
    assert found.pixels[0, :, 8, 8].tolist() == pytest.approx(colour, abs=4)


def test_one_bit_is_black_and_white(tmp_path: Path) -> None:
    image = Image.fromarray(np.array([[0, 255, 255, 0]] * 4, dtype=np.uint8)).convert("1")
    for ending in ("png", "tif", "pbm", "bmp"):
        image.save(tmp_path / f"x.{ending}")
        found = decode([str(tmp_path / f"x.{ending}")], 4, {})
        assert found.pixels[0, :, 0].tolist() == [[0, 255, 255, 0]] * 3, ending


@pytest.mark.parametrize("ending", ["gif", "png", "webp", "tif"])
def test_of_several_frames_the_first_is_used_and_it_is_said(tmp_path: Path, read: Read, ending: str) -> None:
    first, second = Image.new("RGB", (8, 8), (255, 0, 0)), Image.new("RGB", (8, 8), (0, 0, 255))
    first.paste((250, 0, 0), (0, 0, 4, 8))

    def save(path: Path) -> None:
        first.save(path, save_all=True, append_images=[second], lossless=True)

    everywhere(tmp_path, save, ending)
    data, notes = read()
    assert data.train.pixels[0, 2].max() == 0
    assert ("info", "train: 2 of 2 images have several frames or pages, of which the first is used") in notes


# Damage and false claims ------------------------------------------------------------------------------


@pytest.mark.parametrize("side", [12_000, 50_000, 2**31 - 1])
def test_a_file_that_claims_too_many_pixels_is_refused_in_words(tmp_path: Path, side: int) -> None:
    (tmp_path / "bomb.png").write_bytes(png(side, side, 8, 2, b""))
    found = decode([str(tmp_path / "bomb.png")], 8, {})
    [(index, why)] = found.corrupt
    assert index == 0
    assert f"{MAX_PIXELS:,}" in why


def test_a_text_chunk_that_unpacks_to_a_gigabyte_is_refused(tmp_path: Path) -> None:
    image = coloured()
    image.save(tmp_path / "x.png")
    whole = (tmp_path / "x.png").read_bytes()
    text = chunk(b"zTXt", b"comment\0\0" + zlib.compress(bytes(200_000_000), 9))
    (tmp_path / "x.png").write_bytes(whole[:33] + text + whole[33:])
    found = decode([str(tmp_path / "x.png")], 4, {})
    assert [why for _, why in found.corrupt] == [
        "ValueError: Decompressed data too large for PngImagePlugin.MAX_TEXT_CHUNK"
    ]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "no image that can be read, by its first bytes"),
        (b"<!DOCTYPE html>" + b"<p>404</p>" * 1_000_000, "no image that can be read, by its first bytes"),
        (
            b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n",
            "no image that can be read, by its first bytes",
        ),
        (b"\xff\xd8\xff\xe0garbage", "OSError: Truncated File Read"),
        (b"%PDF-1.4", "no image that can be read, by its first bytes"),
    ],
    ids=["empty", "ten megabytes of HTML", "PostScript", "garbage", "PDF"],
)
def test_what_is_no_image_is_corrupt_and_no_program_is_started_for_it(tmp_path: Path, content: bytes, why: str) -> None:
    (tmp_path / "x.jpg").write_bytes(content)
    assert decode([str(tmp_path / "x.jpg")], 4, {}).corrupt == [(0, why)]


def test_a_truncated_jpeg_is_corrupt(tmp_path: Path) -> None:
    Image.effect_noise((64, 64), 90).save(tmp_path / "x.jpg")
    whole = (tmp_path / "x.jpg").read_bytes()
    (tmp_path / "x.jpg").write_bytes(whole[: len(whole) // 2])
    [(_, why)] = decode([str(tmp_path / "x.jpg")], 8, {}).corrupt
    assert "truncated" in why


# What makes images useless ----------------------------------------------------------------------------


def test_constant_and_nearly_black_images_are_warned_of(tmp_path: Path, read: Read) -> None:
    everywhere(tmp_path, lambda path: deep([0, 1, 2, 9], "uint8").save(path))
    Image.new("L", (4, 4), 200).save(tmp_path / "train" / "b" / "1.png")
    for _ in ("decoded", "from the cache"):
        _, notes = read()
        warnings = [line for level, line in notes if level == "warning"]
        assert warnings == [
            "train: 1 of 2 images are of one colour throughout",
            "train: 1 of 2 images are nearly black (no level reaches 16 of 255)",
            "test: 2 of 2 images are nearly black (no level reaches 16 of 255)",
        ]


def test_a_class_of_constant_images_is_named(tmp_path: Path, read: Read) -> None:
    everywhere(tmp_path, lambda path: coloured().save(path))
    for i in range(30):
        coloured().save(tmp_path / "train" / "a" / f"x{i}.png")
    Image.new("RGB", (4, 4), "red").save(tmp_path / "train" / "b" / "1.png")
    _, notes = read()
    assert ("warning", "train: most images are of one colour throughout in 1 of 2 classes: b") in notes


def test_ordinary_images_are_not_spoken_of(tmp_path: Path, read: Read) -> None:
    everywhere(tmp_path, lambda path: coloured().save(path))
    assert read()[1] == []


def test_processes_that_decode_start_without_torch() -> None:
    code = "import sys; from prunetui.data.tree.decode import decode; print('torch' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "False\n"
