"""The three small networks of the built-in face finder, and the squares that they are about.

`FaceDetector` marks faces of 14 to 40 px in a gray picture (centre and size, as CenterNet does), so
it is run on an image pyramid. `LandmarkNetwork` places the 68 iBUG landmarks in a square around one
face by soft-argmax over heat maps and says whether there is a face at all. There an open eye is
half a cell high, so `EyeNetwork` looks at each eye again from near by. All see gray only: many old
photographs have nothing else.

A face's square stands upright in the face's own frame: (centre x, centre y, side, angle) in pixels
of the picture, the angle in radians, positive where the face is turned clockwise on screen.
"""

import dataclasses
import math
from pathlib import Path

import numpy as np
import numpy.typing as npt
import safetensors
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from weights.builtin import FOLDER
from weights.errors import BrokenWeightsError, MissingWeightsError

BUILTIN_FACE_FINDER = FOLDER / "face-finder.safetensors"
LANDMARK_INPUT = 96
"""Side of the square that `LandmarkNetwork` sees, px."""
SQUARE_MARGIN = 1.5
"""Side of a face's square over the longer side of its landmarks' box."""
EYE_INPUT = 64
"""Side of the square that `EyeNetwork` sees, px."""
EYE_SHARE = 0.27
"""Side of an eye's square over that of its face's."""
RIGHT_EYE = slice(36, 42)
DETECTOR_STRIDE = 4
DETECTOR_SIZES = (14.0, 40.0)
"""Faces that one level of the pyramid answers for: longer side of the landmarks' box, px."""
MIRRORED = np.array(
    [
        *(*range(16, -1, -1), *range(26, 16, -1), *range(27, 31), *range(35, 30, -1)),
        *(45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40),
        *(*range(54, 47, -1), *range(59, 54, -1), *range(64, 59, -1), *range(67, 64, -1)),
    ]
)
"""Landmark i of a mirrored face is landmark MIRRORED[i] of the face."""

_LUMA = (0.299, 0.587, 0.114)
_LEFT_EYE = MIRRORED[RIGHT_EYE]
"""The left eye's landmarks, in the order of the right eye that it is in a mirror."""


class Residual(nn.Module):
    """Two 3x3 convolutions around an identity."""

    def __init__(self, width: int) -> None:
        """Keep `width` channels."""
        super().__init__()
        self.first = _conv(width, width)
        self.second = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, C, H, W] to the same shape."""
        return F.relu(x + self.second(self.first(x)))


class Trunk(nn.Module):
    """A U-net from full size down to stride 16 and back up to stride 4."""

    def __init__(self, widths: tuple[int, int, int, int], blocks: int) -> None:
        """Take channels at strides 2, 4, 8 and 16, and residual blocks at strides 8 and 16."""
        super().__init__()
        half, fine, middle, coarse = widths
        self.stem = nn.Sequential(_conv(1, half, 2), _conv(half, fine, 2), Residual(fine))
        self.middle = nn.Sequential(
            _conv(fine, middle, 2), *(Residual(middle) for _ in range(blocks))
        )
        self.coarse = nn.Sequential(
            _conv(middle, coarse, 2), *(Residual(coarse) for _ in range(blocks))
        )
        self.to_middle = nn.Conv2d(coarse, middle, 1)
        self.up_middle = Residual(middle)
        self.to_fine = nn.Conv2d(middle, fine, 1)
        self.up_fine = Residual(fine)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map [N, 1, H, W] (H, W multiples of 16) to features at stride 4 and at stride 16."""
        fine = self.stem(x)
        middle = self.middle(fine)
        coarse = self.coarse(middle)
        middle = self.up_middle(middle + _double(self.to_middle(coarse)))
        return self.up_fine(fine + _double(self.to_fine(middle))), coarse


