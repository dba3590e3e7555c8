"""Where files are written, and how: one policy for destinations, and atomic writes.

A destination that exists is refused. `overwrite` replaces it, but only what the same command writes: a folder that
holds anything else is refused too. A file or folder is written to a temporary folder next to its destination,
`.NAME.part-0123abcd`, and then renamed. An operating-system lock marks the temporary folder while its process lives, so
that the next command can remove those of killed processes, and only those.
"""

import errno
import json
import logging
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from filelock import FileLock, Timeout

from styleganv.errors import StyleganvError

logger = logging.getLogger(__name__)

#: Errors of a path that cannot become a file.
PATH_ERRORS = (
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EEXIST,
    errno.EISDIR,
    errno.EBUSY,
    errno.EFBIG,
    errno.EINVAL,
    errno.ENAMETOOLONG,
    errno.ELOOP,
    errno.EXDEV,
)
#: Contents of a temporary folder, besides what is written: its lock, and the folder that is being replaced.
LOCK, REPLACED = ".lock", ".replaced"
#: Flushing every file of a folder with more, i.e. of frames, would take longer than writing them.
MAX_SYNCED = 20
#: Name of a temporary folder.
LEFTOVER = re.compile(r"\..{1,50}\.part-[0-9a-f]{8}", re.DOTALL)
#: Free space that a full disk lacks, in bytes.
PROBE_BYTES = 1 << 20


def check_destination(*paths: Path | str | None, overwrite: bool | None, contents: Sequence[str] | None = None) -> None:
    """Raise a StyleganvError unless these paths can be written; called before the work whose result they get.

    Args:
        paths: files to write, or folders with `contents`; None is skipped. Missing parents are allowed.
        overwrite: accept destinations that exist, if they hold nothing but what is written there. None: refuse them,
            and do not name the option, for commands without it.
        contents: patterns (as of `fnmatch`) of the files in such a folder, relative to it.

    Raises:
        StyleganvError: if a path exists, is given twice, is inside a file, or cannot be written.
    """
    parents: dict[Path, list[tuple[Path, Path]]] = {}
    destinations = set()
    for path in (Path(path) for path in paths if path is not None):
        dest = _resolve(path)
        if dest in destinations:
            raise StyleganvError(
                f"{path} is the destination of two results: choose another path for one of them, or omit it."
            )
        destinations.add(dest)
        if contents is not None and Path(os.path.realpath(".")).is_relative_to(dest):
            raise StyleganvError(f"{path} is the current folder, or contains it: choose a new folder.")
        if contents is not None and os.path.ismount(dest):
            raise StyleganvError(f"{path} is the root folder of a disk: choose a folder on it.")
        parents.setdefault(dest.parent, []).append((path, dest))
    for group in parents.values():
        with disk_errors(group[0][0]), temporary_folder(group[0][1]) as folder:
            for path, dest in group:
                _check_free(path, dest, overwrite, contents)
                (folder / dest.name).touch()  # the only reliable test of permissions, and of the name


@contextmanager
def atomic_write(path: Path | str, *, overwrite: bool, contents: Sequence[str] | None = None) -> Iterator[Path]:
    """Yield a temporary path to write to; on success it becomes `path`, on failure it is removed.

    It has the name of `path`, as writers choose their format by it. What is written follows the umask.

    Args:
        path: file to write, or folder with `contents`; links are followed.
        overwrite: replace what is at `path`. In a folder, files that match no pattern stay.
        contents: patterns of the files in the folder, as for `check_destination`; the temporary path is then a folder.

    Raises:
        StyleganvError: if `path` exists, or the disk is full or read-only; what was at `path` is then unchanged.
    """
    path = Path(path)
    dest = _resolve(path)
    with disk_errors(path), temporary_folder(dest) as folder:
        _check_free(path, dest, overwrite, ("*",) if overwrite and contents is not None else contents)
        tmp_path = folder / dest.name
        if contents is not None:
            tmp_path.mkdir()
        with _writer_errors(folder):
            yield tmp_path
        _complete(tmp_path, folder.stat().st_mode & 0o666)
        _check_free(path, dest, overwrite, ("*",) if overwrite and contents is not None else contents)
        if contents is not None and dest.exists():
            for name in _list_others(dest, contents):
                _copy(dest / name, tmp_path / name)
            (folder / REPLACED).mkdir()
            os.replace(dest, folder / REPLACED / dest.name)  # a folder cannot be renamed over a nonempty one
        os.replace(tmp_path, dest)


