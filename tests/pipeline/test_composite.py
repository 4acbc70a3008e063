"""Composition: identities, the photo's own pixels that travel, and what must never change."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from pipeline import bands, transfer
from pipeline import composite as composition
from pipeline.align import Alignment, crop_square
from pipeline.composite import composite
from pipeline.correspondence import Array, blur, warp
from pipeline.errors import PipelineError
from pipeline.photo import Photo, read_photo

SIDE = 64
SQUARE = Alignment(centre=(150.0, 130.0), size=192.0, angle=0.0, resolution=SIDE)
Pixels = NDArray[np.uint8] | NDArray[np.uint16]


def scene(seed: int = 0, height: int = 260, width: int = 300) -> Array:
    """A photo-like picture, [height, width, 3] in [0, 1]: shapes at all scales and fine grain."""
    random = np.random.default_rng(seed)
    layers = [
        scale * blur(random.standard_normal((height, width, 3)).astype(np.float32), scale)
        for scale in (4.0, 9.0, 24.0)
    ]
    grain = 0.04 * blur(random.standard_normal((height, width)).astype(np.float32), 0.6)[..., None]
    return np.clip(0.5 + 0.15 * sum(layers[1:], layers[0]) + grain, 0.02, 0.98).astype(np.float32)


def photo_of(path: Path, rgb: Array, kind: str = "RGB") -> Photo:
    """Write the picture as a PNG of that kind and read it back as the command line would."""
    bgr = rgb[..., ::-1]
    pixels: Pixels = np.rint(bgr * 255).astype(np.uint8)
    if kind == "RGB16":
        pixels = np.rint(bgr * 65535).astype(np.uint16)
    elif kind in ("L", "L16"):
        depth, dtype = (255, np.uint8) if kind == "L" else (65535, np.uint16)
        pixels = np.rint(bgr.mean(axis=2) * depth).astype(dtype)
    elif kind == "RGBA":
        alpha = np.full((*pixels.shape[:2], 1), 200, np.uint8)
        alpha[::3] = 0
        pixels = np.concatenate([pixels, alpha], axis=2)
    file = path / f"{kind}.png"
    assert cv2.imwrite(str(file), pixels)
    return read_photo(file)


def rendering(photo: Photo, alignment: Alignment = SQUARE) -> Tensor:
    """The rendering of an inversion that is perfect up to a slight blur."""
    crop = crop_square(photo.rgb(), alignment).image
    return torch.nn.functional.avg_pool2d(
        torch.nn.functional.pad(crop, (1, 1, 1, 1), "replicate"), 3, 1
    )


def moved(image: Tensor, dx: float, dy: float, radius: float = 9) -> Tensor:
    """The picture's middle carried by (dx, dy) crop pixels, fading out with a Gaussian."""
    side = image.shape[-1]
    rows, columns = np.mgrid[:side, :side] + 0.5 - side / 2
    weight = np.exp(-(((rows**2 + columns**2) / radius**2) ** 2))
    flow = np.stack([-dx * weight, -dy * weight], axis=-1).astype(np.float32)
    pixels = warp(image[0].permute(1, 2, 0).numpy().copy(), flow)
    return torch.from_numpy(pixels).permute(2, 0, 1)[None].contiguous()


@pytest.mark.parametrize("kind", ["RGB", "RGB16", "L", "L16", "RGBA"])
def test_an_edit_that_changes_nothing_returns_the_photo_bit_for_bit(
    tmp_path: Path, kind: str
) -> None:
    photo = photo_of(tmp_path, scene(), kind)
    image = rendering(photo)
    done = composite(photo, SQUARE, image, image.clone())
    np.testing.assert_array_equal(done.photo.pixels, photo.pixels)
    assert done.report.changed_pixels == 0
    assert not done.changed.any()


@pytest.mark.parametrize("kind", ["RGB", "RGB16", "L", "L16", "RGBA"])
def test_every_mode_is_edited_in_its_own_depth(tmp_path: Path, kind: str) -> None:
    photo = photo_of(tmp_path, scene(), kind)
    image = rendering(photo)
    done = composite(photo, SQUARE, image, moved(image, 4, 0))
    after, before = done.photo.pixels, photo.pixels
    assert after.shape == before.shape
    assert after.dtype == before.dtype
    different = (after != before).reshape(*after.shape[:2], -1).any(axis=2)
    assert different.sum() > 1000
    assert not (different & ~done.changed).any()
    assert done.report.max_change_outside_mask == 0
    if kind == "RGBA":
        np.testing.assert_array_equal(after[..., 3], before[..., 3])


