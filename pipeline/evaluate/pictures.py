"""The pictures that inversions are measured on: photos, or portraits that are cut out already."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from pipeline.errors import EvaluationError
from pipeline.models import Models
from pipeline.photo import read_photo
from pipeline.subject import cut, select

PORTRAITS: Final = "portraits"
PORTRAITS_VARIABLE: Final = "PHOTODRAG_PORTRAITS"
INDEX: Final = "index.json"


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A file to invert.

    Attributes:
        name: of its records.
        path: the file.
        aligned: whether the whole of it is the square of a face.
    """

    name: str
    path: Path
    aligned: bool


@dataclass(frozen=True, kw_only=True)
class PictureSet:
    """The pictures of a folder that are measured.

    Attributes:
        name: what pages and files call it.
        folder: of photos, or of aligned portraits with `index.json`, of which those are taken that
            no network was trained on.
        count: at most so many, evenly spread; None takes all.
    """

    name: str
    folder: Path
    count: int | None = None

    def find(self) -> list[Picture]:
        """The pictures; see `find_pictures`."""
        return find_pictures(self.folder, self.count)


def find_set(name: str, count: int | None = None) -> PictureSet:
    """Turn a folder, or the word "portraits", into a set of pictures.

    Raises:
        EvaluationError: there is no such folder, or the environment does not name the portraits'.
    """
    named = os.environ.get(PORTRAITS_VARIABLE) if name == PORTRAITS else name
    if not named:
        raise EvaluationError(
            f"{PORTRAITS_VARIABLE} does not name the folder of aligned portraits and their "
            f"{INDEX}: set it, or give a folder"
        )
    folder = Path(named)
    if not folder.is_dir():
        raise EvaluationError(f"{folder} is no folder: give one with pictures")
    called = PORTRAITS if name == PORTRAITS else folder.absolute().name
    return PictureSet(name=called, folder=folder, count=count)


def find_pictures(folder: Path, count: int | None) -> list[Picture]:
    """Find the pictures of a folder, of portraits those that no network was trained on.

    Args:
        folder: of photos, or of aligned portraits with `index.json`.
        count: at most so many, evenly spread; None takes all.

    Raises:
        EvaluationError: the index cannot be read, or there is no picture.
    """
    index = folder / INDEX
    if index.is_file():
        try:
            records = json.loads(index.read_text("utf-8"))
            names = [str(record["name"]) for record in records if record["split"] == "val"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise EvaluationError(f"{index} is no index of portraits ({error})") from error
        found = [Picture(name=n, path=folder / f"{n}.jpg", aligned=True) for n in sorted(names)]
    else:
        found = find_photos(folder)
    if not found:
        raise EvaluationError(f"{folder} holds no picture: give another folder")
    return spread(found, count)


def find_photos(folder: Path) -> list[Picture]:
    """Every file of a folder, as a photo whose face has to be found."""
    files = sorted(path for path in folder.iterdir() if path.is_file())
    return [Picture(name=path.name, path=path, aligned=False) for path in files]


def spread(pictures: Sequence[Picture], count: int | None) -> list[Picture]:
    """At most `count` of the pictures, evenly spread; None takes all."""
    wanted = len(pictures) if count is None else min(count, len(pictures))
    return [pictures[k * len(pictures) // wanted] for k in range(wanted)]


def read_picture(picture: Picture, models: Models) -> tuple[Tensor, Tensor | None]:
    """Read a picture as the generator's crop, and where it is real.

    Raises:
        PhotoError: the file is no photo.
        FaceError: it shows no face that can be cut out.
    """
    if picture.aligned:
        side = models.generator.config.resolution
        with Image.open(picture.path) as file:
            small = file.convert("RGB").resize((side, side), Image.Resampling.BOX)
        pixels = torch.from_numpy(np.asarray(small, np.float32) / 127.5 - 1)
        return pixels.permute(2, 0, 1)[None].contiguous().to(models.device), None
    photo = read_photo(picture.path)
    crop = cut(photo, select(photo, models))
    return crop.image.to(models.device), crop.valid.to(models.device)
