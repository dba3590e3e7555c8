"""What a study found: tables in Markdown, and a moving picture of each data set with a row for each entrant."""

import json
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from styleganv.data.dataset import VideoDataset
from styleganv.files import atomic_write
from styleganv.media import sheets, writing
from styleganv.methods.loading import load
from styleganv.motion_report.diagnostics import DIAGNOSTICS
from styleganv.study.cell import Cell, read_cell
from styleganv.study.entrants import all_entrants

#: Of the moving pictures: videos of each entrant, and their frames; shorter videos begin again.
SHOWN, SHOWN_FRAMES = 6, 48
NONE = "–"


@dataclass(frozen=True)
class Found:
    """A cell that is done."""

    folder: Path
    cell: Cell
    training: dict[str, Any]
    measures: dict[str, Any]


def write_comparison(out: Path, *, show_real: bool = True) -> Path:
    """`out/comparison.md` and `out/comparison/`, of all cells that are done; without `show_real`, no real videos."""
    page = out / "comparison.md"
    found = [_read(path.parent) for path in sorted(out.glob("*/*/*/measures.json"))]
    names = list(dict.fromkeys(one.folder.parents[1].name for one in found))
    parts = []
    for name in names:
        here = [one for one in found if one.folder.parents[1].name == name]
        parts += [*_of_data(here, name), _picture(here, name, out, show_real)]
    if found:
        parts += [*_costs([one for one in found if one.folder.parents[1].name == names[0]], names[0]), *_published()]
    with atomic_write(page) as tmp_path:
        tmp_path.write_text("\n\n".join(parts) + "\n")
    return page


def _read(folder: Path) -> Found:
    training, measures = (json.loads((folder / name).read_text()) for name in ("training.json", "measures.json"))
    return Found(folder, read_cell(folder), training, measures)


def _by_entrant(found: Sequence[Found]) -> dict[str, list[Found]]:
    """In the order of `all_entrants()`."""
    return {name: here for name in all_entrants() if (here := [one for one in found if one.cell.entrant == name])}


def _of_data(found: Sequence[Found], name: str) -> list[str]:
    """Heading, what was done, the table of quality and that of motion."""
    first, data = found[0], VideoDataset(found[0].cell.data)
    seeds = sorted({len(here) for here in _by_entrant(found).values()})
    threads = first.training["threads"]
    told = (
        f"{len(data)} videos of {first.measures['width']}×{first.measures['height']} pixels at {data.fps:g} frames a "
        f"second; {first.cell.minutes:g} minutes of training each, with the preset {first.cell.preset} on {threads} "
        f"thread{'s' * (threads > 1)} of {first.training['device']}; {' or '.join(map(str, seeds))} "
        f"seed{'s' * (seeds[-1] > 1)} (± is over seeds)."
    )
    frames = sorted({one.measures["motion_frames"] for one in found})
    note = (
        f"The motion report, over clips of {' or '.join(map(str, frames))} frames (as many as data and model have). "
        "✓: as in the data, or in the range that the report calls good, with every seed; ✗: not."
    )
    return [f"## {name}", told, _table(_quality(found)), note, _table(_motion(found))]


def _quality(found: Sequence[Found]) -> list[list[str]]:
    """A row for each entrant; lower distances are better, and real videos are as far from each other as "real" says."""
    protocols, entrants = list(found[0].measures["quality"]), _by_entrant(found)
    rows = [["", "clips shown", "ms a clip", *protocols]]
    rows.append(["real", NONE, NONE, *(_number([_measured(found[0], p, "floor")]) for p in protocols)])
    for entrant, here in entrants.items():
        rows.append(
            [
                all_entrants()[entrant].title,
                _number([one.training["clips"] for one in here]),
                _number([one.training["milliseconds_a_clip"] for one in here]),
                *(_number([_measured(one, p, "value") for one in here]) for p in protocols),
            ]
        )
    return rows


def _measured(one: Found, protocol: str, what: str) -> float | None:
    value: float | None = one.measures["quality"].get(protocol, {}).get(what)
    return value


def _motion(found: Sequence[Found]) -> list[list[str]]:
    """A row for each number of the motion report, a column for each entrant."""
    entrants = _by_entrant(found)
    rows = [["", "real", *(all_entrants()[entrant].title for entrant in entrants)]]
    for spec in DIAGNOSTICS.values():
        if spec.name not in found[0].measures["motion"]:
            continue
        of_all = {name: [one.measures["motion"][spec.name] for one in here] for name, here in entrants.items()}
        own = found[0].measures["motion"][spec.name]["data"]
        cells = [_number([number["value"] for number in numbers]) + _mark(numbers) for numbers in of_all.values()]
        rows.append([f"{spec.title} ({spec.unit})", _number([own]), *cells])
    right = [sum(row[column].endswith("✓") for row in rows) for column in range(2, len(rows[0]))]
    judged = [sum(row[column][-1:] in "✓✗" for row in rows[1:]) for column in range(2, len(rows[0]))]
    totals = [f"**{good} of {all_}**" for good, all_ in zip(right, judged, strict=True)]
    return [rows[0], ["**✓**", "", *totals], *rows[1:]]


