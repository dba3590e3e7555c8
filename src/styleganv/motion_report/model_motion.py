"""Measures that require a model: other seeds, other frame rates, distant times. Each returns one number per video.

Shapes: M motion seeds, N content seeds, T frames, H height, W width, V videos. Videos are uint8 `[T, 3, H, W]`; times
are in frames at the dataset's frame rate. All functions take a `VideoModel`, and use nothing of its network but slots.
"""

import math
from collections.abc import Sequence
from itertools import combinations, pairwise

import numpy as np
import torch
from numpy.typing import NDArray

from styleganv.motion_report.flow import optical_flow, smooth
from styleganv.motion_report.motion import FEATURE_SIDE, STATIC_RMS, appearance, distance, downsample, to_gray
from styleganv.video_model import VideoModel

Array = NDArray[np.float64]

CELLS = 4  # motion is compared in 4 × 4 cells of a frame
FINER = 4  # factor of the frame rate at which interpolated frames are measured
#: RMS difference in gray levels that two frames must have before frames between them are measured.
VISIBLE = 1.0


def video(
    model: VideoModel,
    content: int,
    motion: int,
    *,
    start: float = 0.0,
    count: int,
    step: float = 1.0,
    psi: float = 1.0,
) -> NDArray[np.uint8]:
    """Generate `count` frames `[T, 3, H, W]`, `step` frames apart, from the time `start` (in frames).

    A model with a fixed frame rate generates all frames from the first to the last; `step` must then be an integer.
    """
    if not model.supports_any_fps and step > 1:
        every = video(model, content, motion, start=start, count=int((count - 1) * step) + 1, psi=psi)
        return every[np.arange(count) * int(step)]
    rate = model.fps / step
    motion_seed = None if motion == content else motion  # the content seed's own motion, which every model has
    frames = model.sample(
        seed=content, motion_seed=motion_seed, start=start / model.fps, seconds=count / rate, fps=rate, psi=psi
    )
    return frames.transpose(0, 3, 1, 2)


def grid(
    model: VideoModel, content_seeds: Sequence[int], motion_seeds: Sequence[int], *, count: int, psi: float = 1.0
) -> NDArray[np.uint8]:
    """Generate all combinations of content and motion seeds: `[M, N, T, 3, H, W]`."""
    return np.stack([[video(model, c, m, count=count, psi=psi) for c in content_seeds] for m in motion_seeds])


def motion_diversity(videos: NDArray[np.uint8]) -> Array:
    """Return how much two motion seeds of one content seed differ at the same time, for each content seed `[N]`, ≥ 0.

    This is the RMS difference of downsampled frames between motion seeds, relative to that between independent times
    (√2 standard deviations in time). 0: the motion seed has no effect. 1: another motion seed is as different as
    another time. Above 1: a video is too short to show all that other seeds show. Good: 1 or more. NaN if nothing
    moves.
    """
    diversities = []
    for column in videos.transpose(1, 0, 2, 3, 4, 5):
        frames = np.stack([downsample(clip, FEATURE_SIDE) for clip in column]).astype(np.float64)
        own = 2 * frames.var(axis=1, ddof=1).mean()
        between = 2 * frames.var(axis=0, ddof=1).mean()
        diversities.append(math.sqrt(between / own) if own > STATIC_RMS**2 else math.nan)
    return np.array(diversities)


def flow_profiles(videos: NDArray[np.uint8]) -> Array:
    """Return where and when each video of a grid moves, as a unit vector: `[M, N, D]`.

    This is the optical flow weighted by the change it causes, averaged over 4 × 4 cells. Its mean over time is kept,
    since a steady direction is motion too. All 0 if nothing moves.
    """
    num_motions, num_contents = videos.shape[:2]
    profiles = []
    for clip in videos.reshape(-1, *videos.shape[2:]):
        frames = to_gray(clip, 2 * FEATURE_SIDE)
        change = smooth((frames[1:] - frames[:-1]).square()[:, None]).sqrt()
        flow = optical_flow(frames[:-1], frames[1:]) * torch.where(change > 2.0, change, 0.0)
        cells = torch.nn.functional.adaptive_avg_pool2d(flow, CELLS).flatten().double().numpy()
        profiles.append(cells / max(float(np.linalg.norm(cells)), 1e-9))
    return np.stack(profiles).reshape(num_motions, num_contents, -1)


def motion_transfer(videos: NDArray[np.uint8]) -> Array:
    """Return how far a motion seed gives all content seeds the same motion, for each motion seed `[M]`, about 0..1.

    This is the cosine between the flow profiles of two content seeds with the same motion seed, minus that with
    different ones. 1: the motion seed alone determines what moves where and when. 0: each content seed moves in its own
    way. Good: high, but below 1, since objects of other sizes and shapes change other pixels (drawn shapes on one path
    give about 0.75). NaN if the video of a content seed hardly moves.
    """
    profiles = flow_profiles(videos)
    num_motions, num_contents = profiles.shape[:2]
    cosine = np.einsum("mid,njd->minj", profiles, profiles)
    other = ~np.eye(num_contents, dtype=bool)
    same = np.array([cosine[m, :, m][other].mean() for m in range(num_motions)])
    different = [
        np.mean([cosine[m, :, n][other].mean() for n in range(num_motions) if n != m]) for m in range(num_motions)
    ]
    moving = (np.square(profiles).sum(axis=2) > 0).all(axis=1)
    return np.where(moving, same - np.array(different), np.nan)


