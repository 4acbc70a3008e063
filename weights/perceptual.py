"""Perceptual distance between images: LPIPS, and a small network of our own in its place.

LPIPS is Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric"
(2018), eq. 1: unit-normalised features of several layers, squared differences weighted per channel,
averaged over space, summed over layers. The `lpips` package brings the published channel weights;
the AlexNet trunk has to lie on the machine. Without it the built-in network is used, trained to
give the same distances on portraits, so a threshold on one means much the same on the other.
"""

import importlib.util
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from weights.builtin import FOLDER
from weights.cache import cache_folder
from weights.errors import BrokenWeightsError, MissingWeightsError, WeightsError
from weights.files import read_tensors

SMALLEST_SIDE = 64
TRUNK_VARIABLE = "PHOTODRAG_LPIPS_TRUNK"
BUILTIN_FILE = FOLDER / "perceptual.safetensors"
_ALEXNET_FILE = "alexnet-owt-7be5be79.pth"


class Perceptual(Protocol):
    """A differentiable distance between images, 0 for equal ones."""

    @property
    def name(self) -> str:
        """What reports call it."""
        ...

    def __call__(self, a: Tensor, b: Tensor, /) -> Tensor:
        """Measure the distances [N] between images a and b, [N, 3, R, R] in [-1, 1]."""
        ...


def load_perceptual(*, device: torch.device | str = "cpu", trunk: Path | None = None) -> Perceptual:
    """Load LPIPS where its AlexNet trunk is on this machine, and the built-in network elsewhere.

    Args:
        device: where the network runs.
        trunk: file of AlexNet's `features.*`, .safetensors or .pth; found by `find_trunk` when
            absent.

    Raises:
        MissingWeightsError: a file named by the caller or the environment does not exist.
        BrokenWeightsError: a file is not what it should be.
        WeightsError: the trunk is there but the lpips package cannot be used.
    """
    trunk = trunk or find_trunk()
    network = load_builtin() if trunk is None else load_lpips(trunk)
    return network.to(device)


def find_trunk() -> Path | None:
    """Find the AlexNet trunk: the environment's, the cache's, then torchvision's own download.

    The variable PHOTODRAG_LPIPS_TRUNK set to "none" hides the other two.

    Raises:
        MissingWeightsError: the environment names a file that does not exist.
    """
    named = os.environ.get(TRUNK_VARIABLE)
    if named == "none":
        return None
    if named:
        if not Path(named).is_file():
            raise MissingWeightsError(
                f"{TRUNK_VARIABLE} names {named}, which is no file: correct or unset the variable"
            )
        return Path(named)
    places = (
        cache_folder() / "lpips-alex.safetensors",
        Path(torch.hub.get_dir()) / "checkpoints" / _ALEXNET_FILE,
    )
    return next((place for place in places if place.is_file()), None)


class LpipsAlex(nn.Module):
    """LPIPS version 0.1 on AlexNet, as the `lpips` package computes it."""

    name = "lpips-alex"

    def __init__(self, network: nn.Module) -> None:
        """Wrap a complete `lpips.LPIPS` network."""
        super().__init__()
        self.network = network.requires_grad_(False).eval()

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Measure the distances [N] between images [N, 3, R, R] in [-1, 1]."""
        return self.network(_enlarge(a), _enlarge(b)).flatten()

    def features(self, image: Tensor) -> list[Tensor]:
        """Compute AlexNet's five feature maps of images [N, 3, R, R] in [-1, 1]."""
        scaled = cast(nn.Module, self.network.scaling_layer)(_enlarge(image))
        return list(cast(nn.Module, self.network.net)(scaled))

    def layer_maps(self, a: Tensor, b: Tensor) -> list[Tensor]:
        """Measure each layer's distance at each place: five maps [N, 1, h, w].

        The distance is the sum of the maps' means.
        """
        features = zip(self.features(a), self.features(b), strict=True)
        heads = cast(nn.ModuleList, self.network.lins)
        return [
            head((_unit(x, 1e-20) - _unit(y, 1e-20)).square())
            for head, (x, y) in zip(heads, features, strict=True)
        ]


