"""Checkpoints: one file with all that an exact continuation needs, written whole, loaded without running code."""

from pathlib import Path
from typing import Any

import torch

from styleganv.errors import StyleganvError
from styleganv.files import written_whole

FORMAT = 1


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write tensors, numbers and plain containers to `path`; until all is on the disk, the old file stays."""
    try:
        with written_whole(path) as part:
            torch.save({"format": FORMAT, **state}, part)
    except RuntimeError as error:  # torch's writer reports a full disk so
        raise StyleganvError(
            f"The checkpoint {path} could not be written (is the disk full?); the one before it is untouched: "
            "free some space and resume."
        ) from error


def load_checkpoint(path: Path) -> dict[str, Any]:
    """The state as it was saved, on the CPU.

    Raises:
        StyleganvError: if the file is missing, damaged or of another format.
    """
    if not path.exists():
        raise StyleganvError(f"There is no checkpoint {path}: give the folder of a run to --resume.")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        found = state["format"]
    except Exception as error:  # a damaged file fails in many ways: unpickling, zip, end of file, missing keys
        raise StyleganvError(
            f"The checkpoint {path} is damaged: start a new run with --finetune {path.parent / 'model'}."
        ) from error
    if found != FORMAT:
        raise StyleganvError(f"{path} has checkpoint format {found}, this program reads {FORMAT}: update styleganv.")
    return state
