"""The face finder's training, on drawn portraits: samples fit labels, runs repeat and resume."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.weights.drawn import drawn_face
from weights.errors import BrokenWeightsError, WeightsError
from weights.face_finder import (
    BUILTIN_FACE_FINDER,
    FaceDetector,
    LandmarkNetwork,
    load_face_finder,
)
from weights.training import face_finder as training
from weights.training import measure_faces
from weights.training.augment_faces import (
    Faces,
    eye_pair,
    faceless_sample,
    joined,
    landmark_pair,
    landmark_sample,
    mosaic,
    read_faces,
)
from weights.training.backgrounds import Backgrounds
from weights.training.face_finder import TrainingOptions, TrainingStep, landmark_task, train

OPTIONS = TrainingOptions(
    landmark_steps=3, eye_steps=2, detector_steps=2, batch=4, checkpoint_every=1
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight drawn portraits: dots of 3 px on the landmarks."""
    made = tmp_path_factory.mktemp("portraits")
    rng = np.random.default_rng(0)
    index: list[dict[str, object]] = []
    for i in range(8):
        points = drawn_face() + rng.normal(0, 3, 2)
        picture = np.full((256, 256, 3), rng.integers(60, 200, 3), np.uint8)
        for x, y in points:
            cv2.circle(picture, (int(x), int(y)), 3, (255, 255, 255), -1)
        cv2.imwrite(str(made / f"p{i}.jpg"), picture)
        entry: dict[str, object] = {
            "name": f"p{i}",
            "kind": "gray" if i % 2 else "colour",
            "split": "val" if i > 5 else "train",
            "landmarks68": points.tolist(),
            "landmarks_disagreement": 0.2 if i == 0 else 0.01,
        }
        index.append(entry)
    (made / "index.json").write_text(json.dumps(index))
    return made


