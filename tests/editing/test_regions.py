"""Parts of a face as masks."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch

from editing.errors import PresetError
from editing.regions import REGIONS, FaceFrame, region_mask

Landmarks = npt.NDArray[np.float64]

PARTS = {
    "mouth": range(48, 68),
    "eyes": range(36, 48),
    "brows": range(17, 27),
    "nose": range(27, 36),
    "jaw": range(2, 15),
    "face": range(68),
}


@pytest.mark.parametrize("name", sorted(PARTS))
def test_region_covers_its_landmarks_and_not_everything(name: str, landmarks: Landmarks) -> None:
    mask = region_mask(landmarks, [name], resolution=128)
    assert mask.shape == (1, 1, 128, 128)
    assert mask.dtype == torch.float32
    assert set(mask.unique().tolist()) == {0.0, 1.0}
    x, y = landmarks[list(PARTS[name])].astype(int).T
    assert mask[0, 0, y, x].all()
    assert mask.mean() < 0.6


def test_hair_is_around_the_face_and_not_on_it(landmarks: Landmarks) -> None:
    assert {*PARTS, "hair"} == set(REGIONS)
    hair, face = (region_mask(landmarks, [name], resolution=128)[0, 0] for name in ("hair", "face"))
    assert (hair * face).sum() == 0
    frame = FaceFrame.of(landmarks)
    places = frame.to_crop(np.array([[0.0, -1.5], [-1.25, -0.3], [1.25, -0.3]]))
    x, y = places.astype(int).T
    assert hair[y, x].all()


def test_union_is_the_maximum(landmarks: Landmarks) -> None:
    one = region_mask(landmarks, ["mouth"], resolution=128)
    other = region_mask(landmarks, ["eyes"], resolution=128)
    both = region_mask(landmarks, ["mouth", "eyes"], resolution=128)
    assert torch.equal(both, torch.maximum(one, other))
    assert both.sum() > one.sum()


def test_soft_edge_falls_from_the_hard_one(landmarks: Landmarks) -> None:
    hard = region_mask(landmarks, ["mouth"], resolution=128)
    soft = region_mask(landmarks, ["mouth"], resolution=128, softness=0.3)
    assert torch.equal(soft == 1, hard == 1)
    between = soft[(soft > 0) & (soft < 1)]
    assert len(between) > 100


def test_mask_turns_with_the_face(landmarks: Landmarks) -> None:
    quarter = np.stack((128 - landmarks[:, 1], landmarks[:, 0]), axis=1)
    mask = region_mask(landmarks, ["brows", "jaw"], resolution=128)
    turned = region_mask(quarter, ["brows", "jaw"], resolution=128)
    different = (torch.rot90(mask, -1, dims=(2, 3)) != turned).float().mean()
    assert different < 0.002


def test_frame_and_back(landmarks: Landmarks) -> None:
    frame = FaceFrame.of(landmarks)
    np.testing.assert_allclose(frame.to_crop(frame.to_face(landmarks)), landmarks, atol=1e-9)


def test_errors(landmarks: Landmarks) -> None:
    with pytest.raises(PresetError, match="unknown region 'ear': choose among mouth, eyes"):
        region_mask(landmarks, ["ear"], resolution=128)
    with pytest.raises(PresetError, match="68 landmarks"):
        region_mask(landmarks[:5], ["eyes"], resolution=128)
    with pytest.raises(PresetError, match="NaN or infinity"):
        region_mask(landmarks * np.nan, ["eyes"], resolution=128)
    with pytest.raises(PresetError, match="coincide"):
        region_mask(landmarks * 0, ["eyes"], resolution=128)
