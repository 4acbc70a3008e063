"""DragGAN on a tiny random generator."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest
import torch
from torch import Tensor

from editing.drag import DragEngine
from editing.engine import finish_edit, run_edit
from editing.errors import EditingError, OptionError
from editing.features import sample_features
from editing.options import DragOptions
from editing.spec import DragSpec
from editing.steps import EditStart
from inversion.types import Inversion

# 32 px are 1/16 of 512: lengths of the paper would be a fraction of the tiny features' cells. A
# random generator has no part that moves alone.
ENGINE = DragEngine(
    still_weight=0.0,
    blocks=(16,),
    radius=24.0,
    tracking_radius=48.0,
    step_length=8.0,
    learning_rate=1.0,
    reach=6.0,
    max_steps=100,
    patience=40,
)


def drag(
    handle: tuple[float, float], target: tuple[float, float], mask: Tensor | None = None
) -> DragSpec:
    return DragSpec(
        handles=torch.tensor([handle]), targets=torch.tensor([target]), resolution=32, mask=mask
    )


@pytest.mark.parametrize("source", ["first", "current"])
@pytest.mark.parametrize("space", ["w", "w+"])
@pytest.mark.parametrize(
    ("handle", "target"), [((12.0, 14.0), (15.0, 14.0)), ((20.0, 20.0), (20.0, 17.0))]
)
def test_reaches_its_target(
    space: Any,
    source: Any,
    handle: tuple[float, float],
    target: tuple[float, float],
    subject: Inversion,
) -> None:
    engine = replace(ENGINE, space=space, source=source)
    result = run_edit(engine, subject, drag(handle, target))
    assert result.stopped == "reached"
    assert result.reached == (True,)
    assert result.mean_distance < 6 / 16
    assert 0 < result.steps <= 100
    assert result.image.shape == (1, 3, 32, 32)
    assert not torch.equal(result.image, subject.render())


def test_feature_really_arrives(subject: Inversion) -> None:
    """Seen by other eyes than the tracker's: the target now looks like the handle did."""
    spec = drag((12.0, 14.0), (15.0, 14.0))
    result = run_edit(ENGINE, subject, spec)

    def features(latents: Tensor) -> Tensor:
        return subject.generator.synthesize(latents, keep=(32,)).features[32]

    wanted = sample_features(features(subject.pivot.latents), spec.handles, 32)
    before = sample_features(features(subject.pivot.latents), spec.targets, 32)
    after = sample_features(features(result.latents), spec.targets, 32)
    assert (after - wanted).abs().mean() < 0.6 * (before - wanted).abs().mean()


def test_several_blocks_and_handles_that_part(subject: Inversion) -> None:
    """Two handles of one cell of the coarse block go opposite ways."""
    engine = replace(ENGINE, blocks=None, radius=None, step_length=None)
    spec = DragSpec(
        handles=torch.tensor([[14.0, 14.0], [14.0, 17.0]]),
        targets=torch.tensor([[14.0, 12.5], [14.0, 18.5]]),
        resolution=32,
    )
    result = run_edit(engine, subject, spec)
    assert result.mean_distance < 1.5
    assert result.points[1, 1] - result.points[0, 1] > 4


def test_other_blocks_to_track_and_several_steps_at_a_time(subject: Inversion) -> None:
    spec = drag((12.0, 14.0), (15.0, 14.0))
    tracked = run_edit(replace(ENGINE, tracking_blocks=(32,)), subject, spec)
    assert tracked.mean_distance < 1
    often = run_edit(replace(ENGINE, gradient_steps=3), subject, spec)
    assert often.stopped == "reached"
    assert often.steps < run_edit(ENGINE, subject, spec).steps
    same = run_edit(replace(ENGINE, tracking_blocks=ENGINE.blocks), subject, spec)
    assert torch.equal(same.latents, run_edit(ENGINE, subject, spec).latents)


def test_moves_only_the_first_vectors_and_leaves_the_subject_alone(subject: Inversion) -> None:
    before = subject.pivot.latents.clone()
    result = run_edit(replace(ENGINE, layers=4), subject, drag((12.0, 14.0), (15.0, 14.0)))
    assert torch.equal(subject.pivot.latents, before)
    assert torch.equal(result.latents[:, 4:], before[:, 4:])
    assert not torch.equal(result.latents[:, :4], before[:, :4])


