"""What the motion of one video is like, each as a number of its frames alone.

Shapes: T frames, H height, W width, L lags; a video is uint8 or float RGB `[T, 3, H, W]` in 0..255. Every function
is pure, and says its range, its unit and what a good value is. "The data's" is the same number of real videos.
"""

import math

import numpy as np
import torch
from numpy.typing import NDArray

from styleganv.motion_report.flow import optical_flow, smooth, warp

Array = NDArray[np.float64]

BINS = 20  # of a colour histogram
FEATURE_SIDE = 16  # pixels of the shorter side of the small frames that stand for frames
FLOW_SIDE = 64  # of the pictures on which speed is measured
MOST_PAIRS = 32  # of frames, on which speed is measured
STILL = 0.5  # grey levels (root mean square) below which two frames are the same


def shrunk(video: NDArray, side: int) -> NDArray[np.float32]:
    """`[T, 3, H, W]` averaged over squares, so that the shorter side is about `side` pixels; never enlarged."""
    factor = max(1, min(video.shape[2:]) // side)
    height, width = video.shape[2] // factor, video.shape[3] // factor
    cut = video[:, :, : height * factor, : width * factor].astype(np.float32)
    return cut.reshape(len(video), 3, height, factor, width, factor).mean(axis=(3, 5))


def grey(video: NDArray, side: int) -> torch.Tensor:
    """Grey levels `[T, H, W]` of the shrunk video."""
    return torch.from_numpy(shrunk(video, side).mean(axis=1))


def histograms(video: NDArray) -> Array:
    """The share of pixels in each of 20 equal bins of each colour: `[T, 3, 20]`, the last axis adds up to 1."""
    bins = np.arange(256) * BINS // 256
    counts = np.zeros((len(video), 3, BINS))
    for frame, row in zip(video, counts, strict=True):
        for plane, count in zip(frame.astype(np.uint8), row, strict=True):
            np.add.at(count, bins, np.bincount(plane.ravel(), minlength=256))
    return counts / (video.shape[2] * video.shape[3])


# Loops


def loop_curve(counts: Array) -> Array:
    """How much of the first frame's colours each frame still has: intersection of `histograms`, `[T]`, 0..1."""
    return np.minimum(counts, counts[0]).sum(axis=2).mean(axis=1)


def loop_score(video: NDArray) -> float:
    """The mean of `loop_curve` after the first frame, 0..1.

    A video that returns to its beginning keeps its colours, one that goes on to something new loses them. Videos
    of one scene keep most of them anyway, so only the data's own value says what is high. Good: as in the data.
    """
    return float(loop_curve(histograms(video))[1:].mean())


def autocorrelation(video: NDArray) -> Array:
    """Correlation of small frames, their mean over time taken off, with those 0 … ⌊2T/3⌋ frames later: `[L]`.

    Both sides of a lag are normalised by what they hold, so that 1 is an exact repetition at any lag. All 0 where
    nothing changes.
    """
    frames = shrunk(video, FEATURE_SIDE).reshape(len(video), -1).astype(np.float64)
    frames -= frames.mean(axis=0)
    lags = 2 * len(frames) // 3 + 1
    if math.sqrt(np.square(frames).mean()) < STILL:
        return np.zeros(lags)
    products, energy = frames @ frames.T, np.square(frames).sum(axis=1)
    both = [np.trace(products, offset=lag) for lag in range(lags)]
    power = [math.sqrt(energy[: len(energy) - lag].sum() * energy[lag:].sum()) for lag in range(lags)]
    return np.array(both) / np.maximum(power, 1e-9)


def periodicity(video: NDArray) -> float:
    """The highest autocorrelation beyond the lag at which it first falls below zero, 0..1.

    1 is an exact loop (or a swing to and fro) whose period is at most two thirds of the clip; 0 never comes back to
    where it was. A slow change has no second peak and gives 0. Good: as in the data.
    """
    return second_peak(autocorrelation(video))


def second_peak(curve: Array) -> float:
    """The highest value of an autocorrelation beyond its first below zero; 0 without one."""
    below = np.flatnonzero(curve < 0)
    return float(max(0.0, curve[below[0] :].max())) if len(below) else 0.0


# Reversal


def frame_distances(video: NDArray) -> Array:
    """Root mean square difference of each small frame from each other, in grey levels: `[T, T]`.

    Each frame's mean colour is taken off, so that a change of brightness is no motion.
    """
    frames = shrunk(video, FEATURE_SIDE).reshape(len(video), 3, -1).astype(np.float64)
    frames -= frames.mean(axis=2, keepdims=True)
    flat = frames.reshape(len(frames), -1)
    energy = np.square(flat).mean(axis=1)
    return np.sqrt(np.maximum(0, energy[:, None] + energy - 2 * flat @ flat.T / flat.shape[1]))


def mirror_ratios(distance: Array, reach: int) -> Array:
    """How little of the motion around each moment is its own mirror image in time: `[T − 2·reach]`.

    The mean `frame_distances` of c+s from c−s over s = 1 … reach, over that of two frames on the same side of c. 0
    where motion runs back exactly the way it came, about 1 where before and after have nothing in common, more where
    it goes straight on. NaN where nothing moves on either side: a flash is no turn. Neither is a loop, as it is no
    mirror image.
    """
    centre = np.arange(reach, len(distance) - reach)[:, None]
    step = np.arange(1, reach + 1)
    mirrored = distance[centre + step, centre - step].mean(axis=1)
    sums = np.pad(distance, ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1)

    def within(first: NDArray[np.intp]) -> Array:
        """Mean distance of two different frames among `reach` ones from `first` on."""
        last = first + reach
        block = sums[last, last] - sums[first, last] - sums[last, first] + sums[first, first]
        return block / (reach * (reach - 1))

    moved = (within(centre[:, 0] - reach) + within(centre[:, 0] + 1)) / 2
    return np.where(moved > STILL, mirrored / np.maximum(moved, STILL), np.nan)


def turns(video: NDArray) -> float:
    """How often the whole picture turns back the way it came, in turns a frame (times fps: a second), ≥ 0.

    A turn is a stretch of moments whose `mirror_ratios` are below one half, seen over 4, 8, 16 … frames to either
    side (up to a quarter of the clip); the number is that of the reach that sees most. Ping-pong motion gives one
    over its stroke; motion that never turns back gives 0. Good: as in the data, since a pendulum turns by nature.
    """
    distance = frame_distances(video)
    reach, most = 4, 0.0
    while reach <= max(4, len(video) // 4) and 2 * reach < len(video):
        back = mirror_ratios(distance, reach) < 0.5
        starts = int(back[0]) + int((back[1:] & ~back[:-1]).sum())
        most = max(most, starts / len(back))
        reach *= 2
    return most


# Speed


def speeds(video: NDArray) -> Array:
    """The speed of what moves, in shorter sides of the frame a frame, at up to 32 evenly spaced moments `[≤ 32]`.

    Mean length of the optical flow, weighted with the squared change of brightness, so that a still background
    does not count. 0 where nothing changes by more than two grey levels.
    """
    frames = grey(video, FLOW_SIDE)
    before = np.unique(np.linspace(0, len(frames) - 2, MOST_PAIRS).round().astype(int))
    first, second = frames[before], frames[before + 1]
    flow = optical_flow(first, second).square().sum(dim=1).sqrt()
    change = smooth((second - first).square()[:, None])[:, 0]
    weight = torch.where(change > 4.0, change, 0.0)
    speed = (flow * weight).sum(dim=(1, 2)) / weight.sum(dim=(1, 2)).clamp(min=1e-6)
    return speed.double().numpy() / min(frames.shape[1:])


def distribution_distance(first: Array, second: Array) -> float:
    """How far one set of numbers must be moved, on average, to be distributed as another (Wasserstein-1), ≥ 0."""
    levels = (np.arange(200) + 0.5) / 200
    return float(np.abs(np.quantile(first, levels) - np.quantile(second, levels)).mean())


# Flicker and sticking


def flicker(video: NDArray) -> float:
    """Noise in time where nothing moves, in grey levels (its standard deviation), ≥ 0.

    Second differences in time over √6, root mean square: motion at even speed leaves none, and independent noise of
    standard deviation σ gives σ, be it of pixels or of the whole picture's brightness. Taken over the quarter of
    the pixels whose mean over five frames bends least: things that pass by bend it, a slow change of light does not.
    Needs 16 frames. Good: as in the data.
    """
    frames = np.asarray(video, np.float32).mean(axis=1)
    sums = np.cumsum(np.concatenate([np.zeros_like(frames[:1]), frames]), axis=0, dtype=np.float64)
    slow = (sums[5:] - sums[:-5]) / 5
    restless = np.abs(slow[10:] - 2 * slow[5:-5] + slow[:-10]).max(axis=0)
    calm = restless <= np.quantile(restless, 0.25)
    second = frames[2:] - 2 * frames[1:-1] + frames[:-2]
    return float(math.sqrt(np.square(second[:, calm]).mean() / 6))


def sticking(video: NDArray) -> float | None:
    """Whether fine texture stays on the screen while what it belongs to moves: 0 moves along, 1 stuck.

    The optical flow of coarse structure is taken over so many frames that it is about two pixels. Fine structure
    (what a blur of 1.2 pixels takes away) is compared with itself so many frames later, along the flow and in place:
    `e_flow / (e_flow + e_place)` of squared differences around each pixel, mean over pixels that move by more than
    one. One half means neither: texture that dissolves. Good: as in the data, near 0.
    None where nothing moves by as much as a pixel in 16 frames.
    """
    frames = torch.from_numpy(np.asarray(video, np.float32).mean(axis=1))
    coarse = smooth(frames[:, None], 3)
    fine = frames[:, None] - coarse
    for step in (1, 2, 4, 8, 16):
        starts = torch.linspace(0, len(frames) - 1 - step, min(12, max(1, len(frames) - step))).long()
        if step >= len(frames):
            break
        before, after = coarse[starts, 0], coarse[starts + step, 0]
        flow = optical_flow(before, after)
        moved = flow.square().sum(dim=1, keepdim=True).sqrt()
        changed = smooth((after - before).square()[:, None]) > 16.0
        moving = (moved > 1.0) & changed
        if moving.float().mean() > 0.01 and float(moved[moving].median()) > 1.5:
            along = smooth((warp(fine[starts + step], flow) - fine[starts]).square())
            place = smooth((fine[starts + step] - fine[starts]).square())
            textured = moving & (along + place > 1.0)
            return float((along / (along + place))[textured].mean()) if textured.any() else None
    return None


# Appearance


def appearance(video: NDArray) -> Array:
    """What a video looks like, wherever things are: its colour histograms' mean `[3, 20]`."""
    return histograms(video).mean(axis=0)


def apart(first: Array, second: Array) -> float:
    """The share of pixels that one `appearance` has in other bins than the other, 0..1."""
    return float(np.abs(first - second).sum(axis=1).mean() / 2)
