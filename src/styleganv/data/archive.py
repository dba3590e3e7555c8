"""The zip below a dataset: written in constant memory, and read by frame number from a compact index.

Python's own `zipfile` keeps about 500 bytes per entry, both when it reads and when it writes. Here, a frame takes 16
bytes when it is read, and nothing when it is written: the directory of the zip goes to a file of its own until the end.
The bytes are those that `zipfile` would write. Nothing here knows what a dataset is, except for the names of frames.
"""

import os
import shutil
import struct
import threading
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO
from zipfile import BadZipFile

import numpy as np

#: Zips of a dataset that one process has open at a time; others are opened again when they are needed.
MAX_OPEN_FILES = 64
#: Offsets from here on, and more entries than 16 bits count, need the records of Zip64; as for `zipfile`.
_ZIP64_LIMIT, _MAX_ENTRIES = 2**31 - 1, 2**16 - 1
_STORED, _DEFLATED = 0, 8
_UTF8 = 0x800
_DATE = 1 << 5 | 1  # January 1, 1980, the earliest in a zip; constant, so that the same frames give the same bytes
_MODE = 0o644 << 16

# The records of a zip (PKWARE's APPNOTE, section 4.3), each after its signature.
_LOCAL, _LOCAL_SIGNATURE = struct.Struct("<4s2B4HL2L2H"), b"PK\3\4"
_CENTRAL, _CENTRAL_SIGNATURE = struct.Struct("<4s4B4HL2L5H2L"), b"PK\1\2"
_END, _END_SIGNATURE = struct.Struct("<4s4H2LH"), b"PK\5\6"
_END64, _END64_SIGNATURE = struct.Struct("<4sQ2H2L4Q"), b"PK\6\6"
_LOCATOR, _LOCATOR_SIGNATURE = struct.Struct("<4sLQL"), b"PK\6\7"


class ArchiveWriter:
    """Writer of an uncompressed zip, as `zipfile` would write it.

    Args:
        file: the zip, open for writing at its end.
        directory: file that holds the directory until `finish`, open for reading and for writing at its end.
        num_entries: entries that both hold already.
    """

    def __init__(self, file: IO[bytes], directory: IO[bytes], num_entries: int = 0) -> None:
        self.file, self.directory, self.num_entries = file, directory, num_entries

    def add(self, name: str, data: bytes) -> None:
        """Append an entry."""
        offset, crc, size = self.file.tell(), zlib.crc32(data), len(data)
        flags = 0 if name.isascii() else _UTF8
        encoded = name.encode("ascii" if name.isascii() else "utf-8")
        extra, version = b"", 20
        if offset > _ZIP64_LIMIT:
            extra, version = struct.pack("<2HQ", 1, 8, offset), 45
        times = (0, _DATE)
        self.file.write(
            _LOCAL.pack(_LOCAL_SIGNATURE, 20, 0, flags, _STORED, *times, crc, size, size, len(encoded), 0) + encoded
        )
        self.file.write(data)
        central = (_CENTRAL_SIGNATURE, version, 3, version, 0, flags, _STORED, *times, crc, size, size, len(encoded))
        shown = 0xFFFFFFFF if extra else offset
        self.directory.write(_CENTRAL.pack(*central, len(extra), 0, 0, 0, _MODE, shown) + encoded + extra)
        self.num_entries += 1

    def finish(self) -> None:
        """Append the directory, which completes the zip."""
        start, size, count = self.file.tell(), self.directory.tell(), self.num_entries
        self.directory.seek(0)
        shutil.copyfileobj(self.directory, self.file, 2**20)
        if count > _MAX_ENTRIES or start > _ZIP64_LIMIT or size > _ZIP64_LIMIT:
            self.file.write(_END64.pack(_END64_SIGNATURE, 44, 45, 45, 0, 0, count, count, size, start))
            self.file.write(_LOCATOR.pack(_LOCATOR_SIGNATURE, 0, start + size, 1))
            count, size, start = min(count, 0xFFFF), min(size, 0xFFFFFFFF), min(start, 0xFFFFFFFF)
        self.file.write(_END.pack(_END_SIGNATURE, 0, 0, count, count, size, start, 0))


