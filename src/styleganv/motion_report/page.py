"""The motion report as one HTML page: nothing outside it is asked for, so it can be mailed and kept.

Plain string templates; plots and films come from `pictures`. The style sheet is `page.css` beside this file.
"""

import html
import json
from importlib.resources import files
from pathlib import Path

from tqdm import tqdm

from styleganv.files import atomic_write
from styleganv.motion_report.diagnose import Diagnosis, Diagnostic
from styleganv.motion_report.pictures import PICTURES, clips

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
<style>{files("styleganv.motion_report").joinpath("page.css").read_text()}</style>
</head>
<body>
<header>
<p class="kind">Motion report</p>
<h1>{html.escape(Path(report.name).name)}</h1>
<p class="lead"><b>{html.escape(report.name)}</b>{beside}. {_counts(diagnosis)}</p>
{_tally(diagnosis)}
</header>
<main>
<section id="watched"><h2>What was watched</h2><div class="figures">{"".join(clips(diagnosis))}</div></section>
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
    with atomic_write(path) as tmp_path:
        tmp_path.write_text(page)


# Words and numbers


def _counts(diagnosis: Diagnosis) -> str:
    report = diagnosis.report
    data = f" and {report.data_videos} of the data" if report.data_videos else ""
    watched = f"{report.videos} {'clip' if report.videos == 1 else 'clips'}{data}"
    return f"{watched}, of {report.frames} frames at {report.fps:g} frames a second."


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
    return "" if high is None else f"; good: {_number(high)}{' or less' if high else ''}"


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
