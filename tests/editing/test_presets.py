"""Expressions as drags."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from editing.errors import PresetError
from editing.presets import (
    PRESETS,
    PresetStrength,
    combine_presets,
    expression_from,
    parse_preset,
    preset,
)
from editing.regions import FaceFrame
from editing.spec import DragSpec

Landmarks = npt.NDArray[np.float64]

# The face of the fixture is the same for every example.
examples = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def after(spec: DragSpec, landmarks: Landmarks) -> Landmarks:
    """The landmarks with those that the drag moves at their targets."""
    moved = landmarks.copy()
    for handle, target in zip(spec.handles.numpy(), spec.targets.numpy(), strict=True):
        near = np.linalg.norm(landmarks - handle, axis=1) < 1e-4
        moved[near] = target
    return moved


def turned(points: Landmarks, degrees: float, about: float = 64.0) -> Landmarks:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return (points - about) @ np.array([[c, s], [-s, c]]) + about


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_strength_zero_moves_nothing(name: str, landmarks: Landmarks) -> None:
    spec = preset(name, 0.0, landmarks, resolution=128)
    assert len(spec.handles) == 0
    assert spec.mask is None


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_handles_move_within_the_mask(name: str, landmarks: Landmarks) -> None:
    spec = preset(name, 1.0, landmarks, resolution=128)
    assert 0 < int((~spec.anchors).sum()) <= 32
    assert int(spec.anchors.sum()) > 0
    assert spec.mask is not None
    x, y = spec.targets[~spec.anchors].long().T
    assert (spec.mask[0, 0, y, x] == 1).all()


def test_smile_widens_and_lifts_the_corners(landmarks: Landmarks) -> None:
    moved = after(preset("smile", 1.0, landmarks, resolution=128), landmarks)
    scale = FaceFrame.of(landmarks).scale
    for corner, outward in ((48, -1), (54, 1)):
        dx, dy = (moved[corner] - landmarks[corner]) / scale
        assert dx * outward > 0
        assert dy < 0
        assert 0.12 <= np.hypot(dx, dy) <= 0.18


def test_brows_rise_and_fall(landmarks: Landmarks) -> None:
    up = after(preset("raise-brows", 1.0, landmarks, resolution=128), landmarks)
    down = after(preset("lower-brows", 1.0, landmarks, resolution=128), landmarks)
    assert (up[17:27, 1] < landmarks[17:27, 1]).all()
    assert (down[17:27, 1] > landmarks[17:27, 1]).all()


def test_brows_follow_the_lids(landmarks: Landmarks) -> None:
    wide = after(preset("open-eyes", 1.0, landmarks, resolution=128), landmarks) - landmarks
    assert (wide[37:39, 1] < wide[19, 1]).all()
    assert wide[19, 1] < 0


def test_touching_lips_are_not_dragged_apart(landmarks: Landmarks) -> None:
    closed = after(preset("close-mouth", 1.0, landmarks, resolution=128), landmarks)
    moved = after(preset("open-mouth", 1.0, closed, resolution=128), closed) - closed
    assert not moved[50:53].any()
    assert not moved[60:68].any()
    assert (moved[56:59, 1] > 0).all()


@examples
@given(strength=st.floats(-50, 50))
def test_lids_and_lips_never_cross(strength: float, landmarks: Landmarks) -> None:
    for name in ("open-eyes", "close-eyes", "open-mouth", "close-mouth"):
        moved = after(preset(name, strength, landmarks, resolution=128), landmarks)
        for upper, lower in ((37, 41), (38, 40), (43, 47), (44, 46), (61, 67), (62, 66), (63, 65)):
            assert moved[upper, 1] <= moved[lower, 1] + 1e-3


def test_closing_meets(landmarks: Landmarks) -> None:
    lips = after(preset("close-mouth", 1.0, landmarks, resolution=128), landmarks)
    lids = after(preset("close-eyes", 1.0, landmarks, resolution=128), landmarks)
    np.testing.assert_allclose(lips[[61, 62, 63], 1], lips[[67, 66, 65], 1], atol=1e-3)
    np.testing.assert_allclose(lids[[37, 38, 43, 44], 1], lids[[41, 40, 47, 46], 1], atol=1e-3)


def test_opposites_agree(landmarks: Landmarks) -> None:
    for one, other in (("open-eyes", "close-eyes"), ("open-mouth", "close-mouth")):
        a = preset(one, -0.5, landmarks, resolution=128)
        b = preset(other, 0.5, landmarks, resolution=128)
        assert torch.equal(a.targets, b.targets)


@examples
@given(
    degrees=st.floats(-45, 45),
    names=st.lists(st.sampled_from(sorted(PRESETS)), min_size=1, max_size=3),
)
def test_presets_turn_with_the_face(degrees: float, names: list[str], landmarks: Landmarks) -> None:
    chosen = [PresetStrength(name=name, strength=0.7) for name in names]
    upright = combine_presets(chosen, landmarks, resolution=128)
    rolled = combine_presets(chosen, turned(landmarks, degrees), resolution=128)
    assert len(rolled.handles) == len(upright.handles)
    expected = turned(upright.targets.double().numpy(), degrees)
    np.testing.assert_allclose(rolled.targets.numpy(), expected, atol=2e-3)


def test_presets_add_up_and_masks_unite(landmarks: Landmarks) -> None:
    smile = preset("smile", 1.0, landmarks, resolution=128)
    brows = preset("raise-brows", 0.5, landmarks, resolution=128)
    chosen = [PresetStrength(name="smile"), PresetStrength(name="raise-brows", strength=0.5)]
    both = combine_presets(chosen, landmarks, resolution=128)
    expected = after(smile, landmarks) + after(brows, landmarks) - landmarks
    np.testing.assert_allclose(after(both, landmarks), expected, atol=1e-3)
    assert smile.mask is not None
    assert brows.mask is not None
    assert both.mask is not None
    assert torch.equal(both.mask, torch.maximum(smile.mask, brows.mask))


def test_landmarks_beyond_the_crop_are_left_out(landmarks: Landmarks) -> None:
    low = landmarks + np.array([0.0, 25.0])
    spec = preset("open-mouth", 1.0, low, resolution=128)
    assert len(spec.handles) < len(preset("open-mouth", 1.0, landmarks, resolution=128).handles)
    assert (spec.targets <= 128).all()


def test_expression_of_the_same_face_moves_nothing(landmarks: Landmarks) -> None:
    elsewhere = turned(landmarks * 3.7, 20) + np.array([500.0, -80.0])
    spec = expression_from(landmarks, elsewhere, resolution=128)
    assert len(spec.handles) == 0
    again = expression_from(landmarks, landmarks, resolution=128)
    assert len(again.handles) == 0


def test_expression_carries_a_smile_and_raised_brows(landmarks: Landmarks) -> None:
    chosen = [PresetStrength(name="smile", strength=0.8), PresetStrength(name="raise-brows")]
    wanted = after(combine_presets(chosen, landmarks, resolution=128), landmarks)
    spec = expression_from(landmarks, turned(wanted, -30) * 2.0, resolution=128)
    moved = after(spec, landmarks)
    np.testing.assert_allclose(
        moved[[48, 54, *range(17, 27)]], wanted[[48, 54, *range(17, 27)]], atol=0.8
    )
    none = expression_from(landmarks, wanted, resolution=128, strength=0.0)
    assert len(none.handles) == 0


def test_expression_is_limited(landmarks: Landmarks) -> None:
    odd = landmarks.copy()
    odd[17:27, 1] -= 60
    spec = expression_from(landmarks, odd, resolution=128)
    length = (spec.targets - spec.handles).norm(dim=1).max().item()
    assert length <= 0.3 * FaceFrame.of(landmarks).scale + 1e-3


def test_parse_preset() -> None:
    assert parse_preset("smile") == PresetStrength(name="smile", strength=1.0)
    assert parse_preset("open-eyes=-0.5") == PresetStrength(name="open-eyes", strength=-0.5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("grin", "unknown preset 'grin': choose among smile, open-eyes"),
        ("smile=wide", "strength of preset smile must be a number such as 0.5, not 'wide'"),
        ("smile=", "must be a number such as 0.5"),
        ("smile=nan", "strength of preset smile must be a finite number, not nan"),
        ("smile=inf", "must be a finite number"),
    ],
)
def test_impossible_presets(text: str, message: str) -> None:
    with pytest.raises(PresetError, match=message):
        parse_preset(text)


def test_expression_strength_must_be_finite(landmarks: Landmarks) -> None:
    with pytest.raises(PresetError, match="strength of an expression must be a finite number"):
        expression_from(landmarks, landmarks, resolution=128, strength=float("nan"))
