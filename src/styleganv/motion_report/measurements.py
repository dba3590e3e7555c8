"""Clips of videos, and probes of a model: the values, curves and frames that diagnostics are computed from.

Shapes: V videos, T frames, L lags, D times, M motion seeds, N content seeds, H height, W width. Clips are uint8
`[T, 3, H, W]`. A value that a video does not have (nothing moves in it) is NaN.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
from numpy.typing import NDArray

from styleganv.errors import StyleganvError
from styleganv.motion_report import model_motion, motion
from styleganv.progress import Progress, track
from styleganv.videos import ModelVideos, Videos

Array = NDArray[np.float64]
Frames = NDArray[np.uint8]

MIN_FRAMES = 16
MAX_EXAMPLES = 8  # clips that the page may show
DRIFT_TIMES = (64, 128, 250, 500, 1000)  # in frames
GRID_SIZE = 4  # content seeds and motion seeds
GRID_FRAMES = 64
MAX_PROBED_SEEDS = 16  # videos in which drift, other frame rates and slot boundaries are measured


class ClipFeatures:
    """One clip `[T, 3, H, W]`, with the intermediate results that several diagnostics share."""

    def __init__(self, frames: Frames, fps: float) -> None:
        self.frames, self.fps = frames, fps

    @cached_property
    def histograms(self) -> Array:
        """Color histograms of all frames `[T, 3, 20]`."""
        return motion.histograms(self.frames)

    @cached_property
    def loop_curve(self) -> Array:
        """Fraction of the first frame's colors in each frame `[T]`."""
        return motion.loop_curve(self.histograms)

    @cached_property
    def autocorrelation(self) -> Array:
        """Autocorrelation of frames by lag `[L]`."""
        return motion.autocorrelation(self.frames)

    @cached_property
    def speeds(self) -> Array:
        """Speed at up to 32 times `[≤ 32]`, in frame sides per second."""
        return motion.speeds(self.frames) * self.fps

    @property
    def appearances(self) -> Array:
        """Mean color histograms of the first and the last third `[2, 3, 20]`."""
        third = max(1, len(self.frames) // 3)
        return np.stack([self.histograms[:third].mean(axis=0), self.histograms[-third:].mean(axis=0)])


@dataclass(frozen=True)
class ClipMeasurements:
    """Measurements of the clips of one set of videos, in the order of the clips.

    Attributes:
        values: values by the name of the diagnostic, `[V]`.
        examples: the first few clips.
        loop_curves: `[V, T]`.
        autocorrelations: `[V, L]`.
        speeds: `[V, ≤ 32]`, in frame sides per second.
        appearances: of the first and the last third of each clip, `[V, 2, 3, 20]`.
    """

    name: str
    fps: float
    values: dict[str, Array]
    examples: list[Frames]
    loop_curves: Array
    autocorrelations: Array
    speeds: Array
    appearances: Array


def clip_length(collections: list[Videos], max_frames: int) -> int:
    """Return the frames per clip, few enough for half of each set's videos. Raises StyleganvError if fewer than 16."""
    length = max_frames
    for videos in collections:
        num_checked = 1 if videos.count is None else min(videos.count, 256)  # all videos of a model are equally long
        lengths = [videos.length(i) or max_frames for i in range(num_checked)]
        length = min(length, int(np.median(lengths)))
        if length < MIN_FRAMES:
            raise StyleganvError(
                f"Half of the videos of {videos.name} have at most {length} frames, but motion diagnostics require "
                f"{MIN_FRAMES}: use longer videos."
            )
    return length


def draw_clips(videos: Videos, num_videos: int, num_frames: int, seed: int) -> Iterator[Frames]:
    """Yield up to `num_videos` clips of `num_frames` frames, one per video, chosen by `seed` alone.

    Clips start at a random frame of a recording, and at frame 0 of a model's video. Shorter videos are skipped.
    """
    if videos.count is None:
        yield from (videos.read(seed * num_videos + i, range(num_frames)) for i in range(num_videos))
        return
    rng, num_found = np.random.default_rng(seed), 0
    for index in rng.permutation(videos.count):
        length = videos.length(int(index)) or num_frames
        offset = rng.random()
        if length >= num_frames and num_found < num_videos:
            num_found += 1
            start = int(offset * (length - num_frames + 1))
            yield videos.read(int(index), range(start, start + num_frames))


def measure_clips(
    videos: Videos,
    measures: Mapping[str, Callable[[ClipFeatures], float]],
    *,
    num_videos: int,
    num_frames: int,
    seed: int,
    progress: Progress | None = None,
) -> ClipMeasurements:
    """Apply `measures` to each clip of `draw_clips`, one clip in memory at a time."""
    values: dict[str, list[float]] = {name: [] for name in measures}
    examples: list[Frames] = []
    curves, correlations, speeds, appearances = [], [], [], []
    clips = draw_clips(videos, num_videos, num_frames, seed)
    total = num_videos if videos.count is None else min(num_videos, videos.count)
    for frames in track(clips, progress, total, f"measuring {videos.name}"):
        clip = ClipFeatures(frames, videos.fps)
        for name, measure in measures.items():
            values[name].append(measure(clip))
        curves.append(clip.loop_curve)
        correlations.append(clip.autocorrelation)
        speeds.append(clip.speeds)
        appearances.append(clip.appearances)
        if len(examples) < MAX_EXAMPLES:
            examples.append(frames)
    return ClipMeasurements(
        videos.name,
        videos.fps,
        {name: np.array(numbers) for name, numbers in values.items()},
        examples,
        *map(np.stack, (curves, correlations, speeds, appearances)),
    )


class ModelProbe:
    """Videos that only a model can provide: other seeds, distant times, other frame rates.

    Each property generates its videos once, and raises StyleganvError if the model cannot.

    Attributes:
        values: values by the name of the diagnostic, `[V]` (or one per content seed or motion seed of the grid).
        missing: reasons for missing values, by the name of the diagnostic.
    """

    def __init__(self, videos: ModelVideos, *, num_videos: int, seed: int) -> None:
        self.model, self.psi = videos.generator, videos.psi
        first = seed * num_videos
        self.seeds = [first + i for i in range(max(2, min(num_videos, MAX_PROBED_SEEDS)))]
        self.grid_seeds = [first + i for i in range(GRID_SIZE)]
        self.values: dict[str, Array] = {}
        self.missing: dict[str, str] = {}

    @cached_property
    def grid(self) -> Frames:
        """Videos `[M, N, T, 3, H, W]`: one motion seed per row, one content seed per column."""
        if not self.model.supports_motion_seed:
            raise StyleganvError("The model has no motion seed.")
        return model_motion.grid(self.model, self.grid_seeds, self.grid_seeds, count=GRID_FRAMES, psi=self.psi)

    @cached_property
    def drift(self) -> Array:
        """Appearance drift at `DRIFT_TIMES`, `[V, D]`."""
        return self._drift_at([float(time) for time in DRIFT_TIMES])

    @cached_property
    def hour_drift(self) -> Array:
        """Appearance drift after an hour, `[V]`."""
        return self._drift_at([self.hour])[:, 0]

    @property
    def hour(self) -> float:
        """Number of frames in an hour."""
        return 3600 * self.model.fps

    def _drift_at(self, times: list[float]) -> Array:
        return model_motion.drift(self.model, self.seeds, times, span=DRIFT_TIMES[0], psi=self.psi)

    def frames_at(self, times: list[float]) -> Frames:
        """Return frames of the grid's content seeds at `times` (in frames), `[N, D, 3, H, W]`."""
        video = partial(model_motion.video, self.model, count=1, psi=self.psi)
        return np.stack([np.concatenate([video(seed, seed, start=t) for t in times]) for seed in self.grid_seeds])

    @cached_property
    def frame_rates(self) -> Array:
        """Results of `model_motion.frame_rate`, `[V, 3]`."""
        if not self.model.supports_any_fps:
            raise StyleganvError("The model has a fixed frame rate.")
        measure = partial(model_motion.frame_rate, self.model, psi=self.psi)
        return np.array([measure(seed, start=7 + 13 * i) for i, seed in enumerate(self.seeds)])

    @cached_property
    def slot_profiles(self) -> Array:
        """Change around slot boundaries, `[V, 5]`."""
        profiles = [model_motion.slot_profile(self.model, s, psi=self.psi) for s in self.seeds]
        if profiles[0] is None:
            raise StyleganvError("The model has no motion slots.")
        return np.stack([profile for profile in profiles if profile is not None])


def probe_model(
    videos: ModelVideos,
    probes: Mapping[str, Callable[[ModelProbe], Array]],
    *,
    num_videos: int,
    seed: int,
    progress: Progress | None = None,
) -> ModelProbe:
    """Return a probe of at most `num_videos` videos per diagnostic, with the values of `probes`."""
    probe = ModelProbe(videos, num_videos=num_videos, seed=seed)
    for name, measure in track(probes.items(), progress, len(probes), f"probing {videos.name}"):
        try:
            probe.values[name] = measure(probe)
        except StyleganvError as error:
            probe.missing[name] = str(error)
    return probe
