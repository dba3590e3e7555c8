"""Checks before an evaluation, and warnings about numbers that are unreliable or not comparable."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from styleganv.errors import StyleganvError
from styleganv.media.sources import shorten
from styleganv.metrics.features import WEIGHT_FILES, FeatureExtractor
from styleganv.metrics.protocols import Protocol
from styleganv.metrics.video_set import VideoSet
from styleganv.videos import Videos

#: Formats of `Videos.identity["storage"]` that keep frames as they are: of a model, of datasets, and of images.
LOSSLESS = {"none", "png", ".png", ".bmp", ".tif", ".tiff", ".ppm"}


def result_warnings(
    protocol: Protocol,
    extractor: FeatureExtractor,
    real: VideoSet,
    fake: VideoSet,
    class_name: str | None,
    clips: dict[str, Any],
    num_repeats: int,
) -> Iterator[str]:
    """Yield one warning per doubt about a result; `clips` holds the counts of `Result.clips`."""
    for name, videos in (("real", real), ("generated", fake)):
        num_clips = clips["real" if name == "real" else "fake"]
        if num_clips < protocol.num_clips:
            yield f"{num_clips} {name} clips, but the protocol specifies {protocol.num_clips}"
        if num_short := videos.num_too_short(protocol, class_name):
            yield f"{num_short} {name} videos were skipped because they are shorter than {protocol.span} frames"
    num_features = min(protocol.num_features(clips[name]) for name in ("real", "fake"))
    if protocol.metric == "frechet" and num_features <= extractor.dims:
        yield (
            f"{num_features} features of {extractor.dims} dimensions do not give their covariance full rank, so the "
            "distance is far too large: only compare distances of equal numbers of clips"
        )
    floor = clips["noise_floor"]
    if len(floor) == 2 and floor != [clips["real"], clips["fake"]]:
        yield f"the noise floor compares {floor[0]} with {floor[1]} clips, and fewer clips give larger distances"
    yield from _source_warnings(protocol, extractor, real, fake)
    if num_repeats > 1 and fake.lengths is not None and len(fake.members(class_name)) <= protocol.num_clips:
        yield "every repeat uses all generated videos, so the error only reflects the choice of real clips"
    lacking = [name for name in real.videos.class_names if name not in fake.videos.class_names]
    if protocol.released and fake.lengths is None and fake.videos.class_names and lacking:
        yield f"the model lacks the classes {shorten(lacking)}, so its other classes replace them"
    if protocol.stride > 1:
        yield f"only every {protocol.stride}th frame is used, so fast motion is aliased"


def _source_warnings(protocol: Protocol, extractor: FeatureExtractor, real: VideoSet, fake: VideoSet) -> Iterator[str]:
    if real.videos.identity == fake.videos.identity:
        yield "real and generated videos are the same"
    if real.videos.fps != fake.videos.fps and protocol.num_frames > 1:
        yield (
            f"real videos have {real.videos.fps:g} fps and generated ones {fake.videos.fps:g}, so their clips differ "
            "in duration"
        )
    stored = [_storage(one) for one in (real, fake)]
    if stored[0] != stored[1]:
        yield (
            f"real frames are stored as {stored[0]} but generated ones as {stored[1]}: compression alone causes a "
            "distance" + ("" if real.jpeg_quality else ", which compressing both alike reduces (--store-as jpeg95)")
        )
    if extractor.aliased_above is not None and max(real.size) > extractor.aliased_above:
        yield (
            f"the network downsamples {real.size[1]}x{real.size[0]} frames without antialiasing, as in published "
            "numbers, which favors generated videos with the same aliasing"
        )


def _storage(one: VideoSet) -> str:
    """Return how the frames of a set were compressed last; all lossless formats are one."""
    storage, quality = one.videos.identity["storage"], one.jpeg_quality
    is_lossless = set(str(storage["format"]).split(" and ")) <= LOSSLESS
    name = "lossless" if is_lossless else " ".join(map(str, storage.values()))
    if quality is None:
        return name
    compressed = f"jpeg {quality}"
    return compressed if is_lossless or name == compressed else f"{name} and then {compressed}"


def common_size(real: Videos, fake: Videos, resolution: tuple[int, int] | None) -> tuple[int, int]:
    """Return the height and width to evaluate at. Raises StyleganvError if the sets differ and `resolution` is None."""
    if resolution is not None:
        return resolution
    if (real.height, real.width) != (fake.height, fake.width):
        raise StyleganvError(
            f"Real frames are {real.height}x{real.width} but generated ones {fake.height}x{fake.width} (height x "
            "width): choose a size for both with --resolution."
        )
    return real.height, real.width


def common_classes(real: Videos, fake: Videos) -> list[str]:
    """Return the names of the classes that both sets have."""
    common = [name for name in real.class_names if name in fake.class_names]
    if not common:
        raise StyleganvError(
            f"{real.name} and {fake.name} have no class name in common (vectors are no classes): omit --per-class."
        )
    return common


def check_num_frames(protocols: Sequence[Protocol], extractors: Mapping[str, FeatureExtractor]) -> None:
    """Raise StyleganvError if the clips of a protocol are too short for its feature extractor."""
    for protocol in protocols:
        extractor = extractors[protocol.extractor]
        if protocol.num_frames < extractor.min_frames:
            fitting = "frechet_efficientnet2048_16f or kernel_efficientnet2048_16f"
            if protocol.num_frames == 1:
                fitting = "frechet_efficientnet_frames8192 or patch_swd512_1f"
            raise StyleganvError(
                f"{extractor.name} requires clips of at least {extractor.min_frames} frames, got {protocol.num_frames} "
                f"from {protocol.name}: raise --num-frames, or use {fitting}, which take shorter clips."
            )


def check_weights(extractors: set[str], weights: str | Path | None) -> None:
    """Raise StyleganvError if one file is passed for several networks."""
    names = {WEIGHT_FILES[name] for name in extractors if name in WEIGHT_FILES}
    if weights is not None and len(names) > 1 and ("://" in str(weights) or Path(weights).is_file()):
        raise StyleganvError(f"{weights} is one file, but {', '.join(sorted(names))} are required: pass their folder.")
