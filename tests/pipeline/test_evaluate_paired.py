"""The paired reconstruction: its pair, its flow, and a small fixed run."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from pipeline.cli import main
from pipeline.evaluate.paired import SIGMA, draw_latents, flow_drags, optical_flow
from pipeline.evaluate.samples import random_source
from weights.stylegan2 import Generator


def picture(shift: float) -> torch.Tensor:
    """Smooth texture of 128 px, moved to the right by `shift` px."""
    noise = torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    large = F.interpolate(noise, size=(256, 256), mode="bicubic", align_corners=False)
    theta = torch.tensor([[[0.5, 0, -2 * shift / 256], [0, 0.5, 0]]])
    grid = F.affine_grid(theta, [1, 3, 128, 128], align_corners=False)
    return F.grid_sample(large, grid, align_corners=False).clamp(-1, 1)


def test_the_second_picture_differs_in_the_first_six_vectors(tiny_generator: Generator) -> None:
    first, second = draw_latents(tiny_generator, random_source(0, 0))
    moved = (second - first).norm(dim=2)[0]
    assert bool((moved[:6] > 0).all())
    assert not moved[6:].any()
    source = (second - first)[:, :6] / SIGMA + first[:, :6]
    apart = torch.pdist(source[0])
    assert float(apart.min()) > 0


def test_the_flow_follows_a_shift() -> None:
    flow = optical_flow(picture(0), picture(2.5))[0]
    inside = flow[:, 16:-16, 16:-16]
    assert inside[0].median().item() == pytest.approx(2.5, abs=0.3)
    assert inside[1].median().item() == pytest.approx(0, abs=0.3)


def test_drags_lie_in_the_crop_and_follow_the_flow() -> None:
    spec = flow_drags(picture(0), picture(2.5), random_source(0, 0))
    assert spec.handles.shape == (32, 2)
    away = (spec.targets - spec.handles).numpy()
    assert float(np.median(away[:, 0])) == pytest.approx(2.5, abs=0.5)


def test_a_drag_along_the_flow_comes_nearer(tmp_path: Path) -> None:
    command = ["evaluate", "paired", "--engines", "default", "--pairs", "1", "--device", "cpu"]
    assert main([*command, "-o", str(tmp_path)]) == 0
    record = json.loads((tmp_path / "paired.json").read_text("utf-8"))
    untouched, dragged = record["tables"][0]["rows"]
    assert dragged["MSE x 100"] < untouched["MSE x 100"]
    assert dragged["steps"] <= 100
