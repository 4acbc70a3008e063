"""Pictures without a face, for the face finder to tell faces from."""

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import skimage
from numpy.random import Generator
from PIL import Image

Picture = npt.NDArray[np.uint8]

_FACELESS = frozenset(
    (
        *("brick", "cell", "coffee", "grass", "gravel", "horse", "hubble_deep_field", "ihc"),
        *("moon", "motorcycle_left", "motorcycle_right", "page", "retina", "rocket", "text"),
    )
)
"""Those pictures of scikit-image's own package that show nobody."""


class Backgrounds:
    """Pictures without a face: textures, gradients, faceless photographs, shuffled portraits."""

    def __init__(self, portraits: Picture) -> None:
        """Take portraits [N, S, S, 3]: their shuffled blocks serve as the hardest backgrounds."""
        folder = Path(skimage.__file__).parent / "data"
        files = [f for f in sorted(folder.glob("*.*")) if f.stem in _FACELESS]
        self._photographs = [_picture(f) for f in files]
        self._portraits = portraits

    def draw(self, rng: Generator, side: int) -> Picture:
        """Return one background [side, side, 3]."""
        kind = rng.choice(4, p=[0.35, 0.2, 0.25, 0.2])
        if kind == 0 and self._photographs:
            photograph = self._photographs[rng.integers(len(self._photographs))]
            return _random_window(rng, photograph, side)
        if kind == 1:
            return _shuffled(rng, self._portraits[rng.integers(len(self._portraits))], side)
        if kind == 2:
            return _shapes(rng, side)
        return _noise(rng, side)


def _shapes(rng: Generator, side: int) -> Picture:
    """Draw a gradient with boxes, ellipses, lines and pairs of dots."""
    ends = rng.integers(0, 256, (2, 3))
    ramp = np.linspace(0, 1, side)[:, None, None] * np.ones((1, side, 1))
    canvas = (ends[0] + ramp * (ends[1] - ends[0])).astype(np.uint8)
    canvas = np.ascontiguousarray(canvas if rng.random() < 0.5 else canvas.swapaxes(0, 1))
    for _ in range(int(rng.integers(0, 25))):
        colour = rng.integers(0, 256, 3).tolist()
        a, b = (rng.uniform(0, side, (2, 2))).astype(int).tolist()
        kind = rng.integers(4)
        thick = int(rng.integers(1, 9))
        if kind == 0:
            cv2.rectangle(canvas, a, b, colour, -1 if thick > 4 else thick)
        elif kind == 1:
            axes = rng.uniform(1, side / 4, 2).tolist()
            cv2.ellipse(canvas, (a, axes, float(rng.uniform(0, 180))), colour, -1)
        elif kind == 2:
            cv2.line(canvas, a, b, colour, thick)
        else:
            radius = int(rng.integers(1, 1 + side // 24))
            for offset in (-3 * radius, 3 * radius):
                cv2.circle(canvas, (a[0] + offset, a[1]), radius, colour, -1)
    return canvas


def _noise(rng: Generator, side: int) -> Picture:
    """Sum noise over octaves, coarse ones heavier or not."""
    total = np.zeros((side, side, 3), np.float32)
    persistence = rng.uniform(0.4, 1.1)
    for octave in range(6):
        grid = rng.normal(0, persistence**octave, (2**octave + 1, 2**octave + 1, 3))
        total += cv2.resize(grid.astype(np.float32), (side, side), interpolation=cv2.INTER_CUBIC)
    total *= rng.uniform(15, 60)
    if rng.random() < 0.4:
        total = total[:, :, :1] + total * 0.2
    return (total + rng.uniform(30, 225)).clip(0, 255).astype(np.uint8)


def _shuffled(rng: Generator, picture: Picture, side: int) -> Picture:
    """Shuffle and turn the blocks of a portrait."""
    n = int(rng.choice([3, 4, 5, 8]))
    block = len(picture) // n
    cut = picture[: n * block, : n * block].reshape(n, block, n, block, 3).swapaxes(1, 2)
    blocks = rng.permutation(cut.reshape(n * n, block, block, 3))
    blocks = [np.rot90(b, int(rng.integers(4))) for b in blocks]
    rows = [np.concatenate(blocks[r * n : r * n + n], 1) for r in range(n)]
    return cv2.resize(np.concatenate(rows), (side, side), interpolation=cv2.INTER_AREA).astype(
        np.uint8
    )


def _random_window(rng: Generator, photograph: Picture, side: int) -> Picture:
    shortest = min(photograph.shape[:2])
    window = int(min(shortest, side * np.exp(rng.uniform(-1.0, 1.6))))
    y, x = (int(rng.integers(0, n - window + 1)) for n in photograph.shape[:2])
    cut = np.rot90(photograph[y : y + window, x : x + window], int(rng.integers(4)))
    return cv2.resize(cut, (side, side), interpolation=cv2.INTER_AREA).astype(np.uint8)


def _picture(file: Path) -> Picture:
    with Image.open(file) as image:
        return np.asarray(image.convert("RGB"))