def write_json(path: Path | str, value: Any, *, overwrite: bool = False) -> None:
    """Write a value as indented JSON, atomically. Raises StyleganvError as `atomic_write`."""
    text = json.dumps(value, indent=2) + "\n"
    with atomic_write(path, overwrite=overwrite) as tmp_path:
        tmp_path.write_text(text, "utf-8")


@contextmanager
def temporary_folder(path: Path | str) -> Iterator[Path]:
    """Yield a new folder next to `path`, removed afterwards; those left by killed processes are removed first."""
    path = Path(path)
    missing: list[Path] = []
    for remaining in reversed(range(20)):
        missing += [parent for parent in path.parents if parent not in missing and not parent.exists()]
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(path.parent)
        folder = path.parent / f".{path.name[:50]}.part-{secrets.token_hex(4)}"
        lock = FileLock(folder / LOCK)
        try:
            folder.mkdir()
            lock.acquire(blocking=False)
            os.stat(folder / LOCK)
            break
        except (Timeout, FileNotFoundError):  # removed by a process to which it looked left, as it was not locked yet
            lock.release()
            if not remaining:
                raise
    try:
        yield folder
    finally:
        _restore(folder)
        lock.release()
        shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):  # parents stay if there is something in them now
            for parent in missing:
                parent.rmdir()


def _remove_leftovers(parent: Path) -> None:
    """Remove the temporary folders in `parent` that no process has locked."""
    names: list[str] = []
    with suppress(OSError):  # a folder can be writable and not readable
        names = os.listdir(parent)
    for name in names:
        folder = parent / name
        if not LEFTOVER.fullmatch(name) or folder.is_symlink():
            continue
        with suppress(OSError):  # another user's; Timeout is one, too
            if not (folder / LOCK).exists():
                folder.rmdir()
                continue
            with FileLock(folder / LOCK).acquire(blocking=False):
                _restore(folder)
                shutil.rmtree(folder, ignore_errors=True)
            shutil.rmtree(folder, ignore_errors=True)  # Windows keeps open files


def _restore(folder: Path) -> None:
    """Put a folder back that was moved away and not replaced, because the process or the disk failed in between."""
    if (folder / REPLACED).exists():
        for replaced in (folder / REPLACED).iterdir():
            if not os.path.lexists(folder.parent / replaced.name):
                os.replace(replaced, folder.parent / replaced.name)


def _resolve(path: Path) -> Path:
    try:
        return Path(os.path.realpath(path))
    except (OSError, ValueError) as error:
        raise StyleganvError(f"Cannot write {str(path)!r} ({error}): choose another path.") from error


def _check_free(path: Path, dest: Path, overwrite: bool | None, contents: Sequence[str] | None) -> None:
    """Raise a StyleganvError if there is something at `dest` that may not be replaced."""
    if not os.path.lexists(dest):
        return
    if contents is None and not dest.is_file():
        kind = "a folder" if dest.is_dir() else "not a regular file"
        raise StyleganvError(f"{path} exists and is {kind}: pass the path of a file to write.")
    if contents is not None and not dest.is_dir():
        raise StyleganvError(f"{path} exists and is not a folder: choose a new folder.")
    if contents is not None and (other := next(_list_others(dest, contents), None)):
        raise StyleganvError(f"{path} contains other files ({other}): choose a new folder.")
    if not overwrite and (contents is None or any(dest.iterdir())):
        remedy = "choose another path" + ("" if overwrite is None else ", or pass --overwrite to replace it")
        raise StyleganvError(f"{path} already exists: {remedy}.")


