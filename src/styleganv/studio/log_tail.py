"""The end of a growing log, of which each line is read once."""

from pathlib import Path
from typing import Any

from styleganv.studio.video_params import parse_object

#: Bytes per read: the log of a long run is read in parts.
CHUNK_BYTES = 2**20


class LogTail:
    """Follows `log.jsonl` of a run.

    Attributes:
        last: the last record with numbers of the training; None before the first one.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._restart()

    def _restart(self) -> None:
        self._offset, self._rest, self._file = 0, b"", 0
        self.last: dict[str, Any] | None = None

    def update(self) -> dict[str, Any] | None:
        """Read what was appended, and return `last`. A log that was written again is read from its start."""
        try:
            with open(self._path, "rb") as file:
                status = self._path.stat()
                if status.st_size < self._offset or status.st_ino != self._file:
                    self._restart()
                    self._file = status.st_ino
                file.seek(self._offset)
                while chunk := file.read(CHUNK_BYTES):
                    self._offset += len(chunk)
                    *lines, self._rest = (self._rest + chunk).split(b"\n")
                    self._take(lines)
        except FileNotFoundError:  # before the first line
            self._restart()
        return self.last

    def _take(self, lines: list[bytes]) -> None:
        for line in reversed(lines):
            record = parse_object(line) if b"clips_per_second" in line else None
            if record is not None and "clips_per_second" in record:
                self.last = record
                return
