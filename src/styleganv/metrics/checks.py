"""What stops an evaluation before it begins, and what makes its numbers doubtful or not comparable."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from styleganv.errors import StyleganvError
from styleganv.metrics.features import WEIGHT_FILES, Detector
from styleganv.metrics.protocols import Protocol
from styleganv.metrics.sides import Side
from styleganv.metrics.videos import Videos


def notes(
    protocol: Protocol,
    detector: Detector,
    real: Side,
    fake: Side,
    class_name: str | None,
    used: dict[str, Any],
    seeds: int,
) -> Iterator[str]:
    """One sentence for each doubt; `used` counts clips as `Result.clips` does."""
    for name, side in (("real", real), ("fake", fake)):
        if used[name] < protocol.clips:
            yield f"{used[name]} {name} clips where the protocol wants {protocol.clips}"
        if dropped := side.too_short(protocol, class_name):
            yield f"{dropped} {name} videos were left out, being shorter than {protocol.span} frames"
    items = {protocol.items(used[name]) for name in ("real", "fake")}
    if protocol.metric == "frechet" and min(items) <= detector.dims:
        yield (
            f"{min(items)} features of {detector.dims} numbers leave their covariance without full rank, which makes "
            "the distance far too large: compare it only with distances of as many clips"
        )
    floor = used["real_against_real"]
    if len(floor) == 2 and floor != [used["real"], used["fake"]]:
        yield f"the floor compares {floor[0]} with {floor[1]} clips, and distances of fewer clips are larger"
    yield from _about_collections(detector, real, fake)
    if seeds > 1 and fake.lengths is not None and len(fake.members(class_name)) <= protocol.clips:
        yield "every seed takes all of the fake videos, so the error is that of drawing real clips alone"
    if protocol.stride > 1:
        yield f"frames {protocol.stride} apart are taken as they are, so quick motion is aliased in time"


def _about_collections(detector: Detector, real: Side, fake: Side) -> Iterator[str]:
    if real.videos.identity == fake.videos.identity:
        yield "real and fake are the same videos"
    if real.videos.fps != fake.videos.fps:
        yield f"real videos have {real.videos.fps:g} fps and fake ones {fake.videos.fps:g}: clips last unequally long"
    stored = [side.videos.identity["storage"] for side in (real, fake)]
    if stored[0] != stored[1]:
        shown = "), fake ones otherwise (".join(" ".join(map(str, storage.values())) for storage in stored)
        yield f"real frames are stored in one way ({shown}): compression alone makes a distance"
    if detector.coarse is not None and max(real.size) > detector.coarse:
        yield (
            f"the network shrinks {real.size[1]}x{real.size[0]} frames without antialiasing, which published numbers "
            "share and which favours fakes with the same aliasing"
        )


def common_size(real: Videos, fake: Videos, resolution: tuple[int, int] | None) -> tuple[int, int]:
    """Height and width that both sides are judged at."""
    if resolution is not None:
        if min(resolution) < 1:
            raise StyleganvError(f"Frames cannot be resized to {resolution[0]}x{resolution[1]}: choose 1 or more.")
        return resolution
    if (real.height, real.width) != (fake.height, fake.width):
        raise StyleganvError(
            f"Real frames are {real.height}x{real.width} and fake ones {fake.height}x{fake.width} (height x width): "
            "name a size for both with --resolution."
        )
    return real.height, real.width


def common_classes(real: Videos, fake: Videos) -> list[str]:
    """Names of the classes to be judged by themselves."""
    common = [name for name in real.class_names if name in fake.class_names]
    if not common:
        raise StyleganvError(f"{real.name} and {fake.name} share no classes by name: leave out --per-class.")
    return common


def check_weights(detectors: set[str], weights: str | Path | None) -> None:
    """One file cannot be two networks."""
    files = {WEIGHT_FILES[name] for name in detectors if name in WEIGHT_FILES}
    if weights is not None and len(files) > 1 and ("://" in str(weights) or Path(weights).is_file()):
        raise StyleganvError(f"{weights} is one file where {', '.join(sorted(files))} are needed: give their folder.")