@pytest.fixture(scope="module")
def heads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four drawn heads of 64 px in each split."""
    made = tmp_path_factory.mktemp("heads")
    rng = np.random.default_rng(1)
    for split in ("train", "val"):
        np.savez(
            made / f"{split}-0.npz",
            images=rng.integers(0, 256, (4, 64, 64, 3), np.uint8),
            landmarks=drawn_face() / 4 + rng.normal(0, 0.5, (4, 68, 2)),
            yaw=np.array([0.0, -30.0, 30.0, 50.0]),
        )
    return made


@pytest.fixture(scope="module")
def faces(folder: Path) -> Faces:
    return read_faces(folder, "train")


def test_portraits_with_doubtful_labels_are_left_out(faces: Faces) -> None:
    assert len(faces) == 5
    assert faces.pictures.shape == (5, 160, 160, 3)
    assert faces.gray.tolist() == [True, False, True, False, True]


def test_landmarks_stay_on_their_dots(faces: Faces) -> None:
    """Through mirror, turn, zoom and bend a label still marks a dot: brighter there than around."""
    backgrounds = Backgrounds(faces.pictures)
    contrast: list[float] = []
    for seed in range(60):
        square, places = landmark_sample(np.random.default_rng(seed), faces, backgrounds)
        column, row = np.moveaxis((places[17:48] * 96).astype(int), -1, 0)
        seen = (column >= 0) & (column < 96) & (row >= 0) & (row < 96)
        contrast.append(float(square[row[seen], column[seen]].mean() - np.median(square)))
    assert np.median(contrast) > 0.15


def test_landmarks_of_moved_parts_stay_on_their_dots(faces: Faces) -> None:
    backgrounds = Backgrounds(faces.pictures)
    contrast: list[float] = []
    for seed in range(60):
        squares, places = landmark_pair(np.random.default_rng(seed), faces, backgrounds)
        assert squares.shape == (2, 96, 96)
        column, row = np.moveaxis((places[1, 17:48] * 96).astype(int), -1, 0)
        seen = (column >= 0) & (column < 96) & (row >= 0) & (row < 96)
        contrast.append(float(squares[1][row[seen], column[seen]].mean() - np.median(squares[1])))
    assert np.median(contrast) > 0.15


def test_a_movement_half_seen_is_read_as_half() -> None:
    true = torch.zeros(2, 68, 2)
    true[0, 8, 1], true[1, 30:36, 0] = 4.0, -3.0
    true[:, [20, 40, 60]] = torch.tensor([0.5, 0.0])
    seen = true / 2
    seen[0, 50], seen[1, 10] = torch.tensor([0.0, 1.0]), torch.tensor([0.6, 0.0])
    figures = measure_faces.motion_figures(true, seen)
    assert figures["motion_beside"] == pytest.approx((1 / 4 + 0.6 / 3) / (64 + 59))
    del figures["motion_beside"]
    assert all(share == pytest.approx(0.5) for share in figures.values())


def test_lids_stay_on_their_dots(faces: Faces) -> None:
    contrast: list[float] = []
    for seed in range(60):
        squares, places = eye_pair(np.random.default_rng(seed), faces)
        assert squares.shape == (2, 64, 64)
        for square, lids in zip(squares, places, strict=True):
            column, row = (lids.T * 64).astype(int).clip(0, 63)
            contrast.append(float(square[row, column].mean() - np.median(square)))
    assert np.median(contrast) > 0.15


def test_mosaic_marks_faces_between_the_sizes(faces: Faces) -> None:
    backgrounds = Backgrounds(faces.pictures)
    marked = 0
    for seed in range(20):
        picture, heat, sizes, weight = mosaic(np.random.default_rng(seed), faces, backgrounds)
        assert picture.shape == (160, 160)
        assert 0 <= picture.min() <= picture.max() <= 1
        assert heat.shape == sizes.shape == weight.shape == (40, 40)
        centres = heat > 0.8
        marked += int(centres.sum())
        assert (sizes[centres] > np.log(13)).all()
        assert (sizes[centres] < np.log(43)).all()
    assert marked > 10


def test_faceless_squares_are_pictures(faces: Faces) -> None:
    backgrounds = Backgrounds(faces.pictures)
    drawn = [faceless_sample(np.random.default_rng(s), faces, backgrounds) for s in range(20)]
    assert all(d.shape == (96, 96) and np.isfinite(d).all() for d in drawn)
    assert len({d.tobytes() for d in drawn}) == 20


def losses(faces: Faces, checkpoint: Path, *, stop: int = 3) -> tuple[list[float], LandmarkNetwork]:
    torch.manual_seed(0)
    network = LandmarkNetwork()
    done: list[TrainingStep] = []
    for step in train(landmark_task(network, faces, OPTIONS), OPTIONS, checkpoint):
        done.append(step)
        if len(done) == stop:
            break
    return [step.loss for step in done], network


def test_an_interrupted_run_goes_on_as_if_nothing_had_happened(
    faces: Faces, tmp_path: Path
) -> None:
    whole, network = losses(faces, tmp_path / "whole.safetensors")
    first, _ = losses(faces, tmp_path / "cut.safetensors", stop=2)
    rest, resumed = losses(faces, tmp_path / "cut.safetensors")
    assert first + rest == whole
    for name, value in network.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], value, rtol=0, atol=0)


def test_checkpoint_of_another_network_is_refused(faces: Faces, tmp_path: Path) -> None:
    losses(faces, tmp_path / "c.safetensors", stop=1)
    task = training.detector_task(FaceDetector(), faces, OPTIONS)
    with pytest.raises(BrokenWeightsError, match="remove it to start anew"):
        next(train(task, OPTIONS, tmp_path / "c.safetensors"))


def test_command_trains_measures_and_exports(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "finder.safetensors"
    flags = ["--data", str(folder), "--out", str(out), "--threads", "1", "--batch", "4"]
    flags += ["--landmark-steps", "2", "--eye-steps", "2"]
    flags += ["--detector-steps", "2", "--mosaics", "4"]
    assert training.main(flags) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["landmark_error"] > 0
    assert load_face_finder(out).landmarks.heat.weight.isfinite().all()
    assert not list(tmp_path.glob("*.tmp"))


def test_command_goes_on_from_a_file_with_heads(
    folder: Path, heads: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "finder.safetensors"
    flags = ["--data", str(folder), "--out", str(out), "--threads", "1", "--batch", "4"]
    flags += ["--landmark-steps", "1", "--eye-steps", "1"]
    flags += ["--detector-steps", "1", "--mosaics", "2"]
    flags += ["--heads", str(heads), "--start", str(BUILTIN_FACE_FINDER), "--learning-rate", "1e-9"]
    assert training.main(flags) == 0
    capsys.readouterr()
    ours, theirs = load_face_finder(out).landmarks, load_face_finder().landmarks
    torch.testing.assert_close(ours.heat.weight, theirs.heat.weight, rtol=0, atol=1e-3)
    flags = ["--data", str(folder), "--heads", str(heads), "--finder", str(out), "--mosaics", "2"]
    assert measure_faces.main(flags) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["heads_landmark_error_yaw_25_35"] > 0
    assert -1 <= figures["heads_mouth_correlation"] <= 1
    assert figures["expressive_landmark_error"] > 0
    assert np.isfinite(figures["motion_jaw"])


@pytest.mark.parametrize("name", ["detector", "eyes"])
def test_command_trains_one_network_and_keeps_the_others(
    name: str, folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "finder.safetensors"
    flags = ["--data", str(folder), "--out", str(out), "--threads", "1", "--batch", "4"]
    flags += ["--detector-steps", "1", "--eye-steps", "1", "--mosaics", "2"]
    flags += ["--expression-share", "0", "--only", name, "--start", str(BUILTIN_FACE_FINDER)]
    assert training.main(flags) == 0
    before, after = load_file(BUILTIN_FACE_FINDER), load_file(out)
    changed = {key for key, value in before.items() if not torch.equal(after[key], value)}
    assert f"{name}.trunk.stem.0.0.weight" in changed
    assert {key.partition(".")[0] for key in changed} == {name}


def test_one_network_alone_needs_a_file_with_the_others(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--data", str(folder), "--out", str(tmp_path / "f.safetensors"), "--only", "detector"]
    assert training.main(flags) == 1
    assert "--only needs --start" in capsys.readouterr().err


def test_openings_are_shares_of_the_outer_eye_distance() -> None:
    face = torch.from_numpy(drawn_face())
    face[[40, 41]] += torch.tensor([0.0, 15.0])
    face[65:68] += torch.tensor([0.0, 30.0])
    before, after = (
        measure_faces.openings(f[None]) for f in (torch.from_numpy(drawn_face()), face)
    )
    apart = 181.0 - 75.0
    assert after["right_eye"].item() - before["right_eye"].item() == pytest.approx(15 / apart)
    assert after["left_eye"].item() == pytest.approx(10 / apart)
    assert after["mouth"].item() - before["mouth"].item() == pytest.approx(30 / apart)


@pytest.mark.parametrize(
    ("index", "said"),
    [
        (None, "is missing: name a folder of aligned portraits"),
        ("[", "is not JSON"),
        ("[]", "lists no picture of the split 'val'"),
        ('[{"name": "a", "split": "val"}]', "record 0"),
        ('["a"]', "record 0"),
        ('{"a": 1}', "record 0"),
    ],
)
def test_bad_data_is_refused_in_one_line(
    index: str | None, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if index is not None:
        (tmp_path / "index.json").write_text(index)
    flags = ["--data", str(tmp_path), "--out", str(tmp_path / "f.safetensors")]
    assert training.main(flags) == 1
    (message,) = capsys.readouterr().err.strip().splitlines()
    assert said in message


def test_missing_picture_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "index.json").write_text((folder / "index.json").read_text())
    with pytest.raises(WeightsError, match=r"record 1 of .*p1\.jpg"):
        read_faces(tmp_path, "train")


def test_parts_are_drawn_as_often_as_their_shares_say(faces: Faces) -> None:
    dark = Faces(
        pictures=np.zeros((2, 160, 160, 3), np.uint8),
        landmarks=faces.landmarks[:2],
        gray=faces.gray[:2],
    )
    both = joined((faces, 0.7), (dark, 0.2))
    assert len(both) == 7
    assert both.chances is not None
    np.testing.assert_allclose(both.chances, [0.7 / 0.9 / 5] * 5 + [0.1 / 0.9] * 2)


def test_options_that_cannot_train_are_refused() -> None:
    with pytest.raises(WeightsError, match="together below 1"):
        TrainingOptions(head_share=0.8, expression_share=0.3)
    with pytest.raises(WeightsError, match="at least 1"):
        TrainingOptions(batch=0)
    with pytest.raises(WeightsError, match="learning rate"):
        TrainingOptions(learning_rate=float("nan"))
