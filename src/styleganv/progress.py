"""Progress of long functions: the callback that they accept, and the bar that the command line passes as one."""

import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TextIO, TypeVar

from tqdm import tqdm

T = TypeVar("T")

#: Set this environment variable to "json" to get one JSON object per report instead of a bar.
FORMAT_VARIABLE = "STYLEGANV_PROGRESS"

#: Called as `progress(done, total, stage)`: steps done, steps in all, and the name of the stage, e.g. "projecting". A
#: note may follow the name after a comma. Every stage starts with a report of 0. An exception that the callback raises
#: cancels the function, which then leaves no partial file, except for what `prepare` continues from.
Progress = Callable[[int, int, str], None]


class Stage:
    """One stage of a long function: counts its steps and reports them."""

    def __init__(self, progress: Progress | None, total: int, name: str) -> None:
        """Report 0 of `total` steps; None as `progress` reports nothing."""
        self.progress, self.done, self.total, self.name, self.note = progress, 0, total, name, ""
        self._report()

    def advance(self, note: str = "") -> None:
        """Report one more step, with the latest note, such as "PSNR 31.4 dB"."""
        self.done, self.note = self.done + 1, note or self.note
        self._report()

    def _report(self) -> None:
        if self.progress is not None:
            self.progress(self.done, self.total, f"{self.name}, {self.note}" if self.note else self.name)


def track(items: Iterable[T], progress: Progress | None, total: int, name: str) -> Iterator[T]:
    """Yield the items; report each as done when the next one is requested."""
    stage = Stage(progress, total, name)
    for item in items:
        yield item
        stage.advance()


@contextmanager
def progress_bar(file: TextIO | None = None) -> Iterator[Progress]:
    """Yield a callback that draws a bar per stage on `file` (default: stderr).

    Where `file` is no terminal, it writes at most one line per percent and per second instead.
    """
    file = file or sys.stderr
    if os.environ.get(FORMAT_VARIABLE) == "json":
        yield lambda done, total, stage: print(
            json.dumps({"done": done, "total": total, "stage": stage}), file=file, flush=True
        )
        return
    if not file.isatty():
        yield _line_writer(file)
        return
    bar: tqdm | None = None

    def report(done: int, total: int, stage: str) -> None:
        nonlocal bar
        if bar is None or done < bar.n or total != bar.total:
            if bar is not None:
                bar.close()
            # What an earlier process did says nothing about the time that remains.
            bar = tqdm(total=total, initial=done, file=file, unit="", dynamic_ncols=True)
        bar.set_description(stage, refresh=False)
        bar.update(done - bar.n)

    try:
        yield report
    finally:
        if bar is not None:
            bar.close()


def _line_writer(file: TextIO) -> Progress:
    start = written = time.monotonic()
    first, last_done, last_percent = 0, -1, -1
    is_ascii = not (getattr(file, "encoding", None) or "utf-8").lower().startswith("utf")

    def report(done: int, total: int, stage: str) -> None:
        nonlocal start, written, first, last_done, last_percent
        now = time.monotonic()
        if done < last_done or done == 0 or last_done < 0:
            start, first, last_percent = now, done, -1
        percent = 100 * done // total if total else 100
        if last_percent < 0 or done == total or (percent > last_percent and now - written >= 1):
            line = tqdm.format_meter(
                done, total, now - start, ncols=100, prefix=stage, unit="", ascii=is_ascii, initial=first
            )
            file.write(f"{line}\n")
            file.flush()
            written, last_percent = now, percent
        last_done = done

    return report
