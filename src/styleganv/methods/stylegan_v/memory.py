"""Memory of a training step, estimated without allocating it.

The step runs on fake tensors, which have shapes but no contents, and their bytes are counted while they are alive. They
are on the CPU, also for GPUs: autograd needs no driver there.
"""

import warnings
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from styleganv import distributed
from styleganv.clip import Clip
from styleganv.config import STDDEV_GROUP, RunConfig
from styleganv.data.dataset import VideoDataset
from styleganv.methods.stylegan_v.trainer import CPU, GanTrainer, build_networks
from styleganv.nn.hardware import gpu_algorithms, uses_cpu_algorithms
from styleganv.training.batches import ClipDataset
from styleganv.training.trainer import PEAK_PROGRESS
from styleganv.video_model import choose_dtype

#: Memory of a process relative to the bytes of its tensors: workspace of convolutions, and memory that the allocator
#: has not returned yet. Measured on a CPU (benchmarks/results); not measured on GPUs yet.
OVERHEAD = {"cpu": 1.25, "cuda": 1.1}
_peaks: weakref.WeakKeyDictionary[VideoDataset, dict[Any, float]] = weakref.WeakKeyDictionary()


def estimate_step_memory_gib(config: RunConfig, clips: ClipDataset, device: torch.device) -> float:
    """Return the estimated peak memory in GiB of networks, optimizers and a step with R1, on this process's device.

    The memory of a step is linear in its number of clips, so a large step is extrapolated from two small ones.
    """
    training = config.training
    dtype = choose_dtype(training.precision, device)
    algorithms = nullcontext() if device.type == "cpu" else gpu_algorithms()
    num_clips = training.micro_batch_size or training.batch_size // distributed.world_size()
    few, more = (STDDEV_GROUP * n + num_clips % STDDEV_GROUP for n in (1, 2))
    with algorithms:
        if num_clips <= more:
            peak = _live_bytes(config, clips, num_clips, dtype)
        else:
            low, high = (_live_bytes(config, clips, n, dtype) for n in (few, more))
            peak = high + (high - low) / (more - few) * (num_clips - more)
    return peak * OVERHEAD.get(device.type, 1.1) / 2**30


def _live_bytes(config: RunConfig, clips: ClipDataset, batch: int, dtype: torch.dtype) -> float:
    """Return the peak of a step; that of the same dataset and settings is remembered, since it takes seconds."""
    training = replace(config.training, batch_size=batch, micro_batch_size=None, precision="float32")
    config = replace(config, training=training)
    peaks = _peaks.setdefault(clips.data, {})
    key = config, dtype, uses_cpu_algorithms(CPU)
    if key not in peaks:
        peaks[key] = _measure_live_bytes(config, clips, dtype)
    return peaks[key]


def _measure_live_bytes(config: RunConfig, clips: ClipDataset, dtype: torch.dtype) -> float:
    training, batch = config.training, config.training.batch_size
    data, label = clips.data, clips.label(clips.videos[0])
    networks = build_networks(config, data)
    with distributed.single_process(), _fake_tensors() as mode, _LiveBytes(mode) as live:
        for network in networks:
            _fake_parameters(network, mode)
        trainer = GanTrainer(config, *networks)
        trainer.progress, trainer.dtype = PEAK_PROGRESS, dtype
        for optimizer in (part for part in trainer.state_parts().values() if isinstance(part, torch.optim.Optimizer)):
            _fill_state(optimizer)
        shape = [batch, training.num_frames, 3, data.height, data.width]
        frames = torch.empty(shape, dtype=torch.uint8)
        times = torch.empty(shape[:2], dtype=torch.long)
        labels = torch.empty(batch, len(label)) if len(label) else None
        trainer.train_step(clips, Clip(frames, times, labels))
    return live.peak


class _LiveBytes(TorchDispatchMode):
    """Counts the bytes of all tensors that are created while it is active; `peak` is their maximum."""

    def __init__(self, mode: FakeTensorMode | None = None) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._mode = mode
        self._seen: weakref.WeakSet[torch.UntypedStorage] = weakref.WeakSet()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        outputs = func(*args, **(kwargs or {}))
        if self._mode is not None:  # `Module.to` rejects parameters that the mode remembers
            self._mode.fake_tensor_converter.meta_converter.tensor_memo.clear()
        for tensor in tree_leaves(outputs):
            if isinstance(tensor, Tensor) and (storage := tensor.untyped_storage()) not in self._seen:
                self._seen.add(storage)
                weakref.finalize(storage, self._freed, storage.nbytes())
                self.now += storage.nbytes()
        self.peak = max(self.peak, self.now)
        return outputs

    def _freed(self, size: int) -> None:
        self.now -= size


@contextmanager
def _fake_tensors() -> Iterator[FakeTensorMode]:
    """Make all tensors fake inside the context; the warnings about their null pointers are suppressed."""
    with warnings.catch_warnings(), FakeTensorMode(allow_non_fake_inputs=True) as mode:
        warnings.simplefilter("ignore")
        yield mode


def _fake_parameters(network: nn.Module, mode: FakeTensorMode) -> None:
    for module in network.modules():
        for name, parameter in module._parameters.items():
            if parameter is not None:
                module._parameters[name] = nn.Parameter(torch.empty_like(mode.from_tensor(parameter.detach())))
        for name, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[name] = torch.empty_like(mode.from_tensor(buffer))


def _fill_state(optimizer: torch.optim.Optimizer) -> None:
    """Create the state that the optimizer keeps from its first step on."""
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = torch.empty_like(parameter)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
