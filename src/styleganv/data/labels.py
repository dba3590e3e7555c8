"""Class labels of source videos: from their folders, from a table, or from a `dataset.json` in the source.

Layouts of a `dataset.json`: that of StyleGAN2-ADA, `{"labels": [["a/000000.png", 2], …]}`, or of a prepared dataset.
A label of None, an empty cell of a table, and a missing entry of a `dataset.json` mean no class.
"""

import csv
import json
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

from styleganv.data.dataset_file import DESCRIPTION, MAX_DESCRIPTION_BYTES
from styleganv.errors import StyleganvError, describe
from styleganv.media.files import ZIP_ERRORS, is_hidden, open_archive
from styleganv.media.sources import VideoSource, shorten
from styleganv.validation import FrameRate, check, short_repr

#: Name of a video or of one of its files, and its label.
Row = tuple[str, str | int | None]


@dataclass
class SourceLabels:
    """What labels and a `dataset.json` state about the videos of a source.

    Attributes:
        class_of: class by video name, without the videos that have none; empty without classes.
        fps: frame rate of folders of frames, if the source is a prepared dataset.
        warnings: what the user may want to change, each with its remedy.
    """

    class_of: dict[str, str]
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
    path, tree = _read_description(source)
    labels, is_known = SourceLabels({}), isinstance(tree, dict) and ("videos" in tree or "labels" in tree)
    if is_known and "videos" in tree:
        labels.fps = check(f"{path}: fps", tree.get("fps"), FrameRate)
    if classes == "auto" and is_known:
        labels.class_of = _match(_parse_json(tree, path), videos, path, PurePosixPath(path.relative_to(source).parent))
    elif classes == "auto" and tree is not None:
        labels.warnings.append(f"{path} has an unknown layout and was ignored: pass labels with --classes FILE.")
    elif classes not in ("auto", "folders", "none"):
        labels.class_of = _read_table(Path(classes), videos)
    if classes == "folders" or (classes == "auto" and not labels.class_of):
        labels.class_of = _folders(videos, required=classes == "folders")
    without = [video.name for video in videos if video.name not in labels.class_of]
    if labels.class_of and without:
        labels.warnings.append(
            f"{len(without)} of {len(videos)} videos have no class ({shorten(without)}): label them, or "
            "train with --no-conditional."
        )
    return labels


def _folders(videos: list[VideoSource], *, required: bool) -> dict[str, str]:
    without = [video.name for video in videos if video.class_name is None]
    if required and without:
        raise StyleganvError(f"{without[0]} is not in a class folder: move it into one, or pass --classes none.")
    class_of = {video.name: video.class_name for video in videos if video.class_name is not None}
    # One folder per video is not a class.
    if not required and (without or not 2 <= len(set(class_of.values())) < len(videos)):
        return {}
    return class_of


def _read_table(path: Path, videos: list[VideoSource]) -> dict[str, str]:
    """Return the class of each video from a .csv or .json file, which must mention all videos."""
    if path.suffix.lower() not in (".csv", ".json") or not path.is_file():
        raise StyleganvError(f"--classes must be auto, folders, none, or a .csv or .json file, got {path}: correct it.")
    is_json = path.suffix.lower() == ".json"
    try:
        if is_json:
            rows = _parse_json(_load_json(path.read_bytes(), path), path)
        else:
            with open(path, newline="", encoding="utf-8-sig") as file:
                rows = [(name, label.strip() or None) for name, label in filter(None, csv.reader(file))]
            rows = rows[1:] if rows and rows[0] == ("name", "label") else rows
    except (OSError, ValueError, csv.Error) as error:
        raise StyleganvError(
            f"Cannot read labels from {path}: write lines of name,label (.csv) or {{name: label}} (.json)."
        ) from error
    mentioned: set[str] = set()
    class_of = _match(rows, videos, path, PurePosixPath(), mentioned)
    for video in videos:
        if video.name not in mentioned:
            raise StyleganvError(f"{path} has no label for the video {video.name!r}: add a line for it.")
    return class_of


