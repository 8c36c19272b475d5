"""A training step on buffers that stay, so that a GPU can be told all of its kernels at once (a CUDA graph).

A small network's step is hundreds of kernels of a few microseconds each: launching them one by one takes longer than
running them. On a CPU the step is run on the same buffers, without a recording.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

import torch

from prunetui.api import Batch
from prunetui.api.source import mapped, tensors_in
from prunetui.errors import TrialError

Result = TypeVar("Result")

WARM_UP = 3
"""Steps before the recording: optimisers make their buffers, libraries choose their kernels."""


class Repeated(Generic[Result]):
    """``step(batch)`` for batches of one shape, recorded at its fourth call on a GPU.

    The tensors of the result lie in buffers, too: read them before the next call.
    """

    def __init__(self, step: Callable[[Batch], Result]) -> None:
        self._step = step
        self._calls = 0
        self._buffers: Batch = None
        self._graph: torch.cuda.CUDAGraph | None = None
        self._result: Result | None = None

    def __call__(self, batch: Batch) -> Result:
        """The step on this batch.

        Raises:
            TrialError: the step cannot be recorded.
        """
        if self._buffers is None:
            self._buffers = mapped(batch, torch.clone)
        for buffer, tensor in zip(tensors_in(self._buffers), tensors_in(batch), strict=True):
            if buffer.shape != tensor.shape:
                shapes = f"{list(buffer.shape)} and {list(tensor.shape)}"
                raise TrialError(f"batches of {shapes} cannot share a CUDA graph; set run.cuda_graphs = false")
            buffer.copy_(tensor)
        self._calls += 1
        if tensors_in(batch)[0].device.type != "cuda":
            return self._step(self._buffers)
        if self._calls <= WARM_UP:
            return self._aside()
        if self._graph is None:
            self._record()
        assert self._graph is not None
        assert self._result is not None
        self._graph.replay()
        return self._result

    def _aside(self) -> Result:
        """On a stream of its own, as recording asks of what ran before."""
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            result = self._step(self._buffers)
        torch.cuda.current_stream().wait_stream(stream)
        return result

    def _record(self) -> None:
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph):
                self._result = self._step(self._buffers)
        except torch.cuda.OutOfMemoryError:  # a RuntimeError, too, but told by the training
            raise
        except RuntimeError as error:
            raise TrialError(f"this training cannot be a CUDA graph ({error}); set run.cuda_graphs = false") from None
        self._graph = graph
