"""Counts where the work of a step leaves the channels-last memory format."""

from collections import Counter
from typing import Any

import torch
from fake_cuda_tensors import current_line
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

#: Operations that copy a tensor, possibly to another memory format.
COPIES = {"clone", "_to_copy", "copy_"}


class FormatLog(TorchDispatchMode):
    """Counts of images `[N, C, H, W]` in other formats than channels-last.

    Attributes:
        sites: by kind and place in the source of styleganv. Kinds are `input`, `gradient` and `weight` of convolutions,
            and `conversion` (a copy to another format).
    """

    def __init__(self) -> None:
        super().__init__()
        self.sites: Counter[tuple[str, str]] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func._schema.name.split("::")[1]
        if name == "convolution":
            self._check(input=args[0], weight=args[1])
        elif name == "convolution_backward":
            self._check(gradient=args[0], input=args[1], weight=args[2])
        results = func(*args, **(kwargs or {}))
        if name in COPIES:
            source = args[1] if name == "copy_" else args[0]
            if is_image(source) and is_channels_last(source) != is_channels_last(results):
                self.sites["conversion", f"{current_line()} {list(source.shape)}"] += 1
        return results

    def _check(self, **tensors: Tensor) -> None:
        for kind, x in tensors.items():
            if x.ndim == 4 and not is_channels_last(x):
                self.sites[kind, f"{current_line()} {list(x.shape)} {list(x.stride())}"] += 1


def is_image(x: Tensor) -> bool:
    """Return whether the format of a tensor matters."""
    return x.ndim == 4 and x.shape[1] > 1 and x.shape[2] * x.shape[3] > 1


def is_channels_last(x: Tensor) -> bool:
    return x.is_contiguous(memory_format=torch.channels_last)
