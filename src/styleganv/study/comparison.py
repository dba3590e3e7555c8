"""Results of a study: tables in Markdown, and an animation of each dataset with one row per method."""

import logging
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
from styleganv.methods import METHODS
from styleganv.methods.loading import load
from styleganv.motion_report.diagnostics import DIAGNOSTICS
from styleganv.study.trial import DONE, Trial, read_json, read_trial, variant_title, variants

#: Size of the animations; shorter videos repeat.
NUM_SHOWN, SHOWN_FRAMES = 6, 48
NONE = "–"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrialResult:
    """A completed trial."""

    folder: Path
    trial: Trial
    training: dict[str, Any]
    measures: dict[str, Any]

    @property
    def dataset(self) -> str:
        return self.folder.parents[1].name


def write_comparison(out: Path, *, show_real: bool = True) -> Path:
    """Write `out/comparison.md` and `out/comparison/` from all completed trials; `show_real` includes real videos."""
    page = out / "comparison.md"
    results = [_read(path.parent) for path in sorted(out.glob("*/*/*/measures.json"))]
    parts = []
    if missing := sorted({result.trial.method for result in results} - variants().keys()):
        parts.append(f"Omitted because these methods are not installed: {', '.join(missing)}.")
        logger.warning("%s Install their packages and rerun the study.", parts[0])
    results = [result for result in results if result.trial.method not in missing]
    names = list(dict.fromkeys(result.dataset for result in results))
    for name in names:
        selected = [result for result in results if result.dataset == name]
        parts += [*_dataset_section(selected, name), _animation(selected, name, out, show_real)]
    if results:
        parts += [*_costs([result for result in results if result.dataset == names[0]], names[0]), *_published()]
    with atomic_write(page, overwrite=True) as tmp_path:
        tmp_path.write_text("\n\n".join(parts) + "\n")
    return page


def _read(folder: Path) -> TrialResult:
    return TrialResult(folder, read_trial(folder), *(read_json(folder / name) for name in DONE.values()))


def _by_method(results: Sequence[TrialResult]) -> dict[str, list[TrialResult]]:
    """Group the results by method, in the order of `variants()`."""
    groups = {name: [result for result in results if result.trial.method == name] for name in variants()}
    return {name: group for name, group in groups.items() if group}


def _dataset_section(results: Sequence[TrialResult], name: str) -> list[str]:
    """Return the heading, the conditions, the table of quality and that of motion."""
    first, data = results[0], VideoDataset(results[0].trial.data)
    repeats = sorted({len(group) for group in _by_method(results).values()})
    threads = first.training["threads"]
    conditions = (
        f"{len(data)} videos of {first.measures['width']}×{first.measures['height']} pixels at {data.fps:g} frames per "
        f"second; {first.trial.minutes:g} minutes of training each, with the preset {first.trial.preset} on {threads} "
        f"thread{'s' * (threads > 1)} of {first.training['device']}; {' or '.join(map(str, repeats))} "
        f"seed{'s' * (repeats[-1] > 1)} (± is the standard error over seeds)."
    )
    frames = sorted({result.measures["motion_frames"] for result in results})
    note = (
        f"Motion report on clips of {' or '.join(map(str, frames))} frames (as many as dataset and method have). "
        "✓ = for every seed, as in the dataset or in the expected range; ✗ = not."
    )
    return [f"## {name}", conditions, _table(_quality(results)), note, _table(_motion(results))]


def _quality(results: Sequence[TrialResult]) -> list[list[str]]:
    """Return one row per method; lower distances are better, and the row "real" is the noise floor."""
    floors = results[0].measures["quality"]
    rows = [["", "clips seen", "ms per clip", *floors]]
    rows.append(["real", NONE, NONE, *(_number([floor.get("floor")]) for floor in floors.values())])
    for method, group in _by_method(results).items():
        costs = [_number([result.training[name] for result in group]) for name in ("clips_seen", "ms_per_clip")]
        quality = [result.measures["quality"] for result in group]
        distances = [_number([each.get(name, {}).get("value") for each in quality]) for name in floors]
        rows.append([variant_title(method), *costs, *distances])
    return rows


