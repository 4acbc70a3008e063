"""Faces of real photographs: which are found, where, and what is said when a finder cannot run."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import skimage.data
import torch
from PIL import Image, ImageOps

from pipeline.errors import FaceError, RequestError
from pipeline.faces import Face, find_faces, place_lids
from pipeline.fan import FAN_FILE
from weights.errors import BrokenWeightsError, MissingWeightsError
from weights.face_finder import load_face_finder

Rgb = npt.NDArray[np.float32]


def to_rgb(pixels: npt.NDArray[np.uint8]) -> Rgb:
    return (pixels / 255).astype(np.float32)


def photograph(path: Path) -> Rgb:
    with Image.open(path) as image:
        upright = ImageOps.exif_transpose(image).convert("RGB")
        return to_rgb(np.asarray(upright))


def astronaut() -> Rgb:
    return to_rgb(skimage.data.astronaut())


def outer_eye_distance(face: Face) -> float:
    return float(np.linalg.norm(face.landmarks[45] - face.landmarks[36]))


@pytest.fixture(autouse=True)
def no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of downloaded networks, whatever this machine has."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    return tmp_path


def test_one_face_in_the_demo_picture() -> None:
    (face,) = find_faces(astronaut())
    assert face.index == 1
    assert 0.5 <= face.score <= 1
    assert face.landmarks.shape == (68, 2)
    assert face.box == (*face.landmarks.min(0), *face.landmarks.max(0))
    # Pupils and mouth corners as read from the picture by eye.
    for points, place in (
        (face.landmarks[36:42].mean(0), (203, 101)),
        (face.landmarks[42:48].mean(0), (246.5, 103.5)),
        (face.landmarks[48], (202, 140)),
        (face.landmarks[54], (247.5, 138.5)),
    ):
        assert np.linalg.norm(points - place) < 0.12 * outer_eye_distance(face)


def test_landmarks_follow_a_mirrored_picture() -> None:
    (face,) = find_faces(astronaut())
    (mirrored,) = find_faces(np.ascontiguousarray(astronaut()[:, ::-1]))
    pupil = 512 - face.landmarks[42:48, 0].mean()
    assert abs(mirrored.landmarks[36:42, 0].mean() - pupil) < 0.06 * outer_eye_distance(face)


def test_landmarks_scale_with_the_picture() -> None:
    """A face of 600 px in a picture larger than the working copy is placed as the small one."""
    (face,) = find_faces(astronaut())
    large = np.repeat(np.repeat(astronaut(), 6, 0), 6, 1)
    (found,) = find_faces(large)
    error = np.linalg.norm(found.landmarks / 6 - face.landmarks, axis=1).mean()
    assert error < 0.05 * outer_eye_distance(face)


def test_lids_are_found_again_from_landmarks_that_are_a_little_off() -> None:
    (face,) = find_faces(astronaut())
    unit = outer_eye_distance(face)
    for off in ((0.02, 0.0), (-0.02, 0.0), (0.0, 0.02), (0.0, -0.02)):
        moved = face.landmarks + np.array(off) * unit
        found = place_lids(astronaut(), moved, load_face_finder().eyes)
        np.testing.assert_allclose(found[:36], moved[:36], atol=1e-3)
        away = np.linalg.norm(found[36:48] - face.landmarks[36:48], axis=1)
        assert away.mean() < 0.01 * unit


def test_faces_are_numbered_left_to_right() -> None:
    picture = np.concatenate((astronaut()[:, :400], astronaut()[:, :400]), 1)
    faces = find_faces(picture)
    assert [face.index for face in faces] == [1, 2]
    assert faces[1].landmarks[30, 0] - faces[0].landmarks[30, 0] == pytest.approx(400, abs=8)


def test_gray_and_colour_agree() -> None:
    gray = np.repeat(astronaut().mean(2, keepdims=True, dtype=np.float32), 3, 2)
    (face,), (colour,) = find_faces(gray), find_faces(astronaut())
    assert np.abs(face.landmarks - colour.landmarks).mean() < 0.05 * outer_eye_distance(colour)


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_no_face_in_an_empty_picture(value: float) -> None:
    assert find_faces(np.full((200, 300, 3), value, np.float32)) == []


def test_pictures_of_a_few_pixels() -> None:
    assert find_faces(np.full((3, 5, 3), 0.5, np.float32)) == []
    assert find_faces(np.full((1, 900, 3), 0.5, np.float32)) == []


@pytest.mark.parametrize("name", ["brick", "coffee", "rocket", "page", "gravel"])
def test_no_face_in_things(name: str) -> None:
    picture = getattr(skimage.data, name)()
    rgb = np.repeat(picture[..., None], 3, 2) if picture.ndim == 2 else picture
    assert find_faces(to_rgb(rgb)) == []


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("portrait_frontal_man.jpg", 1),
        ("portrait_hair_on_brows.jpg", 1),
        ("portrait_slight_tilt.jpg", 1),
        ("portrait_official.jpg", 1),
        ("portrait_gray.jpg", 1),
        ("portrait_tilted_cut.jpg", 1),
        ("portrait_sunglasses_hand.jpg", 1),
        ("border_cut_face.jpg", 1),
        ("small_face_full_body.jpg", 1),
        ("group_3_large.jpg", 3),
        ("hopper.jpg", 1),
        ("hopper_gray.jpg", 1),
        ("derived/gray.png", 1),
        ("derived/roll35.jpg", 1),
        ("derived/tiny_64x96.png", 1),
        ("noface_cat_chelsea.png", 0),
        ("noface_cmyk_sample.jpg", 0),
        ("noface_grass.jpg", 0),
        ("noface_huge_bootprint.jpg", 0),
    ],
)
def test_faces_of_photographs(name: str, count: int, shared: Path) -> None:
    faces = find_faces(photograph(shared / "data" / "photos" / name))
    assert len(faces) == count
    for face in faces:
        eyes, mouth = face.landmarks[36:48].mean(0), face.landmarks[48:].mean(0)
        assert mouth[1] - eyes[1] > 0.5 * outer_eye_distance(face)


def test_most_faces_of_a_large_group(shared: Path) -> None:
    faces = find_faces(photograph(shared / "data" / "photos" / "group_29_gray.jpg"))
    assert 27 <= len(faces) <= 29
    assert [face.index for face in faces] == list(range(1, len(faces) + 1))
    centres = [face.box[0] + face.box[2] for face in faces]
    assert centres == sorted(centres)


def test_unknown_finder() -> None:
    with pytest.raises(RequestError, match="'dlib': choose one of auto, builtin, fan"):
        find_faces(astronaut(), finder="dlib")


def test_a_picture_must_have_three_channels() -> None:
    with pytest.raises(FaceError, match=r"\[H, W, 3\] pictures: got \[20, 20\]"):
        find_faces(np.zeros((20, 20), np.float32))


@pytest.mark.usefixtures("no_files")
def test_fan_without_its_files_says_which_and_what_to_do() -> None:
    with pytest.raises(MissingWeightsError) as raised:
        find_faces(astronaut(), finder="fan")
    message = str(raised.value)
    assert FAN_FILE in message
    assert "s3fd-619a316812.pth" in message
    assert "photodrag weights fetch fan" in message
    assert "\n" not in message


def test_fan_with_a_damaged_file(no_files: Path, shared: Path) -> None:
    folder = fan_folder(no_files, shared)
    (folder / FAN_FILE).write_bytes(b"not a network")
    with pytest.raises(BrokenWeightsError, match="the FAN face finder's files"):
        find_faces(astronaut(), finder="auto")


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_fan_places_68_points_in_the_detected_face(no_files: Path, shared: Path) -> None:
    """With a FAN of the real format but random parameters: everything but the precision."""
    from face_alignment.models import FAN

    folder = fan_folder(no_files, shared)
    torch.manual_seed(0)
    torch.save(FAN(4).state_dict(), folder / FAN_FILE)
    (face,) = find_faces(astronaut(), finder="auto")
    assert face.landmarks.shape == (68, 2)
    centre = face.landmarks.mean(0)
    assert np.linalg.norm(centre - (225, 130)) < 120


def fan_folder(home: Path, shared: Path) -> Path:
    folder = home / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    for name in ("blazeface.pth", "anchors.npy"):
        (folder / name).write_bytes((shared / "data" / "models" / name).read_bytes())
    return folder
