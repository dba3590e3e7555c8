"""Commands for source videos and datasets."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated

import tyro
from tyro.conf import OmitArgPrefixes, Positional

from styleganv.cli.console import progress_bar
from styleganv.cli.parsing import parse_crop, parse_resolution, parse_shard, parse_trim
from styleganv.errors import StyleganvError
from styleganv.files import check_destination
from styleganv.options import Overwrite, PrepareOptions, Unset


def prepare(
    source: Annotated[Positional[Path], tyro.conf.arg(metavar="SOURCE")],
    dest: Annotated[Positional[Path], tyro.conf.arg(metavar="DEST")],
    /,
    resolution: Unset[str] = None,
    options: OmitArgPrefixes[Annotated[PrepareOptions, tyro.conf.arg(name="")]] = PrepareOptions(),
    trim: Unset[str] = None,
    crop: Unset[str] = None,
    shard: Unset[str] = None,
    dry_run: bool = False,
    num_workers: Unset[int] = None,
    overwrite: Overwrite = False,
) -> None:
    """Turn videos into a dataset: one file of frames, all of one size.

    An interrupted command continues where it stopped when it is run again.

    Args:
        source: Video file, or a folder or zip of videos or of folders of frames.
        dest: Dataset to write, e.g. data.zip; with --shard, the folder of all shards.
        resolution: Frame size in pixels: 64, or HEIGHTxWIDTH. Default: the paper's with --dataset.
        trim: START:STOP in seconds or h:m:s, e.g. 5:20 or 5:; negative: from the end. Default: all.
        crop: X,Y,WIDTH,HEIGHT: part of each upright frame to use, in pixels. Default: all.
        shard: NUMBER/COUNT, e.g. 3/16: prepare every 16th video from the 3rd on. Default: all.
        dry_run: Only write a contact sheet of what would be used, DEST-dry-run.png.
        num_workers: Number of worker processes. Default: one per core.
    """
    from styleganv.data.prepare import prepare as run
    from styleganv.data.preview import preview
    from styleganv.data.rules import RULES
    from styleganv.nn.layers import resolutions

    if resolution is None:
        if options.dataset is None:
            raise StyleganvError("prepare requires --resolution or --dataset: pass a frame size, e.g. --resolution 64.")
        resolution = str(RULES[options.dataset].resolution)
    size = parse_resolution(resolution)
    if min(size) > 0:
        resolutions(*size)  # fail early for sizes that no network supports
    sheet = dest.with_name(f"{dest.stem}-dry-run.png")
    with progress_bar() as progress:
        report = (partial(preview, sheet=sheet) if dry_run else run)(
            source,
            dest,
            resolution=size,
            options=replace(
                options,
                trim=None if trim is None else parse_trim(trim),
                crop=None if crop is None else parse_crop(crop),
            ),
            shard=None if shard is None else parse_shard(shard),
            num_workers=num_workers,
            overwrite=overwrite,
            progress=progress,
        )
    print(report)
    if dry_run:
        print(f"Contact sheet: {sheet}")


def datasets() -> None:
    """List the paper's datasets, which `prepare --dataset` turns into those of its experiments."""
    from styleganv.data.rules import RULES

    for name, rule in RULES.items():
        settings = ", ".join(f"--{option.replace('_', '-')} {value:g}" for option, value in rule.settings.items())
        print(f"{name}: {rule.title}")
        print(f"    From:      {rule.website}")
        print(f"    Terms:     {rule.terms}")
        print(f"    Size:      {rule.size}")
        print(f"    SOURCE:    {rule.layout}")
        print(f"    Protocol:  {rule.protocol}")
        print(f"    Settings:  --resolution {rule.resolution}, {settings}; each can be changed")


def inspect(
    data: Annotated[Positional[Path], tyro.conf.arg(metavar="DATA")],
    /,
    contact_sheet: Unset[Path] = None,
    overwrite: Overwrite = False,
) -> None:
    """Show the contents of a dataset, suggest settings, and warn of what makes training fail.

    It searches 64 videos for cuts, frames of a single color, text, logos and stills, and 1,000 for copies.

    Args:
        data: Dataset written by `styleganv prepare`.
        contact_sheet: PNG file to write. Default: DATA-sheet.png, next to the dataset.
    """
    from styleganv.data.inspect import inspect as run
    from styleganv.data.inspect import write_contact_sheet

    contact_sheet = contact_sheet or data.with_name(f"{data.stem}-sheet.png")
    check_destination(contact_sheet, overwrite=overwrite)
    with progress_bar() as progress:
        report = run(data, progress=progress)
    print(report)
    write_contact_sheet(data, contact_sheet, overwrite=overwrite)
    print(f"Contact sheet: {contact_sheet}")
