"""The twelve standard edits of a face: small drags of each of its parts, and of the whole head.

Lengths are eyes apart along the face's own axes (`editing.regions.FaceFrame`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor

from editing.regions import FaceFrame, region_mask
from editing.spec import DragSpec
from pipeline.evaluate.samples import Points

INNER: Final = frozenset(range(17, 68))
"""Brows, eyes, nose and mouth: the landmarks within the face's outline."""
_BROWS, _EYES, _NOSE, _MOUTH = range(17, 27), range(36, 48), range(27, 36), range(48, 68)
_HEAD: Final = (27, 30, 51)


@dataclass(frozen=True, kw_only=True)
class StandardEdit:
    """A drag of some landmarks.

    Attributes:
        moves: iBUG number of each landmark that is dragged -> (right, down), eyes apart.
        part: landmarks of the dragged part, which come along with those by anatomy.
        held: landmarks that are anchors, so that the part opens rather than moves.
        regions: of the movable mask; none leaves the mask out.
        without: regions that the mask leaves out, since they belong to another part.
    """

    moves: Mapping[int, tuple[float, float]]
    part: frozenset[int]
    held: tuple[int, ...] = ()
    regions: tuple[str, ...] = ()
    without: tuple[str, ...] = ()

    @property
    def dragged(self) -> list[int]:
        """The landmarks that are dragged."""
        return list(self.moves)

    @property
    def whole(self) -> bool:
        """Whether the whole face is to come along."""
        return not INNER - self.part

    @property
    def not_dragged(self) -> list[int]:
        """The inner landmarks beside the dragged ones."""
        return sorted(INNER - set(self.moves))

    @property
    def other_parts(self) -> list[int]:
        """The inner landmarks of the parts that are not dragged."""
        return sorted(INNER - self.part)

    def to_spec(self, landmarks: Points, resolution: int) -> DragSpec:
        """The drag on a face; what is held comes after what is dragged.

        Args:
            landmarks: `[68, 2]`, crop pixels.
            resolution: side of the crop in pixels.
        """
        frame = FaceFrame.of(landmarks)
        handles = landmarks[[*self.moves, *self.held]].clip(0, resolution)
        shift = np.zeros_like(handles)
        shift[: len(self.moves)] = np.array(list(self.moves.values())) @ frame.axes * frame.scale
        return DragSpec(
            handles=torch.from_numpy(handles).float(),
            targets=torch.from_numpy((handles + shift).clip(0, resolution)).float(),
            resolution=resolution,
            mask=self._mask(landmarks, resolution) if self.regions else None,
        )

    def _mask(self, landmarks: Points, resolution: int) -> Tensor:
        """`[1, 1, R, R]`, 1 on the dragged part alone."""
        mask = region_mask(landmarks, self.regions, resolution=resolution)
        return mask * (1 - region_mask(landmarks, self.without, resolution=resolution))


def _head(right: float, down: float) -> StandardEdit:
    return StandardEdit(moves=dict.fromkeys(_HEAD, (right, down)), part=INNER)


EDITS: Final[Mapping[str, StandardEdit]] = {
    "mouth corners out and up": StandardEdit(
        moves={48: (-0.10, -0.06), 54: (0.10, -0.06)},
        part=frozenset(_MOUTH),
        held=(51,),
        regions=("mouth", "jaw"),
        without=("nose",),
    ),
    "chin down": StandardEdit(
        moves={8: (0.0, 0.10)}, part=frozenset(), regions=("jaw",), without=("mouth", "nose")
    ),
    "jaw sides in": StandardEdit(
        moves={k: (0.08 if k < 8 else -0.08, 0.0) for k in (3, 4, 5, 11, 12, 13)},
        part=frozenset(),
        regions=("jaw",),
        without=("mouth", "nose"),
    ),
    "brows up": StandardEdit(
        moves=dict.fromkeys(_BROWS, (0.0, -0.10)),
        part=frozenset(_BROWS),
        regions=("brows",),
        without=("eyes",),
    ),
    "upper lids up": StandardEdit(
        moves=dict.fromkeys((37, 38, 43, 44), (0.0, -0.05)),
        part=frozenset(_EYES),
        regions=("eyes",),
    ),
    "lower lids down": StandardEdit(
        moves=dict.fromkeys((40, 41, 46, 47), (0.0, 0.04)),
        part=frozenset(_EYES),
        regions=("eyes",),
    ),
    "nose tip up": StandardEdit(moves={30: (0.0, -0.08)}, part=frozenset(_NOSE), regions=("nose",)),
    "head left": _head(-0.12, 0.0),
    "head right": _head(0.12, 0.0),
    "head up": _head(0.0, -0.12),
    "head down": _head(0.0, 0.12),
    "mouth open": StandardEdit(
        moves={57: (0.0, 0.16), 8: (0.0, 0.10)},
        part=frozenset(_MOUTH),
        held=(51,),
        regions=("mouth", "jaw"),
        without=("nose",),
    ),
}
"""Left and right are those of the picture."""