def entanglement(videos: NDArray[np.uint8]) -> Array:
    """Return how much the motion seed changes the appearance, for each content seed `[N]` of a grid, ≥ 0.

    This is the distance between color histograms (over all frames) of different motion seeds with one content seed,
    relative to that of different content seeds with one motion seed. 0: the content seed alone determines the
    appearance. 1: the motion seed has as much effect. Good: low.
    """
    appearances = np.stack([[appearance(clip) for clip in row] for row in videos])
    across = np.mean([distance(a, b) for row in appearances for a, b in combinations(row, 2)])
    columns = appearances.swapaxes(0, 1)
    within = [np.mean([distance(a, b) for a, b in combinations(column, 2)]) for column in columns]
    return np.array(within) / max(float(across), 1e-9)


def drift(model: VideoModel, seeds: Sequence[int], times: Sequence[float], *, span: int, psi: float = 1.0) -> Array:
    """Return how much a video's appearance at `times` (in frames) differs from that at time 0: `[V, len(times)]`, ≥ 0.

    Each time is a window of 8 frames over `span`. Its color histogram is compared with that of the window at 0,
    relative to the distance between two seeds at 0. 1 is as different as another video. Good: no more than another
    motion seed changes the same content (`entanglement`), since the motion at distant times is a different one.
    """
    step = span / 8

    def window(seed: int, start: float) -> Array:
        return appearance(video(model, seed, seed, start=start, count=8, step=step, psi=psi))

    first = [window(seed, 0.0) for seed in seeds]
    scale = max(float(np.mean([distance(a, b) for a, b in combinations(first, 2)])), 1e-9)
    return np.array(
        [[distance(window(seed, t), begin) / scale for t in times] for seed, begin in zip(seeds, first, strict=True)]
    )


def frame_rate(
    model: VideoModel, seed: int, *, start: int, count: int = 8, psi: float = 1.0
) -> tuple[float, float, float]:
    """Compare `count` steps between frames, from frame `start`, with the same steps at four times the frame rate.

    Returns:
        same: largest difference, in gray levels, between frames and every fourth frame at four times the rate.
            Good: 0.
        between: largest distance of an interpolated frame from either neighbor, over that between the neighbors; mean
            over steps. Good: at most 1; above, frames leave the path between their neighbors. NaN if nothing moves.
        even: largest of the four small steps over their mean, 1..4. 1 is uniform motion, 4 a frame that is held and
            then replaced. Good: near 1. NaN if nothing moves.
    """
    coarse = video(model, seed, seed, start=start, count=count + 1, psi=psi).astype(np.float32)
    fine = video(model, seed, seed, start=start, count=FINER * count + 1, step=1 / FINER, psi=psi).astype(np.float32)
    same = float(np.abs(coarse - fine[::FINER]).max())
    between, even = [], []
    for first in range(0, FINER * count, FINER):
        step = fine[first : first + FINER + 1]
        total = _rms(step[-1] - step[0])
        if total < VISIBLE:
            continue
        parts = [_rms(b - a) for a, b in pairwise(step)]
        away = [max(_rms(x - step[0]), _rms(x - step[-1])) for x in step[1:-1]]
        between.append(max(away) / total)
        even.append(max(parts) * FINER / sum(parts))
    return same, _mean(between), _mean(even)


def slot_profile(model: VideoModel, seed: int, *, slots: int = 8, psi: float = 1.0) -> Array | None:
    """Return the change of the image in five steps of a quarter frame around slot boundaries: `[5]`, in gray levels.

    The middle step crosses the boundary. The result is the RMS over the first `slots` boundaries; None for a model
    without slots.
    """
    if model.slot_distance is None:
        return None
    step = 1 / FINER
    changes = []
    for slot in range(1, slots + 1):
        start = max(0.0, slot * model.slot_distance - 2.5 * step)
        frames = video(model, seed, seed, start=start, count=6, step=step, psi=psi).astype(np.float32)
        changes.append([_rms(b - a) for a, b in pairwise(frames)])
    return np.sqrt(np.square(changes).mean(axis=0))


def slot_jump(profile: Array) -> float:
    """Return the change across a slot boundary over the mean change of the four steps around it, ≥ 0.

    Good: near 1. A motion code that is discontinuous there gives more. NaN if nothing moves.
    """
    around = float(np.delete(profile, 2).mean())
    return float(profile[2] / around) if max(around, profile[2]) > VISIBLE / 8 and around > 0 else math.nan


def _rms(difference: NDArray) -> float:
    return float(np.sqrt(np.square(difference, dtype=np.float64).mean()))


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else math.nan
