"""Operations on the pretended GPU without arithmetic: large steps are traced in seconds, to count what they do.

    with shapes_only(), fake_cuda() as log:
        ...

Results have the right shape, strides and dtype, but their values are arbitrary.
"""

from contextlib import AbstractContextManager
from typing import Any

import torch
from fake_cuda_tensors import is_on_gpu
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map


def shapes_only() -> AbstractContextManager[Any]:
    """Return a context in which operations on the GPU compute nothing; enter it before `fake_cuda`."""
    return _ShapesOnly()


class _ShapesOnly(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs, schema = dict(kwargs or {}), func._schema
        returns = [value.alias_info for value in schema.returns]
        is_view = any(alias is not None and not alias.is_write for alias in returns)
        if is_view or not any(is_on_gpu(x) for x in tree_leaves((args, kwargs))):
            return func(*args, **kwargs)
        if schema.is_mutable:  # in place, or an optimizer's step
            return args[0] if returns else None
        if "device" in kwargs:
            kwargs["device"] = torch.device("meta")
        args, kwargs = tree_map(_without_contents, (args, kwargs))
        return tree_map(_with_contents, func(*args, **kwargs))


def _without_contents(x: Any) -> Any:
    return _empty(x, "meta") if isinstance(x, Tensor) else x


def _with_contents(x: Any) -> Any:
    return _empty(x, "cpu") if isinstance(x, Tensor) else x


def _empty(like: Tensor, device: str) -> Tensor:
    make = torch.ops.aten.empty_strided.default
    return make(like.size(), like.stride(), dtype=like.dtype, device=torch.device(device))  # type: ignore[no-any-return]
