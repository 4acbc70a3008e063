"""Whether an edit still shows the same person, by a network of the user's."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.evaluate.samples import Points, to_rgb
from weights.identity import (
    EYES_NOSE_MOUTH,
    HEIGHT,
    WIDTH,
    MobileFaceNet,
    find_identity,
    load_identity,
)

Rgb = NDArray[np.float32]
Person = NDArray[np.float64]
"""Unit vector [D]; the cosine of two is 1 for the same picture and about 0 for two persons."""


@dataclass(frozen=True, kw_only=True)
class IdentityNetwork:
    """A network that tells persons apart.

    Attributes:
        name: what tables call it.
        describe: unit vector [D] of a picture [H, W, 3] in [0, 1] with its 68 landmarks.
    """

    name: str
    describe: Callable[[Rgb, Points], Person]


def load_identity_network(path: Path | None, device: torch.device) -> IdentityNetwork | None:
    """MobileFaceNet from a file, or from the one that the environment names; None without one.

    Raises:
        MissingWeightsError: there is no such file.
        BrokenWeightsError: it holds other parameters.
    """
    path = path or find_identity()
    if path is None:
        return None
    network = load_identity(path, device=device)
    return IdentityNetwork(name=network.name, describe=partial(describe_person, network))


def person_on(
    image: Tensor, landmarks: Points | None, network: IdentityNetwork | None
) -> Person | None:
    """Who is on a crop `[1, 3, R, R]` in [-1, 1]; None without a network or a face."""
    if network is None or landmarks is None:
        return None
    return network.describe(to_rgb(image), landmarks)


def cosine(a: Person | None, b: Person | None) -> float | None:
    """How much two persons are alike; None where one of them is not known."""
    return None if a is None or b is None else float(a @ b)


@torch.no_grad()
def describe_person(network: MobileFaceNet, rgb: Rgb, landmarks: Points) -> Person:
    """Unit vector [128] of the person on a picture [H, W, 3] in [0, 1], landmarks [68, 2] in px."""
    five = np.stack(
        [
            landmarks[36:42].mean(0),
            landmarks[42:48].mean(0),
            landmarks[30],
            landmarks[48],
            landmarks[54],
        ]
    )
    # OpenCV counts from the centre of the first pixel, and so do the places that it is to go to.
    matrix, _ = cv2.estimateAffinePartial2D(five - 0.5, np.array(EYES_NOSE_MOUTH), method=cv2.LMEDS)
    face = cv2.warpAffine(rgb, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_AREA)
    batch = torch.from_numpy(face).permute(2, 0, 1)[None] * 2 - 1
    device = next(network.parameters()).device
    return network(batch.to(device))[0].cpu().numpy().astype(np.float64)
