"""A folder of square pictures to train on, whatever they show."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from weights.errors import WeightsError

ENDINGS = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"}
HELD_OUT = 20
"""One picture in so many is not trained on, where no index says which."""
FEWEST = 8


@dataclass(frozen=True)
class PictureFolder:
    """Pictures in memory.

    Attributes:
        train: `[N, 3, R, R]` uint8.
        held_out: likewise, never drawn.
        mirror: whether half of what is drawn is mirrored.
    """

    train: Tensor
    held_out: Tensor
    mirror: bool = True

    def draw(self, n: int, rng: torch.Generator) -> Tensor:
        """A random batch `[n, 3, R, R]` in [-1, 1]."""
        chosen = torch.randint(len(self.train), (n,), generator=rng)
        images = _as_images(self.train[chosen])
        mirrored = torch.rand(n, generator=rng) < 0.5
        if self.mirror:
            images[mirrored] = images[mirrored].flip(3)
        return images

    def compare(self, n: int) -> tuple[Tensor, Tensor]:
        """At most n training pictures and as many held-out ones, the same at every call."""
        n = min(n, len(self.held_out))
        chosen = torch.linspace(0, len(self.train) - 1, n).long()
        return _as_images(self.train[chosen]), _as_images(self.held_out[:n])


def _as_images(pixels: Tensor) -> Tensor:
    return pixels.float() / 127.5 - 1


def load_pictures(folder: Path, side: int, *, mirror: bool = True) -> PictureFolder:
    """Read every picture of a folder, reduced to `side` pixels.

    Where the folder has an `index.json` as `weights.training.portraits` describes it, its records
    say what is read and held out; else one picture in `HELD_OUT`, by name, is held out.

    Args:
        folder: of square pictures of at least `side` pixels; its subfolders are not read.
        side: of the pictures returned, px.
        mirror: whether mirror images are as good as the pictures.

    Raises:
        WeightsError: a picture is unreadable, not square or too small, or there are too few.
    """
    if not folder.is_dir():
        raise WeightsError(f"{folder} is no folder: name one with square pictures to train on")
    index = folder / "index.json"
    if index.is_file():
        places = _places_of(index)
    else:
        names = sorted(path for path in folder.iterdir() if path.suffix.lower() in ENDINGS)
        places = [(path, k % HELD_OUT == HELD_OUT - 1) for k, path in enumerate(names)]
    if sum(not held for _, held in places) < FEWEST or not any(held for _, held in places):
        raise WeightsError(
            f"{folder} holds {len(places)} pictures: training needs at least {HELD_OUT}"
        )
    train = [_read(path, side) for path, held in places if not held]
    held_out = [_read(path, side) for path, held in places if held]
    return PictureFolder(torch.stack(train), torch.stack(held_out), mirror)


def _places_of(index: Path) -> list[tuple[Path, bool]]:
    try:
        records = json.loads(index.read_text("utf-8"))
        return [(index.with_name(f"{r['name']}.jpg"), r["split"] != "train") for r in records]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise WeightsError(f"{index} is no list of pictures: mend or remove it") from error


def _read(path: Path, side: int) -> Tensor:
    try:
        with Image.open(path) as picture:
            if picture.width != picture.height:
                raise WeightsError(
                    f"{path} is {picture.width} x {picture.height} pixels: cut all pictures square"
                )
            if picture.width < side:
                raise WeightsError(
                    f"{path} is {picture.width} pixels wide, less than the generator's {side}: "
                    "take it out, or train at a lower --resolution"
                )
            rgb = picture.convert("RGB").resize((side, side), Image.Resampling.LANCZOS)
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise WeightsError(f"{path} is not a readable picture: take it out ({error})") from error
    return torch.from_numpy(np.array(rgb)).permute(2, 0, 1)
