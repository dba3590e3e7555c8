"""A trial of a study: one training and its measurements, each step in a process of its own.

    python -m styleganv.study.trial train FOLDER
    python -m styleganv.study.trial measure FOLDER

Training also runs under torchrun; what follows it is done by the first process.

`FOLDER/trial.json` describes the trial; its run in `FOLDER/run` resumes where it was interrupted. The steps write
`training.json` and `measures.json`; a step whose file exists is complete and never repeated.
"""

import json
import logging
import math
import os
import platform
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import torch

from styleganv.allocator import keep_freed_memory
from styleganv.config import RunConfig, get_preset
from styleganv.errors import StyleganvError
from styleganv.files import write_json
from styleganv.methods import METHODS, apply_ablation, apply_method
from styleganv.methods.loading import load
from styleganv.metrics.evaluate import evaluate
from styleganv.metrics.protocols import DEFAULT_PROTOCOL, Protocol, named_protocol
from styleganv.metrics.report import Result
from styleganv.motion_report.diagnose import diagnose
from styleganv.options import MIN_EVAL_CLIPS, EvaluateOptions
from styleganv.runs import train
from styleganv.study.sizes import Sizes
from styleganv.training.checkpoint import has_checkpoint, load_checkpoint
from styleganv.training.log_file import read_log
from styleganv.training.loop import InterruptedTraining
from styleganv.training.run_log import peak_memory_gib
from styleganv.validation import Count, Positive, Seed, read_fields
from styleganv.video_model import VideoModel
from styleganv.videos import ModelVideos, Videos, open_videos
from styleganv.workers import exit_with_parent

#: Frames per video → maximum number of such videos in the timing of sampling.
NUM_TIMED_VIDEOS = {16: 8, 128: 2, 1024: 1}
#: Seconds after which the timing of sampling starts no other video.
TIMED_SECONDS = 2.0
#: Files that the steps write.
DONE = {"train": "training.json", "measure": "measures.json"}


@dataclass(frozen=True)
class Trial:
    """A training and its measurements.

    Attributes:
        method: name of a method or of an ablation.
        minutes: training time, or its maximum.
        num_clips, num_frames, motion_videos, motion_frames: see `Sizes`.
        protocols, weights: additional protocols and their weight files; see `evaluate`.
        clips: number of clips to train on; None for no limit.
        distance: distance in evaluations during training at which it stops; None for none.
    """

    data: str
    method: str
    seed: Seed
    preset: str
    minutes: Positive
    num_clips: Count
    protocols: tuple[str, ...] = ()
    weights: str | None = None
    num_frames: Count = Sizes.num_frames
    motion_videos: Count = Sizes.motion_videos
    motion_frames: Count = Sizes.motion_frames
    clips: Count | None = None
    distance: Positive | None = None

    @property
    def sizes(self) -> Sizes:
        return Sizes(self.num_clips, self.num_frames, self.motion_videos, self.motion_frames)

    @property
    def length(self) -> str:
        """Length of the training as text, for the user."""
        if self.clips is not None:
            return f"{self.clips:,} clips of training each (at most {self.minutes:g} minutes)"
        if self.distance is not None:
            target = f"a distance of {self.distance:g} in evaluations of {self.num_clips} clips"
            return f"training until {target}, at most {self.minutes:g} minutes each"
        return f"{self.minutes:g} minutes of training each"

    def config(self, minutes: float) -> RunConfig:
        """Return the settings of the run, without snapshots, and evaluations only for a target: they take time."""
        method, ablation = variants()[self.method]
        config = apply_ablation(apply_method(get_preset(self.preset), method), ablation)
        total_clips = self.clips or config.training.total_clips
        return replace(
            config,
            training=replace(
                config.training,
                seed=self.seed,
                minutes=minutes,
                total_clips=total_clips,
                target_distance=self.distance,
            ),
            logging=replace(
                config.logging,
                snapshot_every=total_clips + 1,
                eval_every=None,
                eval_clips=max(MIN_EVAL_CLIPS, self.num_clips),
            ),
        )


