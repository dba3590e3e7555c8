"""Known-factor check: how many generated videos of drawn faces are valid, and whether their content and motion are
distributed as in the data, constant, and independent.

Each number stands beside the same number of real videos, whose true factors are known: that column tells how far the
check itself can be trusted.

Shapes: N videos of T frames, H height, W width.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from styleganv.errors import StyleganvError
from styleganv.faces.factors import (
    BROW_SLOPES,
    BROWS,
    CHEEKS,
    EYES,
    FPS,
    GLASSES,
    HEADS,
    IRISES,
    LIDS,
    MOUTHS,
    NOSES,
    TOPS,
    Face,
)
from styleganv.faces.judging import PROBLEMS
from styleganv.faces.recovery import RecoveredFace, recover
from styleganv.metrics.videos import DatasetVideos, ModelVideos, Videos
from styleganv.video_model import VideoModel

#: Hues by name, in turns of a sixth around each.
HUES = ("red", "yellow", "green", "cyan", "blue", "magenta")
#: What a face's content is compared by.
FACTORS: dict[str, tuple[str, ...]] = {
    "hue": HUES,
    "background_hue": HUES,
    "top_hue": HUES,
    "head": tuple(HEADS),
    "top": TOPS,
    "eyes": tuple(EYES),
    "lids": tuple(LIDS),
    "iris": tuple(IRISES),
    "brows": tuple(BROWS),
    "brow_slope": tuple(BROW_SLOPES),
    "mouth": tuple(MOUTHS),
    "nose": NOSES,
    "cheeks": CHEEKS,
    "glasses": GLASSES,
}
#: Factors that show only where another one is not "none".
SHOWN_BY = {"top_hue": "top", "brow_slope": "brows"}
MOTIONS = ("blink_rate", "speed", "reversals")
#: Pairs of contents that are given the same motion.
PAIRS = 8


@dataclass(frozen=True)
class FactorRow:
    """What was found in one set of videos.

    Attributes:
        videos: how many.
        valid: share without a problem.
        problems: share with each of `PROBLEMS`.
        blink_rate, speed, reversals: means over videos with a head: blinks per second, frame sides per second, turning
            points per second; None without any.
        dependence: share of the speed's variance that a content factor explains, on average over factors and beyond
            chance; near 0 if content and motion are independent, at most 1; None with fewer than 10 valid videos.
    """

    videos: int
    valid: float
    problems: dict[str, float]
    blink_rate: float | None
    speed: float | None
    reversals: float | None
    dependence: float | None

    def __str__(self) -> str:
        lines = [f"{self.valid:.1%} of {self.videos} videos valid and constant".replace("%", " %")]
        lines += [f"  {name}: {share:.1%}".replace("%", " %") for name, share in self.problems.items() if share]
        return "\n".join([*lines, *(f"{name:<12}{_number(getattr(self, name))}" for name in (*MOTIONS, "dependence"))])


@dataclass(frozen=True)
class FactorMatch:
    """How one factor is distributed among the valid videos that show it.

    Attributes:
        generated, real: share of each name, summing to 1 (all 0 if no video shows it).
        distance: total variation between them, 0..1; None if one of the sets does not show it.
        floor: the distance to expect of two draws of these sizes from the data's distribution.
        accuracy: share of the data's videos that show it in which the name found is the true one; None if none does.
    """

    generated: dict[str, float]
    real: dict[str, float]
    distance: float | None
    floor: float | None
    accuracy: float | None


@dataclass(frozen=True)
class FactorReport:
    """The known-factor check of one set of videos; `str()` is a table, `dataclasses.asdict` JSON.

    Attributes:
        same_motion: correlation of the heads' motion between two contents with the same motion seed, of a model that
            has motion seeds; 1 if motion does not depend on content.
    """

    frames: int
    seed: int
    generated: FactorRow
    real: FactorRow
    factors: dict[str, FactorMatch]
    same_motion: float | None

    def __str__(self) -> str:
        made, real = self.generated, self.real
        lines = [
            f"Known factors: {made.videos} videos of {self.frames} frames, and {real.videos} of the data "
            f"(seed {self.seed})",
            f"{'':<28}{'videos':>9}{'data':>9}",
            f"{'valid and constant':<28}{made.valid:>9.1%}{real.valid:>9.1%}",
        ]
        lines += [f"{'  ' + name:<28}{made.problems[name]:>9.1%}{real.problems[name]:>9.1%}" for name in PROBLEMS]
        names = {
            "blink_rate": "blinks per second",
            "speed": "speed (sides per second)",
            "reversals": "reversals per second",
            "dependence": "motion due to content",
        }
        for name, label in names.items():
            lines.append(f"{label:<28}{_number(getattr(made, name)):>9}{_number(getattr(real, name)):>9}")
        if self.same_motion is not None:
            lines.append(f"{'same motion, other content':<28}{self.same_motion:>9.3f}")
        lines += ["", f"{'factor':<15}{'distance':>9}{'floor':>8}{'accuracy':>10}   videos (data)"]
        for name, match in self.factors.items():
            shares = ", ".join(f"{k} {match.generated[k]:.0%} ({match.real[k]:.0%})" for k in match.real)
            numbers = f"{_number(match.distance):>9}{_number(match.floor):>8}{_number(match.accuracy):>10}"
            lines.append(f"{name:<15}{numbers}   {shares}")
        return "\n".join(lines)


def check_factors(videos: NDArray[np.uint8] | Sequence[NDArray[np.uint8]], fps: float = FPS) -> FactorRow:
    """Say what is wrong with videos of faces, and how they move, without data to compare with.

    Args:
        videos: uint8 `[N, T, H, W, 3]`, or N videos `[T, H, W, 3]`.
        fps: frames per second.
    """
    return _row([recover(video, fps) for video in videos])


def has_factors(data: DatasetVideos) -> bool:
    """Whether the data set says of every video which face it shows."""
    every = [record.meta.get("factors", {}) for record in data.data.videos]
    names = {field.name for field in fields(Face)}
    return all(
        names <= known.keys() and all(_name(factor, known[factor]) in options for factor, options in FACTORS.items())
        for known in every
    )


def known_factors(
    videos: Videos, data: DatasetVideos, *, clips: int = 256, frames: int = 64, seed: int = 0
) -> FactorReport:
    """Compare what `videos` show with what videos of the data show.

    Args:
        videos: any; of a model, those of seeds 0 to `clips` − 1 from time 0.
        data: with the factors of every video (`has_factors`).
        clips: at most so many of each, one of a video.
        frames: of a clip, consecutive; fewer if a model makes no more.
        seed: of the choice of clips and of the floors.

    Raises:
        StyleganvError: if the data set does not show drawn faces, or a set has no video of so many frames.
    """
    if not has_factors(data):
        raise StyleganvError(
            f"{data.name} does not say which faces its videos show: the known-factor check needs a data set that this "
            f"version's `styleganv demo` or `make_faces` drew."
        )
    if videos.count is None:
        frames = min(frames, videos.length(0) or frames)
    rng = np.random.default_rng(seed)
    chosen = _choose(data, clips, frames, rng)
    real = _recover_all(data, chosen, frames)
    generated = _recover_all(videos, _choose(videos, clips, frames, rng), frames)
    truth = [Face(**_of_face(data.data.videos[index].meta["factors"])) for index, _ in chosen]
    matches = {factor: _match(factor, generated, real, truth, rng) for factor in FACTORS}
    same = same_motion(videos.generator, frames) if isinstance(videos, ModelVideos) else None
    return FactorReport(frames, seed, _row(generated), _row(real), matches, same)


def same_motion(model: VideoModel, frames: int = 64, pairs: int = PAIRS) -> float | None:
    """Mean correlation of the heads' motion (x, y, roll) in two videos of the same motion seed but other contents;
    None if the model has no motion seeds or too few heads."""
    if not model.motion_seeds:
        return None
    found = []
    for pair in range(pairs):
        both = [
            recover(model.sample(seed=2 * pair + i, motion_seed=pair, seconds=frames / model.fps), model.fps).pose
            for i in (0, 1)
        ]
        for name in ("x", "y", "roll"):
            one, other = (getattr(pose, name) for pose in both)
            seen = ~np.isnan(one + other)
            if seen.sum() > 2 and one[seen].std() > 0 and other[seen].std() > 0:
                found.append(float(np.corrcoef(one[seen], other[seen])[0, 1]))
    return float(np.mean(found)) if found else None


def _choose(videos: Videos, clips: int, frames: int, rng: np.random.Generator) -> list[tuple[int, int]]:
    """Video and first frame of each clip."""
    if videos.count is None:
        return [(index, 0) for index in range(clips)]
    chosen = []
    for index in rng.permutation(videos.count):
        length = videos.length(int(index))
        if length is None or length >= frames:
            chosen.append((int(index), 0 if length is None else int(rng.integers(length - frames + 1))))
        if len(chosen) == clips:
            break
    if not chosen:
        raise StyleganvError(f"No video of {videos.name} has {frames} frames: ask for fewer.")
    return sorted(chosen)


def _recover_all(videos: Videos, chosen: list[tuple[int, int]], frames: int) -> list[RecoveredFace]:
    found = []
    for index, start in tqdm(chosen, desc=f"factors of {videos.name}", unit="video"):
        clip = videos.read(index, np.arange(start, start + frames)).transpose(0, 2, 3, 1)
        found.append(recover(clip, videos.fps))
    return found


def _row(found: list[RecoveredFace]) -> FactorRow:
    heads = [video for video in found if video.face is not None]
    means = {name: float(np.mean([getattr(v, name) for v in heads])) if heads else None for name in MOTIONS}
    return FactorRow(
        videos=len(found),
        valid=float(np.mean([video.valid for video in found])),
        problems={name: float(np.mean([name in video.problems for video in found])) for name in PROBLEMS},
        dependence=_dependence([video for video in found if video.valid]),
        **means,
    )


def _dependence(found: list[RecoveredFace]) -> float | None:
    if len(found) < 10:
        return None
    speeds = np.array([video.speed for video in found])
    shares = []
    for factor in FACTORS:
        names = np.array([_name(factor, getattr(video.face, factor)) for video in found])
        groups = np.unique(names)
        within = sum(float(np.square(speeds[names == g] - speeds[names == g].mean()).sum()) for g in groups)
        chance = (len(groups) - 1) / (len(found) - 1)
        total = float(np.square(speeds - speeds.mean()).sum())
        if total > 0 and chance < 1:
            shares.append((1 - within / total - chance) / (1 - chance))
    return float(np.mean(shares)) if shares else None


def _match(
    factor: str, generated: list[RecoveredFace], real: list[RecoveredFace], truth: list[Face], rng: np.random.Generator
) -> FactorMatch:
    options = FACTORS[factor]
    faces = [[video.face for video in found if video.valid and video.face is not None] for found in (generated, real)]
    names = [[_name(factor, getattr(face, factor)) for face in some if _shows(face, factor)] for some in faces]
    counts = np.array([[some.count(option) for option in options] for some in names], np.float64)
    totals = counts.sum(axis=1)
    shares = counts / np.maximum(totals, 1)[:, None]
    distance = floor = None
    if totals.min() > 0:
        distance = float(total_variation(*shares))
        draws = [rng.multinomial(int(total), shares[1], size=2000) / total for total in totals]
        floor = float(total_variation(*draws).mean())
    right = [
        video.face is not None and _same(factor, getattr(video.face, factor), getattr(known, factor))
        for video, known in zip(real, truth, strict=True)
        if _shows(known, factor)
    ]
    of_each: list[dict[str, float]] = [dict(zip(options, map(float, row), strict=True)) for row in shares]
    return FactorMatch(of_each[0], of_each[1], distance, floor, float(np.mean(right)) if right else None)


def _shows(face: Face, factor: str) -> bool:
    return factor not in SHOWN_BY or getattr(face, SHOWN_BY[factor]) != "none"


def _name(factor: str, value: Any) -> str:
    """A hue's name; other values are names."""
    return HUES[round(float(value) * len(HUES)) % len(HUES)] if factor.endswith("hue") else str(value)


def _same(factor: str, found: Any, known: Any) -> bool:
    """Hues are the same within 0.03."""
    return abs((found - known + 0.5) % 1 - 0.5) < 0.03 if factor.endswith("hue") else found == known


def _of_face(factors: dict[str, Any]) -> dict[str, Any]:
    return {field.name: factors[field.name] for field in fields(Face)}


def total_variation(p: NDArray, q: NDArray) -> Any:
    """Between distributions `[..., K]`: half the sum of the absolute differences, 0..1."""
    return np.abs(p - q).sum(axis=-1) / 2


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
