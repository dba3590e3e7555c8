"""Overview page of a model: truncation, interpolation, style mixing, content and motion, slow motion, and the
directions of largest variance.

Shapes: T frames, H height, W width, L style layers.
"""

import html
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import get_args

import numpy as np

from styleganv.editing.direction_search import draw_directions, find_directions
from styleganv.editing.directions import save_directions
from styleganv.editing.edits import constant_speed, interpolate, interpolate_over_time, mix_styles
from styleganv.editing.latents import Latents, latents_from_seed, render_latents
from styleganv.files import atomic_write, check_destination
from styleganv.media import sheets, writing
from styleganv.media.page import data_uri, document, video_tag
from styleganv.methods.stylegan_v.sampler import VideoGenerator
from styleganv.options import DirectionOptions, Space
from styleganv.progress import Progress, track
from styleganv.validation import Count, Seed, check_arguments
from styleganv.video_model import Frame

NUM_SEEDS = 6
PSIS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5)
SECONDS = 4.0
#: Files of the figures, whatever the model, in the order of the page → their titles and captions.
FIGURES = {
    "truncation.png": ("Truncation", "From mean w (psi 0) to the w of each seed (psi 1) and beyond."),
    "interpolation.png": ("Interpolation", "From one seed to the next, linear in w."),
    "over-time.mp4": ("Content over time", "One video that moves through three content seeds and back."),
    "mixing.png": ("Style mixing", "Coarse, middle or fine layers of another seed."),
    "content-motion.png": ("Content and motion", "Each content seed with each motion seed."),
    "slow-motion.mp4": ("Slow motion", "One video at full, half and quarter speed, from left to right."),
    "content-directions.png": (
        "Directions of content",
        "Directions of largest variance, from -3 to +3 standard deviations (psi 0.5).",
    ),
    "motion-directions.png": (
        "Directions of motion",
        "Directions of largest variance, from -3 to +3 standard deviations.",
    ),
}
PAGE_FILES = ("index.html", *FIGURES, *(f"{space}-directions.safetensors" for space in get_args(Space)))
#: Height in pixels to which small videos are enlarged.
VIDEO_HEIGHT = 192


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
        first_seed: first of the six content seeds shown.
        num_samples: seeds that directions are found from.

    Returns:
        The files written, the page first.

    Raises:
        StyleganvError: if `out` exists, contains anything else or cannot be written.
    """
    check_destination(out, overwrite=overwrite, contents=PAGE_FILES)
    out, directions = Path(out), DirectionOptions(num_samples=num_samples, num_directions=num_directions)
    figures = _Figures(model, first_seed, directions).writers()
    with atomic_write(out, overwrite=overwrite, contents=PAGE_FILES) as tmp_path:
        for file in track(figures, progress, len(figures), "exploring"):
            figures[file](tmp_path / file)
        (tmp_path / "index.html").write_text(_page(tmp_path, figures), encoding="utf-8")
        names = [path.name for path in tmp_path.iterdir()]
    return [out / "index.html", *(out / name for name in sorted(names) if name != "index.html")]


class _Figures:
    """The figures of a model, each written by one method."""

    def __init__(self, model: VideoGenerator, first_seed: int, directions: DirectionOptions) -> None:
        self.model, self.options = model, directions
        self.seeds = range(first_seed, first_seed + NUM_SEEDS)
        self.contents = [latents_from_seed(model, seed) for seed in self.seeds]

    def writers(self) -> dict[str, Callable[[Path], None]]:
        """Return the function that writes each figure that makes sense for the model."""
        writers: dict[str, Callable[[Path], None]] = {
            "truncation.png": self.truncation,
            "interpolation.png": self.interpolation,
            "over-time.mp4": self.over_time,
            "mixing.png": self.mixing,
            "content-directions.png": partial(self.directions, "content"),
        }
        if self.model.generator.motion is not None:
            writers |= {
                "content-motion.png": self.content_motion,
                "slow-motion.mp4": self.slow_motion,
                "motion-directions.png": partial(self.directions, "motion"),
            }
        return {file: writers[file] for file in FIGURES if file in writers}

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
        render = partial(render_latents, self.model, self.contents[0], seconds=SECONDS)
        self._write_video(path, [render(time_map=each) for each in time_maps])

    def directions(self, space: Space, path: Path) -> None:
        directions = find_directions(self.model, replace(self.options, space=space))
        save_directions(path.with_suffix(".safetensors"), directions)
        writing.write_image(path, draw_directions(self.model, directions, self.seeds[0]))

    def _image(self, latents: Latents) -> Frame:
        """Return the first frame, at a size for display."""
        latents = replace(latents, motion=replace(latents.motion, seed=0))
        return sheets.film_strip(np.stack(list(render_latents(self.model, latents, seconds=1 / self.model.fps))))

    def _write_video(self, path: Path, columns: Sequence[Iterator[Frame]]) -> None:
        scale = max(1, VIDEO_HEIGHT // self.model.height)
        frames = (sheets.tile(np.stack(row)[None], scale=scale) for row in zip(*columns, strict=True))
        writing.write_video(path, frames, self.model.fps)


def _write_sheet(
    path: Path, rows: list[list[Frame]], names: Sequence[str], columns: Sequence[str], note: str = ""
) -> None:
    writing.write_image(path, sheets.labeled_sheet(np.array(rows), rows=names, columns=columns, note=note))


def _page(folder: Path, figures: Iterable[str]) -> str:
    """Return the HTML of the page, with the files of its figures embedded."""
    body = '<header><p class="kind">Overview</p><h1>Latent space of the model</h1></header><main>'
    for file in figures:
        data, (title, caption) = (folder / file).read_bytes(), map(html.escape, FIGURES[file])
        # A single video would fill the page.
        wide = "" if file == "over-time.mp4" else ' class="wide"'
        element = f'<img alt="{title}" src="{data_uri("image/png", data)}">'
        if file.endswith(".mp4"):
            element = video_tag(data_uri("video/mp4", data), title)
        body += (
            f'<section><h2>{title}</h2><p class="question">{caption}</p>'
            f'<div class="figures"><figure{wide}>{element}</figure></div></section>'
        )
    return document("Latent space", body + "</main>", style="motion_report/page.css")
