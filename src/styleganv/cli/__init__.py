"""The command line: one file per group of commands; parsing lives here and nowhere else."""

import sys
from collections.abc import Callable

import tyro

from styleganv import __version__
from styleganv.cli.data import inspect, prepare
from styleganv.cli.measuring import diagnose, evaluate
from styleganv.cli.models import export, import_, pull, push, swap
from styleganv.cli.studio import studio
from styleganv.cli.training import demo, study, train_command, train_defaults
from styleganv.cli.videos import directions, edit, explore, generate, project
from styleganv.config import RunConfig
from styleganv.errors import StyleganvError

COMMANDS: dict[str, Callable[..., None]] = {
    "prepare": prepare,
    "inspect": inspect,
    "train": train_command(RunConfig(), "tiny-cpu"),
    "generate": generate,
    "evaluate": evaluate,
    "diagnose": diagnose,
    "project": project,
    "edit": edit,
    "directions": directions,
    "explore": explore,
    "import": import_,
    "swap": swap,
    "export": export,
    "push": push,
    "pull": pull,
    "studio": studio,
    "study": study,
    "demo": demo,
}


def main(argv: list[str] | None = None) -> None:
    """Run the command line; every mistake ends in one sentence and a non-zero exit status."""
    argv = sys.argv[1:] if argv is None else argv
    if argv == ["--version"]:
        print(f"styleganv {__version__}")
        return
    try:
        commands = COMMANDS | {"train": train_command(*train_defaults(argv[1:]))} if argv[:1] == ["train"] else COMMANDS
        tyro.extras.subcommand_cli_from_dict(
            commands,
            args=argv,
            prog="styleganv",
            description="Videos as signals continuous in time: StyleGAN-V, from your own footage.",
        )
    except StyleganvError as error:
        _end(str(error), 1)
    except KeyboardInterrupt as interruption:
        _end(str(interruption) or "Interrupted.", 128 + getattr(interruption, "number", 2))
    except MemoryError:
        _end("The memory does not suffice: give a smaller size or fewer workers.", 1)


def _end(text: str, status: int) -> None:
    print(f"styleganv: {text}", file=sys.stderr)
    sys.exit(status)
