"""`evaluate`: the distance between real and generated videos by named protocols, with noise floor and error.

    Videos ──windows (clips)──▶ requests ──one pass, extractors (features)──▶ statistics ──▶ distances ──▶ Report

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
from styleganv.files import check_destination
from styleganv.metrics.checks import check_num_frames, check_weights, common_classes, common_size
from styleganv.metrics.feature_file import write_features
from styleganv.metrics.features import load_feature_extractor
from styleganv.metrics.protocols import DEFAULT_PROTOCOL, Protocol, expand_protocols
from styleganv.metrics.report import Report
from styleganv.metrics.statistics import cache_folder
from styleganv.metrics.tasks import Draw, Measured, Task, measure, read_samples, summarize
from styleganv.metrics.video_set import VideoSet
from styleganv.options import ComputeOptions, EvaluateOptions
from styleganv.progress import Progress, track
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
    features: Path | str | None = None,
    overwrite: bool = False,
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
        features: file to write the features of the first repeat to; see `feature_file`.
        overwrite: replace the file `features`.
        progress: callback, see `styleganv.progress`; called on rank 0 only.

    Raises:
        StyleganvError: for anything that cannot be measured as requested; no other network is used instead.
    """
    check_destination(features, overwrite=overwrite)
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
        real_set, fake_set = (
            VideoSet.of(videos, size, folder, jpeg_quality=options.jpeg_quality, progress=progress)
            for videos in (real, fake)
        )
        released_set = fake_set.with_labels_of(real_set) if any(p.released for p in chosen) else fake_set
        tasks = [
            Task(p, extractors[p.extractor], real_set, released_set if p.released else fake_set, class_name)
            for p in chosen
            for class_name in classes
        ]
        measured: list[list[Measured]] = []
        for seed in range(options.num_repeats):
            draws = [Draw.of(task, seed) for task in tasks]
            samples = read_samples(draws, keep=features is not None)
            if features is not None and seed == 0:
                distributed.run_on_first(partial(write_features, features, draws, samples, overwrite=overwrite))
            pairs = track(zip(draws, samples, strict=True), progress, len(draws), "computing distances")
            measured.append([measure(*pair, num_resamples=options.num_resamples) for pair in pairs])
        results = [summarize(task, repeats) for task, repeats in zip(tasks, zip(*measured, strict=True), strict=True)]
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


def _software_versions() -> dict[str, str]:
    versions = {"styleganv": styleganv.__version__, "python": platform.python_version()}
    for name in ("torch", "numpy", "av", "simplejpeg", "pillow"):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "not installed"
    return versions
