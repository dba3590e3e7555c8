"""The runs that a studio watches: those that were named, and those in folders that were named, as they appear."""

import threading
import time
from collections.abc import Sequence
from pathlib import Path

from styleganv.errors import StyleganvError
from styleganv.inventory import find_runs, is_run
from styleganv.run_monitor import RunMonitor
from styleganv.studio.access import public_name

#: Seconds between searches for new runs; more in large folders, where they take a tenth of the time.
SEARCH_SECONDS = 2.0


def is_run_folder(path: Path | str) -> bool:
    """Return whether a path is a folder to look for runs in, and neither a run nor a model."""
    path = Path(path)
    return path.is_dir() and not is_run(path) and not (path / "config.json").exists()


class RunList:
    """Runs by their public names, in the order in which they were found; those in folders after a `search`.

    Attributes:
        folders: where to look for runs.
        runs: by name. A run keeps its name while the studio is open, also if it is deleted.
    """

    def __init__(self, paths: Sequence[Path | str]) -> None:
        """Take the runs among the paths, and remember the folders.

        Raises:
            StyleganvError: if a folder holds no run.
        """
        self.folders = [Path(path) for path in paths if is_run_folder(path)]
        self.runs: dict[str, RunMonitor] = {}
        self._known: set[Path] = set()
        self._lock = threading.Lock()
        self._next_search = 0.0
        for path in map(Path, paths):
            if is_run(path):
                self._add(path, public_name(path))
        for folder in self.folders:
            if next(find_runs(folder), None) is None:
                raise StyleganvError(
                    f"No model or run found in {folder}: pass a model folder, a run, or a folder of runs."
                )

    def search(self) -> list[RunMonitor]:
        """Return the runs that have appeared in the folders since the last search, a few seconds ago or more."""
        with self._lock:
            if (before := time.monotonic()) < self._next_search:
                return []
            found = [(folder, run) for folder in self.folders for run in sorted(find_runs(folder))]
            took = time.monotonic() - before
            self._next_search = before + max(SEARCH_SECONDS, 10 * took)
            new = [(folder, run) for folder, run in found if run.resolve() not in self._known]
            names = [Path(public_name(folder), run.relative_to(folder)).as_posix() for folder, run in new]
            return [self._add(run, name) for (_, run), name in zip(new, names, strict=True)]

    def find(self, name: str) -> RunMonitor:
        """Return a run by its name. Raises StyleganvError if there is none."""
        if name not in self.runs:
            raise StyleganvError(f"Unknown run {name}: reload the page.")
        return self.runs[name]

    def _add(self, folder: Path, name: str) -> RunMonitor:
        number = 2
        unique = name
        while unique in self.runs:
            unique, number = f"{name} ({number})", number + 1
        self._known.add(folder.resolve())
        self.runs[unique] = RunMonitor(folder, unique)
        return self.runs[unique]
