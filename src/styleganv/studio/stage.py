"""A model, or the videos that it learned from, as something to look at: frames of a scene from any moment on.

Times are in seconds of the data's clock. Shapes: H height, W width.
"""

import math
import shlex
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import count, islice, takewhile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from styleganv.data.dataset import VideoDataset
from styleganv.editing.directions import Directions, find_directions
from styleganv.editing.edits import mixed
from styleganv.editing.latents import Latents, MotionLatents, latents_of, play, truncated
from styleganv.errors import StyleganvError
from styleganv.media import sheets, writing
from styleganv.methods.loading import load
from styleganv.methods.stylegan_v.sampler import VideoGenerator
from styleganv.motion_report.diagnose import training_data
from styleganv.studio.scene import Scene, Take
from styleganv.video_model import Frame, VideoModel, chosen_device, working_precision

#: Directions of content and of motion that get a slider, and the samples they are found in.
SLIDERS, SAMPLES = 6, 1000
#: Frames that go through the network together, at first and then: few, so that a slider is soon seen to move.
LEAD, CHUNK = 1, 2
#: Between two looks at whether a run has new weights.
FOLLOW_SECONDS = 2.0


@dataclass(frozen=True)
class Find:
    """A video that a job found: by text, or in a clip.

    Attributes:
        name: for people.
        file: that `lines` write, and that `styleganv edit --seed` takes.
        lines: of the command line, which find it again.
    """

    name: str
    latents: Latents
    file: str
    lines: tuple[str, ...]


