"""What only a model can be asked: other seeds, other rates, far times. Each answer is a number a video.

Shapes: M motions, N contents, T frames, H height, W width, V videos. Videos are uint8 `[T, 3, H, W]`; times are in
frames of the data's clock. The functions take a `VideoModel`, and nothing of the network below it but its slots.
"""

import math
from collections.abc import Sequence
from itertools import combinations, pairwise

import numpy as np
import torch
from numpy.typing import NDArray

from styleganv.motion_report.flow import optical_flow, smooth
from styleganv.motion_report.motion import FEATURE_SIDE, STILL, apart, appearance, grey, shrunk
from styleganv.video_model import VideoModel

Array = NDArray[np.float64]

CELLS = 4  # a picture is cut into 4 × 4 cells to compare where motion goes
FINER = 4  # times the frame rate at which frames in between are looked at
#: Root mean square grey levels by which two frames must differ before what lies between them can be judged.
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
    """`count` frames `[T, 3, H, W]`, `step` frames of the data's clock apart, from the time `start` (frames) on.

    A model without other frame rates makes all the frames from the first to the last; its steps are whole.
    """
    if not model.any_rate and step > 1:
        every = video(model, content, motion, start=start, count=int((count - 1) * step) + 1, psi=psi)
        return every[np.arange(count) * int(step)]
    rate = model.fps / step
    motion_seed = None if motion == content else motion  # the content's own, which every model has
    frames = model.sample(
        seed=content, motion_seed=motion_seed, start=start / model.fps, seconds=count / rate, fps=rate, psi=psi
    )
    return frames.transpose(0, 3, 1, 2)


# Content and motion


def grid(
    model: VideoModel, contents: Sequence[int], motions: Sequence[int], *, count: int, psi: float = 1.0
) -> NDArray[np.uint8]:
    """All combinations of contents and motions: `[M, N, T, 3, H, W]`."""
    return np.stack([[video(model, c, m, count=count, psi=psi) for c in contents] for m in motions])


def motion_diversity(videos: NDArray[np.uint8]) -> Array:
    """How much two motions of one content differ at the same moment, for each content `[N]` of a grid, ≥ 0.

    Root mean square difference of small frames between motions, over that of a video's own frames at independent
    moments (√2 standard deviations in time). 0 where the motion seed does nothing; 1 where another motion is as
    different as another moment; above 1 where a video has not the time to see all that other seeds show. Good: 1 or
    more. NaN where nothing moves.
    """
    found = []
    for column in videos.transpose(1, 0, 2, 3, 4, 5):
        frames = np.stack([shrunk(clip, FEATURE_SIDE) for clip in column]).astype(np.float64)
        own = 2 * frames.var(axis=1, ddof=1).mean()
        between = 2 * frames.var(axis=0, ddof=1).mean()
        found.append(math.sqrt(between / own) if own > STILL**2 else math.nan)
    return np.array(found)


def flow_profiles(videos: NDArray[np.uint8]) -> Array:
    """Where motion goes at each moment, as one vector of length 1 for each video of a grid: `[M, N, D]`.

    Optical flow weighted with the change it makes, averaged over 4 × 4 cells; its mean over time is kept, since a
    steady direction is motion too. All 0 where nothing moves.
    """
    motions, contents = videos.shape[:2]
    profiles = []
    for clip in videos.reshape(-1, *videos.shape[2:]):
        frames = grey(clip, 2 * FEATURE_SIDE)
        change = smooth((frames[1:] - frames[:-1]).square()[:, None]).sqrt()
        flow = optical_flow(frames[:-1], frames[1:]) * torch.where(change > 2.0, change, 0.0)
        cells = torch.nn.functional.adaptive_avg_pool2d(flow, CELLS).flatten().double().numpy()
        profiles.append(cells / max(float(np.linalg.norm(cells)), 1e-9))
    return np.stack(profiles).reshape(motions, contents, -1)


def motion_transfer(videos: NDArray[np.uint8]) -> Array:
    """How far a motion seed gives the same motion to every content, for each motion `[M]` of a grid, about 0..1.

    Cosine between the flow profiles of two contents that share the motion, less that of two contents that do not.
    1: the motion seed alone decides what moves where and when. 0: contents move each in their own way. Good: high, if
    below 1, since things of other sizes and shapes change other pixels (drawn shapes on one path give about 0.75).
    NaN where a content hardly moves.
    """
    profiles = flow_profiles(videos)
    motions, contents = profiles.shape[:2]
    cosine = np.einsum("mid,njd->minj", profiles, profiles)
    other = ~np.eye(contents, dtype=bool)
    same = np.array([cosine[m, :, m][other].mean() for m in range(motions)])
    different = [np.mean([cosine[m, :, n][other].mean() for n in range(motions) if n != m]) for m in range(motions)]
    moving = (np.square(profiles).sum(axis=2) > 0).all(axis=1)
    return np.where(moving, same - np.array(different), np.nan)


