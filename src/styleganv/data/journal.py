"""An unfinished preparation on disk: `NAME.partial` next to the destination, from which the same command continues.

It holds the zip so far, its directory, and a journal with one JSON line per finished step. A line is written only once
the frames before it are on disk, so that a process killed at any time, even with its machine, loses a few seconds.
"""

import json
import logging
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from filelock import FileLock, Timeout

from styleganv.data.archive import ArchiveWriter
from styleganv.errors import StyleganvError
from styleganv.files import atomic_write, disk_errors

logger = logging.getLogger(__name__)

#: Seconds between two writes of finished steps.
SAVE_SECONDS = 2.0
JOURNAL, FRAMES, DIRECTORY, LOCK = "journal.jsonl", "frames.zip", "directory", ".lock"
_NAMES = (FRAMES, DIRECTORY, LOCK, JOURNAL)


class Journal:
    """Finished steps of a preparation, and the zip that they have written; see `open_journal`.

    Attributes:
        archive: writer of the zip, after the last finished step.
        num_finished: steps that an earlier process has finished.
    """

    def __init__(self, folder: Path, key: str, files: tuple[IO[bytes], IO[bytes], IO[bytes]]) -> None:
        self.folder = folder
        self._files = files
        self._journal, frames, directory = files
        self._unsaved: list[str] = []
        self._saved_at = time.monotonic()
        self.num_finished, end, ends = self._read(key)
        for file, position in zip(files, (end, *ends[:2]), strict=True):
            file.truncate(position)
            file.seek(position)
        self.archive = ArchiveWriter(frames, directory, ends[2])
        if not end:
            self._write([json.dumps({"key": key})])

    def finished_steps(self) -> Iterator[dict[str, Any]]:
        """Yield the steps that an earlier process has finished."""
        with open(self.folder / JOURNAL, "rb") as file:
            file.readline()
            for _ in range(self.num_finished):
                yield json.loads(file.readline())

    def append(self, step: dict[str, Any]) -> None:
        """Add a finished step; it is on disk after a few seconds."""
        archive = self.archive
        end = (archive.file.tell(), archive.directory.tell(), archive.num_entries)
        self._unsaved.append(json.dumps({**step, "end": end}))
        if time.monotonic() - self._saved_at >= SAVE_SECONDS:
            self.save()

    def save(self) -> None:
        """Write the finished steps, after the frames that they have added."""
        self.flush()
        self._write(self._unsaved)
        self._unsaved = []
        self._saved_at = time.monotonic()

    def flush(self) -> None:
        """Write what the zip holds to the disk."""
        for file in self._files[1:]:
            file.flush()
            os.fsync(file.fileno())

    def _write(self, lines: list[str]) -> None:
        self._journal.write("".join(f"{line}\n" for line in lines).encode())
        self._journal.flush()
        os.fsync(self._journal.fileno())

    def _read(self, key: str) -> tuple[int, int, tuple[int, int, int]]:
        """Return the number of finished steps, the end of the journal, and what the zip held then; 0 to start over."""
        nothing = (0, 0, (0, 0, 0))
        self._journal.seek(0)
        header = self._journal.readline()
        if not header.endswith(b"\n"):
            return nothing
        if json.loads(header) != {"key": key}:
            raise _OtherWork
        count, end, ends = 0, len(header), (0, 0, 0)
        for line in self._journal:
            if not line.endswith(b"\n"):
                break  # killed while it was written
            count, end, ends = count + 1, end + len(line), tuple(json.loads(line)["end"])
        sizes = [os.fstat(file.fileno()).st_size for file in self._files[1:]]
        return (count, end, ends) if sizes[0] >= ends[0] and sizes[1] >= ends[1] else nothing


class _OtherWork(Exception):
    """The journal is of another source, other settings, or another version."""


@contextmanager
def open_journal(dest: Path, key: str, *, overwrite: bool) -> Iterator[Journal]:
    """Yield the journal of a preparation of `dest`; after success, the zip becomes `dest`.

    After an interruption or a failure, the folder stays if it holds the frames of a video.

    Args:
        key: hash of the work; only the same work is continued.
        overwrite: replace `dest`, and discard the journal of other work.

    Raises:
        StyleganvError: if another process uses the folder, or it holds other work.
    """
    folder = dest.with_name(f"{dest.name}.partial")
    with disk_errors(dest), _locked(folder, dest):
        with ExitStack() as stack:
            paths = [folder / name for name in (JOURNAL, FRAMES, DIRECTORY)]
            for path in paths:
                path.touch()
            journal_file, frames, directory = (stack.enter_context(open(path, "rb+")) for path in paths)
            try:
                journal = Journal(folder, key, (journal_file, frames, directory))
            except (_OtherWork, ValueError, KeyError, TypeError) as error:
                if not overwrite:
                    raise StyleganvError(
                        f"{folder} holds an unfinished preparation of another source, another state of it or with "
                        "other settings: repeat that command, or pass --overwrite to discard it."
                    ) from error
                journal_file.truncate(0)
                journal = Journal(folder, key, (journal_file, frames, directory))
            try:
                yield journal
                journal.flush()
            except BaseException as error:
                if journal.archive.num_entries:
                    with suppress(OSError):  # of a full disk
                        journal.save()
                    if not isinstance(error, KeyboardInterrupt):
                        logger.warning("%s holds what is finished: run the same command again to continue.", folder)
                else:
                    _remove(folder)
                raise
        with atomic_write(dest, overwrite=overwrite) as tmp_path:
            os.replace(folder / FRAMES, tmp_path)
        _remove(folder)


@contextmanager
def _locked(folder: Path, dest: Path) -> Iterator[None]:
    """Create and lock the folder, in which nothing else may be."""
    folder.mkdir(parents=True, exist_ok=True)
    if other := next((name for name in os.listdir(folder) if name not in _NAMES), None):
        raise StyleganvError(f"{folder} contains other files ({other}): move it, or choose another destination.")
    try:
        with FileLock(folder / LOCK).acquire(blocking=False):
            yield
    except Timeout as error:
        raise StyleganvError(
            f"Another process prepares {dest}: wait until it ends, or choose another destination."
        ) from error


def _remove(folder: Path) -> None:
    """Remove what this file writes, and the folder unless there is something else in it now."""
    with suppress(OSError):
        for name in _NAMES:
            (folder / name).unlink(missing_ok=True)
        folder.rmdir()
