"""The face finder's networks, the geometry of squares, and the file that ships."""

import json
import zipfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import skimage.data
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor

from weights.errors import BrokenWeightsError, MissingWeightsError
from weights.face_finder import (
    BUILTIN_FACE_FINDER,
    LANDMARK_INPUT,
    MIRRORED,
    EyeNetwork,
    FaceDetector,
    FaceFinder,
    cut_squares,
    face_square,
    from_square,
    load_face_finder,
    soft_argmax,
    to_gray,
)
from weights.training.augment_faces import Faces, read_faces
from weights.training.expressive_faces import expressive
from weights.training.measure_faces import landmark_figures, placed

ASTRONAUT_SQUARE = torch.tensor([[223.0, 128.0, 150.0, 0.0]])


@pytest.fixture(scope="module")
def finder() -> FaceFinder:
    return load_face_finder()


@pytest.fixture(scope="module")
def astronaut() -> Tensor:
    return torch.from_numpy(skimage.data.astronaut()).permute(2, 0, 1)[None].float() / 255


@pytest.fixture(scope="module")
def held_out(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Faces:
    """Forty portraits that nothing was trained on."""
    made = tmp_path_factory.mktemp("portraits")
    with zipfile.ZipFile(shared / "data" / "portraits" / "portraits-256.zip") as stored:
        index = json.loads(stored.read("index.json"))
        index = [record for record in index if record["split"] == "val"][:40]
        for record in index:
            stored.extract(f"{record['name']}.jpg", made)
    (made / "index.json").write_text(json.dumps(index))
    return read_faces(made, "val")


def face_like(rng: np.random.Generator) -> npt.NDArray[np.float64]:
    points = rng.uniform(0, 100, (68, 2))
    points[36:42] = rng.normal((30, 30), 2, (6, 2))
    points[42:48] = rng.normal((70, 30), 2, (6, 2))
    return points


def in_mirror(points: Tensor, width: int) -> Tensor:
    """Landmarks [N, 68, 2] of the mirrored picture."""
    return (points * torch.tensor([-1, 1]) + torch.tensor([width, 0]))[:, MIRRORED]


def test_mirrored_is_an_involution_that_swaps_the_eyes() -> None:
    assert sorted(MIRRORED.tolist()) == list(range(68))
    assert np.array_equal(MIRRORED[MIRRORED], np.arange(68))
    assert set(MIRRORED[36:42].tolist()) == set(range(42, 48))
    assert MIRRORED[36] == 45
    assert MIRRORED[48] == 54
    assert MIRRORED[8] == 8


@settings(deadline=None, max_examples=30)
@given(
    angle=st.floats(-1.2, 1.2),
    scale=st.floats(0.1, 30),
    x=st.floats(-500, 500),
    y=st.floats(-500, 500),
    seed=st.integers(0, 99),
)
def test_square_follows_the_face(angle: float, scale: float, x: float, y: float, seed: int) -> None:
    points = face_like(np.random.default_rng(seed))
    still = face_square(points)
    cos, sin = np.cos(angle), np.sin(angle)
    turn = np.array([[cos, -sin], [sin, cos]])
    moved = face_square(scale * points @ turn.T + (x, y))
    expected = scale * turn @ still[:2] + (x, y)
    np.testing.assert_allclose(moved[:2], expected, atol=1e-6 * (1 + abs(x) + abs(y) + scale * 100))
    assert moved[2] == pytest.approx(scale * still[2])
    assert moved[3] == pytest.approx(still[3] + angle)


def test_places_of_a_turned_square() -> None:
    square = torch.tensor([[50.0, 40.0, 20.0, torch.pi / 2]])
    places = torch.tensor([[[0.5, 0.5], [1.0, 0.5], [0.5, 1.0]]])
    expected = torch.tensor([[[50.0, 40.0], [50.0, 50.0], [40.0, 40.0]]])
    torch.testing.assert_close(from_square(places, square), expected, atol=1e-4, rtol=0)


def test_cut_of_the_whole_picture_is_the_picture() -> None:
    picture = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    cut = cut_squares(picture, torch.tensor([[16.0, 16.0, 32.0, 0.0]]), 32)
    torch.testing.assert_close(cut, picture, atol=1e-5, rtol=0)


def test_cut_of_a_fine_pattern_is_anti_aliased() -> None:
    board = (torch.arange(256)[:, None] + torch.arange(256)) % 2
    cut = cut_squares(board[None, None].float(), torch.tensor([[128.0, 128.0, 200.0, 0.3]]), 20)
    assert (cut - 0.5).abs().max() < 0.05


def test_soft_argmax_finds_a_sharp_peak() -> None:
    logits = torch.zeros(1, 1, 8, 8)
    logits[0, 0, 2, 5] = 50
    torch.testing.assert_close(soft_argmax(logits)[0, 0], torch.tensor([5.5 / 8, 2.5 / 8]))


def test_gray_of_gray_is_itself() -> None:
    gray = torch.rand(1, 1, 4, 4)
    assert to_gray(gray) is gray
    torch.testing.assert_close(to_gray(gray.expand(1, 3, 4, 4)), gray)


def test_detector_answers_per_cell() -> None:
    logit, log_size = FaceDetector().eval()(torch.rand(2, 1, 32, 48))
    assert logit.shape == log_size.shape == (2, 8, 12)


def test_eyes_are_looked_at_alike_in_a_mirror() -> None:
    torch.manual_seed(0)
    network = EyeNetwork().eval()
    picture = torch.rand(1, 1, 128, 128)
    points = torch.from_numpy(face_like(np.random.default_rng(0))).float()[None]
    square = torch.tensor([[50.0, 45.0, 90.0, 0.2]])
    with torch.no_grad():
        found = network.refine(picture, points, square)
        other = network.refine(
            picture.flip(-1),
            in_mirror(points, 128),
            square * torch.tensor([-1, 1, 1, -1]) + torch.tensor([128.0, 0, 0, 0]),
        )
    others = np.r_[0:36, 48:68]
    assert torch.equal(found[:, others], points[:, others])
    assert (found[:, 36:48] - points[:, 36:48]).abs().max() > 1
    torch.testing.assert_close(in_mirror(other, 128), found, atol=1e-3, rtol=0)


def test_builtin_file_is_small_and_says_what_it_is(finder: FaceFinder) -> None:
    assert BUILTIN_FACE_FINDER.stat().st_size <= 6e6
    assert not any(p.requires_grad for p in finder.landmarks.parameters())
    assert not any(network.training for network in finder.networks().values())


def test_landmarks_of_a_real_face(finder: FaceFinder, astronaut: Tensor) -> None:
    found = finder.locate(astronaut, ASTRONAUT_SQUARE)
    assert found.logit.item() > 0
    left, right = found.points[0, 36:42].mean(0), found.points[0, 42:48].mean(0)
    # The pupils as read from the picture by eye.
    torch.testing.assert_close(left, torch.tensor([203.0, 101.0]), atol=4, rtol=0)
    torch.testing.assert_close(right, torch.tensor([246.5, 103.5]), atol=4, rtol=0)


def test_landmarks_of_held_out_portraits(finder: FaceFinder, held_out: Faces) -> None:
    errors, figures = landmark_figures(placed(finder, held_out), held_out)
    assert errors.mean() < 0.025
    assert figures["mouth_correlation"] > 0.9


def test_shut_eyes_and_open_mouths_are_seen(finder: FaceFinder, held_out: Faces) -> None:
    acted = expressive(held_out, seed=1)
    errors, figures = landmark_figures(placed(finder, acted), acted)
    assert errors.mean() < 0.03
    assert min(figures["right_eye_correlation"], figures["left_eye_correlation"]) > 0.9
    assert figures["mouth_correlation"] > 0.92


def test_no_face_in_the_collar(finder: FaceFinder, astronaut: Tensor) -> None:
    found = finder.locate(astronaut, torch.tensor([[256.0, 360.0, 150.0, 0.0]]))
    assert found.logit.item() < 0


def test_landmarks_are_differentiable(finder: FaceFinder, astronaut: Tensor) -> None:
    image = astronaut.clone().requires_grad_()
    finder.locate(image, ASTRONAUT_SQUARE).points[0, 36].sum().backward()
    assert image.grad is not None
    assert image.grad.abs().sum() > 0


def test_locate_refuses_other_shapes(finder: FaceFinder, astronaut: Tensor) -> None:
    with pytest.raises(ValueError, match=r"squares \[N, 4\]"):
        finder.locate(astronaut, torch.zeros(4))


def test_missing_and_broken_files(tmp_path: Path) -> None:
    with pytest.raises(MissingWeightsError, match="no face finder at"):
        load_face_finder(tmp_path / "none.safetensors")
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(BUILTIN_FACE_FINDER.read_bytes()[:5000])
    with pytest.raises(BrokenWeightsError, match="is not a face finder's file"):
        load_face_finder(cut)
    other = tmp_path / "other.safetensors"
    for missing in ("detector.head.weight", "eyes.heat.weight"):
        tensors = load_file(BUILTIN_FACE_FINDER)
        tensors.pop(missing)
        save_file(tensors, other)
        with pytest.raises(BrokenWeightsError, match="is not a face finder's file"):
            load_face_finder(other)


def test_landmark_input_is_what_the_network_takes(finder: FaceFinder) -> None:
    heat, logit = finder.landmarks(torch.rand(3, 1, LANDMARK_INPUT, LANDMARK_INPUT))
    assert heat.shape == (3, 68, LANDMARK_INPUT // 4, LANDMARK_INPUT // 4)
    assert logit.shape == (3,)