def variants() -> dict[str, tuple[str, str | None]]:
    """Return `(method, ablation or None)` of everything a study can train, each method before its ablations."""
    return {
        name: (method.name, None if name == method.name else name)
        for method in METHODS.values()
        for name in (method.name, *method.ablations)
    }


def published_variants() -> list[str]:
    """Return the names of all methods and of the ablations that their papers compare."""
    return [
        name
        for method in METHODS.values()
        for name in (method.name, *(key for key, ablation in method.ablations.items() if ablation.is_published))
    ]


def variant_title(name: str) -> str:
    """Return the title of a method or an ablation."""
    method, ablation = variants()[name]
    return METHODS[method].title if ablation is None else METHODS[method].ablations[ablation].title


def read_json(path: Path) -> dict[str, Any]:
    """Read a file of a trial."""
    return json.loads(path.read_text())


def read_trial(folder: Path) -> Trial:
    """Read the description of a trial."""
    return read_fields(Trial, read_json(folder / "trial.json"), folder / "trial.json")


def is_complete(folder: Path) -> bool:
    """Return whether all steps of a trial are done."""
    return all((folder / name).exists() for name in DONE.values())


def train_trial(folder: Path) -> None:
    """Train for the rest of the minutes."""
    trial = read_trial(folder)
    run = folder / "run"
    done = float(load_checkpoint(run / "checkpoint.pt")["minutes"]) if has_checkpoint(run) else 0.0
    config = trial.config(max(0.0, trial.minutes - done))
    train(trial.data, run, config, or_resume=True)
    if os.environ.get("RANK", "0") != "0":
        return
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    seen = read_json(run / "model" / "config.json")["training"]
    minutes = float(load_checkpoint(run / "checkpoint.pt")["minutes"])
    training = {
        "minutes": minutes,
        "clips_seen": seen["clips_seen"],
        "frames_seen": seen["frames_seen"],
        "ms_per_clip": 60_000 * minutes / max(1, seen["clips_seen"]),
        "stopped_by": stopped_by(trial, run, seen["clips_seen"]),
        "memory_gib": peak_memory_gib(device),
        "batch_size": config.training.batch_size,
        "processes": int(os.environ.get("WORLD_SIZE", "1")),
        "device": torch.cuda.get_device_name() if device.type == "cuda" else "CPU",
        "threads": config.training.num_threads or torch.get_num_threads(),
        "torch": torch.__version__,
        "machine": platform.machine(),
    }
    write_json(folder / "training.json", training, overwrite=True)


def stopped_by(trial: Trial, run: Path, clips_seen: int) -> str:
    """Return what ended a training: "clips", "distance" or "minutes"."""
    if trial.clips is not None and clips_seen >= trial.clips:
        return "clips"
    key = named_protocol(DEFAULT_PROTOCOL).key
    found = [record[key] for record in read_log(run / "log.jsonl") if key in record]
    return "distance" if trial.distance is not None and min(found, default=math.inf) <= trial.distance else "minutes"


def measure_trial(folder: Path) -> None:
    """Measure speed, distances and motion of the trained model, and the time that takes."""
    trial, started = read_trial(folder), time.monotonic()
    model = load(folder / "run" / "model")
    videos, data = ModelVideos(model, name=trial.method), open_videos(trial.data)
    measures: dict[str, Any] = {
        "parameters": sum(weight.numel() for weight in model.network.parameters()),
        "height": model.height,
        "width": model.width,
        "fps": model.fps,
        "unsupported": list_unsupported(model),
        "frames_per_second": {str(frames): time_sampling(model, frames) for frames in NUM_TIMED_VIDEOS},
        "sampling_memory_gib": peak_memory_gib(model.device),
    }
    sampled = time.monotonic()
    measures["quality"] = measure_quality(trial, data, videos)
    evaluated = time.monotonic()
    report = diagnose(videos, data, num_videos=trial.motion_videos, max_frames=trial.motion_frames).report
    measures["motion_frames"] = report.num_frames
    measures["motion"] = {diagnostic.name: asdict(diagnostic) for diagnostic in report.diagnostics}
    times = (started, sampled, evaluated, time.monotonic())
    names = ("sampling", "distances", "motion report")
    measures["seconds"] = {name: after - before for name, (before, after) in zip(names, pairwise(times), strict=True)}
    write_json(folder / "measures.json", measures, overwrite=True)


