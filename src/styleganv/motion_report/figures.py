"""Figures of the motion report: plots, images and videos, each with a caption.

Each function turns a `MotionAnalysis` and the name of a diagnostic into a `<figure>`; `elements` draws its content.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from styleganv.motion_report import elements
from styleganv.motion_report.elements import COLORS, draw_chart, plot_curves, plot_dots
from styleganv.motion_report.measurements import DRIFT_TIMES, ClipMeasurements, ModelProbe
from styleganv.motion_report.report import MotionAnalysis


def _figure(content: str, caption: str, wide: bool = False) -> str:
    return f"<figure{' class=wide' if wide else ''}>{content}<figcaption>{caption}</figcaption></figure>"


def _side_by_side(images: Sequence[tuple[str, str]], caption: str) -> str:
    """Return images `(name, <img>)` side by side under one caption."""
    cells = "".join(f"<div>{image}<span>{name}</span></div>" for name, image in images)
    return _figure(f'<div class="together">{cells}</div>', caption, wide=True)


def _chart(draw: Callable[[Any], None], caption: str, **options: Any) -> str:
    return _figure(draw_chart(draw, label=caption, **options), caption)


def _sets(analysis: MotionAnalysis) -> list[tuple[str, str, ClipMeasurements]]:
    """Return `(name, color, measurements)` of the videos and, if there is one, of the dataset."""
    sets = [("these videos" if analysis.probe is None else "model", "a", analysis.clips)]
    return sets + ([("dataset", "b", analysis.data)] if analysis.data else [])


def _probe(analysis: MotionAnalysis) -> ModelProbe:
    assert analysis.probe is not None
    return analysis.probe


def show_clips(analysis: MotionAnalysis) -> str:
    """Show a video of the first clips of each set."""
    return "".join(
        _figure(elements.clip_montage(clips.examples, 4, clips.fps, f"Clips: {name}"), f"Clips: {name}.")
        for name, _, clips in _sets(analysis)
    )


def plot_values(analysis: MotionAnalysis, name: str) -> str:
    """Plot one dot per video; the default figure of a diagnostic."""
    if analysis.probe is not None and name in analysis.probe.values:
        rows = [("model", analysis.probe.values[name], "a")]
    else:
        rows = [(label, clips.values[name], color) for label, color, clips in _sets(analysis)]
    diagnostic = analysis.report[name]
    caption = f"{diagnostic.title}: one dot per video, a bar at the mean."
    size = (5.4, 0.9 + 0.6 * len(rows))
    return _chart(lambda axes: plot_dots(axes, rows), caption, x=diagnostic.unit, y="", size=size)


def plot_loop_curves(analysis: MotionAnalysis, name: str) -> str:
    """Plot how much of the first frame's colors later frames have."""

    def draw(axes: Any) -> None:
        for label, color, clips in _sets(analysis):
            plot_curves(axes, clips.loop_curves, np.arange(clips.loop_curves.shape[1]) / clips.fps, color, label)

    return _chart(
        draw, "Colors shared with the first frame: mean, and the middle 80% of videos.", x="seconds", y="fraction"
    )


def plot_autocorrelations(analysis: MotionAnalysis, name: str) -> str:
    """Plot the autocorrelation of frames."""

    def draw(axes: Any) -> None:
        for label, color, clips in _sets(analysis):
            curves = clips.autocorrelations
            plot_curves(axes, curves, np.arange(curves.shape[1]) / clips.fps, color, label)

    caption = "Autocorrelation of frames: a peak away from 0 is a period."
    return _chart(draw, caption, x="lag in seconds", y="correlation")


def show_self_similarity(analysis: MotionAnalysis, name: str) -> str:
    """Show the distances between all frames of the clip with the highest value."""
    images = []
    for label, _, clips in _sets(analysis):
        highest = int(np.argmax(clips.values[name][: len(clips.examples)]))
        text = f"Distances between all frames of a clip ({label})"
        images.append((label, elements.self_similarity(clips.examples[highest], text)))
    caption = (
        "Distances between frames of the clip with the most reversals; dark = similar. Time runs right and down. "
        "A dark line across the diagonal is a reversal, a dark line parallel to it a repetition."
    )
    return _side_by_side(images, caption)


def plot_speeds(analysis: MotionAnalysis, name: str) -> str:
    """Plot the distribution of speeds."""
    sets = _sets(analysis)
    highest = max(float(np.quantile(clips.speeds, 0.99)) for *_, clips in sets) or 1.0

    def draw(axes: Any) -> None:
        for label, color, clips in sets:
            fraction, edges = np.histogram(clips.speeds, bins=32, range=(0, highest))
            fraction = fraction / clips.speeds.size
            axes.stairs(fraction, edges, color=COLORS[color], fill=True, alpha=0.15)
            axes.stairs(fraction, edges, color=COLORS[color], linewidth=1.8, label=label)

    caption = "Distribution of speed over all clips and times."
    return _chart(draw, caption, x="frame sides per second", y="fraction")


def plot_drift(analysis: MotionAnalysis, name: str) -> str:
    """Plot the appearance drift over time, up to an hour."""
    probe = _probe(analysis)
    times, curves = _drift_times(probe), probe.drift
    if len(times) > curves.shape[1]:
        curves = np.column_stack([curves, probe.hour_drift])

    def draw(axes: Any) -> None:
        plot_curves(axes, curves, times, "a", "from time 0")
        if "hold" in probe.values:
            level = float(np.mean(probe.values["hold"]))
            axes.axhline(level, color=COLORS["soft"], linestyle=(0, (4, 3)), label="with another motion seed")
        axes.set_xscale("log")
        axes.set_ylim(bottom=0)

    return _chart(draw, "Color difference from time 0; the last time is an hour.", x="frames", y="difference")


def show_drift(analysis: MotionAnalysis, name: str) -> str:
    """Show frames at the times of `plot_drift`."""
    times = [0.0, *_drift_times(_probe(analysis))]
    caption = f"Four content seeds, one per row, after {', '.join(f'{time:,.0f}' for time in times)} frames."
    return _figure(elements.image_grid(_probe(analysis).frames_at(times), caption), caption, wide=True)


def _drift_times(probe: ModelProbe) -> list[float]:
    return [*map(float, DRIFT_TIMES), *([] if "drift_hour" in probe.missing else [probe.hour])]


def show_slices(analysis: MotionAnalysis, name: str) -> str:
    """Show one row of pixels over time."""
    images = [
        (label, elements.time_slice(clip, f"A row of pixels over time ({label})"))
        for label, _, clips in _sets(analysis)
        for clip in clips.examples[:2]
    ]
    caption = "One row of pixels of a clip; time runs down. Moving parts are slanted; vertical streaks in them stick."
    return _side_by_side(images, caption)


def show_grid(analysis: MotionAnalysis, name: str) -> str:
    """Show a grid of videos: content seeds by motion seeds."""
    caption = "One content seed per column, one motion seed per row: columns share appearance, rows share motion."
    return _figure(elements.grid_video(_probe(analysis).grid, analysis.report.fps, caption), caption)


def plot_slots(analysis: MotionAnalysis, name: str) -> str:
    """Plot the change of the image around slot boundaries."""

    def draw(axes: Any) -> None:
        plot_curves(axes, _probe(analysis).slot_profiles, np.arange(-2, 3) / 4, "a", "model")
        axes.axvline(0, color=COLORS["soft"], linewidth=0.8, linestyle=(0, (2, 3)))
        axes.set_ylim(bottom=0)

    caption = "Change of the image in steps of a quarter frame around a slot boundary."
    return _chart(draw, caption, x="frames from the boundary", y="gray levels")
