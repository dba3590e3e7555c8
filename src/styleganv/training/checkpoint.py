"""Checkpoints: the full state of a run in one file with a hash, written atomically and loaded without executing code.

The file is a zip whose comment holds the SHA-256 of everything before it. The checkpoint before it stays beside it, in
case a disk damages the last one.
"""

import errno
import hashlib
import io
import logging
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from styleganv.errors import StyleganvError
from styleganv.files import atomic_write

logger = logging.getLogger(__name__)

FORMAT = 1
HASH = b"sha256:"


class DamagedCheckpoint(StyleganvError):
    """Error of a checkpoint whose bytes changed since it was written."""


def previous_checkpoint(path: Path) -> Path:
    """Return the path of the checkpoint before the last one, e.g. checkpoint.previous.pt."""
    return path.with_suffix(f".previous{path.suffix}")


def has_checkpoint(run: Path) -> bool:
    """Return whether a run can be resumed: a process killed while saving may have left only the previous checkpoint."""
    path = run / "checkpoint.pt"
    return path.exists() or previous_checkpoint(path).exists()


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write tensors, numbers and plain containers to `path`, atomically; keep what was there as the previous one.

    A disk that is too full for three checkpoints keeps two.
    """
    try:
        _write(path, state)
    except StyleganvError as error:
        if not (is_disk_full(error) and path.exists() and previous_checkpoint(path).exists()):
            raise
        previous_checkpoint(path).unlink()
        _write(path, state)


def is_disk_full(error: StyleganvError) -> bool:
    """Return whether a full disk, a quota or a limit of file sizes caused the error."""
    full = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    return isinstance(error.__cause__, OSError) and error.__cause__.errno in full


def tensors(state: object) -> Iterator[torch.Tensor]:
    """Yield the tensors of a state."""
    if isinstance(state, torch.Tensor):
        yield state
    elif isinstance(state, dict | list | tuple):
        for part in state.values() if isinstance(state, dict) else state:
            yield from tensors(part)


def _write(path: Path, state: dict[str, Any]) -> None:
    with atomic_write(path, overwrite=True) as tmp_path:
        with open(tmp_path, "w+b") as file:
            try:
                torch.save({"format": FORMAT, **state}, file)
            except RuntimeError as error:  # torch's writer hides the error of the disk
                raise error.__context__ if isinstance(error.__context__, OSError) else error from None
            _append_hash(file)
            os.fsync(file.fileno())
        if path.exists():
            os.replace(path, previous_checkpoint(path))


def _append_hash(file: io.BufferedRandom) -> None:
    """Write the hash of a zip file into its comment, which follows the two bytes of the comment's length."""
    comment_length = len(HASH) + 2 * hashlib.sha256().digest_size
    file.seek(-2, os.SEEK_END)
    file.write(comment_length.to_bytes(2, "little"))
    file.seek(0)
    digest = hashlib.file_digest(file, "sha256")
    file.seek(0, os.SEEK_END)
    file.write(HASH + digest.hexdigest().encode())
    file.flush()


def _check_hash(path: Path) -> None:
    """Raise a ValueError if the bytes are not those written; a file of version 0.1 has only the zip's checksums."""
    with zipfile.ZipFile(path) as archive:
        comment = archive.comment
        if not comment.startswith(HASH) and (name := archive.testzip()):
            raise ValueError(f"wrong checksum of {name}")
    if comment.startswith(HASH):
        digest, end = hashlib.sha256(), path.stat().st_size - len(comment)
        with open(path, "rb") as file:
            while block := file.read(min(2**20, end - file.tell())):
                digest.update(block)
        if comment.removeprefix(HASH) != digest.hexdigest().encode():
            raise ValueError("wrong hash")


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Return the saved state, on the CPU; that of the previous checkpoint if a kill left only this one.

    Raises:
        StyleganvError: if the file is missing, damaged or of another format.
    """
    previous = previous_checkpoint(path)
    if not path.exists() and previous.exists():
        path = previous
    if not path.exists():
        raise StyleganvError(f"Checkpoint {path} not found: pass the folder of a run to --resume.")
    try:
        _check_hash(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
        version = state["format"]
    except Exception as error:  # a damaged file fails in many ways: unpickling, zip, end of file, missing keys
        other = f"delete it to resume from {previous}, or " if path != previous and previous.exists() else ""
        raise DamagedCheckpoint(
            f"Checkpoint {path} is damaged: {other}start a new run with --finetune {path.parent / 'model'}."
        ) from error
    if version != FORMAT:
        raise StyleganvError(
            f"Checkpoint {path} has format {version}, but this version reads {FORMAT}: update styleganv."
        )
    return state


def set_damaged_aside(path: Path) -> None:
    """Rename a damaged checkpoint if there is a previous one, which `load_checkpoint` then returns."""
    previous = previous_checkpoint(path)
    if not (path.exists() and previous.exists()):
        return
    try:
        load_checkpoint(path)
    except DamagedCheckpoint:
        damaged = path.with_suffix(f".damaged{path.suffix}")
        os.replace(path, damaged)
        logger.warning(f"Checkpoint {path} is damaged (now {damaged}): resuming from {previous}.")
