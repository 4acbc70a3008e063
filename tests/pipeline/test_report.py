"""What is said of an edit."""

import torch

from editing.engine import EditResult
from editing.spec import DragSpec
from editing.steps import StopReason
from pipeline.report import tell_drag


def told(stopped: StopReason, left: float) -> str:
    """Of a drag of 10 px with an anchor beside it, which left so many."""
    handles = torch.tensor([[8.0, 8.0], [20.0, 20.0]])
    targets = torch.tensor([[18.0, 8.0], [20.0, 20.0]])
    spec = DragSpec(handles=handles, targets=targets, resolution=32)
    result = EditResult(
        latents=torch.zeros(1, 2, 4), image=torch.zeros(1, 3, 32, 32), points=targets,
        stopped=stopped, steps=7, seconds=1.0, mean_distance=left, reached=(False, True),
    )  # fmt: skip
    return tell_drag(spec, result)


def test_a_drag_is_told_by_its_share_of_the_way() -> None:
    assert told("reached", 0.5) == "the drag reached its targets in 7 steps"
    assert told("stalled", 4.0) == "the drag came 60% of the way in 7 steps"
    assert told("step cap", 12.0) == "the drag came 0% of the way in 7 steps"
    assert told("nothing to do", 0.0) == "the drag had nothing to do"
