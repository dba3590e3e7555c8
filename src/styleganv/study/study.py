"""The study: every entrant on every data set from every seed, so many at a time; what is done is not done again.

    out/
      DATA/ENTRANT/SEED/   cell.json, run/, training.json, measures.json, log.txt (see `cell`)
      comparison.md        the tables, and comparison/ with a moving picture of each data set

Seeds are the outermost loop: a study that is interrupted has all entrants with its first seeds.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from threading import Event
from typing import Any

from tqdm import tqdm

from styleganv.data.dataset import VideoDataset
from styleganv.errors import StyleganvError
from styleganv.faces.dataset import make_faces
from styleganv.metrics.protocols import named_protocol
from styleganv.study.cell import STEPS, Cell, write_json
from styleganv.study.comparison import write_comparison
from styleganv.study.entrants import all_entrants

DONE = {"train": "training.json", "measure": "measures.json"}
#: Of the built-in dataset of faces, used where no data is given.
FACES_VIDEOS, FACES_SIDE = 1024, 32


def study(
    data: Sequence[Path | str] = (),
    out: Path | str = "runs/study",
    *,
    models: Sequence[str] | None = None,
    minutes: float = 5.0,
    seeds: int = 1,
    preset: str = "tiny-cpu",
    clips: int = 256,
    protocols: Sequence[str] = (),
    weights: Path | str | None = None,
    jobs: int = 1,
    show_real: bool = True,
) -> Path:
    """Train and measure all that is not done yet, then write the comparison.

    Args:
        data: prepared data sets of different names; the built-in faces, at 32², where there are none.
        out: the folder of the study. More data, models or seeds can be added to it later; the rest must stay.
        models: keys of `all_entrants()`; None takes all of them.
        minutes: of training, for each.
        seeds: 0 to this many − 1.
        preset: of `recipes.PRESETS`.
        clips: of each side in an evaluation.
        protocols, weights: more protocols, and their files; see `evaluate`.
        jobs: cells at a time, which share the processor's cores.
        show_real: also show real videos in the pictures; off where they must not be published.

    Returns:
        `out/comparison.md`.

    Raises:
        StyleganvError: if what is asked for does not fit together, or to what `out` holds; and, after all else is
            done, if cells failed.
    """
    out = Path(out)
    models = list(all_entrants()) if models is None else list(models)
    unknown = [name for name in models if name not in all_entrants()]
    if unknown:
        raise StyleganvError(f"{', '.join(unknown)} cannot take part: choose of {', '.join(all_entrants())}.")
    if minutes <= 0 or seeds < 1 or jobs < 1:
        raise StyleganvError("A study needs minutes, seeds and jobs of more than 0.")
    for name in models:
        all_entrants()[name].config(preset, minutes=minutes, seed=0)
    for name in protocols:
        named_protocol(name)
    sets = {path.stem: path for path in map(Path, data)} or {"faces": _faces(out)}
    if len(sets) < len(data):
        raise StyleganvError("Two data sets have the same name: rename a file.")
    for path in sets.values():
        VideoDataset(path)
    cells = []
    for seed in range(seeds):
        for name, path in sets.items():
            for model in models:
                cell = Cell(
                    data=str(path.resolve()),
                    entrant=model,
                    seed=seed,
                    preset=preset,
                    minutes=minutes,
                    clips=clips,
                    protocols=tuple(protocols),
                    weights=None if weights is None else str(weights),
                )
                cells.append(_place(out / name / model / str(seed), cell))
    failed = _run(cells, jobs)
    page = write_comparison(out, show_real=show_real)
    if failed:
        raise StyleganvError(
            f"{len(failed)} of {len(cells)} could not be done (the first: {failed[0][0]}: {failed[0][1]}); the rest is "
            f"in {page}. Mend what they say and run the study again."
        )
    return page


def _faces(out: Path) -> Path:
    path = out / "faces.zip"
    if not path.exists():
        out.mkdir(parents=True, exist_ok=True)
        make_faces(path, num_videos=FACES_VIDEOS, resolution=(FACES_SIDE, FACES_SIDE))
    return path


def _place(folder: Path, cell: Cell) -> Path:
    """The cell's folder, which holds it or nothing yet."""
    path = folder / "cell.json"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_json(path, asdict(cell))
    kept = json.loads(path.read_text())
    asked: dict[str, Any] = json.loads(json.dumps(asdict(cell)))
    changed = [name for name in asked if kept.get(name) != asked[name]]
    if changed:
        raise StyleganvError(
            f"{folder} was begun with {', '.join(f'{name} {kept.get(name)}' for name in changed)}: ask for that again, "
            "or choose another --out."
        )
    return folder


def _run(cells: Sequence[Path], jobs: int) -> list[tuple[Path, str]]:
    """Do what is left of the cells; returns those that failed, with what they said."""
    todo = [folder for folder in cells if not all((folder / name).exists() for name in DONE.values())]
    failed: list[tuple[Path, str]] = []
    stop = Event()
    running: set[subprocess.Popen[bytes]] = set()

    def run(folder: Path) -> None:
        for step in STEPS:
            if stop.is_set() or (folder / DONE[step]).exists():
                continue
            threads = str(max(1, (os.cpu_count() or 1) // jobs))
            with open(folder / "log.txt", "ab") as log:
                process = subprocess.Popen(
                    [sys.executable, "-m", "styleganv.study.cell", step, str(folder)],
                    stdout=log,
                    stderr=log,
                    env=os.environ | {"OMP_NUM_THREADS": threads},
                    start_new_session=True,  # Ctrl-C reaches this process alone, which tells the others once
                )
                running.add(process)
                if stop.is_set():
                    process.terminate()
                status = process.wait()
                running.discard(process)
            if status and not stop.is_set():
                failed.append((folder, _last_line(folder / "log.txt")))
            if status:
                return

    bar = tqdm(total=len(cells), initial=len(cells) - len(todo), desc="study", unit="model", smoothing=0)
    with bar, _terminations(), ThreadPoolExecutor(jobs) as pool:
        try:
            for _ in as_completed([pool.submit(run, folder) for folder in todo]):
                bar.update()
        except KeyboardInterrupt:
            stop.set()
            bar.write("Saving what is being trained …", file=sys.stderr)
            for process in list(running):
                process.terminate()
            raise KeyboardInterrupt("Interrupted. The same command goes on where this one ended.") from None
    return failed


@contextmanager
def _terminations() -> Iterator[None]:
    """SIGTERM is like Ctrl-C here: trainings are other processes, which have to be told."""

    def interrupt(number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _last_line(path: Path) -> str:
    lines = path.read_bytes().decode(errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")
