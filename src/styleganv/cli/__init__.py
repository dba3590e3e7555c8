"""The command line: one file per group of commands; parsing lives here and nowhere else."""

import errno
import logging
import shlex
import sys
from collections.abc import Callable

from styleganv import __version__
from styleganv.allocator import keep_freed_memory
from styleganv.cli import console
from styleganv.cli.data import datasets, inspect, prepare
from styleganv.cli.measuring import diagnose, evaluate
from styleganv.cli.models import export, import_, models, pull, push, swap
from styleganv.cli.records import info, runs
from styleganv.cli.streams import output_error, tolerate_streams
from styleganv.cli.studio import studio
from styleganv.cli.training import config, demo, study, train_command, train_defaults
from styleganv.cli.videos import directions, edit, explore, generate, project, render
from styleganv.config import RunConfig
from styleganv.errors import StyleganvError
from styleganv.files import readable

logger = logging.getLogger(__name__)

COMMANDS: dict[str, Callable[..., None]] = {
    "prepare": prepare,
    "datasets": datasets,
    "inspect": inspect,
    "train": train_command(RunConfig(), "tiny-cpu"),
    "config": config,
    "runs": runs,
    "info": info,
    "generate": generate,
    "evaluate": evaluate,
    "diagnose": diagnose,
    "project": project,
    "edit": edit,
    "render": render,
    "directions": directions,
    "explore": explore,
    "models": models,
    "import": import_,
    "swap": swap,
    "export": export,
    "push": push,
    "pull": pull,
    "studio": studio,
    "study": study,
    "demo": demo,
}

USAGE = """usage: styleganv COMMAND ... [--quiet] [--verbose]

StyleGAN-V: train on a folder of videos, generate new ones of any length at any frame rate.

{commands}

Run `styleganv COMMAND --help` for the options of a command.
  --quiet    Print errors only.
  --verbose  Also print details, e.g. the path that a model was loaded from.
  --version  Print the version."""


def main(argv: list[str] | None = None) -> None:
    """Run the command line; every error ends in one sentence and a non-zero exit status."""
    tolerate_streams()
    try:
        _run(console.set_up(sys.argv[1:] if argv is None else argv))
        if error := output_error():
            raise StyleganvError(f"Cannot write to stdout ({error.strerror}): redirect it to another file.")
    except StyleganvError as error:
        _exit(str(error), 1)
    except KeyboardInterrupt as interruption:
        _exit(str(interruption) or "Interrupted.", getattr(interruption, "status", 130))
    except BrokenPipeError:  # The program that followed the progress has ended.
        sys.stderr = None
        sys.exit(1)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            _exit("The disk is full: free space and try again.", 1)
        logger.debug("Details:", exc_info=True)
        thing = error.filename or "a file"
        _exit(f"Cannot access {thing} ({error.strerror or error}): check its path and permissions.", 1)
    except MemoryError:
        _exit("Not enough memory: choose a smaller size or fewer workers.", 1)


def _run(argv: list[str]) -> None:
    if argv == ["--version"]:
        print(f"styleganv {__version__}")
        return
    if not argv or argv[0] in ("-h", "--help"):
        print(USAGE.format(commands="\n".join(_summarize(name) for name in COMMANDS)))
        sys.exit(0 if argv else 2)
    name, *options = argv
    keep_freed_memory()
    if name not in COMMANDS:
        _exit(f"Unknown command {name!r}: {console.suggest(name, COMMANDS)}", 2)
    command = COMMANDS[name]
    if name == "train":
        command = train_command(*train_defaults(options), command=shlex.join(["styleganv", *argv]))
    with console.short_usage_errors(f"styleganv {name}"):
        args, kwargs = console.parse(command, options, name)
    command(*args, **kwargs)


def _summarize(name: str) -> str:
    summary = (COMMANDS[name].__doc__ or "").split("\n\n")[0]
    return f"  {name:<12}{' '.join(summary.split())}"


def _exit(text: str, status: int) -> None:
    print(f"styleganv: {readable(text)}", file=sys.stderr)  # a name in it can hold any characters
    sys.exit(status)
