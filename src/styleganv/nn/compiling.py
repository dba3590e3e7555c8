"""Layers compiled by torch.compile, each plain if that fails.

A compiled function is differentiable only once, so gradient penalties take the plain layers.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from styleganv.errors import first_line

logger = logging.getLogger(__name__)

#: Graphs that Dynamo keeps of a class of layers: a few for each layer, by what requires a gradient.
MAX_GRAPHS = 128


class LayerCompiler:
    """Compiles layers at their first call; after a failure, those that are not compiled yet stay plain.

    A layer that was compiled stays so: gradient checkpointing needs the same function in both passes.
    """

    def __init__(self, backend: str | Callable[..., Any] = "inductor") -> None:
        """Choose the backend of torch.compile; the default requires Triton on GPUs and a C++ compiler on CPUs."""
        self.backend = backend
        self._paused = self._failed = False

    def compile_layers(self, network: nn.Module, *types: type[nn.Module]) -> None:
        """Compile the layers of a network that are of these types; copies of the network stay plain."""
        import torch._dynamo  # takes seconds

        torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, MAX_GRAPHS)
        for layer in network.modules():
            if isinstance(layer, types):
                layer._compiled_call_impl = self._compile(layer)  # what `Module.compile` sets

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Call the plain layers inside the context, which are differentiable twice."""
        self._paused = True
        try:
            yield
        finally:
            self._paused = False

    def _compile(self, layer: nn.Module) -> Callable[..., Any]:
        from torch._dynamo.exc import TorchDynamoException

        plain = layer._call_impl
        compiled = torch.compile(layer.forward, backend=self.backend, fullgraph=True, dynamic=False)
        is_compiled: bool | None = None

        def call(*inputs: Any) -> Any:
            nonlocal is_compiled
            if self._paused or is_compiled is False or (is_compiled is None and self._failed):
                return plain(*inputs)
            try:
                outputs = compiled(*inputs)
                is_compiled = True
            except TorchDynamoException as error:
                outputs = plain(*inputs)  # raises if not the compiler but the inputs are at fault
                is_compiled = False
                self._report(error)
            return outputs

        return call

    def _report(self, error: Exception) -> None:
        """Log the first failure."""
        if not self._failed:
            error = getattr(error, "inner_exception", error)
            reason = f"{type(error).__name__}: {first_line(error)}"
            logger.warning(f"torch.compile failed ({reason}): training continues without it.")
        self._failed = True
