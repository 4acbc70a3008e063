"""Several faces with one tuned generator."""

import json
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image

from editing.presets import parse_preset
from pipeline.cli import main
from pipeline.edit import SessionPlace
from pipeline.errors import RequestError
from pipeline.models import Models, load_models
from pipeline.photo import Photo, read_photo
from pipeline.request import EditRequest
from pipeline.session import open_session
from pipeline.stored import recall_inversion
from pipeline.together import edit_faces

Capture = pytest.CaptureFixture[str]
SMILE = EditRequest(presets=(parse_preset("smile"),))


@pytest.fixture(scope="module")
def models(tiny_file: Path) -> Models:
    return load_models(str(tiny_file), device="cpu")


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two faces side by side, 600 x 300 pixels."""
    one = skimage.data.astronaut()[:300, 80:380]
    path = tmp_path_factory.mktemp("photos") / "pair.png"
    Image.fromarray(np.concatenate([one, one[:, ::-1]], axis=1)).save(path)
    return path


@pytest.fixture(scope="module")
def photo(pair: Path) -> Photo:
    return read_photo(pair)


def test_two_faces_share_a_generator_and_keep_to_themselves(
    photo: Photo, pair: Path, models: Models, tmp_path: Path
) -> None:
    place = SessionPlace(folder=tmp_path / "s", photo=pair)
    done = edit_faces(photo, SMILE, models=models, faces=[1, 2], quality="fast", session=place)
    assert [each.selection.name for each in done] == ["face 1", "face 2"]
    first, second = (each.edited for each in done)
    assert first is not None
    assert second is not None
    assert first.inversion.generator is second.inversion.generator
    assert first.inverted
    outside = ~(first.composite.changed | second.composite.changed)
    np.testing.assert_array_equal(done[-1].photo.pixels[outside], photo.pixels[outside])
    for number in (1, 2):
        session = open_session(place.folder / f"face-{number}")
        assert session.edits == [1]
        assert recall_inversion(session, models) is not None


def test_drags_belong_to_one_face(photo: Photo, models: Models) -> None:
    edit = EditRequest(drags=(((150.0, 120.0), (155.0, 120.0)),))
    with pytest.raises(RequestError, match="give one --face, or only presets"):
        edit_faces(photo, edit, models=models, faces=[1, 2])


def test_what_moves_nothing_returns_the_photo(photo: Photo, models: Models) -> None:
    still = EditRequest(presets=(parse_preset("smile=0"),))
    done = edit_faces(photo, still, models=models, faces=[2, 1, 2])
    assert [each.selection.name for each in done] == ["face 2", "face 1"]
    assert done[-1].photo is photo


def test_photos_of_one_person_become_sessions_like_any(
    portrait: Path, pair: Path, tiny_file: Path, tmp_path: Path, capsys: Capture
) -> None:
    session = ["--session", str(tmp_path / "s"), "--device", "cpu"]
    network = ["--generator", str(tiny_file), "--quality", "fast"]
    together = ["invert", str(portrait), str(pair), "--together", *session, *network, "--json"]
    capsys.readouterr()
    for reused in (False, True):
        assert main(together) == 0
        rows = json.loads(capsys.readouterr().out)["inversions"]
        assert [row["reused"] for row in rows] == [reused, reused]
    one = ["--session", str(tmp_path / "s" / "photo-2"), "--device", "cpu"]
    assert main(["drag", *one, "--preset", "smile", "--max-steps", "2"]) == 0
    assert main(["composite", *one, "-o", str(tmp_path / "out.png")]) == 0
    assert main(["invert", str(portrait), "--together", *session, *network]) == 1
    assert "begin with photodrag align PHOTO" in capsys.readouterr().err


def test_several_faces_from_the_command_line_are_one_report(
    pair: Path, tiny_file: Path, tmp_path: Path, capsys: Capture
) -> None:
    argv = ["edit", str(pair), "-o", str(tmp_path / "out.png"), "--device", "cpu", "--json"]
    argv += ["--generator", str(tiny_file), "--quality", "fast", "--preset", "smile"]
    argv += ["--face", "1", "--face", "2"]
    assert main([*argv, "--frames", str(tmp_path / "f.gif")]) == 1
    assert main([*argv, "--max-steps", "2"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert [edit["face"] for edit in report["edits"]] == [1, 2]
    assert (tmp_path / "out.png").is_file()