def _list_others(folder: Path, contents: Sequence[str]) -> Iterator[str]:
    """Yield the relative paths of the files and links in `folder` that match none of the patterns."""
    for root, folders, files in os.walk(folder, onerror=_raise):
        folders[:] = [name for name in folders if not LEFTOVER.fullmatch(name)]  # removed by the next write there
        links = [name for name in folders if (Path(root) / name).is_symlink()]
        for name in sorted(files + links):
            relative = (Path(root) / name).relative_to(folder).as_posix()
            if not any(fnmatchcase(relative, pattern) for pattern in contents):
                yield relative


def _raise(error: OSError) -> None:
    raise error


def _copy(source: Path, dest: Path) -> None:
    """Copy a file or link of a folder to the one that replaces it; a second name for the same file is enough."""
    if not os.path.lexists(dest):
        dest.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source, dest, follow_symlinks=False)
        except OSError:  # some file systems have no such names
            shutil.copy2(source, dest, follow_symlinks=False)


def _complete(path: Path, mode: int) -> None:
    """Give files the mode of the umask, as some writers set their own, and flush them to disk before the rename."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    for file in files:
        if len(files) <= MAX_SYNCED:
            with open(file, "rb+") as opened:
                os.fsync(opened.fileno())
        file.chmod(mode)


@contextmanager
def _writer_errors(folder: Path) -> Iterator[None]:
    """Turn the errors by which PyTorch, safetensors and others report a full disk into the system's."""
    try:
        yield
    except (OSError, StyleganvError):
        raise
    except Exception as error:
        if "No space left" in str(error):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
        if isinstance(error, RuntimeError):  # PyTorch's does not tell the reason
            (folder / "probe").write_bytes(bytes(PROBE_BYTES))
        raise


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn errors of the disk into a sentence about `path`."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StyleganvError(
                f"Cannot write {path}, the disk is full (an earlier version is unchanged): free space and try again."
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise StyleganvError(
                f"Cannot write {path} ({error.strerror}): choose a folder with write permission."
            ) from error
        if blocking := next((parent for parent in path.parents if parent.is_file()), None):
            raise StyleganvError(f"Cannot write {path}, as {blocking} is a file: choose another path.") from error
        if error.errno in PATH_ERRORS:
            raise StyleganvError(f"Cannot write {path} ({error.strerror}): choose another path.") from error
        raise  # e.g. of a connection that the file is downloaded from


def is_locked(lock: Path) -> bool:
    """Return whether a process holds this lock file; another process that asks for the lock meanwhile has to wait."""
    try:
        if lock.exists():
            with FileLock(lock, timeout=0):
                pass
    except Timeout:
        return True
    except OSError:  # e.g. a folder without write permission, in which no process of this user trains
        pass
    return False


def readable(name: str) -> str:
    r"""Return a name on one line that can be printed: bytes that are not UTF-8 and control characters become \x0a."""
    # Surrogates that stand for no byte.
    name = re.sub(r"[\ud800-\udc7f\udd00-\udfff]", lambda found: f"\\u{ord(found[0]):04x}", name)
    text = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", lambda found: f"\\x{ord(found[0]):02x}", text)


def user_cache() -> Path:
    """Return ~/.cache/styleganv; without a home (containers), a private folder that lasts until the process ends."""
    try:
        return Path.home() / ".cache" / "styleganv"
    except RuntimeError:
        return Path(_temporary_cache().name)


@cache
def _temporary_cache() -> TemporaryDirectory[str]:
    logger.warning("No home folder found, so results are not cached: set the environment variable HOME.")
    return TemporaryDirectory(prefix="styleganv-cache-")
