"""Dense correspondence: how exactly a known warp is found, and what it promises of its shape."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.correspondence import (
    Array,
    FlowOptions,
    area_ratio,
    blur,
    find_correspondence,
    limit_folding,
    regularise,
    smoothstep,
    warp,
)
from pipeline.errors import PipelineError

SIDE = 128


def textured(seed: int, side: int = SIDE) -> Array:
    """A picture with detail at several scales, [side, side, 3] in [0, 1]."""
    random = np.random.default_rng(seed)
    layers = [
        scale * blur(random.standard_normal((side, side, 3)).astype(np.float32), scale)
        for scale in (1.0, 2.5, 6.0)
    ]
    return np.clip(0.5 + 0.12 * sum(layers[1:], layers[0]), 0, 1).astype(np.float32)


def bump(dx: float, dy: float, radius: float = 14, side: int = SIDE) -> Array:
    """A flow of (dx, dy) in the middle that fades out with a Gaussian, [side, side, 2]."""
    rows, columns = np.mgrid[:side, :side] + 0.5 - side / 2
    weight = np.exp(-(rows**2 + columns**2) / (2 * radius**2))
    return np.stack([dx * weight, dy * weight], axis=-1).astype(np.float32)


@pytest.mark.parametrize(("dx", "dy"), [(5.0, 0.0), (-3.0, 4.0), (0.0, -6.0)])
def test_a_known_warp_is_found(dx: float, dy: float) -> None:
    render, truth = textured(1), bump(dx, dy)
    found = find_correspondence(render, warp(render, truth))
    error = np.linalg.norm(found.flow - truth, axis=2)
    length = np.linalg.norm(truth, axis=2)
    assert error[length > 1].mean() < 0.6
    assert error[length < 0.05].mean() < 0.1
    assert area_ratio(found.flow).min() >= FlowOptions().least_area


def test_a_change_of_light_is_not_taken_for_motion() -> None:
    render = textured(2)
    ramp = np.linspace(0.97, 1.06, SIDE, dtype=np.float32)[:, None, None]
    noise = blur(np.random.default_rng(0).standard_normal(render.shape).astype(np.float32), 1.0)
    found = find_correspondence(render, (render * ramp + np.float32(0.01) * noise).clip(0, 1))
    assert np.linalg.norm(found.flow, axis=2).max() < 0.5


def test_equal_renderings_do_not_move() -> None:
    render = textured(3)
    assert not find_correspondence(render, render.copy()).flow.any()


def test_known_points_lead_the_flow_beyond_a_repeating_pattern() -> None:
    columns = np.arange(SIDE, dtype=np.float32)
    stripes = 0.5 + 0.3 * np.sin(columns * 2 * np.pi / 8)
    rows = 0.15 * textured(4)[:, :1]
    render = np.clip(stripes[None, :, None] + rows - 0.07, 0, 1).astype(np.float32)
    edited = warp(render, np.full((SIDE, SIDE, 2), (7, 0), np.float32))
    points = np.array([[x, y] for x in (32, 64, 96) for y in (32, 64, 96)], np.float32)
    options = FlowOptions(handle_radius=0.3)
    led = find_correspondence(
        render,
        edited,
        handles=points + np.array([7, 0], np.float32),
        finals=points,
        options=options,
    )
    alone = find_correspondence(render, edited, options=options)
    middle = (slice(40, 88), slice(40, 88), 0)
    assert abs(led.flow[middle].mean() - 7) < 1
    assert abs(alone.flow[middle].mean() - 7) > 3


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**16),
    strength=st.floats(0, 60),
    least=st.floats(0.05, 0.5),
)
def test_limited_flows_never_fold_and_keep_their_zeros(
    seed: int, strength: float, least: float
) -> None:
    random = np.random.default_rng(seed)
    wild = strength * blur(random.standard_normal((48, 48, 2)).astype(np.float32), 2)
    wild[:, :10] = 0
    limited = limit_folding(wild, 48, least)
    assert np.isfinite(limited).all()
    assert area_ratio(limited).min() >= least
    assert not limited[:, :10].any()


def test_regularisation_fades_to_exactly_zero_away_from_trust() -> None:
    trust = np.zeros((SIDE, SIDE), np.float32)
    trust[60:68, 60:68] = 1
    flow = np.full((SIDE, SIDE, 2), 4, np.float32)
    smooth = regularise(flow, trust, SIDE, FlowOptions())
    assert abs(smooth[64, 64, 0] - 4) < 0.5
    assert not smooth[:16].any()
    assert not smooth[:, -16:].any()


def test_warp_reads_where_the_flow_points() -> None:
    image = textured(5)
    moved = warp(image, np.full((SIDE, SIDE, 2), (3, -2), np.float32))
    np.testing.assert_allclose(moved[10:-10, 10:-10], image[8:-12, 13:-7], atol=1e-6)


def test_smoothstep_has_exact_ends() -> None:
    values = smoothstep(1, 2, np.array([0, 1, 1.5, 2, 3], np.float32))
    np.testing.assert_array_equal(values, np.array([0, 0, 0.5, 1, 1], np.float32))


def test_matching_refuses_what_does_not_belong_together() -> None:
    small = cv2.resize(textured(6), (64, 64))
    with pytest.raises(PipelineError, match="same generator"):
        find_correspondence(textured(6), np.asarray(small, np.float32))
    with pytest.raises(PipelineError, match="one for each"):
        find_correspondence(textured(6), textured(7), handles=np.zeros((1, 2), np.float32))