def test_w_moves_all_vectors_alike(subject: Inversion) -> None:
    engine = replace(ENGINE, space="w")
    result = run_edit(engine, subject, drag((12.0, 14.0), (15.0, 14.0)))
    moved = (result.latents - subject.pivot.latents)[0, : engine.layers]
    torch.testing.assert_close(moved, moved[:1].expand_as(moved), atol=1e-5, rtol=0)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_nothing_to_do_leaves_the_latents_untouched(count: int, subject: Inversion) -> None:
    places = torch.arange(2.0 * count).view(-1, 2) + 5
    spec = DragSpec(handles=places, targets=places.clone(), resolution=32)
    steps = list(DragEngine().steps(subject, spec))
    assert [step.stopped for step in steps] == ["nothing to do"]
    assert torch.equal(steps[0].latents, subject.pivot.latents)
    result = run_edit(DragEngine(), subject, spec)
    assert torch.equal(result.image, subject.render())
    assert result.mean_distance == 0
    assert all(result.reached)


def test_target_within_reach_takes_no_step(subject: Inversion) -> None:
    result = run_edit(ENGINE, subject, drag((12.0, 14.0), (12.1, 14.0)))
    assert (result.stopped, result.steps) == ("reached", 0)
    assert torch.equal(result.latents, subject.pivot.latents)


def test_steps_are_values(subject: Inversion) -> None:
    steps = list(ENGINE.steps(subject, drag((12.0, 14.0), (15.0, 14.0))))
    assert [step.index for step in steps] == list(range(len(steps)))
    assert torch.equal(steps[0].latents, subject.pivot.latents)
    assert [step.stopped for step in steps[:-1]] == [None] * (len(steps) - 1)
    assert not any(step.latents.requires_grad for step in steps)
    assert len({step.latents.data_ptr() for step in steps}) == len(steps)
    assert steps[-1].mean_distance < steps[0].mean_distance


def test_same_drag_twice_is_the_same(subject: Inversion) -> None:
    spec = drag((12.0, 14.0), (15.0, 14.0))
    one, other = run_edit(ENGINE, subject, spec), run_edit(ENGINE, subject, spec)
    assert torch.equal(one.latents, other.latents)


def test_runs_where_gradients_are_switched_off(subject: Inversion) -> None:
    with torch.no_grad():
        assert run_edit(ENGINE, subject, drag((12.0, 14.0), (15.0, 14.0))).stopped == "reached"


def test_step_cap_and_stall_return_the_best_step(subject: Inversion) -> None:
    far = drag((3.0, 3.0), (29.0, 29.0))
    for engine, reason in (
        (replace(ENGINE, max_steps=3), "step cap"),
        (replace(ENGINE, patience=2, learning_rate=1e-6), "stalled"),
    ):
        steps = list(engine.steps(subject, far))
        assert steps[-1].stopped == reason
        assert steps[-1].mean_distance == min(step.mean_distance for step in steps)


def test_what_a_mask_fixes_stays_to_the_pixel(subject: Inversion) -> None:
    mask = torch.zeros(1, 1, 32, 32)
    mask[..., 8:22, 6:24] = 1
    result = run_edit(ENGINE, subject, drag((12.0, 14.0), (15.0, 14.0), mask))
    assert result.mean_distance < 1.5
    change = (result.image - subject.render()).abs()
    assert (change * (1 - mask)).max() < 1e-4
    assert (change * mask).mean() > 1e-2


def test_a_mask_of_ones_is_no_mask(subject: Inversion) -> None:
    everything = torch.ones(1, 1, 32, 32)
    free = run_edit(ENGINE, subject, drag((12.0, 14.0), (15.0, 14.0)))
    masked = run_edit(ENGINE, subject, drag((12.0, 14.0), (15.0, 14.0), everything))
    torch.testing.assert_close(masked.latents, free.latents)


def test_a_picture_that_is_kept_still_changes_less(subject: Inversion) -> None:
    spec = drag((12.0, 14.0), (15.0, 14.0))

    def change(weight: float) -> float:
        result = run_edit(replace(ENGINE, still_weight=weight), subject, spec)
        assert result.mean_distance < 1.5
        return (result.image - subject.render()).abs().mean().item()

    assert change(2.0) < 0.9 * change(0.0)


@pytest.mark.parametrize(
    ("side", "handles", "masked", "reach"),
    [
        (128, 1, False, 4.0),
        (128, 4, False, 2.0),
        (128, 1, True, 1.0),
        (1024, 1, False, 1.0),
        (128, 6, False, 2.0),
        (128, 6, True, 2.0),
    ],
)
def test_a_handle_is_there_within_a_pixel_of_the_crop(
    side: int, handles: int, masked: bool, reach: float
) -> None:
    places = torch.arange(2.0 * handles + 2).view(-1, 2) + 20
    targets = places + torch.arange(2.0 * handles + 2).view(-1, 2).sign() * 9
    targets[0] = places[0]
    mask = torch.ones(1, 1, side, side)
    mask[..., 0] = 1 - float(masked)
    spec = DragSpec(handles=places, targets=targets, resolution=side, mask=mask)
    assert spec.moving == handles
    assert spec.frees_all is not masked
    assert DragEngine().reach_for(spec) == pytest.approx(reach)
    assert DragEngine(reach=7.0).reach_for(spec) == 7.0


