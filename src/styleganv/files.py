"""Files are written whole or not at all: to a temporary name beside the target, then renamed."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from styleganv.errors import StyleganvError


@contextmanager
def atomic_write(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path to write to; on success it replaces `path`, on failure it is removed.

    The temporary name keeps the suffix of `path`, since writers choose their format by it. A folder made at
    the temporary path works likewise and replaces a folder of the same name. A full or read-only disk
    becomes a `StyleganvError` that names `path`; what stood at `path` before is then untouched.
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
    """A folder cannot be renamed over a full one, so the old one steps aside first."""
    aside = path.with_name(f".{path.name}.old-{os.getpid()}")
    if path.exists():
        os.replace(path, aside)
    os.replace(new, path)
    _remove(aside)


def _sync(path: Path) -> None:
    """Force the bytes to the disk, so that the rename never outlives the contents."""
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


def _remove(path: Path) -> None:
    """Clean up without hiding the error that made it necessary."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


def _disk_error(error: OSError, path: Path) -> Exception:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StyleganvError(
            f"The disk is full, so {path} could not be written (an earlier version of it is untouched): "
            "free some space and run the command again."
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.EFBIG):
        return StyleganvError(f"{path} cannot be written ({error.strerror}): choose a folder you may write to.")
    return error
