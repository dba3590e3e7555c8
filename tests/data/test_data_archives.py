"""What a source may hold besides videos: odd names, links, pipes, bombs, and what is skipped with a reason."""

import io
import os
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from styleganv.data import prepare as module
from styleganv.data.dataset import VideoDataset
from styleganv.errors import StyleganvError
from styleganv.files import readable
from styleganv.media import files
from styleganv.media.sources import find_videos, scan_source, summarize_skipped
from styleganv.options import PrepareOptions


def picture(level: int, size: int = 8) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (size, size), (level,) * 3).save(buffer, "PNG")
    return buffer.getvalue()


def write_zip(path: Path, entries: dict[str, bytes], flags: int = 0) -> Path:
    """Write names as they are, whatever the system."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries.items():
            entry = zipfile.ZipInfo("entry")
            entry.filename, entry.flag_bits = name, flags
            archive.writestr(entry, content)
    return path


def frames_of(videos) -> dict[str, list[int]]:
    return {video.name: [int(frame[0, 0, 0]) for frame in video.frames()] for video in videos}


def test_backslashes_separate_folders_in_a_zip(tmp_path):
    entries = {f"{clip}\\{i}.png": picture(10 * i + level) for clip, level in (("a", 1), ("b", 2)) for i in range(3)}
    videos = find_videos(write_zip(tmp_path / "s.zip", entries))
    assert frames_of(videos) == {"a": [1, 11, 21], "b": [2, 12, 22]}


@pytest.mark.parametrize("encoding", ["utf-8", "cp437", "cp932", "latin-1"])
def test_names_in_a_zip_have_any_encoding(tmp_path, encoding):
    """The second byte of 表 in Shift JIS is a backslash."""
    word = {"cp932": "表", "utf-8": "表"}.get(encoding, "é")
    code = word.encode(encoding)
    entries = {f"{'c' * len(code)}/x{i}.png": picture(i) for i in range(3)}
    content = write_zip(tmp_path / "s.zip", entries).read_bytes().replace(b"c" * len(code) + b"/x", code + b"/x")
    (tmp_path / "s.zip").write_bytes(content)
    (video,) = find_videos(tmp_path / "s.zip")
    assert [int(frame[0, 0, 0]) for frame in video.frames()] == [0, 1, 2]
    assert encoding not in ("utf-8", "cp437") or video.name == word


def test_a_zip_that_states_a_wrong_encoding_is_named(tmp_path):
    content = write_zip(tmp_path / "s.zip", {"é.png": picture(0)}).read_bytes()
    (tmp_path / "s.zip").write_bytes(content.replace("é".encode(), b"\xe9\xe9"))
    with pytest.raises(StyleganvError, match=r"s\.zip contains invalid UTF-8 file names"):
        scan_source(tmp_path / "s.zip")


def test_names_in_a_folder_have_any_encoding(tmp_path):
    names = [b"caf\xe9", b"-x", b"a:b", b"two\nlines", b"concat:a"]
    for name in names:
        folder = os.fsencode(tmp_path / "s") + b"/" + name
        os.makedirs(folder)
        for i in range(3):
            with open(folder + b"/%d.png" % i, "wb") as file:
                file.write(picture(i))
    report = module.prepare(tmp_path / "s", tmp_path / "d.zip", resolution=(8, 8), num_workers=1)
    found = [video.name for video in VideoDataset(tmp_path / "d.zip").videos]
    assert sorted(found) == sorted([r"caf\xe9", "-x", "a:b", r"two\x0alines", "concat:a"])
    assert str(report).encode() and "two\nlines" not in str(report)


def test_names_of_video_files_are_no_urls(tmp_path, write_video, gray_frames, monkeypatch):
    write_video(tmp_path / "a.mp4", gray_frames(4))
    for name in ("a:b.mp4", "-x.mp4", "pipe:0.mp4", "two\nlines.mp4"):
        (tmp_path / name).write_bytes((tmp_path / "a.mp4").read_bytes())
    monkeypatch.chdir(tmp_path)
    for path in Path(".").iterdir():
        assert len(list(find_videos(path)[0].frames())) == 4


def test_readable_names():
    assert readable("caf\udce9\x1b[1m\u2028é") == r"caf\xe9\x1b[1m\x2028é"
    assert readable("\ud800") == r"\ud800"  # from a file of ours: no file system gives it


def test_everything_that_is_skipped_has_a_reason(tmp_path, write_video, gray_frames):
    root = tmp_path / "s"
    write_video(root / "clips" / "good.mp4", gray_frames(4))
    write_zip(root / "inner.zip", {"a/0.png": picture(0)})
    for i in range(5):
        (root / f"note{i}.doc").write_text("hello")
    (root / ".hidden.mp4").write_text("")
    (root / "poster.png").write_bytes(picture(0))
    os.mkfifo(root / "pipe.mp4")
    (root / "gone.mp4").symlink_to("nowhere.mp4")
    (root / "clips" / "loop").symlink_to(root)
    (root / "linked.mp4").symlink_to(root / "clips" / "good.mp4")
    report = module.prepare(root, tmp_path / "d.zip", resolution=(8, 8), num_workers=1)
    assert report.num_videos == 2 and len(report.skipped) == 11
    for line in (
        "skipped   11",
        "inner.zip: a zip inside the source",
        "note0.doc, note1.doc, note2.doc and 2 more: unknown type of file",
        ".hidden.mp4: hidden",
        "s: a single picture",
        "pipe.mp4: a pipe",
        "gone.mp4: a broken link",
        "clips/loop: a link to a folder that is already included",
    ):
        assert line in str(report)


def test_an_unreadable_folder_is_named(tmp_path, write_video, gray_frames, monkeypatch):
    write_video(tmp_path / "s" / "good.mp4", gray_frames(4))
    write_video(tmp_path / "s" / "locked" / "clip.mp4", gray_frames(4))
    scandir = os.scandir

    def refuse(path):  # root, who may run the tests, can read everything
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert scan_source(tmp_path / "s").skipped == [("locked", "unreadable folder (Permission denied)")]


def test_long_lists_are_shortened():
    skipped = [(f"v{i}", f"reason {i}") for i in range(100)]
    lines = list(summarize_skipped(skipped, 4))
    assert len(lines) == 5 and lines[-1] == "… and 96 more"


def test_a_pipe_and_a_picture_are_no_sources(tmp_path):
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "one.png").write_bytes(picture(0))
    for name, says in (("pipe.mp4", "is a pipe or a device"), ("one.png", "is a single picture")):
        with pytest.raises(StyleganvError, match=rf"{name} {says}: "):
            scan_source(tmp_path / name)


def test_links_in_a_zip_are_skipped(tmp_path):
    with zipfile.ZipFile(tmp_path / "s.zip", "w") as archive:
        for i in range(3):
            archive.writestr(f"a/{i}.png", picture(i))
        link = zipfile.ZipInfo("a/3.png")
        link.create_system, link.external_attr = 3, 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    scan = scan_source(tmp_path / "s.zip")
    assert frames_of(scan.videos) == {"a": [0, 1, 2]}
    assert scan.skipped == [("a/3.png", "a link, which is not followed in a zip")]


def test_a_bomb_in_a_zip_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "MAX_PICTURE_BYTES", 2**20)
    with zipfile.ZipFile(tmp_path / "s.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for i in range(3):
            archive.writestr(f"a/{i}.png", picture(i) + bytes(2**21 if i == 2 else 0))
    monkeypatch.setattr(files.tempfile, "SpooledTemporaryFile", count := CountingFile)
    with pytest.raises(StyleganvError, match=r"s\.zip/a/2\.png would expand from [\d,]+ to 2,\S+ bytes, more than 100"):
        list(find_videos(tmp_path / "s.zip")[0].frames())
    assert count.total < 2**20


class CountingFile(io.BytesIO):
    """A temporary file that counts what is written to all of its kind."""

    total = 0

    def __init__(self, max_size: int) -> None:
        super().__init__()

    def write(self, data) -> int:
        CountingFile.total += len(data)
        return super().write(data)


def claim(size: int) -> bytes:
    """Return a PNG of 8x8 whose header claims to be larger."""
    data = bytearray(picture(0))
    data[16:24] = struct.pack(">II", size, size)
    data[29:33] = struct.pack(">I", zlib.crc32(bytes(data[12:29])))
    return bytes(data)


@pytest.mark.parametrize("size", [8200, 12000, 30000, 2**31 - 1])
def test_giant_pictures_are_refused_by_their_header(tmp_path, size, recwarn):
    (tmp_path / "0.png").write_bytes(claim(size))
    (tmp_path / "1.png").write_bytes(claim(size))
    with pytest.raises(StyleganvError, match=r"0\.png (exceeds the limit of|has frames of) .*67,108,864|Cannot read"):
        list(find_videos(tmp_path)[0].frames())
    assert not recwarn.list


def test_a_picture_of_too_many_bytes_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "MAX_PICTURE_BYTES", 1000)
    (tmp_path / "0.png").write_bytes(picture(0) + bytes(2000))
    with pytest.raises(StyleganvError, match=r"0\.png has 2,\d+ bytes, but the limit is 1,000: "):
        list(find_videos(tmp_path)[0].frames())


@pytest.mark.parametrize("damaged", ["skip", "keep"])
def test_damaged_videos_are_skipped_or_kept(tmp_path, write_video, gray_frames, damaged):
    noise = np.random.default_rng(0).integers(0, 255, (30, 32, 48, 3)).astype(np.uint8)
    path = write_video(tmp_path / "s" / "cut.mkv", noise)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    write_video(tmp_path / "s" / "whole.mp4", gray_frames(4))
    for i in range(6):
        path = tmp_path / "s" / "clip" / f"{i}.png"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(picture(i)[: 50 if i == 4 else None])
    report = module.prepare(
        tmp_path / "s", tmp_path / "d.zip", resolution=(8, 8), num_workers=1, options=PrepareOptions(damaged=damaged)
    )
    if damaged == "skip":
        assert report.lengths == [4] and [name for name, _ in report.skipped] == ["clip", "cut"]
        assert "4 of 6 frames can be read" in str(report) and "of 30 frames can be read" in str(report)
    else:
        assert report.skipped == [] and report.lengths[::2] == [4, 4] and 10 < report.lengths[1] < 20
        assert f"damaged   2 videos kept up to the damage: clip (4 of 6 frames), cut ({report.lengths[1]} of 30" in str(
            report
        )