@dataclass(frozen=True)
class Entry:
    """An entry in the directory of a zip; `size` is that of the unpacked data, in bytes."""

    name: str
    offset: int
    packed_size: int
    size: int
    crc: int


def read_directory(path: Path) -> Iterator[Entry]:
    """Yield the entries of a zip, in constant memory.

    Raises:
        BadZipFile: if it is not a zip, or is truncated.
    """
    with open(path, "rb", buffering=2**20) as file:
        count, start, _ = _find_directory(file)
        file.seek(start)
        for _ in range(count):
            yield _parse_entry(file)


def count_entries(path: Path) -> int:
    """Return the number of entries of a zip. Raises like `read_directory`."""
    with open(path, "rb") as file:
        return _find_directory(file)[0]


def find_entry(path: Path, name: str) -> Entry | None:
    """Return the entry of a name; at once if it is the last one, as in a dataset. Raises like `read_directory`."""
    with open(path, "rb") as file:
        count, start, size = _find_directory(file)
        last = _CENTRAL.size + len(name.encode())
        for extra in (0, 12):  # without and with an offset of 64 bits
            if count and size >= last + extra:
                file.seek(start + size - last - extra)
                try:
                    entry = _parse_entry(file)
                except BadZipFile:
                    continue
                if entry.name == name:
                    return entry
    return next((entry for entry in read_directory(path) if entry.name == name), None)


def read_entry(path: Path, entry: Entry) -> bytes:
    """Return the data of an entry. Raises BadZipFile, zlib.error or OSError if it is damaged."""
    data = _unpack(_File(path), entry.offset, entry.packed_size, entry.size + 1)
    if zlib.crc32(data) != entry.crc:
        raise BadZipFile("wrong checksum")
    return data


def _find_directory(file: IO[bytes]) -> tuple[int, int, int]:
    """Return the number of entries, and offset and size of the directory, from the end of a zip."""
    length = file.seek(0, 2)
    tail_start = max(0, length - _END.size - 2**16)  # a comment may follow
    file.seek(tail_start)
    tail = file.read()
    position = tail.rfind(_END_SIGNATURE)
    if position < 0 or len(tail) - position < _END.size:
        raise BadZipFile("no end record")
    *_, count, size, start, _ = _END.unpack_from(tail, position)
    end = tail_start + position
    if position >= _LOCATOR.size and tail[position - _LOCATOR.size :].startswith(_LOCATOR_SIGNATURE):
        _, _, end, _ = _LOCATOR.unpack_from(tail, position - _LOCATOR.size)
        file.seek(min(end, length))
        record = file.read(_END64.size)
        if len(record) < _END64.size or not record.startswith(_END64_SIGNATURE):
            raise BadZipFile("no end record of Zip64")
        *_, count, size, start = _END64.unpack(record)
    if start + size > end or count * _CENTRAL.size > size:
        raise BadZipFile("the directory is outside the file")
    return count, start, size


def _parse_entry(file: IO[bytes]) -> Entry:
    header = file.read(_CENTRAL.size)
    if len(header) < _CENTRAL.size or not header.startswith(_CENTRAL_SIGNATURE):
        raise BadZipFile("the directory is damaged")
    (_, _, _, _, _, flags, _, _, _, crc, packed, size, name_size, extra_size, comment_size, _, _, _, offset) = (
        _CENTRAL.unpack(header)
    )
    encoded = file.read(name_size)
    extra = file.read(extra_size + comment_size)[:extra_size] if extra_size or comment_size else b""
    if len(encoded) < name_size:
        raise BadZipFile("the directory is damaged")
    if 0xFFFFFFFF in (size, packed, offset):
        size, packed, offset = _read_zip64(extra, size, packed, offset)
    return Entry(encoded.decode("utf-8" if flags & _UTF8 else "cp437"), offset, packed, size, crc)


def _read_zip64(extra: bytes, *values: int) -> list[int]:
    """Return size, packed size and offset; those that do not fit into 32 bits are in the extra field."""
    wide: Iterator[int] = iter(())
    while len(extra) >= 4:
        kind, size = struct.unpack_from("<2H", extra)
        if kind == 1 and len(extra) >= 4 + size:
            wide = iter(struct.unpack_from(f"<{size // 8}Q", extra, 4))
        extra = extra[4 + size :]
    try:
        return [next(wide) if value == 0xFFFFFFFF else value for value in values]
    except (StopIteration, RuntimeError) as error:
        raise BadZipFile("a record of Zip64 is damaged") from error


