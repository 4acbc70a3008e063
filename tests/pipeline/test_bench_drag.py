"""The engines side by side on a random generator."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch.nn import functional as F

from pipeline.bench_drag import ConvolutionCount, DragCase, measure_engine, to_drag_table


def test_counts_convolutions_forward_and_backward() -> None:
    x = torch.randn(1, 2, 5, 5).requires_grad_()
    kernel = torch.randn(3, 2, 3, 3)
    with ConvolutionCount() as count:
        y = F.conv2d(x, kernel, padding=1)
        (y * y).sum().backward()
    once = 2 * 9 * 2 * 3 * 25
    assert count.flop == 2 * once
    maps, weights = 4 * 25, 4 * 9 * 2 * 3
    # Forward: input, kernel, output; backward: both again, and the gradients of the two maps.
    assert count.moved == (2 + 3) * maps + weights + (3 + 2 + 2) * maps + weights


def test_measures_an_engine() -> None:
    torch.set_num_threads(1)
    row = measure_engine("default", DragCase(size=128, points=3, mask=True, device="cpu"))
    assert row.block == 64
    assert row.gflop > 0
    assert row.steps_per_s > 0
    assert row.cpu_s > 0
    assert to_drag_table([row, row]).endswith("\n1.0 times the steps per second")
    there = replace(row, device="NVIDIA H200")
    assert to_drag_table([there, there]).endswith("per second, on NVIDIA H200")