def content_hold(videos: NDArray[np.uint8]) -> Array:
    """How much the motion seed changes the appearance, for each content `[N]` of a grid, ≥ 0.

    Distance of colour histograms (over all frames) between motions of one content, over that between contents under
    one motion. 0: the content seed alone decides how things look. 1: the motion seed decides as much. Good: low.
    """
    looks = np.stack([[appearance(clip) for clip in row] for row in videos])
    motions, contents = looks.shape[:2]
    across = np.mean(
        [apart(looks[m, i], looks[m, j]) for m in range(motions) for i, j in combinations(range(contents), 2)]
    )
    within = [
        np.mean([apart(looks[m, i], looks[n, i]) for m, n in combinations(range(motions), 2)]) for i in range(contents)
    ]
    return np.array(within) / max(float(across), 1e-9)


# Far times


def drift(model: VideoModel, seeds: Sequence[int], times: Sequence[float], *, span: int, psi: float = 1.0) -> Array:
    """How different a video looks at `times` (frames) from how it began: `[V, len(times)]`, ≥ 0.

    Each moment is a window of 8 frames over `span`; its colour histogram is compared with that of the window at 0,
    relative to how different two seeds look at 0. 1 is as different as another video. Good: no more than the same
    content is changed by another motion seed (`content_hold`), since far on, the motion is another one.
    """
    step = span / 8

    def look(seed: int, start: float) -> Array:
        return appearance(video(model, seed, seed, start=start, count=8, step=step, psi=psi))

    first = [look(seed, 0.0) for seed in seeds]
    scale = max(float(np.mean([apart(a, b) for a, b in combinations(first, 2)])), 1e-9)
    return np.array(
        [[apart(look(seed, t), begin) / scale for t in times] for seed, begin in zip(seeds, first, strict=True)]
    )


# Frame rate and slots


def frame_rate(
    model: VideoModel, seed: int, *, start: int, count: int = 8, psi: float = 1.0
) -> tuple[float, float, float]:
    """What four times the frame rate shows of `count` steps from one frame to the next, from frame `start` on.

    Returns:
        same: the largest difference, in grey levels, between frames at the rate and every fourth at four times the
            rate. Good: 0.
        between: the farthest that a frame in between is from either neighbour, over how far these are from each
            other; mean over the steps. Good: at most 1; above it, frames leave the way between their neighbours. NaN
            where nothing moves.
        even: the largest of the four small steps over their mean, 1..4. 1 is even motion, 4 is a frame that is
            held and then replaced. Good: near 1. NaN where nothing moves.
    """
    coarse = video(model, seed, seed, start=start, count=count + 1, psi=psi).astype(np.float32)
    fine = video(model, seed, seed, start=start, count=FINER * count + 1, step=1 / FINER, psi=psi).astype(np.float32)
    same = float(np.abs(coarse - fine[::FINER]).max())
    between, even = [], []
    for first in range(0, FINER * count, FINER):
        step = fine[first : first + FINER + 1]
        whole = _rms(step[-1] - step[0])
        if whole < VISIBLE:
            continue
        parts = [_rms(b - a) for a, b in pairwise(step)]
        away = [max(_rms(x - step[0]), _rms(x - step[-1])) for x in step[1:-1]]
        between.append(max(away) / whole)
        even.append(max(parts) * FINER / sum(parts))
    return same, _mean(between), _mean(even)


def slot_profile(model: VideoModel, seed: int, *, slots: int = 8, psi: float = 1.0) -> Array | None:
    """How much the picture changes in five steps of a quarter frame around slot boundaries: `[5]`, grey levels.

    The middle step crosses the boundary. Root mean square over the first `slots` boundaries. None for a model
    without slots.
    """
    distance = model.slot_distance
    if distance is None:
        return None
    step = 1 / FINER
    changes = []
    for slot in range(1, slots + 1):
        start = max(0.0, slot * distance - 2.5 * step)
        frames = video(model, seed, seed, start=start, count=6, step=step, psi=psi).astype(np.float32)
        changes.append([_rms(b - a) for a, b in pairwise(frames)])
    return np.sqrt(np.square(changes).mean(axis=0))


def slot_jump(profile: Array) -> float:
    """Change across a slot boundary over the mean change of the four steps around it, ≥ 0; NaN where nothing moves.

    Good: near 1, as anywhere else. A code that is not continuous there gives more.
    """
    around = float(np.delete(profile, 2).mean())
    return float(profile[2] / around) if max(around, profile[2]) > VISIBLE / 8 and around > 0 else math.nan


def _rms(difference: NDArray) -> float:
    return float(np.sqrt(np.square(difference, dtype=np.float64).mean()))


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else math.nan
