"""The zip below a dataset: the bytes of `zipfile`, an index of any zip, and bounded files and memory."""

import io
import struct
import tempfile
import zipfile
import zlib

import pytest

from styleganv.data import archive as module
from styleganv.data.archive import ArchiveWriter, FrameArchive, find_entry, read_directory

ENTRIES = [("a/000000.jpg", b"first" * 30), ("é/000000.jpg", b"second"), ("a/000001.jpg", b""), ("last", b"x" * 90)]


def write(entries):
    with tempfile.TemporaryFile() as file, tempfile.TemporaryFile() as directory:
        writer = ArchiveWriter(file, directory)
        for name, data in entries:
            writer.add(name, data)
        writer.finish()
        file.seek(0)
        return file.read()


def write_as_zipfile(entries, compression=zipfile.ZIP_STORED, comment=b""):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        archive.comment = comment
        for name, data in entries:
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.create_system, entry.external_attr, entry.compress_type = 3, 0o644 << 16, compression
            archive.writestr(entry, data)
    return buffer.getvalue()


@pytest.fixture(params=["small", "zip64"])
def limits(request, monkeypatch):
    """Also with limits so small that all records of Zip64 are needed."""
    if request.param == "zip64":
        monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 200)
        monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 2)
        monkeypatch.setattr(module, "_ZIP64_LIMIT", 200)
        monkeypatch.setattr(module, "_MAX_ENTRIES", 2)


@pytest.mark.parametrize("count", [0, 1, 4])
def test_the_bytes_are_those_of_zipfile(limits, count):
    assert write(ENTRIES[:count]) == write_as_zipfile(ENTRIES[:count])


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("comment", [b"", b"a comment"])
def test_every_zip_is_read(limits, tmp_path, compression, comment):
    path = tmp_path / "d.zip"
    path.write_bytes(write_as_zipfile(ENTRIES, compression, comment))
    with zipfile.ZipFile(path) as archive:
        expected = [
            (entry.filename, entry.header_offset, entry.compress_size, entry.file_size, entry.CRC)
            for entry in archive.infolist()
        ]
    entries = list(read_directory(path))
    assert [(e.name, e.offset, e.packed_size, e.size, e.crc) for e in entries] == expected
    assert [find_entry(path, name) for name, _ in ENTRIES] == entries and find_entry(path, "ast") is None
    frames = FrameArchive(path, {"a": range(1, 3), "é": range(0, 1)}, ".jpg")
    assert frames.missing() is None
    assert [frames.read(number, max_bytes=150) for number in (0, 1, 2)] == [b"second", ENTRIES[0][1], b""]
    assert frames.read_head(1, 7) == b"firstfi"
    with pytest.raises(ValueError, match="more bytes"):
        frames.read(1, max_bytes=149)


def test_only_exact_names_count(tmp_path):
    """A frame beyond its video is not the first of the next one, and 1 is not 000001."""
    names = ("a/000000.jpg", "a/000002.jpg", "a/1.jpg", "a/000001.png", "b/0000000.jpg", "b/+00000.jpg", "000000.jpg")
    path = tmp_path / "d.zip"
    path.write_bytes(write([(name, b"") for name in names]))
    frames = FrameArchive(path, {"a": range(0, 2), "b": range(2, 3)}, ".jpg")
    assert frames.missing() == 1
    for number in (1, 2):
        with pytest.raises(zipfile.BadZipFile, match="missing"):
            frames.read(number, max_bytes=9)


@pytest.mark.parametrize("cut", range(1, 200, 13))
def test_truncated_and_damaged_zips(tmp_path, cut):
    content = write(ENTRIES)
    path = tmp_path / "d.zip"
    for damaged in (content[:-cut], content[cut:], content[:-cut] + bytes(cut)):
        path.write_bytes(damaged)
        try:
            frames = FrameArchive(path, {"a": range(0, 2)}, ".jpg")
            if frames.missing() is None:
                assert frames.read(0, max_bytes=999) == ENTRIES[0][1]
        except (zipfile.BadZipFile, UnicodeDecodeError, zlib.error, struct.error):
            continue


def test_few_files_are_open_at_a_time(tmp_path):
    archives = []
    for index in range(module.MAX_OPEN_FILES + 6):
        path = tmp_path / f"{index}.zip"
        path.write_bytes(write([("v/000000.jpg", str(index).encode())]))
        archives.append(FrameArchive(path, {"v": range(1)}, ".jpg"))
    for _ in range(2):
        assert [frames.read(0, max_bytes=9) for frames in archives] == [str(i).encode() for i in range(len(archives))]
    assert module._open.cache_info().currsize == module.MAX_OPEN_FILES


def test_a_replaced_file_is_noticed(tmp_path):
    path = tmp_path / "d.zip"
    path.write_bytes(write([("v/000000.jpg", b"1")]))
    frames = FrameArchive(path, {"v": range(1)}, ".jpg")
    path.write_bytes(write([("v/000000.jpg", b"22")]))
    with pytest.raises(zipfile.BadZipFile, match="replaced"):
        frames.read(0, max_bytes=9)
