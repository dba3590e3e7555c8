"""Commands on footage and datasets."""

from pathlib import Path
from typing import Annotated

import tyro
from tyro.conf import OmitArgPrefixes, Positional

from styleganv.cli.parsing import parse_resolution
from styleganv.options import PrepareOptions, Unset


def prepare(
    source: Positional[Path],
    dest: Annotated[Positional[Path], tyro.conf.arg(metavar="DEST")],
    /,
    resolution: str,
    options: OmitArgPrefixes[PrepareOptions] = PrepareOptions(),
    num_workers: Unset[int] = None,
    overwrite: bool = False,
) -> None:
    """Turn videos into a dataset: one file of frames, all of one size.

    Args:
        source: Video (mp4 mov webm mkv mpg avi gif webp), or a folder or zip of videos or of folders of frames.
        dest: Dataset to write, e.g. data.zip.
        resolution: Pixels: 64, or HEIGHTxWIDTH, e.g. 144x256.
        num_workers: Number of processes. Default: one per core.
        overwrite: Replace DEST.
    """
    from styleganv.data.prepare import prepare as run
    from styleganv.nn.layers import resolutions

    size = parse_resolution(resolution)
    if min(size) > 0:
        resolutions(*size)  # refuse now what no network could learn from
    print(run(source, dest, resolution=size, options=options, num_workers=num_workers, overwrite=overwrite))


def inspect(data: Positional[Path], /, sheet: Unset[Path] = None) -> None:
    """Show what a data set holds and which settings fit it.

    Args:
        data: A data set written by `styleganv prepare`.
        sheet: Where to write the contact sheet (a PNG); beside the data set where left out.
    """
    from styleganv.data.inspect import contact_sheet
    from styleganv.data.inspect import inspect as run

    print(run(data))
    sheet = sheet or data.with_name(f"{data.stem}-sheet.png")
    contact_sheet(data, sheet)
    print(f"Contact sheet: {sheet}")
