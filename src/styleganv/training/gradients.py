"""Gradients averaged over the processes, in buckets that travel while the backward pass still runs.

Every process launches its buckets in the same order. That requires the same parameters to have gradients on all
processes.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Self

import torch
import torch.distributed as dist
from torch import Tensor, nn

from styleganv import distributed

#: Size of a bucket: large enough for the full rate of a network, small enough to start early.
BUCKET_BYTES = 25 * 2**20


@dataclass
class _Bucket:
    """Parameters whose gradients travel together.

    Attributes:
        num_incomplete: number of parameters whose gradient still changes.
        flat: their gradients in one tensor, once launched.
    """

    parameters: list[nn.Parameter]
    num_incomplete: int
    flat: Tensor | None = None
    work: dist.Work | None = None

    def gradients(self) -> list[Tensor]:
        return [p.grad for p in self.parameters if p.grad is not None]


class AveragedGradients:
    """Context of backward passes whose gradients `finish` averages over the processes.

    With one process, nothing is copied.

    Args:
        parameters: parameters to average; those without a gradient are skipped.
        num_backwards: number of backward passes in the context, each of which accumulates every gradient once; then
            buckets start to travel during the last of them. None: all start at the end.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], num_backwards: int | None = None) -> None:
        self.parameters = list(parameters)
        # Hooks run in threads of autograd, which do not know whether the context `single_process` is active.
        self.world_size = distributed.world_size()
        self.buckets = split_buckets(self.parameters) if self.world_size > 1 else []
        self.num_launched = 0
        self._hooks = []
        self._backwards_left: dict[Tensor, int] = {}
        if num_backwards is not None:
            for bucket in self.buckets:
                for parameter in bucket.parameters:
                    self._backwards_left[parameter] = num_backwards
                    hook = partial(self._accumulated, bucket)
                    self._hooks.append(parameter.register_post_accumulate_grad_hook(hook))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for hook in self._hooks:
            hook.remove()

    def _accumulated(self, bucket: _Bucket, parameter: Tensor) -> None:
        """Launch all buckets that are complete and next in order."""
        self._backwards_left[parameter] -= 1
        if self._backwards_left[parameter] < 0:
            raise RuntimeError("A gradient was accumulated more often than announced, after it was averaged.")
        bucket.num_incomplete -= self._backwards_left[parameter] == 0
        while self.num_launched < len(self.buckets) and not self.buckets[self.num_launched].num_incomplete:
            self._launch()

    def _launch(self) -> None:
        """Start to average the next bucket."""
        bucket = self.buckets[self.num_launched]
        self.num_launched += 1
        if gradients := bucket.gradients():
            bucket.flat = torch.cat([gradient.flatten() for gradient in gradients])
            bucket.work = dist.all_reduce(bucket.flat, async_op=True)

    @torch.no_grad()
    def finish(self) -> Tensor:
        """Replace the gradients by their mean over the processes; return whether all are finite, `[]`."""
        while self.num_launched < len(self.buckets):
            self._launch()
        for bucket in self.buckets:
            if bucket.flat is not None and bucket.work is not None:
                bucket.work.wait()
                bucket.flat /= self.world_size
                gradients = bucket.gradients()
                parts = bucket.flat.split([gradient.numel() for gradient in gradients])
                torch._foreach_copy_(gradients, [p.view_as(g) for p, g in zip(parts, gradients, strict=True)])
                bucket.flat = None
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        return torch.stack(torch._foreach_norm(gradients)).isfinite().all()


def split_buckets(parameters: list[nn.Parameter]) -> list[_Bucket]:
    """Return buckets in the order in which a backward pass usually completes them: the last parameters first."""
    groups: list[list[nn.Parameter]] = []
    size = BUCKET_BYTES
    for parameter in reversed(parameters):
        if size >= BUCKET_BYTES:
            groups.append([])
            size = 0
        groups[-1].append(parameter)
        size += parameter.nbytes
    return [_Bucket(group, len(group)) for group in groups]
