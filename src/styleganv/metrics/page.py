"""The motion report as one HTML page: nothing outside it is asked for, so it can be mailed and kept.

Plain string templates; plots and films come from `figures`. The style sheet is `page.css` beside this file.
"""

import html
import json
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

import numpy as np
from tqdm import tqdm

from styleganv.files import written_whole
from styleganv.metrics import figures
from styleganv.metrics.diagnose import Diagnosis, Diagnostic
from styleganv.metrics.figures import COLOURS, chart, dots, lines
from styleganv.metrics.observe import Observed

#: Keys of the diagnostics of each section, its heading, and what to look for.
SECTIONS = (
    (("loop", "period"), "Loops", "Does a video come back to where it was?"),
    (("turns",), "Turning back", "Does motion run back the way it came, more often than in the data?"),
    (("speed", "speed_spread"), "Speed", "Do things move as fast as in the data, and as unevenly?"),
    (("drift", "drift_1000", "drift_hour"), "Drift", "Does the content stay what it is, however long it runs?"),
    (("flicker",), "Flicker", "Does what stands still stay still?"),
    (("sticking",), "Texture sticking", "Does texture move with the things it is on?"),
    (("diversity", "transfer", "hold"), "Content and motion", "Are they two things, each with its own seed?"),
    (("same_frames", "between", "even"), "Frame rate", "Is it one video, at whatever rate it is shown?"),
    (("slot_jump",), "Slot boundaries", "Can one see where one motion code gives way to the next?"),
)

NO_MOTION_WANTED = (
    "<script>if (matchMedia('(prefers-reduced-motion: reduce)').matches)"
    " for (const film of document.querySelectorAll('video')) film.pause();</script>"
)


def write_page(path: Path | str, diagnosis: Diagnosis) -> None:
    """Write the report as one self-contained HTML page, whole or not at all."""
    report = diagnosis.report
    sections = []
    for keys, heading, question in tqdm(SECTIONS, desc="drawing the page", unit="section"):
        found = [diagnostic for diagnostic in report.diagnostics if diagnostic.key in keys]
        if found:
            shown = "".join(map(_numbers, found))
            pictures = "".join(PICTURES[heading](diagnosis))
            # A number alone stands beside its first picture.
            body = (
                f'<div class="figures">{shown}{pictures}</div>'
                if len(found) == 1
                else f'<div class="numbers">{shown}</div><div class="figures">{pictures}</div>'
            )
            sections.append(
                f'<section id="{keys[0]}"><h2>{heading}</h2><p class="question">{question}</p>{body}</section>'
            )
    beside = f" beside <b>{html.escape(report.data_name)}</b>" if report.data_name else ""
    page = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Motion report: {html.escape(report.name)}</title>
