"""Commands for source videos and datasets."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import tyro
from tyro.conf import OmitArgPrefixes, Positional

from styleganv.cli.console import progress_bar
from styleganv.cli.parsing import parse_crop, parse_resolution, parse_trim
from styleganv.files import check_destination
from styleganv.options import Overwrite, PrepareOptions, Unset


def prepare(
    source: Annotated[Positional[Path], tyro.conf.arg(metavar="SOURCE")],
    dest: Annotated[Positional[Path], tyro.conf.arg(metavar="DEST")],
    /,
    resolution: str,
    options: OmitArgPrefixes[Annotated[PrepareOptions, tyro.conf.arg(name="")]] = PrepareOptions(),
    trim: Unset[str] = None,
    crop: Unset[str] = None,
    num_workers: Unset[int] = None,
    overwrite: Overwrite = False,
) -> None:
    """Turn videos into a dataset: one file of frames, all of one size.

    Args:
        source: Video file, or a folder or zip of videos or of folders of frames.
        dest: Dataset to write, e.g. data.zip.
        resolution: Frame size in pixels: 64, or HEIGHTxWIDTH, e.g. 144x256.
        trim: START:STOP in seconds, or both as h:m:s, e.g. 5:20, 5:, 1:05:2:10; negative: from the end. Default: all.
        crop: X,Y,WIDTH,HEIGHT: part of each upright frame to use, in pixels. Default: all.
        num_workers: Number of worker processes. Default: one per core.
    """
    from styleganv.data.prepare import prepare as run
    from styleganv.nn.layers import resolutions

    size = parse_resolution(resolution)
    if min(size) > 0:
        resolutions(*size)  # fail early for sizes that no network supports
    options = replace(options, trim=parse_trim(trim) if trim else None, crop=parse_crop(crop) if crop else None)
    with progress_bar() as progress:
        report = run(
            source,
            dest,
            resolution=size,
            options=options,
            num_workers=num_workers,
            overwrite=overwrite,
            progress=progress,
        )
    print(report)


def inspect(
    data: Annotated[Positional[Path], tyro.conf.arg(metavar="DATA")],
    /,
    contact_sheet: Unset[Path] = None,
    overwrite: Overwrite = False,
) -> None:
    """Show the contents of a dataset and suggest settings.

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
