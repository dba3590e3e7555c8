"""A model at a glance: one page of pictures for truncation, interpolation, style mixing, content and motion, slow
motion, and the directions in which it varies most.

Shapes: T frames, H height, W width, L style layers.
"""

import base64
import html
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import get_args

import numpy as np
from tqdm import tqdm

from styleganv.editing.directions import Space, directions_sheet, find_directions, save_directions
from styleganv.editing.edits import at_speed, content_over_time, interpolated, mixed
from styleganv.editing.latents import Latents, latents_of, play
from styleganv.errors import StyleganvError
from styleganv.files import atomic_write
from styleganv.media import sheets, writing
from styleganv.methods.stylegan_v.sampler import Frame, VideoGenerator

SEEDS = 6
PSIS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5)
SECONDS = 4.0
#: Height to which small films are enlarged.
FILM_HEIGHT = 192


@dataclass(frozen=True)
class _Exhibit:
    """A file of the page, with what it shows."""

    file: str
    title: str
    caption: str
    make: Callable[[Path], None]


def explore(
    video: VideoGenerator, out: Path | str, *, first_seed: int = 0, samples: int = 2000, components: int = 5
) -> list[Path]:
    """Write pictures, films, direction files and `index.html`, which holds all of them, into the folder `out`.

    Args:
        first_seed: the first of the six contents shown.
        samples: latents from which directions are found.
        components: directions shown of each space.

    Returns:
        What was written, the page first.

    Raises:
        StyleganvError: if `out` holds anything else (an earlier page is replaced), or cannot be written.
    """
    out, exhibits = Path(out), _exhibits(video, first_seed, samples, components)
    ours = {"index.html", *(exhibit.file for exhibit in exhibits), *map(_directions_file, get_args(Space))}
    if out.exists() and not (out.is_dir() and {path.name for path in out.iterdir()} <= ours):
        raise StyleganvError(f"{out} holds other things than such a page: choose a new folder.")
    with atomic_write(out) as tmp_path:
        tmp_path.mkdir()
        for exhibit in tqdm(exhibits, desc="exploring", unit="picture"):
            exhibit.make(tmp_path / exhibit.file)
        (tmp_path / "index.html").write_text(_page(tmp_path, exhibits), encoding="utf-8")
        names = [path.name for path in tmp_path.iterdir()]
    return [out / "index.html", *(out / name for name in sorted(names) if name != "index.html")]


