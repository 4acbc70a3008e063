"""MobileFaceNet: whether two pictures show the same person, for measurements.

Chen et al., "MobileFaceNets: Efficient CNNs for Accurate Real-Time Face Verification on Mobile
Devices" (2018), in the variant of 112 x 96 pixels. Its parameters are not part of photodrag: a file
of the user's holds them.
"""

from __future__ import annotations

import os
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from weights.errors import BrokenWeightsError, MissingWeightsError
from weights.files import read_tensors

VARIABLE = "PHOTODRAG_IDENTITY"
HEIGHT, WIDTH = 112, 96
EYES_NOSE_MOUTH = (
    (30.2946, 51.6963),
    (65.5318, 51.5014),
    (48.0252, 71.7366),
    (33.5493, 92.3655),
    (62.7299, 92.2041),
)
"""Where the eyes' centres, the nose's tip and the mouth's corners have to lie, pixels."""

# Expansion, channels, repeats and stride of the bottlenecks (Table 1).
_STAGES = ((2, 64, 5, 2), (4, 128, 1, 2), (2, 128, 6, 1), (4, 128, 1, 2), (2, 128, 2, 1))


class MobileFaceNet(nn.Module):
    """Describes an aligned face by 128 numbers whose direction tells who it is."""

    name = "mobilefacenet"

    def __init__(self) -> None:
        """Make the network with random parameters."""
        super().__init__()
        self.conv1 = _Conv(3, 64, 3, stride=2, padding=1)
        self.dw_conv1 = _Conv(64, 64, 3, padding=1, groups=64)
        blocks: list[nn.Module] = []
        channels = 64
        for expansion, width, repeats, stride in _STAGES:
            for index in range(repeats):
                blocks.append(_Bottleneck(channels, width, expansion, 1 if index else stride))
                channels = width
        self.blocks = nn.Sequential(*blocks)
        self.conv2 = _Conv(128, 512, 1)
        self.linear7 = _Conv(512, 512, (7, 6), groups=512, linear=True)
        self.linear1 = _Conv(512, 128, 1, linear=True)

    def forward(self, faces: Tensor) -> Tensor:
        """Describe faces [N, 3, 112, 96] in [-1, 1] by unit vectors [N, 128]."""
        x = self.blocks(self.dw_conv1(self.conv1(faces)))
        return F.normalize(self.linear1(self.linear7(self.conv2(x))).flatten(1), dim=1)


def find_identity() -> Path | None:
    """File of the parameters that the environment names, None where it names none.

    Raises:
        MissingWeightsError: it names a file that does not exist.
    """
    named = os.environ.get(VARIABLE)
    if not named:
        return None
    if not Path(named).is_file():
        raise MissingWeightsError(
            f"{VARIABLE} names {named}, which is no file: correct or unset the variable"
        )
    return Path(named)


def load_identity(path: Path, *, device: torch.device | str = "cpu") -> MobileFaceNet:
    """Load the parameters of a public checkpoint.

    Args:
        path: a state dictionary, or a checkpoint that holds one as "net_state_dict".
        device: where the network runs.

    Raises:
        MissingWeightsError: the file does not exist.
        BrokenWeightsError: it cannot be read or holds other parameters.
    """
    found: dict[str, object] = {**read_tensors(path)}
    inner = found.get("net_state_dict", found)
    network = MobileFaceNet()
    if not isinstance(inner, dict):
        raise BrokenWeightsError(f"{path} holds no MobileFaceNet: fetch it again")
    try:
        network.load_state_dict(inner)
    except RuntimeError as error:
        raise BrokenWeightsError(f"{path} is not MobileFaceNet 112 x 96: fetch it again") from error
    return network.requires_grad_(False).eval().to(device)


class _Conv(nn.Module):
    """Convolution, normalisation and, unless linear, PReLU."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int | tuple[int, int],
        *,
        stride: int = 1,
        padding: int = 0,
        groups: int = 1,
        linear: bool = False,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(outputs)
        self.prelu = nn.Identity() if linear else nn.PReLU(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.prelu(self.bn(self.conv(x)))


class _Bottleneck(nn.Module):
    """Expand, filter each channel, project; with a shortcut where the shape stays."""

    def __init__(self, inputs: int, outputs: int, expansion: int, stride: int) -> None:
        super().__init__()
        wide = inputs * expansion
        self.shortcut = stride == 1 and inputs == outputs
        self.conv = nn.Sequential(
            nn.Conv2d(inputs, wide, 1, bias=False),
            nn.BatchNorm2d(wide),
            nn.PReLU(wide),
            nn.Conv2d(wide, wide, 3, stride, 1, groups=wide, bias=False),
            nn.BatchNorm2d(wide),
            nn.PReLU(wide),
            nn.Conv2d(wide, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.shortcut else self.conv(x)
