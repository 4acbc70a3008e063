"""A direction leads, the drag goes on from there."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from editing.drag import DragEngine
from editing.engine import finish_edit, run_edit
from editing.guide import DETOUR, FARTHEST, STRIDES, GuidedEngine
from editing.presets import PRESETS, PresetStrength, guide_of
from editing.spec import DragSpec
from inversion.types import Inversion
from weights.store import load_directions

# Lengths for a crop of 32 px, where the published ones are a fraction of a feature's cell.
DRAG = DragEngine(
    blocks=(8, 16), tracking_radius=48.0, learning_rate=1.0, reach=6.0, still_weight=0.0
)


@pytest.fixture
def dragged(subject: Inversion) -> tuple[DragSpec, Tensor]:
    """A drag, and the direction that a drag alone found for it."""
    spec = DragSpec(
        handles=torch.tensor([[12.0, 14.0]]), targets=torch.tensor([[15.0, 14.0]]), resolution=32
    )
    result = run_edit(replace(DRAG, max_steps=60), subject, spec)
    assert result.mean_distance < 1.5
    return spec, result.latents - subject.pivot.latents


def test_a_good_direction_brings_the_handle_nearer(
    subject: Inversion, dragged: tuple[DragSpec, Tensor]
) -> None:
    spec, direction = dragged
    steps = list(GuidedEngine(direction=direction, drag=DRAG).steps(subject, spec))
    indices = [step.index for step in steps]
    assert indices[:-1] == sorted(set(indices[:-1]))
    strides = steps[: STRIDES + 1]
    assert min(step.mean_distance for step in strides) < 0.7 * strides[0].mean_distance
    assert all(step.stopped is None for step in steps[:-1])
    assert steps[-1].stopped is not None
    assert steps[-1].mean_distance <= min(step.mean_distance for step in strides) + 1e-4


def test_a_bad_direction_is_left_early(
    subject: Inversion, dragged: tuple[DragSpec, Tensor]
) -> None:
    spec, direction = dragged
    engine = GuidedEngine(direction=-direction, drag=replace(DRAG, max_steps=3))
    steps = list(engine.steps(subject, spec))
    assert steps[-1].index <= DETOUR + 1 + 3
    assert steps[-1].mean_distance <= steps[0].mean_distance


def test_strides_end_a_little_beyond_the_direction(
    subject: Inversion, dragged: tuple[DragSpec, Tensor]
) -> None:
    spec, direction = dragged
    far = replace(spec, targets=torch.tensor([[31.0, 14.0]]))
    steps = GuidedEngine(direction=direction * 0.3, drag=DRAG).steps(subject, far)
    last = [step for step, _ in zip(steps, range(STRIDES + 1), strict=False)][-1]
    wanted = subject.pivot.latents + direction * 0.3 * FARTHEST
    torch.testing.assert_close(last.latents, wanted)


def test_strides_are_held_by_the_mask_as_the_drag_is(
    subject: Inversion, dragged: tuple[DragSpec, Tensor]
) -> None:
    spec, direction = dragged
    mask = torch.zeros(1, 1, 32, 32)
    mask[..., 8:20, 8:24] = 1
    steps = list(
        GuidedEngine(direction=direction, drag=DRAG).steps(subject, replace(spec, mask=mask))
    )
    assert len(steps) > STRIDES
    assert all(step.movable is not None and torch.equal(step.movable, mask) for step in steps)


def test_an_edit_that_moves_nothing(subject: Inversion, dragged: tuple[DragSpec, Tensor]) -> None:
    spec, direction = dragged
    still = replace(spec, targets=spec.handles)
    steps = GuidedEngine(direction=direction, drag=DRAG).steps(subject, still)
    result = finish_edit(steps, subject)
    assert result.stopped == "nothing to do"
    assert torch.equal(result.latents, subject.pivot.latents)


def test_guides_of_presets_add_up_and_exist() -> None:
    directions = load_directions()
    assert directions is not None
    for name, entry in PRESETS.items():
        for strength in (-1.0, 1.0):
            assert set(entry.guide(strength)) <= set(directions.config.names), name
    smile, twice = PresetStrength(name="smile"), PresetStrength(name="smile", strength=2)
    assert guide_of([smile, smile]) == guide_of([twice])
    opening, closing = PresetStrength(name="open-mouth"), PresetStrength(name="close-mouth")
    assert guide_of([opening, closing]) == {}
    assert guide_of([PresetStrength(name="close-left-eye")]) == {"lid-left": 1.0}
    assert guide_of([PresetStrength(name="smile", strength=0)]) == {}
