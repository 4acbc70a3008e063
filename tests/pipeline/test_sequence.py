"""Edits on top of edits: where their points lie, and what all of them may change."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from editing.spec import DragSpec
from inversion.types import Inversion
from pipeline.cli import main
from pipeline.models import Models, load_models
from pipeline.sequence import move_face, of_the_whole, start_from, trace_back, union_of_masks
from pipeline.session import open_session
from pipeline.stored import StoredEdit, recall_edit, recall_inversion, recall_selection

HANDLES = torch.tensor([[10.0, 12.0], [20.0, 21.0]])


@pytest.fixture(scope="module")
def models(tiny_file: Path) -> Models:
    return load_models(str(tiny_file), device="cpu", finder="builtin")


@pytest.fixture(scope="module")
def subject(inverted: Path, models: Models) -> Inversion:
    found = recall_inversion(open_session(inverted), models)
    assert found is not None
    return found


def stored(subject: Inversion, mask: torch.Tensor | None = None) -> StoredEdit:
    """An edit whose picture is the inversion's own, although its handles are said to have moved."""
    return StoredEdit(
        number=1,
        parent=0,
        request={},
        spec=DragSpec(handles=HANDLES, targets=HANDLES + 4, resolution=32, mask=mask),
        latents=subject.pivot.latents,
        points=HANDLES + 3,
        stopped="stalled",
        mask=None,
    )


def square(x0: int, x1: int) -> torch.Tensor:
    mask = torch.zeros(1, 1, 32, 32)
    mask[..., x0:x1] = 1
    return mask


def test_handles_go_back_to_where_they_were(subject: Inversion) -> None:
    before = stored(subject)
    assert torch.equal(trace_back(before.points, before, subject), HANDLES)
    assert len(trace_back(torch.zeros(0, 2), before, subject)) == 0


def test_where_nothing_moved_points_stay(subject: Inversion) -> None:
    still = stored(subject)
    still = replace(still, points=still.spec.handles)
    others = torch.tensor([[3.0, 4.0], [29.0, 5.0], [15.5, 30.0]])
    assert torch.allclose(trace_back(others, still, subject), others, atol=0.05)


def test_the_whole_may_change_what_any_edit_may(subject: Inversion) -> None:
    before = stored(subject, square(0, 24))
    further = DragSpec(
        handles=before.points, targets=before.points + 1, resolution=32, mask=square(8, 32)
    )
    whole = of_the_whole(further, before, subject)
    assert whole.mask is not None
    assert bool((whole.mask == 1).all())
    assert torch.equal(whole.handles, HANDLES)
    assert torch.equal(whole.targets, further.targets)
    free = of_the_whole(replace(further, mask=None), before, subject)
    assert free.mask is None


def test_what_an_earlier_edit_closed_over_stays_covered(subject: Inversion) -> None:
    lids = torch.tensor([[15.0, 14.0], [15.0, 17.0]])
    shut = DragSpec(handles=lids, targets=lids.mean(0).expand(2, 2), resolution=32)
    before = replace(stored(subject), spec=shut, points=lids)
    further = DragSpec(handles=HANDLES, targets=HANDLES + 1, resolution=32)
    assert of_the_whole(further, stored(subject), subject).covered is None
    whole = of_the_whole(further, before, subject)
    assert whole.covered is not None
    assert float(whole.covered[0, 0, 15, 15]) == 1
    third = of_the_whole(further, replace(before, spec=whole), subject)
    assert third.covered is not None
    assert torch.equal(third.covered, whole.covered)


def test_a_start_knows_what_was_free_to_change(subject: Inversion) -> None:
    mask = square(0, 24)
    touched = start_from(stored(subject, mask)).touched
    assert touched is not None
    assert torch.equal(touched, mask)
    everything = start_from(stored(subject)).touched
    assert everything is not None
    assert bool((everything == 1).all())


def test_landmarks_that_were_dragged_lie_where_they_ended(
    subject: Inversion, inverted: Path
) -> None:
    selection = recall_selection(open_session(inverted))
    assert selection.face is not None
    corner = selection.alignment.to_crop(selection.face.landmarks[8])
    handle = torch.from_numpy(corner)[None].float()
    edit = replace(
        stored(subject),
        spec=DragSpec(handles=handle, targets=handle + 2, resolution=32),
        points=handle + 2,
    )
    moved = move_face(selection, edit, subject)
    assert moved is not None
    way = selection.alignment.to_crop(moved.landmarks) - selection.alignment.to_crop(
        selection.face.landmarks
    )
    assert np.allclose(way[8], 2, atol=1e-4)
    assert np.allclose(np.delete(way, 8, axis=0), 0, atol=1e-4)


@pytest.mark.slow
def test_a_third_edit_finds_what_the_first_one_moved(portrait: Path, tmp_path: Path) -> None:
    session = ["--session", str(tmp_path / "s")]
    fast = ["--quality", "fast"]
    brows = ["edit", str(portrait), *session, *fast, "--preset", "raise-brows"]
    assert main([*brows, "-o", str(tmp_path / "e.png")]) == 0
    assert main(["drag", *session, "--from", "1", "--preset", "open-mouth=0.5"]) == 0
    kept = open_session(tmp_path / "s")
    subject = recall_inversion(kept, load_models())
    assert subject is not None
    selection = recall_selection(kept)
    moved = move_face(selection, recall_edit(kept, 2), subject)
    assert moved is not None and selection.face is not None
    way = selection.alignment.to_crop(moved.landmarks) - selection.alignment.to_crop(
        selection.face.landmarks
    )
    brows, nose = way[17:27, 1].mean(), way[27:31, 1].mean()
    assert brows < -1
    assert abs(nose) < abs(brows) / 4


def test_union_of_painted_masks() -> None:
    one, other = np.eye(3, dtype=np.uint8), np.zeros((3, 3), np.uint8)
    assert union_of_masks(one, None) is None
    assert union_of_masks(None, other) is None
    union = union_of_masks(one, other)
    assert union is not None
    assert (union == one).all()