@settings(
    max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    seed=st.integers(0, 2**16),
    left=st.integers(2, 40),
    top=st.integers(2, 40),
    extent=st.integers(8, 30),
    angle=st.floats(-0.7, 0.7),
)
def test_outside_the_mask_any_edit_leaves_every_bit(
    tmp_path: Path, seed: int, left: int, top: int, extent: int, angle: float
) -> None:
    photo = photo_of(tmp_path, scene())
    square = Alignment(centre=(150.0, 130.0), size=170.0, angle=angle, resolution=SIDE)
    image = rendering(photo, square)
    random = torch.Generator().manual_seed(seed)
    edited = moved(image, 5, -3, radius=30) + 0.6 * torch.randn(image.shape, generator=random)
    mask = torch.zeros(SIDE, SIDE)
    mask[top : top + extent, left : left + extent] = 1
    done = composite(photo, square, image, edited.clamp(-1, 1), mask)
    rows, columns = np.mgrid[: photo.height, : photo.width] + 0.5
    x, y = np.moveaxis(square.to_crop(np.stack([columns, rows], axis=-1)), -1, 0)
    outside = (x < left) | (x > left + extent) | (y < top) | (y > top + extent)
    np.testing.assert_array_equal(done.photo.pixels[outside], photo.pixels[outside])
    assert done.report.max_change_outside_mask == 0
    assert np.isfinite(done.report.mean_flow)


def test_a_grey_mask_lets_skin_travel_part_of_the_way(tmp_path: Path) -> None:
    photo = photo_of(tmp_path, scene())
    image = rendering(photo)
    edited = moved(image, 4, 0)
    white = torch.ones(SIDE, SIDE)
    far, half = (composite(photo, SQUARE, image, edited, white * k).report for k in (1.0, 0.5))
    assert half.max_flow == pytest.approx(far.max_flow / 2, rel=0.05)
    assert half.max_change_outside_mask == 0


def test_the_photos_own_grain_travels_and_stays_sharp(tmp_path: Path) -> None:
    photo = photo_of(tmp_path, scene(3))
    image = rendering(photo)
    done = composite(photo, SQUARE, image, moved(image, 4, 2, radius=16))
    before, after = photo.rgb(), done.photo.rgb()
    core = (slice(118, 142), slice(138, 162))
    dx, dy = 12, 6
    source = before[118 - dy : 142 - dy, 138 - dx : 162 - dx]
    fine = [picture - blur(picture, 2) for picture in (after[core].copy(), source.copy())]
    agreement = np.corrcoef(fine[0].ravel(), fine[1].ravel())[0, 1]
    stay = np.corrcoef(after[core].ravel(), before[core].ravel())[0, 1]
    assert np.abs(after[core] - source).mean() < 0.03
    assert agreement > 0.5
    assert agreement > stay
    sharpness = [
        np.abs(cv2.Laplacian(picture.mean(axis=2), cv2.CV_32F)) for picture in (before, after)
    ]
    assert sharpness[1][done.changed].mean() > 0.9 * sharpness[0][done.changed].mean()


def test_errors_of_the_inversion_cancel(tmp_path: Path) -> None:
    photo = photo_of(tmp_path, scene(4))
    image = 0.8 * rendering(photo)
    edited = moved(image, 4, 0)
    ramp = torch.linspace(-0.08, 0.08, SIDE)[None, None, None]
    error = torch.tensor([0.08, -0.06, 0.04])[None, :, None, None] + ramp
    plain = composite(photo, SQUARE, image, edited).photo.rgb()
    wrong = composite(photo, SQUARE, image + error, edited + error).photo.rgb()
    assert np.abs(plain - photo.rgb()).max() > 0.1
    assert np.abs(plain - wrong).mean() < 0.002


