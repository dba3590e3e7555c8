"""`evaluate`: the distance between real and generated videos by named protocols, with noise floor and error.

    Videos ──windows (clips)──▶ clips ──extractor (features)──▶ statistics ──▶ distances ──▶ Report

Processes under torchrun share the clips; each of them returns the report.

Shapes: B clips of T frames, H height, W width. Clips are uint8 `[B, T, 3, H, W]` in 0..255.
"""

import platform
from collections.abc import Sequence
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import styleganv
from styleganv import distributed
from styleganv.errors import StyleganvError
from styleganv.faces.factor_report import FactorReport, compare_factors
from styleganv.metrics.checks import check_num_frames, check_weights, common_classes, common_size, result_warnings
from styleganv.metrics.clips import require_clips, split_real_clips
from styleganv.metrics.distances import METRICS
from styleganv.metrics.features import FeatureExtractor, load_feature_extractor
from styleganv.metrics.protocols import DEFAULT_PROTOCOL, Protocol, expand_protocols
from styleganv.metrics.report import Estimate, Report, Result
from styleganv.metrics.statistics import Statistics, cache_folder, count_of, pool
from styleganv.metrics.video_set import VideoSet
from styleganv.options import ComputeOptions, EvaluateOptions
from styleganv.progress import Progress
from styleganv.validation import Size, check_arguments
from styleganv.video_model import choose_device
from styleganv.videos import DatasetVideos, Videos, open_videos


@check_arguments
def evaluate(
    real: Videos | Path | str,
    fake: Videos | Path | str,
    *,
    protocols: Sequence[str | Protocol] = (DEFAULT_PROTOCOL,),
    resolution: tuple[Size, Size] | None = None,
    options: EvaluateOptions = EvaluateOptions(),
    compute: ComputeOptions = ComputeOptions(),
    progress: Progress | None = None,
) -> Report:
    """Measure the distance between real and generated videos.

    Args:
        real, fake: prepared dataset, video files, or any `Videos`; `fake` also a model or run. If all protocols have
            clips of one frame, each image of a folder of images counts as a video.
        protocols: protocols, or names in `PROTOCOLS` or `PROTOCOL_SETS` of `styleganv.metrics.protocols`.
        resolution: height and width to resize both to. Default: their own, which must be equal.
        progress: callback, see `styleganv.progress`; called on rank 0 only.

    Raises:
        StyleganvError: for anything that cannot be measured as requested; no other network is used instead.
    """
    chosen = expand_protocols(protocols, num_clips=options.num_clips, num_frames=options.num_frames)
    check_weights({protocol.extractor for protocol in chosen}, options.weights)
    with distributed.processes():
        device = choose_device(compute.device)
        extractors = {
            name: load_feature_extractor(name, weights=options.weights, sha256=options.sha256, device=device)
            for name in dict.fromkeys(protocol.extractor for protocol in chosen)
        }
        check_num_frames(chosen, extractors)
        images = all(protocol.num_frames == 1 for protocol in chosen)
        load = partial(open_videos, device=compute.device, precision=compute.precision, images=images)
        real, fake = (load(x, psi=options.psi) if isinstance(x, Path | str) else x for x in (real, fake))
        if real.count is None:
            raise StyleganvError(f"{real.name} is a model: pass real videos, e.g. its training dataset.")
        size, folder = common_size(real, fake, resolution), cache_folder(options.cache)
        progress = progress if distributed.rank() == 0 else None
        classes = [None, *(common_classes(real, fake) if options.per_class else [])]
        real_set, fake_set = (VideoSet.of(videos, size, folder, progress) for videos in (real, fake))
        released_set = fake_set.with_labels_of(real_set) if any(p.released for p in chosen) else fake_set
        results: list[Result] = []
        for protocol in chosen:
            sets = real_set, released_set if protocol.released else fake_set
            evaluate_class = partial(_evaluate, protocol, extractors[protocol.extractor], *sets, options.num_repeats)
            results += map(evaluate_class, classes)
        factors = _compare_factors(fake, real, options.num_clips, progress) if options.factors else None
    return Report(
        real=real_set.to_dict(),
        fake=fake_set.to_dict(),
        split=options.split,
        seeds=tuple(range(options.num_repeats)),
        device=str(device),
        software=_software_versions(),
        results=tuple(results),
        factors=factors,
    )


def _compare_factors(fake: Videos, real: Videos, num_clips: int | None, progress: Progress | None) -> FactorReport:
    if not isinstance(real, DatasetVideos):
        raise StyleganvError(f"{real.name} is not a prepared dataset, which --factors requires: omit --factors.")
    report = None
    if distributed.rank() == 0:
        report = compare_factors(fake, real, num_clips=num_clips or 256, progress=progress)
    return next(filter(None, distributed.all_gather(report)))


def _evaluate(
    protocol: Protocol,
    extractor: FeatureExtractor,
    real: VideoSet,
    fake: VideoSet,
    num_repeats: int,
    class_name: str | None,
) -> Result:
    assert real.lengths is not None
    values: list[dict[str, float]] = []
    floors: list[dict[str, float]] = []
    warnings: list[str] = []
    for seed in range(num_repeats):
        split = split_real_clips(real.lengths, real.members(class_name), protocol, seed)
        require_clips(split.windows, real.videos, protocol, class_name)
        generated = fake.generated_clips(protocol, class_name, seed)
        require_clips(generated, fake.videos, protocol, class_name)
        parts = [real.statistics(part, protocol, extractor) for part in split.parts]
        real_statistics = pool(parts) if split.halves else parts[0]
        fake_statistics = fake.statistics(generated, protocol, extractor)
        references = (real_statistics, real_statistics) if protocol.metric == "inception_score" else parts
        values.append(_measure(protocol, real_statistics, fake_statistics, seed, warnings, "value"))
        floors.append(_measure(protocol, references[0], references[1], seed, warnings, "noise floor"))
    in_floor = [split.windows] if protocol.metric == "inception_score" else split.parts
    clips = {"real": len(split.windows), "fake": len(generated), "noise_floor": [len(part) for part in in_floor]}
    warnings += result_warnings(protocol, extractor, real, fake, class_name, clips, num_repeats)
    return Result(
        protocol=protocol.to_dict(),
        class_name=class_name,
        extractor=extractor.to_dict(),
        clips=clips,
        skipped={name: one.num_too_short(protocol, class_name) for name, one in (("real", real), ("fake", fake))},
        measures=_estimates(protocol.key, values),
        noise_floor=_estimates(protocol.key, floors),
        warnings=tuple(dict.fromkeys(warnings)),
    )


def _measure(
    protocol: Protocol, real: Statistics, fake: Statistics, seed: int, warnings: list[str], what: str
) -> dict[str, float]:
    """Return the numbers of a protocol; nothing, and add a warning, if there are too few clips."""
    try:
        return METRICS[protocol.metric](real, fake, seed, protocol.released)
    except ValueError as error:
        warnings.append(f"there is no {what}: {error}, got {count_of(real)} and {count_of(fake)}")
        return {}


def _estimates(key: str, values: list[dict[str, float]]) -> dict[str, Estimate]:
    """Return estimates by measure, for those measures that every repeat has."""
    names = [name for name in values[0] if all(name in value for value in values)]
    return {key + name: Estimate(tuple(value[name] for value in values)) for name in names}


def _software_versions() -> dict[str, str]:
    versions = {"styleganv": styleganv.__version__, "python": platform.python_version()}
    for name in ("torch", "numpy", "av", "simplejpeg", "pillow"):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "not installed"
    return versions
