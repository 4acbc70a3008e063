"""Which portraits show what, from their labels, landmarks and pixels: who is served less well?

Nobody is named and nothing is guessed about a person: what is grouped is how a picture looks. The
luminance of the face depends on the skin and on the light alike; it stands for skin tone only as
far as official portraits are lit alike.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from editing.presets import TOUCHING_LIPS
from editing.regions import FaceFrame
from pipeline.evaluate.pictures import INDEX, Picture
from weights.training.directions import NOSE_REACH
from weights.training.portraits import INDEX_SIDE

WIDE: Final = 1.0
"""Width from which a mouth counts as smiling, eyes apart; at rest few are as wide."""
TURNED: Final = 8.0
"""Degrees from which a head counts as turned."""
_REC709 = (0.2126, 0.7152, 0.0722)


@dataclass(frozen=True, kw_only=True)
class Look:
    """How a portrait looks.

    Attributes:
        name: of the portrait.
        colour: whether it is a colour picture, neither gray nor tinted.
        smiling: whether the mouth is wide.
        open_mouth: whether the lips are apart.
        turned: whether the head is.
        luminance: median over the face, from 0 to 1.
    """

    name: str
    colour: bool
    smiling: bool
    open_mouth: bool
    turned: bool
    luminance: float


def look_of(name: str, rgb: NDArray[np.uint8], kind: str, landmarks: NDArray[np.float64]) -> Look:
    """Measure a portrait.

    Args:
        name: of it.
        rgb: `[R, R, 3]`.
        kind: "colour" or "gray".
        landmarks: `[68, 2]` in its pixels.
    """
    face = FaceFrame.of(landmarks).to_face(landmarks)
    hull = cv2.convexHull(landmarks.astype(np.float32)).round().astype(np.int32)
    inside = cv2.fillConvexPoly(np.zeros(rgb.shape[:2], np.uint8), hull, 1) > 0
    lips = (face[[65, 66, 67], 1] - face[[61, 62, 63], 1]).mean()
    yaw = np.degrees(np.arcsin(np.clip(face[30, 0] / NOSE_REACH, -1, 1)))
    return Look(
        name=name,
        colour=kind == "colour",
        smiling=bool(face[54, 0] - face[48, 0] >= WIDE),
        open_mouth=bool(lips >= TOUCHING_LIPS),
        turned=bool(abs(yaw) >= TURNED),
        luminance=float(np.median(rgb[inside] @ _REC709) / 255),
    )


def group_looks(looks: Sequence[Look]) -> dict[str, set[str]]:
    """Names of the portraits by what they show; thirds of luminance are of those in colour."""
    colour = [look for look in looks if look.colour]
    dark, light = np.quantile([look.luminance for look in colour] or [0.0], (1 / 3, 2 / 3))
    groups = {
        "all": list(looks),
        "colour": colour,
        "gray or tinted": [look for look in looks if not look.colour],
        "colour, face of the darkest third": [k for k in colour if k.luminance < dark],
        "colour, face of the middle third": [k for k in colour if dark <= k.luminance < light],
        "colour, face of the lightest third": [k for k in colour if k.luminance >= light],
        "wide mouth": [look for look in looks if look.smiling],
        "narrower mouth": [look for look in looks if not look.smiling],
        "lips apart": [look for look in looks if look.open_mouth],
        "lips closed": [look for look in looks if not look.open_mouth],
        f"turned by {TURNED:g} degrees or more": [look for look in looks if look.turned],
        "frontal": [look for look in looks if not look.turned],
    }
    return {name: {look.name for look in of} for name, of in groups.items() if of}


def find_looks(folder: Path, pictures: Sequence[Picture]) -> list[Look]:
    """Measure the portraits of a folder with its index; none where the folder has none."""
    index = folder / INDEX
    if not index.is_file():
        return []
    records = {str(record["name"]): record for record in json.loads(index.read_text("utf-8"))}
    return list(_looks(records, pictures))


def _looks(
    records: Mapping[str, Mapping[str, object]], pictures: Sequence[Picture]
) -> Iterator[Look]:
    for picture in pictures:
        record = records[picture.name]
        if "landmarks68" in record and "kind" in record:
            with Image.open(picture.path) as file:
                rgb = np.asarray(file.convert("RGB"))
            landmarks = np.asarray(record["landmarks68"], np.float64) * len(rgb) / INDEX_SIDE
            yield look_of(picture.name, rgb, str(record["kind"]), landmarks)
