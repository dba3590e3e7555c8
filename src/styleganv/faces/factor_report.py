"""Report on the ground-truth factors of drawn faces: validity, distribution, constancy and independence.

It compares the factors recognized in videos with those recognized in the dataset. The dataset's true factors are known,
so its own numbers tell how reliable recognition is.

Shapes: N videos of T frames, H height, W width.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from styleganv.data.dataset_file import VideoRecord
from styleganv.errors import StyleganvError
from styleganv.faces.factors import FPS, OPTIONS, Face
from styleganv.faces.failures import FAILURE_MODES
from styleganv.faces.recognition import RecognizedFace, recognize_factors
from styleganv.progress import Progress, track
from styleganv.validation import read_fields
from styleganv.video_model import VideoModel
from styleganv.videos import DatasetVideos, ModelVideos, Videos

#: Names of hues, each for a sixth of a turn.
HUES = ("red", "yellow", "green", "cyan", "blue", "magenta")
#: Compared factors of a face's content, and their options.
FACTORS: dict[str, tuple[str, ...]] = dict.fromkeys(("hue", "background_hue", "top_hue"), HUES) | OPTIONS
#: Factors that are visible only if another one is not "none".
VISIBLE_WITH = {"top_hue": "top", "brow_slope": "brows"}
MOTIONS = ("blink_rate", "speed", "reversals")
#: Number of pairs of content seeds with the same motion seed.
NUM_PAIRS = 8


@dataclass(frozen=True)
class FactorRow:
    """Numbers of one set of videos.

    Attributes:
        valid: fraction without a failure.
        failure_modes: fraction with each of `FAILURE_MODES`.
        blink_rate, speed, reversals: means over videos with a head: blinks per second, frame sides per second,
            reversals per second; None without any.
        dependence: fraction of the speed's variance that a content factor explains beyond chance, averaged over
            factors: near 0 if content and motion are independent, at most 1; None with fewer than 10 valid videos.
    """

    num_videos: int
    valid: float
    failure_modes: dict[str, float]
    blink_rate: float | None
    speed: float | None
    reversals: float | None
    dependence: float | None

    def __str__(self) -> str:
        lines = [f"{self.valid:.1%} of {self.num_videos} videos valid and constant"]
        lines += [f"  {name}: {fraction:.1%}" for name, fraction in self.failure_modes.items() if fraction]
        return "\n".join([*lines, *(f"{name:<12}{_format(getattr(self, name))}" for name in (*MOTIONS, "dependence"))])


@dataclass(frozen=True)
class FactorMatch:
    """Distribution of one factor among the valid videos in which it is visible.

    Attributes:
        generated, real: fraction of each option, summing to 1 (all 0 if no video shows the factor).
        distance: total variation between them, 0..1; None if one of the sets does not show the factor.
        floor: expected distance between two draws of these sizes from the dataset's distribution.
        accuracy: fraction of the dataset's videos in which the factor is recognized correctly; None without any.
    """

    generated: dict[str, float]
    real: dict[str, float]
    distance: float | None
    floor: float | None
    accuracy: float | None


@dataclass(frozen=True)
class FactorReport:
    """Comparison of ground-truth factors; `str()` returns a table, `dataclasses.asdict` JSON.

    `same_motion` is the correlation of the head's motion between two content seeds with the same motion seed: 1 if
    motion does not depend on content; None unless a model with motion seeds is compared.
    """

    num_frames: int
    seed: int
    generated: FactorRow
    real: FactorRow
    factors: dict[str, FactorMatch]
    same_motion: float | None

    def __str__(self) -> str:
        generated, real = self.generated, self.real
        lines = [
            f"Ground-truth factors: {generated.num_videos} videos of {self.num_frames} frames, "
            f"and {real.num_videos} of the dataset (seed {self.seed})",
            f"{'':<28}{'videos':>9}{'dataset':>9}",
            f"{'valid and constant':<28}{generated.valid:>9.1%}{real.valid:>9.1%}",
        ]
        for name in FAILURE_MODES:
            lines.append(f"{'  ' + name:<28}{generated.failure_modes[name]:>9.1%}{real.failure_modes[name]:>9.1%}")
        labels = {
            "blink_rate": "blinks per second",
            "speed": "speed (sides per second)",
            "reversals": "reversals per second",
            "dependence": "motion due to content",
        }
        for name, label in labels.items():
            lines.append(f"{label:<28}{_format(getattr(generated, name)):>9}{_format(getattr(real, name)):>9}")
        if self.same_motion is not None:
            lines.append(f"{'same motion, other content':<28}{self.same_motion:>9.3f}")
        lines += ["", f"{'factor':<15}{'distance':>9}{'floor':>8}{'accuracy':>10}   videos (dataset)"]
        for name, match in self.factors.items():
            fractions = ", ".join(f"{k} {match.generated[k]:.0%} ({match.real[k]:.0%})" for k in match.real)
            numbers = f"{_format(match.distance):>9}{_format(match.floor):>8}{_format(match.accuracy):>10}"
            lines.append(f"{name:<15}{numbers}   {fractions}")
        return "\n".join(lines)


def check_factors(videos: NDArray[np.uint8] | Sequence[NDArray[np.uint8]], fps: float = FPS) -> FactorRow:
    """Return the validity, failure modes and motion of videos of faces, without a dataset to compare with.

    `videos` are uint8 `[N, T, H, W, 3]`, or N videos `[T, H, W, 3]`, of `fps` frames per second.
    """
    return _row([recognize_factors(video, fps) for video in videos])


def has_factors(data: DatasetVideos) -> bool:
    """Return whether the dataset states the ground-truth factors of every video."""
    faces = map(_read_face, data.data.videos)
    return all(
        face is not None and all(_name(factor, getattr(face, factor)) in options for factor, options in FACTORS.items())
        for face in faces
    )


def _read_face(record: VideoRecord) -> Face | None:
    """Return the ground-truth factors of a video; None if its record states none, or invalid ones."""
    truth: Any = record.meta.get("factors")
    names = [field.name for field in fields(Face)]
    try:
        return read_fields(Face, {name: truth[name] for name in names}, "factors")
    except (KeyError, TypeError, StyleganvError):
        return None


def compare_factors(
    videos: Videos,
    data: DatasetVideos,
    *,
    num_clips: int = 256,
    num_frames: int = 64,
    seed: int = 0,
    progress: Progress | None = None,
) -> FactorReport:
    """Compare the factors recognized in `videos` with those recognized in a dataset.

    Args:
        videos: any videos; of a model, those of seeds 0 to `num_clips` − 1 from time 0.
        data: dataset with ground-truth factors (`has_factors`).
        num_clips: maximum number of clips of each, one per video.
        num_frames: consecutive frames per clip; fewer if the model's videos are shorter.
        seed: random seed for the choice of clips and for the floors.

    Raises:
        StyleganvError: if the dataset has no ground-truth factors, or a set has no video of that many frames.
    """
    if not has_factors(data):
        raise StyleganvError(
            f"{data.name} has no ground-truth factors, which --factors requires: use a dataset drawn by "
            "`styleganv demo` or `make_faces` of this version."
        )
    if videos.count is None:
        num_frames = min(num_frames, videos.length(0) or num_frames)
    rng = np.random.default_rng(seed)
    chosen = _choose(data, num_clips, num_frames, rng)
    real = _recognize_all(data, chosen, num_frames, progress)
    generated = _recognize_all(videos, _choose(videos, num_clips, num_frames, rng), num_frames, progress)
    truth = [face for index, _ in chosen if (face := _read_face(data.data.videos[index]))]
    matches = {factor: _match(factor, generated, real, truth, rng) for factor in FACTORS}
    same = same_motion(videos.generator, num_frames) if isinstance(videos, ModelVideos) else None
    return FactorReport(num_frames, seed, _row(generated), _row(real), matches, same)


def same_motion(model: VideoModel, num_frames: int = 64, num_pairs: int = NUM_PAIRS) -> float | None:
    """Return the mean correlation of the head's motion (x, y, roll) between content seeds with the same motion seed.

    The result is None if the model has no motion seeds, or too few videos show a head.
    """
    if not model.supports_motion_seed:
        return None
    correlations = []
    for pair in range(num_pairs):
        videos = [model.sample(seed=2 * pair + i, motion_seed=pair, seconds=num_frames / model.fps) for i in range(2)]
        poses = [recognize_factors(video, model.fps).pose for video in videos]
        for name in ("x", "y", "roll"):
            first, second = (getattr(pose, name) for pose in poses)
            seen = ~np.isnan(first + second)
            if seen.sum() > 2 and first[seen].std() > 0 and second[seen].std() > 0:
                correlations.append(float(np.corrcoef(first[seen], second[seen])[0, 1]))
    return float(np.mean(correlations)) if correlations else None


def _choose(videos: Videos, num_clips: int, num_frames: int, rng: np.random.Generator) -> list[tuple[int, int]]:
    """Return the video and the first frame of each clip."""
    if videos.count is None:
        return [(index, 0) for index in range(num_clips)]
    chosen = []
    for index in rng.permutation(videos.count):
        length = videos.length(int(index))
        if length is None or length >= num_frames:
            chosen.append((int(index), 0 if length is None else int(rng.integers(length - num_frames + 1))))
        if len(chosen) == num_clips:
            break
    if not chosen:
        raise StyleganvError(
            f"No video of {videos.name} has the {num_frames} frames that --factors requires: use longer videos."
        )
    return sorted(chosen)


def _recognize_all(
    videos: Videos, chosen: list[tuple[int, int]], num_frames: int, progress: Progress | None
) -> list[RecognizedFace]:
    return [
        recognize_factors(videos.read(index, np.arange(start, start + num_frames)).transpose(0, 2, 3, 1), videos.fps)
        for index, start in track(chosen, progress, len(chosen), f"factors of {videos.name}")
    ]


def _row(recognized: list[RecognizedFace]) -> FactorRow:
    heads = [video for video in recognized if video.face is not None]
    means = {name: float(np.mean([getattr(v, name) for v in heads])) if heads else None for name in MOTIONS}
    return FactorRow(
        num_videos=len(recognized),
        valid=float(np.mean([video.valid for video in recognized])),
        failure_modes={
            name: float(np.mean([name in video.failure_modes for video in recognized])) for name in FAILURE_MODES
        },
        dependence=_dependence([video for video in recognized if video.valid]),
        **means,
    )


def _dependence(valid: list[RecognizedFace]) -> float | None:
    if len(valid) < 10:
        return None
    speeds = np.array([video.speed for video in valid])
    explained = []
    for factor in FACTORS:
        names = np.array([_name(factor, getattr(video.face, factor)) for video in valid])
        groups = np.unique(names)
        within = sum(float(np.square(speeds[names == g] - speeds[names == g].mean()).sum()) for g in groups)
        chance = (len(groups) - 1) / (len(valid) - 1)
        total = float(np.square(speeds - speeds.mean()).sum())
        if total > 0 and chance < 1:
            explained.append((1 - within / total - chance) / (1 - chance))
    return float(np.mean(explained)) if explained else None


def _match(
    factor: str,
    generated: list[RecognizedFace],
    real: list[RecognizedFace],
    truth: list[Face],
    rng: np.random.Generator,
) -> FactorMatch:
    options = FACTORS[factor]
    faces = [[video.face for video in videos if video.valid and video.face] for videos in (generated, real)]
    names = [[_name(factor, getattr(face, factor)) for face in group if _is_visible(face, factor)] for group in faces]
    counts = np.array([[group.count(option) for option in options] for group in names], np.float64)
    totals = counts.sum(axis=1)
    fractions = counts / np.maximum(totals, 1)[:, None]
    distance = floor = None
    if totals.min() > 0:
        distance = float(total_variation(*fractions))
        draws = [rng.multinomial(int(total), fractions[1], size=2000) / total for total in totals]
        floor = float(total_variation(*draws).mean())
    correct = [
        video.face is not None and _is_same(factor, getattr(video.face, factor), getattr(true, factor))
        for video, true in zip(real, truth, strict=True)
        if _is_visible(true, factor)
    ]
    by_option: list[dict[str, float]] = [dict(zip(options, map(float, row), strict=True)) for row in fractions]
    return FactorMatch(by_option[0], by_option[1], distance, floor, float(np.mean(correct)) if correct else None)


def _is_visible(face: Face, factor: str) -> bool:
    return factor not in VISIBLE_WITH or getattr(face, VISIBLE_WITH[factor]) != "none"


def _name(factor: str, value: Any) -> str:
    """Return the name of a hue; other values are names already."""
    return HUES[round(float(value) * len(HUES)) % len(HUES)] if factor.endswith("hue") else str(value)


def _is_same(factor: str, recognized: Any, true: Any) -> bool:
    """Return whether two values are equal; hues may differ by 0.03."""
    return abs((recognized - true + 0.5) % 1 - 0.5) < 0.03 if factor.endswith("hue") else recognized == true


def total_variation(p: NDArray, q: NDArray) -> Any:
    """Return half the sum of absolute differences between distributions `[..., K]`, 0..1."""
    return np.abs(p - q).sum(axis=-1) / 2


def _format(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