def _motion(results: Sequence[TrialResult]) -> list[list[str]]:
    """Return one row per diagnostic of the motion report and one column per method."""
    groups = _by_method(results)
    rows = [["", "real", *map(variant_title, groups)]]
    for spec in DIAGNOSTICS.values():
        if spec.name not in results[0].measures["motion"]:
            continue
        columns = [[result.measures["motion"][spec.name] for result in group] for group in groups.values()]
        cells = [_number([number["value"] for number in numbers]) + _mark(numbers) for numbers in columns]
        real = results[0].measures["motion"][spec.name]["data"]
        rows.append([f"{spec.title} ({spec.unit})", _number([real]), *cells])
    totals = []
    for marks in zip(*(row[2:] for row in rows[1:]), strict=True):
        good, bad = (sum(cell.endswith(mark) for cell in marks) for mark in "✓✗")
        totals.append(f"**{good} of {good + bad}**")
    return [rows[0], ["**✓**", "", *totals], *rows[1:]]


def _mark(numbers: Sequence[dict[str, Any]]) -> str:
    verdicts = [number["fine"] for number in numbers]
    return "" if None in verdicts else " ✓" if all(verdicts) else " ✗"


def _costs(results: Sequence[TrialResult], name: str) -> list[str]:
    """Return the table of costs, which hardly depend on the dataset."""
    rows = [["", "parameters", "GiB in training", "frames/s, 16", "128", "1,024 frames", "GiB sampling", "unsupported"]]
    for method, group in _by_method(results).items():
        measures = [result.measures for result in group]
        parameters = f"{measures[0]['parameters'] / 1e6:.2f} M"
        memory = _number([result.training["memory_gib"] for result in group])
        speeds = [[each["frames_per_second"][frames] for each in measures] for frames in ("16", "128", "1024")]
        numbers = [_number([x for x in speed if not isinstance(x, str)]) for speed in speeds]
        sampling_memory = _number([each["sampling_memory_gib"] for each in measures])
        unsupported = ", ".join(measures[0]["unsupported"]) or NONE
        rows.append([variant_title(method), parameters, memory, *numbers, sampling_memory, unsupported])
    return [
        "## Costs and limits",
        f"Measured on {name}. Parameters are those needed for sampling; memory is that of the entire process.",
        _table(rows),
    ]


def _published() -> list[str]:
    rows = [["", "FaceForensics", "SkyTimelapse", "UCF101"]]
    rows += [[method.title, *method.published] for method in METHODS.values() if method.published]
    return [
        "## As published",
        "The table shows FVD over 16 and 128 frames at 256², for full-size models trained for days. The measure and "
        "the datasets differ from those above, so only compare the order.",
        _table(rows),
    ]


def _number(values: Sequence[float | None]) -> str:
    """Format the mean over seeds, with its standard error for two or more."""
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


def _animation(results: Sequence[TrialResult], name: str, out: Path, show_real: bool) -> str:
    """Write synchronized videos of each method's first seed, one row per method, below real ones if `show_real`."""
    data = VideoDataset(results[0].trial.data)
    rows: list[tuple[str, list[NDArray[np.uint8]]]] = []
    if show_real:
        long_enough = [i for i, video in enumerate(data.videos) if video.num_frames >= 16]
        indices = np.random.default_rng(0).permutation(long_enough)[:NUM_SHOWN]
        rows.append(("real", [data.read(i, range(min(SHOWN_FRAMES, data.videos[i].num_frames))) for i in indices]))
    for method, group in _by_method(results).items():
        model = load(group[0].folder / "run" / "model")
        frames = min(SHOWN_FRAMES, model.max_frames or SHOWN_FRAMES)
        videos = [model.sample(seed=seed, seconds=frames / model.fps) for seed in range(NUM_SHOWN)]
        rows.append((variant_title(method), [video.transpose(0, 3, 1, 2) for video in videos]))
    scale = max(1, 64 // data.height)
    images = (
        sheets.labeled_sheet(
            np.stack([[_enlarge(video, t, scale) for video in videos] for _, videos in rows]),
            rows=[title for title, _ in rows],
            columns=[""] * NUM_SHOWN,
            note=f"{name} at {t / data.fps:.2f} s",
        )
        for t in range(SHOWN_FRAMES)
    )
    writing.write_video(out / "comparison" / f"{name}.webp", images, fps=data.fps, crf=40, overwrite=True)
    return f"![Videos of {name}, one row per method](comparison/{name}.webp)"


def _enlarge(video: NDArray[np.uint8], t: int, scale: int) -> NDArray[np.uint8]:
    """Return frame t of `[T, 3, H, W]`, which repeats, as an enlarged `[H, W, 3]`."""
    return video[t % len(video)].transpose(1, 2, 0).repeat(scale, axis=0).repeat(scale, axis=1)
