"""What a training step eats: real clips from the data set.

Everything is a function of the seed and the clip's number, never of what was drawn before, so a resumed run
or another number of processes sees the same. Shapes: B clips, T frames a clip, S slots, K classes.
"""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from styleganv.clip import Clip
from styleganv.data.dataset import VideoDataset
from styleganv.data.sampling import FAKE, REAL, VideoOrder, clip_random, draw_fake_times, draw_real_frames


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
