"""Photos in every mode: in, changed in places, out; and every way in which a file can be wrong."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pipeline.errors import (
    BrokenPhotoError,
    NotAPhotoError,
    OutputError,
    PhotoNotFoundError,
    PhotoTooLargeError,
)
from pipeline.metadata import DIGITAL_SOURCE_TYPE
from pipeline.photo import Photo, check_output, read_photo, save_photo

SIZE = 48


def picture(mode: str) -> Image.Image:
    y, x = np.mgrid[:SIZE, : SIZE + 8]
    rgb = np.stack([x * 4, y * 5, 255 - x * 2 - y * 2], -1).astype(np.uint8)
    image = Image.fromarray(rgb)
    if mode == "P":
        return image.quantize(64)
    if mode in ("LA", "RGBA"):
        image = image.convert(mode)
        image.putalpha(Image.fromarray((x * 4).astype(np.uint8)))
        return image
    if mode == "I;16":
        return Image.fromarray((x * 1000 + y).astype(np.uint16))
    return image.convert(mode)


def change(photo: Photo) -> tuple[Photo, NDArray[np.bool_]]:
    changed = np.zeros((photo.height, photo.width), np.bool_)
    changed[8:20, 16:30] = True
    return photo.with_rgb(1 - photo.rgb(), changed), changed


FILES = [
    *(("png", mode) for mode in ("L", "LA", "RGB", "RGBA", "P", "I;16")),
    *(("tif", mode) for mode in ("L", "RGB", "RGBA", "CMYK", "P", "I;16")),
    *(("webp", mode) for mode in ("RGB", "RGBA")),
    ("pgm", "L"),
    ("ppm", "RGB"),
    *(("jpg", mode) for mode in ("L", "RGB", "CMYK")),
]


@pytest.mark.parametrize(("suffix", "mode"), FILES)
def test_edited_files_keep_mode_size_depth_and_other_pixels(
    tmp_path: Path, suffix: str, mode: str
) -> None:
    options: dict[str, Any] = {"lossless": True} if suffix == "webp" else {}
    picture(mode).save(tmp_path / f"in.{suffix}", **options)
    photo = read_photo(tmp_path / f"in.{suffix}")
    edited, changed = change(photo)
    np.testing.assert_array_equal(edited.pixels[~changed], photo.pixels[~changed])
    assert (edited.pixels[changed] != photo.pixels[changed]).any()
    if mode in ("LA", "RGBA"):
        np.testing.assert_array_equal(edited.pixels[..., -1], photo.pixels[..., -1])

    notes = save_photo(edited, tmp_path / f"out.{suffix}", edited=True)
    saved = read_photo(tmp_path / f"out.{suffix}")
    assert (saved.mode, saved.pixels.dtype, saved.pixels.shape) == (
        photo.mode,
        photo.pixels.dtype,
        photo.pixels.shape,
    )
    if suffix == "jpg":
        assert np.abs(saved.pixels[28:].astype(int) - photo.pixels[28:]).mean() < 1
    else:
        np.testing.assert_array_equal(saved.rgb(), edited.rgb())
    if suffix in ("pgm", "ppm"):
        assert notes == ("PGM and PPM hold nothing but pixels: all metadata were left out",)
    else:
        assert notes == ()
        assert DIGITAL_SOURCE_TYPE.encode() in (saved.metadata.xmp or b"")


@pytest.mark.parametrize(("suffix", "channels"), [("png", 3), ("png", 4), ("tiff", 3), ("tiff", 4)])
def test_sixteen_bit_colour_survives(tmp_path: Path, suffix: str, channels: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 65536, (SIZE, 60, channels), np.uint16)
    cv2.imwrite(str(tmp_path / f"in.{suffix}"), pixels)
    photo = read_photo(tmp_path / f"in.{suffix}")
    assert photo.mode == ("RGB" if channels == 3 else "RGBA")
    np.testing.assert_array_equal(photo.pixels[..., :3], pixels[..., 2::-1])
    np.testing.assert_allclose(photo.rgb()[0, 0], pixels[0, 0, 2::-1] / 65535, rtol=1e-6)
    edited, changed = change(photo)
    np.testing.assert_array_equal(edited.pixels[~changed], photo.pixels[~changed])
    assert save_photo(edited, tmp_path / f"out.{suffix}", edited=True) == ()
    saved = read_photo(tmp_path / f"out.{suffix}")
    np.testing.assert_array_equal(saved.pixels, edited.pixels)
    assert DIGITAL_SOURCE_TYPE.encode() in (saved.metadata.xmp or b"")


@pytest.mark.parametrize(("suffix", "mode"), FILES)
def test_own_colours_change_nothing(tmp_path: Path, suffix: str, mode: str) -> None:
    path = tmp_path / f"in.{suffix}"
    picture(mode).save(path)
    photo = read_photo(path)
    everywhere = np.ones((photo.height, photo.width), np.bool_)
    assert photo.with_rgb(photo.rgb(), everywhere) is photo
    assert save_photo(photo, tmp_path / f"out.{suffix}", edited=False) == ()
    assert (tmp_path / f"out.{suffix}").read_bytes() == path.read_bytes()


def test_cmyk_takes_any_colour_exactly(tmp_path: Path) -> None:
    picture("CMYK").save(tmp_path / "in.tif")
    photo = read_photo(tmp_path / "in.tif")
    wanted = np.random.default_rng(1).random((photo.height, photo.width, 3), np.float32)
    found = photo.with_rgb(wanted, np.ones(wanted.shape[:2], np.bool_)).rgb()
    assert np.abs(found - wanted).max() < 1.5 / 255


def test_palette_takes_the_nearest_colour_and_says_so(tmp_path: Path) -> None:
    picture("P").save(tmp_path / "in.png")
    photo = read_photo(tmp_path / "in.png")
    edited, _ = change(photo)
    assert edited.notes == (
        f"edited pixels take the nearest of the photo's {len_of(photo)} colours",
    )


def len_of(photo: Photo) -> int:
    assert photo.palette is not None
    return len(photo.palette)


def test_transparent_pixels_stay(tmp_path: Path) -> None:
    image = picture("P")
    image.save(tmp_path / "in.png", transparency=bytes([0] * 32 + [255] * 32))
    photo = read_photo(tmp_path / "in.png")
    assert photo.palette is not None
    white = np.ones((photo.height, photo.width, 3), np.float32)
    edited = photo.with_rgb(white, np.ones(white.shape[:2], np.bool_))
    hidden = photo.palette[photo.pixels, 3] == 0
    assert hidden.any()
    np.testing.assert_array_equal(edited.pixels[hidden], photo.pixels[hidden])
    assert (photo.palette[edited.pixels[~hidden], 3] == 255).all()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
def test_orientation_is_applied_and_reset(tmp_path: Path, suffix: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[274], exif[271] = orientation, "Maker"
    picture("RGB").save(tmp_path / f"in.{suffix}", exif=exif)
    photo = read_photo(tmp_path / f"in.{suffix}")
    with Image.open(tmp_path / f"in.{suffix}") as image:
        turns = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}
        upright = image.copy()
        if orientation > 1:
            upright = upright.transpose(Image.Transpose(turns[orientation]))
    np.testing.assert_array_equal(photo.pixels, np.asarray(upright))
    save_photo(photo, tmp_path / f"out.{suffix}", edited=False)
    with Image.open(tmp_path / f"out.{suffix}") as saved:
        assert saved.getexif()[274] == 1
        assert saved.getexif()[271] == "Maker"
        assert saved.size == upright.size
        if suffix in ("png", "tif"):
            np.testing.assert_array_equal(np.asarray(saved), photo.pixels)


def test_shared_photos_come_back_as_they_were(shared: Path, tmp_path: Path) -> None:
    for path in sorted((shared / "data/photos").rglob("*.*")):
        if path.suffix == ".md" or "huge" in path.name:
            continue
        photo = read_photo(path)
        assert photo.notes == ()
        edited, changed = change(photo)
        np.testing.assert_array_equal(edited.pixels[~changed], photo.pixels[~changed])
        save_photo(photo, tmp_path / path.name, edited=False)
        saved = read_photo(tmp_path / path.name)
        assert saved.metadata == photo.metadata
        turned = photo.encoded is None
        difference = np.abs(saved.pixels.astype(int) - photo.pixels).mean()
        assert difference < 1 if turned else difference == 0


def test_a_photo_of_61_megapixels_opens(shared: Path) -> None:
    photo = read_photo(shared / "data/photos/derived/huge_6400x9600.jpg")
    assert (photo.width, photo.height) == (6400, 9600)


def test_what_another_kind_cannot_carry_is_said(tmp_path: Path) -> None:
    picture("RGBA").save(tmp_path / "in.png")
    notes = save_photo(read_photo(tmp_path / "in.png"), tmp_path / "out.jpg", edited=True)
    assert notes == ("transparency was laid on white: JPEG holds none",)
    picture("I;16").save(tmp_path / "deep.png")
    notes = save_photo(read_photo(tmp_path / "deep.png"), tmp_path / "deep.jpg", edited=True)
    assert notes == ("16 bits per channel were rounded to the 8 that this file holds",)
    picture("CMYK").save(tmp_path / "ink.tif")
    notes = save_photo(read_photo(tmp_path / "ink.tif"), tmp_path / "ink.png", edited=True)
    assert notes == ("CMYK was converted to RGB, and its ink profile left out: PNG holds no inks",)
    picture("P").save(tmp_path / "palette.png")
    notes = save_photo(read_photo(tmp_path / "palette.png"), tmp_path / "p.webp", edited=True)
    assert notes == ("the palette was replaced by full colour, which this kind of file needs",)


def test_reading_says_what_it_converted(tmp_path: Path) -> None:
    picture("1").save(tmp_path / "bits.png")
    assert read_photo(tmp_path / "bits.png").notes == ("1 was converted to L",)
    picture("RGB").save(tmp_path / "key.png", transparency=(0, 0, 255))
    photo = read_photo(tmp_path / "key.png")
    assert photo.mode == "RGBA"
    assert photo.notes == (
        "the transparent colour was converted to an alpha channel (RGB to RGBA)",
    )
    frames = [picture("RGB"), picture("RGB").rotate(180)]
    frames[0].save(tmp_path / "two.tif", save_all=True, append_images=frames[1:])
    assert read_photo(tmp_path / "two.tif").notes == ("the file holds 2 frames: the first is used",)


def cut(path: Path) -> None:
    picture("RGB").resize((200, 200)).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif", "ppm"])
def test_truncated_files(tmp_path: Path, suffix: str) -> None:
    cut(tmp_path / f"cut.{suffix}")
    with pytest.raises((BrokenPhotoError, NotAPhotoError), match=f"cut.{suffix}"):
        read_photo(tmp_path / f"cut.{suffix}")


def test_truncated_deep_png(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 65536, (64, 64, 3), np.uint16)
    cv2.imwrite(str(tmp_path / "in.png"), pixels)
    (tmp_path / "cut.png").write_bytes((tmp_path / "in.png").read_bytes()[:9000])
    with pytest.raises(BrokenPhotoError, match=r"cut short or damaged .*: get a complete copy"):
        read_photo(tmp_path / "cut.png")


def write_text(path: Path) -> None:
    path.write_text("not a picture")


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (None, PhotoNotFoundError, "there is no file .*: check its name and folder"),
        (Path.mkdir, PhotoNotFoundError, "is a folder: name a photo in it"),
        (os.mkfifo, PhotoNotFoundError, "is a device, not a file"),
        (write_text, NotAPhotoError, "is not a photo that can be read: use a JPEG"),
        (Path.touch, NotAPhotoError, "is empty: use a JPEG"),
    ],
)
def test_files_that_are_no_photos(
    tmp_path: Path, make: Callable[[Path], None] | None, error: type[Exception], message: str
) -> None:
    path = tmp_path / "x.jpg"
    if make is not None:
        make(path)
    with pytest.raises(error, match=message):
        read_photo(path)


def test_numbers_that_are_no_colours(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((8, 8), np.float32)).save(tmp_path / "x.tif")
    with pytest.raises(NotAPhotoError, match="mode F, which is not edited: convert it to 8 or 16"):
        read_photo(tmp_path / "x.tif")


def test_too_many_pixels(tmp_path: Path) -> None:
    picture("RGB").save(tmp_path / "x.png")
    with pytest.raises(PhotoTooLargeError, match=r"56 x 48 pixels, more than the limit .*: scale"):
        read_photo(tmp_path / "x.png", max_pixels=2687)
    assert read_photo(tmp_path / "x.png", max_pixels=2688).width == 56
    (tmp_path / "bomb.pgm").write_bytes(b"P5 60000 60000 255\n" + bytes(100))
    with pytest.raises(
        PhotoTooLargeError, match="too many pixels, more than the limit of 178 mill"
    ):
        read_photo(tmp_path / "bomb.pgm")


def test_outputs_that_cannot_be(tmp_path: Path) -> None:
    picture("RGB").save(tmp_path / "in.png")
    photo = read_photo(tmp_path / "in.png")
    before = (tmp_path / "in.png").read_bytes()
    for name, message in [
        ("out.doc", "cannot tell what kind of file .*out.doc should be: end its name in .jpg"),
        ("out", "cannot tell what kind"),
        ("no/out.png", "there is no folder .*no to write out.png to: make it first"),
        ("in.png", "exists already: choose another output, or allow it with --overwrite"),
    ]:
        with pytest.raises(OutputError, match=message):
            save_photo(photo, tmp_path / name, edited=True)
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(OutputError, match="is a folder: name a file in it"):
        check_output(tmp_path / "folder.png", overwrite=True)
    with pytest.raises(OutputError, match="is the input photo itself: choose another output"):
        check_output(tmp_path / "in.png", tmp_path / "in.png")
    assert (tmp_path / "in.png").read_bytes() == before
    save_photo(photo, tmp_path / "in.png", edited=True, overwrite=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["folder.png", "in.png"]


def test_a_failed_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture("RGB").save(tmp_path / "in.png")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match=r"cannot be written .No space left on device."):
        save_photo(read_photo(tmp_path / "in.png"), tmp_path / "out.png", edited=True)
    assert [p.name for p in tmp_path.iterdir()] == ["in.png"]


def test_shapes_must_fit(tmp_path: Path) -> None:
    picture("RGB").save(tmp_path / "in.png")
    with pytest.raises(ValueError, match="do not fit a photo of 56 x 48 pixels"):
        read_photo(tmp_path / "in.png").with_rgb(
            np.zeros((4, 4, 3), np.float32), np.zeros((4, 4), np.bool_)
        )


def test_sixteen_bit_ppm_keeps_its_depth(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 65536, (5, 7, 3), np.uint16)
    path = tmp_path / "deep.ppm"
    path.write_bytes(b"P6\n# a comment\n7 5\n65535\n" + pixels.astype(">u2").tobytes())
    photo = read_photo(path)
    assert photo.mode == "RGB"
    np.testing.assert_array_equal(photo.pixels, pixels)
    path.write_bytes(b"P6 7 5 1023\n" + (pixels >> 6).astype(">u2").tobytes())
    with pytest.raises(NotAPhotoError, match="counts to 1023 per channel"):
        read_photo(path)
