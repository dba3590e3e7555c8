"""HTML elements of the motion report: SVG charts, and images and videos as data URIs.

Shapes: V videos, T frames, H height, W width; clips are uint8 `[T, 3, H, W]`. Charts use the page's color variables
(`var(--a)` for the videos, `var(--b)` for the dataset), so they follow its light or dark theme.
"""

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
from styleganv.media.page import data_uri, video_tag
from styleganv.motion_report import motion

#: Placeholder colors for matplotlib, replaced by the page's color variables.
COLORS = {"a": "#aa0001", "b": "#aa0002", "soft": "#aa0003", "line": "#aa0004"}


def draw_chart(
    draw: Callable[[Any], None], *, x: str, y: str, label: str, size: tuple[float, float] = (5.4, 2.7)
) -> str:
    """Return an inline SVG of what `draw(axes)` draws; `label` describes it to screen readers."""
    soft = COLORS["soft"]
    settings: Any = {
        "svg.fonttype": "none",
        "svg.hashsalt": label,
        "font.size": 9,
        "font.family": "sans-serif",
        "axes.edgecolor": COLORS["line"],
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
        axes.grid(axis="y", color=COLORS["line"], linewidth=0.7)
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
    """Return the `<svg>` element alone, of full width, in the page's colors and fonts, with unique ids."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r' xmlns(:xlink)?="[^"]*"', "", svg).replace("xlink:href", "href")
    svg = re.sub(r'<svg [^>]*?viewBox="([^"]*)"[^>]*>', r'<svg viewBox="\1" role="img">', svg, count=1)
    for name, color in COLORS.items():
        svg = svg.replace(color, f"var(--{name})")
    svg = re.sub(r"font: ([^;\"]*?)px [^;\"]*", r"font: \1px var(--sans)", svg)
    return svg.replace('role="img">', f'role="img"><title>{html.escape(label)}</title>', 1)


def plot_curves(axes: Any, curves: NDArray, x: Sequence[float] | NDArray, color: str, label: str) -> None:
    """Plot the mean over videos of curves `[V, len(x)]`, and a band of their middle 80%."""
    low, high = np.quantile(curves, [0.1, 0.9], axis=0)
    axes.fill_between(x, low, high, color=COLORS[color], alpha=0.15, linewidth=0)
    axes.plot(x, curves.mean(axis=0), color=COLORS[color], linewidth=1.8, label=label)


def plot_dots(axes: Any, rows: Sequence[tuple[str, NDArray, str]]) -> None:
    """Plot a row of dots per `(label, values [V], color)`, values ≥ 0: one dot per video, and a bar at the mean."""
    for row, (_, values, color) in enumerate(rows):
        values = values[np.isfinite(values)]
        height = -row + 0.5 * ((np.arange(len(values)) * 0.618) % 1 - 0.5)  # spread evenly, without randomness
        axes.scatter(values, height, s=16, color=COLORS[color], alpha=0.55, linewidths=0)
        if len(values):
            axes.plot([values.mean()] * 2, [-row - 0.36, -row + 0.36], color=COLORS[color], linewidth=2)
    axes.set_yticks([-row for row in range(len(rows))], [label for label, *_ in rows])
    axes.set_ylim(-len(rows) + 0.4, 0.6)
    highest = max((float(np.nanmax(values)) for _, values, _ in rows if np.isfinite(values).any()), default=0.0)
    axes.set_xlim(-0.03 * (highest or 1), 1.04 * (highest or 1))
    axes.grid(axis="y", visible=False)
    axes.grid(axis="x", color=COLORS["line"], linewidth=0.7)


def image_element(image: NDArray[np.uint8], label: str) -> str:
    """Return a lossless `<img>` of `[H, W, 3]`."""
    data = io.BytesIO()
    Image.fromarray(image).save(data, format="PNG", optimize=True)
    size = f'width="{image.shape[1]}" height="{image.shape[0]}"'
    return f'<img {size} alt="{html.escape(label)}" src="{data_uri("image/png", data.getvalue())}">'


def video_element(frames: Iterable[NDArray[np.uint8]], fps: float, label: str) -> str:
    """Return a looping `<video>` of frames `[H, W, 3]`, with controls."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "video.mp4"
        writing.write_video(path, frames, fps, crf=20)
        return video_tag(data_uri("video/mp4", path.read_bytes()), label)


def clip_montage(clips: Sequence[NDArray[np.uint8]], columns: int, fps: float, label: str) -> str:
    """Return a video of clips side by side in rows of `columns`."""
    rows = len(clips) // columns or 1
    return grid_video(np.stack(clips[: rows * columns]).reshape(rows, -1, *clips[0].shape), fps, label, 96)


def grid_video(grid: NDArray[np.uint8], fps: float, label: str, side: int = 112) -> str:
    """Return a video of clips in rows and columns `[M, N, T, 3, H, W]`, each enlarged to about `side` pixels."""
    small = _reduce(grid, 128)
    cells = small.transpose(2, 0, 1, 4, 5, 3)
    return video_element((sheets.tile(cell, scale=_scale(small.shape[4], side)) for cell in cells), fps, label)


def image_grid(frames: NDArray[np.uint8], label: str) -> str:
    """Return an image of frames `[N, D, 3, H, W]`: one video per row, one time per column."""
    small = _reduce(frames, 96)
    return image_element(sheets.tile(small.transpose(0, 1, 3, 4, 2), scale=_scale(small.shape[3], 64)), label)


def time_slice(clip: NDArray[np.uint8], label: str) -> str:
    """Return the row of pixels that changes most, over time: x to the right, time downwards.

    A moving part leaves a slanted line; a static part, or texture that sticks to the screen, a vertical one.
    """
    row = int(clip.astype(np.float32).std(axis=0).mean(axis=(0, 2)).argmax())
    return image_element(_enlarge(clip[:, :, row].transpose(0, 2, 1)), label)


def self_similarity(clip: NDArray[np.uint8], label: str) -> str:
    """Return the distances between all frames, dark = similar; time runs right and down from the upper left.

    Dark lines parallel to the diagonal are repetitions; dark lines across it are reversals of the motion.
    """
    distance = motion.frame_distances(clip)
    shade = distance / max(float(distance.max()), 1e-9)
    return image_element(_enlarge((255 * matplotlib.colormaps["magma"](shade)[..., :3]).astype(np.uint8)), label)


def _reduce(frames: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Average `[…, 3, H, W]` so that the shorter side is about `side` or less, to keep the page small."""
    small = motion.downsample(frames.reshape(-1, *frames.shape[-3:]), side).round().astype(np.uint8)
    return small.reshape(*frames.shape[:-2], *small.shape[-2:])


def _enlarge(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Repeat pixels of `[H, W, 3]` so that both sides are about 256."""
    return image.repeat(_scale(len(image), 256), axis=0).repeat(_scale(image.shape[1], 256), axis=1)


def _scale(pixels: int, target: int) -> int:
    return max(1, round(target / pixels))
