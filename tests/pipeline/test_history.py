"""Undo and redo over the edits of a session."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from editing.engine import EditResult
from editing.spec import DragSpec
from pipeline.errors import SessionError
from pipeline.history import redo, shown_edit, undo
from pipeline.request import EditRequest
from pipeline.session import Session, Settings, begin_session, open_session
from pipeline.stored import keep_edit, recall_edit

SETTINGS = Settings(generator="tiny", generator_sha256="ab", quality="fast", seed=0)
PLACES = torch.tensor([[3.0, 4.0]])
RESULT = EditResult(
    latents=torch.zeros(1, 2, 4),
    image=torch.zeros(1, 3, 8, 8),
    points=PLACES,
    stopped="reached",
    steps=1,
    seconds=0.1,
    mean_distance=0.0,
    reached=(True,),
)


@pytest.fixture
def session(tmp_path: Path) -> Session:
    photo = tmp_path / "p.png"
    return begin_session(
        tmp_path / "s", photo=photo, photo_sha256="aa", selected="face 1", settings=SETTINGS
    )


def edited(session: Session, parent: int) -> Session:
    spec = DragSpec(handles=PLACES, targets=PLACES + 1, resolution=8)
    return keep_edit(open_session(session.folder), EditRequest(), spec, RESULT, parent=parent)


def test_undo_and_redo_walk_the_newest_branch(session: Session) -> None:
    for parent in (0, 1, 1):
        session = edited(session, parent)
    assert shown_edit(session) == 3

    def step(back: bool) -> int:
        found = open_session(session.folder)
        return undo(found) if back else redo(found)

    assert [step(True), step(True)] == [1, 0]
    assert shown_edit(open_session(session.folder)) == 0
    assert [step(False), step(False)] == [1, 3]
    assert open_session(session.folder).edits == [1, 2, 3]


def test_a_new_edit_branches_off_what_is_shown(session: Session) -> None:
    session = edited(edited(session, 0), 1)
    assert undo(session) == 1
    session = edited(session, shown_edit(open_session(session.folder)))
    assert shown_edit(session) == 3
    assert undo(session) == 1


def test_ends_of_the_history_are_said(session: Session) -> None:
    with pytest.raises(SessionError, match="nothing to undo"):
        undo(session)
    with pytest.raises(SessionError, match="goes on from the untouched photo, nothing to redo"):
        redo(session)
    session = edited(session, 0)
    with pytest.raises(SessionError, match=re.escape("goes on from edit 1, nothing to redo")):
        redo(session)


def test_where_the_mask_held_is_kept(session: Session) -> None:
    movable = torch.zeros(1, 1, 8, 8)
    movable[..., :4] = 1
    spec = DragSpec(handles=PLACES, targets=PLACES + 1, resolution=8, mask=movable)
    kept = keep_edit(session, EditRequest(), spec, replace(RESULT, movable=movable))
    found = recall_edit(kept, 1).movable
    assert found is not None and torch.equal(found, movable)
    assert recall_edit(edited(kept, 1), 2).movable is None
