"""Commands on footage and datasets."""

from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from styleganv.cli.parsing import parse_resolution
from styleganv.options import Unset


def prepare(
    source: Positional[Path],
    dest: Positional[Path],
    /,
    resolution: str,
    fps: Unset[float] = None,
    source_fps: float = 25.0,
    fit: Literal["crop", "pad", "stretch"] = "crop",
    min_frames: int = 3,
    split_every: Unset[int] = None,
    quality: int = 95,
    lossless: bool = False,
    classes: str = "auto",
    background: str = "white",
    workers: Unset[int] = None,
    overwrite: bool = False,
) -> None:
    """Turn videos into a data set: one file of frames, all of one size.

    Args:
        source: A video (mp4 mov webm mkv mpg avi gif webp), a folder or a zip of videos or of folders of frames.
        dest: The data set to write, such as data.zip.
        resolution: Pixels: 64, or HEIGHTxWIDTH such as 144x256.
        fps: Frames a second to resample to; as they are where left out.
        source_fps: Frames a second of folders of frames, which do not say.
        fit: Crop to the centre, pad with black, or stretch.
        min_frames: Skip videos with fewer frames.
        split_every: Cut long videos into pieces of this many frames.
        quality: Of the stored JPEG frames, 1 to 100.
        lossless: Store PNG frames instead.
        classes: auto (folders that hold videos), folders, none, or a .csv (name,label) or .json file.
        background: Color seen through transparent pixels, such as '#cfe8ff' (in quotes) or skyblue.
        workers: Processes; one for each core where left out.
        overwrite: Replace DEST.
    """
    from styleganv.data.prepare import prepare as run
    from styleganv.nn.layers import resolution_levels

    size = parse_resolution(resolution)
    if min(size) > 0:
        resolution_levels(*size)  # refuse now what no network could learn from
    report = run(
        source,
        dest,
        resolution=size,
        fps=fps,
        source_fps=source_fps,
        fit=fit,
        min_frames=min_frames,
        split_every=split_every,
        quality=None if lossless else quality,
        classes=classes,
        background=background,
        workers=workers,
        overwrite=overwrite,
    )
    print(report)


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
