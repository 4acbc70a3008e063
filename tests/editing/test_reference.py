"""The reference engine against a second, plain account of what the authors' program does.

The account below is written from its description alone and shares nothing with the engine but the
generator: whole feature maps enlarged to the image, loops over pixels and handles, indices
(row, column).
"""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from editing.engine import ENGINES, run_edit
from editing.errors import OptionError
from editing.reference import PAPER, ReferenceEngine
from editing.spec import DragSpec
from editing.steps import EditStart
from inversion.types import Inversion

SIDE = 32
# Of an image of 32 px the authors' radii of 3 and 12 at 512 would be less than one pixel.
RADIUS, TRACKING_RADIUS = 48.0, 80.0


def plain_account(
    subject: Inversion,
    handles: list[tuple[int, int]],
    targets: list[tuple[int, int]],
    fixed: Tensor | None,
    steps: int,
) -> list[list[tuple[int, int]]]:
    """Places (row, column) of the handles before every step of the optimiser."""
    r1, r2 = round(RADIUS / 512 * SIDE), round(TRACKING_RADIUS / 512 * SIDE)
    w0 = subject.pivot.latents
    w = w0.clone().requires_grad_()
    adam = torch.optim.Adam([w], lr=1e-3)
    points = list(handles)
    references: list[Tensor] = []
    first = torch.empty(0)
    track: list[list[tuple[int, int]]] = []
    for k in range(steps):
        latents = torch.cat((w[:, :6], w0[:, 6:]), dim=1)
        features = subject.generator.synthesize(latents, keep=(32,)).features[32]
        feat = F.interpolate(features, [SIDE, SIDE], mode="bilinear")[0]
        if k == 0:
            first = feat.detach()
            references = [first[:, row, column] for row, column in points]
        for j, (row, column) in enumerate(points):
            best = math.inf
            for y in range(max(row - r2, 0), min(row + r2 + 1, SIDE)):
                for x in range(max(column - r2, 0), min(column + r2 + 1, SIDE)):
                    distance = float((feat[:, y, x].detach() - references[j]).pow(2).sum().sqrt())
                    if distance < best:
                        best, points[j] = distance, (y, x)
        track.append(list(points))
        loss = torch.zeros(())
        for (row, column), (to_row, to_column) in zip(points, targets, strict=True):
            length = math.hypot(to_row - row, to_column - column)
            if length <= 1:
                continue
            differences: list[Tensor] = []
            for y in range(SIDE):
                for x in range(SIDE):
                    at = (y * SIDE / (SIDE - 1), x * SIDE / (SIDE - 1))
                    if math.hypot(at[0] - row, at[1] - column) < r1:
                        there = y + (to_row - row) / length, x + (to_column - column) / length
                        differences.append((feat[:, y, x].detach() - read(feat, *there)).abs())
            loss = loss + torch.stack(differences).mean()
        if fixed is not None:
            loss = loss + 20 * (feat * fixed - first * fixed).abs().mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
    return track


def read(feat: Tensor, y: float, x: float) -> Tensor:
    """Between four pixels; what lies outside is zero."""
    row, column = math.floor(y), math.floor(x)
    value = torch.zeros(feat.shape[0])
    for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)):
        if 0 <= row + i < SIDE and 0 <= column + j < SIDE:
            weight = (1 - abs(y - row - i)) * (1 - abs(x - column - j))
            value = value + weight * feat[:, row + i, column + j]
    return value


def spec_of(
    handles: list[tuple[int, int]], targets: list[tuple[int, int]], mask: Tensor | None
) -> DragSpec:
    """(row, column) indices as points of pixels' centres."""

    def points(places: list[tuple[int, int]]) -> Tensor:
        return torch.tensor([(x + 0.5, y + 0.5) for y, x in places])

    return DragSpec(handles=points(handles), targets=points(targets), resolution=SIDE, mask=mask)


