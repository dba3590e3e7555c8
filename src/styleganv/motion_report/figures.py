"""Plots, pictures and clips as text that stands inside a page: SVG, and data URIs of PNG and MP4.

Shapes: V videos, T frames, H height, W width; clips are uint8 `[T, 3, H, W]`. Colours of plots are names of the page's
own (`var(--a)` the videos, `var(--b)` the data), so that they follow its light or dark.
"""

import base64
import html
import io
import re
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from styleganv.media import sheets, writing
from styleganv.motion_report import motion

#: What matplotlib is told, and what the page reads instead.
COLOURS = {"a": "#aa0001", "b": "#aa0002", "soft": "#aa0003", "line": "#aa0004"}
Draw = Callable[[Any], None]


def chart(draw: Draw, *, x: str, y: str, label: str, size: tuple[float, float] = (5.4, 2.7)) -> str:
    """An inline SVG of what `draw(axes)` draws; `label` says it in words for those who do not see it."""
    soft = COLOURS["soft"]
    settings: Any = {
        "svg.fonttype": "none",
        "svg.hashsalt": label,
        "font.size": 9,
        "font.family": "sans-serif",
        "axes.edgecolor": COLOURS["line"],
        "axes.labelcolor": soft,
        "text.color": soft,
        "xtick.color": soft,
        "ytick.color": soft,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.spines.left": False,
        "xtick.major.size": 0,
        "xtick.minor.size": 0,
        "ytick.major.size": 0,
    }
    with matplotlib.rc_context(settings):
        figure = Figure(figsize=size, layout="constrained")
        figure.patch.set_alpha(0)
        axes = figure.subplots()
        axes.patch.set_alpha(0)
        axes.grid(axis="y", color=COLOURS["line"], linewidth=0.7)
        axes.set_axisbelow(True)
        draw(axes)
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        if axes.get_legend_handles_labels()[0]:
            figure.legend(frameon=False, ncols=2, loc="outside upper left", handlelength=1.2)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    return _inline(text.getvalue(), label)


def _inline(svg: str, label: str) -> str:
    """The `<svg>` element alone, as wide as its place, in the page's colours and fonts, its ids its own."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r' xmlns(:xlink)?="[^"]*"', "", svg).replace("xlink:href", "href")
    svg = re.sub(r'<svg [^>]*?viewBox="([^"]*)"[^>]*>', r'<svg viewBox="\1" role="img">', svg, count=1)
    for name, colour in COLOURS.items():
        svg = svg.replace(colour, f"var(--{name})")
    svg = re.sub(r"font: ([^;\"]*?)px [^;\"]*", r"font: \1px var(--sans)", svg)
    return svg.replace('role="img">', f'role="img"><title>{html.escape(label)}</title>', 1)


def lines(axes: Any, curves: NDArray, x: Sequence[float] | NDArray, colour: str, label: str) -> None:
    """The mean over videos of curves `[V, len(x)]`, a band of their middle 80 %."""
    low, high = np.quantile(curves, [0.1, 0.9], axis=0)
    axes.fill_between(x, low, high, color=COLOURS[colour], alpha=0.15, linewidth=0)
    axes.plot(x, curves.mean(axis=0), color=COLOURS[colour], linewidth=1.8, label=label)


def dots(axes: Any, rows: Sequence[tuple[str, NDArray, str]]) -> None:
    """One row of dots for each `(label, values [V], colour)`, values ≥ 0, a video a dot, and a bar at the mean."""
    for row, (_, values, colour) in enumerate(rows):
        values = values[np.isfinite(values)]
        height = -row + 0.5 * ((np.arange(len(values)) * 0.618) % 1 - 0.5)  # spread evenly, without chance
        axes.scatter(values, height, s=16, color=COLOURS[colour], alpha=0.55, linewidths=0)
        if len(values):
            axes.plot([values.mean()] * 2, [-row - 0.36, -row + 0.36], color=COLOURS[colour], linewidth=2)
    axes.set_yticks([-row for row in range(len(rows))], [label for label, *_ in rows])
    axes.set_ylim(-len(rows) + 0.4, 0.6)
    most = max((float(np.nanmax(values)) for _, values, _ in rows if np.isfinite(values).any()), default=0.0)
    axes.set_xlim(-0.03 * (most or 1), 1.04 * (most or 1))
    axes.grid(axis="y", visible=False)
    axes.grid(axis="x", color=COLOURS["line"], linewidth=0.7)


def picture(image: NDArray[np.uint8], label: str, *, kind: str = "") -> str:
    """An `<img>` of `[H, W, 3]`, losslessly."""
    data = io.BytesIO()
    Image.fromarray(image).save(data, format="PNG", optimize=True)
    size = f'width="{image.shape[1]}" height="{image.shape[0]}"'
    return f'<img class="{kind}" {size} alt="{html.escape(label)}" src="{_uri("image/png", data.getvalue())}">'


def film(frames: Iterable[NDArray[np.uint8]], fps: float, label: str) -> str:
    """A `<video>` of frames `[H, W, 3]` that runs in a loop and can be stopped."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "film.mp4"
        writing.write_video(path, frames, fps, crf=20)
        data = path.read_bytes()
    source = _uri("video/mp4", data)
    return f'<video controls autoplay loop muted playsinline aria-label="{html.escape(label)}" src="{source}"></video>'


