"""Destinations and atomic writes: after any failure what was there is unchanged, and nothing temporary remains."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from styleganv.errors import StyleganvError
from styleganv.files import LOCK, REPLACED, atomic_write, check_destination, user_cache
from styleganv.media import writing


def test_a_new_file_appears_only_at_the_end(tmp_path: Path) -> None:
    target = tmp_path / "new" / "folder" / "video.mp4"
    with atomic_write(target, overwrite=True) as tmp:
        tmp.write_bytes(b"half")
        assert not target.exists()
        assert tmp.name == "video.mp4" and tmp.parents[1] == target.parent  # writers see the format; one rename
    assert target.read_bytes() == b"half"
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("error", [ValueError("bug"), KeyboardInterrupt(), OSError("odd"), StyleganvError("mistake")])
def test_a_failing_writer_leaves_the_old_file(tmp_path: Path, error: BaseException) -> None:
    target = tmp_path / "model.bin"
    target.write_bytes(b"old")
    with pytest.raises(type(error)) as raised, atomic_write(target, overwrite=True) as tmp:
        tmp.write_bytes(b"new, but only h")
        raise error
    assert raised.value is error
    assert target.read_bytes() == b"old" and list(tmp_path.iterdir()) == [target]


def test_a_failing_writer_leaves_no_new_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError), atomic_write(tmp_path / "a.txt", overwrite=False) as tmp:
        tmp.write_text("half")
        raise ValueError
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_reported_and_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "data.zip"
    target.write_bytes(b"old")
    with (
        pytest.raises(StyleganvError, match=r"Cannot write .*data\.zip, the disk is full"),
        atomic_write(target, overwrite=True) as tmp,
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
    with atomic_write(Path(sys.argv[1]), overwrite=True) as tmp:
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


def test_a_folder_is_replaced_but_for_files_of_others(tmp_path: Path) -> None:
    target = tmp_path / "model"
    for contents in ("one", "two"):
        with atomic_write(target, overwrite=True, contents=("one", "two", "deep/*")) as tmp:
            (tmp / contents).write_text(contents)
            (tmp / "deep").mkdir()
            (tmp / "deep" / contents).write_text(contents)
        if contents == "one":
            (target / "notes.txt").write_text("mine")
            (target / "deep" / "er").mkdir()
            (target / "link").symlink_to("notes.txt")
    names = sorted(p.relative_to(target).as_posix() for p in target.rglob("*"))
    assert names == ["deep", "deep/two", "link", "notes.txt", "two"]
    assert (target / "notes.txt").read_text() == "mine" and (target / "link").readlink() == Path("notes.txt")
    assert list(tmp_path.iterdir()) == [target]


def test_a_failing_folder_leaves_the_old_one(tmp_path: Path) -> None:
    target = tmp_path / "model"
    target.mkdir()
    (target / "weights").write_text("old")
    with pytest.raises(RuntimeError), atomic_write(target, overwrite=True, contents=("weights",)) as tmp:
        (tmp / "weights").write_text("new")
        raise RuntimeError
    assert (target / "weights").read_text() == "old" and list(tmp_path.iterdir()) == [target]


def test_a_folder_that_cannot_be_replaced_is_put_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk fails between the two renames: the old folder was moved away, the new one does not arrive."""
    target, replace = tmp_path / "model", os.replace
    target.mkdir()
    (target / "weights").write_text("old")

    def fail(source: Path, dest: Path) -> None:
        if dest == target and source.parent.name != REPLACED:
            raise OSError(errno.EIO, "Input/output error")
        replace(source, dest)

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError), atomic_write(target, overwrite=True, contents=("weights",)) as tmp:
        (tmp / "weights").write_text("new")
    assert (target / "weights").read_text() == "old" and list(tmp_path.iterdir()) == [target]


def test_a_relative_path_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with atomic_write("plain.txt", overwrite=False) as tmp:
        tmp.write_text("here")
    assert (tmp_path / "plain.txt").read_text() == "here"


def test_links_are_followed(tmp_path: Path) -> None:
    """So a link to another disk stays one."""
    (tmp_path / "disk").mkdir()
    link = tmp_path / "data.zip"
    link.symlink_to("disk/data.zip")
    for contents in (b"one", b"two"):
        with atomic_write(link, overwrite=True) as tmp:
            tmp.write_bytes(contents)
        assert link.is_symlink() and (tmp_path / "disk" / "data.zip").read_bytes() == contents


