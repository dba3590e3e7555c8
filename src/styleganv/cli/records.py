"""Commands that show what runs, models and datasets are, and how they were made."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import tyro
from tyro.conf import Positional

_Json = Annotated[bool, tyro.conf.arg(name="json")]


def info(
    path: Annotated[Positional[Path], tyro.conf.arg(metavar="PATH")],
    /,
    json_: _Json = False,
) -> None:
    """Show what a run, a model or a dataset is, and how it was made.

    Args:
        path: Run, model folder, pretrained model or dataset.
        json_: Print everything as JSON.
    """
    from styleganv.inventory import describe_path

    contents = describe_path(path)
    print(json.dumps(contents.to_dict(), indent=2) if json_ else contents)


def runs(
    folder: Annotated[Positional[Path], tyro.conf.arg(metavar="FOLDER")],
    /,
    sort: Literal["name", "method", "preset", "clips", "hours", "device", "best", "last", "state"] = "name",
    json_: _Json = False,
) -> None:
    """Compare the runs in a folder and its subfolders in a table.

    Hours are summed over GPUs or processes. best and last are distances to real videos (--eval-every; lower is better),
    which only compare runs on the same dataset.

    Args:
        folder: Folder that contains runs.
        sort: Column to sort by; most clips and hours first, smallest distance first.
        json_: Print the table as JSON.
    """
    from styleganv.inventory import format_runs, list_runs, sort_runs

    found = sort_runs(list_runs(folder), sort)
    print(json.dumps([asdict(run) for run in found], indent=2) if json_ else format_runs(found))
