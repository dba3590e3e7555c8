"""Export of a model to files that run without styleganv.

    model folder ──build_programs──▶ trace ──▶ temporary file ──load──▶ compare with the model ──▶ rename

As ONNX or PyTorch, there are two files: the given one makes frames, the one with `-mapping` before the suffix maps z to
styles. For the web, there is a folder with a page that plays the video.
"""

from pathlib import Path
from typing import Literal

from styleganv.errors import StyleganvError
from styleganv.files import check_destination
from styleganv.interop.exported_program import ExportedFile, list_programs, write_programs
from styleganv.interop.web_player import write_player
from styleganv.methods.stylegan_v.pretrained import load_generator
from styleganv.progress import Progress

ExportFormat = Literal["onnx", "pt2", "web"]


def export(
    model: Path | str,
    path: Path | str,
    *,
    format: ExportFormat | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> list[ExportedFile]:
    """Write the model as `path` and `…-mapping`, or for the web as a page that plays it, in the folder `path`.

    Its programs are loaded and compared with the model, at the start of the video and a million frames later.

    Args:
        model: model folder, run, or name of a pretrained model.
        format: "onnx", "pt2" or "web"; by default, that of the suffix, `.onnx` or `.pt2`.

    Raises:
        StyleganvError: if a file exists, the suffix is unknown, the motion is an LSTM, a package is missing, or a file
            differs from the model by more than `MAX_ERROR`; then no file is written.
    """
    path = Path(path)
    if format == "web":
        return write_player(model, path, overwrite=overwrite, progress=progress)
    suffix = path.suffix if format is None else f".{format}"
    if suffix != ".onnx" and suffix != ".pt2":
        raise StyleganvError(f"Unknown export format of {path}: use .onnx or .pt2, or --format web for a folder.")
    paths = {"frames": path, "styles": path.with_name(f"{path.stem}-mapping{path.suffix}")}
    check_destination(*paths.values(), overwrite=overwrite)
    programs = list_programs(*load_generator(model))
    return write_programs(
        programs, paths, "onnx" if suffix == ".onnx" else "pt2", overwrite=overwrite, progress=progress
    )