@pytest.mark.parametrize("masked", [False, True])
def test_moves_its_handles_as_the_plain_account_does(masked: bool, subject: Inversion) -> None:
    handles, targets = [(14, 12), (20, 22)], [(14, 20), (11, 24)]
    mask = torch.ones(1, 1, SIDE, SIDE)
    mask[..., 26:, :] = 0
    engine = replace(ENGINES["reference"], radius=RADIUS, tracking_radius=TRACKING_RADIUS)
    engine = replace(engine, max_steps=24)
    found = engine.steps(subject, spec_of(handles, targets, mask if masked else None))
    places = [[(int(y), int(x)) for x, y in step.points.tolist()] for step in found]
    fixed = (1 - mask)[0, 0] if masked else None
    expected = plain_account(subject, handles, targets, fixed, 25)
    assert places == expected[: len(places)]
    assert places[-1] != places[0]


def test_the_authors_numbers() -> None:
    reference = ReferenceEngine()
    assert ENGINES["reference"] == reference
    assert (reference.layers, reference.learning_rate, reference.mask_weight) == (6, 1e-3, 20)
    assert (reference.radius, reference.tracking_radius, reference.reach) == (3, 12, 2)
    assert (reference.norm, reference.reduction, reference.tracker) == ("l2", "mean", "nearest")
    assert ENGINES["paper"] == PAPER
    assert (PAPER.learning_rate, PAPER.norm, PAPER.reduction) == (2e-3, "l1", "sum")
    assert PAPER.max_steps == 300
    one = torch.tensor([[3.0, 3.0]])
    six = one.repeat(6, 1)
    assert PAPER.reach_for(DragSpec(handles=one, targets=one + 4, resolution=SIDE)) == 1
    assert PAPER.reach_for(DragSpec(handles=six, targets=six + 4, resolution=SIDE)) == 2


@pytest.mark.parametrize("name", ["reference", "paper"])
def test_goes_towards_its_target_and_stops_there(name: str, subject: Inversion) -> None:
    engine = replace(ENGINES[name], radius=RADIUS, learning_rate=1e-2, reach=2.0)
    steps = list(engine.steps(subject, spec_of([(14, 12)], [(14, 16)], None)))
    assert steps[-1].stopped == "reached"
    assert steps[-1].mean_distance <= 2
    assert torch.equal(steps[-1].latents[:, 6:], subject.pivot.latents[:, 6:])
    assert [step.index for step in steps] == list(range(len(steps)))


def test_w_moves_six_vectors_alike(subject: Inversion) -> None:
    engine = replace(ENGINES["reference"], space="w", radius=RADIUS, max_steps=3)
    result = run_edit(engine, subject, spec_of([(14, 12)], [(14, 20)], None))
    assert result.stopped == "step cap"
    assert (result.latents[:, :6] == result.latents[:, :1]).all()


def test_goes_on_from_an_earlier_edit(subject: Inversion) -> None:
    moved = subject.pivot.latents + 0.1
    engine = replace(ENGINES["reference"], max_steps=1)
    spec = spec_of([(14, 12)], [(14, 20)], None)
    steps = list(engine.steps(subject, spec, EditStart(latents=moved)))
    assert torch.equal(steps[0].latents, moved)
    assert torch.equal(steps[-1].latents[:, 6:], moved[:, 6:])


def test_anchors_alone_are_nothing_to_do(subject: Inversion) -> None:
    result = run_edit(ENGINES["reference"], subject, spec_of([(14, 12)], [(14, 12)], None))
    assert (result.stopped, result.steps) == ("nothing to do", 0)


def test_refuses_what_does_not_fit(subject: Inversion) -> None:
    with pytest.raises(OptionError, match="no feature block 48"):
        run_edit(ReferenceEngine(blocks=(48,)), subject, spec_of([(14, 12)], [(14, 20)], None))
    with pytest.raises(OptionError, match="tracker is one of none, nearest, subpixel, raft"):
        run_edit(ReferenceEngine(tracker="x"), subject, spec_of([(14, 12)], [(14, 20)], None))
