"""Jobs that render a project file to a video, which the page downloads.

project file ──▶ styleganv render ──▶ a video, or a zip of PNGs
"""

import os
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from styleganv.editing.directions import save_directions
from styleganv.editing.latents import save_latents
from styleganv.errors import StyleganvError
from styleganv.media.writing import FORMATS
from styleganv.options import OutputOptions
from styleganv.studio.job import MAX_NAME_LENGTH, Job, Task, check_address, check_text, command_line
from styleganv.studio.jobs import JobManager
from styleganv.studio.studio_model import StudioModel

MAX_SCALE = 16
MAX_PROJECT_LENGTH, MAX_DEPTH = 2**16, 8


def export(manager: JobManager, model: StudioModel, values: dict[str, Any]) -> Job:
    """Render a project file.

    Args:
        values: from the page: `project` (YAML; files are named as in the commands of jobs), `format`, `scale`, `crf`,
            `name` (of the file, without suffix), `address`.

    Raises:
        StyleganvError: for an invalid value, or if too many jobs wait.
    """
    text, format_name = check_project(values.get("project")), values.get("format", "mp4")
    if format_name not in FORMATS:
        raise StyleganvError(f"Unknown format {format_name}: use {', '.join(FORMATS)}.")
    output = OutputOptions(scale=values.get("scale"), crf=values.get("crf", OutputOptions.crf))
    if (output.scale or 1) > MAX_SCALE:
        raise StyleganvError(f"The scale must be 1 to {MAX_SCALE}, got {output.scale}: change it.")
    name = str(values.get("name") or "video").strip()
    check_text("name", name, MAX_NAME_LENGTH)
    options = [] if output.scale is None else ["--scale", str(output.scale)]
    options += [] if output.crf == OutputOptions.crf else ["--crf", str(output.crf)]
    suffix = FORMATS[format_name].suffix

    def make(number: int, folder: Path) -> Task:
        stem = f"export-{number}"
        out = folder / f"{stem}{suffix}"
        project_file = folder / f"{stem}.yaml"
        project_file.write_text(text, "utf-8")
        sources = _place_files(model, text, folder)
        argv = ("render", str(project_file), "--model", _absolute(model.path), "--out", str(out), *options)
        lines = (*sources, command_line("render", project_file.name, "--out", out.name, *options))
        result = out if suffix else folder / f"{stem}.zip"
        finish = (lambda: None) if suffix else (lambda: _pack(out, result))
        files = {result.name: result, project_file.name: project_file}
        return Task("export", name, model, argv, lines, files, finish, address=check_address(values.get("address", "")))

    return manager.submit(make)


def check_project(text: Any) -> str:
    """Return a project file that a page sent. Raises StyleganvError if it could name files outside of its folder."""
    read_tree(text)
    return str(text)


def read_tree(text: Any) -> dict[str, Any]:
    """Return the content of a project file that a page sent; raises like `check_project`."""
    try:
        if not (isinstance(text, str) and len(text) <= MAX_PROJECT_LENGTH and _is_simple(text)):
            problem = "is no text of a project"
        elif not isinstance(tree := yaml.safe_load(text), dict):
            problem = "is no YAML mapping"
        elif path := next(filter(_may_leave_folder, _strings(tree)), None):
            problem = f"names a file in another folder ({path})"
        else:
            return tree
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        problem = f"cannot be read ({(str(error) or type(error).__name__).splitlines()[0]})"
    raise StyleganvError(f"The project {problem}: correct it, or save it from the page again.")


def _is_simple(text: str) -> bool:
    """Return whether a YAML text has no aliases, which could expand it, and no deep nesting, which takes minutes."""
    depth = 0
    for event in yaml.parse(text):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if isinstance(event, yaml.AliasEvent) or depth > MAX_DEPTH:
            return False
    return True


def _strings(value: Any) -> Iterator[str]:
    """Yield the texts in a project, keys too, that can name a file."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, each in value.items():
            if key not in ("model", "label"):  # --model replaces the model, and a label names no file
                yield from _strings(key)
                yield from _strings(each)
    elif isinstance(value, list):
        for each in value:
            yield from _strings(each)


def _may_leave_folder(name: str) -> bool:
    return any(part in name for part in ("/", "\\", "..", "~", "\0")) or (name[1:2] == ":" and name[:1].isalpha())


def _place_files(model: StudioModel, text: str, folder: Path) -> list[str]:
    """Write the latents and directions that a project names to its folder; return the command lines that find them."""
    lines: list[str] = []
    for result in list(model.search_results.values()):
        if result.file in text:
            is_folder = not Path(result.file).suffix
            path = folder / result.file
            save_latents(path / "latents.safetensors" if is_folder else path, result.latents)
            lines += result.commands
    for found in list(model.found_directions.values()):
        if found.file in text:
            save_directions(folder / found.file, found.directions)
            lines.append(found.command)
    if any(f"{space}.safetensors" in text for space in ("content", "motion")):
        model.direction_names()  # estimates them on first use
        for directions in model.directions:
            file, command = model.direction_file(f"{directions.space} {directions.names[0]}")
            if file in text:
                save_directions(folder / file, directions)
                lines.append(command)
    return list(dict.fromkeys(lines))


def _pack(folder: Path, path: Path) -> None:
    """Move the PNGs of a folder into a zip, uncompressed, as they are compressed already."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as file:
        for frame in sorted(folder.iterdir()):
            file.write(frame, f"{folder.name}/{frame.name}")
            frame.unlink()
    shutil.rmtree(folder)


def _absolute(path: str) -> str:
    """Return the path of a model folder or run that holds in any folder; the name of a pretrained model as it is."""
    return os.path.abspath(path) if Path(path).exists() else path