def test_goes_on_from_an_edit(subject: Inversion) -> None:
    first = drag((12.0, 14.0), (15.0, 14.0))
    edited = run_edit(ENGINE, subject, first)
    start = edited.as_start(first)
    second = drag((20.0, 20.0), (20.0, 17.0))
    steps = list(ENGINE.steps(subject, second, start))
    assert torch.equal(steps[0].latents, edited.latents)
    assert steps[-1].stopped == "reached"
    assert torch.equal(steps[-1].latents[:, 7:], edited.latents[:, 7:])


def test_a_further_edit_keeps_the_earlier_one(subject: Inversion) -> None:
    mask, elsewhere = torch.zeros(1, 1, 32, 32), torch.zeros(1, 1, 32, 32)
    mask[..., 8:22, 6:24] = 1
    elsewhere[..., 24:30, 24:30] = 1
    first = drag((12.0, 14.0), (15.0, 14.0), mask)
    edited = run_edit(ENGINE, subject, first)
    second = drag((27.0, 27.0), (27.0, 28.5), elsewhere)
    engine = replace(ENGINE, reach=1e-3, max_steps=10)

    def change(weight: float) -> Tensor:
        edit = replace(engine, mask_weight=weight)
        return run_edit(edit, subject, second, start=edited.as_start(first)).image - edited.image

    free = 1 - torch.maximum(mask, elsewhere)
    assert (change(20.0) * free).abs().max() < 1e-4
    assert (change(20.0) * mask).abs().sum() < (change(0.0) * mask).abs().sum()


def test_edits_add_up_what_they_touched(subject: Inversion) -> None:
    one, other = torch.zeros(1, 1, 32, 32), torch.zeros(1, 1, 32, 32)
    one[..., :16, :] = 1
    other[..., :, :16] = 1
    spec = drag((12.0, 14.0), (12.1, 14.0), one)
    result = run_edit(ENGINE, subject, spec)
    start = result.as_start(spec)
    assert start.touched is not None and torch.equal(start.touched, one)
    both = result.as_start(replace(spec, mask=other), start).touched
    assert both is not None and torch.equal(both, torch.maximum(one, other))
    free = result.as_start(replace(spec, mask=None), start).touched
    assert free is not None and bool((free == 1).all())


def test_other_latents_are_no_start(subject: Inversion) -> None:
    start = EditStart(latents=subject.pivot.latents[:, :3])
    with pytest.raises(OptionError, match="goes on from latents \\[1, 8, 32\\], not"):
        run_edit(ENGINE, subject, drag((12.0, 14.0), (15.0, 14.0)), start=start)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"blocks": (8, 48)}, "no feature block 48; choose among 4, 8, 16, 32"),
        ({"source": "last"}, "source is first or current, not 'last'"),
        ({"layers": 0}, "layers must be from 1 to the generator's 8 latent vectors, not 0"),
        ({"layers": 9}, "not 9"),
        ({"tracking_blocks": (48,)}, "no feature block 48; choose among 4, 8, 16, 32"),
        ({"gradient_steps": 0}, "gradient steps must be at least 1, not 0"),
        ({"space": "z"}, "space is w or w\\+, not 'z'"),
        ({"learning_rate": float("nan")}, "learning rate must be a positive number, not nan"),
        ({"radius": -1.0}, "radius must be a positive number"),
        ({"still_weight": -1.0}, "still weight must be zero or positive"),
        ({"mask_weight": -1.0}, "mask weight must be zero or positive"),
        ({"reach": 0.0}, "reach must be a positive number"),
        ({"max_steps": 0}, "max steps must be at least 1, not 0"),
    ],
)
def test_impossible_options(options: dict[str, Any], message: str, subject: Inversion) -> None:
    with pytest.raises(OptionError, match=message):
        run_edit(DragEngine(**options), subject, drag((12.0, 14.0), (15.0, 14.0)))


def test_drag_on_another_resolution(subject: Inversion) -> None:
    places = torch.tensor([[5.0, 5.0]])
    spec = DragSpec(handles=places, targets=places + 9, resolution=64)
    with pytest.raises(OptionError, match="crop of 64 pixels, but the generator makes 32"):
        run_edit(DragEngine(), subject, spec)


def test_interrupted_edit_is_no_result(subject: Inversion) -> None:
    steps = list(ENGINE.steps(subject, drag((12.0, 14.0), (15.0, 14.0))))
    with pytest.raises(EditingError, match="interrupted before its end"):
        finish_edit(steps[:2], subject)


def test_every_option_explains_itself() -> None:
    explained = {option.name for option in fields(DragOptions) if option.metadata["help"]}
    for option in fields(DragEngine):
        assert option.name in explained or option.metadata["help"]
