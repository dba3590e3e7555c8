"""Overview page of a model: truncation, interpolation, style mixing, content and motion, slow motion, and the
directions of largest variance.

Shapes: T frames, H height, W width, L style layers.
"""

import base64
import html
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.resources import files
from pathlib import Path

import numpy as np

from styleganv.editing.direction_search import draw_directions, find_directions
from styleganv.editing.directions import save_directions
from styleganv.editing.edits import constant_speed, interpolate, interpolate_over_time, mix_styles
from styleganv.editing.latents import Latents, latents_from_seed, render_latents
from styleganv.files import atomic_write, check_destination
from styleganv.media import sheets, writing
from styleganv.methods.stylegan_v.sampler import VideoGenerator
from styleganv.options import DirectionOptions, Space
from styleganv.progress import Progress, track
from styleganv.validation import Count, Seed, check_arguments
from styleganv.video_model import Frame

NUM_SEEDS = 6
PSIS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5)
SECONDS = 4.0
#: Files of a page, whatever the model.
PAGE_FILES = (
    "index.html",
    "truncation.png",
    "interpolation.png",
    "over-time.mp4",
    "mixing.png",
    "content-motion.png",
    "slow-motion.mp4",
    "content-directions.png",
    "content-directions.safetensors",
    "motion-directions.png",
    "motion-directions.safetensors",
)
#: Height in pixels to which small videos are enlarged.
VIDEO_HEIGHT = 192


@dataclass(frozen=True)
class _Figure:
    """A figure of the page: its file, its text, and the function that writes the file."""

    file: str
    title: str
    caption: str
    write: Callable[[Path], None]


