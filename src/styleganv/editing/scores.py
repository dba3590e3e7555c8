"""What a direction can be found from: scores of clips, and labels that a person wrote.

Shapes: T frames, H height, W width.
"""

import csv
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from styleganv.errors import StyleganvError

#: Signs by which `styleganv edit --direction` tells a name from what stands around it.
NAMELESS = ",:;=@"


def _brightness(clip: NDArray[np.uint8]) -> float:
    return float((clip @ np.array([0.2126, 0.7152, 0.0722])).mean())


#: What can be seen without a network, of uint8 clips `[T, H, W, 3]`.
SCORES: dict[str, Callable[[NDArray[np.uint8]], float]] = {
    "brightness": _brightness,
    "contrast": lambda clip: float((clip @ np.array([0.2126, 0.7152, 0.0722])).std(axis=(1, 2)).mean()),
    "saturation": lambda clip: float(np.ptp(clip.astype(np.float64), axis=-1).mean()),
    "red": lambda clip: float((clip[..., 0] - clip.mean(axis=-1)).mean()),
    "green": lambda clip: float((clip[..., 1] - clip.mean(axis=-1)).mean()),
    "blue": lambda clip: float((clip[..., 2] - clip.mean(axis=-1)).mean()),
    "motion": lambda clip: float(np.abs(np.diff(clip.astype(np.float64), axis=0)).mean()),
}


def read_labels(path: Path | str) -> tuple[list[int], dict[str, list[float]]]:
    """Seeds, and a column of scores for each direction that the file's labels show; see `directions.find_directions`.

    Raises:
        StyleganvError: if the file cannot be read, has fewer than three lines of `seed,label`, or a label that is not
            finite or cannot name a direction.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = [[cell.strip() for cell in row] for row in csv.reader(file) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise StyleganvError(
            f"The labels {path} cannot be read ({error}): give a CSV file of seed,label lines."
        ) from error
    if rows and len(rows[0]) == 2 and not rows[0][0].isdecimal():
        rows = rows[1:]  # a heading
    if len(rows) < 3 or any(len(row) != 2 or not row[0].isdecimal() for row in rows):
        raise StyleganvError(f"The labels {path} need three or more lines of seed,label, such as 17,round.")
    seeds, words = [int(row[0]) for row in rows], [row[1] for row in rows]
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        return seeds, _columns(words, path)
    if not all(map(math.isfinite, numbers)):
        raise StyleganvError(f"The labels {path} hold a number that is not finite: leave its line out.")
    return seeds, {"score": numbers}


def _columns(words: list[str], path: Path | str) -> dict[str, list[float]]:
    """1 where a word is the one that a direction leads to, else 0."""
    kinds = sorted(set(words))
    unfit = [kind for kind in kinds if not kind or set(kind) & set(NAMELESS)]
    if unfit:
        raise StyleganvError(f"The label {unfit[0]!r} in {path} cannot name a direction: use letters and digits.")
    wanted = {f"{kinds[0]} to {kinds[1]}": kinds[1]} if len(kinds) == 2 else {kind: kind for kind in kinds}
    return {name: [float(word == kind) for word in words] for name, kind in wanted.items()}