def _read_description(source: Path) -> tuple[Path, Any]:
    """Return the path and contents of the `dataset.json` at the top of a source, or in its only folder; else None."""
    if source.is_dir():
        first_two = list(islice((path for path in source.iterdir() if not is_hidden(path.name)), 2))
        file = (first_two[0] if len(first_two) == 1 and first_two[0].is_dir() else source) / DESCRIPTION
        if not file.is_file():
            return source, None
        if file.stat().st_size > MAX_DESCRIPTION_BYTES:
            raise _too_large(file)
        return file, _load_json(file.read_bytes(), file)
    if not zipfile.is_zipfile(source):
        return source, None
    try:
        archive = open_archive(source)
        paths = {name: PurePosixPath(name) for name in archive.entries if not is_hidden(name)}
        tops = {path.parts[0] for path in paths.values() if path.parts}
        allowed = {PurePosixPath(DESCRIPTION), *(PurePosixPath(top, DESCRIPTION) for top in tops if len(tops) == 1)}
        name = next((name for name, path in paths.items() if path in allowed), None)
        if name is None:
            return source, None
        if archive.entries[name].file_size > MAX_DESCRIPTION_BYTES:
            raise _too_large(source / name)
        return source / paths[name], _load_json(archive.file.read(archive.entries[name]), source / name)
    except (OSError, *ZIP_ERRORS) as error:
        raise StyleganvError(
            f"Cannot read {DESCRIPTION} in {source} ({describe(error)}): repair or remove it."
        ) from error


def _too_large(path: Path) -> StyleganvError:
    return StyleganvError(f"{path} is larger than {MAX_DESCRIPTION_BYTES >> 20} MiB: repair or remove it.")


def _load_json(content: bytes, path: Path) -> Any:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        tree: dict[str, Any] = {}
        for key, value in pairs:
            if key in tree and tree[key] != value:
                raise StyleganvError(
                    f"{path} has two values for {key!r}, {short_repr(tree[key])} and {short_repr(value)}: remove one."
                )
            tree[key] = value
        return tree

    try:
        return json.loads(content.decode("utf-8-sig"), object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        raise StyleganvError(f"Cannot read {path} as JSON ({describe(error)}): repair or remove it.") from error


def _parse_json(tree: Any, path: Path) -> list[Row]:
    """Return the rows of a JSON file of any layout: those of a `dataset.json`, or {name: label}."""
    tree = check(str(path), tree, dict)
    if "videos" in tree:
        return list(_prepared_rows(tree, path))
    if "labels" in tree and not isinstance(tree["labels"], str | int):
        return check(f"{path}: labels", tree["labels"], list[tuple[str, str | int | None]] | None) or []
    return [(name, check(f"{path}: {name}", label, str | int | None)) for name, label in tree.items()]


def _prepared_rows(tree: dict[str, Any], path: Path) -> Iterator[Row]:
    names = check(f"{path}: class_names", tree.get("class_names"), list[str])
    for index, video in enumerate(check(f"{path}: videos", tree["videos"], list[dict])):
        name = check(f"{path}: videos[{index}].name", video.get("name"), str)
        label = check(f"{path}: videos[{index}].label", video.get("label"), int | None)
        if label is not None and names and not 0 <= label < len(names):
            raise StyleganvError(
                f"{path}: the label {label} of {name} is none of the {len(names)} classes: correct it, or pass "
                "--classes none."
            )
        yield name, None if label is None or not names else names[label]


def _match(
    rows: Iterable[Row], videos: list[VideoSource], path: Path, folder: PurePosixPath, found: set[str] | None = None
) -> dict[str, str]:
    """Return the class by video name, and add all videos with a row to `found`; each row must match a video."""
    video_of = {video.name: video.name for video in videos}
    video_of |= {str(PurePosixPath(video.files[0]).parent): video.name for video in videos if not video.is_video_file}
    video_of |= {file: video.name for video in videos for file in video.files}
    classes: dict[str, str | None] = {}
    for name, label in rows:
        key = str(folder / name.strip().replace("\\", "/"))
        video = video_of.get(name.strip()) or video_of.get(key)
        if video is None:
            raise StyleganvError(
                f"{path} has a label for {name!r}, which is not in the source: correct or remove that line."
            )
        class_name = None if label is None else str(label).strip()
        if classes.setdefault(video, class_name) != class_name:
            raise StyleganvError(
                f"{path} labels {video} twice, as {_shown(classes[video])} and {_shown(class_name)}: "
                "remove one of the labels."
            )
    if found is not None:
        found.update(classes)
    return {video: class_name for video, class_name in classes.items() if class_name is not None}


def _shown(class_name: str | None) -> str:
    return "no class" if class_name is None else short_repr(class_name).strip("'")
