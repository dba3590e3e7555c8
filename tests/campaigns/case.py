"""One case: a command, what it may write, and what must come of it."""

import json
import os
import re
import shlex
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatch
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

from PIL import Image

from .sandbox import MAX_BYTES, Outcome

#: Exit status after an error of the user's: 1, or 2 for an error in the command line itself.
ERROR_STATUS = (1, 2)
SENTENCE = re.compile(r"^styleganv( [a-z]+)?: \S")
NOTICE = re.compile(r"damaged|hash|checksum|previous|truncated|cannot read|skipped|invalid|not match", re.IGNORECASE)
PYTHON_WORDS = re.compile(r"object has no attribute|NoneType|object at 0x|__init__\(|\bErrno\b|unhashable|codec can't")


@dataclass
class Case:
    """A command line and what is expected of it.

    Attributes:
        argv: arguments of the program.
        note: what was done to its inputs.
        writes: paths in the folder of the case that it may create or change; of a pattern, only create.
        must: succeed, refuse, or notice (refuse, or succeed with a warning); None: any clean end.
        check: after a success, returns what is wrong with the result, or None.
        whole: whether nothing may be at a new destination after an error.
    """

    argv: list[str]
    note: str
    writes: tuple[str, ...] = ()
    must: Literal["succeed", "refuse", "notice"] | None = None
    check: Callable[[Path], str | None] | None = None
    whole: bool = True

    def command(self) -> str:
        """Return the command line, for people."""
        return shlex.join(["styleganv", *(os.fsencode(word).decode("utf-8", "replace") for word in self.argv)])


def judge(case: Case, outcome: Outcome, changed: list[str], folder: Path) -> list[str]:
    """Return all that is wrong; the first word of each is its kind."""
    problems = []
    lines = [line for line in outcome.stderr.replace("\r", "\n").splitlines() if line.strip()]
    if outcome.timed_out:
        problems.append(f"hang: still running after {outcome.seconds:.0f} s")
    elif outcome.status not in (0, *ERROR_STATUS):
        problems.append(f"status: exit status {outcome.status}")
    if "Traceback (most recent call last)" in outcome.stderr:
        problems.append(f"traceback: {lines[-1]}")
    elif outcome.status in ERROR_STATUS:
        problems += _judge_sentence(lines)
    if outcome.peak_bytes > MAX_BYTES:
        problems.append(f"memory: {outcome.peak_bytes / 2**30:.1f} GiB above idle")
    elif "not enough memory" in outcome.stderr.lower():
        problems.append("memory: more address space than the limit was asked for")
    if outcome.survivors:
        problems.append(f"survivors: {', '.join(outcome.survivors)}")
    problems += _judge_changes(case, outcome, changed)
    if not outcome.timed_out:
        problems += _judge_expectation(case, outcome, lines, folder)
    return problems


def _judge_sentence(lines: list[str]) -> list[str]:
    """Return what is wrong with the sentence of an error; warnings may come before it."""
    starts = [index for index, line in enumerate(lines) if SENTENCE.match(line)]
    if len(starts) != 1:
        return [f"sentence: {len(starts)} sentences: {lines[-1] if lines else 'nothing on stderr'}"]
    rest = [line for line in lines[starts[0] + 1 :] if not line.startswith("Run `styleganv")]
    if rest:
        return [f"sentence: more than one line: {lines[starts[0]]} / {rest[0]}"]
    if len(lines[starts[0]]) > 1000:
        return [f"sentence: {len(lines[starts[0]])} characters: {lines[starts[0]][:150]} …"]
    if words := PYTHON_WORDS.search(lines[starts[0]]):
        return [f"words: the sentence shows Python's words ({words[0]}): {lines[starts[0]]}"]
    return []


def _judge_changes(case: Case, outcome: Outcome, changed: list[str]) -> list[str]:
    problems = []
    outside = [change for change in changed if not _is_allowed(change, case.writes)]
    if outside:
        problems.append(f"outside: {'; '.join(outside[:3])}")
    parts = [change for change in changed if re.search(r"(^|/)\.[^/]*(part|old|tmp)", change) and "lock" not in change]
    if parts and not outside:
        problems.append(f"leftovers: {'; '.join(parts[:3])}")
    inside = [change for change in changed if change not in outside]
    if case.whole and outcome.status in ERROR_STATUS and inside and not parts:
        problems.append(f"incomplete: an error left {'; '.join(inside[:3])}")
    return problems


def _is_allowed(change: str, writes: tuple[str, ...]) -> bool:
    """Return whether a changed path is a destination or in one; a pattern allows new files only."""
    return any(change.startswith((f"{name} ", f"{name}/")) or fnmatch(change, f"{name} is new") for name in writes)


def _judge_expectation(case: Case, outcome: Outcome, lines: list[str], folder: Path) -> list[str]:
    if case.must == "succeed" and outcome.status:
        return [f"refused: must succeed: {lines[-1] if lines else ''}"]
    if case.must == "refuse" and outcome.status == 0:
        return ["accepted: must be refused"]
    if case.must == "notice" and outcome.status == 0 and not NOTICE.search(outcome.stderr + outcome.stdout):
        return ["accepted: must be refused or reported"]
    if outcome.status == 0 and case.check is not None:
        problem = case.check(folder)
        return [f"result: {problem}"] if problem else []
    return []


def check_dataset(name: str, num_frames: int | None = None) -> Callable[[Path], str | None]:
    """Return the check of a dataset: every frame is there, of the size that is said; all numbers are finite."""

    def check(folder: Path) -> str | None:
        with zipfile.ZipFile(folder / name) as archive:
            info = json.loads(archive.read("dataset.json"), parse_constant=_refuse_constant)
            for video in info["videos"]:
                if num_frames is not None and video["frames"] != num_frames:
                    return f"{video['frames']} frames instead of {num_frames}"
                for frame in range(video["frames"]):
                    suffix = "png" if info["encoding"]["format"] == "png" else "jpg"
                    with Image.open(BytesIO(archive.read(f"{video['name']}/{frame:06d}.{suffix}"))) as image:
                        if image.size != (info["width"], info["height"]):
                            return f"a frame of {image.size}"
            if not info["videos"] or not 0 < info["fps"] < 1e6:
                return f"{len(info['videos'])} videos at {info['fps']} fps"
        return None

    return check


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} in dataset.json")
