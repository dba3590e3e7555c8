"""What a viewer wants to see, and the frames of it.

    JSON of the page ──Scene.of──▶ Scene ──Stage.frames──▶ uint8 frames ──▶ the page
                                        └──command──▶ the command line that makes the same video

A scene says which video, not when: time, rate and pace are the viewer's own. Times are in seconds of the data's clock.
Shapes: H height, W width.
"""

import math
import shlex
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from styleganv import render
from styleganv.editing.directions import Directions, find_directions
from styleganv.editing.edits import mixed
from styleganv.editing.latents import latents_of, play
from styleganv.errors import StyleganvError
from styleganv.video_generator import VideoGenerator, load
from styleganv.video_model import Frame, VideoModel, working_precision

#: Directions of content and of motion that get a slider, and the samples they are found in.
SLIDERS, SAMPLES = 6, 1000
#: Frames that go through the network together: few, so that a slider is soon seen to move.
CHUNK = 2
MAX_SEED = 2**31 - 1
MAX_SECONDS = 60


@dataclass(frozen=True)
class Scene:
    """One endless video of a model.

    Attributes:
        seed, motion_seed: of content and motion.
        psi: truncation.
        label: number of the class, None for the seed's own.
        mix: a second content's seed and its first and last style layer, or None.
        moved: directions ("content 1") with strengths, in standard deviations; zeros left out.
    """

    seed: int = 0
    motion_seed: int = 0
    psi: float = 1.0
    label: int | None = None
    mix: tuple[int, int, int] | None = None
    moved: tuple[tuple[str, float], ...] = ()

    @classmethod
    def of(cls, values: dict[str, Any]) -> "Scene":
        """From what a page sent. Raises StyleganvError if it cannot be."""
        try:
            mix, label = values.get("mix"), values.get("label")
            scene = cls(
                seed=_whole(values.get("seed", 0)),
                motion_seed=_whole(values.get("motionSeed", 0)),
                psi=_number(values.get("psi", 1.0), -4, 4),
                label=None if label is None else _whole(label),
                mix=None if mix is None else (_whole(mix["seed"]), _whole(mix["first"]), _whole(mix["last"])),
                moved=tuple(
                    (str(name), _number(strength, -10, 10)) for name, strength in values.get("moved", {}).items()
                ),
            )
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            raise StyleganvError(f"The page asked for what cannot be shown ({error}): load it again.") from error
        return replace(scene, moved=tuple(pair for pair in scene.moved if pair[1]))


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_SEED:
        raise ValueError(f"{value!r} is no whole number from 0 to {MAX_SEED}")
    return value