class Stage:
    """A loaded model, and what can be asked of it.

    Attributes:
        place: as the person named it.
        model: in bfloat16 where the machine is faster with it.
        finds: by number, which scenes name them by.
    """

    def __init__(self, place: Path | str, *, device: str | None = None) -> None:
        self.place, self._device = str(place), device
        self.model = self._loaded()
        self.finds: dict[int, Find] = {}
        self._finding = threading.Lock()
        self._looked = time.monotonic()
        self._written = self._changed()

    def _loaded(self) -> VideoModel:
        half = working_precision("auto", chosen_device(self._device)) == torch.bfloat16
        model = load(self.place, device=self._device, precision="bfloat16" if half else "float32")
        if isinstance(model, VideoGenerator):
            model.lead, model.chunk = LEAD, CHUNK
        return model

    @property
    def editable(self) -> bool:
        """Whether it has the styles and motion codes that edits change."""
        return isinstance(self.model, VideoGenerator)

    def described(self) -> dict[str, Any]:
        """For the page: which controls make sense."""
        model = self.model
        layers = model.generator.synthesis.num_styles if isinstance(model, VideoGenerator) else 0
        return {
            "name": self.place,
            "kind": model.name,
            "width": model.width,
            "height": model.height,
            "fps": model.fps,
            "classes": model.class_names or [str(i) for i in range(model.num_classes)],
            "layers": layers,
            "seconds": None if model.max_frames is None else model.max_frames / model.fps,
            "anyRate": model.any_rate,
            "motionSeeds": model.motion_seeds,
            "truncates": model.truncates,
            "still": model.still,
            "training": self.run is not None,
        }

    @property
    def run(self) -> Path | None:
        """The folder of the run, if the place is one."""
        return Path(self.place) if (Path(self.place) / "log.jsonl").is_file() else None

    def _changed(self) -> int:
        """When the model was written last."""
        folder = Path(self.place)
        files = [folder / "model" / "model.safetensors", folder / "model.safetensors"]
        return next((file.stat().st_mtime_ns for file in files if file.is_file()), 0)

    def follow(self) -> int:
        """Take the latest weights of a run in training, if there are new ones; looks every few seconds.

        Returns:
            A number that is another one for other weights.
        """
        if self.run is not None and time.monotonic() - self._looked >= FOLLOW_SECONDS:
            self._looked, written = time.monotonic(), self._changed()
            if written != self._written:
                self._written = written
                self.model = self._loaded()
                self.__dict__.pop("directions", None)
        return self._written

    def snapshots(self) -> list[Path]:
        """Pictures that a run took of itself, in the order of time."""
        return [] if self.run is None else sorted((self.run / "snapshots").glob("*.png"))

    @cached_property
    def directions(self) -> tuple[Directions, ...]:
        """Found when first asked for, in some seconds; none of a model that cannot be edited."""
        if not isinstance(self.model, VideoGenerator):
            return ()
        spaces = ["content"] if self.model.still else ["content", "motion"]
        return tuple(find_directions(self.model, space, count=SLIDERS, samples=SAMPLES) for space in spaces)  # type: ignore[arg-type]

    def direction_names(self) -> list[str]:
        """Such as "content 1" and "motion 3"."""
        with self._finding:
            return [f"{found.space} {name}" for found in self.directions for name in found.names]

    def frames(self, scene: Scene, *, start: float, fps: float) -> Iterator[Frame]:
        """Endless, `[H, W, 3]` (of a grid, all its cells), in constant memory.

        Raises:
            StyleganvError: for what the model cannot show.
        """
        rows, columns = scene.grid
        if rows * columns == 1:
            return self._video(scene, start, fps)
        motion = scene.motion_seed or 0
        cells = [
            self._video(replace(scene, seed=scene.seed + j, motion_seed=motion + i), start, fps)
            for i in range(rows)
            for j in range(columns)
        ]
        return (
            sheets.tile(np.stack(each).reshape(rows, columns, *each[0].shape)) for each in zip(*cells, strict=False)
        )

    def _video(self, scene: Scene, start: float, fps: float) -> Iterator[Frame]:
        model, seconds = self.model, None
        if not isinstance(model, VideoGenerator):
            if model.max_frames is not None:
                seconds = max(1, math.floor(model.max_frames - start * model.fps + 1e-6)) / model.fps
            motion = scene.motion_seed if model.motion_seeds else None
            return model.stream(
                seed=scene.seed, motion_seed=motion, start=start, seconds=seconds, psi=scene.psi, label=scene.label
            )
        if model.max_frames is not None:
            seconds = max(1, math.floor((model.max_frames / model.fps - start) * fps)) / fps
        return play(model, self.latents(scene), start=start, seconds=seconds, fps=fps)

    def latents(self, scene: Scene) -> Latents:
        """Of a scene's video, with all its edits.

        Raises:
            StyleganvError: for what the model cannot show.
        """
        model, motion = self.editable_model(), scene.motion_seed if self.model.motion_seeds else None
        if scene.found is None:
            latents = latents_of(model, scene.seed, motion_seed=motion, psi=scene.psi, label=scene.label)
        else:
            latents = truncated(model, self._find(scene.found).latents, scene.psi)
            if motion is not None:
                kind = latents.motion.label if scene.label is None else model.class_index(0, scene.label)
                latents = replace(latents, motion=MotionLatents(motion, label=kind))
        if scene.mix is not None:
            seed, first, last, amount = scene.mix
            other = latents_of(model, seed, psi=scene.psi, label=scene.label)
            latents = mixed(latents, other, range(first, last + 1), amount)
        for words, strength in scene.moved:
            found, name = self._direction(words)
            latents = found.moved(latents, name, strength)
        return latents

    def editable_model(self) -> VideoGenerator:
        """Raises StyleganvError if the model has no styles and motion codes that edits change."""
        if not isinstance(self.model, VideoGenerator):
            raise StyleganvError(f"{self.model.name} cannot be edited: choose a StyleGAN-V model.")
        return self.model

    def _find(self, number: int) -> Find:
        if number not in self.finds:
            raise StyleganvError("What was found is no longer there: load the page again.")
        return self.finds[number]

    def command(self, scene: Scene, take: Take) -> str:
        """What a person types for the same video.

        Raises:
            StyleganvError: for a grid of edited videos, which no command makes.
        """
        # All digits of a far time: six would hide what is seen at 1,000,000.25 s.
        span = ["--start", f"{take.start:.12g}", "--seconds", f"{take.seconds:.12g}"]
        rows, columns = scene.grid
        if rows * columns > 1:
            if scene.mix or scene.moved or take.speed != 1:
                raise StyleganvError("There is no command for a grid of edited videos: save it as a video instead.")
            words = ["styleganv", "generate", self.place, "--out", "grid", "--format", "grid"]
            words += ["--seeds", _span(scene.seed, columns), "--motion-seeds", _span(scene.motion_seed or 0, rows)]
            return shlex.join([*words, *span, "--fps", f"{take.fps:g}", *self._shared(scene)])
        if not self.editable:
            words = ["styleganv", "generate", self.place, "--out", "videos", "--seeds", str(scene.seed)]
            if self.model.motion_seeds:
                words += ["--motion-seeds", str(scene.motion_seed)]
            return shlex.join([*words, *span, "--format", take.format, *self._shared(scene)])
        lines, video = self.edited(scene)
        words = ["styleganv", "edit", self.place, "--out", f"video.{take.format}", *video]
        words += [] if take.speed == 1 else ["--speed", f"{take.speed:g}"]
        return "\n".join([*lines, shlex.join([*words, *span, "--fps", f"{take.fps:g}"])])

    def edited(self, scene: Scene) -> tuple[list[str], list[str]]:
        """The words after `styleganv edit MODEL` that say which video it is, and command lines to run before."""
        lines: list[str] = []
        words = ["--seed", str(scene.seed)]
        if scene.found is not None:
            find = self._find(scene.found)
            lines, words = list(find.lines), ["--seed", find.file]
        if self.model.motion_seeds and scene.motion_seed is not None:
            words += ["--motion-seed", str(scene.motion_seed)]
        if scene.mix is not None:
            words += ["--mix", "{}:{}-{}@{:g}".format(*scene.mix)]
        directions = []
        for moved, strength in scene.moved:
            found, name = self._direction(moved)
            file = f"{found.space}.safetensors"
            asked = ["--space", found.space, "--count", str(SLIDERS), "--samples", str(SAMPLES)]
            line = shlex.join(["styleganv", "directions", self.place, "--out", file, *asked])
            lines += [] if line in lines else [line]
            directions.append(f"{file}:{name}={strength:g}")
        if directions:
            words += ["--direction", ";".join(directions)]
        return lines, words + self._shared(scene)

    def _shared(self, scene: Scene) -> list[str]:
        words = [] if scene.psi == 1 else ["--psi", f"{scene.psi:g}"]
        words += [] if scene.label is None else ["--label", str(scene.label)]
        return words + ([] if self.model.precision == "float32" else ["--precision", self.model.precision])

    def write(self, scene: Scene, take: Take, path: Path, *, until: Callable[[], bool] = lambda: False) -> None:
        """The video as a file, as the person sees it; cut short once `until` is true."""
        rate = take.fps if self.model.any_rate else self.model.fps
        _write(self.frames(scene, start=take.start, fps=rate / take.speed), take, rate, path, until)

    def _direction(self, words: str) -> tuple[Directions, str]:
        """The directions of a space, and the name among them."""
        space, _, name = words.partition(" ")
        found = next((one for one in self.directions if one.space == space and name in one.names), None)
        if found is None:
            raise StyleganvError(f"There is no direction {words}: load the page again.")
        return found, name