def test_slight_drift_of_colour_changes_nothing(tmp_path: Path) -> None:
    photo = photo_of(tmp_path, scene(5))
    image = 0.8 * rendering(photo)
    done = composite(photo, SQUARE, image, image * 1.08 + 0.2)
    assert np.abs(done.photo.rgb() - photo.rgb()).max() < 0.02


def test_colour_that_no_motion_explains_comes_from_the_generator(tmp_path: Path) -> None:
    photo = photo_of(tmp_path, 0.3 + 0.2 * scene(6))
    image = rendering(photo)
    edited = image.clone()
    edited[..., 28:36, 26:38] = 0.9
    done = composite(photo, SQUARE, image, edited)
    after = done.photo.rgb()
    assert after[124:136, 142:158].mean() > 0.8
    assert np.abs(after - photo.rgb())[:90].max() < 0.01
    assert done.report.gate_share > 0
    assert done.report.uncovered_share > 0


def test_what_is_covered_is_drawn_by_the_generator(tmp_path: Path) -> None:
    picture = np.full((260, 300, 3), 0.6, np.float32)
    picture[121:139, 138:162] = 0.1  # an iris that the rendering shows much fainter
    photo = photo_of(tmp_path, picture)
    image, lids = torch.full((1, 3, SIDE, SIDE), 0.2), torch.zeros(1, 1, SIDE, SIDE)
    edited = image.clone()
    image[..., 29:35, 28:36] = 0.14
    lids[..., 26:38, 24:40] = 1
    squinting = composite(photo, SQUARE, image, edited).photo.rgb()
    shut = composite(photo, SQUARE, image, edited, covered=lids).photo.rgb()
    iris = np.s_[124:136, 142:158]
    assert squinting[iris].mean() < 0.2
    assert np.abs(shut[iris] - 0.6).max() < 0.02
    assert np.array_equal(shut[:90], photo.rgb()[:90])


def test_nothing_is_covered_where_the_rendering_stays(tmp_path: Path) -> None:
    photo = photo_of(tmp_path, scene(8))
    image = 0.8 * rendering(photo)
    edited = moved(image, 4, 0)
    away = torch.zeros(1, 1, SIDE, SIDE)
    away[..., 50:60, 4:60] = 1
    plain, covered = (
        composite(photo, SQUARE, image, edited, covered=part).photo.pixels for part in (None, away)
    )
    assert np.array_equal(plain, covered)


@pytest.mark.parametrize("centre", [(20.0, 130.0), (295.0, 250.0)])
def test_a_face_cut_by_the_photos_border_works(tmp_path: Path, centre: tuple[float, float]) -> None:
    photo = photo_of(tmp_path, scene(7))
    square = Alignment(centre=centre, size=160.0, angle=0.2, resolution=SIDE)
    image = rendering(photo, square)
    done = composite(photo, square, image, moved(image, 5, 5, radius=24))
    assert done.report.changed_pixels > 0
    assert done.report.max_change_outside_mask == 0
    border = np.ones_like(done.changed)
    border[1:-1, 1:-1] = False
    assert not done.changed[border].any()


def test_one_colour_in_gray_stays_gray(tmp_path: Path) -> None:
    photo = photo_of(tmp_path, np.repeat(scene(8).mean(axis=2, keepdims=True), 3, axis=2), "L")
    image = rendering(photo)
    edited = moved(image, 3, 3)
    edited[:, 0, 28:36, 28:36] = 1
    assert composite(photo, SQUARE, image, edited).photo.pixels.ndim == photo.pixels.ndim


def test_what_cannot_be_composed_is_refused_in_one_line(tmp_path: Path) -> None:
    photo = photo_of(tmp_path, scene())
    image = rendering(photo)
    with pytest.raises(PipelineError, match="mask is empty"):
        composite(photo, SQUARE, image, moved(image, 3, 0), torch.zeros(SIDE, SIDE))
    with pytest.raises(PipelineError, match="square over the crop"):
        composite(photo, SQUARE, image, moved(image, 3, 0), torch.ones(SIDE, 9))
    with pytest.raises(PipelineError, match="NaN or infinity"):
        composite(photo, SQUARE, image, image * torch.nan)
    with pytest.raises(PipelineError, match="same generator"):
        composite(photo, SQUARE, image, image[..., :32, :32])
    with pytest.raises(PipelineError, match=r"\[1, 3, r, r\]"):
        composite(photo, SQUARE, image[0], image)