def _exhibits(video: VideoGenerator, first: int, samples: int, components: int) -> list[_Exhibit]:
    seeds = range(first, first + SEEDS)
    contents = [latents_of(video, seed) for seed in seeds]
    layers = len(contents[0].styles)
    bands = [range(a, b) for a, b in ((0, layers // 3), (layers // 3, 2 * layers // 3), (2 * layers // 3, layers))]
    moves = video.generator.motion is not None

    def film(styles_or_latents: Sequence[Iterator[Frame]], path: Path) -> None:
        scale = max(1, FILM_HEIGHT // video.height)
        shown = (sheets.tile(np.stack(row)[None], scale=scale) for row in zip(*styles_or_latents, strict=True))
        writing.write_video(path, shown, video.fps)

    def truncation(path: Path) -> None:
        rows = [[_still(video, latents_of(video, seed, psi=psi)) for psi in PSIS] for seed in seeds]
        _sheet(path, rows, [f"seed {s}" for s in seeds], [f"psi {psi:g}" for psi in PSIS])

    def interpolation(path: Path) -> None:
        amounts = np.linspace(0, 1, 7)
        rows = [
            [_still(video, interpolated(contents[i], contents[i + 1], float(a))) for a in amounts]
            for i in range(SEEDS - 1)
        ]
        _sheet(path, rows, [f"{s} to {s + 1}" for s in seeds[:-1]], [f"{a:.0%}" for a in amounts])

    def mixing(path: Path) -> None:
        others = [(other, band) for other in (3, 4) for band in bands]
        sources = [_still(video, contents[other]) for other, _ in others]
        rows = [[np.full_like(sources[0], 255), *sources]]
        for base in contents[:3]:
            rows.append(
                [_still(video, latents) for latents in (base, *(mixed(base, contents[o], b) for o, b in others))]
            )
        columns = [f"{seeds[other]}: {band[0]}-{band[-1]}" for other, band in others]
        note = "top row: the seed whose layers (0 the coarsest) are taken; below: put into the content on the left"
        _sheet(path, rows, ["taken from", *(f"seed {s}" for s in seeds[:3])], ["itself", *columns], note)

    def content_and_motion(path: Path) -> None:
        grid = video.grid(seeds[:4], range(first, first + 3), seconds=SECONDS / 2)
        writing.write_image(path, sheets.content_motion_grid(grid))

    def over_time(path: Path) -> None:
        styles = content_over_time([*contents[:3], contents[0]], SECONDS)
        film([play(video, contents[0], styles=styles, seconds=SECONDS)], path)

    def slow(path: Path) -> None:
        speeds = (1.0, 0.5, 0.25)
        film([play(video, contents[0], clock=at_speed(speed), seconds=SECONDS) for speed in speeds], path)

    def directions(space: Space) -> Callable[[Path], None]:
        def draw(path: Path) -> None:
            found = find_directions(video, space, count=components, samples=samples)
            save_directions(path.with_name(_directions_file(space)), found)
            writing.write_image(path, directions_sheet(video, found, first))

        return draw

    shown = [
        _Exhibit(
            "truncation.png", "Truncation", "Each content from the mean (psi 0) to itself (1) and beyond.", truncation
        ),
        _Exhibit("interpolation.png", "Interpolation", "From one content to the next, straight in w.", interpolation),
        _Exhibit(
            "over-time.mp4",
            "Content over time",
            "One video whose content goes through three seeds and back.",
            over_time,
        ),
        _Exhibit("mixing.png", "Style mixing", "Coarse, middle or fine layers from another content.", mixing),
        _Exhibit(
            "content-directions.png",
            "Directions of content",
            "What varies most between contents, from -3 to +3 on one of them (psi 0.5).",
            directions("content"),
        ),
    ]
    if moves:
        shown[4:4] = [
            _Exhibit("content-motion.png", "Content and motion", "Each content with each motion.", content_and_motion),
            _Exhibit(
                "slow-motion.mp4",
                "Slow motion",
                "One motion at full, half and quarter speed, from left to right.",
                slow,
            ),
        ]
        shown.append(
            _Exhibit(
                "motion-directions.png",
                "Directions of motion",
                "What varies most between motions, from -3 to +3 on one of them.",
                directions("motion"),
            )
        )
    return shown


def _directions_file(space: Space) -> str:
    return f"{space}-directions.safetensors"


def _still(video: VideoGenerator, latents: Latents) -> Frame:
    """The first frame, at a size that shows well."""
    plain = replace(latents, motion=replace(latents.motion, seed=0))
    return sheets.film_strip(np.stack(list(play(video, plain, seconds=1 / video.fps))))


def _sheet(path: Path, rows: list[list[Frame]], names: Sequence[str], columns: Sequence[str], note: str = "") -> None:
    writing.write_image(path, sheets.labeled_sheet(np.array(rows), rows=names, columns=columns, note=note))


def _page(folder: Path, exhibits: Sequence[_Exhibit]) -> str:
    """One page with everything in it, so that it can be mailed and kept."""
    sections = []
    for exhibit in exhibits:
        data = base64.b64encode((folder / exhibit.file).read_bytes()).decode()
        title = html.escape(exhibit.title)
        # A single film would fill the page.
        wide = "" if exhibit.file == "over-time.mp4" else ' class="wide"'
        shown = f'<img alt="{title}" src="data:image/png;base64,{data}">'
        if exhibit.file.endswith(".mp4"):
            source = f"data:video/mp4;base64,{data}"
            shown = f'<video controls autoplay loop muted playsinline aria-label="{title}" src="{source}"></video>'
        sections.append(
            f'<section><h2>{title}</h2><p class="question">{html.escape(exhibit.caption)}</p>'
            f'<div class="figures"><figure{wide}>{shown}</figure></div></section>'
        )
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>What the model can be asked for</title>
<style>{files("styleganv.motion_report").joinpath("page.css").read_text()}</style>
</head>
<body>
<header><p class="kind">Latent space</p><h1>What the model can be asked for</h1></header>
<main>{"".join(sections)}</main>
</body>
</html>
"""