def measure_quality(trial: Trial, data: Videos, videos: ModelVideos) -> dict[str, dict[str, Any]]:
    """Return the distances by protocol, from one pass over the videos; the reason, where one cannot be measured."""
    clips = named_protocol(DEFAULT_PROTOCOL).with_num_frames(trial.num_frames)
    frames = replace(named_protocol("frechet_efficientnet_frames8192"), num_frames=1)
    sampled = [protocol.with_num_clips(trial.num_clips) for protocol in (clips, frames)]
    protocols = [*sampled, *map(named_protocol, trial.protocols)]
    options = EvaluateOptions(weights=trial.weights, num_resamples=0)

    def measure(protocols: list[Protocol]) -> dict[str, dict[str, Any]]:
        results = evaluate(data, videos, protocols=protocols, options=options).results
        return dict(chain.from_iterable(map(_numbers, protocols, results)))

    with suppress(StyleganvError):
        return measure(protocols)
    found: dict[str, dict[str, Any]] = {}
    for protocol in protocols:
        try:
            found |= measure([protocol])
        except StyleganvError as error:
            found[protocol.name] = {"missing": str(error)}
    return found


def _numbers(protocol: Protocol, result: Result) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the number of a protocol, or all if it has no main one, by name."""
    for key in [protocol.key] if protocol.key in result.measures else result.measures:
        floor = result.noise_floor.get(key)
        yield (
            protocol.name + key.removeprefix(protocol.key),
            {"value": result.measures[key].mean, "floor": floor and floor.mean, "clips": result.clips},
        )


def time_sampling(model: VideoModel, num_frames: int) -> float | str:
    """Return the frames per second of new videos of this length, one by one, or why the model cannot make them."""
    try:
        seconds = num_frames / model.fps
        deque(model.stream(seed=0, seconds=1 / model.fps), maxlen=0)  # warm-up
        started, count = time.monotonic(), 0
        while count < NUM_TIMED_VIDEOS[num_frames] and time.monotonic() - started < TIMED_SECONDS:
            deque(model.stream(seed=8 + count, seconds=seconds), maxlen=0)  # VideoGPT has cached smaller seeds
            count += 1
        return count * num_frames / (time.monotonic() - started)
    except StyleganvError as error:
        return str(error)


def list_unsupported(model: VideoModel) -> list[str]:
    """Return what a model cannot do, as entries of a table."""
    unsupported = {
        "motion": model.is_image_model,
        f"more than {model.max_frames or 0:,} frames": model.max_frames is not None,
        "other frame rates": not model.supports_any_fps,
        "motion seeds": not model.supports_motion_seed and not model.is_image_model,
        "truncation": not model.supports_truncation,
    }
    return [what for what, applies in unsupported.items() if applies]


STEPS = {"train": train_trial, "measure": measure_trial}


def main() -> None:
    """Run one step; exits with status 1 after an error, whose text is the last line, and with 130 after Ctrl-C."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    keep_freed_memory()
    exit_with_parent()
    try:
        STEPS[sys.argv[1]](Path(sys.argv[2]))
    except StyleganvError as error:
        sys.exit(str(error))
    except InterruptedTraining as interruption:
        print(interruption, file=sys.stderr)
        sys.exit(interruption.status or 1)  # after a request to stop, the training is not done


if __name__ == "__main__":
    main()
