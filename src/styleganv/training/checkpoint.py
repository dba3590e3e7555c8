"""Checkpoints: the full state of a run in one file, written atomically and loaded without executing code."""

from pathlib import Path
from typing import Any

import torch

from styleganv.errors import StyleganvError
from styleganv.files import atomic_write

FORMAT = 1


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write tensors, numbers and plain containers to `path`; atomically."""
    try:
        with atomic_write(path, overwrite=True) as tmp_path:
            torch.save({"format": FORMAT, **state}, tmp_path)
    except RuntimeError as error:  # how torch's writer reports a full disk
        raise StyleganvError(
            f"Cannot write the checkpoint {path} (is the disk full?), the previous one is intact: free some space "
            "and resume."
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
        version = state["format"]
    except Exception as error:  # a damaged file fails in many ways: unpickling, zip, end of file, missing keys
        raise StyleganvError(
            f"Checkpoint {path} is damaged: start a new run with --finetune {path.parent / 'model'}."
        ) from error
    if version != FORMAT:
        raise StyleganvError(f"Checkpoint {path} has format {version}, this version reads {FORMAT}: update styleganv.")
    return state
