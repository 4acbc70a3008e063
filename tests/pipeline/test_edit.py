"""From photo to photo: what the sentence promises."""

import shutil
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from editing.presets import parse_preset
from editing.spec import DragSpec
from pipeline.align import Alignment
from pipeline.edit import SessionPlace, edit_photo
from pipeline.errors import FaceError
from pipeline.faces import Face, find_faces
from pipeline.frames import compose_frames
from pipeline.models import Models, load_models
from pipeline.photo import Photo, read_photo
from pipeline.request import EditRequest, mask_to_crop
from pipeline.session import open_session
from pipeline.subject import choose_face

Step = TypeVar("Step")
SMILE = EditRequest(presets=(parse_preset("smile"),))


@pytest.fixture(scope="module")
def models(tiny_file: Path) -> Models:
    return load_models(str(tiny_file), device="cpu")


@pytest.fixture(scope="module")
def photo(portrait: Path) -> Photo:
    return read_photo(portrait)


def make_face(index: int, left: float, height: float) -> Face:
    rng = np.random.default_rng(index)
    return Face(
        box=(left, 0.0, left + height, height),
        landmarks=rng.uniform(left, left + height, (68, 2)),
        score=1.0,
        index=index,
    )


@pytest.mark.parametrize(
    "still",
    [
        EditRequest(presets=(parse_preset("smile=0"),)),
        EditRequest(drags=(((226.0, 150.0), (226.0, 150.0)), ((210.3, 140.7), (210.3, 140.7)))),
    ],
    ids=["preset of strength 0", "targets are handles"],
)
def test_an_edit_that_moves_nothing_returns_the_photo(
    photo: Photo, models: Models, still: EditRequest
) -> None:
    done = edit_photo(photo, still, models=models)
    assert done.photo is photo
    assert done.edited is None


def test_pixels_outside_a_painted_mask_stay_bit_for_bit(
    photo: Photo, portrait: Path, models: Models, inverted: Path, tmp_path: Path
) -> None:
    place = SessionPlace(folder=tmp_path / "session", photo=portrait)
    shutil.copytree(inverted, place.folder)
    mask = np.zeros((photo.height, photo.width), np.uint8)
    mask[131:171, 190:263] = 255
    request = EditRequest(presets=(parse_preset("smile"),), mask=mask)
    done = edit_photo(photo, request, models=models, quality="fast", session=place)
    assert done.edited is not None
    changed = (done.photo.pixels != photo.pixels).any(axis=-1)
    assert not changed[mask == 0].any()
    assert not changed[~done.edited.composite.changed].any()
    report = done.edited.composite.report
    assert report.max_change_outside_mask == 0
    assert report.changed_pixels == int(done.edited.composite.changed.sum())
    film = list(compose_frames(photo, done))
    assert film[0] is photo
    assert len(film) > 2
    for frame in film:
        np.testing.assert_array_equal(frame.pixels[mask == 0], photo.pixels[mask == 0])


def test_an_interrupted_edit_goes_on_and_a_second_one_reuses_the_inversion(
    photo: Photo, portrait: Path, models: Models, tmp_path: Path
) -> None:
    place = SessionPlace(folder=tmp_path / "session", photo=portrait)

    def interrupted(steps: Iterable[Step], /, *, stage: str, total: int) -> Iterator[Step]:
        assert total > 0
        for k, step in enumerate(steps):
            if stage == "invert" and k == 3:
                raise KeyboardInterrupt
            yield step

    with pytest.raises(KeyboardInterrupt):
        edit_photo(photo, SMILE, models=models, quality="fast", session=place, watch=interrupted)
    left = open_session(place.folder)
    assert left.has("alignment.json")
    assert not left.has("inversion.safetensors")

    first = edit_photo(photo, SMILE, models=models, quality="fast", session=place)
    again = edit_photo(photo, SMILE, models=models, quality="fast", session=place)
    assert first.edited is not None
    assert again.edited is not None
    assert (first.edited.inverted, again.edited.inverted) == (True, False)
    np.testing.assert_array_equal(first.photo.pixels, again.photo.pixels)
    assert open_session(place.folder).edits == [1, 2]


