"""Atomic writes: to a temporary name in the same folder, then renamed."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from styleganv.errors import StyleganvError

#: Errors of a path that cannot become a file.
PATH_ERRORS = (
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EEXIST,
    errno.EISDIR,
    errno.EFBIG,
    errno.EINVAL,
    errno.ENAMETOOLONG,
    errno.ELOOP,
)


@contextmanager
def atomic_write(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path to write to; on success it replaces `path`, on failure it is removed.

    The temporary name keeps the suffix of `path`, because writers choose their format by it. A folder created at the
    temporary path replaces a folder at `path` in the same way.

    Raises:
        StyleganvError: if the disk is full or read-only; what was at `path` is then unchanged.
    """
    path = Path(path)
    tmp_path = path.with_name(f".{path.stem}.part-{os.getpid()}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield tmp_path
        if tmp_path.is_dir():
            _replace_folder(tmp_path, path)
        else:
            _sync(tmp_path)
            os.replace(tmp_path, path)
    except OSError as error:
        raise _disk_error(error, path) from error
    finally:
        _remove(tmp_path)


def _replace_folder(new: Path, path: Path) -> None:
    """Move the old folder out of the way first: a folder cannot be renamed over a nonempty one."""
    old = path.with_name(f".{path.name}.old-{os.getpid()}")
    if path.exists():
        os.replace(path, old)
    os.replace(new, path)
    _remove(old)


def _sync(path: Path) -> None:
    """Flush the bytes to disk, so that a crash after the rename cannot leave an empty file."""
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


def _remove(path: Path) -> None:
    """Remove a file or folder without raising, so that an earlier error stays visible."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


def _disk_error(error: OSError, path: Path) -> Exception:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StyleganvError(
            f"Cannot write {path}, the disk is full (an earlier version is unchanged): free space and try again."
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return StyleganvError(f"Cannot write {path} ({error.strerror}): choose a folder with write permission.")
    if error.errno in PATH_ERRORS:
        return StyleganvError(f"Cannot write {path} ({error.strerror}): choose another path.")
    return error  # e.g. of a connection that the file is downloaded from
