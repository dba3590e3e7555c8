"""Command lines that generate the video on the page, and its project file."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from styleganv.errors import StyleganvError
from styleganv.studio.studio_model import StudioModel
from styleganv.studio.video_params import ExportParams
from styleganv.studio.video_source import VideoSource
from styleganv.timeline.notation import Term, VideoParams, format_layers
from styleganv.timeline.project import Project, format_project
from styleganv.timeline.scene import label_text
from styleganv.timeline.timeline import Keyframe, Timeline

#: Name of the project file in commands.
PROJECT = "project.yaml"


@dataclass(frozen=True)
class Commands:
    """What writes a video without the studio.

    Attributes:
        lines: command lines, in this order.
        project: text of the project file, which the last line reads unless a shorter command does the same.
    """

    lines: tuple[str, ...]
    project: str


def export_commands(source: VideoSource, params: VideoParams | Timeline, export: ExportParams) -> Commands:
    """Return the commands that write the same video. Raises StyleganvError for real videos.

    Args:
        export: of a timeline, only its format counts.
    """
    if not isinstance(source, StudioModel):
        raise StyleganvError("No command generates real videos: copy them from the dataset.")
    lines, names = _prepare_names(source, params)
    timeline = params if isinstance(params, Timeline) else _timeline(params, export)
    keyframes = tuple(replace(each, values=_rename(each.values, names)) for each in timeline.keyframes)
    project = format_project(Project(replace(timeline, keyframes=keyframes), source.name))
    short = None if isinstance(params, Timeline) else _short_command(source, params, export, names)
    argv = ["render", PROJECT, "--out", export.file, *_precision(source)]
    return Commands((*lines, short or _line(argv)), project)


def edit_options(model: StudioModel, params: VideoParams) -> tuple[list[str], list[str]]:
    """Return the command lines to run first, and the options of `styleganv edit` that select the video.

    Raises:
        StyleganvError: for what only a project file can hold.
    """
    lines, names = _prepare_names(model, params)
    options = _edit_options(model, params, names)
    if options is None:
        raise StyleganvError("A text edit requires a single content and a single motion: choose one of the terms.")
    return lines, options


def _timeline(params: VideoParams, export: ExportParams) -> Timeline:
    """Return the part of an endless video as a timeline."""
    values = dict(Timeline.constant(params).keyframes[0].values) | {"speed": export.speed}
    default = VideoParams()
    stated = {k: v for k, v in values.items() if k == "content" or v != getattr(default, k, 1.0)}
    return Timeline((Keyframe(0.0, stated),), export.seconds, export.fps, export.start)


def _prepare_names(model: StudioModel, params: VideoParams | Timeline) -> tuple[list[str], dict[str, str]]:
    """Return the command lines that write the files of search results and directions, and the names to their files."""
    lines: dict[str, None] = {}
    names: dict[str, str] = {}
    timeline = params if isinstance(params, Timeline) else Timeline.constant(params)
    for values in (keyframe.values for keyframe in timeline.keyframes):
        terms = [*values.get("content", ()), *values.get("motion", ()), *values.get("mix", ())]
        for name in (term.source for term in terms if isinstance(term.source, str)):
            model.find_latents(name)
            result = model.search_result(int(name.removeprefix("result-")))
            names[name] = result.file
            lines |= dict.fromkeys(result.commands)
        for full_name, _ in values.get("directions", ()):
            _, name = model.find_direction(full_name)
            file, line = model.direction_file(full_name)
            names[full_name], lines[line] = f"{file}:{name}", None
    return list(lines), names


def _rename(values: Mapping[str, Any], names: dict[str, str]) -> dict[str, Any]:
    """Return the values of a keyframe with files in place of names."""
    renamed = dict(values)
    for key in renamed.keys() & {"content", "motion", "mix"}:
        renamed[key] = tuple(replace(term, source=names.get(term.source, term.source)) for term in renamed[key])
    if "directions" in renamed:
        renamed["directions"] = tuple((names[name], strength) for name, strength in renamed["directions"])
    return renamed


def _short_command(model: StudioModel, params: VideoParams, export: ExportParams, names: dict[str, str]) -> str | None:
    """Return the command `generate` or `edit` that writes the video; None if only a project file can hold it."""
    # All digits of a large time: six would hide the fraction of 1,000,000.25 s.
    span = ["--start", f"{export.start:.12g}", "--seconds", f"{export.seconds:.12g}"]
    rate = ["--fps", f"{export.fps:g}"] if model.model.supports_any_fps else []
    if model.is_editable and params.grid == (1, 1):
        if (options := _edit_options(model, params, names)) is None:
            return None
        argv = ["edit", model.name, "--out", export.file, *options]
        argv += [] if export.speed == 1 else ["--speed", f"{export.speed:g}"]
        return _line([*argv, *span, *rate])
    content, motion = _seed(params.content), None if params.motion is None else _seed(params.motion)
    is_grid = params.grid != (1, 1)
    if content is None or (params.motion and motion is None) or params.mix or params.directions or export.speed != 1:
        return None
    argv = ["generate", model.name, "--out", "grid" if is_grid else "videos"]
    argv += ["--format", "grid" if is_grid else export.format, "--seeds", _seed_range(content, params.grid[1])]
    if is_grid or motion is not None:
        argv += ["--motion-seeds", _seed_range(content if motion is None else motion, params.grid[0])]
    return _line([*argv, *span, *rate, *_common_options(model, params)])


def _edit_options(model: StudioModel, params: VideoParams, names: dict[str, str]) -> list[str] | None:
    """Return the options of `styleganv edit` for a video; None if it has a grid, blends, or another order of edits."""
    motion = params.motion or params.content
    if params.grid != (1, 1) or any(len(terms) > 1 or terms[0].weight != 1 for terms in (params.content, motion)):
        return None
    from_latents = [isinstance(mix.source, str) for mix in params.mix]  # `edit` mixes them in after seeds
    has_own_label = params.label is not None and any(
        isinstance(terms[0].source, str) for terms in (params.content, motion)
    )
    if from_latents != sorted(from_latents) or has_own_label:
        return None
    source = params.content[0].source
    options = ["--latents", names[source]] if isinstance(source, str) else ["--seed", str(source)]
    if motion != params.content and model.model.supports_motion_seed:
        source = motion[0].source
        options += ["--motion-latents", names[source]] if isinstance(source, str) else ["--motion-seed", str(source)]
    for option, kind in (("--mix", int), ("--mix-latents", str)):
        mixes = [m for m in params.mix if isinstance(m.source, kind)]
        texts = [f"{names.get(str(m.source), m.source)}:{format_layers(m.layers)}@{m.amount:g}" for m in mixes]
        options += [option, ";".join(texts)] if texts else []
    if params.directions:
        options += ["--direction", ";".join(f"{names[name]}={strength:g}" for name, strength in params.directions)]
    return options + _common_options(model, params)


def _common_options(model: StudioModel, params: VideoParams) -> list[str]:
    options = [] if params.psi == 1 else ["--psi", f"{params.psi:g}"]
    options += [] if (label := label_text(model.model, params.label)) is None else ["--label", label]
    return options + _precision(model)


def _precision(model: StudioModel) -> list[str]:
    return [] if model.model.precision == "float32" else ["--precision", model.model.precision]


def _seed(terms: tuple[Term, ...]) -> int | None:
    """Return the seed that the terms are, if they are one."""
    (first, *others) = terms
    return None if others or first.weight != 1 or isinstance(first.source, str) else first.source


def _seed_range(first: int, count: int) -> str:
    return f"{first}-{first + count - 1}" if count > 1 else str(first)


def _line(argv: list[str]) -> str:
    return shlex.join(["styleganv", *argv])