def test_the_largest_face_is_the_default() -> None:
    faces = [make_face(1, 0, 30), make_face(2, 50, 80), make_face(3, 200, 40)]
    assert choose_face(faces, None).index == 2
    assert choose_face(faces, 3).index == 3


def test_handles_choose_the_face_that_they_lie_on(portrait: Path) -> None:
    (found,) = find_faces(read_photo(portrait).rgb())
    moved = replace(found, landmarks=found.landmarks * 0.8 + [300, 0], index=2)
    nose = moved.landmarks[30]
    edit = EditRequest(drags=((tuple(nose), tuple(nose + 1)),))
    assert choose_face([found, moved], None, edit).index == 2
    assert choose_face([found, moved], 1, edit).index == 1
    far = EditRequest(drags=(((5000.0, 5000.0), (5001.0, 5000.0)),))
    assert choose_face([found, moved], None, far).index == 1


def test_a_missing_number_lists_the_faces() -> None:
    faces = [make_face(1, 0, 30), make_face(2, 50, 80)]
    with pytest.raises(FaceError, match=r"no face 4: .* 2 faces: 1 at \(15, 15\), 2 at \(90, 40\)"):
        choose_face(faces, 4)


@settings(max_examples=30, deadline=None)
@given(
    x=st.floats(0.1, 0.9), y=st.floats(0.1, 0.9), dx=st.floats(-0.1, 0.1), dy=st.floats(-0.1, 0.1)
)
def test_points_go_to_the_crop_and_back(x: float, y: float, dx: float, dy: float) -> None:
    alignment = Alignment(centre=(300.0, 200.0), size=180.0, angle=0.2, resolution=64)
    handle, target = alignment.to_photo([[64 * x, 64 * y], [64 * (x + dx), 64 * (y + dy)]])
    request = EditRequest(drags=((tuple(handle), tuple(target)),), region="all")
    spec = request.to_spec(make_face(1, 250, 100), alignment)
    np.testing.assert_allclose(spec.handles.numpy(), [[64 * x, 64 * y]], atol=1e-3)
    np.testing.assert_allclose(spec.targets.numpy(), [[64 * (x + dx), 64 * (y + dy)]], atol=1e-3)
    assert spec.mask is None


def test_a_painted_square_arrives_where_it_was_painted() -> None:
    alignment = Alignment(centre=(100.0, 100.0), size=128.0, angle=0.0, resolution=64)
    mask = np.zeros((200, 200), np.uint8)
    mask[80:100, 60:120] = 255
    movable = mask_to_crop(mask, alignment)[0, 0].numpy() > 0.5
    rows, columns = np.nonzero(movable)
    assert (rows.min(), rows.max() + 1) == (22, 32)
    assert (columns.min(), columns.max() + 1) == (12, 42)


def test_grey_of_a_mask_arrives_as_a_share() -> None:
    alignment = Alignment(centre=(100.0, 100.0), size=128.0, angle=0.3, resolution=64)
    ramp = np.tile(np.arange(200, dtype=np.uint8), (200, 1))
    share = mask_to_crop(ramp, alignment)
    columns = alignment.to_photo(np.stack(np.meshgrid(np.arange(64), np.arange(64)), -1) + 0.5)
    np.testing.assert_allclose(share[0, 0].numpy(), (columns[..., 0] - 0.5) / 255, atol=0.004)
    # A session keeps it in 8 bits, and an edit composed from there is the same edit.
    handles = torch.full((1, 2), 32.0)
    spec = DragSpec(handles=handles, targets=handles, resolution=64, mask=share)
    kept = DragSpec.from_json(spec.to_json()).mask
    assert kept is not None
    assert torch.equal(kept, share)
