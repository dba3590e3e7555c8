"""Measures of the motion of one video, each computed from its frames alone.

Shapes: T frames, H height, W width, L lags; a video is uint8 or float RGB `[T, 3, H, W]` in 0..255. Every function is
pure, and documents its range, its unit and which values are good. "The dataset's" is the value of real videos.
"""

import math

import numpy as np
import torch
from numpy.typing import NDArray

from styleganv.motion_report.flow import optical_flow, smooth, warp

Array = NDArray[np.float64]

BINS = 20  # per color channel of a histogram
FEATURE_SIDE = 16  # shorter side of the downsampled frames that are compared, in pixels
FLOW_SIDE = 64  # shorter side of the frames in which speed is measured, in pixels
MAX_PAIRS = 32  # pairs of frames in which speed is measured
STATIC_RMS = 0.5  # RMS difference in gray levels below which two frames count as equal


def downsample(video: NDArray, side: int) -> NDArray[np.float32]:
    """Average `[T, 3, H, W]` over squares, so that the shorter side is about `side` pixels; never enlarge."""
    factor = max(1, min(video.shape[2:]) // side)
    height, width = video.shape[2] // factor, video.shape[3] // factor
    cut = video[:, :, : height * factor, : width * factor].astype(np.float32)
    return cut.reshape(len(video), 3, height, factor, width, factor).mean(axis=(3, 5))


def to_gray(video: NDArray, side: int) -> torch.Tensor:
    """Return gray levels `[T, H, W]` of the downsampled video."""
    return torch.from_numpy(downsample(video, side).mean(axis=1))


def histograms(video: NDArray) -> Array:
    """Return the fraction of pixels in each of 20 equal bins per color channel, `[T, 3, 20]`; each row sums to 1."""
    bins = np.arange(256) * BINS // 256
    counts = np.zeros((len(video), 3, BINS))
    for frame, row in zip(video, counts, strict=True):
        for plane, count in zip(frame.astype(np.uint8), row, strict=True):
            np.add.at(count, bins, np.bincount(plane.ravel(), minlength=256))
    return counts / (video.shape[2] * video.shape[3])


def loop_curve(counts: Array) -> Array:
    """Return the fraction of the first frame's colors in each frame, the intersection of `histograms`: `[T]`, 0..1.

    A video that returns to its first frame keeps its colors; one that proceeds to something new loses them. Videos of
    one scene keep most of them anyway, so only the dataset's value tells what is high. Good: as in the dataset.
    """
    return np.minimum(counts, counts[0]).sum(axis=2).mean(axis=1)


def autocorrelation(video: NDArray) -> Array:
    """Return the correlation of downsampled frames with those 0 … ⌊2T/3⌋ frames later, `[L]`.

    The mean over time is subtracted. Each lag is normalized by the energy of its own frames, so 1 is an exact
    repetition at any lag. All values are 0 if nothing changes.
    """
    frames = downsample(video, FEATURE_SIDE).reshape(len(video), -1).astype(np.float64)
    frames -= frames.mean(axis=0)
    lags = 2 * len(frames) // 3 + 1
    if math.sqrt(np.square(frames).mean()) < STATIC_RMS:
        return np.zeros(lags)
    products, energy = frames @ frames.T, np.square(frames).sum(axis=1)
    both = [np.trace(products, offset=lag) for lag in range(lags)]
    power = [math.sqrt(energy[: len(energy) - lag].sum() * energy[lag:].sum()) for lag in range(lags)]
    return np.array(both) / np.maximum(power, 1e-9)


def second_peak(curve: Array) -> float:
    """Return the highest value of an autocorrelation beyond the lag at which it first falls below zero, 0..1.

    1 is an exact loop or oscillation with a period of at most two thirds of the clip; 0 never returns. A slow change
    has no second peak and gives 0. Good: as in the dataset.
    """
    below = np.flatnonzero(curve < 0)
    return float(max(0.0, curve[below[0] :].max())) if len(below) else 0.0


def frame_distances(video: NDArray) -> Array:
    """Return the RMS differences between all downsampled frames, in gray levels: `[T, T]`.

    Each frame's mean color is subtracted, so a change of brightness does not count as motion.
    """
    frames = downsample(video, FEATURE_SIDE).reshape(len(video), 3, -1).astype(np.float64)
    frames -= frames.mean(axis=2, keepdims=True)
    flat = frames.reshape(len(frames), -1)
    energy = np.square(flat).mean(axis=1)
    return np.sqrt(np.maximum(0, energy[:, None] + energy - 2 * flat @ flat.T / flat.shape[1]))


def mirror_ratios(distance: Array, reach: int) -> Array:
    """Return how far the motion around each time c is from its own mirror image in time: `[T − 2·reach]`.

    This is the mean `frame_distances` between c+s and c−s over s = 1 … reach, over that between two frames on the same
    side of c. 0: motion retraces its path exactly. About 1: before and after have nothing in common. More: motion
    continues straight. NaN: nothing moves on either side, so a flash is no reversal. A loop is none either, since it is
    not a mirror image.
    """
    center = np.arange(reach, len(distance) - reach)[:, None]
    step = np.arange(1, reach + 1)
    mirrored = distance[center + step, center - step].mean(axis=1)
    sums = np.pad(distance, ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1)

    def within(first: NDArray[np.intp]) -> Array:
        """Return the mean distance between two different frames among the `reach` frames from `first`."""
        last = first + reach
        block = sums[last, last] - sums[first, last] - sums[last, first] + sums[first, first]
        return block / (reach * (reach - 1))

    moved = (within(center[:, 0] - reach) + within(center[:, 0] + 1)) / 2
    return np.where(moved > STATIC_RMS, mirrored / np.maximum(moved, STATIC_RMS), np.nan)


def reversal_rate(video: NDArray) -> float:
    """Return how often the motion of the entire frame reverses, per frame (× fps: per second), ≥ 0.

    A reversal is an interval in which `mirror_ratios` are below one half, over a reach of 4, 8, 16 … frames (up to a
    quarter of the clip); the reach with the most reversals counts. Ping-pong motion gives the inverse of its stroke;
    motion that never reverses gives 0. Good: as in the dataset, since a pendulum reverses by nature.
    """
    distance = frame_distances(video)
    reach, highest = 4, 0.0
    while reach <= max(4, len(video) // 4) and 2 * reach < len(video):
        back = mirror_ratios(distance, reach) < 0.5
        starts = int(back[0]) + int((back[1:] & ~back[:-1]).sum())
        highest = max(highest, starts / len(back))
        reach *= 2
    return highest


def speeds(video: NDArray) -> Array:
    """Return the speed of moving parts at up to 32 evenly spaced times, in shorter frame sides per frame: `[≤ 32]`.

    This is the mean length of the optical flow, weighted by the squared change of brightness, so a static background
    does not count. 0 if nothing changes by more than two gray levels.
    """
    frames = to_gray(video, FLOW_SIDE)
    before = np.unique(np.linspace(0, len(frames) - 2, MAX_PAIRS).round().astype(int))
    first, second = frames[before], frames[before + 1]
    flow = optical_flow(first, second).square().sum(dim=1).sqrt()
    change = smooth((second - first).square()[:, None])[:, 0]
    weight = torch.where(change > 4.0, change, 0.0)
    speed = (flow * weight).sum(dim=(1, 2)) / weight.sum(dim=(1, 2)).clamp(min=1e-6)
    return speed.double().numpy() / min(frames.shape[1:])


def distribution_distance(first: Array, second: Array) -> float:
    """Return the Wasserstein-1 distance between two sets of numbers, ≥ 0."""
    levels = (np.arange(200) + 0.5) / 200
    return float(np.abs(np.quantile(first, levels) - np.quantile(second, levels)).mean())


def flicker(video: NDArray) -> float:
    """Return the standard deviation of temporal noise in static parts, in gray levels, ≥ 0.

    This is the RMS of second differences in time, over √6. Uniform motion has none, and independent noise of standard
    deviation σ gives σ, whether per pixel or in the brightness of the entire frame. Only the quarter of pixels counts
    whose mean over five frames curves least: passing objects curve it, a slow change of light does not. Requires 16
    frames. Good: as in the dataset.
    """
    frames = np.asarray(video, np.float32).mean(axis=1)
    sums = np.cumsum(np.concatenate([np.zeros_like(frames[:1]), frames]), axis=0, dtype=np.float64)
    slow = (sums[5:] - sums[:-5]) / 5
    restless = np.abs(slow[10:] - 2 * slow[5:-5] + slow[:-10]).max(axis=0)
    calm = restless <= np.quantile(restless, 0.25)
    second = frames[2:] - 2 * frames[1:-1] + frames[:-2]
    return float(math.sqrt(np.square(second[:, calm]).mean() / 6))


def sticking(video: NDArray) -> float:
    """Return whether fine texture moves with its surface (0) or sticks to the screen (1).

    The optical flow of coarse structure is measured over as many frames as it takes to be about two pixels. Fine
    structure (what a blur of 1.2 pixels removes) is compared with itself after that time, along the flow and in place:
    `e_flow / (e_flow + e_place)` of squared differences around each pixel, averaged over pixels that move by more than
    one. One half means neither: the texture dissolves. Good: as in the dataset, near 0. NaN if nothing moves by a pixel
    within 16 frames.
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
            in_place = smooth((fine[starts + step] - fine[starts]).square())
            textured = moving & (along + in_place > 1.0)
            return float((along / (along + in_place))[textured].mean()) if textured.any() else math.nan
    return math.nan


def appearance(video: NDArray) -> Array:
    """Return the mean color histogram `[3, 20]` of a video: its appearance, regardless of positions."""
    return histograms(video).mean(axis=0)


def distance(first: Array, second: Array) -> float:
    """Return the fraction of pixels in different bins between two results of `appearance`, 0..1."""
    return float(np.abs(first - second).sum(axis=1).mean() / 2)
