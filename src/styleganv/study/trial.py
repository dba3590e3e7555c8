"""A trial of a study: one training and its measurements, each step in a process of its own.

    python -m styleganv.study.trial train FOLDER
    python -m styleganv.study.trial measure FOLDER

`FOLDER/trial.json` describes the trial; its run in `FOLDER/run` resumes where it was interrupted. The steps write
`training.json` and `measures.json`; a step whose file exists is complete and never repeated.
"""

import json
import logging
import platform
import sys
import time
from collections import deque
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from styleganv.allocator import keep_freed_memory
from styleganv.config import RunConfig, get_preset
from styleganv.errors import StyleganvError
from styleganv.files import atomic_write
from styleganv.methods import METHODS, apply_ablation, apply_method
from styleganv.methods.loading import load
from styleganv.metrics.evaluate import evaluate
from styleganv.metrics.protocols import DEFAULT_PROTOCOL, named_protocol
from styleganv.motion_report.diagnose import diagnose
from styleganv.options import EvaluateOptions
from styleganv.runs import train
from styleganv.training.checkpoint import has_checkpoint, load_checkpoint
from styleganv.training.loop import InterruptedTraining
from styleganv.training.run_log import peak_memory_gib
from styleganv.validation import Count, Positive, Seed, read_fields
from styleganv.video_model import VideoModel
from styleganv.videos import ModelVideos
from styleganv.workers import exit_with_parent

#: Frames per video → number of such videos in the timing of sampling.
NUM_TIMED_VIDEOS = {16: 8, 128: 2, 1024: 1}
#: Size of the motion report.
MOTION_VIDEOS, MOTION_FRAMES = 16, 64
#: Files that the steps write.
DONE = {"train": "training.json", "measure": "measures.json"}


@dataclass(frozen=True)
class Trial:
    """A training and its measurements.

    Attributes:
        method: name of a method or of an ablation.
        num_clips: real and generated clips per evaluation.
        protocols, weights: additional protocols and their weight files; see `evaluate`.
    """

    data: str
    method: str
    seed: Seed
    preset: str
    minutes: Positive
    num_clips: Count
    protocols: tuple[str, ...] = ()
    weights: str | None = None

    def config(self, minutes: float) -> RunConfig:
        """Return the settings of the run, without snapshots and evaluations, which would take training time."""
        method, ablation = variants()[self.method]
        config = apply_ablation(apply_method(get_preset(self.preset), method), ablation)
        never = config.training.total_clips + 1
        return replace(
            config,
            training=replace(config.training, minutes=minutes, seed=self.seed),
            logging=replace(config.logging, snapshot_every=never, eval_every=None),
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


def write_json(path: Path, value: Any) -> None:
    """Write JSON atomically."""
    with atomic_write(path, overwrite=True) as tmp_path:
        tmp_path.write_text(json.dumps(value, indent=2) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """Read a file of a trial."""
    return json.loads(path.read_text())


def read_trial(folder: Path) -> Trial:
    """Read the description of a trial."""
    return read_fields(Trial, read_json(folder / "trial.json"), folder / "trial.json")


def train_trial(folder: Path) -> None:
    """Train for the rest of the minutes."""
    trial = read_trial(folder)
    run = folder / "run"
    done = float(load_checkpoint(run / "checkpoint.pt")["minutes"]) if has_checkpoint(run) else 0.0
    config = trial.config(max(0.0, trial.minutes - done))
    train(trial.data, run, config, or_resume=True)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    seen = read_json(run / "model" / "config.json")["training"]
    minutes = float(load_checkpoint(run / "checkpoint.pt")["minutes"])
    training = {
        "minutes": minutes,
        "clips_seen": seen["clips_seen"],
        "frames_seen": seen["frames_seen"],
        "ms_per_clip": 60_000 * minutes / max(1, seen["clips_seen"]),
        "memory_gib": peak_memory_gib(device),
        "batch_size": config.training.batch_size,
        "device": torch.cuda.get_device_name() if device.type == "cuda" else "CPU",
        "threads": config.training.num_threads or torch.get_num_threads(),
        "torch": torch.__version__,
        "machine": platform.machine(),
    }
    write_json(folder / "training.json", training)


def measure_trial(folder: Path) -> None:
    """Measure speed, distances and motion of the trained model."""
    trial, path = read_trial(folder), folder / "run" / "model"
    model = load(path)
    measures: dict[str, Any] = {
        "parameters": sum(weight.numel() for weight in model.network.parameters()),
        "height": model.height,
        "width": model.width,
        "fps": model.fps,
        "unsupported": list_unsupported(model),
        "frames_per_second": {str(frames): time_sampling(model, frames) for frames in NUM_TIMED_VIDEOS},
        "sampling_memory_gib": peak_memory_gib(model.device),
        "quality": {},
    }
    protocols = [
        named_protocol(DEFAULT_PROTOCOL).with_num_clips(trial.num_clips),
        replace(named_protocol("frechet_efficientnet_frames8192"), num_frames=1).with_num_clips(trial.num_clips),
        *map(named_protocol, trial.protocols),
    ]
    options = EvaluateOptions(weights=trial.weights)
    for protocol in protocols:
        try:
            (result,) = evaluate(trial.data, path, protocols=[protocol], options=options).results
        except StyleganvError as error:
            measures["quality"][protocol.name] = {"missing": str(error)}
            continue
        measures["quality"][protocol.name] = {
            "value": result.measures[protocol.key].mean,
            "floor": result.noise_floor[protocol.key].mean,
            "clips": result.clips,
        }
    videos = ModelVideos(model, name=trial.method)
    report = diagnose(videos, trial.data, num_videos=MOTION_VIDEOS, max_frames=MOTION_FRAMES).report
    measures["motion_frames"] = report.num_frames
    measures["motion"] = {diagnostic.name: asdict(diagnostic) for diagnostic in report.diagnostics}
    write_json(folder / "measures.json", measures)


def time_sampling(model: VideoModel, num_frames: int) -> float | str:
    """Return the frames per second of new videos of this length, one by one, or why the model cannot make them."""
    try:
        seconds = num_frames / model.fps
        deque(model.stream(seed=0, seconds=1 / model.fps), maxlen=0)  # warm-up
        count = NUM_TIMED_VIDEOS[num_frames]
        started = time.monotonic()
        for seed in range(8, 8 + count):  # VideoGPT has cached the videos of smaller seeds
            deque(model.stream(seed=seed, seconds=seconds), maxlen=0)
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
        sys.exit(128 + interruption.number)


if __name__ == "__main__":
    main()
