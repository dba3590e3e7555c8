"""PyTorch's process-wide switches of GPU arithmetic, set for a training step and restored after it."""

import contextlib
from collections.abc import Iterator

import torch


@contextlib.contextmanager
def step_backends(device: torch.device, *, tf32: bool) -> Iterator[None]:
    """Let cuDNN time its algorithms, and set whether float32 is rounded to TF32; on CPUs, change nothing.

    The sizes of a step repeat, so that timing each algorithm once pays off. PyTorch's default rounds convolutions to
    TF32, but not matrix products; here, both follow `tf32`. Snapshots and evaluations between steps are unaffected.
    """
    if device.type != "cuda":
        yield
        return
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    before = matmul.allow_tf32
    with cudnn.flags(enabled=True, benchmark=True, deterministic=cudnn.deterministic, allow_tf32=tf32):
        matmul.allow_tf32 = tf32
        try:
            yield
        finally:
            matmul.allow_tf32 = before
