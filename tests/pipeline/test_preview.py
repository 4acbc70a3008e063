"""The composition on a reduced copy."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from editing.spec import DragSpec
from pipeline.align import Alignment
from pipeline.bands import bounds
from pipeline.composite import Composite, composite
from pipeline.photo import Photo, read_photo
from pipeline.preview import QUICK, Preview, begin_preview, begin_previews, compose_preview
from pipeline.transfer import CompositeOptions

POINT = torch.tensor([[16.0, 16.0]])
SPEC = DragSpec(handles=POINT, targets=POINT + 2, resolution=32)


def renderings() -> tuple[torch.Tensor, torch.Tensor]:
    """A smooth picture and the same with its middle pushed by two pixels of the crop."""
    torch.manual_seed(0)
    picture = F.interpolate(torch.rand(1, 3, 12, 12), size=(32, 32), mode="bicubic") * 1.6 - 0.8
    axis = torch.linspace(-1, 1, 33)[:-1] + 1 / 32
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    near = torch.exp(-8 * (x**2 + y**2)) * 4 / 32
    grid = torch.stack((x - near, y - near), dim=-1)[None]
    return picture, F.grid_sample(picture, grid, align_corners=False, padding_mode="border")


def in_full(photo: Photo, square: Alignment, options: CompositeOptions | None = None) -> Composite:
    """The composition of the renderings into the photo itself."""
    render, edited = renderings()
    return composite(
        photo,
        square,
        render,
        edited,
        handles=SPEC.handles,
        finals=SPEC.targets,
        options=options,
    )


@pytest.fixture
def photo(portrait: Path) -> Photo:
    return read_photo(portrait)


def begin(photo: Photo, size: float, render: torch.Tensor) -> tuple[Alignment, Preview]:
    square = Alignment(centre=(250.0, 240.0), size=size, angle=0.1, resolution=32)
    return square, begin_preview(photo, square, render)


def test_a_small_face_is_composed_as_in_the_end(photo: Photo) -> None:
    render, edited = renderings()
    square, preview = begin(photo, 300.0, render)
    assert preview.factor == 1
    found = compose_preview(preview, edited, SPEC, SPEC.targets)
    assert found is not None
    x0, y0, x1, y1 = preview.to_photo(found[0])
    whole = in_full(photo, square, QUICK)
    assert bounds(whole.changed) == (x0, y0, x1, y1)
    # Another origin rounds coordinates otherwise.
    away = found[1].astype(int) - whole.photo.pixels[y0:y1, x0:x1]
    assert np.abs(away).max() <= 1
    # What a frame saves hardly shows.
    final = in_full(photo, square)
    moved = np.abs(final.photo.pixels.astype(int) - photo.pixels)[final.changed].mean()
    away = np.abs(final.photo.pixels.astype(int) - whole.photo.pixels)[final.changed]
    assert away.mean() < moved / 2


def test_a_large_face_is_reduced_by_a_whole_factor(photo: Photo) -> None:
    render, edited = renderings()
    large = np.repeat(np.repeat(photo.pixels, 5, axis=0), 5, axis=1)
    square = Alignment(centre=(1250.0, 1200.0), size=1500.0, angle=0.1, resolution=32)
    whole = Photo(
        pixels=large, mode="RGB", palette=None, kind="PNG", metadata=photo.metadata, sha256=""
    )
    preview = begin_preview(whole, square, render)
    assert preview.factor == 3
    found = compose_preview(preview, edited, SPEC, SPEC.targets)
    assert found is not None
    x0, y0, x1, y1 = preview.to_photo(found[0])
    assert (x1 - x0, y1 - y0) == (3 * found[1].shape[1], 3 * found[1].shape[0])
    composed = in_full(whole, square, QUICK)
    shown = composed.photo.pixels[y0:y1, x0:x1].reshape(*found[1].shape[:1], 3, -1, 3, 3)
    assert np.abs(shown.mean(axis=(1, 3)) - found[1]).mean() < 2


def test_what_changes_nothing_shows_nothing(photo: Photo) -> None:
    render, _ = renderings()
    _, preview = begin(photo, 300.0, render)
    assert compose_preview(preview, render, SPEC, SPEC.handles) is None


def test_a_painted_mask_is_honoured(photo: Photo) -> None:
    render, edited = renderings()
    _, preview = begin(photo, 300.0, render)
    mask = np.zeros((photo.height, photo.width), np.uint8)
    mask[:, :250] = 255
    found = compose_preview(preview.with_painted(mask), edited, SPEC, SPEC.targets)
    assert found is not None
    assert preview.to_photo(found[0])[2] == 250
    assert preview.with_painted(None).painted is None


def test_edits_that_may_change_nearly_all_get_a_coarse_copy(photo: Photo) -> None:
    square = Alignment(centre=(250.0, 240.0), size=900.0, angle=0.0, resolution=32)
    previews = begin_previews(photo, square, renderings()[0])
    assert (previews.fine.factor, previews.coarse.factor) == (2, 3)
    mask = torch.zeros(1, 1, 32, 32)
    mask[..., 8:20, 8:20] = 1
    assert previews.of(SPEC) is previews.coarse
    assert previews.of(replace(SPEC, mask=mask)) is previews.fine
    mask[..., 28, 30] = 1
    assert previews.of(replace(SPEC, mask=mask)) is previews.coarse


def test_bounds() -> None:
    changed = np.zeros((5, 7), np.bool_)
    assert bounds(changed) is None
    changed[1, 2] = changed[3, 5] = True
    assert bounds(changed) == (2, 1, 6, 4)
