"""Frechet distance between two sets of pictures, on the features of a named network.

Heusel et al., "GANs Trained by a Two Time-Scale Update Rule" (2017), Eq. 6. The published figures
use Inception; where its file is not on the machine the trunk of LPIPS takes its place, and such
figures compare with each other only.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from weights.cache import cache_folder
from weights.errors import BrokenWeightsError, MissingWeightsError
from weights.files import read_tensors
from weights.perceptual import BuiltinPerceptual, LpipsAlex, load_perceptual

INCEPTION_VARIABLE: Final = "PHOTODRAG_INCEPTION"
_INCEPTION_FILES: Final = ("inception-v3.safetensors", "inception_v3_google-0cc3c7bd.pth")
_INCEPTION_SIDE: Final = 299


@dataclass(frozen=True, kw_only=True)
class FeatureNetwork:
    """A network that describes pictures by one vector each.

    Attributes:
        name: what tables call it.
        describe: vectors [N, D] of pictures [N, 3, R, R] in [-1, 1].
    """

    name: str
    describe: Callable[[Tensor], Tensor]


def frechet_distance(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """|m_a - m_b|^2 + Tr(C_a + C_b - 2 (C_a C_b)^(1/2)) of vectors [N, D] and [M, D].

    The last trace is the sum of the singular values of X_a X_b^T, X the centred vectors over the
    root of their number less one. That holds for fewer vectors than dimensions too, where the
    covariances have no stable root; the distance is then biased upwards, as it is for every N, and
    compares only with others of the same N.
    """
    mean_a, mean_b = a.mean(0), b.mean(0)
    x_a = (a - mean_a) / np.sqrt(max(len(a) - 1, 1))
    x_b = (b - mean_b) / np.sqrt(max(len(b) - 1, 1))
    root = np.linalg.svd(x_a @ x_b.T, compute_uv=False).sum()
    spread = (x_a**2).sum() + (x_b**2).sum() - 2 * root
    return float(((mean_a - mean_b) ** 2).sum() + max(spread, 0.0))


def load_feature_network(device: torch.device) -> FeatureNetwork:
    """Inception where its file is on this machine, else the trunk of the perceptual distance.

    Raises:
        MissingWeightsError: the environment names a file that does not exist.
        BrokenWeightsError: a file is not what it should be.
    """
    path = find_inception()
    if path is not None:
        return load_inception(path, device)
    network = load_perceptual(device=device)
    if not isinstance(network, (LpipsAlex, BuiltinPerceptual)):
        raise BrokenWeightsError(f"{network.name} gives no features: use another perceptual trunk")

    def describe(images: Tensor) -> Tensor:
        return network.features(images)[-1].mean(dim=(2, 3))

    return FeatureNetwork(name=f"{network.name}, last layer", describe=torch.no_grad()(describe))


def find_inception() -> Path | None:
    """File of torchvision's Inception v3: the environment's, the cache's, torchvision's own.

    Raises:
        MissingWeightsError: the environment names a file that does not exist.
    """
    named = os.environ.get(INCEPTION_VARIABLE)
    if named:
        if not Path(named).is_file():
            raise MissingWeightsError(
                f"{INCEPTION_VARIABLE} names {named}, which is no file: correct or unset it"
            )
        return Path(named)
    folders = (cache_folder(), Path(torch.hub.get_dir()) / "checkpoints")
    places = (folder / name for folder in folders for name in _INCEPTION_FILES)
    return next((place for place in places if place.is_file()), None)


def load_inception(path: Path, device: torch.device) -> FeatureNetwork:
    """Inception v3 up to its pooled features, from torchvision's parameters.

    Raises:
        MissingWeightsError: the file does not exist.
        BrokenWeightsError: the file cannot be read or holds other parameters.
    """
    # torchvision is needed by nothing else here, and takes a second to import.
    from torchvision.models import Inception3

    network = Inception3(aux_logits=False, init_weights=False)
    parameters = {
        name: value.float()
        for name, value in read_tensors(path).items()
        if not name.startswith(("AuxLogits.", "fc."))
    }
    try:
        network.load_state_dict({**network.state_dict(), **parameters})
    except RuntimeError as error:
        raise BrokenWeightsError(
            f"{path} is not torchvision's Inception v3: fetch it again"
        ) from error
    network.add_module("fc", nn.Identity())
    network.requires_grad_(False).eval().to(device)

    def describe(images: Tensor) -> Tensor:
        side = (_INCEPTION_SIDE, _INCEPTION_SIDE)
        return network(
            F.interpolate(images, size=side, mode="bilinear", align_corners=False, antialias=True)
        )

    return FeatureNetwork(name="inception-v3, pooled", describe=torch.no_grad()(describe))
