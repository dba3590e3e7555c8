"""HTML pages with images and videos from files next to them; no server is needed.

Paths are relative to the page. The style sheet is `page.css`, in this folder.
"""

import html
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from urllib.parse import quote

from styleganv.files import atomic_write


@dataclass(frozen=True)
class Section:
    """A heading, a paragraph of text, and HTML below it."""

    title: str
    text: str
    body: str


def write_page(
    path: Path, *, kind: str, title: str, lead: str, sections: Sequence[Section], refresh: int | None = None
) -> None:
    """Write a page atomically, in place of an earlier one.

    Args:
        kind, title, lead: what kind of page it is, its heading, and a sentence about it.
        refresh: seconds after which a browser loads the page again; None for a page that no longer changes.
    """
    refresh_tag = "" if refresh is None else f'\n<meta http-equiv="refresh" content="{refresh}">'
    page = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">{refresh_tag}
<title>{html.escape(kind)}: {html.escape(title)}</title>
<style>{files("styleganv.media").joinpath("page.css").read_text(encoding="utf-8")}</style>
</head>
<body>
<header>
<p class="kind">{html.escape(kind)}</p>
<h1>{html.escape(title)}</h1>
<p class="lead">{html.escape(lead)}</p>
</header>
<main>
{"".join(map(_section, sections))}
</main>
</body>
</html>
"""
    with atomic_write(path, overwrite=True) as tmp_path:
        tmp_path.write_text(page, encoding="utf-8", errors="replace")


def _section(section: Section) -> str:
    text = f'<p class="text">{html.escape(section.text)}</p>' if section.text else ""
    return f"<section><h2>{html.escape(section.title)}</h2>{text}{section.body}</section>\n"


def video(path: str, caption: str, *, plays: bool = True) -> str:
    """Return a looping video with a caption; with `plays`, it starts by itself."""
    start = "autoplay" if plays else 'preload="metadata"'
    source = f'src="{quote(path)}" aria-label="{html.escape(caption)}"'
    return _figure(f"<video controls {start} loop muted playsinline {source}></video>", caption)


def image(path: str, caption: str) -> str:
    """Return an image with a caption."""
    return _figure(f'<img src="{quote(path)}" alt="{html.escape(caption)}">', caption)


def _figure(element: str, caption: str) -> str:
    return f"<figure>{element}<figcaption>{html.escape(caption)}</figcaption></figure>"


def figures(*elements: str, columns: int = 1) -> str:
    """Return figures side by side in 1 to 3 columns, fewer on a narrow screen."""
    return f'<div class="figures columns-{columns}">{"".join(elements)}</div>'


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table of text."""
    head = "".join(f'<th scope="col">{html.escape(cell)}</th>' for cell in header)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def details(summary: str, text: str) -> str:
    """Return preformatted text that a click shows."""
    return f"<details><summary>{html.escape(summary)}</summary><pre>{html.escape(text)}</pre></details>"
