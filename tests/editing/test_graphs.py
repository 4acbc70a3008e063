"""A drag's step as a GPU takes it: recorded once, with no look at a value and nothing copied."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from editing.course import Course
from editing.drag import Drag, DragEngine
from editing.engine import run_edit
from editing.graphs import SWITCH, captured
from editing.spec import DragSpec
from inversion.types import Inversion, Pivot

aten = torch.ops.aten
# As the drags of `test_drag`, but that the picture is kept: that has a gradient of its own.
ENGINE = DragEngine(
    still_weight=1.0,
    blocks=(16,),
    radius=24.0,
    tracking_radius=48.0,
    step_length=8.0,
    learning_rate=1.0,
    reach=6.0,
    patience=40,
)


def specification(handles: int, masked: bool) -> DragSpec:
    places = torch.tensor([[12.0, 14.0], [20.0, 20.0], [16.0, 10.0]])[:handles]
    away = torch.tensor([[3.0, 0.0], [0.0, -2.0], [0.0, 0.0]])[:handles]
    mask = torch.zeros(1, 1, 32, 32)
    mask[..., 6:24, 6:26] = 1
    return DragSpec(
        handles=places, targets=places + away, resolution=32, mask=mask if masked else None
    )


def begin(subject: Inversion, spec: DragSpec, engine: DragEngine = ENGINE) -> Drag:
    """The drag as it is on a GPU: on whole maps."""
    return replace(Drag.begin(engine, subject, spec, None), on_host=False)


def run(drag: Drag) -> Iterator[Course]:
    course = drag.set_out()
    while not bool(course.ends.any()):
        course = drag.advance(course)
        yield course


class Unseen(TorchDispatchMode):
    """Refuses operators by which a host looks at values, or brings some to the device."""

    LOOKS = (
        aten._local_scalar_dense,
        aten.is_nonzero,
        aten.equal,
        aten.nonzero,
        aten.masked_select,
        aten._unique2,
        aten.unique_dim,
    )

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Refuse an operator, or run it."""
        packet = func.overloadpacket
        if packet in self.LOOKS:
            raise AssertionError(f"{func} looks at a value")
        if packet is aten.lift_fresh:
            raise AssertionError("numbers of Python become a tensor")
        indices = args[1] if packet in (aten.index, aten.index_put, aten.index_put_) else ()
        if any(index is not None and index.dtype == torch.bool for index in indices):
            raise AssertionError("how many are chosen depends on values")
        result = func(*args, **(kwargs or {}))
        tensors = [x for x in tree_leaves((args, kwargs, result)) if isinstance(x, Tensor)]
        if len({x.device for x in tensors}) > 1:
            raise AssertionError(f"{func} joins two devices")
        return result


class WithoutValues(TorchFunctionMode):
    """Copies become tensors of the meta device, which have a shape and no values."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Copy to the meta device, or call a function."""
        if func is Tensor.__deepcopy__:
            return args[0].to("meta")
        return func(*args, **(kwargs or {}))


def without_values(drag: Drag, course: Course) -> tuple[Drag, Course]:
    with WithoutValues():
        return deepcopy((drag, course))


CASES = [(1, False), (1, True), (3, False), (3, True)]


@pytest.mark.parametrize("source", ["first", "current"])
@pytest.mark.parametrize(("handles", "masked"), CASES)
def test_a_step_looks_at_no_value(
    handles: int, masked: bool, source: Any, subject: Inversion
) -> None:
    engine = replace(ENGINE, source=source, gradient_steps=2, reach=1e-3)
    drag = begin(subject, specification(handles, masked), engine)
    course = drag.set_out()
    with Unseen():
        for _ in range(3):
            course = drag.advance(course)
    assert course.taken == 3


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("handles", "masked"), CASES)
def test_a_step_needs_no_values(
    handles: int, masked: bool, dtype: torch.dtype, subject: Inversion
) -> None:
    subject.generator.compute_dtype = dtype
    engine = replace(ENGINE, blocks=None, radius=None, step_length=None)
    drag = begin(subject, specification(handles, masked), engine)
    start = drag.set_out()
    drag, course = without_values(drag, start)
    with Unseen():
        course = drag.advance(course)
    assert tree_map(torch.Tensor.size, course) == tree_map(torch.Tensor.size, start)
    assert {x.device.type for x in tree_leaves(course)} == {"meta"}


@pytest.mark.parametrize("handles", [1, 3])
def test_whole_maps_take_the_steps_of_windows(handles: int, subject: Inversion) -> None:
    """Where all of the picture is kept, as what is fixed is weighed near the handles alone."""
    whole = begin(subject, specification(handles, masked=False))
    steps = list(run(whole))
    expected = list(run(replace(whole, on_host=True)))
    assert len(steps) == len(expected)
    for step, other in zip(steps, expected, strict=True):
        torch.testing.assert_close(step.here.points, other.here.points, atol=2e-3, rtol=0)
        torch.testing.assert_close(step.here.offset, other.here.offset, atol=2e-3, rtol=0)
    assert torch.equal(steps[-1].ends, expected[-1].ends)


def test_whole_maps_drag_within_a_mask(subject: Inversion) -> None:
    *_, end = run(begin(subject, specification(1, masked=True)))
    assert end.here.distance < 1


@pytest.mark.parametrize("on_host", [True, False])
def test_a_drag_that_has_ended_stays_as_it_is(on_host: bool, subject: Inversion) -> None:
    drag = begin(subject, specification(1, masked=False), replace(ENGINE, max_steps=3))
    drag = replace(drag, on_host=on_host)
    *_, end = run(drag)
    further = drag.advance(drag.advance(end))
    assert all(map(torch.equal, tree_leaves(end), tree_leaves(further)))


def test_steps_may_be_taken_past_the_end(subject: Inversion) -> None:
    """The host of a GPU looks at every fourth step only."""
    drag = begin(subject, specification(1, masked=False), replace(ENGINE, max_steps=3))
    courses = list(run(drag))
    courses.append(drag.advance(courses[-1]))
    steps = list(drag.read(courses))
    assert [step.index for step in steps] == [1, 2, 3, 3]
    assert [step.stopped for step in steps] == [None, None, "step cap", "step cap"]
    for step, course in zip(steps, courses, strict=True):
        assert step.mean_distance == float(course.here.distance)
        assert torch.equal(step.points, course.here.points)


def test_without_cuda_nothing_is_recorded() -> None:
    def doubled(x: Tensor) -> Tensor:
        return 2 * x

    assert captured(doubled, torch.ones(2)) is doubled


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
@pytest.mark.parametrize(("handles", "masked"), CASES)
def test_a_recorded_drag_is_the_same(
    handles: int, masked: bool, subject: Inversion, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Warnings are errors in these tests: one that cannot be recorded fails here."""
    noise = {name: maps.cuda() for name, maps in subject.pivot.noise.items()}
    pivot = Pivot(subject.pivot.latents.cuda(), noise)
    moved = replace(subject, generator=subject.generator.cuda(), pivot=pivot)
    spec = specification(handles, masked)
    recorded = run_edit(ENGINE, moved, spec)
    monkeypatch.setenv(SWITCH, "0")
    eager = run_edit(ENGINE, moved, spec)
    assert (recorded.steps, recorded.stopped) == (eager.steps, eager.stopped)
    torch.testing.assert_close(recorded.latents, eager.latents, atol=1e-4, rtol=1e-4)