@check_arguments
def explore(
    model: VideoGenerator,
    out: Path | str,
    *,
    first_seed: Seed = 0,
    num_samples: Count = 2000,
    num_directions: Count = 5,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> list[Path]:
    """Write images, videos, direction files and `index.html`, which contains all of them, to the folder `out`.

    Args:
        model: model to show.
        out: folder to write.
        first_seed: first of the six content seeds shown.
        num_samples: seeds that directions are found from.
        num_directions: number of directions of each space.
        overwrite: replace such a page in `out`.
        progress: called with figures done, figures in all, and the stage.

    Returns:
        The files written, the page first.

    Raises:
        StyleganvError: if `out` exists, contains anything else or cannot be written.
    """
    check_destination(out, overwrite=overwrite, contents=PAGE_FILES)
    out, directions = Path(out), DirectionOptions(num_samples=num_samples, num_directions=num_directions)
    figures = _Figures(model, first_seed, directions).all()
    with atomic_write(out, overwrite=overwrite, contents=PAGE_FILES) as tmp_path:
        for figure in track(figures, progress, len(figures), "exploring"):
            figure.write(tmp_path / figure.file)
        (tmp_path / "index.html").write_text(_page(tmp_path, figures), encoding="utf-8")
        names = [path.name for path in tmp_path.iterdir()]
    return [out / "index.html", *(out / name for name in sorted(names) if name != "index.html")]


class _Figures:
    """The figures of a model, each written by one method."""

    def __init__(self, model: VideoGenerator, first_seed: int, directions: DirectionOptions) -> None:
        self.model, self.options = model, directions
        self.seeds = range(first_seed, first_seed + NUM_SEEDS)
        self.contents = [latents_from_seed(model, seed) for seed in self.seeds]

    def all(self) -> list[_Figure]:
        """Return the figures that make sense for the model, in the order of the page."""
        figures = [
            (
                "truncation.png",
                "Truncation",
                "From mean w (psi 0) to the w of each seed (psi 1) and beyond.",
                self.truncation,
            ),
            ("interpolation.png", "Interpolation", "From one seed to the next, linear in w.", self.interpolation),
            (
                "over-time.mp4",
                "Content over time",
                "One video that moves through three content seeds and back.",
                self.over_time,
            ),
            ("mixing.png", "Style mixing", "Coarse, middle or fine layers of another seed.", self.mixing),
        ]
        if self.model.generator.motion is not None:
            figures += [
                (
                    "content-motion.png",
                    "Content and motion",
                    "Each content seed with each motion seed.",
                    self.content_motion,
                ),
                (
                    "slow-motion.mp4",
                    "Slow motion",
                    "One video at full, half and quarter speed, from left to right.",
                    self.slow_motion,
                ),
            ]
        spaces: list[Space] = ["content"] if self.model.generator.motion is None else ["content", "motion"]
        figures += [
            (
                f"{space}-directions.png",
                f"Directions of {space}",
                f"Directions of largest variance, from -3 to +3 standard deviations{note}.",
                partial(self.directions, space),
            )
            for space, note in zip(spaces, (" (psi 0.5)", ""), strict=False)
        ]
        return [_Figure(*figure) for figure in figures]

    def truncation(self, path: Path) -> None:
        rows = [[self._image(latents_from_seed(self.model, seed, psi=psi)) for psi in PSIS] for seed in self.seeds]
        _write_sheet(path, rows, [f"seed {seed}" for seed in self.seeds], [f"psi {psi:g}" for psi in PSIS])

    def interpolation(self, path: Path) -> None:
        amounts = np.linspace(0, 1, 7)
        rows = [
            [self._image(interpolate(self.contents[i], self.contents[i + 1], float(amount))) for amount in amounts]
            for i in range(NUM_SEEDS - 1)
        ]
        names = [f"{seed} to {seed + 1}" for seed in self.seeds[:-1]]
        _write_sheet(path, rows, names, [f"{amount:.0%}" for amount in amounts])

    def mixing(self, path: Path) -> None:
        num_layers = len(self.contents[0].styles)
        bounds = (0, num_layers // 3, 2 * num_layers // 3, num_layers)
        sources = [(other, range(*bounds[i : i + 2])) for other in (3, 4) for i in range(3)]
        images = [self._image(self.contents[other]) for other, _ in sources]
        rows = [[np.full_like(images[0], 255), *images]]
        for base in self.contents[:3]:
            mixes = (mix_styles(base, self.contents[other], layers) for other, layers in sources)
            rows.append([self._image(latents) for latents in (base, *mixes)])
        columns = [f"{self.seeds[other]}: {layers[0]}-{layers[-1]}" for other, layers in sources]
        names = ["source", *(f"seed {seed}" for seed in self.seeds[:3])]
        note = "top row: source of the layers (0 is the coarsest); below: mixed into the content on the left"
        _write_sheet(path, rows, names, ["original", *columns], note)

    def content_motion(self, path: Path) -> None:
        grid = self.model.grid(self.seeds[:4], self.seeds[:3], seconds=SECONDS / 2)
        writing.write_image(path, sheets.content_motion_grid(grid))

    def over_time(self, path: Path) -> None:
        styles = interpolate_over_time([*self.contents[:3], self.contents[0]], SECONDS)
        self._write_video(path, [render_latents(self.model, self.contents[0], styles=styles, seconds=SECONDS)])

    def slow_motion(self, path: Path) -> None:
        time_maps = [constant_speed(speed) for speed in (1.0, 0.5, 0.25)]
        self._write_video(
            path,
            [render_latents(self.model, self.contents[0], time_map=each, seconds=SECONDS) for each in time_maps],
        )

    def directions(self, space: Space, path: Path) -> None:
        directions = find_directions(self.model, replace(self.options, space=space))
        save_directions(path.with_name(_directions_file(space)), directions)
        writing.write_image(path, draw_directions(self.model, directions, self.seeds[0]))

    def _image(self, latents: Latents) -> Frame:
        """Return the first frame, at a size for display."""
        latents = replace(latents, motion=replace(latents.motion, seed=0))
        return sheets.film_strip(np.stack(list(render_latents(self.model, latents, seconds=1 / self.model.fps))))

    def _write_video(self, path: Path, columns: Sequence[Iterator[Frame]]) -> None:
        scale = max(1, VIDEO_HEIGHT // self.model.height)
        frames = (sheets.tile(np.stack(row)[None], scale=scale) for row in zip(*columns, strict=True))
        writing.write_video(path, frames, self.model.fps)


def _directions_file(space: Space) -> str:
    return f"{space}-directions.safetensors"


def _write_sheet(
    path: Path, rows: list[list[Frame]], names: Sequence[str], columns: Sequence[str], note: str = ""
) -> None:
    writing.write_image(path, sheets.labeled_sheet(np.array(rows), rows=names, columns=columns, note=note))


def _page(folder: Path, figures: Sequence[_Figure]) -> str:
    """Return the HTML of the page, with all files embedded."""
    sections = []
    for figure in figures:
        data = base64.b64encode((folder / figure.file).read_bytes()).decode()
        title = html.escape(figure.title)
        # A single video would fill the page.
        wide = "" if figure.file == "over-time.mp4" else ' class="wide"'
        element = f'<img alt="{title}" src="data:image/png;base64,{data}">'
        if figure.file.endswith(".mp4"):
            source = f"data:video/mp4;base64,{data}"
            element = f'<video controls autoplay loop muted playsinline aria-label="{title}" src="{source}"></video>'
        sections.append(
            f'<section><h2>{title}</h2><p class="question">{html.escape(figure.caption)}</p>'
            f'<div class="figures"><figure{wide}>{element}</figure></div></section>'
        )
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Latent space</title>
<style>{files("styleganv.motion_report").joinpath("page.css").read_text()}</style>
</head>
<body>
<header><p class="kind">Overview</p><h1>Latent space of the model</h1></header>
<main>{"".join(sections)}</main>
</body>
</html>
"""
