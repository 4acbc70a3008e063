"""Drawn heads as training data, and portraits with other expressions."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.weights.drawn import drawn_face
from weights.errors import WeightsError
from weights.training.expressions import EXPRESSIONS, express
from weights.training.expressive_faces import moved_landmarks
from weights.training.heads import read_heads
from weights.training.measure_faces import gaps
from weights.training.portraits import pixel_grid

IMAGES = np.zeros((3, 32, 32, 3), np.uint8)
LANDMARKS = np.arange(3 * 68 * 2, dtype=np.float32).reshape(3, 68, 2) / 20
YAW = np.array([-30.0, 0.0, 12.0])


def written(folder: Path, name: str = "train-a.npz", **fields: object) -> Path:
    arrays = {"images": IMAGES, "landmarks": LANDMARKS, "yaw": YAW} | fields
    kept = {k: np.asarray(v) for k, v in arrays.items() if v is not None}
    np.savez(folder / name, allow_pickle=True, **kept)
    return folder


def test_heads_are_brought_to_one_size(tmp_path: Path) -> None:
    large = np.full((3, 320, 320, 3), 9, np.uint8)
    written(written(tmp_path), "train-b.npz", images=large, landmarks=LANDMARKS * 10)
    heads = read_heads(tmp_path, "train")
    assert heads.faces.pictures.shape == (6, 160, 160, 3)
    np.testing.assert_allclose(heads.faces.landmarks[:3], LANDMARKS * 5)
    np.testing.assert_allclose(heads.faces.landmarks[3:], LANDMARKS * 5)
    assert heads.yaw.tolist() == [30, 0, 12] * 2
    assert len(read_heads(tmp_path, "train", limit=2).faces) == 2


@pytest.mark.parametrize(
    "fields",
    [
        {"yaw": None},
        {"landmarks": LANDMARKS[:2]},
        {"images": IMAGES.astype(np.float32)},
        {"yaw": np.array([{}, {}, {}], object)},
    ],
)
def test_other_files_are_refused(fields: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"train-a\.npz"):
        read_heads(written(tmp_path, **fields), "train")


def test_files_that_are_no_archive_are_refused(tmp_path: Path) -> None:
    (tmp_path / "val-a.npz").write_bytes(b"PK\x03\x04 cut")
    with pytest.raises(WeightsError, match=r"val-a\.npz cannot be read as drawn heads"):
        read_heads(tmp_path, "val")


def test_a_folder_without_heads_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"has no val-\*\.npz: name a folder of drawn heads"):
        read_heads(written(tmp_path), "val")


def schematic() -> Tensor:
    """One face [1, 68, 2] in [-1, 1], eyes 0.6 apart, mouth a little open."""
    return torch.from_numpy(drawn_face())[None].float() / 128 - 1


def moved(**amounts: float) -> Tensor:
    face, grid = schematic(), pixel_grid(160)
    asked = torch.tensor([[amounts.get(name.replace("-", "_"), 0.0) for name in EXPRESSIONS]])
    drawn = express(torch.zeros(1, 3, 160, 160), face, asked, grid[None])
    return moved_landmarks(face, drawn, grid)


def test_landmarks_of_an_unchanged_face_stay() -> None:
    torch.testing.assert_close(moved(), schematic(), atol=1e-5, rtol=0)


def test_closed_lids_meet_and_the_other_eye_stays() -> None:
    gap = gaps(moved(lid_left=1.0))[0, :, 1]
    assert gap[:2].abs().max() < 0.25 * gaps(schematic())[0, :2, 1].min()
    torch.testing.assert_close(gap[2:], gaps(schematic())[0, 2:, 1], atol=1e-3, rtol=0)


def test_an_opened_mouth_gapes_as_much_as_was_asked() -> None:
    eyes_apart = 76 / 128
    wider = gaps(moved(mouth_open=0.3))[0, 5, 1] - gaps(schematic())[0, 5, 1]
    assert wider.item() == pytest.approx(0.3 * eyes_apart, rel=0.1)
