"""Files of labels: CSV tables, JSON files, and the `dataset.json` of a source.

Layouts of a `dataset.json`: that of StyleGAN2-ADA, `{"labels": [["a/000000.png", 2], …]}`, or of a prepared dataset.
Text and integers name one class, lists of text several, and lists of numbers are vectors.
"""

import csv
import json
import zipfile
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from styleganv.data.dataset_file import DESCRIPTION, MAX_DESCRIPTION_BYTES
from styleganv.errors import StyleganvError, describe
from styleganv.label_space import Component, LabelSpace
from styleganv.media.files import ZIP_ERRORS, is_hidden, open_archive
from styleganv.validation import check, short_repr

#: Label before it is numbered: the name of a class, the names of several, or a vector.
Value = str | tuple[str, ...] | tuple[float, ...]


class Table(NamedTuple):
    """Rows of the name of a video, or of one of its files, and its label; and the names of the numbers of vectors."""

    rows: Iterable[tuple[str, Value | None]]
    components: tuple[str, ...] = ()


def read_table(path: Path, *, has_header: bool) -> Table:
    """Return the rows of a .csv or .json file.

    Args:
        has_header: whether a first line `name,…` of two columns of a .csv file names them, as no video has that name.

    Raises:
        StyleganvError: if the file cannot be read, or a label is of a wrong type.
    """
    try:
        if path.suffix.lower() == ".json":
            return parse_json(_load_json(path.read_bytes(), path), path)
        with open(path, newline="", encoding="utf-8-sig") as file:
            lines = [[cell.strip() for cell in line] for line in csv.reader(file) if line]
        return _parse_csv(lines, path, has_header=has_header)
    except (OSError, ValueError, csv.Error) as error:
        raise StyleganvError(
            f"Cannot read labels from {path}: write lines of name,label (.csv), for vectors below a line that names "
            "the columns, e.g. name,age,mood; or {name: label} (.json)."
        ) from error


def _parse_csv(lines: list[list[str]], path: Path, *, has_header: bool) -> Table:
    """Return the rows of a table of vectors, whose first line names the columns, or of classes.

    Raises:
        ValueError: if a line has too few or too many cells.
    """
    header: tuple[str, ...] = ("name", "label")
    if lines and lines[0][0] == "name" and (has_header or len(lines[0]) > 2):
        header = tuple(lines[0])
    if header == ("name", "label"):
        pairs = [(name, label) for name, label in lines]
        pairs = pairs[1:] if pairs[:1] == [header] else pairs
        several = any(";" in label for _, label in pairs)
        return Table([(name, _split(label) if several else label or None) for name, label in pairs])
    components = header[1:]
    if len(set(components)) < len(components) or not all(components):
        raise StyleganvError(f"{path} has a column without a name, or two of the same name: name each column.")
    rows: list[tuple[str, Value | None]] = []
    for name, *cells in lines[1:]:
        columns = zip(components, cells, strict=True)
        vector = tuple(_to_number(cell, f"{path}: {column} of {name}") for column, cell in columns if any(cells))
        rows.append((name, vector or None))
    return Table(rows, components)


def _split(cell: str) -> tuple[str, ...]:
    """Return the classes in a cell, e.g. "smile;glasses"."""
    return tuple(name for name in map(str.strip, cell.split(";")) if name)


def _to_number(cell: str, name: str) -> float:
    try:
        number: Any = float(cell)
    except ValueError:
        number = cell
    return check(name, number, Component)


def parse_json(tree: Any, path: Path) -> Table:
    """Return the rows of a JSON file of any layout: those of a `dataset.json`, or {name: label}."""
    tree = check(str(path), tree, dict)
    if "videos" in tree:
        space = LabelSpace.from_dict(f"{path}: ", {**tree, "labels": []})
        return Table(_prepared_rows(tree, space, path), space.names)
    if "labels" not in tree or isinstance(tree["labels"], str | int):
        return Table([(name, _read_value(f"{path}: {name}", label)) for name, label in tree.items()])
    rows: list[tuple[str, Value | None]] = []
    for row in check(f"{path}: labels", tree["labels"], list[list] | None) or []:
        if len(row) != 2:
            raise StyleganvError(f"{path}: labels must be 2 values (name, label), got {short_repr(row)}: correct it.")
        rows.append((check(f"{path}: labels", row[0], str), _read_value(f"{path}: labels", row[1])))
    return Table(rows)


def _read_value(name: str, label: Any) -> Value | None:
    """Return a label in JSON. Raises StyleganvError if it is not text, an integer, or a list of text or of numbers."""
    if isinstance(label, list):
        hint = list[str] if any(isinstance(item, str) for item in label) else list[Component]
        return tuple(item.strip() if isinstance(item, str) else item for item in check(name, label, hint))
    label = check(name, label, str | int | None)
    return None if label is None else str(label)


def _prepared_rows(tree: dict[str, Any], space: LabelSpace, path: Path) -> Iterator[tuple[str, Value | None]]:
    for index, video in enumerate(check(f"{path}: videos", tree["videos"], list[dict])):
        name = check(f"{path}: videos[{index}].name", video.get("name"), str)
        hint = int | None if space.kind == "class" else list[Component] | None
        label = check(f"{path}: videos[{index}].label", video.get("label"), hint)
        if label is None or not space.names:
            yield name, None
            continue
        label = tuple(label) if isinstance(label, list) else label
        if problem := space.problem(label):
            raise StyleganvError(
                f"{path}: the label {short_repr(label)} of {name} {problem}: correct it, or pass --classes none."
            )
        if space.kind == "classes":
            label = tuple(each for k, each in enumerate(space.names) if label[k])
        yield name, space.names[label] if isinstance(label, int) else label


def read_description(source: Path) -> tuple[Path, Any]:
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
