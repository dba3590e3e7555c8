"""Command lines that generate the video on the page."""

import shlex

from styleganv.errors import StyleganvError
from styleganv.studio.studio_model import StudioModel
from styleganv.studio.video_params import ExportParams, VideoParams
from styleganv.studio.video_source import VideoSource


def export_commands(source: VideoSource, params: VideoParams, export: ExportParams) -> list[str]:
    """Return the commands that write the same video. Raises StyleganvError for real videos and grids of edited ones."""
    if not isinstance(source, StudioModel):
        raise StyleganvError("No command generates real videos: copy them from the dataset.")
    # All digits of a large time: six would hide the fraction of 1,000,000.25 s.
    span = ["--start", f"{export.start:.12g}", "--seconds", f"{export.seconds:.12g}"]
    if params.grid != (1, 1):
        return [_grid_command(source, params, export, span)]
    if not source.is_editable:
        argv = ["generate", source.name, "--out", "videos", "--seeds", str(params.seed)]
        if source.model.supports_motion_seed:
            argv += ["--motion-seeds", str(params.motion_seed)]
        return [_line([*argv, *span, "--format", export.format, *_common_options(source, params)])]
    lines, options = edit_options(source, params)
    argv = ["edit", source.name, "--out", f"video.{export.format}", *options]
    argv += [] if export.speed == 1 else ["--speed", f"{export.speed:g}"]
    return [*lines, _line([*argv, *span, "--fps", f"{export.fps:g}"])]


def edit_options(model: StudioModel, params: VideoParams) -> tuple[list[str], list[str]]:
    """Return the command lines to run first, and the options of `styleganv edit` that select the video."""
    lines: list[str] = []
    options = ["--seed", str(params.seed)]
    if params.search_result is not None:
        result = model.search_result(params.search_result)
        lines, options = list(result.commands), ["--latents", result.file]
    if model.model.supports_motion_seed and params.motion_seed is not None:
        options += ["--motion-seed", str(params.motion_seed)]
    if (mix := params.mix) is not None:
        options += ["--mix", f"{mix.content}:{mix.layers[0]}-{mix.layers[-1]}@{mix.amount:g}"]
    steps = []
    for full_name, strength in params.directions:
        _, name = model.find_direction(full_name)
        file, line = model.direction_file(full_name)
        lines += [] if line in lines else [line]
        steps.append(f"{file}:{name}={strength:g}")
    if steps:
        options += ["--direction", ";".join(steps)]
    return lines, options + _common_options(model, params)


def _grid_command(model: StudioModel, params: VideoParams, export: ExportParams, span: list[str]) -> str:
    if params.mix or params.directions or export.speed != 1:
        raise StyleganvError("No command generates a grid of edited videos: save it as a video instead.")
    rows, columns = params.grid
    argv = ["generate", model.name, "--out", "grid", "--format", "grid", "--seeds", _seed_range(params.seed, columns)]
    argv += ["--motion-seeds", _seed_range(params.motion_seed or 0, rows)]
    return _line([*argv, *span, "--fps", f"{export.fps:g}", *_common_options(model, params)])


def _common_options(model: StudioModel, params: VideoParams) -> list[str]:
    options = [] if params.psi == 1 else ["--psi", f"{params.psi:g}"]
    options += [] if (label := model.label(params)) is None else ["--label", label]
    precision = model.model.precision
    return options + ([] if precision == "float32" else ["--precision", precision])


def _seed_range(first: int, count: int) -> str:
    return f"{first}-{first + count - 1}"


def _line(argv: list[str]) -> str:
    return shlex.join(["styleganv", *argv])
