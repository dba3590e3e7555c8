"""Measurements of an evaluation: which clips each protocol draws, their numbers, and the result over all repeats."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from styleganv.metrics.checks import result_warnings
from styleganv.metrics.clips import RealSplit, Window, require_clips, split_real_clips
from styleganv.metrics.distances import METRICS
from styleganv.metrics.features import FeatureExtractor
from styleganv.metrics.protocols import Protocol
from styleganv.metrics.report import Estimate, Result
from styleganv.metrics.requests import Request
from styleganv.metrics.resampling import Sample, deviations
from styleganv.metrics.statistics import Statistics, count_of
from styleganv.metrics.video_set import VideoSet


@dataclass(frozen=True)
class Task:
    """One protocol for all videos, or for those of a class."""

    protocol: Protocol
    extractor: FeatureExtractor
    real: VideoSet
    fake: VideoSet
    class_name: str | None


@dataclass(frozen=True)
class Draw:
    """Real and generated clips of one repeat of a task."""

    task: Task
    seed: int
    split: RealSplit
    generated: list[Window]

    @classmethod
    def of(cls, task: Task, seed: int) -> "Draw":
        """Draw clips. Raises StyleganvError if a set has fewer than two."""
        protocol, real, fake, class_name = task.protocol, task.real, task.fake, task.class_name
        assert real.lengths is not None
        split = split_real_clips(real.lengths, real.members(class_name), protocol, seed)
        require_clips(split.windows, real.videos, protocol, class_name)
        generated = fake.generated_clips(protocol, class_name, seed)
        require_clips(generated, fake.videos, protocol, class_name)
        return cls(task, seed, split, generated)

    def requests(self, *, keep: bool) -> list[tuple[VideoSet, Request]]:
        """Return what must be extracted: both parts of the real clips, then the generated ones."""
        task = self.task
        clips = [(task.real, part) for part in self.split.parts] + [(task.fake, self.generated)]
        return [(videos, Request.of(part, task.protocol, task.extractor, keep=keep)) for videos, part in clips]


@dataclass(frozen=True)
class DrawSamples:
    """Statistics of a draw: of both parts of the real clips, and of the generated clips."""

    parts: tuple[Sample, Sample]
    fake: Sample


def read_samples(draws: Sequence[Draw], *, keep: bool) -> list[DrawSamples]:
    """Return the statistics of all draws, in one pass over the frames of each set of videos.

    `keep` keeps all features, where moments would do.
    """
    wanted = [pair for draw in draws for pair in draw.requests(keep=keep)]
    samples: dict[int, Sample] = {}
    for videos in {id(videos): videos for videos, _ in wanted}.values():
        indices = [i for i, pair in enumerate(wanted) if pair[0] is videos]
        samples |= zip(indices, videos.samples([wanted[i][1] for i in indices]), strict=True)
    return [DrawSamples((samples[i], samples[i + 1]), samples[i + 2]) for i in range(0, len(wanted), 3)]


@dataclass(frozen=True)
class Measured:
    """Numbers of one repeat, and their standard deviations over half samples, by the suffix of their key."""

    draw: Draw
    values: dict[str, float]
    floors: dict[str, float]
    value_deviations: dict[str, float]
    floor_deviations: dict[str, float]
    warnings: tuple[str, ...]


def measure(draw: Draw, samples: DrawSamples, *, num_resamples: int) -> Measured:
    """Return the numbers of a draw; where there are too few clips, none and a warning."""
    protocol, warnings = draw.task.protocol, []
    real = samples.parts[0] + samples.parts[1] if draw.split.halves else samples.parts[0]
    floor = (real, real) if protocol.metric == "inception_score" else samples.parts

    def compute(a: Statistics, b: Statistics) -> dict[str, float]:
        return METRICS[protocol.metric](a, b, draw.seed, protocol.released)

    found = []
    for what, pair in (("value", (real, samples.fake)), ("noise floor", floor)):
        pooled = [sample.pool() for sample in pair]
        try:
            found.append((compute(*pooled), deviations(compute, *pair, count=num_resamples, seed=draw.seed)))
        except ValueError as error:
            found.append(({}, {}))
            warnings.append(f"there is no {what}: {error}, got {' and '.join(str(count_of(x)) for x in pooled)}")
    (values, value_deviations), (floors, floor_deviations) = found
    return Measured(draw, values, floors, value_deviations, floor_deviations, tuple(warnings))


def summarize(task: Task, repeats: Sequence[Measured]) -> Result:
    """Return the result of a task over its repeats."""
    protocol, last = task.protocol, repeats[-1].draw
    in_floor = [last.split.windows] if protocol.metric == "inception_score" else last.split.parts
    clips: dict[str, Any] = {
        "real": len(last.split.windows),
        "fake": len(last.generated),
        "noise_floor": [len(part) for part in in_floor],
    }
    warnings = [warning for repeat in repeats for warning in repeat.warnings]
    warnings += result_warnings(
        protocol, task.extractor, task.real, task.fake, task.class_name, clips, num_repeats=len(repeats)
    )
    skipped = {
        name: one.num_too_short(protocol, task.class_name) for name, one in (("real", task.real), ("fake", task.fake))
    }
    estimates = partial(_estimates, protocol.key)
    return Result(
        protocol=protocol.to_dict(),
        class_name=task.class_name,
        extractor=task.extractor.to_dict(),
        clips=clips,
        skipped=skipped,
        measures=estimates([each.values for each in repeats], [each.value_deviations for each in repeats]),
        noise_floor=estimates([each.floors for each in repeats], [each.floor_deviations for each in repeats]),
        warnings=tuple(dict.fromkeys(warnings)),
    )


def _estimates(key: str, values: list[dict[str, float]], deviations: list[dict[str, float]]) -> dict[str, Estimate]:
    """Return estimates by measure, for those measures that every repeat has."""
    names = [name for name in values[0] if all(name in value for value in values)]
    return {
        key + name: Estimate(
            tuple(value[name] for value in values),
            tuple(deviation[name] for deviation in deviations if name in deviation),
        )
        for name in names
    }
