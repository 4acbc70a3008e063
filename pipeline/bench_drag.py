"""Speed and memory of the drag engines at the full size of the public generators.

The generator has the shape of the public FFHQ networks, at 128 px of the built-in one, and random
weights: what a step costs depends on the shape alone. Each engine works in a process of its own,
so that its peak of memory is its own, and does what it does by default: the reference in float32,
the default engine in the number format that `pipeline.models` chooses for the device, and on CUDA
as a graph, unless the environment says PHOTODRAG_CUDA_GRAPHS=0.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from editing.drag import AHEAD, Drag, DragEngine, default_blocks
from editing.engine import ENGINES, Engine
from editing.reference import SUPERVISED_BLOCK
from editing.spec import DragSpec
from inversion.types import Inversion
from pipeline.bench import peak_mb
from pipeline.edit import Watch
from pipeline.evaluate.samples import as_subject
from pipeline.evaluate.tasks import measure_apart
from pipeline.models import choose_device
from weights.dtypes import choose_dtype
from weights.stylegan2 import Generator, GeneratorConfig

SIZES = (128, 256, 512, 1024)
BENCHED_ENGINES = ("reference", "default")
# A GPU takes the default engine's steps some at a time: here such a number of them.
_STEPS = {"reference": 2, "default": 2 * AHEAD}


@dataclass(frozen=True, kw_only=True)
class DragCase:
    """What is dragged.

    Attributes:
        size: Side of the picture in pixels.
        points: Number of handles.
        mask: Whether half of the picture is fixed.
        device: One of `pipeline.models.DEVICES`.
    """

    size: int
    points: int = 1
    mask: bool = False
    device: str = "auto"


@dataclass(frozen=True, kw_only=True)
class DragRow:
    """One engine's figures.

    Attributes:
        engine: Its name.
        device: What it worked on: "cpu", or the name of a GPU.
        dtype: Number format of its convolutions.
        block: Side of the finest block that it computes.
        begin_s: Time until the first step can be taken.
        steps_per_s: Of the optimiser.
        cpu_s: CPU seconds of a step, those of all threads.
        peak_mb: Largest memory of the process, weights included; on a GPU of the tensors.
        gflop: Floating point operations of one step's convolutions, forward and backward.
        mb: Bytes that they read and write, in megabytes.
        floor_s: Time of a step at the rates that a plain convolution and a plain copy reach.
    """

    engine: str
    device: str
    dtype: str
    block: int
    begin_s: float
    steps_per_s: float
    cpu_s: float
    peak_mb: float | None
    gflop: float
    mb: float
    floor_s: float


def bench_drag(case: DragCase, watch: Watch) -> list[DragRow]:
    """Measure the engines one after the other."""
    return list(watch(_rows(case), stage="drag", total=len(BENCHED_ENGINES)))


def _rows(case: DragCase) -> Iterator[DragRow]:
    for name in BENCHED_ENGINES:
        for _, row in measure_apart([(name, name)], partial(_measuring, case), jobs=1):
            yield row


def _measuring(case: DragCase) -> Callable[[str], DragRow]:
    return partial(measure_engine, case=case)


def measure_engine(name: str, case: DragCase) -> DragRow:
    """Take some steps with one engine."""
    device = choose_device(case.device)
    authors = name == "reference"
    dtype = torch.float32 if authors else choose_dtype(device)
    subject = random_subject(case.size, device, dtype)
    engine, spec = _asked(name, case)
    steps = engine.steps(subject, spec)
    start = time.perf_counter()
    next(steps)
    begun = time.perf_counter()
    # The first step also meets what libraries prepare once.
    next(steps)
    first, spent = time.perf_counter(), time.process_time()
    for _ in range(_STEPS[name]):
        next(steps)
    seconds = (time.perf_counter() - first) / _STEPS[name]
    cpu_s = (time.process_time() - spent) / _STEPS[name]
    memory = torch.cuda.max_memory_allocated() / 1e6 if device.type == "cuda" else peak_mb()
    if isinstance(engine, DragEngine) and device.type == "cuda":
        # Recorded steps pass no operators by: one is taken anew.
        drag = Drag.begin(engine, subject, spec, None)
        further = partial(drag.advance, drag.set_out())
    else:
        further = partial(next, steps)
    with ConvolutionCount() as count:
        further()
    rate, bandwidth = attainable_rates(device, dtype)
    return DragRow(
        engine=name,
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        dtype=str(dtype).removeprefix("torch."),
        block=min(SUPERVISED_BLOCK, case.size) if authors else default_blocks(case.size)[-1],
        begin_s=begun - start,
        steps_per_s=1 / seconds,
        cpu_s=cpu_s,
        peak_mb=memory,
        gflop=count.flop / 1e9,
        mb=count.moved / 1e6,
        floor_s=max(count.flop / rate, count.moved / bandwidth),
    )


def random_subject(size: int, device: torch.device, dtype: torch.dtype) -> Inversion:
    """A generator of the size's shape with random weights, and one of its samples."""
    torch.manual_seed(0)
    base, most = (4096, 256) if size == 128 else (32768, 512)
    config = GeneratorConfig(resolution=size, channel_base=base, channel_max=most)
    generator = Generator(config).eval().requires_grad_(False).to(device)
    generator.compute_dtype = dtype
    latents = generator.map(torch.randn(1, config.z_dim).to(device))
    return as_subject(generator, latents)


