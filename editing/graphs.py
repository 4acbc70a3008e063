"""CUDA graphs: a function's kernels are recorded once and launched together ever after.

A step of a drag is some thousand small kernels. Launched one by one by Python they keep a GPU
waiting; as a graph they run one after the other without the host.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar, cast

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map

SWITCH = "PHOTODRAG_CUDA_GRAPHS"
# Libraries prepare themselves in the first runs, which cannot be recorded.
WARM_UPS = 3

Tensors = TypeVar("Tensors")


def captured(
    function: Callable[[Tensors], Tensors], example: Tensors
) -> Callable[[Tensors], Tensors]:
    """A pure function of tensors as a CUDA graph.

    Args:
        function: makes new tensors of some (nested tuples) by the same operators each time: no
            value is read by the host, nothing is copied to the device.
        example: tensors of the shapes that it is to be called with.

    Returns:
        What gives the same results, in tensors of their own; the function itself where the
        tensors are not on CUDA, where the environment says PHOTODRAG_CUDA_GRAPHS=0, and, with a
        warning, where it cannot be recorded.
    """
    leaves = cast("list[Tensor]", tree_leaves(example))
    if os.environ.get(SWITCH) == "0" or any(leaf.device.type != "cuda" for leaf in leaves):
        return function
    try:
        return _Graph.record(function, example)
    except RuntimeError as error:
        reason = str(error).partition("\n")[0]
        warnings.warn(f"no CUDA graph, which is slower: {reason}", RuntimeWarning, stacklevel=2)
        return function


@dataclass(frozen=True, kw_only=True, eq=False)
class _Graph(Generic[Tensors]):
    """A recorded function.

    Attributes:
        function: owns the other tensors that the graph reads.
        graph: reads `inputs` and writes `outputs`.
        inputs: its own.
        outputs: its own.
    """

    function: Callable[[Tensors], Tensors]
    graph: torch.cuda.CUDAGraph
    inputs: Tensors
    outputs: Tensors

    @classmethod
    def record(cls, function: Callable[[Tensors], Tensors], example: Tensors) -> _Graph[Tensors]:
        inputs = _copies(example)
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UPS):
                function(inputs)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        # Other threads may draw meanwhile.
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            outputs = function(inputs)
        return cls(function=function, graph=graph, inputs=inputs, outputs=outputs)

    def __call__(self, tensors: Tensors) -> Tensors:
        tree_map(Tensor.copy_, self.inputs, tensors)
        self.graph.replay()
        return _copies(self.outputs)


def _copies(tensors: Tensors) -> Tensors:
    return cast(Tensors, tree_map(torch.clone, tensors))