class Footage:
    """The real videos that a model learned from, as a stage: those of a seed's number, over and over."""

    def __init__(self, data: VideoDataset) -> None:
        self.data, self.place = data, str(data.path)

    def described(self) -> dict[str, Any]:
        data = self.data
        return {
            "name": f"real: {data.path.name}",
            "kind": "real videos",
            "width": data.width,
            "height": data.height,
            "fps": data.fps,
            "classes": [],
            "layers": 0,
            "seconds": None,
            "anyRate": False,
            "motionSeeds": False,
            "truncates": False,
            "still": False,
            "training": False,
        }

    def frames(self, scene: Scene, *, start: float, fps: float) -> Iterator[Frame]:
        """Endless; at any `fps` those of the moment, as they are."""
        rows, columns = scene.grid
        videos = [(scene.seed + i) % len(self.data) for i in range(rows * columns)]
        for i in count():
            at = int((start + i / fps) * self.data.fps + 1e-6)
            cells = [self.data.read(video, [at % self.data.videos[video].num_frames])[0] for video in videos]
            pictures = np.stack(cells).transpose(0, 2, 3, 1)
            yield sheets.tile(pictures.reshape(rows, columns, *pictures.shape[1:]))

    def follow(self) -> int:
        return 0

    def direction_names(self) -> list[str]:
        return []

    def command(self, scene: Scene, take: Take) -> str:
        raise StyleganvError("Real videos are not made by a command: they are in the data set.")

    def write(self, scene: Scene, take: Take, path: Path, *, until: Callable[[], bool] = lambda: False) -> None:
        _write(self.frames(scene, start=take.start, fps=take.fps / take.speed), take, take.fps, path, until)


def stages_of(places: Sequence[Path | str], *, device: str | None = None) -> list[Stage | Footage]:
    """The models, and after them each data set that one of them learned from and that is still there."""
    stages: list[Stage | Footage] = [Stage(place, device=device) for place in places]
    found = dict.fromkeys(filter(None, map(training_data, places)))
    return stages + [Footage(VideoDataset(path)) for path in found]


def _write(frames: Iterator[Frame], take: Take, rate: float, path: Path, until: Callable[[], bool]) -> None:
    taken = islice(frames, max(1, round(take.seconds * rate)))
    writing.write_video(path, takewhile(lambda _: not until(), taken), rate)


def _span(first: int, count: int) -> str:
    return f"{first}-{first + count - 1}"


class Viewer:
    """One page's view of a stage: goes on with a video where it stopped, and starts anew where it jumped."""

    def __init__(self, stage: Stage | Footage) -> None:
        self.stage = stage
        self._expected: tuple[Scene, float, int] | None = None
        self._time = 0.0
        self._frames: Iterator[Frame] = iter(())

    def next(
        self, scene: Scene, *, start: float, fps: float, count: int, until: Callable[[], bool] = lambda: False
    ) -> list[Frame]:
        """Up to `count` frames from `start` on; fewer at the end of a video that has one, or once `until` is true."""
        wanted = (scene, fps, self.stage.follow())
        before = self._frames  # held until the first new frame is there: what the two share is not made again
        if wanted != self._expected or abs(start - self._time) > 1e-6:
            self._expected = None  # unless there are frames
            self._frames = self.stage.frames(scene, start=start, fps=fps)
        shown: list[Frame] = []
        while len(shown) < count and not (shown and until()):
            frame = next(self._frames, None)
            if frame is None:
                break
            shown.append(frame)
        del before
        self._expected, self._time = wanted, start + len(shown) / fps
        return shown
