"""Source files in folders and zips: names, limits, and how they are opened."""

import errno
import lzma
import shutil
import stat
import struct
import tempfile
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import IO

from PIL import Image

from styleganv.errors import StyleganvError
from styleganv.files import readable

#: Largest frame (8192x8192): 192 MiB as RGB.
MAX_PIXELS = 2**26
#: Largest picture file and, beyond it, how far a zip entry may expand: videos are compressed already.
MAX_PICTURE_BYTES = 2**28
MAX_EXPANSION = 100
#: Unpacked entries are held in memory up to this size, and in the folder for temporary files beyond.
_MAX_BYTES_IN_MEMORY = 2**24

#: Errors of Python's zip reader on damaged or encrypted entries, or unknown compression.
ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError, ValueError, struct.error)


def is_hidden(name: str) -> bool:
    """Return whether a file or one of its folders is hidden; file managers leave such files behind."""
    return any(part.startswith(".") or part == "__MACOSX" for part in PurePosixPath(name).parts)


@dataclass(frozen=True)
class MediaFile:
    """A file at `name` (relative, '/'-separated) in the folder or zip `root`."""

    root: Path
    name: str

    def __str__(self) -> str:
        return readable(f"{self.root}/{self.name}")

    def open(self) -> IO[bytes]:
        """Open for reading and seeking; zip entries are unpacked.

        Raises:
            OSError: if damaged.
            StyleganvError: if a zip entry expands too far, or does not fit on the disk.
        """
        if self.root.is_dir():
            return open(self.root / self.name, "rb")
        try:
            archive = open_archive(self.root)
            entry = archive.entries[self.name]
            if entry.file_size > max(MAX_PICTURE_BYTES, MAX_EXPANSION * entry.compress_size):
                raise StyleganvError(
                    f"{self} would expand from {entry.compress_size:,} to {entry.file_size:,} bytes, more than "
                    f"{MAX_EXPANSION} times: unpack it yourself if you trust it."
                )
            with ExitStack() as stack, archive.file.open(entry) as packed:
                unpacked = stack.enter_context(tempfile.SpooledTemporaryFile(_MAX_BYTES_IN_MEMORY))
                shutil.copyfileobj(packed, unpacked, 2**20)
                unpacked.seek(0)
                stack.pop_all()  # the caller closes it
                return unpacked
        except ZIP_ERRORS as error:
            raise OSError(str(error)) from error
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            raise StyleganvError(
                f"No space to unpack {self} in {tempfile.gettempdir()}: free some, or set TMPDIR to another folder."
            ) from error

    def read_head(self, size: int) -> bytes:
        """Return the first bytes, or fewer of a damaged file."""
        try:
            if self.root.is_dir():
                with open(self.root / self.name, "rb") as file:
                    return file.read(size)
            archive = open_archive(self.root)
            with archive.file.open(archive.entries[self.name]) as packed:
                return packed.read(size)
        except (OSError, *ZIP_ERRORS):
            return b""


@contextmanager
def open_picture(file: MediaFile) -> Iterator[Image.Image]:
    """Open a picture with Pillow, which reads its header only. Raises StyleganvError for too many pixels or bytes."""
    with file.open() as stream:
        size = stream.seek(0, 2)
        if size > MAX_PICTURE_BYTES:
            raise StyleganvError(
                f"{file} has {size:,} bytes, but the limit is {MAX_PICTURE_BYTES:,}: replace or remove it."
            )
        stream.seek(0)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", Image.DecompressionBombWarning)
                image = Image.open(stream)
        except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
            raise StyleganvError(f"{file} exceeds the limit of {MAX_PIXELS:,} pixels: replace or remove it.") from error
        with image:
            check_pixels(file, *image.size)
            yield image


def check_pixels(file: MediaFile, width: int, height: int) -> None:
    """Raise StyleganvError for frames beyond the limit."""
    if width * height > MAX_PIXELS:
        raise StyleganvError(
            f"{file} has frames of {width}x{height} pixels, but the limit is {MAX_PIXELS:,} pixels: scale it down."
        )


@dataclass(frozen=True)
class Archive:
    """An open zip and its files by name; of equal names the last one counts, as in every program that unpacks."""

    file: zipfile.ZipFile
    entries: dict[str, zipfile.ZipInfo]
    links: tuple[str, ...]


def open_archive(path: Path) -> Archive:
    """Return the zip, opened once per process (its list of entries can be long) and again if the file has changed.

    Raises:
        zipfile.BadZipFile, ValueError, OSError: if damaged.
    """
    status = path.stat()
    return _open_archive(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=1)
def _open_archive(path: Path, size: int, changed: int) -> Archive:
    file = zipfile.ZipFile(path)
    entries, links = {}, []
    for entry in file.infolist():
        name = _entry_name(entry)
        if stat.S_ISLNK(entry.external_attr >> 16):
            links.append(name)
        elif name and not name.endswith("/"):
            entries[name] = entry
    return Archive(file, entries, tuple(links))


def _entry_name(entry: zipfile.ZipInfo) -> str:
    """Return the '/'-separated name: many programs write UTF-8 without saying so, and some of Windows backslashes.

    A backslash beside slashes is part of a name, or of a character in an encoding such as Shift JIS.
    """
    name = entry.filename
    with suppress(UnicodeError):
        name = name.encode("cp437").decode("utf-8")
    return (name if "/" in name else name.replace("\\", "/")).lstrip("/")