@pytest.mark.skipif(sys.platform == "win32", reason="has no umask")
@pytest.mark.parametrize("umask, mode", [(0o022, 0o644), (0o002, 0o664), (0o077, 0o600)])
def test_files_follow_the_umask(tmp_path: Path, umask: int, mode: int) -> None:
    """Also those of safetensors, which writes mode 0600."""
    before = os.umask(umask)
    try:
        with atomic_write(tmp_path / "new" / "model", overwrite=False, contents=("*",)) as folder:
            save_file({"x": torch.zeros(1)}, folder / "model.safetensors")
        with atomic_write(tmp_path / "latents.safetensors", overwrite=False) as file:
            save_file({"x": torch.zeros(1)}, file)
    finally:
        os.umask(before)
    for path in (tmp_path / "new" / "model" / "model.safetensors", tmp_path / "latents.safetensors"):
        assert path.stat().st_mode & 0o777 == mode
    assert (tmp_path / "new" / "model").stat().st_mode & 0o777 == 0o777 & ~umask


KILLED = """
import sys
from styleganv.files import atomic_write
with atomic_write(sys.argv[1], overwrite=True, contents=None) as tmp:
    tmp.write_text("half")
    print("written", flush=True)
    sys.stdin.read()
"""


def test_what_a_killed_process_left_is_removed_and_only_that(tmp_path: Path) -> None:
    """Two processes write; one is killed, and the next writer to the folder removes its part but not the other's."""
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", KILLED, str(tmp_path / name)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for name in ("killed.txt", "living.txt")
    ]
    killed, living = writers
    try:
        for writer in writers:
            assert writer.stdout is not None and writer.stdout.readline() == b"written\n"
        killed.kill()
        killed.wait()
        assert len(list(tmp_path.iterdir())) == 2
        check_destination(tmp_path / "other.txt", overwrite=False)
        [left] = tmp_path.iterdir()
        assert left.name.startswith(".living.txt.part-")
        living.communicate(timeout=60)
        assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {"living.txt": "half"}
    finally:
        for writer in writers:
            writer.kill()
            writer.communicate()


def test_folders_with_the_name_of_a_temporary_one_are_kept(tmp_path: Path) -> None:
    mine = tmp_path / ".notes.part-0123abcd"
    mine.mkdir()
    (mine / "thesis.txt").write_text("mine")
    check_destination(tmp_path / "video.mp4", overwrite=False)
    assert (mine / "thesis.txt").read_text() == "mine"


