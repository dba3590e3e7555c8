"""Project files that the page opens: timelines in which the studio's names replace files."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from styleganv.errors import StyleganvError
from styleganv.studio.exports import read_tree
from styleganv.studio.studio_model import StudioModel
from styleganv.studio.video_source import VideoSource, find_source
from styleganv.timeline.project import parse_project
from styleganv.timeline.scene import Scene
from styleganv.timeline.timeline import Timeline


def open_project(sources: Sequence[VideoSource], text: Any, source: Any) -> dict[str, Any]:
    """Return what a project file shows.

    Args:
        source: name of the model to show it if the project's own is not open.

    Returns:
        `source`, the name of the model; `model`, the one that the project names, or None; and `timeline`, in the
        notation, with search results and directions as the studio names them.

    Raises:
        StyleganvError: for an invalid project, and for what the model cannot show.
    """
    project = parse_project(read_tree(text))
    is_open = any(each.name == project.model for each in sources)
    model = find_source(sources, project.model if is_open else source)
    if not isinstance(model, StudioModel):
        raise StyleganvError("A project requires a model, got real videos: select a model.")
    names = _names_of_files(model)
    keyframes = []
    for number, keyframe in enumerate(project.timeline.keyframes, 1):
        values = _rename(model, keyframe.values, names)
        if model.is_editable:
            _check(model, number, values)
        keyframes.append(replace(keyframe, values=values))
    timeline = replace(project.timeline, keyframes=tuple(keyframes))
    return {"source": model.name, "model": project.model, "timeline": timeline.to_json()}


def _names_of_files(model: StudioModel) -> dict[str, str]:
    """Return the studio's names by those in project files: latents files, and directions as FILE:NAME."""
    names = {result.file: f"result-{number}" for number, result in list(model.search_results.items())}
    for found in list(model.found_directions.values()):
        names |= {f"{found.file}:{name}": full_name for full_name, name in found.names.items()}
    return names


def _rename(model: StudioModel, values: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Return the values of a keyframe with the studio's names in place of files."""
    renamed = dict(values)
    for key in renamed.keys() & {"content", "motion", "mix"}:
        renamed[key] = tuple(replace(term, source=names.get(term.source, term.source)) for term in renamed[key])
    if "directions" in renamed:
        pairs = ((names.get(name) or _own_direction(name), strength) for name, strength in renamed["directions"])
        renamed["directions"] = tuple(pairs)
    return renamed


def _own_direction(name: str) -> str:
    """Return e.g. "content 1" for "content.safetensors:1", the studio's own directions in its project files."""
    file, _, number = name.rpartition(":")
    return f"{file.removesuffix('.safetensors')} {number}" if file else name


def _check(model: StudioModel, number: int, values: Mapping[str, Any]) -> None:
    """Raise StyleganvError, with the number of the keyframe, for a value that the model cannot show."""
    scene = Scene(model.generator, Timeline(), model)
    for key, value in values.items():
        try:
            scene.check(key, value)
        except StyleganvError as error:
            raise StyleganvError(f"Keyframe {number}: {key}: {error}") from error
