"""Experiment trackers: where a run reports its scalars and snapshots besides its own folder.

`RunLog` calls them in process 0. Whatever they raise is one warning per tracker, and never ends a training.
"""

import importlib.util
import logging
import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
from PIL import Image

from styleganv.errors import StyleganvError

logger = logging.getLogger(__name__)

#: Name of the project (Weights & Biases) or experiment (MLflow), unless the environment names one.
PROJECT = "styleganv"
#: Tag by which a resumed run finds itself in MLflow.
ID_TAG = "styleganv.id"


@dataclass(frozen=True)
class TrackedRun:
    """What a tracker gets to know of a run at its start or resume.

    Attributes:
        folder: the run folder.
        id: name of the run that no other run has; the same after a resume.
        clips_seen: clips at the checkpoint that it resumes from.
        settings: all settings, by group.
    """

    folder: Path
    id: str
    clips_seen: int
    settings: Mapping[str, Mapping[str, Any]]

    @property
    def name(self) -> str:
        """Name of the run folder, which trackers display."""
        return self.folder.resolve().name


class Tracker(Protocol):
    """An experiment tracker, created with the run that it tracks."""

    title: str

    def __init__(self, run: TrackedRun) -> None: ...

    def log_scalars(self, clips_seen: int, scalars: Mapping[str, float]) -> None:
        """Add points to the curves."""

    def log_snapshot(self, clips_seen: int, image: Path, video: Path) -> None:
        """Add a snapshot: a PNG and an mp4 file."""

    def flush(self) -> None:
        """Write what is pending, as a checkpoint follows."""

    def finish(self, state: str) -> None:
        """End the tracking; `state` is finished, interrupted, diverged or failed."""


class TensorBoard:
    """Event files in `tensorboard/`; points from after the checkpoint that a run resumes from are hidden."""

    title = "TensorBoard"

    def __init__(self, run: TrackedRun) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.writer = SummaryWriter(str(run.folder / "tensorboard"), purge_step=run.clips_seen + 1)
        self.excepthook = threading.excepthook
        threading.excepthook = self.ignore_own_thread

    def log_scalars(self, clips_seen: int, scalars: Mapping[str, float]) -> None:
        for name, value in scalars.items():
            self.writer.add_scalar(name, value, clips_seen)

    def log_snapshot(self, clips_seen: int, image: Path, video: Path) -> None:
        with Image.open(image) as opened:
            self.writer.add_image("snapshot", np.asarray(opened.convert("RGB")), clips_seen, dataformats="HWC")

    def flush(self) -> None:
        self.writer.flush()

    def finish(self, state: str) -> None:
        try:
            self.writer.close()
        finally:
            if threading.excepthook == self.ignore_own_thread:
                threading.excepthook = self.excepthook

    def ignore_own_thread(self, args: threading.ExceptHookArgs) -> None:
        """Print no traceback of TensorBoard's thread: its error is raised again, and reported, by the next call."""
        if not type(args.thread).__module__.startswith("tensorboard."):
            self.excepthook(args)


class WeightsAndBiases:
    """A run of the project `styleganv`; WANDB_PROJECT, WANDB_MODE and the other variables of wandb apply.

    Curves are over `clips_seen`. After a resume, points since the checkpoint appear twice.
    """

    title = "Weights & Biases"

    def __init__(self, run: TrackedRun) -> None:
        import wandb

        self.wandb = wandb
        self.run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            dir=os.environ.get("WANDB_DIR", str(run.folder)),
            id=run.id,
            resume="allow",
            reinit="create_new",  # a run of the calling program is not ours
            name=run.name,
            config={group: dict(values) for group, values in run.settings.items()},
            settings=wandb.Settings(console="off", silent=True),
        )
        self.run.define_metric("*", step_metric="clips_seen")
        if not self.run.offline:
            logger.info(f"{self.title}: {self.run.url}")

    def log_scalars(self, clips_seen: int, scalars: Mapping[str, float]) -> None:
        self.run.log({**scalars, "clips_seen": clips_seen})

    def log_snapshot(self, clips_seen: int, image: Path, video: Path) -> None:
        media = {"snapshot": self.wandb.Image(str(image)), "video": self.wandb.Video(str(video), format="mp4")}
        self.run.log({**media, "clips_seen": clips_seen})

    def flush(self) -> None:
        pass  # a process of its own writes at once

    def finish(self, state: str) -> None:
        self.run.finish(exit_code=0 if state in ("finished", "interrupted") else 1)


class MLflow:
    """A run of the experiment `styleganv`, at MLFLOW_TRACKING_URI; without that variable, in `mlruns/` of the run."""

    title = "MLflow"
    #: State of a run → its status in MLflow; others failed.
    STATUS: ClassVar = {"finished": "FINISHED", "interrupted": "KILLED"}

    def __init__(self, run: TrackedRun) -> None:
        if not (uri := os.environ.get("MLFLOW_TRACKING_URI")):
            uri = (run.folder.resolve() / "mlruns").as_uri()
            os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # else it requires a database
        from mlflow import MlflowClient
        from mlflow.entities import Metric, Param

        self.client, self.metric = MlflowClient(uri), Metric
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT)
        experiment = self.client.get_experiment_by_name(name)
        experiment_id = experiment.experiment_id if experiment else self.client.create_experiment(name)
        found = self.client.search_runs([experiment_id], f"tags.`{ID_TAG}` = '{run.id}'", max_results=1)
        if found:
            self.run_id = found[0].info.run_id
            self.client.update_run(self.run_id, status="RUNNING")
            return
        self.run_id = self.client.create_run(experiment_id, run_name=run.name, tags={ID_TAG: run.id}).info.run_id
        settings = {f"{group}.{name}": v for group, values in run.settings.items() for name, v in values.items()}
        self.client.log_batch(self.run_id, params=[Param(name, str(value)) for name, value in settings.items()])

    def log_scalars(self, clips_seen: int, scalars: Mapping[str, float]) -> None:
        milliseconds = round(1000 * time.time())
        metrics = [self.metric(name, value, milliseconds, clips_seen) for name, value in scalars.items()]
        self.client.log_batch(self.run_id, metrics=metrics)

    def log_snapshot(self, clips_seen: int, image: Path, video: Path) -> None:
        for file in (image, video):
            self.client.log_artifact(self.run_id, str(file), "snapshots")

    def flush(self) -> None:
        pass  # each call waits for the server

    def finish(self, state: str) -> None:
        self.client.set_terminated(self.run_id, self.STATUS.get(state, "FAILED"))


#: Name for `--trackers`, which is also that of the package and of the extra that installs it → tracker.
TRACKERS: dict[str, type[Tracker]] = {"tensorboard": TensorBoard, "wandb": WeightsAndBiases, "mlflow": MLflow}


def parse_trackers(text: str) -> dict[str, type[Tracker]]:
    """Return the trackers of a comma-separated list, or of "none".

    Raises:
        StyleganvError: for an unknown name.
    """
    names = [name.strip() for name in text.split(",") if name.strip() not in ("", "none")]
    for name in names:
        if name not in TRACKERS:
            raise StyleganvError(
                f"--trackers must list some of {', '.join(TRACKERS)}, or none, got {text!r}: correct it."
            )
    return {name: TRACKERS[name] for name in names}


def check_trackers(text: str) -> None:
    """Raise a StyleganvError for an unknown tracker, or one whose package is not installed."""
    for name in parse_trackers(text):
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:  # a folder of that name is no package
            raise StyleganvError(f"--trackers {name} requires the package {name}: run pip install 'styleganv[{name}]'.")
