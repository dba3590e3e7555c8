"""Inputs of a training step: real clips from the dataset.

Every random number is a function of the seed and the clip's index. A resumed run and any number
of processes therefore see the same clips. Shapes: B clips, T frames per clip, K classes.
"""

import contextlib
import multiprocessing
from collections.abc import Callable, Generator, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from styleganv import distributed
from styleganv.clip import Clip
from styleganv.config import TrainingConfig
from styleganv.data.dataset import VideoDataset
from styleganv.data.sampling import (
    FAKE,
    REAL,
    VideoOrder,
    clip_random,
    draw_fake_times,
    draw_real_frames,
    span_limit,
)
from styleganv.errors import StyleganvError
from styleganv.workers import start_worker

#: Distance in bytes of the arrays that are copied to a GPU together.
ALIGNMENT = 256

FrameSampler = Callable[[np.random.Generator, int, int, int], np.ndarray]
"""Function from a random generator, T, the video's length and `max_span` to the frames of a clip."""


class ClipDataset(Dataset[tuple[Tensor, Tensor, Tensor]]):
    """Map from clip index to (frames `[T, 3, H, W]` uint8, times `[T]`, label `[K]`); too short videos are skipped.

    Any index is valid; its length is that of an epoch, with one clip per video.
    """

    def __init__(
        self, data: VideoDataset, config: TrainingConfig, *, frame_sampler: FrameSampler = draw_real_frames
    ) -> None:
        self.data, self.frame_sampler = data, frame_sampler
        self.num_frames, self.max_span = config.num_frames, config.max_span
        self.span_growth_clips = config.span_growth_clips
        self.seed, self.mirror = config.seed, config.mirror
        self.conditional = config.conditional and data.num_classes > 0
        self.videos = [i for i, video in enumerate(data.videos) if video.num_frames >= self.num_frames]
        self.order = VideoOrder(len(self.videos), self.seed)

    def __len__(self) -> int:
        return len(self.videos)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, Tensor]:
        video = self.videos[self.order[index]]
        random = clip_random(self.seed, REAL, index)
        max_span = span_limit(self.max_span, self.span_growth_clips, index)
        times = self.frame_sampler(random, self.num_frames, self.data.videos[video].num_frames, max_span)
        frames = self.data.read(video, times)
        if self.mirror and random.random() < 0.5:
            frames = np.ascontiguousarray(frames[..., ::-1])
        return torch.from_numpy(frames), torch.from_numpy(times), self.label(video)

    def label(self, video: int) -> Tensor:
        """Return the label `[K]` of a video; K = 0 for an unconditional run."""
        label = self.data.label(video) if self.conditional else None
        return torch.zeros(0) if label is None else torch.from_numpy(label)

    def fake_inputs(self, index: int) -> tuple[np.ndarray, Tensor]:
        """Return times `[T]` and label `[K]` of a fake clip, taken from a random training video.

        In the step of the real clip i, the generator is updated with the fake clip 2i, the discriminator with 2i + 1.
        """
        random = clip_random(self.seed, FAKE, index)
        video = self.videos[int(random.integers(len(self.videos)))]
        length = self.data.videos[video].num_frames
        max_span = span_limit(self.max_span, self.span_growth_clips, index // 2)
        return draw_fake_times(random, self.num_frames, length, max_span), self.label(video)


class ClipBatchSampler:
    """Endless batch sampler of a `DataLoader`: indices of this process's clips, one list per step."""

    def __init__(self, first: int, batch_size: int) -> None:
        self.first, self.batch_size = first, batch_size
        self.rank, self.world_size = distributed.rank(), distributed.world_size()

    def __iter__(self) -> Iterator[list[int]]:
        start = self.first
        while True:
            yield list(range(start + self.rank, start + self.batch_size, self.world_size))
            start += self.batch_size


def iterate_batches(
    clips: ClipDataset, *, first: int, batch_size: int, num_workers: int, device: torch.device
) -> Iterator[Clip]:
    """Yield this process's part of each batch on `device`, from clip `first` on; frames are uint8.

    On a GPU, the next batch is read and its copy started before a batch is yielded.
    """
    with contextlib.closing(_read_batches(clips, first, batch_size, num_workers)) as batches:
        if device.type == "cuda":
            yield from _copy_ahead(batches, device)
        for arrays in batches:
            yield _to_clip([torch.from_numpy(x).to(device) for x in arrays])


def _read_batches(
    clips: ClipDataset, first: int, batch_size: int, num_workers: int
) -> Generator[tuple[np.ndarray, ...], None, None]:
    """Yield frames, times and labels of the batches."""
    if num_workers:
        try:
            multiprocessing.Lock()
        except OSError as error:  # e.g. /dev/shm is not writable
            raise StyleganvError(
                f"Cannot start --num-workers {num_workers} ({error}): pass --num-workers 0."
            ) from error
    loader = DataLoader(
        clips,
        batch_sampler=ClipBatchSampler(first, batch_size),
        num_workers=num_workers,
        collate_fn=_stack,
        prefetch_factor=4 if num_workers else None,
        worker_init_fn=start_worker,
    )
    others = set(multiprocessing.active_children())
    batches = iter(loader)
    workers = set(multiprocessing.active_children()) - others
    try:
        while True:
            yield next(batches)
    finally:
        if num_workers:  # asks them to end, and waits a while; `del` would not, if a traceback refers to `batches`
            batches._shutdown_workers()  # type: ignore[attr-defined]
        for worker in workers:  # Python would wait forever at its end for one that hangs, as they ignore SIGTERM
            worker.kill()


def _copy_ahead(batches: Iterator[tuple[np.ndarray, ...]], device: torch.device) -> Iterator[Clip]:
    """Yield the batches on a GPU; each is copied on a stream of its own, while the previous one is in use."""
    stream = torch.cuda.Stream(device)

    def start_copy() -> list[Tensor]:
        with torch.cuda.stream(stream):
            return _copy_packed(next(batches), device)

    following = start_copy()
    while True:
        current = torch.cuda.current_stream(device)
        current.wait_stream(stream)
        parts, following = following, start_copy()
        for part in parts:
            part.record_stream(current)  # otherwise its memory would be free for the next copy too early
        yield _to_clip(parts)


def _copy_packed(arrays: Sequence[np.ndarray], device: torch.device) -> list[Tensor]:
    """Return arrays as tensors on a GPU, by one asynchronous copy of pinned memory."""
    offsets = np.cumsum([0] + [-(-x.nbytes // ALIGNMENT) * ALIGNMENT for x in arrays]).tolist()
    packed = torch.empty(offsets[-1], dtype=torch.uint8, pin_memory=True)
    tensors = [torch.from_numpy(x) for x in arrays]

    def parts(buffer: Tensor) -> list[Tensor]:
        sections = [buffer[start : start + x.nbytes] for start, x in zip(offsets, tensors, strict=False)]
        return [section.view(x.dtype).view(x.shape) for section, x in zip(sections, tensors, strict=True)]

    for part, x in zip(parts(packed), tensors, strict=True):
        part.copy_(x)
    return parts(packed.to(device, non_blocking=True))


def _to_clip(parts: list[Tensor]) -> Clip:
    frames, times, label = parts
    return Clip(frames, times, label if label.shape[1] else None)


def copy_async(x: Tensor, device: torch.device) -> Tensor:
    """Return a tensor of the CPU on the device; pinned memory lets a GPU copy it while the CPU continues."""
    if device.type != "cuda":
        return x.to(device)
    # Not x.pin_memory(), which FakeTensorMode lacks; the memory of a step is estimated in it.
    return torch.empty_like(x, pin_memory=True).copy_(x).to(device, non_blocking=True)


def _stack(clips: list[tuple[Tensor, Tensor, Tensor]]) -> tuple[np.ndarray, ...]:
    """Return a batch as arrays, which workers send through pipes; tensors would need room in /dev/shm."""
    return tuple(torch.stack(parts).numpy() for parts in zip(*clips, strict=True))
