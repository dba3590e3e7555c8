"""Results of a study: tables, and an animation of each dataset with one row per method."""

import logging
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
from styleganv.study.sizes import MEASURING_TIME
from styleganv.study.tables import NONE, REAL, Cell, Table, format_number, to_csv, to_latex, to_markdown
from styleganv.study.trial import DONE, Trial, read_json, read_trial, variant_title, variants

#: Size of the animations; shorter videos repeat.
NUM_SHOWN, SHOWN_FRAMES = 6, 48
#: Files with the tables.
PAGES = ("comparison.md", "comparison.csv", "comparison.tex")
#: Lengths of timed videos, and the columns of their speeds.
SPEEDS = {"16": "frames/s, 16 frames", "128": "frames/s, 128", "1024": "frames/s, 1,024"}
PUBLISHED_DATASETS = ("FaceForensics", "SkyTimelapse", "UCF101")
#: Beginnings of the protocols that are no distances.
HIGHER_IS_BETTER = ("is_", "precision_recall")

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
    """Write `PAGES` and `out/comparison/` from all completed trials; `show_real` includes real videos.

    The tables are the same in Markdown, CSV and LaTeX.
    """
    results = [_read(path.parent) for path in sorted(out.glob("*/*/*/measures.json"))]
    parts: list[str | Table] = []
    if missing := sorted({result.trial.method for result in results} - variants().keys()):
        omitted = f"Omitted because these methods are not installed: {', '.join(missing)}."
        parts.append(omitted)
        logger.warning("%s Install their packages and rerun the study.", omitted)
    results = [result for result in results if result.trial.method not in missing]
    names = list(dict.fromkeys(result.dataset for result in results))
    for name in names:
        selected = [result for result in results if result.dataset == name]
        parts += [*_dataset_section(selected, name), _animation(selected, name, out, show_real)]
    if results:
        parts += [*_costs([result for result in results if result.dataset == names[0]], names[0]), *_published()]
    tables = [part for part in parts if isinstance(part, Table)]
    markdown = "\n\n".join(to_markdown(part) if isinstance(part, Table) else part for part in parts) + "\n"
    for name, text in zip(PAGES, (markdown, to_csv(tables), to_latex(tables)), strict=True):
        with atomic_write(out / name, overwrite=True) as tmp_path:
            tmp_path.write_text(text, encoding="utf-8")
    return out / PAGES[0]


def _read(folder: Path) -> TrialResult:
    return TrialResult(folder, read_trial(folder), *(read_json(folder / name) for name in DONE.values()))


def _by_method(results: Sequence[TrialResult]) -> dict[str, list[TrialResult]]:
    """Group the results by method, in the order of `variants()`."""
    groups = {name: [result for result in results if result.trial.method == name] for name in variants()}
    return {name: group for name, group in groups.items() if group}


def _dataset_section(results: Sequence[TrialResult], name: str) -> list[str | Table]:
    """Return the heading, the conditions, the table of quality and that of motion."""
    first, data = results[0], VideoDataset(results[0].trial.data)
    repeats = sorted({len(group) for group in _by_method(results).values()})
    threads = first.training["threads"]
    conditions = (
        f"{len(data)} videos of {first.measures['width']}×{first.measures['height']} pixels at {data.fps:g} frames per "
        f"second; {first.trial.length}, with the preset {first.trial.preset} on {threads} "
        f"thread{'s' * (threads > 1)} of {first.training['device']}; {' or '.join(map(str, repeats))} "
        f"seed{'s' * (repeats[-1] > 1)} (± is the standard error over seeds).{_missed(results)}"
    )
    frames = sorted({result.measures["motion_frames"] for result in results})
    videos = sorted({result.trial.motion_videos for result in results})
    note = (
        f"Motion report on {_alternatives(videos)} clips of {_alternatives(frames)} frames (as many as dataset and "
        "method have). ✓ = for every seed, as in the dataset or in the expected range; ✗ = not."
    )
    return [f"## {name}", conditions, _quality(results, name), _measuring(results), note, _motion(results, name)]


def _alternatives(numbers: Sequence[int]) -> str:
    return " or ".join(map(str, numbers))


def _missed(results: Sequence[TrialResult]) -> str:
    """Return a sentence on trials that ended at the maximum time instead of their clips or distance."""
    ended = {name: [r.training.get("stopped_by") for r in group] for name, group in _by_method(results).items()}
    trial = results[0].trial
    missed = [variant_title(name) for name, by in ended.items() if "minutes" in by]
    if (trial.clips is None and trial.distance is None) or not missed:
        return ""
    return f" Not all of these reached it: {', '.join(missed)}."


def _measuring(results: Sequence[TrialResult]) -> str:
    """Return the share of the training time that measuring took, and why it is above the limit, if it is."""
    shares = {name: _shares(group) for name, group in _by_method(results).items()}
    known = [share for group in shares.values() for share in group]
    if not known:
        return "The time of measuring was not recorded."
    trial, limit = results[0].trial, 100 * MEASURING_TIME
    text = (
        f"Measuring ({trial.num_clips} clips of {trial.num_frames} frames) took {format_number([min(known)])} to "
        f"{format_number([max(known)])} % of the training time, including real clips, which are measured once per "
        "dataset."
    )
    above = [variant_title(name) for name, group in shares.items() if max(group, default=0) > limit]
    if above:
        text += (
            f" Above {limit:g} %: {', '.join(above)}; sampling is slow there, these were the first trials of a dataset,"
            " or training was short for the minimum that is measured."
        )
    return text