@pytest.mark.parametrize("size", [100.0, 190.0, 250.0])
def test_bands_of_any_height_give_the_same_photo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: float
) -> None:
    photo = photo_of(tmp_path, scene(9))
    square = Alignment(centre=(151.0, 128.0), size=size, angle=0.3, resolution=SIDE)
    image = rendering(photo, square)
    edited = moved(image, 4, 3, radius=16)
    edited[..., 28:36, 26:38] = 0.9
    monkeypatch.setattr(composition, "BAND_PIXELS", photo.pixels.size)
    whole = composite(photo, square, image, edited)
    monkeypatch.setattr(composition, "BAND_PIXELS", 2000)
    banded = composite(photo, square, image, edited)
    difference = np.abs(banded.photo.pixels.astype(int) - whole.photo.pixels.astype(int))
    assert whole.report.uncovered_share > 0
    assert difference.max() <= 1
    assert (difference > 0).mean() < 1e-3
    assert (banded.changed != whole.changed).mean() < 1e-4
    np.testing.assert_array_equal(
        banded.photo.pixels[~banded.changed], photo.pixels[~banded.changed]
    )


def test_a_huge_photo_is_never_held_in_floating_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rgb = np.asarray(cv2.resize(scene(10), (1500, 1300), interpolation=cv2.INTER_CUBIC))
    photo = photo_of(tmp_path, rgb.clip(0, 1).astype(np.float32))
    square = Alignment(centre=(750.0, 650.0), size=1100.0, angle=0.0, resolution=SIDE)
    image = rendering(photo, square)
    read: list[int] = []
    rgb_of = Photo.rgb

    def noting(part: Photo) -> Array:
        read.append(part.width * part.height)
        return rgb_of(part)

    monkeypatch.setattr(Photo, "rgb", noting)
    monkeypatch.setattr(composition, "BAND_PIXELS", 50_000)
    done = composite(photo, square, image, moved(image, 4, 0, radius=16))
    assert done.report.changed_pixels > 200_000
    assert sum(read) > 200_000
    assert max(read) < 0.25 * photo.width * photo.height


@pytest.mark.parametrize("radius", [3.0, 9.0, 30.0])
def test_grain_of_a_coarse_blur_is_found_on_a_smaller_picture(radius: float) -> None:
    picture = np.tile(scene(11), (2, 2, 1))
    fast = bands._detail(picture, radius)  # pyright: ignore[reportPrivateUsage]
    error = np.abs(fast - (picture - blur(picture, radius)))
    inner = slice(round(4 * radius), -round(4 * radius))
    assert error[inner, inner].max() < 0.004


def test_a_broad_change_of_colour_is_new_only_with_a_peak() -> None:
    height = np.zeros((40, 40), np.float32)
    height[5:12, 5:12], height[25:35, 25:35] = 0.08, 0.08
    height[30, 30] = 0.3
    kept = transfer._around_peaks(height, 0.04, (0.15, 0.2))  # pyright: ignore[reportPrivateUsage]
    assert not kept[:20].any()
    np.testing.assert_array_equal(kept[20:], height[20:])


def test_a_patch_is_all_that_a_composition_changes(tmp_path: Path) -> None:
    photo = photo_of(tmp_path, scene())
    image = rendering(photo)
    edited = moved(image, 4, 2, radius=12)
    painted = np.zeros((photo.height, photo.width), np.uint8)
    painted[: photo.height // 2] = 255
    composer = composition.begin_composition(photo, SQUARE, image)
    patch = composer.compose(edited, painted=painted)
    assert patch is not None
    done = composition.apply_patch(photo, patch)
    x0, y0, x1, y1 = patch.window
    np.testing.assert_array_equal(done.photo.pixels[y0:y1, x0:x1], patch.part.pixels)
    differs = (done.photo.pixels != photo.pixels).reshape(photo.height, photo.width, -1).any(axis=2)
    assert differs.any()
    assert not (differs & ~(done.changed & (painted > 0))).any()
    again = composite(photo, SQUARE, image, edited, painted=painted)
    np.testing.assert_array_equal(again.photo.pixels, done.photo.pixels)
    assert composer.compose(image.clone()) is None
