"""What the command line prints besides results: log messages, and usage errors in a few lines."""

import contextlib
import difflib
import io
import logging
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import wraps
from typing import Any

import tyro
from tqdm import tqdm

from styleganv import progress
from styleganv.progress import Progress

#: The parser's names of types, in words.
TYPES = {"INT": "a whole number", "FLOAT": "a number", "PATH": "a path", "STR": "a text"}


def _in_words(types: str) -> str:
    """Return the parser's notation of alternatives, e.g. `{None}|FLOAT`, in words: "a number or None"."""
    words, allows_none = [], False
    for part in types.split("|"):
        choices = part[1:-1].split(",") if re.fullmatch(r"\{[^{} ]*\}", part) else []
        allows_none |= "None" in choices
        if others := [choice for choice in choices if choice != "None"]:
            words.append("one of " * (len(others) > 1) + ", ".join(others))
        elif not choices:
            words.append(TYPES.get(part, part))
    return " or ".join([*words, "None"] if allows_none else words)


#: The parser's sentences about values, and how they read here.
REWORDED: tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...] = (
    (r"^Missing value for argument (\S+?)\. Expected.*", r"\1 requires a value"),
    (r"^invalid choice (.*) for argument (\S+?)\. Expected one of \((.*)\)", r"\2 must be one of \3, got \1"),
    (r"^Error parsing (\S+): invalid literal for int\(\) with base 10: (.*)", r"\1 must be a whole number, got \2"),
    (r"^Error parsing (\S+): could not convert string to float: (.*)", r"\1 must be a number, got \2"),
    (
        r"^Error parsing (\S+): no type matching (.+?) could be instantiated from \[(.*?)\].*",
        lambda found: f"{found[1]} must be {_in_words(found[2])}, got {found[3]}",
    ),
    (r"^Error parsing ", ""),
)
LEVELS = {"--quiet": logging.WARNING, "--verbose": logging.DEBUG}


class _AboveProgressBar(logging.Handler):
    """Handler that writes messages to stderr, above a progress bar."""

    def emit(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(OSError):  # the terminal was closed; a run must still be able to save
            tqdm.write(self.format(record), file=sys.stderr)


def set_up(argv: list[str]) -> list[str]:
    """Send the library's log messages to stderr; return the arguments without --quiet and --verbose."""
    level = next((LEVELS[argument] for argument in argv if argument in LEVELS), logging.INFO)
    logger = logging.getLogger("styleganv")
    logger.setLevel(level)
    if not any(isinstance(handler, _AboveProgressBar) for handler in logger.handlers):
        logger.addHandler(_AboveProgressBar())
    return [argument for argument in argv if argument not in LEVELS]


@contextlib.contextmanager
def progress_bar() -> Iterator[Progress | None]:
    """Yield a progress callback that draws a bar; None with --quiet and on all processes but the first."""
    if os.environ.get("RANK", "0") != "0" or not logging.getLogger("styleganv").isEnabledFor(logging.INFO):
        yield None
        return
    with progress.progress_bar() as report:
        if os.environ.get(progress.FORMAT_VARIABLE) == "json":
            yield report  # ends the command with the program that reads it
            return

        def report_if_possible(*arguments: Any) -> None:
            with contextlib.suppress(OSError):  # the terminal was closed
                report(*arguments)

        yield report_if_possible


def suggest(name: str, names: Iterable[str]) -> str:
    """Return the remedy for an unknown name: the nearest valid one, or all of them."""
    names = list(names)
    nearest = difflib.get_close_matches(name, names, n=1)
    return f"did you mean {nearest[0]}?" if nearest else f"choose one of {', '.join(names)}."


def parse(command: Callable[..., None], argv: list[str], name: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments that a command line gives a command. Raises SystemExit for usage errors and --help."""

    @wraps(command)
    def collect(*args: Any, **kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return args, kwargs

    return tyro.cli(collect, args=argv, prog=f"styleganv {name}")


@contextlib.contextmanager
def short_usage_errors(command: str) -> Iterator[None]:
    """Shorten the parser's errors to one line and a pointer to the help."""
    with contextlib.redirect_stderr(io.StringIO()) as captured:
        try:
            yield
            return
        except SystemExit as end:
            status, text = end.code, captured.getvalue()
    if status:
        print(f"{command}: {_summarize(text)}\nRun `{command} --help` for all options.", file=sys.stderr)
    sys.exit(status)


def _summarize(text: str) -> str:
    """Return the first sentence of the parser's box, with the nearest option if one was unknown."""
    # A box of UTF-8 or, on other terminals, indented lines below a title; rules separate the paragraphs of both.
    lines = [re.sub(r"^(│ |  )|[│ ]+$", "", line) for line in text.splitlines() if line.startswith(("│", "  "))]
    first, *others = re.split(r"\n[─-]+\n", "\n".join(lines))
    first = first.replace("'", "")
    if unknown := re.match(r"Unrecognized options: (.*)", first):
        names = [name for name in re.split(r"[,\s]+", unknown[1]) if name.startswith("-")]
        if not names:
            return f"Unexpected argument {unknown[1]}."
        nearest = re.search(r"^ +(--[\w-]+)", "\n".join(others), re.MULTILINE)
        return f"Unknown option {', '.join(names)}" + (f": did you mean {nearest[1]}?" if nearest else ".")
    if first.startswith("Missing from"):
        names = re.findall(r"^    (\S+)", first, re.MULTILINE)
        return f"Missing {', '.join(names)}."
    sentence = " ".join(first.split()).rstrip(".")
    for pattern, replacement in REWORDED:
        sentence = re.sub(pattern, replacement, sentence)
    return sentence + "."
