"""Atomic writes: after any failure the old file is unchanged and no temporary file remains."""

import subprocess
import sys
from pathlib import Path

import pytest

from styleganv.errors import StyleganvError
from styleganv.files import atomic_write


def test_a_new_file_appears_only_at_the_end(tmp_path: Path) -> None:
    target = tmp_path / "new" / "folder" / "video.mp4"
    with atomic_write(target) as tmp:
        tmp.write_bytes(b"half")
        assert not target.exists()
        assert tmp.parent == target.parent and tmp.suffix == ".mp4"  # one rename, and writers see the format
    assert target.read_bytes() == b"half"
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("error", [ValueError("bug"), KeyboardInterrupt(), OSError("odd"), StyleganvError("mistake")])
def test_a_failing_writer_leaves_the_old_file(tmp_path: Path, error: BaseException) -> None:
    target = tmp_path / "model.bin"
    target.write_bytes(b"old")
    with pytest.raises(type(error)) as raised, atomic_write(target) as tmp:
        tmp.write_bytes(b"new, but only h")
        raise error
    assert raised.value is error
    assert target.read_bytes() == b"old" and list(tmp_path.iterdir()) == [target]


def test_a_failing_writer_leaves_no_new_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError), atomic_write(tmp_path / "a.txt") as tmp:
        tmp.write_text("half")
        raise ValueError
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_reported_and_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "data.zip"
    target.write_bytes(b"old")
    with (
        pytest.raises(StyleganvError, match=r"Cannot write .*data\.zip, the disk is full"),
        atomic_write(target) as tmp,
    ):
        tmp.symlink_to("/dev/full")
        tmp.write_bytes(b"new")
    assert target.read_bytes() == b"old" and list(tmp_path.iterdir()) == [target]


LIMITED = """
import resource, sys
from pathlib import Path
from styleganv.files import atomic_write
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    with atomic_write(Path(sys.argv[1])) as tmp:
        tmp.write_bytes(bytes(10_000))
except Exception as error:
    print(type(error).__name__, error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs limits on a process")
def test_a_file_larger_than_allowed_leaves_the_old_one(tmp_path: Path) -> None:
    """A real short write: 4096 bytes are written, the rest fails, as beyond 4 GiB on a FAT disk."""
    target = tmp_path / "data.zip"
    target.write_bytes(b"old")
    done = subprocess.run([sys.executable, "-c", LIMITED, str(target)], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("StyleganvError") and "data.zip" in done.stdout
    assert target.read_bytes() == b"old" and list(tmp_path.iterdir()) == [target]


def test_an_unwritable_path_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "kept").write_text("kept")
    for target in (tmp_path / "file" / "inside.txt", tmp_path / "folder"):
        with pytest.raises(StyleganvError, match=f"Cannot write .*{target.name}"), atomic_write(target) as tmp:
            tmp.write_text("new")
    assert (tmp_path / "folder" / "kept").read_text() == "kept"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder"]


def test_a_folder_replaces_a_folder(tmp_path: Path) -> None:
    target = tmp_path / "model"
    for contents in ("one", "two"):
        with atomic_write(target) as tmp:
            tmp.mkdir()
            (tmp / contents).write_text(contents)
            (tmp / "deep").mkdir()
        assert sorted(p.name for p in target.iterdir()) == sorted([contents, "deep"])
        assert list(tmp_path.iterdir()) == [target]


def test_a_failing_folder_leaves_the_old_one(tmp_path: Path) -> None:
    target = tmp_path / "model"
    target.mkdir()
    (target / "weights").write_text("old")
    with pytest.raises(RuntimeError), atomic_write(target) as tmp:
        tmp.mkdir()
        (tmp / "weights").write_text("new")
        raise RuntimeError
    assert (target / "weights").read_text() == "old" and list(tmp_path.iterdir()) == [target]


def test_a_relative_path_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with atomic_write("plain.txt") as tmp:
        tmp.write_text("here")
    assert (tmp_path / "plain.txt").read_text() == "here"
