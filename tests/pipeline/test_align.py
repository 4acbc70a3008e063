"""The FFHQ square: exact inverse, half-pixel conventions, no aliasing, honest padding."""

import json
import zipfile
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from pipeline.align import Alignment, align, crop_square, crop_to_photo
from pipeline.errors import AlignmentError

alignments = st.builds(
    Alignment,
    centre=st.tuples(st.floats(-500, 5000), st.floats(-500, 5000)),
    size=st.floats(16, 4000),
    angle=st.floats(-3.2, 3.2),
    resolution=st.sampled_from([32, 128, 256, 1024]),
)


def smooth(x: NDArray[np.float64], y: NDArray[np.float64], period: float) -> NDArray[np.float32]:
    red = 0.5 + 0.4 * np.sin(2 * np.pi * x / period)
    green = 0.5 + 0.4 * np.cos(2 * np.pi * y / period)
    return np.stack([red, green, red * green], -1).astype(np.float32)


def centres(width: int, height: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    y, x = np.indices((height, width)).astype(np.float64) + 0.5
    return x, y


def level_face() -> NDArray[np.float64]:
    landmarks = np.zeros((68, 2))
    landmarks[36:42], landmarks[42:48] = (80, 100), (120, 100)
    landmarks[48], landmarks[54] = (90, 140), (110, 140)
    return landmarks


@given(alignments, st.lists(st.tuples(st.floats(-1e4, 1e4), st.floats(-1e4, 1e4)), min_size=1))
@settings(deadline=None)
def test_to_photo_inverts_to_crop(alignment: Alignment, points: list[tuple[float, float]]) -> None:
    np.testing.assert_allclose(alignment.to_photo(alignment.to_crop(points)), points, atol=1e-7)


@given(alignments)
@settings(deadline=None)
def test_matrix_is_to_photo(alignment: Alignment) -> None:
    by_matrix = alignment.matrix @ [3.0, 7.0, 1.0]
    np.testing.assert_allclose(by_matrix, alignment.to_photo([3.0, 7.0]), atol=1e-8)


def test_square_of_a_level_face_follows_ffhq() -> None:
    square = align(level_face(), 256)
    assert square == Alignment(centre=(100.0, 104.0), size=160.0, angle=0.0, resolution=256)


@given(st.floats(-3, 3), st.floats(0.2, 5))
@settings(deadline=None)
def test_square_turns_and_grows_with_the_face(angle: float, growth: float) -> None:
    turn = growth * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    square = align(level_face() @ turn, 64)
    np.testing.assert_allclose(square.centre, np.array([100, 104]) @ turn, atol=1e-9)
    assert square.size == pytest.approx(160 * growth)
    assert square.angle == pytest.approx(angle)


def test_portraits_are_already_aligned(shared: Path) -> None:
    squares: list[Alignment] = []
    with zipfile.ZipFile(shared / "data/portraits/portraits-256.zip") as archive:
        index = json.loads(archive.read("index.json"))
        entries = index if isinstance(index, list) else index["images"]
        squares = [align(entry["landmarks68"], 256) for entry in entries[:200]]
    sizes = np.array([square.size for square in squares])
    offsets = np.array([square.centre for square in squares]) - 128
    assert np.median(sizes) == pytest.approx(256, rel=0.08)
    assert np.abs(np.median(offsets, axis=0)).max() < 8
    assert abs(np.median([square.angle for square in squares])) < 0.03


@pytest.mark.parametrize("size", [60.0, 128.0, 200.0, 500.0])
def test_crop_samples_the_photo_where_it_says(size: float) -> None:
    x, y = centres(700, 720)
    square = Alignment(centre=(351.3, 349.8), size=size, angle=0.4, resolution=128)
    period = 16 * max(square.scale, 1.0) * 2
    crop = crop_square(smooth(x, y, period), square)
    at = square.to_photo(np.stack(centres(128, 128), -1))
    expected = smooth(at[..., 0], at[..., 1], period)
    found = (crop.image[0].permute(1, 2, 0).numpy() + 1) / 2
    assert crop.image.shape == (1, 3, 128, 128)
    assert bool((crop.valid == 1).all())
    assert np.abs(found - expected).max() < 0.01


def test_fine_detail_turns_gray_instead_of_aliasing() -> None:
    """A zone plate: beyond the crop's own Nyquist frequency nothing may be left."""
    square = Alignment(centre=(600.3, 599.7), size=1000.0, angle=0.3, resolution=128)
    x, y = centres(1200, 1200)
    chirp = 0.5 / 710  # cycles per photo pixel per pixel of radius
    radius = np.hypot(x - square.centre[0], y - square.centre[1])
    plate = (0.5 + 0.5 * np.cos(np.pi * chirp * radius**2)).astype(np.float32)
    crop = crop_square(np.repeat(plate[..., None], 3, 2), square).image[0, 0].numpy() / 2
    at = square.to_photo(np.stack(centres(128, 128), -1))
    frequency = chirp * np.hypot(*np.moveaxis(at - square.centre, -1, 0)) * square.scale
    truth = 0.5 * np.cos(np.pi * (frequency / square.scale) ** 2 / chirp)
    low, high = frequency < 0.2, frequency > 1
    assert (crop[low] * truth[low]).sum() / (truth[low] ** 2).sum() == pytest.approx(1, abs=0.02)
    assert crop[high].std() < 0.01


def test_only_pixels_wholly_inside_the_photo_are_valid() -> None:
    x, y = centres(200, 200)
    square = Alignment(centre=(30.0, 100.0), size=120.0, angle=0.25, resolution=64)
    crop = crop_square(smooth(x, y, 60), square)
    corner = np.array([[0, 0], [1, 0], [0, 1], [1, 1]])
    low = np.stack(np.meshgrid(np.arange(64), np.arange(64)), -1)
    corners = square.to_photo(low[:, :, None] + corner)
    inside = ((corners >= 0) & (corners <= 200)).all((-1, -2))
    np.testing.assert_array_equal(crop.valid[0, 0].numpy() > 0, inside)
    at = square.to_photo(low + 0.5)
    found = (crop.image[0].permute(1, 2, 0).numpy() + 1) / 2
    deep = inside & (at[..., 0] > 8)
    assert np.abs(found - smooth(at[..., 0], at[..., 1], 60))[deep].max() < 0.01


def test_one_channel_is_cut_as_it_is_among_three() -> None:
    rgb = np.random.default_rng(2).random((60, 90, 3), dtype=np.float32)
    beyond_the_edge = Alignment(centre=(20.0, 30.0), size=70.0, angle=0.4, resolution=32)
    three = crop_square(rgb, beyond_the_edge).image
    one = crop_square(np.ascontiguousarray(rgb[..., 1:2]), beyond_the_edge).image
    np.testing.assert_allclose(one.numpy(), three[:, 1:2].numpy(), atol=1e-6)


def test_padding_goes_on_from_the_edge_without_a_seam() -> None:
    x, y = centres(200, 200)
    square = Alignment(centre=(0.0, 100.0), size=100.0, angle=0.0, resolution=100)
    image = crop_square(smooth(x, y, 80), square).image[0].numpy()
    assert np.abs(image[:, :, 50] - image[:, :, 49]).max() < 0.05
    assert image[:, :, 0].std(axis=1).max() < image[:, :, 50].std(axis=1).max()


@pytest.mark.parametrize("size", [40.0, 100.0, 170.0])
def test_crop_and_back_is_the_photo(size: float) -> None:
    x, y = centres(256, 240)
    photo = smooth(x, y, 64)
    square = Alignment(centre=(120.2, 118.9), size=size, angle=-0.6, resolution=128)
    crop = (crop_square(photo, square).image[0].permute(1, 2, 0).numpy() + 1) / 2
    window = square.window(256, 240)
    x0, y0, x1, y1 = window
    back = crop_to_photo(crop.astype(np.float32), square, window)
    at = square.to_crop(np.stack([x, y], -1)[y0:y1, x0:x1])
    inner = ((at > 10) & (at < 118)).all(-1)
    assert back.shape == (y1 - y0, x1 - x0, 3)
    assert np.abs(back - photo[y0:y1, x0:x1])[inner].max() < 0.015


def test_a_mask_is_nothing_outside_the_crop() -> None:
    square = Alignment(centre=(100.0, 100.0), size=80.0, angle=np.pi / 4, resolution=32)
    mask = crop_to_photo(np.ones((32, 32), np.float32), square, square.window(200, 200))
    corner = np.array(square.window(200, 200)[:2])
    at = square.to_crop(np.stack(centres(mask.shape[1], mask.shape[0]), -1) + corner)
    assert mask.ndim == 2
    assert np.all(mask[((at < -3) | (at > 35)).any(-1)] == 0)
    assert np.all(np.abs(mask[((at > 3) & (at < 29)).all(-1)] - 1) < 1e-3)


@given(
    size=st.floats(20, 900),
    angle=st.floats(-3.2, 3.2),
    top=st.integers(-40, 340),
    rows=st.integers(9, 60),
)
@settings(deadline=None, max_examples=25)
def test_a_part_of_the_window_gets_the_same_values(
    size: float, angle: float, top: int, rows: int
) -> None:
    square = Alignment(centre=(150.3, 160.8), size=size, angle=angle, resolution=64)
    noise = np.random.default_rng(0).standard_normal((64, 64, 2)).astype(np.float32)
    # As smooth as flows and gates are.
    field = np.asarray(cv2.GaussianBlur(6 * noise, (0, 0), 2.0), np.float32)
    field[:3], field[-3:], field[:, :3], field[:, -3:] = 0, 0, 0, 0
    # OpenCV rounds where it reads to 1/32 pixel, along either axis, in either of the two.
    slope = max(float(np.abs(np.diff(field, axis=axis)).max()) for axis in (0, 1))
    whole = crop_to_photo(field, square, (-40, -40, 340, 400))
    part = crop_to_photo(field, square, (30, top, 200, top + rows))
    inner = slice(4, -4)
    expected = whole[top + 40 : top + rows + 40, 70:240]
    np.testing.assert_allclose(part[inner, inner], expected[inner, inner], atol=2 * slope / 32)


def test_window_is_clipped_to_the_photo() -> None:
    square = Alignment(centre=(10.0, 20.0), size=30.0, angle=0.0, resolution=32)
    assert square.window(20, 100) == (0, 5, 20, 35)


def test_errors_name_the_cause() -> None:
    with pytest.raises(AlignmentError, match=r"shape \(5, 2\): find the face again"):
        align(np.zeros((5, 2)), 256)
    with pytest.raises(AlignmentError, match="NaN or infinity"):
        align(np.full((68, 2), np.nan), 256)
    with pytest.raises(AlignmentError, match="no direction"):
        align(np.zeros((68, 2)), 256)
    with pytest.raises(AlignmentError, match="positive lengths"):
        Alignment(centre=(0.0, 0.0), size=0.0, angle=0.0, resolution=32)
    away = Alignment(centre=(900.0, 50.0), size=30.0, angle=0.0, resolution=32)
    with pytest.raises(AlignmentError, match="outside the photo of 100 x 80 pixels"):
        crop_square(np.zeros((80, 100, 3), np.float32), away)


def test_crop_shows_the_face(shared: Path) -> None:
    """A portrait put into a larger photo comes back out of it."""
    with zipfile.ZipFile(shared / "data/portraits/portraits-256.zip") as archive:
        name = next(name for name in archive.namelist() if name.endswith(".jpg"))
        face = np.asarray(Image.open(BytesIO(archive.read(name))).convert("RGB"), np.float32) / 255
    photo = np.full((400, 500, 3), 0.5, np.float32)
    photo[70:326, 120:376] = face
    square = Alignment(centre=(248.0, 198.0), size=256.0, angle=0.0, resolution=256)
    crop = (crop_square(photo, square).image[0].permute(1, 2, 0).numpy() + 1) / 2
    np.testing.assert_allclose(crop, face, atol=1e-5)