class FrameArchive:
    """The frames of a zip by number: `name/000000.jpg` is the first one of the video `name`.

    It can be pickled and forked: each process opens the file at its first read.

    Args:
        frames: numbers of the frames by name of their video; together they count from 0.
        suffix: that of the frames, with its dot.

    Raises:
        BadZipFile: if it is not a zip, or is truncated.
    """

    def __init__(self, path: Path, frames: Mapping[str, range], suffix: str) -> None:
        self.path = path
        self._stat = _identify(path)
        num_frames = sum(map(len, frames.values()))
        self._offsets = np.full(num_frames, -1, np.int64)
        self._sizes, self._crcs = np.zeros((2, num_frames), np.uint32)
        for entry in read_directory(path):
            name, _, file = entry.name.rpartition("/")
            digits = file[: -len(suffix)]
            if name not in frames or not (digits.isascii() and digits.isdecimal()) or len(digits) > 18:
                continue
            number, numbers = int(digits), frames[name]
            if number < len(numbers) and file == f"{number:06d}{suffix}" and entry.packed_size < 2**32:
                frame = numbers[number]
                self._offsets[frame], self._sizes[frame], self._crcs[frame] = entry.offset, entry.packed_size, entry.crc

    def missing(self) -> int | None:
        """Return the first frame that the zip does not contain, or None."""
        absent = self._offsets < 0
        return int(absent.argmax()) if absent.any() else None

    def read(self, frame: int, *, max_bytes: int) -> bytes:
        """Return the encoded bytes of a frame.

        Raises:
            BadZipFile, zlib.error, ValueError, OSError: if it is missing, damaged, or larger than `max_bytes`.
        """
        data = self.read_head(frame, max_bytes + 1)
        if len(data) > max_bytes:
            raise ValueError("more bytes than a frame can have")
        if zlib.crc32(data) != self._crcs[frame]:
            raise BadZipFile("wrong checksum")
        return data

    def read_head(self, frame: int, max_bytes: int) -> bytes:
        """Return the first bytes of a frame, whose checksum is then unknown. Raises like `read`."""
        offset = int(self._offsets[frame])
        if offset < 0:
            raise BadZipFile("missing")
        return _unpack(_open(os.getpid(), self.path, self._stat), offset, int(self._sizes[frame]), max_bytes)


class _File:
    """A file that several threads may read."""

    def __init__(self, path: Path) -> None:
        self._file = open(path, "rb")  # noqa: SIM115 - it stays open
        self._lock = threading.Lock()

    def read(self, offset: int, size: int) -> bytes:
        with self._lock:
            self._file.seek(offset)
            return self._file.read(size)

    def __del__(self) -> None:
        if hasattr(self, "_file"):
            self._file.close()


def _identify(path: Path) -> tuple[int, int]:
    """Return what differs between a file and one that replaces it."""
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def _unpack(file: _File, offset: int, packed_size: int, max_bytes: int) -> bytes:
    """Return the first bytes of the entry at an offset."""
    header = file.read(offset, _LOCAL.size)
    if len(header) < _LOCAL.size or not header.startswith(_LOCAL_SIGNATURE):
        raise BadZipFile("wrong offset")
    _, _, _, _, method, *_, name_size, extra_size = _LOCAL.unpack(header)
    start = offset + _LOCAL.size + name_size + extra_size
    if method == _STORED:
        return file.read(start, min(packed_size, max_bytes))
    if method != _DEFLATED:
        raise BadZipFile("unknown compression")
    return zlib.decompressobj(-zlib.MAX_WBITS).decompress(file.read(start, packed_size), max_bytes)


@lru_cache(MAX_OPEN_FILES)
def _open(_pid: int, path: Path, stat: tuple[int, int]) -> _File:
    """Return the open file of this process: after a fork, a shared one would share its position.

    Raises:
        BadZipFile: if the file is not the one whose directory was read.
    """
    if _identify(path) != stat:
        raise BadZipFile("the file was replaced")
    return _File(path)
