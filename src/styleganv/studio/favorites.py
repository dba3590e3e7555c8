"""Favorites: a folder of project files with one keyframe each, `NAME.yaml`, and moving thumbnails, `NAME.webp`.

Several studios may share the folder, and other files in it stay untouched. A favorite is a regular file with both
names whose YAML starts with `MARK`. Clients only ever send names, which become paths here.
"""

import logging
import os
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from styleganv.errors import StyleganvError
from styleganv.files import atomic_write, disk_errors
from styleganv.media.writing import write_video
from styleganv.studio.exports import check_project
from styleganv.video_model import Frame

logger = logging.getLogger(__name__)

#: First line of a favorite, which tells it from other project files.
MARK = "# A favorite of styleganv studio"
#: Length of a name in bytes of UTF-8: file systems allow 255, of which suffixes and temporary folders take some.
MAX_NAME_BYTES = 120
MAX_FAVORITES, MAX_FILE_BYTES = 1000, 2**19
#: Characters that some file system forbids in names, and names that Windows reserves.
FORBIDDEN = frozenset('/\\:*?"<>|')
RESERVED = frozenset({"con", "prn", "aux", "nul"} | {f"{port}{n}" for port in ("com", "lpt") for n in range(10)})
#: Lock of the folder while a studio changes it, and how long another one waits for it.
LOCK, LOCK_SECONDS = ".favorites.lock", 10.0


class Favorites:
    """The favorites in a folder, which is created on the first save."""

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)

    def list(self) -> list[dict[str, Any]]:
        """Return name, file, project text and version of each favorite, sorted by name; files of others are skipped."""
        folder = self._public_folder()
        return [
            {"name": path.stem, "file": f"{folder}/{path.name}", "project": text, "version": path.stat().st_mtime_ns}
            for path, text in sorted(self._read_all(), key=lambda item: _key(item[0].stem))
        ]

    def save(self, name: Any, project: Any, frames: Iterable[Frame], fps: float) -> str:
        """Write a favorite; return its name.

        Args:
            project: text of a project file.
            frames: of the thumbnail, `[H, W, 3]`.

        Raises:
            StyleganvError: for a bad name, one that exists, an invalid project, or a folder that cannot be written.
        """
        name, text = check_name(name), check_project(project)
        with self._locked():
            self._check_free(name)
            if sum(1 for _ in self._read_all()) >= MAX_FAVORITES:
                raise StyleganvError(f"{self.folder.name} has {MAX_FAVORITES} favorites: delete some first.")
            # The thumbnail first: without its YAML, it is no favorite.
            write_video(self._path(name, ".webp"), frames, fps)
            try:
                with atomic_write(self._path(name), overwrite=False) as tmp_path:
                    tmp_path.write_text(f"{MARK}\n{text}", "utf-8")
            except BaseException:
                self._path(name, ".webp").unlink(missing_ok=True)
                raise
        return name

    def thumbnail(self, name: Any) -> Path:
        """Return the path of a thumbnail. Raises StyleganvError if there is no such favorite."""
        return self._find(name).with_suffix(".webp")

    def rename(self, name: Any, new_name: Any) -> str:
        """Give a favorite another name. Raises StyleganvError as `save`, and if there is no such favorite."""
        new_name = check_name(new_name)
        with self._locked():
            path = self._find(name)
            if path.stem == new_name:
                return new_name
            self._check_free(new_name, path.stem)
            renamed = []
            try:
                for suffix in (".webp", ".yaml"):  # without its YAML, a thumbnail is no favorite
                    source, dest = path.with_suffix(suffix), self._path(new_name, suffix)
                    os.rename(source, dest)
                    renamed.append((source, dest))
            except OSError as error:
                for source, dest in renamed:
                    os.rename(dest, source)
                raise StyleganvError(f"Cannot rename {path.stem} ({error.strerror}): choose another name.") from error
        return new_name

    def delete(self, name: Any) -> None:
        """Delete a favorite. Raises StyleganvError if there is none of this name."""
        with self._locked():
            path = self._find(name)
            with disk_errors(path):
                path.unlink()
                path.with_suffix(".webp").unlink(missing_ok=True)

    def _public_folder(self) -> str:
        """Return the folder relative to where the studio was started; elsewhere, its name."""
        with suppress(ValueError, OSError):
            return self.folder.resolve().relative_to(Path.cwd()).as_posix()
        return self.folder.resolve().name

    def _path(self, name: str, suffix: str = ".yaml") -> Path:
        return self.folder / f"{name}{suffix}"

    def _read_all(self) -> Iterator[tuple[Path, str]]:
        """Yield path and project text of each favorite."""
        names: list[str] = []
        with suppress(OSError):
            names = os.listdir(self.folder)
        for name in names:
            path = self.folder / name
            if path.suffix == ".yaml" and (text := _read(path)) is not None:
                yield path, text

    def _find(self, name: Any) -> Path:
        """Return the YAML file of a favorite, as it is spelled in the folder."""
        key = _key(check_name(name))
        for path, _ in self._read_all():
            if _key(path.stem) == key:
                return path
        raise StyleganvError(f"No favorite is called {name}: reload the page.")

    def _check_free(self, name: str, but: str | None = None) -> None:
        """Raise StyleganvError if a file has this name, on file systems with or without upper and lower case."""
        for other in os.listdir(self.folder):
            stem, suffix = os.path.splitext(other)
            if suffix.lower() in (".yaml", ".webp") and _key(stem) == _key(name) and stem != but:
                raise StyleganvError(f"{stem} already exists in {self.folder.name}: choose another name.")

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep other studios from changing the folder."""
        with disk_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            try:
                with FileLock(self.folder / LOCK, timeout=LOCK_SECONDS):
                    yield
            except Timeout as error:
                raise StyleganvError(f"Another studio is writing to {self.folder.name}: try again.") from error


def _read(path: Path) -> str | None:
    """Return the project text of a favorite; None for anything else, e.g. a link, or a file without thumbnail."""
    picture = path.with_suffix(".webp")
    try:
        if any(file.is_symlink() or not file.is_file() for file in (path, picture)):
            return None
        if path.stat().st_size > MAX_FILE_BYTES:
            return None
        mark, _, text = path.read_text("utf-8").partition("\n")
    except (OSError, ValueError):
        return None
    return text if mark == MARK else None


def _key(name: str) -> str:
    """Return what names have in common that some file system takes for one."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def check_name(name: Any) -> str:
    """Return a name that is one in every file system, in Unicode's composed form.

    Raises:
        StyleganvError: if it is empty, too long, hidden, reserved, or has characters that are no part of a name.
    """
    text = unicodedata.normalize("NFC", name).strip() if isinstance(name, str) else ""
    try:
        num_bytes = len(text.encode())
    except UnicodeError:  # half of a surrogate pair
        num_bytes = 0
    if not 0 < num_bytes <= MAX_NAME_BYTES:
        raise StyleganvError(
            f"The name of a favorite must have 1 to {MAX_NAME_BYTES} bytes, got {num_bytes}: change it."
        )
    bad = next((letter for letter in text if letter in FORBIDDEN or not letter.isprintable()), None)
    if bad is not None:
        raise StyleganvError(f"The name of a favorite must not contain {bad!r}: change it.")
    if text.startswith(".") or text.endswith(".") or text.split(".")[0].strip().casefold() in RESERVED:
        raise StyleganvError(f"{text} is no name for a file: choose another name.")
    return text
