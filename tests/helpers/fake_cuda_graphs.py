"""CUDA graphs of the pretended device: a recorded function is replayed on the same memory, as on a real one.

Recording computes nothing: what it seems to return is not a number until the first replay. A replay reads the memory
that the recorded operations read, and overwrites what they wrote.
"""

from typing import Any

import torch
from fake_cuda_tensors import TransferLog, has_storage
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class FakeGraph:
    """Stands for `torch.cuda.CUDAGraph`."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, Any, Any, list[Tensor | None]]] = []

    def replay(self) -> None:
        for function, args, kwargs, outputs in self.calls:
            for old, new in zip(outputs, tree_leaves(function(*args, **kwargs)), strict=True):
                if old is not None:
                    old.copy_(new)


class _Recorder(TorchDispatchMode):
    """Records operations; the results that are no views of an input are the memory of the graph."""

    def __init__(self, graph: FakeGraph) -> None:
        super().__init__()
        self.graph = graph

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        results = func(*args, **kwargs)
        inputs = {x.untyped_storage() for x in tree_leaves((args, kwargs)) if has_storage(x)}
        own = [x if has_storage(x) and x.untyped_storage() not in inputs else None for x in tree_leaves(results)]
        self.graph.calls.append((func, args, kwargs, own))
        return results


def graph_context(log: TransferLog) -> type:
    """Return what stands for `torch.cuda.graph`; transfers and waiting while it records raise an error."""

    class Graph:
        def __init__(self, graph: FakeGraph, **_: Any) -> None:
            self.recorder = _Recorder(graph)

        def __enter__(self) -> None:
            log.add("graphs")
            log.is_recording = True
            self.recorder.__enter__()

        def __exit__(self, *error: Any) -> None:
            self.recorder.__exit__(*error)
            log.is_recording = False
            with torch.inference_mode():
                for *_, outputs in self.recorder.graph.calls:
                    for x in outputs:
                        if x is not None:
                            x.fill_(float("nan") if x.is_floating_point() else 99)

    return Graph
