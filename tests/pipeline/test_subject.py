"""What is edited: faces for generators of faces, squares for all others."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from editing.errors import EditingError
from editing.presets import parse_preset
from pipeline import subject
from pipeline.cli import main
from pipeline.edit import SessionPlace, edit_photo
from pipeline.errors import FaceError, RequestError, SessionError
from pipeline.models import Models, load_models
from pipeline.photo import Photo, read_photo
from pipeline.request import EditRequest
from pipeline.session import open_session
from pipeline.stored import recall_selection
from pipeline.subject import Square, cut, select, take_square

DRAG = EditRequest(drags=(((200.0, 120.0), (215.0, 125.0)),))


@pytest.fixture(scope="module")
def cat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A photo without a face, 451 x 300 pixels."""
    path = tmp_path_factory.mktemp("photos") / "cat.png"
    Image.fromarray(skimage.data.chelsea()).save(path)
    return path


@pytest.fixture(scope="module")
def photo(cat: Path) -> Photo:
    return read_photo(cat)


@pytest.fixture(scope="module")
def faces_models(tiny_file: Path) -> Models:
    return load_models(str(tiny_file), device="cpu")


@pytest.fixture(scope="module")
def models(cat_file: Path) -> Models:
    return load_models(str(cat_file), device="cpu")


@pytest.fixture
def blind(monkeypatch: pytest.MonkeyPatch) -> None:
    """No face may be looked for."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a face was looked for")

    monkeypatch.setattr(subject, "find_faces", refuse)


@pytest.mark.usefixtures("blind")
def test_a_generator_of_whole_photos_takes_the_middle(photo: Photo, models: Models) -> None:
    chosen = select(photo, models)
    assert chosen.face is None
    assert chosen.alignment.window(photo.width, photo.height) == (75, 0, 376, 300)
    assert (chosen.alignment.size, chosen.alignment.angle) == (300, 0)
    assert bool(cut(photo, chosen).valid.all())


@pytest.mark.usefixtures("blind")
def test_a_drag_without_any_face_reaches_the_photo(
    photo: Photo, cat: Path, models: Models, tmp_path: Path
) -> None:
    place = SessionPlace(folder=tmp_path / "session", photo=cat)
    mask = np.zeros((photo.height, photo.width), np.uint8)
    mask[60:200, 150:300] = 255
    edit = replace(DRAG, mask=mask)
    done = edit_photo(photo, edit, models=models, quality="fast", session=place)
    assert done.edited is not None
    differs = (done.photo.pixels != photo.pixels).any(axis=2)
    assert not differs[mask == 0].any()
    kept = recall_selection(open_session(place.folder))
    assert (kept.face, kept.alignment) == (None, done.crop.alignment)
    with pytest.raises(SessionError, match=r"session of the square 75.5,0,300, not of the square"):
        edit_photo(photo, DRAG, models=models, square=(100, 0, 280), session=place)


@pytest.mark.usefixtures("blind")
def test_a_square_stands_in_for_a_face(photo: Photo, faces_models: Models) -> None:
    chosen = select(photo, faces_models, square=(10, 20, 200))
    assert chosen.name == "the square 10,20,200"
    np.testing.assert_allclose(chosen.alignment.to_crop([[10, 20], [210, 220]]), [[0, 0], [32, 32]])


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (EditRequest(presets=(parse_preset("smile"),)), "only a face has presets"),
        (EditRequest(expression=np.zeros((68, 2))), "only a face has an expression"),
        (replace(DRAG, region="mouth"), "only a face has a region 'mouth'"),
        (EditRequest(drags=(((1.0, 1.0), (2.0, 2.0)),)), "handle 1 at .* another --crop"),
    ],
)
def test_what_only_faces_have_is_refused(
    photo: Photo, models: Models, edit: EditRequest, message: str
) -> None:
    with pytest.raises(RequestError, match=message):
        edit_photo(photo, edit, models=models)


def test_the_face_of_a_cat_generator_is_refused(photo: Photo, models: Models) -> None:
    with pytest.raises(RequestError, match="knows no faces: leave out --face"):
        select(photo, models, face=1)


def test_a_face_and_a_square_are_refused(photo: Photo, models: Models) -> None:
    with pytest.raises(RequestError, match="choose one of --face and --crop"):
        select(photo, models, face=1, square=(0, 0, 100))


def test_no_face_names_the_way_without_one(photo: Photo, faces_models: Models) -> None:
    with pytest.raises(FaceError, match="choose a square with --crop"):
        select(photo, faces_models)


@pytest.mark.parametrize(
    "square",
    [(-1, 0, 100), (0, 250, 100), (400, 0, 100), (float("nan"), 0, 100), (0, 0, float("inf"))],
)
def test_squares_that_reach_out_are_refused(photo: Photo, square: Square) -> None:
    with pytest.raises(RequestError, match="reaches out of the photo of 451 x 300 pixels"):
        take_square((photo.width, photo.height), square, 32)


@pytest.mark.parametrize("side", [0, -50, 63.9])
def test_small_squares_are_refused(photo: Photo, side: float) -> None:
    with pytest.raises(RequestError, match="too small to edit: at least 64"):
        take_square((photo.width, photo.height), (100, 100, side), 32)


@settings(max_examples=20, deadline=None)
@given(x=st.floats(80, 370), y=st.floats(5, 295), dx=st.floats(-5, 5), dy=st.floats(-5, 5))
def test_points_of_a_square_keep_their_place(x: float, y: float, dx: float, dy: float) -> None:
    square = subject.upright_square((75.5, 0), 300, 64)
    try:
        spec = EditRequest(drags=(((x, y), (x + dx, y + dy)),)).to_spec(None, square)
    except (RequestError, EditingError):
        assert not (0 <= y + dy <= 300 and 75.5 <= x + dx <= 375.5)
        return
    ends = torch.cat((spec.handles, spec.targets)).numpy()
    np.testing.assert_allclose(square.to_photo(ends), [[x, y], [x + dx, y + dy]], atol=1e-3)
    assert spec.mask is None


@pytest.mark.usefixtures("blind")
def test_a_photo_without_a_face_is_edited_from_the_command_line(
    cat: Path, cat_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["edit", str(cat), "-o", str(tmp_path / "out.png"), "--generator", str(cat_file)]
    argv += ["--device", "cpu", "--quality", "fast"]
    drag = ["--drag", "200,120:215,125", "--crop", "75,0,290", "--max-steps", "2"]
    assert main([*argv, *drag, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["face"], report["faces"]) == (None, [])
    assert report["alignment"]["centre"] == [220, 145]
    assert main([*argv, "--overwrite", "--preset", "smile"]) == 1
    assert "only a face has presets" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([*argv, "--crop", "1,2"])
