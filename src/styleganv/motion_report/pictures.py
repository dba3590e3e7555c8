"""What each section of the motion report shows: plots, pictures and films, each with a caption.

A function a section, from a `Diagnosis` to `<figure>` elements; `figures` draws them.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from styleganv.motion_report import figures
from styleganv.motion_report.diagnose import Diagnosis
from styleganv.motion_report.figures import COLOURS, chart, dots, lines
from styleganv.motion_report.observe import Observed


def _figure(content: str, caption: str, wide: bool = False) -> str:
    return f"<figure{' class=wide' if wide else ''}>{content}<figcaption>{caption}</figcaption></figure>"


def _pair(pictures: Sequence[tuple[str, str]], caption: str) -> str:
    """Pictures `(name, <img>)` side by side under one caption."""
    cells = "".join(f"<div>{image}<span>{name}</span></div>" for name, image in pictures)
    return _figure(f'<div class="together">{cells}</div>', caption, wide=True)


def _sides(diagnosis: Diagnosis) -> list[tuple[str, str, Observed]]:
    """`(what to call it, colour, what was seen)` of the videos and, where there is, of the data."""
    both = [("these videos" if diagnosis.answers is None else "model", "a", diagnosis.observed)]
    return both + ([("data", "b", diagnosis.data)] if diagnosis.data else [])


def clips(diagnosis: Diagnosis) -> list[str]:
    """A film of a few clips of each side."""
    return [
        _figure(figures.montage(seen.clips, 4, seen.fps, f"Clips: {name}"), f"Clips: {name}.")
        for name, _, seen in _sides(diagnosis)
    ]


def _dots(diagnosis: Diagnosis, key: str, x: str, caption: str) -> str:
    rows = [(name, seen.numbers[key], colour) for name, colour, seen in _sides(diagnosis)]

    def draw(axes: Any) -> None:
        dots(axes, rows)

    return _figure(chart(draw, x=x, y="", label=caption, size=(5.4, 0.9 + 0.6 * len(rows))), caption)


def _loops(diagnosis: Diagnosis) -> list[str]:
    sides = _sides(diagnosis)

    def kept(axes: Any) -> None:
        for name, colour, seen in sides:
            lines(axes, seen.loop_curves, np.arange(seen.loop_curves.shape[1]) / seen.fps, colour, name)

    def again(axes: Any) -> None:
        for name, colour, seen in sides:
            lines(axes, seen.autocorrelations, np.arange(seen.autocorrelations.shape[1]) / seen.fps, colour, name)

    first = "Colours shared with the first frame: mean, and the middle 80 % of videos."
    second = "Autocorrelation of frames: a peak away from 0 is a period."
    return [
        _figure(chart(kept, x="seconds", y="shared", label=first), first),
        _figure(chart(again, x="seconds later", y="correlation", label=second), second),
    ]


def _turns(diagnosis: Diagnosis) -> list[str]:
    caption = "Turns a second: one dot a video, a bar at the mean."
    pictures = []
    for name, _, seen in _sides(diagnosis):
        most = int(np.argmax(seen.numbers["turns"][: len(seen.clips)]))
        words = f"Each frame of a clip ({name}) against each other frame of it"
        pictures.append((name, figures.self_similarity(seen.clips[most], words)))
    what = (
        "The clip that turns most of those above. Time runs right and down, and where frames are alike it is dark: "
        "a dark line across the diagonal is a turn, one beside it a repetition."
    )
    return [_dots(diagnosis, "turns", "turns a second", caption), _pair(pictures, what)]


def _speed(diagnosis: Diagnosis) -> list[str]:
    sides = _sides(diagnosis)
    top = max(float(np.quantile(seen.speeds, 0.99)) for *_, seen in sides) or 1.0

    def draw(axes: Any) -> None:
        for name, colour, seen in sides:
            share, edges = np.histogram(seen.speeds, bins=32, range=(0, top))
            share = share / seen.speeds.size
            axes.stairs(share, edges, color=COLOURS[colour], fill=True, alpha=0.15)
            axes.stairs(share, edges, color=COLOURS[colour], linewidth=1.8, label=name)

    caption = "How often each speed occurs, over moments of all clips."
    return [_figure(chart(draw, x="frame sides a second", y="share", label=caption), caption)]


def _drift(diagnosis: Diagnosis) -> list[str]:
    caption = "Change of looks from the first to the last third of a clip, relative to that between videos."
    found = [_dots(diagnosis, "drift", "change of looks", caption)]
    answers = diagnosis.answers
    if answers is not None and answers.times:

        def draw(axes: Any) -> None:
            lines(axes, answers.drift, answers.times, "a", "since the beginning")
            if "hold" in answers.numbers:
                axes.axhline(
                    float(np.mean(answers.numbers["hold"])),
                    color=COLOURS["soft"],
                    linestyle=(0, (4, 3)),
                    label="by another motion seed",
                )
            axes.set_xscale("log")
            axes.set_ylim(bottom=0)

        curve = "Change of looks since the beginning, by frames; the last is an hour."
        moments = ", ".join(f"{t:,.0f}" for t in (0, *answers.times))
        still = f"Four contents, one a row, after {moments} frames."
        found.append(_figure(chart(draw, x="frames", y="change", label=curve), curve))
        found.append(_figure(figures.stills(answers.stills, still), still, wide=True))
    return found


def _flicker(diagnosis: Diagnosis) -> list[str]:
    return [_dots(diagnosis, "flicker", "grey levels", "Noise in time where nothing moves: one dot a video.")]


def _sticking(diagnosis: Diagnosis) -> list[str]:
    dotted = _dots(diagnosis, "sticking", "0 moves along, 1 sticks", "One dot a video, a bar at the mean.")
    pictures = []
    for name, _, seen in _sides(diagnosis):
        for clip in seen.clips[:2]:
            pictures.append((name, figures.slice_over_time(clip, f"A row of pixels over time ({name})")))
    what = "One row of pixels of a clip; time runs down. What moves slants; vertical streaks inside it are stuck."
    return [dotted, _pair(pictures, what)]


def _independence(diagnosis: Diagnosis) -> list[str]:
    if diagnosis.answers is None or diagnosis.answers.grid is None:
        return []
    caption = "One content a column, one motion a row: columns should look alike, rows should move alike."
    film = figures.grid_film(diagnosis.answers.grid, diagnosis.report.fps, "Contents across, motions down")
    return [_figure(film, caption)]


def _rate(diagnosis: Diagnosis) -> list[str]:
    answers = diagnosis.answers
    if answers is None or "between" in answers.missing:
        return []
    rows = [("between", answers.numbers["between"], "a"), ("evenness", answers.numbers["even"], "a")]

    def draw(axes: Any) -> None:
        dots(axes, rows)

    caption = "How far frames in between stray (at most 1 is good), and how uneven they are (1 is even)."
    return [_figure(chart(draw, x="", y="", label=caption, size=(5.4, 1.9)), caption)]


def _slots(diagnosis: Diagnosis) -> list[str]:
    answers = diagnosis.answers
    if answers is None or answers.slots is None:
        return []
    slots = answers.slots

    def draw(axes: Any) -> None:
        lines(axes, slots, np.arange(-2, 3) / 4, "a", "model")
        axes.axvline(0, color=COLOURS["soft"], linewidth=0.8, linestyle=(0, (2, 3)))
        axes.set_ylim(bottom=0)

    caption = "Change of the picture in steps of a quarter frame around a slot boundary."
    return [_figure(chart(draw, x="frames from the boundary", y="grey levels", label=caption), caption)]


#: By the heading of the section.
PICTURES = {
    "Loops": _loops,
    "Turning back": _turns,
    "Speed": _speed,
    "Drift": _drift,
    "Flicker": _flicker,
    "Texture sticking": _sticking,
    "Content and motion": _independence,
    "Frame rate": _rate,
    "Slot boundaries": _slots,
}
