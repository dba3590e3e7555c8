"""Checkpoints: one file with all that an exact continuation needs, written atomically, loaded without running code."""

from pathlib import Path
from typing import Any

import torch

from styleganv.errors import StyleganvError
from styleganv.files import atomic_write

FORMAT = 1


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write tensors, numbers and plain containers to `path`; the old file stays until the new one is complete."""
    try:
        with atomic_write(path) as tmp_path:
            torch.save({"format": FORMAT, **state}, tmp_path)
    except RuntimeError as error:  # how torch's writer reports a full disk
        raise StyleganvError(
            f"Cannot write the checkpoint {path} (is the disk full?); the previous one is intact: free some space and "
            "resume."
        ) from error


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Return the saved state, on the CPU.

    Raises:
        StyleganvError: if the file is missing, damaged or of another format.
    """
    if not path.exists():
        raise StyleganvError(f"Checkpoint {path} not found: pass the folder of a run to --resume.")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        found = state["format"]
    except Exception as error:  # a damaged file fails in many ways: unpickling, zip, end of file, missing keys
        raise StyleganvError(
            f"Checkpoint {path} is damaged: start a new run with --finetune {path.parent / 'model'}."
        ) from error
    if found != FORMAT:
        raise StyleganvError(f"Checkpoint {path} has format {found}, this version reads {FORMAT}: update styleganv.")
    return state