def _mark(numbers: Sequence[dict[str, Any]]) -> str:
    verdicts = [number["fine"] for number in numbers]
    return "" if None in verdicts else " ✓" if all(verdicts) else " ✗"


def _costs(found: Sequence[Found], name: str) -> list[str]:
    """What does not depend on what is learned, as measured on one data set."""
    rows = [["", "parameters", "GiB in training", "frames/s, 16", "128", "1,024 frames", "GiB sampling", "cannot make"]]
    for entrant, here in _by_entrant(found).items():
        speeds = [[one.measures["frames_a_second"][frames] for one in here] for frames in ("16", "128", "1024")]
        rows.append(
            [
                all_entrants()[entrant].title,
                f"{here[0].measures['parameters'] / 1e6:.2f} M",
                _number([one.training["memory_gib"] for one in here]),
                *(_number([x for x in speed if not isinstance(x, str)]) for speed in speeds),
                _number([one.measures["sampling_memory_gib"] for one in here]),
                ", ".join(here[0].measures["cannot"]) or NONE,
            ]
        )
    return [
        "## What they cost, and what they cannot do",
        f"As measured on {name}; parameters are those of what makes videos, memory is of the whole process.",
        _table(rows),
    ]


def _published() -> list[str]:
    rows = [["", "FaceForensics", "SkyTimelapse", "UCF101"]]
    rows += [[one.title, *one.published] for one in all_entrants().values() if one.published]
    return [
        "## As published",
        "FVD over 16 and over 128 frames at 256², of full-size models trained for days: another measure on other data; "
        "only the order can be compared.",
        _table(rows),
    ]


def _number(values: Sequence[float | None]) -> str:
    """The mean over seeds, with its standard error where there are several."""
    known = [value for value in values if value is not None and math.isfinite(value)]
    if not known:
        return NONE
    mean = statistics.fmean(known)
    digits = max(0, 2 - math.floor(math.log10(abs(mean)))) if mean else 0
    text = f"{mean:,.{min(digits, 4)}f}"
    if len(known) > 1:
        error = statistics.stdev(known) / math.sqrt(len(known))
        text += f" ± {error:,.0f}" if error >= 100 else f" ± {error:.2g}"
    return text


def _table(rows: Sequence[Sequence[str]]) -> str:
    head, *body = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([head, "|" + "---|" * len(rows[0]), *body])


def _picture(found: Sequence[Found], name: str, out: Path, show_real: bool) -> str:
    """Real videos, if they may be shown, then those of each entrant's first seed, side by side and in step."""
    data = VideoDataset(found[0].cell.data)
    long_enough = [i for i, video in enumerate(data.videos) if video.num_frames >= min(16, SHOWN_FRAMES)]
    chosen = np.random.default_rng(0).permutation(long_enough)[:SHOWN]
    rows = [("real", [data.read(i, range(min(SHOWN_FRAMES, data.videos[i].num_frames))) for i in chosen])]
    rows = rows if show_real else []
    for entrant, here in _by_entrant(found).items():
        model = load(here[0].folder / "run" / "model")
        frames = min(SHOWN_FRAMES, model.max_frames or SHOWN_FRAMES)
        videos = [model.sample(seed=seed, seconds=frames / model.fps) for seed in range(SHOWN)]
        rows.append((all_entrants()[entrant].title, [video.transpose(0, 3, 1, 2) for video in videos]))
    path = out / "comparison" / f"{name}.webp"
    scale = max(1, 64 // data.height)
    pictures = (
        sheets.labeled_sheet(
            np.stack([[_enlarged(video, t, scale) for video in videos] for _, videos in rows]),
            rows=[title for title, _ in rows],
            columns=[""] * SHOWN,
            note=f"{name} at {t / data.fps:.2f} s",
        )
        for t in range(SHOWN_FRAMES)
    )
    writing.write_video(path, pictures, fps=data.fps, crf=40)
    return f"![Videos of {name}, a row for each model](comparison/{name}.webp)"


def _enlarged(video: NDArray[np.uint8], t: int, scale: int) -> NDArray[np.uint8]:
    """Frame t of `[T, 3, H, W]` as `[H, W, 3]`; after the last one the video begins again."""
    return video[t % len(video)].transpose(1, 2, 0).repeat(scale, axis=0).repeat(scale, axis=1)
