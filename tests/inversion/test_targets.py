"""How near renderings are, and which pixels count."""

import pytest
import torch
from torch import Tensor

from inversion.targets import Targets, compare, face_weights


class Zero:
    """A perceptual distance that sees nothing."""

    name = "zero"

    def __call__(self, a: Tensor, b: Tensor) -> Tensor:
        """Measure [N]."""
        return (a - b).sum((1, 2, 3)) * 0


CPU = torch.device("cpu")


def error(images: Tensor, valid: Tensor, emphasis: float) -> float:
    """Mean square error to black crops of 32 pixels."""
    weights = face_weights(32, emphasis, CPU)
    targets = Targets(crops=torch.zeros_like(images), valid=valid)
    return compare(images, targets, Zero(), weights)[1].item()


@pytest.mark.parametrize("side", [32, 128])
def test_weights_have_mean_one_and_favour_the_face(side: int) -> None:
    weights = face_weights(side, 0.8, CPU)
    assert isinstance(weights, Tensor)
    assert weights.mean().item() == pytest.approx(1)
    assert torch.allclose(weights, weights.flip(3), rtol=1e-4)
    assert weights[0, 0, side // 2, side // 2] > 3 * weights[0, 0, 0, 0] > 0
    assert face_weights(side, 0.0, CPU) == 1.0


def test_the_same_fault_costs_more_in_the_face() -> None:
    valid = torch.ones(1, 1, 32, 32)
    face, corner = torch.zeros(1, 3, 32, 32), torch.zeros(1, 3, 32, 32)
    face[..., 16:20, 14:18] = 1
    corner[..., 0:4, 0:4] = 1
    assert error(face, valid, 0.0) == error(corner, valid, 0.0)
    assert error(face, valid, 0.8) > 3 * error(corner, valid, 0.8)


@pytest.mark.parametrize("emphasis", [0.0, 0.8])
def test_an_even_fault_costs_its_square_wherever_it_is_seen(emphasis: float) -> None:
    images = torch.full((1, 3, 32, 32), 0.5)
    valid = torch.ones(1, 1, 32, 32)
    valid[..., :9] = 0
    assert error(images, valid, emphasis) == pytest.approx(0.25)
