"""History and drafts as values."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from editing.presets import PRESETS
from editing.regions import REGIONS
from pipeline.studio.document import Document, EditNote, read_document
from pipeline.studio.draft import (
    MOST_POINTS,
    Draft,
    DraftPoint,
    ExpressionSource,
    read_draft,
)
from pipeline.studio.errors import MessageError, UnknownError

coordinates = st.floats(-1e5, 1e5, allow_nan=False)
places = st.tuples(coordinates, coordinates)
points = st.lists(
    st.builds(
        DraftPoint,
        id=st.text(min_size=1, max_size=16),
        at=places,
        to=places,
        lock=st.booleans(),
    ),
    max_size=5,
    unique_by=lambda point: point.id,
)
drafts = st.builds(
    Draft,
    points=points.map(tuple),
    presets=st.dictionaries(st.sampled_from(sorted(PRESETS)), st.floats(-2, 2), max_size=3),
    expression=st.none()
    | st.builds(
        ExpressionSource,
        expression=st.text(min_size=1, max_size=16),
        name=st.text(min_size=1, max_size=30),
        faces=st.lists(st.text(min_size=1, max_size=16), max_size=3).map(tuple),
    ),
    region=st.none() | st.sampled_from([*REGIONS, "all"]),
    mask=st.none() | st.just("0123456789abcdef"),
)


def note(edit: int, parent: int) -> EditNote:
    return EditNote(
        edit=edit,
        parent=parent,
        continued=False,
        label="smile 1",
        stopped="reached",
        steps=7,
        seconds=0.5,
        distance=1.5,
        rect=(1, 2, 30, 40),
        request={"presets": {"smile": 1.0}},
    )


@given(drafts)
def test_a_draft_survives_the_way_through_json(draft: Draft) -> None:
    assert read_draft(json.loads(json.dumps(draft.to_json()))) == draft


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"points": [{"id": "a", "at": [0, 0]}]}, "a place must be a list"),
        ({"points": [{"id": "", "at": [0, 0], "to": [0, 0]}]}, "id"),
        ({"points": [{"id": "a", "at": [0, float("nan")], "to": [0, 0]}]}, "finite"),
        ({"points": [{"id": "a", "at": [0], "to": [0, 0]}]}, r"\[x, y\]"),
        ({"points": [{"id": "a", "at": [0, 0], "to": [0, 0], "lock": 1}]}, "lock"),
        ({"points": [{"id": "a", "at": [0, 0], "to": [0, 0]}] * 2}, "one id"),
        ({"presets": {"elbow": 1}}, "unknown preset"),
        ({"presets": {"smile": "much"}}, "finite number"),
        ({"presets": {"smile": True}}, "finite number"),
        ({"region": "elbow"}, "unknown region"),
        ({"mask": "x" * 41}, "mask"),
        ({"expression": "x"}, "expression"),
    ],
)
def test_what_is_no_draft_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(MessageError, match=message):
        read_draft({**Draft().to_json(), **change})


def test_no_more_points_than_a_face_has_landmarks() -> None:
    point = {"at": [0, 0], "to": [1, 1], "lock": False}
    many = [{"id": str(k), **point} for k in range(MOST_POINTS + 1)]
    assert len(read_draft({"points": many[1:]}).points) == MOST_POINTS
    with pytest.raises(MessageError, match="at most 68"):
        read_draft({"points": many})


@pytest.mark.parametrize(
    ("draft", "label"),
    [
        (Draft(), "nothing"),
        (Draft(presets={"smile": 0.8, "open-eyes": 0.0}), "smile 0.8"),
        (Draft(points=(DraftPoint(id="a", at=(0, 0), to=(1, 0)),)), "1 point"),
        (Draft(points=(DraftPoint(id="a", at=(0, 0), to=(1, 0), lock=True),)), "nothing"),
    ],
)
def test_labels(draft: Draft, label: str) -> None:
    assert draft.label == label


@given(st.lists(drafts, min_size=1, max_size=6), st.integers(1, 6))
def test_undo_and_redo_take_each_other_back(steps: list[Draft], back: int) -> None:
    document = Document.begin(Draft())
    for draft in steps:
        document = document.commit(draft)
    assert document.can_undo
    assert not document.can_redo
    undone = document
    for _ in range(back):
        undone = undone.undo()
    expected = [Draft(), *steps][max(len(steps) - back, 0)]
    assert undone.moment.draft == expected
    for _ in range(back):
        undone = undone.redo()
    assert undone == document


@given(st.lists(drafts, max_size=4), st.integers(0, 4))
def test_a_document_survives_the_way_through_json(steps: list[Draft], back: int) -> None:
    document = Document.begin(Draft()).with_edit(note(1, 0), Draft())
    for draft in steps:
        document = document.commit(draft)
    for _ in range(back):
        document = document.undo()
    assert read_document(json.loads(json.dumps(document.to_json()))) == document


def test_edits_stay_when_they_are_undone() -> None:
    document = Document.begin(Draft()).with_edit(note(1, 0), Draft())
    document = document.with_edit(note(2, 1), Draft()).undo().undo()
    assert document.moment.shown == 0
    branch = document.with_edit(note(3, 0), Draft())
    assert list(branch.edits) == [1, 2, 3]
    assert [each.edit for each in branch.path(2)] == [1, 2]
    assert [each.edit for each in branch.path(3)] == [3]
    assert branch.show(2).moment.shown == 2
    with pytest.raises(UnknownError):
        branch.show(9)


def test_what_is_damaged_of_a_history_is_left_out() -> None:
    document = Document.begin(Draft()).with_edit(note(1, 0), Draft()).with_edit(note(2, 1), Draft())
    record: Any = json.loads(json.dumps(document.to_json()))
    whole = read_document(record)
    assert whole == document
    assert whole.skipped == 0

    record["edits"][1]["rect"] = "nowhere"
    found = read_document(record)
    assert (list(found.edits), found.moment.shown, found.skipped) == ([1], 1, 2)
    assert not found.can_redo

    record["edits"][0]["parent"] = 1  # a way back without an end
    found = read_document(record)
    assert (list(found.edits), found.moment.shown, found.skipped) == ([], 0, 4)


@pytest.mark.parametrize("damage", [{"now": 5}, {"now": "x"}, {"now": -3}])
def test_a_history_at_no_moment_is_at_its_last(damage: dict[str, object]) -> None:
    document = Document.begin(Draft()).with_edit(note(1, 0), Draft())
    assert read_document({**document.to_json(), **damage}) == document


@pytest.mark.parametrize("record", [{}, {"moments": 7}, {"moments": [7, {}], "edits": [None]}])
def test_nothing_that_can_be_read_is_an_empty_history(record: dict[str, object]) -> None:
    found = read_document(record)
    assert (found.edits, found.moment.shown) == ({}, 0)
    assert found.skipped > 0
