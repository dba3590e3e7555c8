"""The motion report as one self-contained HTML page, without external resources.

The page is made of plain string templates; `figures` provides the plots, images and videos.
"""

import html
import json
from pathlib import Path

from styleganv.files import atomic_write, check_destination
from styleganv.media.page import document
from styleganv.motion_report.diagnostics import DIAGNOSTICS
from styleganv.motion_report.figures import show_clips
from styleganv.motion_report.report import Diagnostic, MotionAnalysis, MotionReport
from styleganv.motion_report.specs import Section
from styleganv.progress import Progress, track

PAUSE_VIDEOS = (
    "<script>if (matchMedia('(prefers-reduced-motion: reduce)').matches)"
    " for (const video of document.querySelectorAll('video')) video.pause();</script>"
)


def write_page(
    path: Path | str, analysis: MotionAnalysis, progress: Progress | None = None, *, overwrite: bool = False
) -> None:
    """Write the report as one self-contained HTML page, atomically."""
    check_destination(path, overwrite=overwrite)
    report = analysis.report
    sections: dict[Section, list[Diagnostic]] = {}
    for diagnostic in report.diagnostics:
        sections.setdefault(DIAGNOSTICS[diagnostic.name].section, []).append(diagnostic)
    bodies = [
        _section(analysis, section, diagnostics)
        for section, diagnostics in track(sections.items(), progress, len(sections), "drawing the page")
    ]
    anchors = {one.name: diagnostics[0].name for diagnostics in sections.values() for one in diagnostics}
    compared = f" compared with <b>{html.escape(report.data_name)}</b>" if report.data_name else ""
    body = f"""<header>
<p class="kind">Motion report</p>
<h1>{html.escape(Path(report.name).name)}</h1>
<p class="lead"><b>{html.escape(report.name)}</b>{compared}. {_counts(report)}</p>
{_tally(report, anchors)}
</header>
<main>
<section id="clips"><h2>Clips analyzed</h2><div class="figures">{show_clips(analysis)}</div></section>
<section id="summary"><h2>Summary</h2>{_table(analysis, anchors)}</section>
{"".join(bodies)}
</main>
<footer>
<p>± is one standard error over videos. A number differs from the dataset's if it is at least three standard errors
away, and far enough to matter. The same command and seed give the same report.</p>
<details><summary>Exact inputs</summary><pre>{_inputs(report)}</pre></details>
</footer>
{PAUSE_VIDEOS}"""
    with atomic_write(path, overwrite=overwrite) as tmp_path:
        tmp_path.write_text(document(f"Motion report: {report.name}", body, style="motion_report/page.css"))


def _section(analysis: MotionAnalysis, section: Section, diagnostics: list[Diagnostic]) -> str:
    numbers = "".join(map(_number_card, diagnostics))
    missing = analysis.probe.missing if analysis.probe else {}
    figures = "".join(
        draw(analysis, one.name)
        for one in diagnostics
        if one.name not in missing
        for draw in DIAGNOSTICS[one.name].figures
    )
    if len(diagnostics) == 1:  # a single number stands next to its first figure
        body = f'<div class="figures">{numbers}{figures}</div>'
    else:
        body = f'<div class="numbers">{numbers}</div><div class="figures">{figures}</div>'
    heading = f'<h2>{section.heading}</h2><p class="question">{section.question}</p>'
    return f'<section id="{diagnostics[0].name}">{heading}{body}</section>'


def _counts(report: MotionReport) -> str:
    data = f" and {report.data_num_videos} of the dataset" if report.data_num_videos else ""
    clips = f"{report.num_videos} {'clip' if report.num_videos == 1 else 'clips'}{data}"
    return f"{clips}, {report.num_frames} frames each, at {report.fps:g} frames per second."


def _tally(report: MotionReport, anchors: dict[str, str]) -> str:
    rated = [one for one in report.diagnostics if one.fine is not None]
    if not rated:
        return '<p class="tally">There is no dataset to compare with, so no number is rated.</p>'
    off = [one for one in rated if not one.fine]
    links = ", ".join(f'<a href="#{anchors[one.name]}">{one.title.lower()}</a>' for one in off)
    counts = f"{len(rated) - len(off)} of {len(rated)} numbers are within the expected range"
    return f'<p class="tally">{counts}{f"; check {links}" if off else ""}.</p>'


def _format(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def _mark(diagnostic: Diagnostic) -> str:
    if diagnostic.fine is None:
        return ""
    css_class, text = ("fine", "OK") if diagnostic.fine else ("off", "differs")
    return f'<span class="mark {css_class}">{text}</span>'


def _text(diagnostic: Diagnostic) -> str:
    """Return the verdict; if there is none, what is measured."""
    has_verdict = diagnostic.fine is not None or diagnostic.value is None
    return html.escape(diagnostic.verdict if has_verdict else diagnostic.description)


def _reference(diagnostic: Diagnostic) -> tuple[str, str]:
    """Return what a number is compared with, and its label."""
    if diagnostic.data is not None:
        return _format(diagnostic.data), "dataset"
    return (_format(diagnostic.ideal), "ideal") if diagnostic.ideal is not None else ("–", "dataset")


def _expected(diagnostic: Diagnostic) -> str:
    low, high = diagnostic.expected or (None, None)
    if low is not None and high is not None:
        return f"; expected: {_format(low)} to {_format(high)}"
    if low is not None:
        return f"; expected: {_format(low)} or more"
    return "" if high is None else f"; expected: {_format(high)}{' or less' if high else ''}"


def _table(analysis: MotionAnalysis, anchors: dict[str, str]) -> str:
    rows = []
    for one in analysis.report.diagnostics:
        value, label = _reference(one)
        reference = "" if value == "–" else f"{value} <small>{label}</small>"
        rows.append(
            f'<tr><th scope="row"><a href="#{anchors[one.name]}">{one.title}</a></th>'
            f'<td class="value">{_format(one.value)}</td><td class="value beside">{reference}</td>'
            f"<td>{_mark(one)}</td><td>{_text(one)}</td></tr>"
        )
    is_alone = analysis.data is None and analysis.probe is None
    headings = ("", "Value", "" if is_alone else "Compared with", "", "")
    heads = "".join(f'<th scope="col">{heading}</th>' for heading in headings)
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _number_card(diagnostic: Diagnostic) -> str:
    value, label = _reference(diagnostic)
    error = "" if diagnostic.error is None else f" <small>± {diagnostic.error:.2g}</small>"
    reference = f'<p class="beside"><span>{value}</span> {label}</p>' if value != "–" else ""
    description = html.escape(diagnostic.description)
    return (
        f'<article><h3>{diagnostic.title} {_mark(diagnostic)}</h3><div class="pair">'
        f'<p class="here"><span>{_format(diagnostic.value)}</span>{error}</p>{reference}</div>'
        f'<p class="unit">{diagnostic.unit}{_expected(diagnostic)}</p><p>{_text(diagnostic)}</p>'
        + (f'<p class="meaning">{description}</p>' if _text(diagnostic) != description else "")
        + "</article>"
    )


def _inputs(report: MotionReport) -> str:
    inputs = {
        "videos": {"name": report.name, **report.identity},
        "dataset": None if report.data_identity is None else {"name": report.data_name, **report.data_identity},
        "clips": report.num_videos,
        "clips of the dataset": report.data_num_videos,
        "frames per clip": report.num_frames,
        "fps": report.fps,
        "seed": report.seed,
    }
    return html.escape(json.dumps(inputs, indent=2))
