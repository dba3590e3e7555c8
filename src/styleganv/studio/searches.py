"""Jobs that search: what the page may ask for, checked, and the command lines that do it.

params, text ──▶ styleganv edit --text ──┐
uploaded clip ──▶ styleganv project ─────┴──▶ SearchResult, a content source of the page
a score or text ──▶ styleganv directions ──▶ FoundDirections, sliders of the page
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain, count
from pathlib import Path
from typing import Any

from styleganv.editing.directions import load_directions
from styleganv.editing.latents import load_latents, save_latents
from styleganv.editing.scores import RESERVED_CHARACTERS
from styleganv.errors import StyleganvError
from styleganv.media.sources import SUFFIX_LIST, VIDEO_SUFFIXES
from styleganv.options import DirectionOptions
from styleganv.studio.commands import edit_options
from styleganv.studio.job import MAX_NAME_LENGTH, Job, Task, check_address, check_text, command_line
from styleganv.studio.jobs import JobManager
from styleganv.studio.studio_model import FoundDirections, SearchResult, StudioModel
from styleganv.studio.upload import MAX_SECONDS
from styleganv.timeline.notation import VideoParams

MAX_TEXT_LENGTH, MAX_FILE_NAME = 200, 255
MAX_CLIP_SECONDS, MAX_STEPS = 10.0, 2000
MAX_DIRECTIONS, MAX_SAMPLES = 20, 10_000
#: Of a request for directions, as the options of `styleganv directions`.
DIRECTION_KEYS = ("space", "num_directions", "num_samples", "score", "text", "source_text")
#: Duration of the video that compares a text edit with its original.
COMPARISON_SECONDS = 2.0


@dataclass(frozen=True)
class ClipParams:
    """Part of an uploaded video to project, and steps of the search. Raises StyleganvError for a value out of range."""

    start: float = 0.0
    seconds: float = 2.0
    num_steps: int = 300

    def __post_init__(self) -> None:
        if not 0 <= self.start <= MAX_SECONDS:
            raise StyleganvError(
                f"The start of a clip must be 0 s to {MAX_SECONDS:g} s, got {self.start:g} s: change it."
            )
        if not 0 < self.seconds <= MAX_CLIP_SECONDS:
            raise StyleganvError(
                f"The duration of a clip must be at most {MAX_CLIP_SECONDS:g} s, got {self.seconds:g} s: change it."
            )
        _check_steps(self.num_steps)


def edit_by_text(
    manager: JobManager, model: StudioModel, params: VideoParams, text: str, num_steps: Any, address: Any = ""
) -> Job:
    """Edit a video to match a text. Raises StyleganvError for invalid arguments, or if too many jobs wait."""
    text = text.strip().lstrip("-")  # A leading hyphen would start an option.
    check_text("text", text, MAX_TEXT_LENGTH)
    if params.grid != (1, 1):
        raise StyleganvError("A text edit requires a single video, got a grid: set columns and rows to 1.")
    _check_steps(num_steps)
    (commands, options), latents = edit_options(model, params), model.latents(params)
    search = ["--text", text, "--text-steps", str(num_steps)]
    search += ["--side-by-side", "--seconds", f"{COMPARISON_SECONDS:g}"]
    search += [] if manager.clip_model is None else ["--clip-model", str(manager.clip_model)]

    def make(number: int, folder: Path) -> Task:
        start, result, file = folder / "start.safetensors", folder / "result", f"edit-{number}.safetensors"
        save_latents(start, latents)
        argv = ["edit", model.path, "--latents", str(start), *search, "--precision", model.model.precision]
        argv += ["--out", str(result / "comparison.mp4"), "--save-latents", str(result / "latents.safetensors")]
        repeat = [*options, *search, "--out", f"edit-{number}.mp4", "--save-latents", file]
        lines = (*commands, command_line("edit", model.name, *repeat))
        task = Task("text", text, model, tuple(argv), lines, address=check_address(address))
        return _search_task(number, folder, task, file)

    return manager.submit(make)


def project(
    manager: JobManager, model: StudioModel, upload: Path, name: str, clip: ClipParams, address: Any = ""
) -> Job:
    """Search for the latents of an uploaded clip.

    Args:
        upload: path from `receive_upload`; the file is moved.
        name: of the file on the user's machine.

    Raises:
        StyleganvError: if the model cannot be projected to, or too many jobs wait.
    """
    _check_projection(model)
    options = ["--start", f"{clip.start:.12g}", "--seconds", f"{clip.seconds:.12g}"]
    options += ["--num-steps", str(clip.num_steps)]

    def make(number: int, folder: Path) -> Task:
        file, source = f"projection-{number}", upload.rename(folder / upload.name)
        argv = ("project", model.path, str(source), *options, "--out", str(folder / "result"))
        clip_name = f"./{name}" if name.startswith("-") else name  # no option
        lines = (command_line("project", model.name, clip_name, *options, "--out", file),)
        task = Task("clip", name, model, argv, lines, address=check_address(address))
        return _search_task(number, folder, task, file)

    return manager.submit(make)


def _search_task(number: int, folder: Path, task: Task, file: str) -> Task:
    """Return the task with the files of a search, which becomes a `SearchResult` of this number."""
    results = task.model.search_results

    def finish() -> None:
        latents = load_latents(task.model.generator, folder / "result")
        results[number] = SearchResult(task.name, latents, file, task.commands)

    files = {name: folder / "result" / name for name in ("latents.safetensors", "comparison.mp4")}
    return replace(task, files=files, finish=finish, forget=lambda: results.pop(number, None))


def find_directions(manager: JobManager, model: StudioModel, values: dict[str, Any]) -> Job:
    """Find directions of a model: those of largest variance, or one of a score or a text.

    Args:
        values: from the page: `space`, `num_directions`, `num_samples`, `score`, `text`, `source_text` as the options
            of `styleganv directions`; `name` on the page; `address`.

    Raises:
        StyleganvError: for a value out of range, or if too many jobs wait.
    """
    given = {key: values[key] for key in DIRECTION_KEYS if values.get(key) is not None}
    for key in {"text", "source_text", "score"} & given.keys():
        given[key] = str(given[key]).strip().lstrip("-")
        check_text(key, given[key], MAX_TEXT_LENGTH)
    try:
        options = DirectionOptions(**given)
    except TypeError as error:
        raise StyleganvError(f"Invalid request from the page ({error}): reload it.") from error
    if options.num_directions > MAX_DIRECTIONS or len(options.seeds) > MAX_SAMPLES:
        raise StyleganvError(
            f"A search finds up to {MAX_DIRECTIONS} directions in {MAX_SAMPLES} samples: ask for less."
        )
    if options.space == "motion" and model.generator.is_image_model:
        raise StyleganvError("Directions of motion require a video model, got an image model: use space content.")
    own = None if values.get("name") is None else check_direction_name(model, values["name"])
    argv = [part for key, value in given.items() for part in (f"--{key.replace('_', '-')}", str(value))]
    if options.text is not None and manager.clip_model is not None:
        argv += ["--clip-model", str(manager.clip_model)]

    def make(number: int, folder: Path) -> Task:
        file = f"directions-{number}.safetensors"
        path, title = folder / file, own or options.score or options.text or f"{options.space} directions"
        command = command_line("directions", model.name, *argv, "--out", file)

        def finish() -> None:
            found = load_directions(model.generator, path)
            model.found_directions[number] = FoundDirections(
                found, file, command, _page_names(model, title, found.names)
            )

        return Task(
            "directions",
            title,
            model,
            ("directions", model.path, *argv, "--out", str(path)),
            (command,),
            files={file: path, "directions.png": path.with_suffix(".png")},
            finish=finish,
            forget=lambda: model.found_directions.pop(number, None),
            address=check_address(values.get("address", "")),
        )

    return manager.submit(make)


def _page_names(model: StudioModel, title: str, names: Sequence[str]) -> dict[str, str]:
    """Return names for found directions on the page, which no other direction has, and their names in the file."""
    title = "".join(" " if letter in RESERVED_CHARACTERS else letter for letter in title)[
        : MAX_NAME_LENGTH - 10
    ].strip()
    shown: dict[str, str] = {}
    for name in names:
        base = title if len(names) == 1 else f"{title} {name}"
        candidates = chain([base], (f"{base} ({number})" for number in count(2)))
        shown[next(each for each in candidates if not (each in shown or _is_taken(model, each)))] = name
    return shown


def _is_taken(model: StudioModel, name: str) -> bool:
    """Return whether a direction has this name, or could get it when directions are estimated."""
    is_estimated = re.fullmatch(r"(content|motion) \d+", name)
    return bool(is_estimated) or any(name in found.names for found in list(model.found_directions.values()))


def rename_direction(model: StudioModel, name: Any, new_name: Any) -> None:
    """Give a found direction another name on the page. Raises StyleganvError if there is none, or for a bad name."""
    for found in list(model.found_directions.values()):
        if name in found.names:
            if new_name != name:
                new_name = check_direction_name(model, new_name)
                names = {new_name if each == name else each: inner for each, inner in found.names.items()}
                found.names.clear()
                found.names.update(names)
            return
    raise StyleganvError(f"No found direction is called {name}: reload the page.")


def check_direction_name(model: StudioModel, name: Any) -> str:
    """Return a name for a direction on the page. Raises StyleganvError unless it is short, unique and separable."""
    name = str(name).strip()
    check_text("name of a direction", name, MAX_NAME_LENGTH)
    if set(name) & set(RESERVED_CHARACTERS):
        raise StyleganvError(f"The name of a direction must not contain any of {RESERVED_CHARACTERS}: change {name}.")
    if _is_taken(model, name):
        raise StyleganvError(f"A direction is called {name} already: choose another name.")
    return name


@contextmanager
def receive_upload(manager: JobManager, model: StudioModel, name: str) -> Iterator[Path]:
    """Yield a new path for an uploaded file, which is deleted afterwards unless `project` has moved it.

    Raises:
        StyleganvError: for a bad name or an unknown video format, during another upload, and where `project` raises it.
    """
    check_text("name of the video", name, MAX_FILE_NAME)
    suffix = video_suffix(name)
    _check_projection(model)
    manager.check_free()
    if not manager.receiving.acquire(blocking=False):
        raise StyleganvError("Another video is being uploaded: wait for it.")
    try:
        with manager.new_folder() as folder:
            yield Path(folder) / f"clip{suffix}"
    finally:
        manager.receiving.release()


def video_suffix(name: str) -> str:
    """Return the suffix of a file, all of its name that enters a path. Raises StyleganvError unless it is a video's."""
    suffix = Path(name).suffix.lower()
    if suffix not in VIDEO_SUFFIXES:
        raise StyleganvError(f"Unknown video format of {name}: use one of {SUFFIX_LIST}.")
    return suffix


def _check_projection(model: StudioModel) -> None:
    if model.generator.is_image_model:
        raise StyleganvError("Projection requires a video model, got an image model: select another model.")


def _check_steps(num_steps: Any) -> None:
    if isinstance(num_steps, bool) or not isinstance(num_steps, int) or not 1 <= num_steps <= MAX_STEPS:
        raise StyleganvError(f"The number of steps must be 1 to {MAX_STEPS}, got {num_steps}: change it.")
