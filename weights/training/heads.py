"""Drawn heads with exact labels, for what portraits lack: turned, eyes shut, mouths open.

A folder of heads holds `train-*.npz` and `val-*.npz`, each with

- `images`: uint8 RGB [N, S, S, 3], cut along the FFHQ square,
- `landmarks`: float [N, 68, 2] in iBUG order, in pixels of the picture, the jaw on the contour
  that is seen,
- `yaw`: float [N], degrees, the size of the turn from the camera; its sign is not used.

Any renderer that knows where its landmarks are can write them.
"""

import dataclasses
import zipfile
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from weights.errors import WeightsError
from weights.training.augment_faces import PORTRAIT, Faces

_FIELDS = ("images", "landmarks", "yaw")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Heads:
    """Heads of one split."""

    faces: Faces
    yaw: npt.NDArray[np.float64]
    """[N], degrees, without sign."""


def read_heads(folder: Path, split: str, *, limit: int | None = None) -> Heads:
    """Read the heads of a split ("train" or "val"), brought to `PORTRAIT` px.

    Raises:
        WeightsError: no file of the split, or one that is not as the module says.
    """
    files = sorted(folder.glob(f"{split}-*.npz"))
    if not files:
        raise WeightsError(f"{folder} has no {split}-*.npz: name a folder of drawn heads")
    parts = [_read(file) for file in files]
    pictures, landmarks, yaw = (np.concatenate(field)[:limit] for field in zip(*parts, strict=True))
    gray = np.zeros(len(pictures), bool)
    return Heads(faces=Faces(pictures=pictures, landmarks=landmarks, gray=gray), yaw=np.abs(yaw))


def _read(
    file: Path,
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    try:
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
            images, landmarks, yaw = (stored[name] for name in _FIELDS)
    except (KeyError, ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise WeightsError(f"{file} cannot be read as drawn heads: {error}") from error
    count, side = images.shape[:2]
    shapes = ((count, side, side, 3), (count, 68, 2), (count,))
    if images.dtype != np.uint8 or (images.shape, landmarks.shape, yaw.shape) != shapes:
        raise WeightsError(
            f"{file} must hold uint8 images [N, S, S, 3], landmarks [N, 68, 2] and yaw [N]: "
            f"got {images.dtype} {images.shape}, {landmarks.shape}, {yaw.shape}"
        )
    size = (PORTRAIT, PORTRAIT)
    pictures = [cv2.resize(image, size, interpolation=cv2.INTER_CUBIC) for image in images]
    return np.stack(pictures), landmarks * np.float64(PORTRAIT / side), yaw.astype(np.float64)
