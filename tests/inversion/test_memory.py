"""How tuning fits into memory."""

import pytest
import torch

from inversion.memory import USABLE, free_bytes, gradient_bytes, plan
from weights.stylegan2 import Generator, GeneratorConfig


def test_fewer_at_once_come_before_computing_layers_again(tiny_generator: Generator) -> None:
    one, none = gradient_bytes(tiny_generator), plan(tiny_generator, 3, 0)
    weights = 4 * sum(4 * value.numel() for value in tiny_generator.parameters())

    def planned(pictures: float) -> tuple[int, bool]:
        found = plan(tiny_generator, 3, int((weights + pictures * one) / USABLE) + 1)
        return found.together, found.recomputing

    assert planned(5) == (3, False)
    assert planned(2.5) == (2, False)
    assert planned(1.01) == (1, False)
    assert planned(0.9) == (1, True)
    assert (none.together, none.recomputing) == (1, True)


def test_layers_weigh_what_their_numbers_do() -> None:
    """At 8 px: b4.conv1, b8.conv0 and b8.conv1, of 8 channels."""
    config = GeneratorConfig(
        resolution=8, channel_base=64, channel_max=8, w_dim=8, z_dim=8, mapping_layers=1
    )
    generator = Generator(config)
    held = gradient_bytes(generator)
    numbers = 8 * 16 + 2 * 8 * 64
    assert held % (4 * numbers) == 0
    generator.compute_dtype = torch.bfloat16
    assert gradient_bytes(generator) == held / 2


def test_the_system_tells_what_is_free() -> None:
    free = free_bytes(torch.device("cpu"))
    assert 1e8 < free < 1e14


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_a_gpu_tells_what_is_free() -> None:
    device = torch.device("cuda")
    assert 0 < free_bytes(device) <= torch.cuda.get_device_properties(device).total_memory
