"""What tuning changed, in few bits: small whole multiples of one step per tensor.

Tuning moves a weight by little, and a rendering sums over thousands of weights, so that rounding
each one coarsely is lost in the sum. How coarsely is found by rendering.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

LEVELS = (15, 31, 63, 127)
"""Largest codes tried, coarse to fine; the finest still fits one byte."""


@dataclass(frozen=True)
class Delta:
    """Change of one parameter.

    Attributes:
        codes: int8, shaped as the parameter.
        step: the change is `codes * step`.
    """

    codes: Tensor
    step: float

    @property
    def value(self) -> Tensor:
        """The change, float32."""
        return self.codes.float() * self.step


def quantise(change: Tensor, levels: int) -> Delta:
    """Round a change to whole multiples of its largest magnitude over `levels`."""
    largest = float(change.abs().max())
    # The step is kept in single precision, so that a file gives the very same one back.
    step = float(torch.tensor(largest / levels, dtype=torch.float32))
    if step == 0:
        return Delta(torch.zeros_like(change, dtype=torch.int8), 0.0)
    return Delta((change / step).round().clamp(-127, 127).to(torch.int8), step)


@torch.no_grad()
def apply_deltas(network: nn.Module, base: nn.Module, deltas: Mapping[str, Delta]) -> None:
    """Set parameters, in place, to those of the base plus a change."""
    tuned, before = dict(network.named_parameters()), dict(base.named_parameters())
    for name, delta in deltas.items():
        tuned[name].copy_(before[name] + delta.value.to(before[name].device))


@torch.no_grad()
def round_to_deltas(
    network: nn.Module,
    base: nn.Module,
    names: list[str],
    render: Callable[[], Tensor],
    *,
    allowed: float,
) -> tuple[dict[str, Delta], float]:
    """Round a tuned network's changes as coarsely as its pictures allow, in place.

    Args:
        network: tuned; left with the rounded changes.
        base: the network before.
        names: parameters that may differ.
        render: draws with `network` as it is, in [-1, 1]; in float32, since rounding weights moves
            the noise of bfloat16 by more than is allowed.
        allowed: root mean square change of the picture, in 8-bit levels. Where even the finest
            rounding changes it more, the finest is taken.

    Returns:
        Changes of the parameters that differ, and what rounding them did to the picture, in levels.
    """
    before, tuned = dict(base.named_parameters()), dict(network.named_parameters())
    changes = {name: tuned[name] - before[name] for name in names}
    changes = {name: change for name, change in changes.items() if bool(change.any())}
    if not changes:
        return {}, 0.0
    exact = render().clamp(-1, 1)
    deltas: dict[str, Delta] = {}
    error = math.inf
    for levels in LEVELS:
        deltas = {name: quantise(change, levels) for name, change in changes.items()}
        apply_deltas(network, base, deltas)
        error = 127.5 * float((render().clamp(-1, 1) - exact).square().mean().sqrt())
        if error <= allowed:
            break
    return deltas, error
