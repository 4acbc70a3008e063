"""What a drag closes over: an eye between lids that meet, teeth between lips.

Motion can only squeeze it. It is not small then but hidden, and what hides it has to be drawn.
"""

from __future__ import annotations

import torch
from torch import Tensor

from editing.regions import distance_to_hull
from editing.spec import DragSpec

# Shares of their distance by which two handles are to come nearer from which something between
# them is hidden, and at which all of it is.
MEETING = (0.5, 0.8)
# Handles farther apart than this share of the crop have more between them than one opening.
NEIGHBOURS = 0.15
# How far around the line between them, in their distance, and at most as a share of the crop.
AROUND, WIDEST = 1.1, 0.045


def closed_over(spec: DragSpec) -> Tensor | None:
    """Where the picture that a drag starts from shows what the drag is to hide.

    Args:
        spec: what is dragged; what earlier drags of a sequence closed over stays hidden.

    Returns:
        `[1, 1, R, R]` in [0, 1], or None where nothing is hidden.
    """
    handles, targets = spec.handles.float().cpu(), spec.targets.float().cpu()
    apart = torch.cdist(handles, handles)
    nearer = 1 - torch.cdist(targets, targets) / apart.clamp(min=1e-6)
    share = ((nearer - MEETING[0]) / (MEETING[1] - MEETING[0])).clamp(0, 1)
    neighbours = (apart > 0) & (apart < NEIGHBOURS * spec.resolution)
    share = share.triu(1).where(neighbours, 0)
    if not bool(share.any()):
        return spec.covered
    hidden = torch.zeros(spec.resolution, spec.resolution)
    for a, b in share.nonzero().tolist():
        radius = min(AROUND * float(apart[a, b]), WIDEST * spec.resolution)
        line = handles[[a, b]].double().numpy()
        away = torch.from_numpy(distance_to_hull(line, spec.resolution)).float()
        hidden = hidden.maximum(share[a, b] * (1.75 - 1.25 * away / radius).clamp(0, 1))
    # In a file's levels, so that a sequence that is taken up again looks as it did.
    hidden = (hidden * 255).round()[None, None] / 255
    return hidden if spec.covered is None else hidden.maximum(spec.covered.cpu())
