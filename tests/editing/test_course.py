"""When a drag goes back, and when it ends."""

from __future__ import annotations

import pytest
import torch

from editing.course import ENDS, Course, Patience, Place, where
from editing.descent import Descent

PATIENCE = Patience(steps=6, idle=3, progress=0.5, setback=2.0)


def place(distance: float) -> Place:
    """A place that is known by its distance."""
    number = torch.tensor(distance, dtype=torch.float64)
    return Place(
        offset=number.view(1, 1, 1),
        points=number.expand(1, 2),
        distance=number,
        lowered=number,
        loss=number,
        gradient=number.view(1, 1, 1),
    )


def follow(*distances: float, reach: float = 1.0) -> list[Course]:
    """The courses of a drag that is at those distances one after the other."""
    first, *others = distances
    start = place(first)
    courses = [Course.begin(start, Descent.begin(start.gradient, 8.0))]
    for distance in others:
        course, there = courses[-1], place(distance)
        _, descent = course.descent.step(course.here.gradient)
        verdict = PATIENCE.judge(course, there.distance, there.distance <= reach)
        courses.append(course.after(there, descent, verdict))
    return courses


def ends(course: Course) -> list[str]:
    return [why for why, come in zip(ENDS, course.ends.tolist(), strict=True) if come]


def test_goes_on_while_it_comes_nearer() -> None:
    course = follow(9.0, 8.0, 7.0, 6.0)[-1]
    assert ends(course) == []
    assert (course.here.distance, course.best.distance) == (6, 6)
    assert (course.taken, course.progress, course.descent.taken) == (3, 3, 3)
    assert course.descent.length == 8


def test_small_gains_are_the_best_and_no_progress() -> None:
    course = follow(9.0, 8.8, 8.6)[-1]
    assert (course.best.distance, course.progress) == (8.6, 0)


def test_a_step_that_falls_far_behind_is_undone() -> None:
    *_, good, some, far = follow(9.0, 6.0, 7.5, 8.1)
    assert (some.here.distance, some.best.distance) == (7.5, 6)
    assert (far.here.distance, far.best.distance, far.taken) == (6, 6, 3)
    assert (far.descent.taken, far.descent.length) == (0, 4)
    assert all(torch.equal(one, other) for one, other in zip(far.here, good.best, strict=True))


@pytest.mark.parametrize(
    ("distances", "why", "at"),
    [
        ((9.0, 5.0, 0.9), "reached", 0.9),
        ((9.0, 5.0, 6.0, 5.4, 5.2), "stalled", 5.0),
        ((9.0, 5.0, 6.0, 5.4, 4.9), "stalled", 4.9),
        ((9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 5.9), "step cap", 4.0),
    ],
)
def test_ends_at_the_best_place(distances: tuple[float, ...], why: str, at: float) -> None:
    *before, last = follow(*distances)
    assert not any(course.ends.any() for course in before)
    assert ends(last) == [why]
    assert last.here.distance == at
    assert last.taken == len(distances) - 1


def test_stays_where_it_ended() -> None:
    end, one, other = follow(9.0, 0.9, 0.2, 30.0)[1:]
    for further in (one, other):
        assert ends(further) == ["reached"]
        assert (further.here.distance, further.taken) == (0.9, 1)
        assert further.descent is not end.descent
        assert further.descent.taken == end.descent.taken


def test_where_takes_tuples_apart() -> None:
    these, those = (torch.ones(2), (torch.ones(1),)), (torch.zeros(2), (torch.zeros(1),))
    assert where(torch.tensor(True), these, those)[1][0] == 1
    assert where(torch.tensor(False), these, those)[1][0] == 0
