"""What a training step eats: real clips from the data set, and the inputs of fake ones.

Everything is a function of the seed and the clip's number, never of what was drawn before, so a resumed run
or another number of processes sees the same. Shapes: B clips, T frames a clip, S slots, K classes.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from styleganv.clip import Clip
from styleganv.data.dataset import VideoDataset
from styleganv.data.sampling import FAKE, REAL, VideoOrder, clip_random, draw_fake_times, draw_real_frames
from styleganv.models.motion import Motion, RecurrentMotion
from styleganv.noise import torch_random


class RealClips(Dataset[tuple[Tensor, Tensor, Tensor]]):
    """Clip number → (frames `[T, 3, H, W]` uint8, times `[T]`, label `[K]`), videos too short left out."""

    def __init__(
        self,
        data: VideoDataset,
        *,
        num_frames: int,
        max_span: int,
        seed: int,
        mirror: bool,
        conditional: bool,
        draw: Callable[[np.random.Generator, int, int, int], np.ndarray] = draw_real_frames,
    ) -> None:
        """`draw` chooses the frames of a clip, from random numbers, T, the video's length and `max_span`."""
        self.data, self.draw = data, draw
        self.num_frames, self.max_span, self.seed, self.mirror = num_frames, max_span, seed, mirror
        self.conditional = conditional and data.num_classes > 0
        self.videos = [i for i, video in enumerate(data.videos) if video.num_frames >= num_frames]
        self.order = VideoOrder(len(self.videos), seed)

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor, Tensor]:
        video = self.videos[self.order[number]]
        random = clip_random(self.seed, REAL, number)
        times = self.draw(random, self.num_frames, self.data.videos[video].num_frames, self.max_span)
        frames = self.data.read(video, times)
        if self.mirror and random.random() < 0.5:
            frames = np.ascontiguousarray(frames[..., ::-1])
        return torch.from_numpy(frames), torch.from_numpy(times), self.label(video)

    def label(self, video: int) -> Tensor:
        label = self.data.label(video) if self.conditional else None
        return torch.zeros(0) if label is None else torch.from_numpy(label)

    def fake_inputs(self, number: int, *, longest: int) -> tuple[np.ndarray, Tensor]:
        """Times and label of a fake clip, taken from a random training video."""
        random = clip_random(self.seed, FAKE, number)
        video = self.videos[int(random.integers(len(self.videos)))]
        length = self.data.videos[video].num_frames
        return draw_fake_times(random, self.num_frames, length, self.max_span, longest), self.label(video)


class _Batches:
    """The numbers of this process's clips, step after step without end (a DataLoader's batch sampler)."""

    def __init__(self, first: int, batch: int, rank: int, world_size: int) -> None:
        self.first, self.batch, self.rank, self.world_size = first, batch, rank, world_size

    def __iter__(self) -> Iterator[list[int]]:
        start = self.first
        while True:
            yield list(range(start + self.rank, start + self.batch, self.world_size))
            start += self.batch


def real_batches(
    clips: RealClips,
    *,
    first: int,
    batch: int,
    rank: int,
    world_size: int,
    workers: int,
    device: torch.device,
) -> Iterator[Clip]:
    """Batches of real clips on `device`, from clip number `first` on; frames uint8, this process's share."""
    loader = DataLoader(
        clips,
        batch_sampler=_Batches(first, batch, rank, world_size),
        num_workers=workers,
        pin_memory=device.type == "cuda",
        prefetch_factor=4 if workers else None,
    )
    for frames, times, label in loader:
        frames, times, label = (x.to(device, non_blocking=True) for x in (frames, times, label))
        yield Clip(frames, times, label if label.shape[1] else None)


@dataclass(frozen=True)
class FakeInputs:
    """Inputs of B fake clips: z `[B, Z]`, times `[B, T]` float64, motion noise (slot noise, or as the model takes it),
    label `[B, K]` or None."""

    z: Tensor
    times: Tensor
    noise: "ClipNoise | Tensor"
    label: Tensor | None


@dataclass(frozen=True)
class ClipNoise:
    """A `SlotNoise` of the only slots that B clips see: `slots [B, S, noise_dim]`, from slot `first [B]` of each on."""

    slots: Tensor
    first: Tensor

    @property
    def num_slots(self) -> int:
        return self.slots.shape[1]

    def __call__(self, clip: Tensor, slot: Tensor) -> Tensor:
        return self.slots[clip[:, None], slot - self.first[clip, None]]


def fake_inputs(
    clips: RealClips,
    numbers: list[int],
    *,
    phase: int,
    z_dim: int,
    motion: Motion | RecurrentMotion | None,
    longest: int,
    device: torch.device,
) -> FakeInputs:
    """Draw inputs for the fake clips `numbers`; `phase` tells the two networks' draws apart.

    Only the noise slots that a clip can see are drawn: those from its start on, or all from the first for a
    recurrent motion.
    """
    times, labels = zip(*[clips.fake_inputs(2 * n + phase, longest=longest) for n in numbers], strict=True)
    t = torch.from_numpy(np.stack(times)).to(device)
    first = torch.zeros(len(numbers), dtype=torch.long, device=device)
    num_slots, noise_dim = 0, 0
    if isinstance(motion, Motion):
        first = torch.floor(t[:, 0] / motion.slot_distance).long()
        num_slots, noise_dim = motion.window(clips.max_span), motion.noise_dim
    elif motion is not None:
        num_slots, noise_dim = longest + 1, motion.noise_dim
    random = [torch_random(device, clips.seed, 10 + phase, n) for n in numbers]
    z = torch.stack([torch.randn(z_dim, generator=g, device=device) for g in random])
    slots = torch.stack([torch.randn(num_slots, noise_dim, generator=g, device=device) for g in random])

    label = torch.stack(labels).to(device)
    return FakeInputs(z, t, ClipNoise(slots, first), label if label.shape[1] else None)
