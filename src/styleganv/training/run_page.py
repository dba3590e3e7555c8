"""The page of a run, `index.html`: snapshots over time, curves, distances and settings."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from styleganv.media import page
from styleganv.training.log_file import SCORES

#: Earlier snapshots shown, spread evenly; the folder holds all.
MAX_EARLIER = 9
#: Seconds after which a browser reloads the page of a run in progress.
REFRESH = 30


def write_run_page(run: Path, records: Sequence[Mapping[str, Any]], *, finished: bool) -> None:
    """Write `index.html` from the files of a run and the records of its log."""
    page.write_page(
        run / "index.html",
        kind="Training run",
        title=run.resolve().name,
        lead=_lead(records, finished),
        sections=[*_snapshots(snapshots(run)), *_curves(run), *_distances(records), *_settings(run)],
        refresh=None if finished else REFRESH,
    )


def snapshots(run: Path) -> list[int]:
    """Return the clips seen at each snapshot of a run, in order; other files in the folder are ignored."""
    names = [path.stem for path in (run / "snapshots").glob("*.mp4")]
    return sorted(int(name) for name in names if re.fullmatch(r"[0-9]{9,}", name))


def _lead(records: Sequence[Mapping[str, Any]], finished: bool) -> str:
    clips = records[-1]["clips_seen"] if records else 0
    state = "Training has ended." if finished else "Training is in progress; this page reloads automatically."
    return f"{clips:,} clips seen. {state}"


def _snapshots(numbers: list[int]) -> list[page.Section]:
    if not numbers:
        return []
    latest, earlier = numbers[-1], numbers[:-1]
    if len(earlier) > MAX_EARLIER:
        earlier = [earlier[i] for i in np.linspace(0, len(earlier) - 1, MAX_EARLIER).round().astype(int)]
    sections = [
        page.Section(
            "Latest snapshot",
            "One content seed per column, one motion seed per row.",
            page.figures(_video(latest, plays=True)),
        )
    ]
    if earlier:
        videos = [_video(number, plays=False) for number in reversed(earlier)]
        sections.append(page.Section("Earlier", "", page.figures(*videos, columns=3)))
    return sections


def _video(clips_seen: int, *, plays: bool) -> str:
    return page.video(f"snapshots/{clips_seen:09d}.mp4", f"After {clips_seen:,} clips", plays=plays)


def _curves(run: Path) -> list[page.Section]:
    if not (run / "curves.png").exists():
        return []
    return [page.Section("Curves", "", page.figures(page.image("curves.png", "Losses over the clips seen")))]


def _distances(records: Sequence[Mapping[str, Any]]) -> list[page.Section]:
    scored = [record for record in records if any(name in record for name in SCORES)]
    if not scored:
        return []
    rows = [[f"{r['clips_seen']:,}", *(f"{r[name]:.3g}" if name in r else "–" for name in SCORES)] for r in scored]
    return [page.Section("Distances", "Lower is better.", page.table(["clips seen", *SCORES.values()], rows))]


def _settings(run: Path) -> list[page.Section]:
    if not (run / "settings.yaml").exists():
        return []
    text = (run / "settings.yaml").read_text(encoding="utf-8", errors="replace")
    return [page.Section("Settings", "", page.details("All settings, as in settings.yaml", text))]