def load_lpips(trunk: Path) -> LpipsAlex:
    """Build LPIPS from the channel weights in the `lpips` package and a trunk on this machine.

    Args:
        trunk: AlexNet's parameters under torchvision's names, `features.0.weight` and so on.

    Raises:
        BrokenWeightsError: the file cannot be read or holds other parameters.
        WeightsError: the lpips package, or the torchvision that it needs, cannot be imported.
    """
    parameters = {
        name: value for name, value in read_tensors(trunk).items() if name.startswith("features.")
    }
    try:
        import lpips
    except (ImportError, RuntimeError) as error:
        raise WeightsError(
            f"LPIPS's trunk {trunk} is here but the lpips package does not load ({error}): "
            f"install a torchvision that matches torch, or set {TRUNK_VARIABLE}=none"
        ) from error
    with warnings.catch_warnings():
        # lpips calls torchvision with arguments that torchvision deprecated.
        warnings.filterwarnings("ignore", category=UserWarning, module="torchvision")
        network = lpips.LPIPS(net="alex", pretrained=False, pnet_rand=True, verbose=False)
    heads = read_tensors(_lpips_folder() / "weights" / "v0.1" / "alex.pth")
    try:
        network.load_state_dict({**network.state_dict(), **heads})
        _load_trunk(network, parameters)
    except (RuntimeError, KeyError) as error:
        raise BrokenWeightsError(
            f"{trunk} is not the AlexNet trunk of LPIPS: fetch it again"
        ) from error
    return LpipsAlex(network)


def _lpips_folder() -> Path:
    spec = importlib.util.find_spec("lpips")
    if spec is None or spec.origin is None:
        raise WeightsError("the lpips package is not installed: install photodrag's requirements")
    return Path(spec.origin).parent


def _load_trunk(network: nn.Module, parameters: Mapping[str, Tensor]) -> None:
    trunk = cast(nn.Module, network.net)
    names = {name.split(".", 1)[1]: name for name in trunk.state_dict() if name.startswith("slice")}
    renamed = {
        names[name.removeprefix("features.")]: value
        for name, value in parameters.items()
        if name.removeprefix("features.") in names
    }
    trunk.load_state_dict(renamed)


class BuiltinPerceptual(nn.Module):
    """A thin network on AlexNet's grids whose distance follows LPIPS on portraits.

    Smooth activations and average pooling instead of ReLU and max pooling, because it serves as a
    loss.
    """

    name = "builtin"
    grids = 5

    def __init__(self) -> None:
        """Make the network with random parameters."""
        super().__init__()
        self.stem = nn.Conv2d(3, 24, 5, stride=2, padding=1)
        self.layers = nn.ModuleList(
            [
                nn.Conv2d(24, 48, 3, stride=2),
                nn.Conv2d(48, 72, 5, padding=2),
                nn.Conv2d(72, 80, 3, padding=1),
                nn.Conv2d(80, 64, 3, padding=1),
                nn.Conv2d(64, 64, 3, padding=1),
            ]
        )
        self.heads = nn.ParameterList(
            [nn.Parameter(torch.full([1, width, 1, 1], 0.4)) for width in (48, 72, 80, 64, 64)]
        )

    def features(self, image: Tensor) -> list[Tensor]:
        """Compute five unit-normalised feature maps of images [N, 3, R, R] in [-1, 1]."""
        x = F.silu(self.stem(_enlarge(image)))
        features: list[Tensor] = []
        for index, layer in enumerate(self.layers):
            if index in (1, 2):
                x = F.avg_pool2d(x, 3, 2)
            x = F.silu(layer(x))
            features.append(_unit(x, 1e-4))
        return features

    def layer_maps(self, a: Tensor, b: Tensor) -> list[Tensor]:
        """Measure each layer's distance at each place: five maps [N, 1, h, w]."""
        pairs = zip(self.features(a), self.features(b), strict=True)
        # Squared heads are the non-negative channel weights of eq. 1.
        return [
            ((x - y).square() * head.square()).sum(1, keepdim=True)
            for head, (x, y) in zip(self.heads, pairs, strict=True)
        ]

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Measure the distances [N] between images [N, 3, R, R] in [-1, 1]."""
        return torch.stack([m.mean(dim=(1, 2, 3)) for m in self.layer_maps(a, b)]).sum(0)


def load_builtin(path: Path = BUILTIN_FILE) -> BuiltinPerceptual:
    """Load the built-in network.

    Raises:
        MissingWeightsError: the file does not exist.
        BrokenWeightsError: the file is damaged or holds other parameters.
    """
    network = BuiltinPerceptual()
    parameters = {name: value.float() for name, value in read_tensors(path).items()}
    try:
        network.load_state_dict(parameters)
    except RuntimeError as error:
        raise BrokenWeightsError(
            f"{path} does not hold the built-in perceptual network: install photodrag again"
        ) from error
    return network.requires_grad_(False).eval()


def _unit(features: Tensor, epsilon: float) -> Tensor:
    return features * (features.square().sum(dim=1, keepdim=True) + epsilon).rsqrt()


def _enlarge(image: Tensor) -> Tensor:
    if min(image.shape[-2:]) >= SMALLEST_SIDE:
        return image
    scale = SMALLEST_SIDE / min(image.shape[-2:])
    return F.interpolate(image, scale_factor=scale, mode="bilinear", align_corners=False)
