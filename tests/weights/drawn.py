"""A face drawn by hand, for tests of what is done with landmarks."""

import numpy as np
import numpy.typing as npt


def drawn_face() -> npt.NDArray[np.float64]:
    """68 landmarks [68, 2] of a schematic face in 256 px."""
    t = np.linspace(0, np.pi, 17)
    jaw = np.stack((128 - 70 * np.cos(t), 120 + 100 * np.sin(t)), 1)
    brows = [(x, 95) for x in (70, 80, 90, 100, 110, 146, 156, 166, 176, 186)]
    nose = [(128, y) for y in (115, 130, 145, 155)] + [(x, 165) for x in (112, 120, 128, 136, 144)]
    eye = np.array([(-15, 0), (-6, -5), (6, -5), (15, 0), (6, 5), (-6, 5)])
    turn = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    lips = np.stack((128 - 28 * np.cos(turn), 190 - 10 * np.sin(turn)), 1)
    inner = lips[[0, 2, 3, 4, 6, 8, 9, 10]] * 0.6 + np.array([128, 190]) * 0.4
    return np.concatenate(
        (jaw, brows, nose, np.add(eye, (90, 115)), np.add(eye, (166, 115)), lips, inner)
    )
