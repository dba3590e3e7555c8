"""How much memory a training step takes, found before anything large exists: the step is run on tensors that have
shapes and no contents, and their bytes are counted while they live.
"""

import warnings
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from styleganv import distributed
from styleganv.clip import Clip
from styleganv.config import RunConfig
from styleganv.methods.stylegan_v.discriminator import STDDEV_GROUP
from styleganv.methods.stylegan_v.trainer import GanTrainer, build_networks
from styleganv.training.batches import ClipDataset

#: Memory a process takes over the bytes of its tensors: what convolutions need to work in, and what the allocator
#: cannot give back at once. On a CPU as measured (benchmarks/results); on GPUs not measured yet.
OVERHEAD = {"cpu": 1.25, "cuda": 1.1}


def estimate_step_memory_gib(config: RunConfig, clips: ClipDataset, device: torch.device) -> float:
    """Most memory that networks, optimisers and a step with R1 take on this process's device.

    What a step takes grows with its clips in a straight line, so two small steps tell of a large one.
    """
    training = config.training
    together = training.micro_batch_size or training.batch_size // distributed.world_size()
    few, more = (STDDEV_GROUP * n + together % STDDEV_GROUP for n in (1, 2))
    if together <= more:
        most = _live_bytes(config, clips, together, device)
    else:
        low, high = (_live_bytes(config, clips, n, device) for n in (few, more))
        most = high + (high - low) / (more - few) * (together - more)
    return most * OVERHEAD.get(device.type, 1.1) / 2**30


def _live_bytes(config: RunConfig, clips: ClipDataset, batch: int, device: torch.device) -> float:
    training = replace(config.training, batch_size=batch, micro_batch_size=None)
    config = replace(config, training=training)
    data, label = clips.data, clips.label(clips.videos[0])
    networks = build_networks(config, data, device)
    with distributed.single_process(), _without_contents() as empty, _LiveBytes() as live:
        for network in networks:
            _empty_parameters(network, empty)
        trainer = GanTrainer(config, *networks)
        for optimizer in (trainer.optimizer_g, trainer.optimizer_d):
            _fill_state(optimizer)
        shape = [batch, training.num_frames, 3, data.height, data.width]
        frames = torch.empty(shape, dtype=torch.uint8, device=device)
        times = torch.empty(shape[:2], dtype=torch.long, device=device)
        labels = torch.empty(batch, len(label), device=device) if len(label) else None
        trainer.train_step(clips, Clip(frames, times, labels))
    return live.most


class _LiveBytes(TorchDispatchMode):
    """Counts the bytes of all tensors made while it is active; `most` is the peak."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.most = 0
        self._seen: weakref.WeakSet[torch.UntypedStorage] = weakref.WeakSet()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, Tensor) and (storage := tensor.untyped_storage()) not in self._seen:
                self._seen.add(storage)
                weakref.finalize(storage, self._freed, storage.nbytes())
                self.now += storage.nbytes()
        self.most = max(self.most, self.now)
        return made

    def _freed(self, size: int) -> None:
        self.now -= size


@contextmanager
def _without_contents() -> Iterator[FakeTensorMode]:
    """Within it, tensors have no contents. Copying one warns of a null pointer, which is what it has."""
    with warnings.catch_warnings(), FakeTensorMode(allow_non_fake_inputs=True) as mode:
        warnings.simplefilter("ignore")
        yield mode


def _empty_parameters(network: nn.Module, mode: FakeTensorMode) -> None:
    for module in network.modules():
        for name, parameter in module._parameters.items():
            if parameter is not None:
                module._parameters[name] = nn.Parameter(torch.empty_like(mode.from_tensor(parameter.detach())))
        for name, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[name] = torch.empty_like(mode.from_tensor(buffer))


def _fill_state(optimizer: torch.optim.Optimizer) -> None:
    """What the optimiser keeps from its first step on."""
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = torch.empty_like(parameter)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