def _shares(results: Sequence[TrialResult]) -> list[float]:
    """Return the time of measuring in percent of the training time."""
    timed = [result for result in results if "seconds" in result.measures]
    return [100 * sum(each.measures["seconds"].values()) / (60 * each.training["minutes"]) for each in timed]


def _quality(results: Sequence[TrialResult], name: str) -> Table:
    """Return one row per method; lower distances are better, and the row "real" is the noise floor."""
    names = list(dict.fromkeys(key for result in results for key in result.measures["quality"]))
    floors = [
        next((f for r in results if (f := r.measures["quality"].get(key, {}).get("floor"))), None) for key in names
    ]
    rows = [(REAL, [Cell(text=NONE)] * 3 + [Cell([floor]) for floor in floors])]
    for method, group in _by_method(results).items():
        costs = [Cell([result.training[key] for result in group]) for key in ("clips_seen", "minutes", "ms_per_clip")]
        quality = [result.measures["quality"] for result in group]
        rows.append(
            (variant_title(method), costs + [Cell([q.get(key, {}).get("value") for q in quality]) for key in names])
        )
    best = {key: "min" for key in names if not key.startswith(HIGHER_IS_BETTER)}
    best |= {key: "max" for key in names if key.startswith(HIGHER_IS_BETTER)}
    caption = f"Quality on {name}: lower distances are better, and the row real is the noise floor."
    return Table("quality", name, caption, ["clips seen", "minutes", "ms per clip", *names], rows, best)


def _motion(results: Sequence[TrialResult], name: str) -> Table:
    """Return one row per diagnostic of the motion report and one column per method."""
    groups = _by_method(results)
    rows: list[tuple[str, list[Cell]]] = []
    for spec in DIAGNOSTICS.values():
        if spec.name not in results[0].measures["motion"]:
            continue
        columns = [[result.measures["motion"][spec.name] for result in group] for group in groups.values()]
        cells = [Cell([n["value"] for n in numbers], as_expected=_verdict(numbers)) for numbers in columns]
        real = Cell([results[0].measures["motion"][spec.name]["data"]])
        rows.append((f"{spec.title} ({spec.unit})", [real, *cells]))
    totals = []
    for i in range(1, len(groups) + 1):
        verdicts = [cells[i].as_expected for _, cells in rows if cells[i].as_expected is not None]
        totals.append(Cell(text=f"{verdicts.count(True)} of {len(verdicts)}"))
    rows.insert(0, ("✓", [Cell(text=""), *totals]))
    caption = f"Motion of {name}; ✓ = as expected."
    return Table("motion", name, caption, [REAL, *map(variant_title, groups)], rows, by_column=True)


def _verdict(numbers: Sequence[dict[str, Any]]) -> bool | None:
    verdicts = [number["fine"] for number in numbers]
    return None if None in verdicts else all(verdicts)


def _costs(results: Sequence[TrialResult], name: str) -> list[str | Table]:
    """Return the table of costs, which hardly depend on the dataset."""
    columns = ["parameters (M)", "GiB in training", *SPEEDS.values(), "GiB sampling", "measuring (%)", "unsupported"]
    rows = []
    for method, group in _by_method(results).items():
        measures = [result.measures for result in group]
        speeds = [[each["frames_per_second"][frames] for each in measures] for frames in SPEEDS]
        cells = [
            Cell(text=f"{measures[0]['parameters'] / 1e6:.2f}"),
            Cell([result.training["memory_gib"] for result in group]),
            *(Cell([x for x in speed if not isinstance(x, str)]) for speed in speeds),
            Cell([each["sampling_memory_gib"] for each in measures]),
            Cell(_shares(group)),
            Cell(text=", ".join(measures[0]["unsupported"]) or NONE),
        ]
        rows.append((variant_title(method), cells))
    text = (
        f"Measured on {name}. Parameters are those needed for sampling; memory is that of the entire process; "
        "measuring is relative to the training time."
    )
    best = {"GiB in training": "min", "GiB sampling": "min"} | dict.fromkeys(SPEEDS.values(), "max")
    return ["## Costs and limits", text, Table("costs", name, f"Costs, measured on {name}.", columns, rows, best)]


def _published() -> list[str | Table]:
    published = {method.title: method.published for method in METHODS.values() if method.published}
    rows = [(title, [Cell(text=text) for text in texts]) for title, texts in published.items()]
    text = (
        "The table shows FVD over 16 and 128 frames at 256², for full-size models trained for days. The measure and "
        "the datasets differ from those above, so only compare the order."
    )
    caption = "Published FVD over 16 / 128 frames at 256²."
    return ["## As published", text, Table("published", "", caption, PUBLISHED_DATASETS, rows)]


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
