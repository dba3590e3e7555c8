"""Draws clips of videos and measures every one: the numbers, and the curves and pictures that show them.

Shapes: V videos, T frames, L lags, D times, M motions, N contents, H height, W width; clips are uint8
`[T, 3, H, W]`. A number that a video does not have (nothing moves in it) is NaN.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from styleganv.errors import StyleganvError
from styleganv.metrics.videos import ModelVideos, Videos
from styleganv.motion_report import model_motion, motion

Array = NDArray[np.float64]

FEWEST_FRAMES = 16
KEPT = 8  # clips that the page may show
#: Where drift is looked at, in frames; an hour is added.
FAR = (64, 128, 250, 500, 1000)
GRID = 4  # contents and motions
GRID_FRAMES = 64
RATES = 16  # videos on which rates and slots are looked at
RATE_KEYS = ("same_frames", "between", "even")


@dataclass(frozen=True)
class Observed:
    """What clips of one collection show, in order of the clips.

    Attributes:
        numbers: key of a diagnostic → `[V]`.
        clips: the first few clips.
        loop_curves: `[V, T]`.
        autocorrelations: `[V, L]`.
        speeds: `[V, ≤ 32]`, shorter sides a second.
    """

    name: str
    fps: float
    numbers: dict[str, Array]
    clips: list[NDArray[np.uint8]]
    loop_curves: Array
    autocorrelations: Array
    speeds: Array


@dataclass(frozen=True)
class Answers:
    """What a model answers to questions that no recording can be asked.

    Attributes:
        numbers: key of a diagnostic → `[V]` (or one for each content or motion of the grid).
        grid: `[M, N, T, 3, H, W]`, one motion a row, one content a column; None without motion seeds.
        times: where drift was looked at, `[D]`, frames; those where a model cannot get are missing, see `missing`.
        drift: `[V, D]`.
        stills: `[N, D + 1, 3, H, W]`, the first frame and those at `times`.
        slots: `[V, 5]` change around slot boundaries, or None without slots.
        missing: key of a diagnostic → why there is no number.
    """

    numbers: dict[str, Array]
    grid: NDArray[np.uint8] | None
    times: list[float]
    drift: Array
    stills: NDArray[np.uint8]
    slots: Array | None
    missing: dict[str, str]


def clip_length(collections: list[Videos], most: int) -> int:
    """Frames of a clip: at most `most`, and so few that half of the videos of each collection have them.

    Raises:
        StyleganvError: if that leaves fewer than 16, or `most` is less.
    """
    if most < FEWEST_FRAMES:
        raise StyleganvError(f"{most} frames are too few to see motion: choose --frames {FEWEST_FRAMES} or more.")
    length = most
    for videos in collections:
        looked_at = 1 if videos.count is None else min(videos.count, 256)  # those of a model are all as long
        lengths = [videos.length(i) or most for i in range(looked_at)]
        length = min(length, int(np.median(lengths)))
        if length < FEWEST_FRAMES:
            raise StyleganvError(
                f"Half of the videos of {videos.name} have at most {length} frames: "
                f"motion needs clips of {FEWEST_FRAMES} or more."
            )
    return length


def draw_clips(videos: Videos, count: int, frames: int, seed: int) -> Iterator[NDArray[np.uint8]]:
    """Up to `count` clips of `frames` frames, one a video: of a recording from a random moment, of a model from 0.

    The choice depends on `seed` alone. Videos that are too short are passed over.
    """
    if videos.count is None:
        yield from (videos.read(seed * count + i, range(frames)) for i in range(count))
        return
    rng, found = np.random.default_rng(seed), 0
    for index in rng.permutation(videos.count):
        length = videos.length(int(index)) or frames
        offset = rng.random()
        if length >= frames and found < count:
            found += 1
            start = int(offset * (length - frames + 1))
            yield videos.read(int(index), range(start, start + frames))


def observe(videos: Videos, *, count: int, frames: int, seed: int) -> Observed:
    """Measure `count` clips of `frames` frames, with a progress bar."""
    numbers: dict[str, list[float]] = {key: [] for key in ("loop", "period", "turns", "speed", "flicker", "sticking")}
    clips: list[NDArray[np.uint8]] = []
    curves, correlations, speeds, looks = [], [], [], []
    total = count if videos.count is None else min(count, videos.count)
    for clip in tqdm(
        draw_clips(videos, count, frames, seed), total=total, desc=f"watching {videos.name}", unit="video"
    ):
        speeds.append(motion.speeds(clip) * videos.fps)
        counts = motion.histograms(clip)
        curves.append(motion.loop_curve(counts))
        correlations.append(motion.autocorrelation(clip))
        stuck = motion.sticking(clip)
        numbers["loop"].append(float(curves[-1][1:].mean()))
        numbers["period"].append(motion.second_peak(correlations[-1]))
        numbers["turns"].append(motion.turns(clip) * videos.fps)
        numbers["speed"].append(float(speeds[-1].mean()))
        numbers["flicker"].append(motion.flicker(clip))
        numbers["sticking"].append(np.nan if stuck is None else stuck)
        third = max(1, frames // 3)
        looks.append((counts[:third].mean(axis=0), counts[-third:].mean(axis=0)))
        if len(clips) < KEPT:
            clips.append(clip)
    scale = _scale([first for first, _ in looks])
    found = {key: np.array(values) for key, values in numbers.items()}
    found["drift"] = np.array([motion.apart(first, last) for first, last in looks]) / scale
    return Observed(
        name=videos.name,
        fps=videos.fps,
        numbers=found,
        clips=clips,
        loop_curves=np.stack(curves),
        autocorrelations=np.stack(correlations),
        speeds=np.stack(speeds),
    )


def _scale(looks: list[Array]) -> float:
    """How different two videos of a collection look; NaN where there is only one."""
    distances = [motion.apart(a, b) for a, b in combinations(looks, 2)]
    return max(float(np.mean(distances)), 1e-9) if distances else np.nan


def ask(videos: ModelVideos, *, count: int, seed: int) -> Answers:
    """Put all questions to a model, of at most `count` videos each, with a progress bar."""
    model, psi = videos.generator, videos.psi
    first = seed * count
    seeds = [first + i for i in range(max(2, min(count, RATES)))]
    chosen = [first + i for i in range(GRID)]
    numbers: dict[str, Array] = {}
    missing: dict[str, str] = {}
    with tqdm(total=4, desc=f"asking {videos.name}", unit="question") as bar:
        grid = None
        if model.motion_seeds:
            grid = model_motion.grid(model, chosen, chosen, count=GRID_FRAMES, psi=psi)
            numbers["diversity"] = model_motion.motion_diversity(grid)
            numbers["transfer"] = model_motion.motion_transfer(grid)
            numbers["hold"] = model_motion.content_hold(grid)
        else:
            missing |= dict.fromkeys(("diversity", "transfer", "hold"), "The model has no motion apart from content.")
        bar.update()
        times, drift = _drift(videos, seeds, missing)
        if "drift_1000" not in missing:
            numbers["drift_1000"] = drift[:, times.index(FAR[-1])]
        if "drift_hour" not in missing:
            numbers["drift_hour"] = drift[:, -1]
        stills = np.stack(
            [
                np.concatenate([model_motion.video(model, s, s, start=t, count=1, psi=psi) for t in (0.0, *times)])
                for s in chosen
            ]
        )
        bar.update()
        if model.any_rate:
            rates = [model_motion.frame_rate(model, s, start=7 + 13 * i, psi=psi) for i, s in enumerate(seeds)]
            for key, values in zip(RATE_KEYS, zip(*rates, strict=True), strict=True):
                numbers[key] = np.array(values)
        else:
            missing |= dict.fromkeys(RATE_KEYS, "The model has no frames between those it learned.")
        bar.update()
        profiles = [model_motion.slot_profile(model, s, psi=psi) for s in seeds]
        slots = None if profiles[0] is None else np.stack([p for p in profiles if p is not None])
        if slots is None:
            missing["slot_jump"] = "The model has no motion slots."
        else:
            numbers["slot_jump"] = np.array([model_motion.slot_jump(profile) for profile in slots])
        bar.update()
    return Answers(numbers, grid, times, drift, stills, slots, missing)


def _drift(videos: ModelVideos, seeds: list[int], missing: dict[str, str]) -> tuple[list[float], Array]:
    """Drift at `FAR` and after an hour, where the model can get there; why not goes to `missing`."""
    hour = 3600 * videos.fps

    def drift(times: list[float]) -> Array:
        return model_motion.drift(videos.generator, seeds, times, span=FAR[0], psi=videos.psi)

    times: list[float] = [float(t) for t in FAR]
    try:
        return [*times, hour], drift([*times, hour])
    except StyleganvError as error:
        missing["drift_hour"] = str(error)
    try:
        return times, drift(times)
    except StyleganvError as error:
        missing["drift_1000"] = str(error)
    return [], np.zeros((len(seeds), 0))
