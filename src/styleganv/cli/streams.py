"""Standard output and error that cannot end a command: readers that leave, narrow encodings, full disks."""

import errno
import io
import os
import sys
from typing import Any, TextIO

from styleganv.progress import FORMAT_VARIABLE

#: Errors of a pipe, socket or terminal that nobody reads anymore.
NO_READER = (errno.EPIPE, errno.ECONNRESET, errno.EIO, errno.ENXIO)


class _Output(io.RawIOBase):
    """A raw stream whose failed writes are dropped. `error` is the first one that lost what somebody would read."""

    error: OSError | None = None

    def __init__(self, raw: Any) -> None:
        self._raw = raw

    def write(self, data: Any) -> int:
        try:
            return self._raw.write(data) or 0
        except OSError as error:
            if error.errno not in NO_READER:
                self.error = self.error or error
            return len(data)

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return int(self._raw.fileno())

    def isatty(self) -> bool:
        return bool(self._raw.isatty())


def tolerate_streams() -> None:
    """Replace the standard streams by ones that drop what cannot be written and escape what cannot be encoded.

    A command goes on when its reader leaves (`| head`, a closed terminal): its work is the files that it writes.
    """
    open_missing()
    if sys.stdout is sys.__stdout__ and sys.stdout is not None:
        sys.stdout = _tolerant(sys.stdout)
    # A program that follows the progress owns the command: it ends when nobody follows.
    if sys.stderr is sys.__stderr__ and sys.stderr is not None and os.environ.get(FORMAT_VARIABLE) != "json":
        sys.stderr = _tolerant(sys.stderr)


def open_missing() -> None:
    """Open the standard streams that the parent has closed, so that no other file takes their descriptors."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
            if getattr(sys, name) is None:
                stream = os.fdopen(number, "r" if number == 0 else "w", closefd=False)
                setattr(sys, name, stream)


def output_error() -> OSError | None:
    """Flush standard output. Return the error that lost a part of it, e.g. on a full disk."""
    sys.stdout.flush()
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    return raw.error if isinstance(raw, _Output) else None


def _tolerant(stream: TextIO) -> TextIO:
    stream.flush()
    buffer: Any = stream.buffer
    return io.TextIOWrapper(
        io.BufferedWriter(_Output(getattr(buffer, "raw", buffer))),
        encoding=stream.encoding,
        errors="backslashreplace",
        line_buffering=stream.isatty() or stream is sys.__stderr__,
    )