class FaceDetector(nn.Module):
    """Centre heat map and size of every face between 14 and 40 px."""

    def __init__(self) -> None:
        """Build with random parameters."""
        super().__init__()
        self.trunk = Trunk((16, 32, 48, 64), blocks=2)
        self.head = nn.Conv2d(32, 2, 1)

    def forward(self, gray: Tensor) -> tuple[Tensor, Tensor]:
        """Answer for each cell of 4 x 4 px.

        Args:
            gray: [N, 1, H, W] in [0, 1], H and W multiples of 16.

        Returns:
            Logit that a face is centred on the cell and log of its size in px, [N, H/4, W/4] each.
        """
        out = self.head(self.trunk(gray * 2 - 1)[0]).float()
        return out[:, 0], out[:, 1] + math.log(24.0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Landmarks:
    """What `LandmarkNetwork` found, one row per square."""

    points: Tensor
    """[N, 68, 2], pixels of the picture that was given."""
    logit: Tensor
    """[N], positive where the square holds a face."""


class LandmarkNetwork(nn.Module):
    """68 landmarks in a 96 px square, and whether it holds a face."""

    def __init__(self) -> None:
        """Build with random parameters."""
        super().__init__()
        self.trunk = Trunk((24, 48, 96, 128), blocks=2)
        self.heat = nn.Conv2d(48, 68, 1)
        self.face = nn.Linear(128, 1)

    def forward(self, gray: Tensor) -> tuple[Tensor, Tensor]:
        """Answer for squares of 96 px.

        Args:
            gray: [N, 1, 96, 96] in [0, 1]; brightness and contrast of each square are divided out.

        Returns:
            Logits of each landmark's place [N, 68, 24, 24]; logit of a face [N].
        """
        fine, coarse = self.trunk(_normalised(gray))
        return self.heat(fine).float(), self.face(coarse.mean((2, 3))).float()[:, 0]

    def locate(self, image: Tensor, squares: Tensor) -> Landmarks:
        """Place the landmarks of the faces in `squares`, as `FaceFinder.locate`'s first look.

        Raises:
            ValueError: the shapes are not those.
        """
        if image.ndim != 4 or image.shape[0] != 1 or squares.ndim != 2 or squares.shape[1] != 4:
            raise ValueError(
                f"image must be [1, C, H, W] and squares [N, 4]: "
                f"got {list(image.shape)} and {list(squares.shape)}"
            )
        squares = squares.to(image)
        cells, logit = self(cut_squares(to_gray(image), squares, LANDMARK_INPUT))
        return Landmarks(points=from_square(soft_argmax(cells), squares), logit=logit)


class EyeNetwork(nn.Module):
    """The six landmarks of a right eye's lids in a square of 64 px; a left eye is mirrored."""

    def __init__(self) -> None:
        """Build with random parameters."""
        super().__init__()
        self.trunk = Trunk((12, 32, 32, 48), blocks=1)
        self.heat = nn.Conv2d(32, 6, 1)

    def forward(self, gray: Tensor) -> Tensor:
        """Return logits of each landmark's place, [N, 1, 64, 64] in [0, 1] -> [N, 6, 16, 16]."""
        return self.heat(self.trunk(_normalised(gray))[0]).float()

    def refine(self, image: Tensor, points: Tensor, squares: Tensor) -> Tensor:
        """Place the lids of faces again whose landmarks are roughly known.

        Args:
            image: [1, 3 or 1, H, W] in [0, 1].
            points: [N, 68, 2], pixels of the picture.
            squares: [N, 4] of the faces, of similar sides.

        Returns:
            `points` with other lids; differentiable by the picture.
        """
        right, left = (_eye_squares(points[:, lids], squares) for lids in (RIGHT_EYE, _LEFT_EYE))
        cut = cut_squares(to_gray(image), torch.cat((right, left)), EYE_INPUT)
        seen, mirrored = cut.chunk(2)
        places, behind = soft_argmax(self(torch.cat((seen, mirrored.flip(-1))))).chunk(2)
        behind = torch.stack((1 - behind[..., 0], behind[..., 1]), -1)
        refined = points.clone()
        refined[:, RIGHT_EYE] = from_square(places, right)
        refined[:, _LEFT_EYE] = from_square(behind, left)
        return refined


@dataclasses.dataclass(frozen=True, kw_only=True)
class FaceFinder:
    """The networks, frozen, in eval mode, on one device."""

    detector: FaceDetector
    landmarks: LandmarkNetwork
    eyes: EyeNetwork

    def networks(self) -> dict[str, nn.Module]:
        """Return the networks by their names in a file."""
        return {"detector": self.detector, "landmarks": self.landmarks, "eyes": self.eyes}

    def locate(self, image: Tensor, squares: Tensor) -> Landmarks:
        """Place the landmarks of the faces that stand in `squares`; differentiable by the picture.

        The square of a face whose landmarks are roughly known is `face_square(landmarks)`.

        Args:
            image: [1, 3 or 1, H, W] in [0, 1]; the squares are cut from it with anti-aliasing.
            squares: [N, 4], of similar sides: the smallest sets the anti-aliasing of all.

        Raises:
            ValueError: the shapes are not those.
        """
        found = self.landmarks.locate(image, squares)
        points = self.eyes.refine(image, found.points, squares.to(image))
        return Landmarks(points=points, logit=found.logit)


def load_face_finder(
    path: Path = BUILTIN_FACE_FINDER, *, device: str | torch.device = "cpu"
) -> FaceFinder:
    """Read the networks from a safetensors file.

    Raises:
        MissingWeightsError: the file is not there.
        BrokenWeightsError: it is not a face finder of this version.
    """
    if not path.is_file():
        raise MissingWeightsError(
            f"no face finder at {path}: reinstall photodrag, or train one "
            "with python -m weights.training.face_finder"
        )
    finder = FaceFinder(detector=FaceDetector(), landmarks=LandmarkNetwork(), eyes=EyeNetwork())
    try:
        tensors = load_file(path)
        for name, network in finder.networks().items():
            network.load_state_dict(
                {
                    key.removeprefix(f"{name}."): tensor
                    for key, tensor in tensors.items()
                    if key.startswith(f"{name}.")
                }
            )
            network.eval().requires_grad_(False).to(device)
    except (safetensors.SafetensorError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise BrokenWeightsError(f"{path} is not a face finder's file ({reason})") from error
    return finder


def soft_argmax(logits: Tensor) -> Tensor:
    """Return the mean place under softmax(logits), [N, K, h, w] -> [N, K, 2] in [0, 1]."""
    height, width = logits.shape[-2:]
    probability = logits.flatten(2).softmax(-1).unflatten(-1, (height, width))
    x = (torch.arange(width, device=logits.device) + 0.5) / width
    y = (torch.arange(height, device=logits.device) + 0.5) / height
    return torch.stack(((probability.sum(-2) * x).sum(-1), (probability.sum(-1) * y).sum(-1)), -1)


def face_square(landmarks: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Return the square (x, y, side, angle) that stands around 68 landmarks [68, 2]."""
    right_eye, left_eye = landmarks[36:42].mean(0), landmarks[42:48].mean(0)
    angle = float(np.arctan2(*(left_eye - right_eye)[::-1]))
    cos, sin = np.cos(angle), np.sin(angle)
    axes = np.array([[cos, sin], [-sin, cos]])
    upright = landmarks.astype(np.float64) @ axes.T
    low, high = upright.min(0), upright.max(0)
    x, y = (low + high) / 2 @ axes
    return np.array([x, y, SQUARE_MARGIN * (high - low).max(), angle])


def from_square(places: Tensor, squares: Tensor) -> Tensor:
    """Map places [N, K, 2] in [0, 1] of squares [N, 4] to pixels of the picture."""
    cos, sin = squares[:, None, 3].cos(), squares[:, None, 3].sin()
    u, v = ((places - 0.5) * squares[:, None, 2:3]).unbind(-1)
    return torch.stack((cos * u - sin * v, sin * u + cos * v), -1) + squares[:, None, :2]


def cut_squares(image: Tensor, squares: Tensor, resolution: int) -> Tensor:
    """Resample squares [N, 4] of one picture [1, C, H, W] to [N, C, resolution, resolution].

    The picture is reduced first until its pixels are no finer than the squares' (anti-aliasing);
    what lies outside it repeats its border.
    """
    height, width = image.shape[-2:]
    reduction = float(squares[:, 2].min()) / resolution
    if reduction > 1:
        size = (max(1, round(height / reduction)), max(1, round(width / reduction)))
        image = F.interpolate(image, size, mode="bilinear", antialias=True, align_corners=False)
    steps = (torch.arange(resolution, device=image.device, dtype=image.dtype) + 0.5) / resolution
    v, u = torch.meshgrid(steps, steps, indexing="ij")
    places = torch.stack((u, v), -1).flatten(0, 1).expand(len(squares), -1, -1)
    extent = torch.tensor([width, height], device=image.device, dtype=image.dtype)
    grid = (from_square(places, squares) / extent * 2 - 1).unflatten(1, (resolution, resolution))
    return F.grid_sample(
        image.expand(len(squares), -1, -1, -1), grid, padding_mode="border", align_corners=False
    )


def to_gray(image: Tensor) -> Tensor:
    """Return the luma [N, 1, H, W] of [N, 3, H, W]; gray pictures pass unchanged."""
    if image.shape[1] == 1:
        return image
    luma = torch.tensor(_LUMA, device=image.device, dtype=image.dtype)
    return (image * luma[:, None, None]).sum(1, keepdim=True)


def _eye_squares(lids: Tensor, squares: Tensor) -> Tensor:
    """Return squares [N, 4] about eyes, from rough lids [N, 6, 2] and the faces' squares."""
    return torch.cat((lids.mean(1), squares[:, 2:3] * EYE_SHARE, squares[:, 3:]), 1).detach()


def _normalised(gray: Tensor) -> Tensor:
    mean = gray.mean((1, 2, 3), keepdim=True)
    deviation = gray.std((1, 2, 3), keepdim=True)
    return (gray - mean) / (deviation + 0.02)


def _conv(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


def _double(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
