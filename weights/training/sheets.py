"""Contact sheets to look at while a network trains."""

from __future__ import annotations

from pathlib import Path

from PIL import Image
from torch import Tensor


def save_sheet(rows: Tensor, path: Path) -> None:
    """Write rows `[rows, columns, 3, R, R]` in [-1, 1] as one picture."""
    r, c, _, h, w = rows.shape
    pixels = ((rows.clamp(-1, 1) + 1) * 127.5).round().byte()
    sheet = pixels.permute(0, 3, 1, 4, 2).reshape(r * h, c * w, 3)
    Image.fromarray(sheet.cpu().numpy()).save(path)
