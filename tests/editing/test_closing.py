"""What lies between handles that meet."""

import pytest
import torch

from editing.closing import closed_over
from editing.spec import DragSpec

SIDE = 64
LIDS = torch.tensor([[30.0, 28.0], [30.0, 34.0]])
SHUT = torch.tensor([[30.0, 32.5], [30.0, 32.5]])


def drag(targets: torch.Tensor, handles: torch.Tensor = LIDS, **kwargs: torch.Tensor) -> DragSpec:
    return DragSpec(handles=handles, targets=targets, resolution=SIDE, **kwargs)


def test_handles_that_meet_close_over_what_is_between_them() -> None:
    covered = closed_over(drag(SHUT))
    assert covered is not None
    assert covered.shape == (1, 1, SIDE, SIDE)
    assert bool((covered[0, 0, 28:34, 29:31] == 1).all())
    assert 0 <= float(covered.min()) < float(covered.max()) == 1
    assert not covered[0, 0, :22].any()
    assert not covered[0, 0, :, 40:].any()


def test_the_nearer_they_come_the_more_is_covered() -> None:
    shares = [
        0.0 if found is None else float(found.max())
        for found in (closed_over(drag(torch.lerp(LIDS, SHUT, way))) for way in (0.4, 0.65, 0.9))
    ]
    assert shares[0] == 0
    assert shares[1] == pytest.approx(0.5, abs=0.01)
    assert shares[2] == 1


@pytest.mark.parametrize(
    "spec",
    [
        drag(LIDS),
        drag(LIDS + 5),
        drag(torch.tensor([[30.0, 26.0], [30.0, 36.0]])),
        drag(torch.zeros(0, 2), torch.zeros(0, 2)),
        drag(torch.full((2, 2), 30.0), torch.tensor([[10.0, 30.0], [50.0, 30.0]])),
        drag(torch.full((2, 2), 30.0), torch.full((2, 2), 20.0)),
    ],
    ids=["still", "together", "apart", "none", "from afar", "one place"],
)
def test_other_drags_close_over_nothing(spec: DragSpec) -> None:
    assert closed_over(spec) is None


def test_a_file_keeps_it_exactly() -> None:
    covered = closed_over(drag(SHUT))
    assert covered is not None
    again = DragSpec.from_json(drag(LIDS, covered=covered).to_json()).covered
    assert again is not None
    assert torch.equal(again, covered)


def test_what_was_covered_stays_covered() -> None:
    before = torch.zeros(1, 1, SIDE, SIDE)
    before[..., 50:60, 50:60] = 0.7
    onward = closed_over(drag(LIDS + 5, covered=before))
    assert onward is before
    both = closed_over(drag(SHUT, covered=before))
    alone = closed_over(drag(SHUT))
    assert both is not None and alone is not None
    assert torch.equal(both, alone.maximum(before))
