"""Small local warps of a face, and exactly where its landmarks go.

A finder that knows what faces look like sees a part that moved nearer to where parts usually are,
and its neighbours gone along. Shown faces before and after parts of them moved, it learns to read
more of a movement and less beside it.
"""

import dataclasses
import itertools

import numpy as np
import numpy.typing as npt
from numpy.random import Generator

from weights.face_finder import MIRRORED

Points = npt.NDArray[np.float64]

_CURVES = (
    *(range(17), range(17, 22), range(22, 27), range(27, 31), range(31, 36), (30, 33)),
    *((*range(36, 42), 36), (*range(42, 48), 42), (*range(48, 60), 48), (*range(60, 68), 60)),
)
_STRETCHES = np.array([pair for curve in _CURVES for pair in itertools.pairwise(curve)])
_EYE = np.array(list(itertools.pairwise((*range(36, 42), 36))))
_STEEPEST = np.exp(-0.5)
"""Slope of a bump of height and reach 1 where it is steepest."""
_STEEP = 0.8
"""Slope that a warp may have; below 1 it folds nothing."""
_ITERATIONS = 25


@dataclasses.dataclass(frozen=True, kw_only=True)
class PartWarp:
    """A smooth warp of a picture: Gaussian bumps around stretches between two landmarks each.

    All in px of the picture.
    """

    ends: Points
    """[B, 2, 2], of each stretch in the warped picture."""
    shifts: Points
    """[B, 2], how far what is drawn on a stretch came."""
    reaches: Points
    """[B], standard deviation of each bump."""

    def shift(self, points: Points) -> Points:
        """Return how far what is drawn at points [..., 2] of the warped picture came."""
        edges, away = self.ends[:, 1] - self.ends[:, 0], points[..., None, :] - self.ends[:, 0]
        along = (away * edges).sum(-1) / (edges**2).sum(-1).clip(1e-9)
        away = away - along.clip(0, 1)[..., None] * edges
        return np.exp(-(away**2).sum(-1) / (2 * self.reaches**2)) @ self.shifts

    def moved(self, points: Points) -> Points:
        """Return where points [..., 2] of the picture are in the warped one."""
        there = points
        for _ in range(_ITERATIONS):
            there = points + self.shift(there)
        return there


def random_parts(rng: Generator, landmarks: Points) -> PartWarp:
    """Draw a warp of one to three parts of a face [68, 2], as strong as small edits are."""
    chosen = _STRETCHES[rng.integers(len(_STRETCHES), size=rng.integers(1, 4))]
    return _warp(rng, landmarks, chosen, (0.07, 0.4), 0.12)


def random_lids(rng: Generator, landmarks: Points) -> PartWarp:
    """Draw a warp of one to three parts of the right eye's lids of a face [68, 2]."""
    chosen = _EYE[rng.integers(len(_EYE), size=rng.integers(1, 4))]
    return _warp(rng, landmarks, chosen, (0.05, 0.2), 0.05)


def _warp(
    rng: Generator,
    landmarks: Points,
    stretches: npt.NDArray[np.int64],
    reaches: tuple[float, float],
    strength: float,
) -> PartWarp:
    """Warp some stretches, and half the time those of the other side as in a mirror.

    Args:
        rng: source of all randomness.
        landmarks: [68, 2], px.
        stretches: [B, 2], numbers of landmarks.
        reaches: smallest and largest of a bump, eyes apart.
        strength: standard deviation of each coordinate of a shift, eyes apart.
    """
    across = landmarks[42:48].mean(0) - landmarks[36:42].mean(0)
    apart = float(np.hypot(*across))
    axes = np.array([across, [-across[1], across[0]]]) / apart
    low, high = np.log(reaches)
    reach = apart * np.exp(rng.uniform(low, high, len(stretches)))
    shifts = rng.normal(0, strength, (len(stretches), 2))
    if rng.random() < 0.5:
        stretches = np.concatenate((stretches, MIRRORED[stretches]))
        shifts = np.concatenate((shifts, shifts * (-1, 1)))
        reach = np.tile(reach, 2)
    shifts = apart * shifts @ axes
    steep = _STEEPEST * (np.linalg.norm(shifts, axis=1) / reach).sum()
    shifts *= min(1.0, _STEEP / steep)
    return PartWarp(ends=landmarks[stretches], shifts=shifts, reaches=reach)
