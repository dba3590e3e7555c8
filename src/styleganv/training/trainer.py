"""Interface between the training loop and a method, with what all trainers share.

`clips_seen` counts clips of all processes. Frames are counted separately: T times as many.
"""

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from styleganv import distributed
from styleganv.allocator import keep_freed_memory
from styleganv.clip import Clip
from styleganv.config import RunConfig
from styleganv.data.dataset import VideoDataset
from styleganv.data.sampling import draw_real_frames
from styleganv.model_folder import check_finite
from styleganv.training.batches import ClipDataset
from styleganv.video_model import VideoModel, choose_dtype


def data_sizes(config: RunConfig, data: VideoDataset) -> dict[str, int]:
    """Return the fields of a network's config that depend on the dataset."""
    num_classes = data.num_classes if config.training.conditional else 0
    return {"height": data.height, "width": data.width, "num_classes": num_classes}


#: Progress at which a step takes the most memory if the networks grow: the full resolution has just begun.
PEAK_PROGRESS = 0.51


class Trainer(ABC):
    """Networks and optimizers with one operation, `train_step`; their state is saved and restored exactly.

    Attributes:
        method: name of the method, as stored in the model folder.
        frame_sampler: chooses the frames of a real clip, see `ClipDataset`.
        step: number of completed steps.
        num_micro_batches: number of micro-batches into which this process's batch is split, to save memory.
        finite: whether all gradients so far were finite.
        progress: completed fraction of the run, 0 to 1: the larger of clips and minutes; set by the loop.
        minutes: training time so far; restored when a run is resumed.
    """

    method: str
    frame_sampler = staticmethod(draw_real_frames)
    progress = 0.0
    minutes = 0.0

    def __init__(self, config: RunConfig, device: torch.device) -> None:
        self.config, self.device = config, device
        if device.type == "cpu":
            keep_freed_memory()  # otherwise a step of tiny networks causes 20,000 page faults
        self.step = 0
        local = config.training.batch_size // distributed.world_size()
        self.num_micro_batches = local // min(config.training.micro_batch_size or local, local)
        self.finite = torch.ones((), dtype=torch.bool, device=device)
        self.dtype = choose_dtype(config.training.precision, device)
        self._scalars: dict[str, list[Tensor]] = {}

    @property
    def clips_seen(self) -> int:
        """Return the clips seen so far, over all processes."""
        return self.step * self.config.training.batch_size

    @abstractmethod
    def train_step(self, clips: ClipDataset, real: Clip) -> None:
        """Run one step on this process's part of the batch, and increment `step`.

        Args:
            clips: source of the times and labels of fake clips.
            real: real clips on the trainer's device, frames uint8. Micro-batches are the method's task.
        """

    @abstractmethod
    def inference_network(self) -> nn.Module:
        """Return the network that a model folder stores, usually an average over the training."""

    @abstractmethod
    def video_model(self, data: VideoDataset) -> VideoModel:
        """Return a sampler of `inference_network()` with its current weights."""

    @abstractmethod
    def state_parts(self) -> dict[str, Any]:
        """Return everything with a state, e.g. networks. Random numbers and data order are functions of `step`."""

    def state_dict(self) -> dict[str, Any]:
        """Return everything that a resumed run requires."""
        counts = {"step": self.step, "minutes": self.minutes}
        return counts | {name: part.state_dict() for name, part in self.state_parts().items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` returned.

        Raises:
            ValueError: if a weight is not finite.
        """
        self.step, self.minutes = state["step"], state.get("minutes", 0.0)
        for name, part in self.state_parts().items():
            part.load_state_dict(state[name])
            if isinstance(part, nn.Module):
                check_finite(part.state_dict())

    def log_scalars(self, **values: Tensor) -> None:
        """Add values to the log, which shows their means."""
        for name, value in values.items():
            self._scalars.setdefault(name, []).append(value.detach())

    def pop_scalars(self) -> dict[str, float]:
        """Return the means of the logged values since the last call, over all processes."""
        if not self._scalars:
            return {}
        names = sorted(self._scalars)
        means = torch.stack([torch.stack(self._scalars[name]).mean() for name in names])
        self._scalars = {}
        return dict(zip(names, distributed.all_reduce_mean(means).tolist(), strict=True))

    def autocast(self) -> torch.autocast:
        """Return the autocast context for the precision of the settings."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.dtype == torch.bfloat16)

    @contextlib.contextmanager
    def optimizer_step(
        self, network: nn.Module, optimizer: torch.optim.Optimizer, *, frozen: nn.Module | None = None
    ) -> Iterator[None]:
        """Collect gradients for `network` but not for `frozen`; on exit, average them over the processes and step.

        Frozen weights of `network` are in no optimizer and do not change.
        """
        trainable = [] if frozen is None else [weight for weight in frozen.parameters() if weight.requires_grad]
        for weight in trainable:
            weight.requires_grad_(False)
        optimizer.zero_grad(set_to_none=True)
        yield
        self.finite &= distributed.average_gradients([w for group in optimizer.param_groups for w in group["params"]])
        optimizer.step()
        for weight in trainable:
            weight.requires_grad_(True)

    @torch.no_grad()
    def update_ema(self, latest: nn.Module, average: nn.Module) -> None:
        """Move the average toward the latest weights, with a half-life in clips; buffers with a state are copied."""
        training = self.config.training
        half_life = training.ema_half_life or training.batch_size * 10_000 / 32
        if training.ema_rampup is not None:
            half_life = min(half_life, self.clips_seen * training.ema_rampup)
        decay = 0.5 ** (training.batch_size / max(half_life, 1e-8))
        torch._foreach_lerp_(list(average.parameters()), list(latest.parameters()), 1 - decay)
        state = latest.state_dict()  # without constants
        for (name, target), source in zip(average.named_buffers(), latest.buffers(), strict=True):
            if name in state:
                target.copy_(source)