def _number(value: Any, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ValueError(f"{value!r} is no number from {low:g} to {high:g}")
    return float(value)


@dataclass(frozen=True)
class Take:
    """What to save of a scene: from when on, how long (of the file), how fast the video goes, and how it is stored."""

    start: float
    seconds: float
    fps: float
    speed: float
    format: str

    @classmethod
    def of(cls, values: dict[str, Any]) -> "Take":
        """From what a page sent. Raises StyleganvError if it cannot be."""
        try:
            start, seconds = _number(values["start"], 0, 1e8), _number(values["seconds"], 0.01, MAX_SECONDS)
            take = cls(
                start, seconds, _number(values["rate"], 1, 120), _number(values["speed"], 0.01, 8), values["format"]
            )
        except (TypeError, ValueError, KeyError) as error:
            raise StyleganvError(f"This cannot be saved ({error}): choose up to {MAX_SECONDS} seconds.") from error
        if take.format not in ("mp4", "gif", "webp"):
            raise StyleganvError(f"Format {take.format} is not known: choose mp4, gif or webp.")
        return take


class Stage:
    """A loaded model, and what can be asked of it.

    Attributes:
        place: as the person named it.
        model: in bfloat16 where the machine is faster with it.
    """

    def __init__(self, place: Path | str, *, device: str | None = None) -> None:
        self.place = str(place)
        self.model: VideoModel = load(place, device=device)
        if working_precision("auto", self.model.device) == torch.bfloat16:
            self.model = load(place, device=device, precision="bfloat16")
        if isinstance(self.model, VideoGenerator):
            self.model.chunk = CHUNK
        self._finding = threading.Lock()

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
        }

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
        """Endless, `[H, W, 3]`, in constant memory. Raises StyleganvError for what the model cannot show."""
        model, motion = self.model, scene.motion_seed if self.model.motion_seeds else None
        if not isinstance(model, VideoGenerator):
            seconds = None
            if model.max_frames is not None:
                seconds = max(1, math.floor(model.max_frames - start * model.fps + 1e-6)) / model.fps
            return model.stream(
                seed=scene.seed, motion_seed=motion, start=start, seconds=seconds, psi=scene.psi, label=scene.label
            )
        latents = latents_of(model, scene.seed, motion_seed=motion, psi=scene.psi, label=scene.label)
        if scene.mix is not None:
            seed, first, last = scene.mix
            other = latents_of(model, seed, psi=scene.psi, label=latents.motion.label)
            latents = mixed(latents, other, range(first, last + 1))
        for words, strength in scene.moved:
            found, name = self._direction(words)
            latents = found.moved(latents, name, strength)
        seconds = None
        if model.max_frames is not None:
            seconds = max(1, math.floor((model.max_frames / model.fps - start) * fps)) / fps
        return play(model, latents, start=start, seconds=seconds, fps=fps)

    def command(self, scene: Scene, take: "Take") -> str:
        """What a person types for the same video."""
        if not self.editable:
            words = ["styleganv", "generate", self.place, "--out", "videos", "--seeds", str(scene.seed)]
            if self.model.motion_seeds:
                words += ["--motion-seeds", str(scene.motion_seed)]
            words += ["--start", f"{take.start:.6g}", "--seconds", f"{take.seconds:.6g}", "--format", take.format]
            return shlex.join(words + self._shared(scene))
        lines, directions = [], []
        for moved, strength in scene.moved:
            found, name = self._direction(moved)
            file = f"{found.space}.safetensors"
            asked = ["--space", found.space, "--count", str(SLIDERS), "--samples", str(SAMPLES)]
            line = shlex.join(["styleganv", "directions", self.place, "--out", file, *asked])
            lines += [] if line in lines else [line]
            directions.append(f"{file}:{name}={strength:g}")
        words = ["styleganv", "edit", self.place, "--out", f"video.{take.format}", "--seed", str(scene.seed)]
        if self.model.motion_seeds:
            words += ["--motion-seed", str(scene.motion_seed)]
        if scene.mix is not None:
            words += ["--mix", f"{scene.mix[0]}:{scene.mix[1]}-{scene.mix[2]}"]
        if directions:
            words += ["--direction", ";".join(directions)]
        if take.speed != 1:
            words += ["--speed", f"{take.speed:g}"]
        words += ["--start", f"{take.start:.6g}", "--seconds", f"{take.seconds:.6g}", "--fps", f"{take.fps:g}"]
        return "\n".join([*lines, shlex.join(words + self._shared(scene))])

    def _shared(self, scene: Scene) -> list[str]:
        words = [] if scene.psi == 1 else ["--psi", f"{scene.psi:g}"]
        words += [] if scene.label is None else ["--label", str(scene.label)]
        return words + ([] if self.model.precision == "float32" else ["--precision", self.model.precision])

    def write(self, scene: Scene, take: "Take", path: Path) -> None:
        """The video as a file, as the person sees it."""
        rate = take.fps if self.model.any_rate else self.model.fps
        frames = self.frames(scene, start=take.start, fps=rate / take.speed)
        render.write_video(path, islice(frames, max(1, round(take.seconds * rate))), rate)

    def _direction(self, words: str) -> tuple[Directions, str]:
        """The directions of a space, and the name among them."""
        space, _, name = words.partition(" ")
        found = next((one for one in self.directions if one.space == space and name in one.names), None)
        if found is None:
            raise StyleganvError(f"There is no direction {words}: load the page again.")
        return found, name


class Viewer:
    """One page's view of a stage: goes on with a video where it stopped, and starts anew where it jumped."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self._state: tuple[Scene, float, float] | None = None
        self._frames: Iterator[Frame] = iter(())

    def next(self, scene: Scene, *, start: float, fps: float, count: int) -> list[Frame]:
        """Up to `count` frames from `start` on; fewer at the end of a video that has one."""
        if (
            self._state is None
            or self._state[0] != scene
            or self._state[2] != fps
            or abs(self._state[1] - start) > 1e-6
        ):
            self._frames = self.stage.frames(scene, start=start, fps=fps)
        shown = list(islice(self._frames, count))
        self._state = (scene, start + len(shown) / fps, fps)
        return shown