def _uri(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def montage(clips: Sequence[NDArray[np.uint8]], columns: int, fps: float, label: str) -> str:
    """A film of clips side by side in rows of `columns`."""
    rows = len(clips) // columns or 1
    used = np.stack([_reduced(clip, 128) for clip in clips[: rows * columns]])
    cells = used.reshape(rows, -1, *used.shape[1:]).transpose(2, 0, 1, 4, 5, 3)
    return film((sheets.tile(cell, scale=_scale(used.shape[3], 96)) for cell in cells), fps, label)


def grid_film(grid: NDArray[np.uint8], fps: float, label: str) -> str:
    """A film of `[M, N, T, 3, H, W]`: one motion a row, one content a column."""
    small = _reduced(grid, 128)
    cells = small.transpose(2, 0, 1, 4, 5, 3)
    return film((sheets.tile(cell, scale=_scale(small.shape[4], 112)) for cell in cells), fps, label)


def stills(frames: NDArray[np.uint8], label: str) -> str:
    """A picture of `[N, D, 3, H, W]`: one video a row, one moment a column."""
    small = _reduced(frames, 96)
    return picture(sheets.tile(small.transpose(0, 1, 3, 4, 2), scale=_scale(small.shape[3], 64)), label)


def slice_over_time(clip: NDArray[np.uint8], label: str) -> str:
    """The row of pixels that changes most, over time: x to the right, time downwards.

    What moves leaves a slanted line, what stands still (or sticks to the screen) a vertical one.
    """
    row = int(clip.astype(np.float32).std(axis=0).mean(axis=(0, 2)).argmax())
    image = clip[:, :, row].transpose(0, 2, 1)
    return picture(image.repeat(_scale(len(image), 256), axis=0).repeat(_scale(image.shape[1], 256), axis=1), label)


def self_similarity(clip: NDArray[np.uint8], label: str) -> str:
    """How different each frame is from each other, dark for alike; both ways time runs from the upper left.

    Dark lines beside the diagonal are repetitions; dark lines across it are moments where motion turns back.
    """
    distance = motion.frame_distances(clip)
    shade = distance / max(float(distance.max()), 1e-9)
    image = (255 * matplotlib.colormaps["magma"](shade)[..., :3]).astype(np.uint8)
    scale = _scale(len(image), 256)
    return picture(image.repeat(scale, axis=0).repeat(scale, axis=1), label)


def _reduced(frames: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """`[…, 3, H, W]` averaged so that the shorter side is nearly `side` or less: a page need not hold more."""
    small = motion.shrunk(frames.reshape(-1, *frames.shape[-3:]), side).round().astype(np.uint8)
    return small.reshape(*frames.shape[:-2], *small.shape[-2:])


def _scale(pixels: int, wanted: int) -> int:
    """How many times small pixels are enlarged to be seen."""
    return max(1, round(wanted / pixels))
