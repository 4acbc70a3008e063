"""Following handles by optical flow: torchvision's RAFT, where its weights are on disk.

Teed and Deng, "RAFT: Recurrent All-Pairs Field Transforms for Optical Flow" (2020).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from pickle import UnpicklingError

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from editing.errors import OptionError
from editing.features import Features, sample_features

WEIGHTS_VARIABLE = "PHOTODRAG_RAFT_WEIGHTS"
_FILE = "raft_small_C_T_V2-01064c6d.pth"
# The network halves a picture thrice and correlates four scales below that.
_LEAST_SIDE = 128


def raft_weights() -> Path | None:
    """The file of torchvision's small RAFT, or None where there is none."""
    named = os.environ.get(WEIGHTS_VARIABLE)
    hub = Path(os.environ.get("TORCH_HOME", Path.home() / ".cache" / "torch"))
    path = Path(named) if named else hub / "hub" / "checkpoints" / _FILE
    return path if path.is_file() else None


def load_raft(device: torch.device) -> nn.Module:
    """RAFT (small), frozen.

    Raises:
        OptionError: its weights are not on disk, or the file holds something else.
    """
    # Only who asks for it pays for importing torchvision.
    from torchvision.models.optical_flow import raft_small

    path = raft_weights()
    if path is None:
        raise OptionError(
            f"the raft tracker needs torchvision's {_FILE}: put it into torch's hub folder, name "
            f"it with {WEIGHTS_VARIABLE}, or choose another tracker"
        )
    network = raft_small(weights=None)
    try:
        network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    except (UnpicklingError, RuntimeError, OSError, TypeError, AttributeError) as error:
        raise OptionError(f"{path} does not hold torchvision's raft_small weights") from error
    return network.eval().requires_grad_(False).to(device)


def flow_tracker(first: Features, handles: Tensor) -> Callable[[Features, Tensor], Tensor]:
    """Make a tracker that adds the flow from the first picture to the first handles."""
    network = load_raft(handles.device)
    side = first.resolution
    scale = max(1, -(-_LEAST_SIDE // side))

    def prepared(features: Features) -> Tensor:
        return F.interpolate(
            features.image().clamp(-1, 1), scale_factor=scale, mode="bilinear", align_corners=False
        )

    before = prepared(first)

    @torch.no_grad()
    def track(features: Features, _: Tensor) -> Tensor:
        flow = network(before, prepared(features))[-1] / scale
        return (handles + sample_features(flow, handles, side)).clamp(0, side)

    return track
