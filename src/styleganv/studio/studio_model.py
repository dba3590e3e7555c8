"""A trained model as the page sees it: frames of an edited video from any time on, and its run while it trains.

Times are in seconds. Shapes: H height, W width.
"""

import logging
import math
import shlex
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from styleganv.data.dataset import VideoDataset
from styleganv.editing.direction_search import find_directions
from styleganv.editing.directions import Directions
from styleganv.editing.edits import mix_styles
from styleganv.editing.latents import Latents, MotionLatents, latents_from_seed, render_latents, truncate
from styleganv.errors import StyleganvError
from styleganv.media import sheets
from styleganv.methods.loading import load
from styleganv.methods.stylegan_v.sampler import VideoGenerator
from styleganv.motion_report.diagnose import training_data
from styleganv.options import DirectionOptions, Space
from styleganv.studio.video_params import VideoParams
from styleganv.studio.video_source import RealVideoSource, SourceMetadata, VideoSource
from styleganv.video_model import Frame, VideoModel, choose_device, choose_dtype

logger = logging.getLogger(__name__)

#: Directions per space that get a slider, and the samples that they are estimated from.
NUM_DIRECTIONS, NUM_SAMPLES = 6, 1000
#: Frames per network call, the first and later ones: few, so that a change is shown soon.
LEAD_FRAMES, CHUNK_FRAMES = 1, 2
#: Interval between checks for new weights of a run.
RELOAD_SECONDS = 2.0


@dataclass(frozen=True)
class SearchResult:
    """The latents that a search found.

    Attributes:
        name: the text or the file name that was searched for.
        file: the latents file that `commands` write.
        commands: command lines that repeat the search.
    """

    name: str
    latents: Latents
    file: str
    commands: tuple[str, ...]


@dataclass(frozen=True)
class FoundDirections:
    """Directions that a job found.

    Attributes:
        file: the directions file that `command` writes.
        command: command line that repeats the search.
        names: names on the page, and those in the file.
    """

    directions: Directions
    file: str
    command: str
    names: dict[str, str]


