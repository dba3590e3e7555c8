"""The study: every method on every dataset with every seed, `jobs` trials at a time; completed steps are skipped.

    out/
      DATA/METHOD/SEED/    trial.json, run/, training.json, measures.json, log.txt (see `trial`)
      comparison.md        tables, and comparison/ with an animation of each dataset

Seeds are the outermost loop, so an interrupted study has all methods with its first seeds.
"""

import json
import logging
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
from typing import Annotated, Any

from styleganv.data.dataset import VideoDataset
from styleganv.errors import StyleganvError
from styleganv.faces.dataset import make_faces
from styleganv.files import check_destination
from styleganv.metrics.protocols import expand_protocols
from styleganv.options import Repeats, StudyOptions
from styleganv.progress import Progress, track
from styleganv.study.comparison import write_comparison
from styleganv.study.trial import DONE, STEPS, Trial, published_variants, read_json, variants, write_json
from styleganv.validation import Interval, check_arguments

#: Default dataset.
FACES_VIDEOS, FACES_RESOLUTION = 1024, (32, 32)

logger = logging.getLogger(__name__)


@check_arguments
def study(
    data: Sequence[Path | str] = (),
    out: Path | str = "runs/study",
    *,
    methods: Sequence[str] | None = None,
    protocols: Sequence[str] = (),
    num_repeats: Repeats = 1,
    options: StudyOptions = StudyOptions(),
    jobs: Annotated[int, Interval(1, 1024)] = 1,
    show_real: bool = True,
    progress: Progress | None = None,
) -> Path:
    """Train and measure everything that is not complete, then write the comparison.

    Args:
        data: datasets with different file names. Default: the built-in faces, at 32².
        out: folder of the study. A later call can add datasets, methods, protocols or repeats; the rest must agree.
        methods: names of methods and ablations. None: the installed methods with their published ablations.
        protocols: additional protocols; see `evaluate`.
        num_repeats: trainings per method and dataset, with seeds 0 to `num_repeats` − 1.
        jobs: trials at a time; they share the CPU cores.
        show_real: include real videos in the animations; turn it off if they must not be published.

    Returns:
        `out/comparison.md`.

    Raises:
        StyleganvError: if arguments are invalid or disagree with the study in `out`; or, after all other trials, if
            one failed.
    """
    out = Path(out)
    methods = published_variants() if methods is None else list(methods)
    if unknown := [name for name in methods if name not in variants()]:
        raise StyleganvError(
            f"Unknown methods {', '.join(unknown)}: install their packages, or choose from {', '.join(variants())}."
        )
    protocols = tuple(protocol.name for protocol in expand_protocols(protocols))
    stems = [Path(path).stem for path in data]
    if duplicates := [stem for stem in stems if stems.count(stem) > 1]:
        raise StyleganvError(f"Two datasets have the same name ({duplicates[0]}): rename one of the files.")
    trials = [
        Trial(
            data=str(path.resolve()),
            method=method,
            seed=seed,
            preset=options.preset,
            minutes=options.minutes,
            num_clips=options.num_clips,
            protocols=protocols,
            weights=options.weights,
        )
        for seed in range(num_repeats)
        for path in (map(Path, data) if data else [out / "faces.zip"])
        for method in methods
    ]
    for trial in trials:
        trial.config(options.minutes)
    is_study = any(out.glob("*/*/*/trial.json"))
    check_destination(out / "comparison.md", overwrite=True if is_study else None)
    if not data and not (out / "faces.zip").exists():
        out.mkdir(parents=True, exist_ok=True)
        make_faces(out / "faces.zip", num_videos=FACES_VIDEOS, resolution=FACES_RESOLUTION)
    for path in {trial.data for trial in trials}:
        VideoDataset(path)
    folders = [_begin(out / Path(trial.data).stem / trial.method / str(trial.seed), trial) for trial in trials]
    failures = _run(folders, jobs, progress)
    page = write_comparison(out, show_real=show_real)
    if failures:
        raise StyleganvError(
            f"{len(failures)} of {len(trials)} trials failed (first: {failures[0][0]}: {failures[0][1]}); the others "
            f"are in {page}: fix these errors and rerun the study."
        )
    return page


def _begin(folder: Path, trial: Trial) -> Path:
    """Write `trial.json` unless the folder has one, which then must agree."""
    wanted: dict[str, Any] = json.loads(json.dumps(asdict(trial)))
    if not (folder / "trial.json").exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / "trial.json", wanted)
    saved = read_json(folder / "trial.json")
    changed = [f"{name} {saved.get(name)}" for name in wanted if saved.get(name) != wanted[name]]
    if changed:
        raise StyleganvError(
            f"{folder} was started with {', '.join(changed)}: pass the same values, or choose another --out."
        )
    return folder


def _run(folders: Sequence[Path], jobs: int, progress: Progress | None) -> list[tuple[Path, str]]:
    """Complete the trials in `folders`; return those that failed, with their error."""
    todo = [folder for folder in folders if not all((folder / name).exists() for name in DONE.values())]
    failures: list[tuple[Path, str]] = []
    stop = Event()
    running: set[subprocess.Popen[bytes]] = set()
    num_threads = max(1, (os.cpu_count() or 1) // jobs)

    def run(folder: Path) -> None:
        for step in STEPS:
            if stop.is_set() or (folder / DONE[step]).exists():
                continue
            with open(folder / "log.txt", "ab") as log:
                process = subprocess.Popen(
                    [sys.executable, "-m", "styleganv.study.trial", step, str(folder)],
                    stdout=log,
                    stderr=log,
                    env=os.environ | {"OMP_NUM_THREADS": str(num_threads)},
                    start_new_session=True,  # Ctrl-C reaches only this process, which stops the others once
                )
                running.add(process)
                if stop.is_set():
                    process.terminate()
                status = process.wait()
                running.discard(process)
            if status and not stop.is_set():
                failures.append((folder, _last_line(folder / "log.txt")))
            if status:
                return

    with _sigterm_as_interrupt(), ThreadPoolExecutor(jobs) as pool:
        try:
            trials = as_completed([pool.submit(run, folder) for folder in todo])
            for _ in track(trials, progress, len(todo), "running trials"):
                pass
        except KeyboardInterrupt:
            stop.set()
            logger.info("Saving the trials in progress …")
            for process in list(running):
                process.terminate()
            raise KeyboardInterrupt("Interrupted: rerun the command to continue.") from None
    return failures


@contextmanager
def _sigterm_as_interrupt() -> Iterator[None]:
    """Handle SIGTERM like Ctrl-C, so that the processes of the trials are stopped too."""

    def interrupt(number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _last_line(path: Path) -> str:
    lines = path.read_bytes().decode(errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "no output")
