"""What the loop needs of anything that learns from clips, and what all trainers share.

`clips_seen` counts clips of all processes; frames are always T times as many and never mixed up with them.
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
from styleganv.training.feed import RealClips
from styleganv.video_model import VideoModel, working_precision


def sizes_of(config: RunConfig, data: VideoDataset) -> dict[str, int]:
    """What every network is told of the data."""
    num_classes = data.num_classes if config.training.conditional else 0
    return {"height": data.height, "width": data.width, "num_classes": num_classes}


class Trainer(ABC):
    """Networks and optimisers with one verb, `train_step`; what they hold is saved and restored exactly.

    Attributes:
        kind: of model, as its folder says.
        draw: chooses the frames of a real clip, as `RealClips` wants it.
        step: steps done.
        parts: into which this process's share of a batch is divided, for memory.
        finite: whether all gradients so far were.
        progress: how much of the run is done, 0..1, in clips or in minutes, whichever is more; the loop sets it.
        minutes: of training so far, which the loop counts on from what a trainer restores.
    """

    kind: str
    draw = staticmethod(draw_real_frames)
    progress = 0.0
    minutes = 0.0

    def __init__(self, config: RunConfig, device: torch.device) -> None:
        self.config, self.device = config, device
        if device.type == "cpu":
            keep_freed_memory()  # or a step of tiny networks fetches 20,000 pages anew
        self.step = 0
        local = config.training.batch_size // distributed.world_size()
        self.parts = local // min(config.training.micro_batch_size or local, local)
        self.finite = torch.ones((), dtype=torch.bool, device=device)
        self.dtype = working_precision(config.training.precision, device)
        self._statistics: dict[str, list[Tensor]] = {}

    @property
    def clips_seen(self) -> int:
        return self.step * self.config.training.batch_size

    @abstractmethod
    def train_step(self, clips: RealClips, real: Clip) -> None:
        """One whole step on this process's share `real` of the batch (frames uint8); counts it in `step`."""

    @abstractmethod
    def saved(self) -> nn.Module:
        """The network that makes videos, as a model folder keeps it: usually an average over the training."""

    @abstractmethod
    def videos(self, data: VideoDataset) -> VideoModel:
        """Videos of `saved()` as it is now."""

    @abstractmethod
    def state_parts(self) -> dict[str, Any]:
        """All with a state: networks, optimisers, …; random numbers and data order follow from the step."""

    def state_dict(self) -> dict[str, Any]:
        """All that a resumed run needs."""
        counts = {"step": self.step, "minutes": self.minutes}
        return counts | {name: part.state_dict() for name, part in self.state_parts().items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.step, self.minutes = state["step"], state.get("minutes", 0.0)
        for name, part in self.state_parts().items():
            part.load_state_dict(state[name])

    def note(self, **values: Tensor) -> None:
        """Values for the log, which shows their means."""
        for name, value in values.items():
            self._statistics.setdefault(name, []).append(value.detach())

    def read_statistics(self) -> dict[str, float]:
        """Means since the last reading, over all processes; nothing if nothing was noted."""
        if not self._statistics:
            return {}
        names = sorted(self._statistics)
        means = torch.stack([torch.stack(self._statistics[name]).mean() for name in names])
        self._statistics = {}
        return dict(zip(names, distributed.mean(means).tolist(), strict=True))

    def autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.dtype == torch.bfloat16)

    @contextlib.contextmanager
    def updating(
        self, network: nn.Module, optimizer: torch.optim.Optimizer, *, frozen: nn.Module | None = None
    ) -> Iterator[None]:
        """Gradients for `network` and not for `frozen`; on leaving, average them over the processes and step.

        Weights that never learn are in no optimiser and stay as they are.
        """
        held = [] if frozen is None else [weight for weight in frozen.parameters() if weight.requires_grad]
        for weight in held:
            weight.requires_grad_(False)
        optimizer.zero_grad(set_to_none=True)
        yield
        self.finite &= distributed.average_gradients([w for group in optimizer.param_groups for w in group["params"]])
        optimizer.step()
        for weight in held:
            weight.requires_grad_(True)

    @torch.no_grad()
    def update_ema(self, latest: nn.Module, average: nn.Module) -> None:
        """Let the average follow with its half-life in clips; buffers are copied."""
        training = self.config.training
        half_life = training.ema_half_life or training.batch_size * 10_000 / 32
        if training.ema_rampup is not None:
            half_life = min(half_life, self.clips_seen * training.ema_rampup)
        decay = 0.5 ** (training.batch_size / max(half_life, 1e-8))
        torch._foreach_lerp_(list(average.parameters()), list(latest.parameters()), 1 - decay)
        for kept, now in zip(average.buffers(), latest.buffers(), strict=True):
            kept.copy_(now)
