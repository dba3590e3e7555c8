"""A trained model as the page sees it: frames of an edited video from any time on, and its run while it trains.

Times are in seconds. Shapes: H height, W width.
"""

import json
import logging
import shlex
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch

from styleganv.config import load_settings
from styleganv.data.dataset import VideoDataset
from styleganv.editing.direction_search import find_directions
from styleganv.editing.directions import Directions
from styleganv.editing.latents import Latents, latents_from_seed, render_latents
from styleganv.errors import StyleganvError
from styleganv.methods import get_method
from styleganv.methods.loading import load
from styleganv.methods.stylegan_v.sampler import VideoGenerator
from styleganv.motion_report.diagnose import training_data
from styleganv.options import DirectionOptions, Space
from styleganv.studio.model_pool import ModelPool
from styleganv.studio.video_source import SourceMetadata, VideoSource
from styleganv.timeline.notation import VideoParams
from styleganv.timeline.scene import Scene
from styleganv.timeline.scene import frames as timeline_frames
from styleganv.timeline.timeline import Timeline
from styleganv.video_model import Frame, VideoModel, choose_device, choose_dtype

logger = logging.getLogger(__name__)

#: Directions per space that get a slider, and the samples that they are estimated from.
NUM_DIRECTIONS, NUM_SAMPLES = 6, 1000
#: Frames per network call, the first and later ones: few, so that a change is shown soon.
LEAD_FRAMES, CHUNK_FRAMES = 1, 2
#: Calls of `refresh` without another attempt after weights could not be loaded: doubled at each failure up to this.
MAX_SKIPS = 32
#: Digits of the number of a search result.
MAX_DIGITS = 9


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

    def __init__(
        self,
        path: Path | str,
        *,
        device: str | None = None,
        name: str | None = None,
        pool: ModelPool | None = None,
    ) -> None:
        """Load the weights; a run that has not saved any yet takes them at a later `refresh`.

        Args:
            name: replaces the public name of the path.
            pool: loads the weights when they are needed, and drops them when too many models are loaded.

        Raises:
            StyleganvError: if there is no model, or it is damaged.
        """
        self.path, self._device, self._pool = str(path), device, pool
        if name is not None:
            self.name = name
        self.search_results: dict[int, SearchResult] = {}
        self.found_directions: dict[int, FoundDirections] = {}
        self._directions_lock, self._loading = threading.Lock(), threading.Lock()
        self._num_failures, self._num_skips = 0, 0
        self._stamp, self._model = self._modification_time(), None
        if self.run is None or (self._stamp and pool is None):
            self._model = self._load()

    def _load(self) -> VideoModel:
        is_bfloat16 = choose_dtype("auto", choose_device(self._device)) == torch.bfloat16
        model = load(self.path, device=self._device, precision="bfloat16" if is_bfloat16 else "float32")
        if isinstance(model, VideoGenerator):
            model.first_chunk_size, model.chunk_size = LEAD_FRAMES, CHUNK_FRAMES
        return model

    @property
    def model(self) -> VideoModel:
        """The present weights, loaded if need be. Raises StyleganvError if the run has not saved any yet."""
        with self._loading:
            if self._model is None and not self._stamp:
                raise StyleganvError(f"{self.name} has saved no model yet: wait for its first save.")
            model = self._model = self._model or self._load()
        if self._pool:
            self._pool.use(self)
        return model

    def unload(self) -> None:
        """Drop the weights; what plays keeps them until it ends."""
        self._model = None

    @property
    def version(self) -> str:
        return f"{super().version}-{self._stamp:x}{'' if self._model else '-unloaded'}"

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
        model = self._model
        if model is None:
            return self._metadata_of_run()
        hint = "" if model.labels.kind == "class" else ",".join(model.labels.names)
        return SourceMetadata(
            name=self.name,
            kind="model" if self.run is None else "run",
            version=self.version,
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
        )

    def _metadata_of_run(self) -> SourceMetadata:
        """Return what is known of a run without its weights."""
        data = self._dataset_of_run()
        title, size, fps = data or ("", (64, 64), 25.0)
        return SourceMetadata(self.name, "run", title, *size, fps, self.version, ready=bool(self._stamp), loaded=False)

    def _dataset_of_run(self) -> tuple[str, tuple[int, int], float] | None:
        """Return the method's title, width and height, and frame rate; None if neither model nor dataset tells them."""
        folder = Path(self.path)
        with suppress(OSError, ValueError, KeyError, TypeError, StyleganvError):
            config = json.loads((folder / "model" / "config.json").read_bytes())
            network = config["generator"]
            size = int(network["width"]), int(network["height"])
            return get_method(config["model"]).title, size, float(config["data"]["fps"])
        with suppress(OSError, StyleganvError):  # before the first save
            if (path := training_data(folder)) is not None:
                data, method = VideoDataset(path), load_settings(folder / "settings.yaml").model.method
                return get_method(method).title, (data.width, data.height), data.fps
        return None

    @property
    def run(self) -> Path | None:
        """The folder of the run, if the path is one."""
        folder = Path(self.path)
        return folder if any((folder / name).is_file() for name in ("log.jsonl", "settings.yaml")) else None

    def _modification_time(self) -> int:
        """Return the time of the weights in nanoseconds; 0 if there are none, which holds for a moment in each save."""
        folder = Path(self.path)
        files = [folder / "model" / "model.safetensors", folder / "model.safetensors"]
        for file in files:
            with suppress(OSError):
                return file.stat().st_mtime_ns
        return 0

    def refresh(self) -> None:
        stamp = self._modification_time()
        if self.run is None or stamp in (0, self._stamp):
            return
        if self._pool and self._model is None:
            self._stamp = stamp
            return
        if self._num_skips > 0:
            self._num_skips -= 1
            return
        try:
            model = self._load()
            self._warm_up(model)
        except Exception as error:  # The files of two saves, or damaged ones: a later call tries again.
            self._num_skips = min(2**self._num_failures, MAX_SKIPS)
            self._num_failures += 1
            logger.warning("Keeping the earlier weights of %s: %s", self.path, error)
            return
        # Directions stay: they still apply, and new ones would take minutes.
        self._model, self._stamp, self._num_failures = model, stamp, 0

    def _warm_up(self, model: VideoModel) -> None:
        """Prepare the weights for generation, so that the first viewer does not wait for it."""
        if isinstance(model, VideoGenerator) and model.device.type == "cpu":
            with suppress(StyleganvError):  # e.g. without known labels
                next(render_latents(model, latents_from_seed(model, 0)))

    def snapshots(self) -> list[Path]:
        """Return the snapshot images of the run, oldest first."""
        return [] if self.run is None else sorted((self.run / "snapshots").glob("*.png"))

    @cached_property
    def directions(self) -> tuple[Directions, ...]:
        """Directions per space, estimated on first use in a few seconds; empty if the model cannot be edited."""
        model = self.model
        if not isinstance(model, VideoGenerator):
            return ()
        spaces: list[Space] = ["content"] if model.is_image_model else ["content", "motion"]
        options = [
            DirectionOptions(space=each, num_directions=NUM_DIRECTIONS, num_samples=NUM_SAMPLES) for each in spaces
        ]
        return tuple(find_directions(model, each) for each in options)

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
        raise StyleganvError(f"Unknown direction {full_name}: remove it, or find directions again.")

    def direction_file(self, full_name: str) -> tuple[str, str]:
        """Return the directions file that has this direction, and the command line that writes it."""
        for found in list(self.found_directions.values()):
            if full_name in found.names:
                return found.file, found.command
        space = self.find_direction(full_name)[0].space
        options = f"--space {space} --num-directions {NUM_DIRECTIONS} --num-samples {NUM_SAMPLES}".split()
        file = f"{space}.safetensors"
        return file, shlex.join(["styleganv", "directions", self.name, "--out", file, *options])

    def find_latents(self, name: str) -> Latents:
        """Return the latents of "result-2", a search result. Raises StyleganvError for any other name."""
        number = name.removeprefix("result-")
        if number == name or not number.isdecimal() or len(number) > MAX_DIGITS:
            raise StyleganvError(f"Unknown content or motion {name}: use a seed or a search result, e.g. result-1.")
        return self.search_result(int(number)).latents

    def frames(self, params: VideoParams | Timeline, *, start: float, fps: float) -> Iterator[Frame]:
        timeline = params if isinstance(params, Timeline) else Timeline.constant(params)
        return timeline_frames(self.model, timeline, self, start=start, fps=fps)

    def latents(self, params: VideoParams) -> Latents:
        """Return the latents of a video with all its edits. Raises StyleganvError if the model cannot show them."""
        return Scene(self.generator, Timeline.constant(params), self).latents(0.0)

    def search_result(self, number: int) -> SearchResult:
        """Return a search result by its number. Raises StyleganvError if there is none."""
        if number not in self.search_results:
            raise StyleganvError(f"{self.name} has no result-{number}: choose another content.")
        return self.search_results[number]
