"""A photo's own pixels to linear-in-code RGB and back, for every mode that is edited in place.

Modes are Pillow's: L, LA, RGB, RGBA, CMYK and P, with 8 or (L, RGB, RGBA) 16 bits per channel.
"""

from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

Mode = Literal["L", "LA", "RGB", "RGBA", "CMYK", "P"]
Pixels = NDArray[np.uint8 | np.uint16]

_LUMA: Final = np.array([0.299, 0.587, 0.114], np.float32)  # Rec. 601, as Pillow's conversion


def to_rgb(pixels: Pixels, mode: Mode, palette: NDArray[np.uint8] | None) -> NDArray[np.float32]:
    """Return pixels as [H, W, 3] float32 in [0, 1]; alpha is ignored.

    Args:
        pixels: [H, W] or [H, W, C] in the photo's mode.
        mode: The photo's mode.
        palette: [N, 4] colours (R, G, B, alpha) of mode P.
    """
    unit = np.float32(1 / np.iinfo(pixels.dtype).max)
    if mode == "P" and palette is not None:
        return (palette[:, :3].astype(np.float32) * np.float32(1 / 255))[pixels]
    if mode == "CMYK":
        ink = np.multiply(pixels, unit, dtype=np.float32)
        return (1 - ink[..., :3]) * (1 - ink[..., 3:])
    if mode in ("L", "LA"):
        gray = pixels if mode == "L" else pixels[..., 0]
        return np.repeat(np.multiply(gray, unit, dtype=np.float32)[..., None], 3, axis=2)
    return np.multiply(pixels[..., :3], unit, dtype=np.float32)


def from_rgb(
    rgb: NDArray[np.float32], own: Pixels, mode: Mode, palette: NDArray[np.uint8] | None
) -> Pixels:
    """Convert edited colours back to the photo's mode; alpha stays.

    Args:
        rgb: [N, 3] float32; clipped to [0, 1].
        own: [N] or [N, C] the pixels that the colours replace.
        mode: The photo's mode.
        palette: [M, 4] colours of mode P.

    Returns:
        Pixels of the same shape and type as `own`.
    """
    peak = np.iinfo(own.dtype).max
    rgb = np.clip(rgb, 0, 1)
    if mode == "P" and palette is not None:
        return _nearest_index(rgb, own, palette)
    if mode == "CMYK":
        return np.rint(_to_cmyk(rgb, (own[:, 3] / peak).astype(np.float32)) * peak).astype(
            own.dtype
        )
    out = own.copy()
    if mode in ("L", "LA"):
        gray = np.rint(rgb @ _LUMA * peak).astype(own.dtype)
        if mode == "L":
            return gray
        out[:, 0] = gray
        return out
    out[:, :3] = np.rint(rgb * peak).astype(own.dtype)
    return out


def _to_cmyk(rgb: NDArray[np.float32], black: NDArray[np.float32]) -> NDArray[np.float32]:
    """Keep the black ink unless the colour is too bright for it, and solve the other three."""
    black = np.minimum(black, 1 - rgb.max(1))
    paper = np.maximum(1 - black, np.float32(1e-6))[:, None]
    return np.column_stack([np.clip(1 - rgb / paper, 0, 1), black]).astype(np.float32)


def _nearest_index(rgb: NDArray[np.float32], own: Pixels, palette: NDArray[np.uint8]) -> Pixels:
    """Give each colour the nearest palette entry among those as opaque as the pixel's own."""
    out = own.copy()
    opacity = palette[:, 3][own]
    for alpha in np.unique(opacity[opacity > 0]):
        entries = np.flatnonzero(palette[:, 3] == alpha)
        chosen = opacity == alpha
        _, nearest = KDTree(palette[entries, :3] / 255).query(rgb[chosen])
        out[chosen] = entries[nearest].astype(own.dtype)
    return out
