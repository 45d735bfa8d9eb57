"""Work of the same shape again and again on a GPU, recorded once and started as a whole.

A training step is hundreds of small kernels. A GPU runs them in a tenth of the time that Python takes to
start them one by one, so that it waits; as one CUDA graph they are started together.
"""

from collections import Counter
from collections.abc import Callable

import torch
from torch import Tensor

_WARM_UP = 2
"""Calls of a shape before it is recorded: the first allocate what lasts, such as moments of an optimizer."""

_Recorded = tuple[torch.cuda.CUDAGraph, tuple[Tensor, ...], Tensor]  # graph, inputs and output


class Replay:
    """A function that is called as it is on a CPU, and replayed on a GPU.

    It takes tensors and returns one. All else that it reads or changes must stay the same tensors, changed in
    place, and it must not wait for a number from the GPU.
    """

    def __init__(self, function: Callable[..., Tensor], device: torch.device) -> None:
        self.function = function
        self.device = device
        self._calls: Counter[tuple[int, ...]] = Counter()
        self._recorded: dict[tuple[int, ...], _Recorded] = {}

    def __call__(self, *inputs: Tensor) -> Tensor:
        """Returns what the function returns for ``inputs``, (index,) each; the next call overwrites it."""
        if self.device.type != "cuda":
            return self.function(*inputs)
        sizes = tuple(len(one) for one in inputs)
        self._calls[sizes] += 1
        if self._calls[sizes] <= _WARM_UP:
            return self._warm_up(inputs)
        if sizes not in self._recorded:
            self._recorded[sizes] = self._record(inputs)
        graph, own, output = self._recorded[sizes]
        for mine, given in zip(own, inputs, strict=True):
            mine.copy_(given)
        graph.replay()
        return output

    def _warm_up(self, inputs: tuple[Tensor, ...]) -> Tensor:
        # Beside the default stream, as recordings are.
        stream, current = torch.cuda.Stream(self.device), torch.cuda.current_stream(self.device)
        stream.wait_stream(current)
        with torch.cuda.stream(stream):
            output = self.function(*inputs)
        current.wait_stream(stream)
        return output

    def _record(self, inputs: tuple[Tensor, ...]) -> _Recorded:
        own = tuple(one.clone() for one in inputs)
        graph = torch.cuda.CUDAGraph()
        # Recordings work one at a time and keep nothing but what they return: they can share their memory.
        others = [recorded.pool() for recorded, *_ in self._recorded.values()]
        with torch.cuda.graph(graph, pool=others[0] if others else None):
            output = self.function(*own)
        return graph, own, output