def test_a_folder_that_a_killed_process_was_replacing_is_put_back(tmp_path: Path) -> None:
    left = tmp_path / ".model.part-0123abcd"
    (left / REPLACED / "model").mkdir(parents=True)
    (left / LOCK).touch()
    (left / REPLACED / "model" / "weights").write_text("old")
    check_destination(tmp_path / "video.mp4", overwrite=False)
    assert (tmp_path / "model" / "weights").read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with files of others and an earlier result."""
    monkeypatch.chdir(tmp_path)
    for name in ("file", "full/notes.txt", "mixed/config.json", "mixed/deep/notes.txt", "model/config.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text("kept")
    (tmp_path / "empty").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    "path, contents, overwrite, message",
    [
        ("file", None, False, r"file already exists: choose another path, or pass --overwrite to replace it\."),
        ("file", None, None, r"file already exists: choose another path\."),
        ("full", None, True, "full exists and is a folder"),
        ("", None, True, "exists and is a folder"),
        (os.devnull, None, True, "not a regular file"),
        ("file/video.mp4", None, False, "file is a file: choose another path"),
        ("file/deep/video.mp4", None, False, "file is a file: choose another path"),
        ("x" * 300, None, False, "(?i)name too long"),
        ("x\0y", None, False, "null"),
        ("model", ("config.json",), False, r"model already exists: .*--overwrite"),
        ("full", ("config.json",), True, r"full contains other files \(notes\.txt\)"),
        ("mixed", ("config.json",), True, r"mixed contains other files \(deep/notes\.txt\)"),
        ("file", ("config.json",), True, "file exists and is not a folder"),
        (".", ("*",), True, "current folder"),
        ("..", ("*",), True, "current folder"),
        ("/", ("*",), True, "current folder"),
    ],
)
def test_destinations_that_are_refused(
    path: str, contents: tuple[str, ...] | None, overwrite: bool | None, message: str, here: Path
) -> None:
    before = sorted(here.rglob("*"))
    with pytest.raises(StyleganvError, match=message):
        check_destination(path, overwrite=overwrite, contents=contents)
    assert sorted(here.rglob("*")) == before


@pytest.mark.parametrize(
    "path, contents, overwrite",
    [
        ("new/deep/video.mp4", None, False),
        ("new/model", ("*",), False),
        ("empty", ("config.json",), False),
        ("model", ("config.json",), True),
        ("file", None, True),
    ],
)
def test_destinations_that_are_free(path: str, contents: tuple[str, ...] | None, overwrite: bool, here: Path) -> None:
    before = sorted(here.rglob("*"))
    check_destination(path, None, overwrite=overwrite, contents=contents)
    assert sorted(here.rglob("*")) == before
    with atomic_write(path, overwrite=overwrite, contents=contents) as tmp:
        (tmp if contents is None else tmp / "config.json").write_text("new")
    assert (here / path / ("" if contents is None else "config.json")).read_text() == "new"


def test_one_destination_for_two_results_is_refused(here: Path) -> None:
    with pytest.raises(StyleganvError, match="destination of two results"):
        check_destination("a.mp4", here / "a.mp4", overwrite=True)


def test_a_file_that_appears_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    target = tmp_path / "video.mp4"
    with pytest.raises(StyleganvError, match="already exists"), atomic_write(target, overwrite=False) as tmp:
        tmp.write_text("mine")
        target.write_text("another's")
    assert target.read_text() == "another's" and list(tmp_path.iterdir()) == [target]


def _write_video(path: Path) -> None:
    rng = np.random.default_rng(0)
    writing.write_video(
        path, (rng.integers(0, 256, (64, 64, 3), np.uint8) for _ in range(96)), 25, crf=0, overwrite=True
    )


@pytest.mark.parametrize(
    "name, write",
    [
        ("x.safetensors", lambda path: save_file({"x": torch.zeros(1 << 18)}, path)),
        ("x.pt", lambda path: torch.save({"x": torch.zeros(1 << 18)}, path)),
        ("x.mp4", _write_video),
        ("x.webm", _write_video),
        ("x.mov", _write_video),
        ("x.gif", _write_video),
        ("x.webp", _write_video),
        ("x.bin", lambda path: path.write_bytes(bytes(1 << 19))),
    ],
)
def test_every_writer_reports_a_full_disk(name: str, write: Callable[[Path], object], small_disk: Path) -> None:
    target = small_disk / name
    target.write_bytes(b"old")
    with (
        pytest.raises(StyleganvError, match=rf"Cannot write .*{name}, the disk is full"),
        atomic_write(target, overwrite=True) as tmp,
    ):
        write(tmp)
    assert target.read_bytes() == b"old" and list(small_disk.iterdir()) == [target]


def test_a_disk_without_any_room_is_reported_before_the_work(small_disk: Path) -> None:
    with suppress(OSError):
        (small_disk / "filler").write_bytes(bytes(1 << 20))
    subprocess.run(["mount", "-o", "remount,nr_inodes=2", str(small_disk)], check=True)
    with pytest.raises(StyleganvError, match="the disk is full"):
        check_destination(small_disk / "video.mp4", overwrite=False)


def test_a_read_only_disk_is_reported_before_the_work(small_disk: Path) -> None:
    """The owner and root are told by access rights that they may write."""
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(StyleganvError, match=r"Cannot write .*Read-only"):
        check_destination(small_disk / "new" / "video.mp4", overwrite=False)


def test_without_a_home_the_cache_is_private_and_temporary(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    assert user_cache() == Path("/home/somebody/.cache/styleganv")

    def fail() -> Path:
        raise RuntimeError("Could not determine home directory.")  # a user without an entry, as in containers

    monkeypatch.setattr(Path, "home", fail)
    folder = user_cache()
    assert folder.is_dir() and folder.stat().st_mode & 0o077 == 0 and user_cache() == folder
    assert [record.message for record in caplog.records if "HOME" in record.message] == [
        "No home folder found, so results are not cached: set the environment variable HOME."
    ]


def test_leftovers_inside_a_folder_are_no_foreign_files(tmp_path: Path) -> None:
    """A command that was killed while it wrote inside its folder can be run again."""
    (tmp_path / "demo" / ".data.zip.part-0123abcd").mkdir(parents=True)
    (tmp_path / "demo" / ".data.zip.part-0123abcd" / "data.zip").write_text("half")
    check_destination(tmp_path / "demo", overwrite=True, contents=("data.zip",))
    (tmp_path / "demo" / "mine").touch()
    with pytest.raises(StyleganvError, match="contains other files"):
        check_destination(tmp_path / "demo", overwrite=True, contents=("data.zip",))
