"""Scores of clips and annotations by the user, from which directions are found.

Shapes: T frames, H height, W width.
"""

import csv
import math
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from styleganv.errors import StyleganvError, describe
from styleganv.validation import Seed, check

#: Characters of the syntax of `styleganv edit --direction`, which the name of a direction cannot contain.
RESERVED_CHARACTERS = ",:;=@"


def _luma(clip: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the brightness of each pixel `[T, H, W]` (BT.709)."""
    return clip @ np.array([0.2126, 0.7152, 0.0722])


#: Scores of uint8 clips `[T, H, W, 3]` that need no network.
SCORES: dict[str, Callable[[NDArray[np.uint8]], float]] = {
    "brightness": lambda clip: float(_luma(clip).mean()),
    "contrast": lambda clip: float(_luma(clip).std(axis=(1, 2)).mean()),
    "saturation": lambda clip: float(np.ptp(clip.astype(np.float64), axis=-1).mean()),
    "red": lambda clip: float((clip[..., 0] - clip.mean(axis=-1)).mean()),
    "green": lambda clip: float((clip[..., 1] - clip.mean(axis=-1)).mean()),
    "blue": lambda clip: float((clip[..., 2] - clip.mean(axis=-1)).mean()),
    "motion": lambda clip: float(np.abs(np.diff(clip.astype(np.float64), axis=0)).mean()),
}


def load_annotations(path: Path | str) -> tuple[list[int], dict[str, list[float]]]:
    """Return the seeds, and one column of scores per direction that the labels define.

    Numbers define one direction; two names one from the first to the second in alphabetical order; more names one each.

    Raises:
        StyleganvError: if the file cannot be read, has fewer than three lines of `seed,label`, or a label that is not
            finite or contains a reserved character.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = [[cell.strip() for cell in row] for row in csv.reader(file) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise StyleganvError(
            f"Cannot read annotations {path} ({describe(error)}): pass a CSV file of seed,label lines."
        ) from error
    if rows and len(rows[0]) == 2 and not rows[0][0].isdecimal():
        rows = rows[1:]  # a heading
    if len(rows) < 3 or any(len(row) != 2 or not re.fullmatch("[0-9]{1,40}", row[0]) for row in rows):
        raise StyleganvError(f"Annotations {path} must have at least 3 lines of seed,label: add lines, e.g. 17,round.")
    seeds, labels = [check(f"{path}: seed", int(row[0]), Seed) for row in rows], [row[1] for row in rows]
    try:
        numbers = [float(label) for label in labels]
    except ValueError:
        return seeds, _name_columns(labels, path)
    if not all(map(math.isfinite, numbers)):
        raise StyleganvError(f"Annotations {path} contain a number that is not finite: remove its line.")
    return seeds, {"score": numbers}


def _name_columns(labels: list[str], path: Path | str) -> dict[str, list[float]]:
    """Return a column per direction: 1 for the name that it leads to, 0 for others."""
    names = sorted(set(labels))
    invalid = [name for name in names if not name or set(name) & set(RESERVED_CHARACTERS)]
    if invalid:
        raise StyleganvError(f"Label {invalid[0]!r} in {path} cannot name a direction: use letters and digits.")
    targets = {f"{names[0]} to {names[1]}": names[1]} if len(names) == 2 else {name: name for name in names}
    return {title: [float(label == target) for label in labels] for title, target in targets.items()}
