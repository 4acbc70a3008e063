"""Pictures of edits, with what a mask fixes held."""

from __future__ import annotations

import pytest
import torch

from editing.held import Held, held_sides, shares
from editing.render import Renderer, render_edit
from editing.synthesis import PartialSynthesis
from inversion.types import Inversion


@pytest.fixture
def moved(subject: Inversion) -> torch.Tensor:
    start = subject.pivot.latents
    return start + 0.5 * torch.randn(start.shape, generator=torch.Generator().manual_seed(1))


def test_draws_as_the_inversion_where_nothing_is_fixed(
    subject: Inversion, moved: torch.Tensor
) -> None:
    drawn = subject.render(moved)
    torch.testing.assert_close(Renderer(subject)(moved), drawn, atol=1e-4, rtol=1e-4)
    assert torch.equal(render_edit(subject, moved, None), drawn)
    everything = torch.ones(1, 1, 32, 32)
    torch.testing.assert_close(render_edit(subject, moved, everything), drawn, atol=1e-4, rtol=1e-4)


def test_what_is_fixed_is_the_inversions_picture(subject: Inversion, moved: torch.Tensor) -> None:
    movable = torch.zeros(1, 1, 32, 32)
    movable[..., 10:20] = 1
    found, original = render_edit(subject, moved, movable), subject.render()
    fixed = movable.expand_as(original) == 0
    torch.testing.assert_close(found[fixed], original[fixed], atol=1e-4, rtol=1e-4)
    # The features on both sides of the border are drawn together: less of a step than a cut has.
    held = (found - original).abs().mean(dim=(0, 1, 2))
    cut = ((subject.render(moved) - original) * movable).abs().mean(dim=(0, 1, 2))
    assert held[15] > 0.05
    assert held[10] + held[19] < cut[10] + cut[19]


def test_windows_and_whole_maps_hold_alike(subject: Inversion, moved: torch.Tensor) -> None:
    pivot = subject.pivot.latents
    kept = PartialSynthesis(subject, pivot, moving=0, blocks=(32,)).paint(pivot[:, :0])
    movable = torch.zeros(1, 1, 32, 32)
    movable[..., 9:21, 5:18] = 1
    held = Held(kept=kept, movable=shares(movable, kept, held_sides(32)), fixed={})
    synthesis = PartialSynthesis(subject, pivot, moving=6, blocks=(16, 32))
    place = torch.tensor([[17.0, 10.0]])
    at = place[:, None] + torch.tensor([[0.0, 0.0], [1.5, -1.0]])
    part = synthesis(moved[:, :6], place, 2.0, held=held).at(at)
    torch.testing.assert_close(
        part, synthesis(moved[:, :6], held=held).at(at), atol=1e-4, rtol=1e-4
    )


def test_strain_is_what_would_change_were_it_not_held(
    subject: Inversion, moved: torch.Tensor
) -> None:
    pivot = subject.pivot.latents
    kept = PartialSynthesis(subject, pivot, moving=0, blocks=(32,)).paint(pivot[:, :0])
    mask = torch.zeros(1, 1, 32, 32)
    mask[..., 10:20] = 1
    movable, fixed = shares(mask, kept, held_sides(32)), shares(1 - mask, kept, [16, 32])
    held = Held(kept=kept, movable=movable, fixed=fixed)
    synthesis = PartialSynthesis(subject, pivot, moving=8, blocks=(16, 32))
    unmoved, strained = synthesis(pivot, held=held).strain, synthesis(moved, held=held).strain
    assert unmoved is not None and unmoved < 1e-5
    assert strained is not None and strained > 0.01
    assert synthesis(moved).strain is None
