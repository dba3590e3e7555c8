"""One cell of a study: a model trained on a data set from a seed, then measured, each in a process of its own.

    python -m styleganv.study.cell train FOLDER
    python -m styleganv.study.cell measure FOLDER

`FOLDER/cell.json` says what; the training is a run in `FOLDER/run`, which goes on where it was interrupted. Each step
ends with a file, `training.json` or `measures.json`, so what is done is never done twice.
"""

import json
import platform
import sys
import time
from collections import deque
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from styleganv.errors import StyleganvError
from styleganv.files import atomic_write
from styleganv.methods.loading import load
from styleganv.metrics.evaluate import evaluate
from styleganv.metrics.options import EvaluateOptions
from styleganv.metrics.protocols import DEFAULT_PROTOCOL, named_protocol
from styleganv.motion_report.diagnose import diagnose
from styleganv.runs import train
from styleganv.study.entrants import all_entrants
from styleganv.training.checkpoint import load_checkpoint
from styleganv.training.loop import InterruptedTraining
from styleganv.training.run_log import peak_memory_gib
from styleganv.video_model import VideoModel
from styleganv.videos import ModelVideos

#: Frames of a video whose making is timed, and how many such videos.
LENGTHS = {16: 8, 128: 2, 1024: 1}
#: Of the motion report.
MOTION_VIDEOS, MOTION_FRAMES = 16, 64


@dataclass(frozen=True)
class Cell:
    """What to train and how to measure it.

    Attributes:
        data: path of the data set.
        entrant: a key of `all_entrants()`.
        minutes: of training.
        clips: of each side in an evaluation.
        protocols, weights: more of them, with files that the offline ones do not need; see `evaluate`.
    """

    data: str
    entrant: str
    seed: int
    preset: str
    minutes: float
    clips: int
    protocols: tuple[str, ...] = ()
    weights: str | None = None


def write_json(path: Path, value: Any) -> None:
    with atomic_write(path) as tmp_path:
        tmp_path.write_text(json.dumps(value, indent=2) + "\n")


def train_cell(folder: Path) -> None:
    """Train for what is left of the minutes."""
    cell = read_cell(folder)
    run = folder / "run"
    done = float(load_checkpoint(run / "checkpoint.pt")["minutes"]) if (run / "checkpoint.pt").exists() else 0.0
    left = max(0.0, cell.minutes - done)
    config = all_entrants()[cell.entrant].config(cell.preset, minutes=left, seed=cell.seed)
    train(cell.data, run, config, or_resume=True)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    seen = json.loads((run / "model" / "config.json").read_text())["training"]
    minutes = float(load_checkpoint(run / "checkpoint.pt")["minutes"])
    write_json(
        folder / "training.json",
        {
            "minutes": minutes,
            "clips": seen["clips_seen"],
            "frames": seen["frames_seen"],
            "milliseconds_a_clip": 60_000 * minutes / max(1, seen["clips_seen"]),
            "memory_gib": peak_memory_gib(device),
            "batch": config.training.batch_size,
            "device": torch.cuda.get_device_name() if device.type == "cuda" else "CPU",
            "threads": config.training.num_threads or torch.get_num_threads(),
            "torch": torch.__version__,
            "machine": platform.machine(),
        },
    )


def measure_cell(folder: Path) -> None:
    cell = read_cell(folder)
    place = folder / "run" / "model"
    model = load(place)
    measures: dict[str, Any] = {
        "parameters": sum(weight.numel() for weight in model.network.parameters()),
        "height": model.height,
        "width": model.width,
        "fps": model.fps,
        "cannot": limits(model),
        "frames_a_second": {str(frames): sampling_speed(model, frames) for frames in LENGTHS},
        "sampling_memory_gib": peak_memory_gib(model.device),
    }
    video = named_protocol(DEFAULT_PROTOCOL).with_num_clips(cell.clips)
    frames = replace(named_protocol("frechet_efficientnet_frames8192"), num_frames=1).with_num_clips(cell.clips)
    more = [named_protocol(name) for name in cell.protocols]
    measures["quality"] = {}
    for protocol in (video, frames, *more):
        try:
            (result,) = evaluate(
                cell.data, place, protocols=[protocol], options=EvaluateOptions(weights=cell.weights)
            ).results
        except StyleganvError as error:
            measures["quality"][protocol.name] = {"missing": str(error)}
            continue
        measures["quality"][protocol.name] = {
            "value": result.measures[protocol.key].mean,
            "floor": result.noise_floor[protocol.key].mean,
            "clips": result.clips,
        }
    report = diagnose(
        ModelVideos(model, name=cell.entrant), cell.data, num_videos=MOTION_VIDEOS, max_frames=MOTION_FRAMES
    ).report
    measures["motion_frames"] = report.num_frames
    measures["motion"] = {found.name: asdict(found) for found in report.diagnostics}
    write_json(folder / "measures.json", measures)


def sampling_speed(model: VideoModel, frames: int) -> float | str:
    """Frames a second of whole new videos of so many frames, one after the other; or why there are none."""
    try:
        seconds = frames / model.fps
        deque(model.stream(seed=0, seconds=1 / model.fps), maxlen=0)  # sets the machine up
        count = LENGTHS[frames]
        started = time.monotonic()
        for seed in range(8, 8 + count):  # VideoGPT has by now made those below
            deque(model.stream(seed=seed, seconds=seconds), maxlen=0)
        return count * frames / (time.monotonic() - started)
    except StyleganvError as error:
        return str(error)


def limits(model: VideoModel) -> list[str]:
    """What a model's kind cannot do, in the words of a table."""
    found = []
    if model.still:
        found.append("motion")
    if model.max_frames is not None:
        found.append(f"more than {model.max_frames:,} frames")
    if not model.any_rate:
        found.append("other frame rates")
    if not model.motion_seeds and not model.still:
        found.append("motion apart from content")
    if not model.truncates:
        found.append("truncation")
    return found


def read_cell(folder: Path) -> Cell:
    values = json.loads((folder / "cell.json").read_text())
    return Cell(**values | {"protocols": tuple(values["protocols"])})


STEPS = {"train": train_cell, "measure": measure_cell}


def main() -> None:
    """Ends with status 1 and a sentence as the last line where a step cannot be done, 130 after Ctrl-C."""
    try:
        STEPS[sys.argv[1]](Path(sys.argv[2]))
    except StyleganvError as error:
        sys.exit(str(error))
    except InterruptedTraining as interruption:
        print(interruption, file=sys.stderr)
        sys.exit(128 + interruption.number)


if __name__ == "__main__":
    main()
