"""A dataset in shards: a folder of files, each prepared separately, e.g. on its own machine."""

import re
from pathlib import Path

from styleganv.data.dataset_file import DatasetFile, not_a_dataset
from styleganv.errors import StyleganvError

_NAME = re.compile(r"shard-[0-9]{4,}-of-[0-9]{4,}\.zip")


def shard_name(number: int, count: int) -> str:
    """Return the file name of a shard, e.g. `shard-0003-of-0016.zip`."""
    return f"shard-{number:04d}-of-{count:04d}.zip"


def find_shards(folder: Path) -> list[Path]:
    """Return the shards in a folder, in order; none for anything else."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if _NAME.fullmatch(path.name) and path.is_file())


def open_shards(folder: Path) -> list[DatasetFile]:
    """Return all shards of a dataset, in order.

    Raises:
        StyleganvError: if the folder has none, or one is missing, there twice, or of another source or other settings.
    """
    if not (paths := find_shards(folder)):
        raise not_a_dataset(folder, "it is a folder without shards")
    files = [DatasetFile(path) for path in paths]
    first = files[0].shard
    for file in files:
        if file.shard is None or first is None:
            raise StyleganvError(
                f"{file.path} is not a shard but a whole dataset: move it out of {folder}, and pass its own path."
            )
        if (file.shard.count, file.shard.plan) != (first.count, first.plan):
            raise StyleganvError(
                f"{file.path} and {files[0].path.name} are of different datasets (another source, --shard or "
                "setting): remove the shards of one of them, or prepare them again."
            )
        if file.path.name != shard_name(file.shard.number, file.shard.count):
            raise StyleganvError(
                f"{file.path} holds shard {file.shard.number} of {file.shard.count}: rename it to "
                f"{shard_name(file.shard.number, file.shard.count)}, or remove it if that is there."
            )
    assert first is not None
    numbers = {file.shard.number for file in files if file.shard}
    if missing := [number for number in range(1, first.count + 1) if number not in numbers]:
        raise StyleganvError(
            f"{folder} lacks shard {missing[0]} of {first.count}"
            f"{f' and {len(missing) - 1} more' if len(missing) > 1 else ''}: prepare it with `--shard "
            f"{missing[0]}/{first.count}`, or copy it there."
        )
    return files
