"""Commands that show what runs, models and datasets are, and how they were made."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import tyro
from tyro.conf import Positional

from styleganv.files import check_destination, write_json
from styleganv.options import Overwrite, Unset


def info(
    path: Annotated[Positional[Path], tyro.conf.arg(metavar="PATH")],
    /,
    json: Unset[Path] = None,
    overwrite: Overwrite = False,
) -> None:
    """Show what a run, a model or a dataset is, and how it was made.

    Args:
        path: Run, model folder, pretrained model or dataset.
        json: JSON file to write everything to, e.g. all settings.
    """
    from styleganv.inventory import describe_path

    check_destination(json, overwrite=overwrite)
    contents = describe_path(path)
    if json is not None:
        write_json(json, contents.to_dict(), overwrite=overwrite)
    print(contents)


def runs(
    folder: Annotated[Positional[Path], tyro.conf.arg(metavar="FOLDER")],
    /,
    sort: Literal["name", "method", "preset", "clips", "hours", "device", "best", "last", "state"] = "name",
    json: Unset[Path] = None,
    overwrite: Overwrite = False,
) -> None:
    """Compare the runs in a folder and its subfolders in a table.

    Hours are summed over GPUs or processes. best and last are distances to real videos (--eval-every; lower is better),
    which only compare runs on the same dataset.

    Args:
        folder: Folder that contains runs.
        sort: Column to sort by; most clips and hours first, smallest distance first.
        json: JSON file to write the table to.
    """
    from styleganv.inventory import format_runs, list_runs, sort_runs

    check_destination(json, overwrite=overwrite)
    found = sort_runs(list_runs(folder), sort)
    if json is not None:
        write_json(json, [asdict(run) for run in found], overwrite=overwrite)
    print(format_runs(found))
