"""CUDA graphs: the kernels of a function are recorded once and launched together from then on."""

import logging
from collections.abc import Callable
from threading import Lock

import torch
from torch import Tensor

from styleganv.errors import first_line

logger = logging.getLogger(__name__)


class GraphedFunction:
    """A function of GPU tensors of fixed shapes, recorded at its second call and replayed from then on.

    The first call is an ordinary one, in which libraries initialize themselves. All calls take place in the same mode,
    e.g. `torch.inference_mode`. What else the function reads must stay where it is in memory, and is read at each call.
    If the recording fails, the function is called as it is.
    """

    def __init__(self, function: Callable[..., Tensor]) -> None:
        """Take a function that neither waits for the GPU nor copies to or from it."""
        self._function = function
        self._lock = Lock()  # inputs and output are the same memory for all threads
        self._num_calls = 0
        self._graph: torch.cuda.CUDAGraph | None = None

    def __call__(self, *inputs: Tensor) -> Tensor:
        """Return the output in memory of its own."""
        with self._lock:
            self._num_calls += 1
            if self._num_calls == 2:
                self._record(*inputs)
            if self._graph is None:
                return self._function(*inputs)
            for own, given in zip(self._inputs, inputs, strict=True):
                own.copy_(given)
            self._graph.replay()
            return self._output.clone()

    def _record(self, *inputs: Tensor) -> None:
        graph, stream = torch.cuda.CUDAGraph(), torch.cuda.Stream(inputs[0].device)
        self._inputs = [torch.empty_like(given) for given in inputs]
        try:
            # Other threads may use the GPU meanwhile.
            with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
                self._output = self._function(*self._inputs)
        except RuntimeError as error:
            logger.warning(f"Recording a CUDA graph failed ({first_line(error)}): generation continues without it.")
            return
        self._graph = graph
