"""The number format of a device is one that the device multiplies itself."""

from pathlib import Path

import pytest
import torch

from weights.dtypes import choose_dtype

CPU_FACTS = Path("/proc/cpuinfo")


@pytest.mark.skipif(not CPU_FACTS.exists(), reason="the processor says nothing of itself")
def test_processor_takes_bfloat16_where_it_has_instructions_for_it() -> None:
    known = CPU_FACTS.read_text().split()
    native = "avx512_bf16" in known or "bf16" in known
    assert (choose_dtype(torch.device("cpu")) == torch.bfloat16) == native


def test_other_devices_take_float32() -> None:
    assert choose_dtype(torch.device("mps")) == torch.float32
