"""Project files: a model and a timeline as YAML, and the video that they describe.

model: faces-64
seconds: 4
loop: true
keyframes:
  - {time: 0, content: 3, psi: 0.7}
  - {time: 2, content: "3@0.5,8@0.5", speed: 2}
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import yaml

from styleganv.config.settings_file import read_yaml
from styleganv.editing.directions import Directions, load_directions
from styleganv.editing.latents import Latents, load_latents
from styleganv.errors import StyleganvError
from styleganv.files import atomic_write, check_destination
from styleganv.media import sheets, writing
from styleganv.media.enlarging import enlarge, enlarge_each, enlarge_grid, watchable_scale
from styleganv.methods.loading import load
from styleganv.methods.stylegan_v.sampler import VideoGenerator
from styleganv.options import ComputeOptions, OutputOptions
from styleganv.progress import Progress, track
from styleganv.timeline.notation import check_keys
from styleganv.timeline.scene import Scene, cells
from styleganv.timeline.timeline import Timeline
from styleganv.validation import check
from styleganv.video_model import Frame, VideoModel

KEYS = ("model", "seconds", "fps", "start", "loop", "keyframes")


@dataclass(frozen=True)
class Project:
    """A timeline and the model that shows it: a folder, run, or name of a pretrained model; None leaves it open."""

    timeline: Timeline
    model: str | None = None


class FileResolver:
    """Names in a project file: latents files or folders, and directions as FILE:NAME, relative to its folder."""

    def __init__(self, model: VideoModel, folder: Path) -> None:
        self.model, self.folder = model, folder
        self.find_latents = cache(self._load_latents)
        self._directions = cache(self._load_directions)

    def _load_latents(self, name: str) -> Latents:
        return load_latents(self._generator, self.folder / name)

    def find_direction(self, full_name: str) -> tuple[Directions, str]:
        """Return the directions in a file and the name in them. Raises StyleganvError for an unknown one."""
        file, _, name = full_name.rpartition(":")
        if not file:
            raise StyleganvError(f"Unknown direction {full_name}: pass FILE:NAME, e.g. content.safetensors:1.")
        directions = self._directions(file)
        if name not in directions.names:
            raise StyleganvError(f"Unknown direction {name} of {file}: choose one of {', '.join(directions.names)}.")
        return directions, name

    def _load_directions(self, file: str) -> Directions:
        return load_directions(self._generator, self.folder / file)

    @property
    def _generator(self) -> VideoGenerator:
        if not isinstance(self.model, VideoGenerator):
            raise StyleganvError(f"Editing requires a StyleGAN-V model, got {self.model.name}: use another model.")
        return self.model


def read_project(path: Path | str) -> Project:
    """Return the content of a project file.

    Raises:
        StyleganvError: if it cannot be read, or has unknown keys or invalid values; the message names the keyframe.
    """
    path = Path(path)
    tree = read_yaml(path, "project")
    try:
        return parse_project(tree)
    except StyleganvError as error:
        raise StyleganvError(f"{path}: {error}") from error


def parse_project(tree: Any) -> Project:
    """Return the project that a mapping describes. Raises StyleganvError for unknown keys and invalid values."""
    values = dict(check("A project", tree, dict))
    check_keys(values, KEYS)
    model = values.pop("model", None)
    return Project(Timeline.from_json(values), check("model", model, str | None))


def format_project(project: Project) -> str:
    """Return the text of a project file."""
    tree = ({} if project.model is None else {"model": project.model}) | project.timeline.to_json()
    return yaml.safe_dump(tree, sort_keys=False, allow_unicode=True, width=120)


def write_project(path: Path | str, project: Project, *, overwrite: bool = False) -> None:
    """Write a project file. Raises StyleganvError as `atomic_write`."""
    with atomic_write(path, overwrite=overwrite) as tmp_path:
        tmp_path.write_text(format_project(project), "utf-8")


def render(
    project: Path | str,
    out: Path | str,
    *,
    model: Path | str | None = None,
    compute: ComputeOptions = ComputeOptions(),
    output: OutputOptions = OutputOptions(),
    progress: Progress | None = None,
) -> Path:
    """Write the video of a project file, in constant memory.

    Args:
        project: the file; relative paths in it are relative to its folder.
        out: file to write; its suffix chooses the format: .mp4, .gif or .webp.
        model: model instead of the project's.
        compute, output: see the classes.

    Raises:
        StyleganvError: for a file that cannot be read, one to write that exists, or what the model does not support.
    """
    path, out = Path(project), Path(out)
    check_destination(out, overwrite=output.overwrite)
    opened = read_project(path)
    timeline = opened.timeline
    if model is None and opened.model is None:
        raise StyleganvError(f"{path} names no model: add the key model, or pass --model.")
    local = path.parent / (opened.model or "")
    source = model if model is not None else local if local.exists() else opened.model
    video_model = load(source or "", device=compute.device, precision=compute.precision)
    fps = timeline.fps or video_model.fps
    writing.check_video(out, fps, output.crf)
    if not video_model.supports_any_fps and fps != video_model.fps:
        raise StyleganvError(
            f"{video_model.name} supports only the frame rate of its dataset, got {fps:g} fps: use {video_model.fps:g}."
        )
    resolver = FileResolver(video_model, path.parent)
    _check_keyframes(video_model, timeline, resolver, path)
    num_frames = video_model.num_frames(timeline.seconds, fps)
    # The frames of a loop divide it evenly, also where it is no whole number of them.
    rate = float(num_frames / Fraction(timeline.seconds)) if timeline.loop else fps
    images = islice(cells(video_model, timeline, resolver, start=0.0, fps=rate), num_frames)
    tracked = track(_enlarge(images, output.scale), progress, num_frames, "generating")
    writing.write_video(out, tracked, fps, crf=output.crf, overwrite=output.overwrite)
    return out


def _check_keyframes(model: VideoModel, timeline: Timeline, resolver: FileResolver, path: Path) -> None:
    """Raise StyleganvError, with the number of the keyframe and the key, for a value that the model cannot show."""
    if not isinstance(model, VideoGenerator):
        return
    scene = Scene(model, Timeline(), resolver)
    for number, keyframe in enumerate(timeline.keyframes, 1):
        for key, value in keyframe.values.items():
            try:
                scene.check(key, value)
            except StyleganvError as error:
                raise StyleganvError(f"{path}: Keyframe {number}: {key}: {error}") from error


def _enlarge(images: Iterator[Any], scale: int | None) -> Iterator[Frame]:
    """Yield cells `[R, C, H, W, 3]` as one frame each, enlarged like those of `generate`."""
    for image in images:
        if image.shape[:2] == (1, 1):
            yield enlarge(image[0, 0], scale or watchable_scale(*image.shape[2:4]))
        else:
            yield sheets.tile(enlarge_each(image, scale) if scale else enlarge_grid(image))
