"""`evaluate`: named protocols on real and fake videos, with their floor and their error.

    Videos ──windows (clips)──▶ clips ──detector (features)──▶ statistics ──▶ distances ──▶ Report

Processes under torchrun share the clips; all of them get the report.

Shapes: B clips of T frames, H height, W width. Clips are uint8 `[B, T, 3, H, W]` in 0..255.
"""

import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import styleganv
from styleganv import distributed
from styleganv.errors import StyleganvError
from styleganv.metrics.checks import check_weights, common_classes, common_size, notes
from styleganv.metrics.clips import real_clips, require
from styleganv.metrics.distances import METRICS
from styleganv.metrics.factors import FactorReport, known_factors
from styleganv.metrics.features import Detector, load_detector
from styleganv.metrics.protocols import DEFAULT_PROTOCOL, Protocol, named_protocol
from styleganv.metrics.report import Estimate, Report, Result
from styleganv.metrics.sides import Side
from styleganv.metrics.statistics import Statistics, cache_folder, count_of, pooled
from styleganv.metrics.videos import DatasetVideos, Videos, open_videos
from styleganv.video_model import chosen_device


def evaluate(
    real: Videos | Path | str,
    fake: Videos | Path | str,
    *,
    protocols: Sequence[str | Protocol] = (DEFAULT_PROTOCOL,),
    clips: int | None = None,
    seeds: int = 1,
    per_class: bool = False,
    factors: bool = False,
    resolution: tuple[int, int] | None = None,
    weights: str | Path | None = None,
    sha256: Sequence[str] = (),
    split: str | None = None,
    psi: float = 1.0,
    device: str | None = None,
    cache: Path | str | None = None,
) -> Report:
    """How far fake videos are from real ones, by named protocols.

    Args:
        real, fake: a prepared data set, a model or run, video files, or any `Videos`.
        protocols: names in `styleganv.metrics.protocols.PROTOCOLS`, or protocols.
        clips: instead of the protocols' own number; it changes their names.
        seeds: how many draws of clips (seeds 0, 1, …), for a mean and its standard error.
        per_class: each class that both sides have by itself as well.
        factors: of drawn faces: recover what the videos show as well (`known_factors`).
        resolution: height and width to resize both to, where they differ.
        weights, sha256: see `load_detector`.
        split: a note on which part of the data `real` is; printed.
        psi: truncation of a model.
        device: of detectors and models; the GPU, if there is one, where left out.
        cache: the folder of computed statistics; see `cache_folder`.

    Raises:
        StyleganvError: for anything that cannot be measured as asked; never is another network used instead.
    """
    chosen = [named_protocol(p) if isinstance(p, str) else p for p in protocols]
    if clips is not None:
        chosen = [protocol.with_clips(clips) for protocol in chosen]
    if not chosen or seeds < 1:
        raise StyleganvError(f"There are {len(chosen)} protocols and {seeds} seeds: give at least one of each.")
    check_weights({protocol.detector for protocol in chosen}, weights)
    with distributed.processes():
        place = chosen_device(device)
        detectors = {
            p.detector: load_detector(p.detector, weights=weights, sha256=sha256, device=place) for p in chosen
        }
        real, fake = (open_videos(x, psi=psi, device=device) if isinstance(x, Path | str) else x for x in (real, fake))
        if real.count is None:
            raise StyleganvError(f"{real.name} is a model: give real videos, such as those it learned from.")
        size, folder = common_size(real, fake, resolution), cache_folder(cache)
        classes = [None, *(common_classes(real, fake) if per_class else [])]
        real_side, fake_side = Side.of(real, size, folder), Side.of(fake, size, folder)
        results = [
            _result(protocol, detectors[protocol.detector], real_side, fake_side, class_name, seeds)
            for protocol in chosen
            for class_name in classes
        ]
        known = _known_factors(fake, real, clips) if factors else None
    return Report(
        real=real_side.described(),
        fake=fake_side.described(),
        split=split,
        seeds=tuple(range(seeds)),
        device=str(place),
        software=_software(),
        results=tuple(results),
        known_factors=known,
    )


def _known_factors(fake: Videos, real: Videos, clips: int | None) -> FactorReport:
    if not isinstance(real, DatasetVideos):
        raise StyleganvError(f"{real.name} is no prepared data set: known factors need one that says what it shows.")
    found = known_factors(fake, real, clips=clips or 256) if distributed.rank() == 0 else None
    (report,) = filter(None, distributed.all_gather(found))
    return report


def _result(
    protocol: Protocol, detector: Detector, real: Side, fake: Side, class_name: str | None, seeds: int
) -> Result:
    if protocol.frames < detector.min_frames:
        raise StyleganvError(f"{detector.name} needs clips of {detector.min_frames} frames: give {protocol.name} more.")
    assert real.lengths is not None
    values: list[dict[str, float]] = []
    floors: list[dict[str, float]] = []
    doubts: list[str] = []
    for seed in range(seeds):
        drawn = real_clips(real.lengths, real.members(class_name), protocol, seed)
        made = fake.fake_clips(protocol, class_name, seed)
        require(drawn.windows, real.videos, protocol, class_name)
        require(made, fake.videos, protocol, class_name)
        parts = [real.statistics(part, protocol, detector) for part in drawn.parts]
        whole = pooled(parts) if drawn.halves else parts[0]
        judged = fake.statistics(made, protocol, detector)
        references = (whole, whole) if protocol.metric == "inception_score" else parts
        values.append(_measured(protocol, whole, judged, seed, doubts, "value"))
        floors.append(_measured(protocol, references[0], references[1], seed, doubts, "floor"))
    floor = [len(part) for part in drawn.parts]
    used = {
        "real": len(drawn.windows),
        "fake": len(made),
        "real_against_real": [len(drawn.windows)] if protocol.metric == "inception_score" else floor,
    }
    return Result(
        protocol=protocol.described(),
        class_name=class_name,
        detector=detector.described(),
        clips=used,
        dropped={"real": real.too_short(protocol, class_name), "fake": fake.too_short(protocol, class_name)},
        measures=_estimates(protocol.key, values),
        real_against_real=_estimates(protocol.key, floors),
        warnings=tuple(dict.fromkeys([*doubts, *notes(protocol, detector, real, fake, class_name, used, seeds)])),
    )


def _measured(
    protocol: Protocol, real: Statistics, fake: Statistics, seed: int, doubts: list[str], what: str
) -> dict[str, float]:
    """Nothing, and a note, where there are too few clips."""
    try:
        return METRICS[protocol.metric](real, fake, seed)
    except ValueError as error:
        doubts.append(f"there is no {what}: {error}, and there are {count_of(real)} and {count_of(fake)}")
        return {}


def _estimates(key: str, values: list[dict[str, float]]) -> dict[str, Estimate]:
    """By measure; only those that every seed has."""
    names = [name for name in values[0] if all(name in value for value in values)]
    return {key + name: Estimate(tuple(value[name] for value in values)) for name in names}


def _software() -> dict[str, str]:
    found = {"styleganv": styleganv.__version__, "python": platform.python_version()}
    for name in ("torch", "numpy", "av", "simplejpeg", "pillow"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found