<style>{files("styleganv.metrics").joinpath("page.css").read_text()}</style>
</head>
<body>
<header>
<p class="kind">Motion report</p>
<h1>{html.escape(Path(report.name).name)}</h1>
<p class="lead"><b>{html.escape(report.name)}</b>{beside}. {_counts(diagnosis)}</p>
{_tally(diagnosis)}
</header>
<main>
<section id="watched"><h2>What was watched</h2><div class="figures">{"".join(_clips(diagnosis))}</div></section>
<section id="summary"><h2>In short</h2>{_table(diagnosis)}</section>
{"".join(sections)}
</main>
<footer>
<p>± is one standard error over videos. A number differs from the data's if it is three standard errors away from it,
and far enough to matter. The same command and seed give the same report.</p>
<details><summary>What exactly was measured</summary><pre>{_identity(diagnosis)}</pre></details>
</footer>
{NO_MOTION_WANTED}
</body>
</html>
"""
    with written_whole(path) as temporary:
        temporary.write_text(page)


# Words and numbers


def _counts(diagnosis: Diagnosis) -> str:
    report = diagnosis.report
    data = f" and {report.data_videos} of the data" if report.data_videos else ""
    return f"{report.videos} clips{data}, of {report.frames} frames at {report.fps:g} frames a second."


def _tally(diagnosis: Diagnosis) -> str:
    judged = [found for found in diagnosis.report.diagnostics if found.fine is not None]
    if not judged:
        return '<p class="tally">These are the numbers of the videos themselves; nothing is beside them.</p>'
    off = [found for found in judged if not found.fine]
    links = ", ".join(f'<a href="#{_section_of(found.key)}">{found.title.lower()}</a>' for found in off)
    rest = f"{len(judged) - len(off)} of {len(judged)} numbers are as they should be"
    return f'<p class="tally">{rest}{f"; look at {links}" if off else ""}.</p>'


def _section_of(key: str) -> str:
    return next(keys[0] for keys, *_ in SECTIONS if key in keys)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def _mark(found: Diagnostic) -> str:
    if found.fine is None:
        return ""
    kind, word = ("fine", "fine") if found.fine else ("off", "differs")
    return f'<span class="mark {kind}">{word}</span>'


def _told(found: Diagnostic) -> str:
    """The verdict; where there is none, what the number is about."""
    return html.escape(found.verdict if found.fine is not None or found.value is None else found.meaning)


def _reference(found: Diagnostic) -> tuple[str, str]:
    """What stands beside a number, and what it is."""
    if found.data is not None:
        return _number(found.data), "data"
    return (_number(found.ideal), "ideal") if found.ideal is not None else ("–", "data")


def _good(found: Diagnostic) -> str:
    low, high = found.good or (None, None)
    if low is not None and high is not None:
        return f"; good: {_number(low)} to {_number(high)}"
    if low is not None:
        return f"; good: {_number(low)} or more"
    return "" if high is None else f"; good: {_number(high)} or less"


def _table(diagnosis: Diagnosis) -> str:
    rows = []
    for found in diagnosis.report.diagnostics:
        value, what = _reference(found)
        beside = "" if value == "–" else f"{value} <small>{what}</small>"
        rows.append(
            f'<tr><th scope="row"><a href="#{_section_of(found.key)}">{found.title}</a></th>'
            f'<td class="value">{_number(found.value)}</td><td class="value beside">{beside}</td>'
            f"<td>{_mark(found)}</td><td>{_told(found)}</td></tr>"
        )
    alone = diagnosis.data is None and diagnosis.answers is None
    heads = "".join(f'<th scope="col">{head}</th>' for head in ("", "Here", "" if alone else "Beside it", "", ""))
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _numbers(found: Diagnostic) -> str:
    value, what = _reference(found)
    error = "" if found.error is None else f" <small>± {found.error:.2g}</small>"
    beside = f'<p class="beside"><span>{value}</span> {what}</p>' if value != "–" else ""
    meaning = html.escape(found.meaning)
    return (
        f'<article><h3>{found.title} {_mark(found)}</h3><div class="pair">'
        f'<p class="here"><span>{_number(found.value)}</span>{error}</p>{beside}</div>'
        f'<p class="unit">{found.unit}{_good(found)}</p><p>{_told(found)}</p>'
        + (f'<p class="meaning">{meaning}</p>' if _told(found) != meaning else "")
        + "</article>"
    )


def _identity(diagnosis: Diagnosis) -> str:
    report = diagnosis.report
    told = {
        "videos": {"name": report.name, **report.identity},
        "data": None if report.data_identity is None else {"name": report.data_name, **report.data_identity},
        "clips": report.videos,
        "clips of the data": report.data_videos,
        "frames": report.frames,
        "fps": report.fps,
        "seed": report.seed,
    }
    return html.escape(json.dumps(told, indent=2))


# Pictures of each section


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


def _clips(diagnosis: Diagnosis) -> list[str]:
    return [
        _figure(figures.montage(seen.clips, 4, seen.fps, f"Clips: {name}"), f"Clips: {name}.")
        for name, _, seen in _sides(diagnosis)
    ]


def _dots(diagnosis: Diagnosis, key: str, x: str, caption: str) -> str:
    rows = [(name, seen.numbers[key], colour) for name, colour, seen in _sides(diagnosis)]

    def draw(axes: object) -> None:
        dots(axes, rows)

    return _figure(chart(draw, x=x, y="", label=caption, size=(5.4, 0.9 + 0.6 * len(rows))), caption)


def _loops(diagnosis: Diagnosis) -> list[str]:
    sides = _sides(diagnosis)

    def kept(axes: object) -> None:
        for name, colour, seen in sides:
            lines(axes, seen.loop_curves, np.arange(seen.loop_curves.shape[1]) / seen.fps, colour, name)

    def again(axes: object) -> None:
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

    def draw(axes: object) -> None:
        for name, colour, seen in sides:
            share, edges = np.histogram(seen.speeds, bins=32, range=(0, top))
            share = share / seen.speeds.size
            axes.stairs(share, edges, color=COLOURS[colour], fill=True, alpha=0.15)  # type: ignore[attr-defined]
            axes.stairs(share, edges, color=COLOURS[colour], linewidth=1.8, label=name)  # type: ignore[attr-defined]

    caption = "How often each speed occurs, over moments of all clips."
    return [_figure(chart(draw, x="frame sides a second", y="share", label=caption), caption)]


def _drift(diagnosis: Diagnosis) -> list[str]:
    caption = "Change of looks from the first to the last third of a clip, relative to that between videos."
    found = [_dots(diagnosis, "drift", "change of looks", caption)]
    answers = diagnosis.answers
    if answers is not None:

        def draw(axes: object) -> None:
            lines(axes, answers.drift, answers.times, "a", "since the beginning")
            axes.axhline(  # type: ignore[attr-defined]
                float(np.mean(answers.numbers["hold"])),
                color=COLOURS["soft"],
                linestyle=(0, (4, 3)),
                label="by another motion seed",
            )
            axes.set_xscale("log")  # type: ignore[attr-defined]
            axes.set_ylim(bottom=0)  # type: ignore[attr-defined]

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
    if diagnosis.answers is None:
        return []
    caption = "One content a column, one motion a row: columns should look alike, rows should move alike."
    film = figures.grid_film(diagnosis.answers.grid, diagnosis.report.fps, "Contents across, motions down")
    return [_figure(film, caption)]


def _rate(diagnosis: Diagnosis) -> list[str]:
    answers = diagnosis.answers
    if answers is None:
        return []
    rows = [("between", answers.numbers["between"], "a"), ("evenness", answers.numbers["even"], "a")]

    def draw(axes: object) -> None:
        dots(axes, rows)

    caption = "How far frames in between stray (at most 1 is good), and how uneven they are (1 is even)."
    return [_figure(chart(draw, x="", y="", label=caption, size=(5.4, 1.9)), caption)]


def _slots(diagnosis: Diagnosis) -> list[str]:
    answers = diagnosis.answers
    if answers is None or answers.slots is None:
        return []
    slots = answers.slots

    def draw(axes: object) -> None:
        lines(axes, slots, np.arange(-2, 3) / 4, "a", "model")
        axes.axvline(0, color=COLOURS["soft"], linewidth=0.8, linestyle=(0, (2, 3)))  # type: ignore[attr-defined]
        axes.set_ylim(bottom=0)  # type: ignore[attr-defined]

    caption = "Change of the picture in steps of a quarter frame around a slot boundary."
    return [_figure(chart(draw, x="frames from the boundary", y="grey levels", label=caption), caption)]


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
