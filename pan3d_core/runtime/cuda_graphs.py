"""Work of thousands of small kernels, launched as one.

A large network on few images spends more time telling a GPU what to do than the GPU needs to do it. Recorded as a CUDA graph the
same kernels are started at once.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
from torch import Tensor

T = TypeVar("T")
WARM_UP_RUNS = 2  # libraries choose their kernels and make their workspaces in the first ones


_Kind = tuple[tuple[tuple[int, ...], torch.dtype, torch.device], ...]  # shape, type and place of every input


@dataclass(frozen=True)
class _Recording(Generic[T]):
    graph: torch.cuda.CUDAGraph
    inputs: tuple[Tensor, ...]
    result: T


class CudaGraphs(Generic[T]):
    """A function of CUDA tensors, recorded once for every combination of shapes and types that it meets and replayed after that.

    The function must neither look at values nor copy between host and device. What it returns, of any structure, lies in memory
    that the next call with the same shapes writes into again. Inference only.
    """

    def __init__(self, function: Callable[..., T], keep: int = 2) -> None:
        """`keep`: recordings that are held at a time, each with all the memory that it works in."""
        self._function, self._keep = function, keep
        self._recordings: OrderedDict[_Kind, _Recording[T]] = OrderedDict()

    @torch.inference_mode()
    def __call__(self, *inputs: Tensor) -> T:
        kind = tuple((tuple(value.shape), value.dtype, value.device) for value in inputs)
        if kind not in self._recordings:
            while len(self._recordings) >= self._keep:
                self._recordings.popitem(last=False)
            self._recordings[kind] = self._record(inputs)
        self._recordings.move_to_end(kind)
        recording = self._recordings[kind]
        for own, given in zip(recording.inputs, inputs, strict=True):
            own.copy_(given)
        recording.graph.replay()
        return recording.result

    def _record(self, inputs: tuple[Tensor, ...]) -> _Recording[T]:
        own = tuple(value.clone(memory_format=torch.contiguous_format) for value in inputs)
        aside = torch.cuda.Stream(own[0].device)
        aside.wait_stream(torch.cuda.current_stream(own[0].device))
        with torch.cuda.stream(aside):
            for _ in range(WARM_UP_RUNS):
                self._function(*own)
        torch.cuda.current_stream(own[0].device).wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            result = self._function(*own)
        return _Recording(graph, own, result)
