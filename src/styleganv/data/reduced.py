"""Reduced videos: a few small frames of each, from which `inspect` measures motion and finds problems.

Shapes: T frames, 3 RGB, H W pixels. At most 64 videos of 64 frames are read, reduced to about 32 pixels. This takes
seconds, and averages noise that would look like motion.
"""

from dataclasses import dataclass

import numpy as np

from styleganv.data.dataset import VideoDataset, spread
from styleganv.data.footage import reduce_frames
from styleganv.progress import Progress, track

MAX_VIDEOS = 64
MAX_FRAMES = 64  # per video
SMALL_SIDE = 32  # pixels of the shorter side
MIN_VARIANCE = 0.25  # variance over time, in squared gray levels, below which a video does not move


@dataclass(frozen=True)
class ReducedVideo:
    """Reduced frames of a video of a dataset.

    Attributes:
        index: number of the video in the dataset.
        frames: float32 `[T, 3, H, W]` in 0..255.
        times: increasing indices of the frames.
        spread: positions in `times` of evenly spaced ones.
    """

    index: int
    name: str
    frames: np.ndarray
    times: np.ndarray
    spread: np.ndarray

    def variance(self) -> float:
        """Return the mean variance over time, in squared gray levels; 0 for a single frame."""
        return float(self.frames[self.spread].var(axis=0, ddof=1).mean()) if len(self.spread) > 1 else 0.0

    def moves(self) -> bool:
        """Return whether frames differ by more than noise."""
        return self.variance() >= MIN_VARIANCE

    @property
    def is_still(self) -> bool:
        """Whether it has several frames that do not differ."""
        return len(self.times) > 1 and not self.moves()


def read_reduced_videos(data: VideoDataset, progress: Progress | None = None) -> list[ReducedVideo]:
    """Read videos across the dataset."""
    indices = spread(len(data), MAX_VIDEOS)
    return [_read_video(data, int(index)) for index in track(indices, progress, len(indices), "inspecting")]


def read_reduced(data: VideoDataset, index: int, time: int) -> np.ndarray:
    """Read one frame, float32 `[3, H, W]`."""
    return reduce_frames(data.read(index, [time]), SMALL_SIDE)[0]


def _read_video(data: VideoDataset, index: int) -> ReducedVideo:
    """Read all frames of a short video, or bursts of a long one with frames at all distances up to 243."""
    length = data.videos[index].num_frames
    starts = spread(length, 10)
    if length <= MAX_FRAMES:
        times, starts = np.arange(length), np.arange(length)
    else:
        times = np.unique(np.add.outer(starts, (0, 1, 3, 9, 27, 81, 243)))
        times = times[times < length]
    frames = np.stack([read_reduced(data, index, int(time)) for time in times])
    return ReducedVideo(index, data.videos[index].name, frames, times, np.searchsorted(times, starts))
