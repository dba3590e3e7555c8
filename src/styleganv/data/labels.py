"""Labels of source videos: from their folders, from a table, or from a `dataset.json` in the source.

A label of None, an empty cell of a table, and a missing entry of a `dataset.json` mean no label; next to several
classes, an empty cell means none of them. Labels are numbered from the whole source, so that all shards agree.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np

from styleganv.data.label_files import Value, parse_json, read_description, read_table
from styleganv.errors import StyleganvError
from styleganv.label_space import Label, LabelSpace
from styleganv.media.sources import VideoSource, natural_key, shorten
from styleganv.validation import FrameRate, check, short_repr

#: Numbers of vectors that are larger than this get a warning.
LARGE = 10


@dataclass
class SourceLabels:
    """What labels and a `dataset.json` state about the videos of a source.

    Attributes:
        space: what the labels mean.
        label_of: label by video name, without the videos that have none; empty without labels.
        fps: frame rate of folders of frames, if the source is a prepared dataset.
        warnings: what the user may want to change, each with its remedy.
    """

    space: LabelSpace = field(default_factory=LabelSpace)
    label_of: dict[str, Label] = field(default_factory=dict)
    fps: float | None = None
    warnings: list[str] = field(default_factory=list)


def read_labels(source: Path, videos: list[VideoSource], classes: str) -> SourceLabels:
    """Return the labels of a source.

    Args:
        classes: "auto" (a `dataset.json`, or else folders), "folders", "none", or a .csv or .json file.

    Raises:
        StyleganvError: if labels are of a wrong type, contradict each other or match no video, or a required one is
            missing.
    """
    path, tree = read_description(source)
    labels, is_known = SourceLabels(), isinstance(tree, dict) and ("videos" in tree or "labels" in tree)
    values: dict[str, Value] = {}
    components: tuple[str, ...] = ()
    if is_known and "videos" in tree:
        labels.fps = check(f"{path}: fps", tree.get("fps"), FrameRate)
    if classes == "auto" and is_known:
        rows, components = parse_json(tree, path)
        values = _match(rows, videos, path, PurePosixPath(path.relative_to(source).parent))
    elif classes == "auto" and tree is not None:
        labels.warnings.append(f"{path} has an unknown layout and was ignored: pass labels with --classes FILE.")
    elif classes not in ("auto", "folders", "none"):
        path = Path(classes)
        values, components = _read_table(path, videos)
    if classes == "folders" or (classes == "auto" and not values):
        values = _folders(videos, required=classes == "folders")
    labels.space, labels.label_of = _number(values, components, path)
    labels.warnings += _warnings(labels, videos)
    return labels


def _warnings(labels: SourceLabels, videos: list[VideoSource]) -> Iterator[str]:
    without = [video.name for video in videos if video.name not in labels.label_of]
    what = "label" if labels.space.kind == "vector" else "class"
    if labels.label_of and without:
        yield (
            f"{len(without)} of {len(videos)} videos have no {what} ({shorten(without)}): label them, or "
            "train with --no-conditional."
        )
    if labels.space.kind == "vector":
        largest = np.abs(list(labels.label_of.values())).max(axis=0)
        if large := [f"{name} ({x:g})" for name, x in zip(labels.space.names, largest, strict=True) if x > LARGE]:
            yield f"some labels are large ({shorten(large)}): scale them to about -1 to 1, as networks expect."


def _number(values: dict[str, Value], components: tuple[str, ...], path: Path) -> tuple[LabelSpace, dict[str, Label]]:
    """Return what the labels by video name mean, and the labels.

    Raises:
        StyleganvError: if classes and vectors, or vectors of several lengths, are mixed, or a name is unusable.
    """
    vectors = {video: value for video, value in values.items() if _is_vector(value)}
    if vectors:
        first, size = next((video, len(value)) for video, value in vectors.items())
        for video, value in values.items():
            if video not in vectors or len(value) != size:
                raise StyleganvError(
                    f"{path} labels {first} with {_shown(values[first])} but {video} with {_shown(value)}: give "
                    "all videos classes, or all equally many numbers."
                )
        names = components or tuple(f"label{k}" for k in range(size))
        return LabelSpace(names, "vector"), {video: tuple(map(float, value)) for video, value in vectors.items()}
    sets = {video: (value,) if isinstance(value, str) else tuple(map(str, value)) for video, value in values.items()}
    names = tuple(sorted({name for value in sets.values() for name in value}, key=natural_key))
    if all(isinstance(value, str) for value in values.values()):
        place = {name: index for index, name in enumerate(names)}
        return LabelSpace(names), {video: place[name] for video, (name,) in sets.items()}
    if invalid := next((name for name in names if not name or {",", ";"} & set(name)), None):
        raise StyleganvError(
            f"{path} has the class {invalid!r}: rename it, as names of several classes have no commas."
        )
    space = LabelSpace(names, "classes")
    return space, {video: tuple(float(name in value) for name in names) for video, value in sets.items()}


def _is_vector(value: Value) -> bool:
    return not isinstance(value, str) and any(not isinstance(item, str) for item in value)


def _folders(videos: list[VideoSource], *, required: bool) -> dict[str, Value]:
    without = [video.name for video in videos if video.class_name is None]
    if required and without:
        raise StyleganvError(f"{without[0]} is not in a class folder: move it into one, or pass --classes none.")
    class_of: dict[str, Value] = {video.name: video.class_name for video in videos if video.class_name is not None}
    # One folder per video is not a class.
    if not required and (without or not 2 <= len(set(class_of.values())) < len(videos)):
        return {}
    return class_of


def _read_table(path: Path, videos: list[VideoSource]) -> tuple[dict[str, Value], tuple[str, ...]]:
    """Return the labels of the videos, and the names of their numbers, from a .csv or .json file for all videos."""
    if path.suffix.lower() not in (".csv", ".json") or not path.is_file():
        raise StyleganvError(f"--classes must be auto, folders, none, or a .csv or .json file, got {path}: correct it.")
    rows, components = read_table(path, has_header="name" not in {video.name for video in videos})
    mentioned: set[str] = set()
    values = _match(rows, videos, path, PurePosixPath(), mentioned)
    for video in videos:
        if video.name not in mentioned:
            raise StyleganvError(f"{path} has no label for the video {video.name!r}: add a line for it.")
    return values, components


def _match(
    rows: Iterable[tuple[str, Value | None]],
    videos: list[VideoSource],
    path: Path,
    folder: PurePosixPath,
    found: set[str] | None = None,
) -> dict[str, Value]:
    """Return the label by video name, and add all videos with a row to `found`; each row must match a video."""
    video_of = {video.name: video.name for video in videos}
    video_of |= {str(PurePosixPath(video.files[0]).parent): video.name for video in videos if not video.is_video_file}
    video_of |= {file: video.name for video in videos for file in video.files}
    values: dict[str, Value | None] = {}
    for name, value in rows:
        key = str(folder / name.strip().replace("\\", "/"))
        video = video_of.get(name.strip()) or video_of.get(key)
        if video is None:
            raise StyleganvError(
                f"{path} has a label for {name!r}, which is not in the source: correct or remove that line."
            )
        if isinstance(value, str):
            value = value.strip()
        if values.setdefault(video, value) != value:
            raise StyleganvError(
                f"{path} labels {video} twice, as {_shown(values[video])} and {_shown(value)}: "
                "remove one of the labels."
            )
    if found is not None:
        found.update(values)
    return {video: value for video, value in values.items() if value is not None}


def _shown(value: Value | None) -> str:
    if value is None:
        return "no class"
    return short_repr(value if isinstance(value, str) else list(value)).strip("'")
