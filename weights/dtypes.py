"""The number format that a device multiplies fastest."""

from __future__ import annotations

import platform

import torch

_X86 = ("x86_64", "AMD64", "i386", "i686")


def choose_dtype(device: torch.device) -> torch.dtype:
    """Pick bfloat16 where the device multiplies it natively, float32 elsewhere.

    oneDNN takes bfloat16 on any processor with AVX-512, but where the processor has no instruction
    for it, convolutions take three times as long as in float32.
    """
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    elif device.type != "cpu":
        native = False
    elif platform.machine() in _X86:
        native = torch.cpu._is_avx512_bf16_supported()  # pyright: ignore[reportPrivateUsage]
    else:
        native = bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return torch.bfloat16 if native else torch.float32
