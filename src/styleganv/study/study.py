"""The study: every method on every dataset with every seed, `jobs` trials at a time; completed steps are skipped.

    out/
      DATA/METHOD/SEED/    trial.json, run/, training.json, measures.json, log.txt (see `trial`)
      comparison.md        tables, also as .csv and .tex, and comparison/ with an animation of each dataset

Seeds are the outermost loop, so an interrupted study has all methods with its first seeds. Several machines can work on
one folder: the study that runs a trial locks its folder, and the others skip it.
"""

import json
import logging
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from threading import Event
from typing import Any

from filelock import FileLock, Timeout

from styleganv.data.dataset import VideoDataset
from styleganv.errors import StyleganvError
from styleganv.faces.dataset import make_faces
from styleganv.files import check_destination, write_json
from styleganv.metrics.protocols import expand_protocols
from styleganv.options import LaunchOptions, Repeats, StudyOptions
from styleganv.progress import Progress, track
from styleganv.study.comparison import PAGES, write_comparison
from styleganv.study.sizes import UNKNOWN_TIME, Sizes, fitting_sizes, seconds_per_frame
from styleganv.study.trial import DONE, STEPS, Trial, is_complete, published_variants, read_trial, variants
from styleganv.validation import check_arguments

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
    launch: LaunchOptions = LaunchOptions(),
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
        show_real: include real videos in the animations; turn it off if they must not be published.

    Returns:
        `out/comparison.md`.

    Raises:
        StyleganvError: if arguments are invalid or disagree with the study in `out`; or, after all other trials, if
            one failed.
    """
    launcher = _split_launcher(launch.launch)
    if launcher and shutil.which(launcher[0]) is None:
        raise StyleganvError(
            f"--launch {launcher[0]} is not a program on this machine: correct it, or load its module."
        )
    folders = create_trials(data, out, methods=methods, protocols=protocols, num_repeats=num_repeats, options=options)
    failures = _run(folders, launch.jobs, launcher, progress)
    page = write_comparison(Path(out), show_real=show_real)
    if failures:
        raise StyleganvError(
            f"{len(failures)} of {len(folders)} trials failed (first: {failures[0][0]}: {failures[0][1]}); the others "
            f"are in {page}: fix these errors and rerun the study."
        )
    return page


@check_arguments
def create_trials(
    data: Sequence[Path | str] = (),
    out: Path | str = "runs/study",
    *,
    methods: Sequence[str] | None = None,
    protocols: Sequence[str] = (),
    num_repeats: Repeats = 1,
    options: StudyOptions = StudyOptions(),
) -> list[Path]:
    """Write the `trial.json` of every trial of a study, and return their folders; arguments as of `study`."""
    out = Path(out)
    stems = [Path(path).stem for path in data]
    if duplicates := [stem for stem in stems if stems.count(stem) > 1]:
        raise StyleganvError(f"Two datasets have the same name ({duplicates[0]}): rename one of the files.")
    trials = [
        Trial(
            data=str(path.resolve()),
            method=method,
            seed=seed,
            preset=options.preset,
            minutes=options.training_minutes,
            num_clips=options.num_clips or Sizes.num_clips,
            protocols=tuple(protocol.name for protocol in expand_protocols(protocols)),
            weights=options.weights,
            clips=options.clips,
            distance=options.distance,
        )
        for seed in range(num_repeats)
        for path in (map(Path, data) if data else [out / "faces.zip"])
        for method in _known(methods)
    ]
    for trial in trials:
        trial.config(trial.minutes)
    is_study = any(out.glob("*/*/*/trial.json"))
    check_destination(*(out / name for name in PAGES), overwrite=True if is_study else None)
    for path in data:
        VideoDataset(path)
    out.mkdir(parents=True, exist_ok=True)
    with FileLock(out / ".lock"):  # another machine may start the same study
        if not data and not (out / "faces.zip").exists():
            make_faces(out / "faces.zip", num_videos=FACES_VIDEOS, resolution=FACES_RESOLUTION)
        if options.num_clips is None:
            sizes = asdict(_sizes(out, options))
            trials = [replace(trial, **sizes) for trial in trials]
        return [_begin(out / Path(trial.data).stem / trial.method / str(trial.seed), trial) for trial in trials]


def _known(methods: Sequence[str] | None) -> Sequence[str]:
    """Return the methods of a study. Raises StyleganvError for an unknown one."""
    if unknown := [name for name in methods or () if name not in variants()]:
        raise StyleganvError(
            f"Unknown methods {', '.join(unknown)}: install their packages, or choose from {', '.join(variants())}."
        )
    return published_variants() if methods is None else methods


def _sizes(out: Path, options: StudyOptions) -> Sizes:
    """Return the sizes of the study in `out`, or those that fit in the training time."""
    for path in sorted(out.glob("*/*/*/trial.json")):
        return read_trial(path.parent).sizes
    if options.clips or options.distance:
        return UNKNOWN_TIME
    return fitting_sizes(options.training_minutes, seconds_per_frame())


def _begin(folder: Path, trial: Trial) -> Path:
    """Write `trial.json` unless the folder has one, which then must agree."""
    wanted: dict[str, Any] = json.loads(json.dumps(asdict(trial)))
    if not (folder / "trial.json").exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / "trial.json", wanted, overwrite=True)
    saved = json.loads(json.dumps(asdict(read_trial(folder))))
    changed = [f"{name} {saved[name]}" for name in wanted if saved[name] != wanted[name]]
    if changed:
        raise StyleganvError(
            f"{folder} was started with {', '.join(changed)}: pass the same values, or choose another --out."
        )
    return folder


def trial_command(folder: Path, step: str, launcher: Sequence[str] = ()) -> list[str]:
    """Return the command of one step of a trial; under torchrun, only training has several processes."""
    words, module = list(launcher), ["-m", "styleganv.study.trial", step, str(folder)]
    is_torchrun = [Path(word).name == "torchrun" for word in words]
    if not any(is_torchrun):
        return [*words, sys.executable, *module]
    return [*words, *module] if step == "train" else [*words[: is_torchrun.index(True)], sys.executable, *module]


def trial_commands(folders: Sequence[Path], launch: LaunchOptions = LaunchOptions()) -> list[str]:
    """Return one shell command per trial that is not complete: both of its steps."""
    launcher = _split_launcher(launch.launch)
    return [
        " && ".join(shlex.join(trial_command(folder.resolve(), step, launcher)) for step in STEPS)
        for folder in folders
        if not is_complete(folder)
    ]


def _split_launcher(text: str | None) -> list[str]:
    """Return the words of a launcher; none for None."""
    try:
        return shlex.split(text or "")
    except ValueError as error:
        raise StyleganvError(f"Cannot read --launch {text} ({error}): close its quotes.") from error


def _run(
    folders: Sequence[Path], jobs: int, launcher: Sequence[str], progress: Progress | None
) -> list[tuple[Path, str]]:
    """Complete the trials in `folders`, except those that run elsewhere; return failed ones with their error."""
    todo = [folder for folder in folders if not is_complete(folder)]
    failures: list[tuple[Path, str]] = []
    stop = Event()
    running: set[subprocess.Popen[bytes]] = set()
    threads = {} if launcher else {"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // jobs))}

    def run_steps(folder: Path) -> None:
        for step in STEPS:
            if stop.is_set() or (folder / DONE[step]).exists():
                continue
            with open(folder / "log.txt", "ab") as log:
                process = subprocess.Popen(
                    trial_command(folder, step, launcher),
                    stdout=log,
                    stderr=log,
                    env=os.environ | threads,
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

    def run(folder: Path) -> None:
        try:
            with FileLock(folder / ".lock", timeout=0):
                run_steps(folder)
        except Timeout:
            logger.info(f"Skipped {folder}, which another study runs.")

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
