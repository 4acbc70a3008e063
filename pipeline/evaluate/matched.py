"""Where landmarks went between two pictures of a face, by matching the pictures themselves.

A face finder knows what faces look like: it sees a part that moved a little nearer to where such
parts usually are, and its neighbours gone along. Matching knows nothing of faces.
"""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from pipeline.evaluate.samples import Points, to_rgb

_LARGER: Final = 4
"""Times that a picture is enlarged: lids of 128 pixels move by less than one."""


def match_landmarks(before: Tensor, after: Tensor, landmarks: Points) -> Points:
    """Find landmarks of a picture in another one, by DIS optical flow (Kroeger et al. 2016).

    Args:
        before: `[1, 3, R, R]` in [-1, 1].
        after: `[1, 3, R, R]` in [-1, 1].
        landmarks: `[68, 2]` of `before`, pixels.

    Returns:
        `[68, 2]`, where they are in `after`, pixels.
    """
    matcher = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    flow = matcher.calc(_luminance(before), _luminance(after), None)  # pyright: ignore
    x, y = np.float32(_LARGER * landmarks - 0.5).T[:, None]
    read = cv2.remap(flow, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return landmarks + np.asarray(read[0], np.float64) / _LARGER


def _luminance(image: Tensor) -> NDArray[np.uint8]:
    """A picture in gray, enlarged."""
    gray = cv2.cvtColor(to_rgb(image), cv2.COLOR_RGB2GRAY)
    size = (_LARGER * gray.shape[1], _LARGER * gray.shape[0])
    large = cv2.resize(gray, size, interpolation=cv2.INTER_CUBIC)
    return np.clip(255 * large, 0, 255).astype(np.uint8)