class StudioModel(VideoSource):
    """A loaded model and the search results in it.

    Attributes:
        path: model folder or run, as the user gave it.
        model: in bfloat16 where the hardware accelerates it.
        search_results: by number, which is how `VideoParams` refer to them.
        found_directions: by the number of their job.
    """

    def __init__(self, path: Path | str, *, device: str | None = None) -> None:
        self.path, self._device = str(path), device
        self.model = self._load()
        self.search_results: dict[int, SearchResult] = {}
        self.found_directions: dict[int, FoundDirections] = {}
        self._directions_lock = threading.Lock()
        self._checked = time.monotonic()
        self._version = self._modification_time()

    def _load(self) -> VideoModel:
        is_bfloat16 = choose_dtype("auto", choose_device(self._device)) == torch.bfloat16
        model = load(self.path, device=self._device, precision="bfloat16" if is_bfloat16 else "float32")
        if isinstance(model, VideoGenerator):
            model.first_chunk_size, model.chunk_size = LEAD_FRAMES, CHUNK_FRAMES
        return model

    @property
    def is_editable(self) -> bool:
        """Whether the model has the styles and motion codes that edits change."""
        return isinstance(self.model, VideoGenerator)

    @property
    def generator(self) -> VideoGenerator:
        """The model, if it can be edited. Raises StyleganvError if it has no styles and motion codes."""
        if not isinstance(self.model, VideoGenerator):
            raise StyleganvError(f"Editing requires a StyleGAN-V model, got {self.model.name}: select another model.")
        return self.model

    def metadata(self) -> SourceMetadata:
        model = self.model
        hint = "" if model.labels.kind == "class" else ",".join(model.labels.names)
        return SourceMetadata(
            name=self.name,
            title=model.name,
            width=model.width,
            height=model.height,
            fps=model.fps,
            class_names=model.labels.names if model.num_classes and not hint else (),
            label_hint=hint,
            num_layers=model.generator.synthesis.num_styles if isinstance(model, VideoGenerator) else 0,
            max_seconds=None if model.max_frames is None else model.max_frames / model.fps,
            supports_any_fps=model.supports_any_fps,
            supports_motion_seed=model.supports_motion_seed,
            supports_truncation=model.supports_truncation,
            is_image_model=model.is_image_model,
            is_run=self.run is not None,
        )

    @property
    def run(self) -> Path | None:
        """The folder of the run, if the path is one."""
        return Path(self.path) if (Path(self.path) / "log.jsonl").is_file() else None

    def _modification_time(self) -> int:
        folder = Path(self.path)
        files = [folder / "model" / "model.safetensors", folder / "model.safetensors"]
        return next((file.stat().st_mtime_ns for file in files if file.is_file()), 0)

    def reload(self) -> int:
        if self.run is not None and time.monotonic() - self._checked >= RELOAD_SECONDS:
            self._checked, version = time.monotonic(), self._modification_time()
            if version != self._version:
                try:
                    self.model, self._version = self._load(), version
                    self.__dict__.pop("directions", None)
                except StyleganvError as error:  # between the renames of a save; the next look tries again
                    logger.info("Keeping the earlier weights: %s", error)
        return self._version

    def snapshots(self) -> list[Path]:
        """Return the snapshot images of the run, oldest first."""
        return [] if self.run is None else sorted((self.run / "snapshots").glob("*.png"))

    @cached_property
    def directions(self) -> tuple[Directions, ...]:
        """Directions per space, estimated on first use in a few seconds; empty if the model cannot be edited."""
        if not isinstance(self.model, VideoGenerator):
            return ()
        spaces: list[Space] = ["content"] if self.model.is_image_model else ["content", "motion"]
        options = [
            DirectionOptions(space=each, num_directions=NUM_DIRECTIONS, num_samples=NUM_SAMPLES) for each in spaces
        ]
        return tuple(find_directions(self.model, each) for each in options)

    def direction_names(self) -> list[str]:
        with self._directions_lock:
            estimated = [f"{directions.space} {name}" for directions in self.directions for name in directions.names]
        return estimated + [name for found in list(self.found_directions.values()) for name in found.names]

    def find_direction(self, full_name: str) -> tuple[Directions, str]:
        """Return the directions and the name in them of e.g. "content 1". Raises StyleganvError for an unknown name."""
        for found in list(self.found_directions.values()):
            if full_name in found.names:
                return found.directions, found.names[full_name]
        space, _, name = full_name.partition(" ")
        for directions in self.directions:
            if directions.space == space and name in directions.names:
                return directions, name
        raise StyleganvError(f"Unknown direction {full_name}: reload the page.")

    def direction_file(self, full_name: str) -> tuple[str, str]:
        """Return the directions file that has this direction, and the command line that writes it."""
        for found in list(self.found_directions.values()):
            if full_name in found.names:
                return found.file, found.command
        space = self.find_direction(full_name)[0].space
        options = f"--space {space} --num-directions {NUM_DIRECTIONS} --num-samples {NUM_SAMPLES}".split()
        file = f"{space}.safetensors"
        return file, shlex.join(["styleganv", "directions", self.name, "--out", file, *options])

    def frames(self, params: VideoParams, *, start: float, fps: float) -> Iterator[Frame]:
        rows, columns = params.grid
        if rows * columns == 1:
            return self._video(params, start, fps)
        motion = params.motion_seed or 0
        cells = [
            self._video(replace(params, seed=params.seed + j, motion_seed=motion + i), start, fps)
            for i in range(rows)
            for j in range(columns)
        ]
        return (
            sheets.tile(np.stack(images).reshape(rows, columns, *images[0].shape))
            for images in zip(*cells, strict=False)
        )

    def label(self, params: VideoParams) -> str | None:
        """Return the label of a video as text, or None. Raises StyleganvError if the model has no such class."""
        if params.label is None or isinstance(params.label, str):
            return params.label
        if self.model.labels.problem(params.label):
            raise StyleganvError(f"Unknown class {params.label}: reload the page.")
        return self.model.labels.format(params.label)

    def _video(self, params: VideoParams, start: float, fps: float) -> Iterator[Frame]:
        model, seconds = self.model, None
        rate = fps if self.is_editable else model.fps
        if model.max_frames is not None:
            seconds = max(1, math.floor((model.max_frames / model.fps - start) * rate + 1e-6)) / rate
        if isinstance(model, VideoGenerator):
            return render_latents(model, self.latents(params), start=start, seconds=seconds, fps=fps)
        motion = params.motion_seed if model.supports_motion_seed else None
        return model.stream(
            seed=params.seed,
            motion_seed=motion,
            start=start,
            seconds=seconds,
            psi=params.psi,
            label=self.label(params),
        )

    def latents(self, params: VideoParams) -> Latents:
        """Return the latents of a video with all its edits. Raises StyleganvError if the model cannot show them."""
        model = self.generator
        motion, label = params.motion_seed if model.supports_motion_seed else None, self.label(params)
        if params.search_result is None:
            latents = latents_from_seed(model, params.seed, motion_seed=motion, psi=params.psi, label=label)
        else:
            latents = truncate(model, self.search_result(params.search_result).latents, params.psi)
            if motion is not None:
                own = latents.motion.label if label is None else model.choose_label(motion, label)
                latents = replace(latents, motion=MotionLatents(motion, label=own))
        if params.mix is not None:
            other = latents_from_seed(model, int(params.mix.content), psi=params.psi, label=label)  # type: ignore[arg-type]
            latents = mix_styles(latents, other, params.mix.layers, params.mix.amount)
        for full_name, strength in params.directions:
            directions, name = self.find_direction(full_name)
            latents = directions.apply(latents, name, strength)
        return latents

    def search_result(self, number: int) -> SearchResult:
        """Return a search result by its number. Raises StyleganvError if there is none."""
        if number not in self.search_results:
            raise StyleganvError(f"Search result {number} not found: reload the page.")
        return self.search_results[number]

    def export_fps(self, fps: float) -> float:
        return fps if self.model.supports_any_fps else self.model.fps


def open_sources(paths: Sequence[Path | str], *, device: str | None = None) -> list[VideoSource]:
    """Return the models, followed by each training dataset that still exists."""
    models = [StudioModel(path, device=device) for path in paths]
    datasets = dict.fromkeys(filter(None, map(training_data, paths)))
    return [*models, *(RealVideoSource(VideoDataset(path)) for path in datasets)]
