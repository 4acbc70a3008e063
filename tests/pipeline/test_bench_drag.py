"""The engines side by side on a random generator."""

from __future__ import annotations

import pytest
import torch

from pipeline.bench_drag import DragCase, convolution_cost, measure_engine, to_drag_table
from weights.stylegan2 import GeneratorConfig


def test_counts_operations_and_bytes() -> None:
    config = GeneratorConfig(resolution=8, channel_base=32, channel_max=4)
    # 4 x 4: one convolution of 4 channels; 8 x 8: one that doubles, at 4 x 4, and one at 8 x 8.
    once = 2 * 9 * 4 * 4 * (16 + 16 + 64)
    flop, size = convolution_cost(config, 8, whole=False, width=2)
    assert flop == 2 * once
    assert size == 2 * 2 * (3 * 9 * 16 + 4 * (16 + 16) + 4 * (16 + 64) + 4 * (64 + 64))
    coarse, _ = convolution_cost(config, 4, whole=False, width=2)
    assert coarse == 2 * 2 * 9 * 4 * 4 * 16
    drawn, _ = convolution_cost(config, 4, whole=True, width=2)
    assert drawn == coarse + 2 * 9 * 4 * 4 * (16 + 64)


def test_the_public_shape_costs_what_is_known() -> None:
    config = GeneratorConfig(resolution=1024, channel_base=32768, channel_max=512)
    flop, _ = convolution_cost(config, 128, whole=False, width=2)
    assert flop / 1e9 == pytest.approx(122, abs=2)


@pytest.mark.slow
def test_measures_an_engine() -> None:
    torch.set_num_threads(1)
    row = measure_engine("default", DragCase(size=256, points=3, mask=True, device="cpu"))
    assert row.block == 128
    assert row.steps_per_s > 0
    assert "1.0 times the steps per second" in to_drag_table([row, row])