def _asked(name: str, case: DragCase) -> tuple[Engine, DragSpec]:
    """An engine and a drag that does not end within the measured steps."""
    side = case.size
    source = torch.Generator().manual_seed(1)
    handles = (torch.rand(case.points, 2, generator=source) * 0.5 + 0.25) * side
    mask = None
    if case.mask:
        mask = torch.zeros(1, 1, side, side)
        mask[..., side // 4 : 3 * side // 4, side // 8 : 7 * side // 8] = 1
    away = torch.tensor([side / 8, 0.0])
    spec = DragSpec(handles=handles, targets=handles + away, resolution=side, mask=mask)
    engine = replace(ENGINES[name], reach=1e-3, max_steps=1000)
    if isinstance(engine, DragEngine):
        engine = replace(engine, patience=1000)
    return engine, spec


class ConvolutionCount(TorchDispatchMode):
    """Counts what the convolutions do that run within it, backward ones included.

    Attributes:
        flop: Floating point operations.
        moved: Bytes of inputs, kernels and outputs, each read or written once a convolution.
    """

    def __init__(self) -> None:
        super().__init__()
        self.flop, self.moved = 0, 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operator, and count it if it is a convolution."""
        result = func(*args, **(kwargs or {}))
        packet = func.overloadpacket
        if packet in (torch.ops.aten.convolution, torch.ops.aten.convolution_backward):
            self.flop += flop_registry[packet](*args, **(kwargs or {}), out_val=result)
            tensors = [x for x in tree_leaves((args, result)) if isinstance(x, Tensor)]
            self.moved += sum(x.numel() * x.element_size() for x in tensors)
        return result


def attainable_rates(device: torch.device, dtype: torch.dtype) -> tuple[float, float]:
    """Operations per second of a large convolution, and bytes per second of a large copy."""
    x = torch.randn(1, 512, 64, 64, device=device, dtype=dtype)
    x = x.contiguous(memory_format=torch.channels_last)
    kernel = torch.randn(512, 512, 3, 3, device=device, dtype=dtype)
    kernel = kernel.contiguous(memory_format=torch.channels_last)
    seconds = min(_timed(lambda: F.conv2d(x, kernel, padding=1), device) for _ in range(5))
    source = torch.zeros(64 * 2**20, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    copying = min(_timed(lambda: target.copy_(source), device) for _ in range(5))
    return 2 * 9 * 512 * 512 * 64 * 64 / seconds, 2 * source.numel() / copying


def _timed(work: Callable[[], object], device: torch.device) -> float:
    start = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def to_drag_table(rows: Sequence[DragRow]) -> str:
    """Lay the rows out in columns, and say how many times faster the last is."""
    lines = [
        f"{'engine':10} {'format':9} {'block':>5} {'begin s':>8} {'steps/s':>8} {'s/step':>8} "
        f"{'CPU s':>8} {'peak MB':>8} {'GFLOP':>7} {'MB':>7} {'floor s':>8}"
    ]
    for r in rows:
        peak = "unknown" if r.peak_mb is None else f"{r.peak_mb:.0f}"
        lines.append(
            f"{r.engine:10} {r.dtype:9} {r.block:5} {r.begin_s:8.2f} {r.steps_per_s:8.3f} "
            f"{1 / r.steps_per_s:8.3f} {r.cpu_s:8.3f} {peak:>8} {r.gflop:7.1f} {r.mb:7.0f} "
            f"{r.floor_s:8.3f}"
        )
    times = rows[-1].steps_per_s / rows[0].steps_per_s
    where = "" if rows[-1].device == "cpu" else f", on {rows[-1].device}"
    lines.append(f"{times:.1f} times the steps per second{where}")
    return "\n".join(lines)
