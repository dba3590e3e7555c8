"""HTML pages without a server or external resources: images and videos are embedded, or in files next to the page.

Paths are relative to the page.
"""

import base64
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
    body = f"""<header>
<p class="kind">{html.escape(kind)}</p>
<h1>{html.escape(title)}</h1>
<p class="lead">{html.escape(lead)}</p>
</header>
<main>
{"".join(map(_section, sections))}
</main>"""
    head = "" if refresh is None else f'<meta http-equiv="refresh" content="{refresh}">'
    page = document(f"{kind}: {title}", body, style="media/page.css", head=head)
    with atomic_write(path, overwrite=True) as tmp_path:
        tmp_path.write_text(page, encoding="utf-8", errors="replace")


def document(title: str, body: str, *, style: str, head: str = "") -> str:
    """Return an HTML document from its title as text, its body as HTML, and the path of its style in the package."""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">{head}
<title>{html.escape(title)}</title>
<style>{files("styleganv").joinpath(style).read_text(encoding="utf-8")}</style>
</head>
<body>
{body}
</body>
</html>
"""


def _section(section: Section) -> str:
    text = f'<p class="text">{html.escape(section.text)}</p>' if section.text else ""
    return f"<section><h2>{html.escape(section.title)}</h2>{text}{section.body}</section>\n"


def video(path: str, caption: str, *, plays: bool = True) -> str:
    """Return a looping video with a caption; with `plays`, it starts by itself."""
    return _figure(video_tag(quote(path), caption, plays=plays), caption)


def video_tag(source: str, label: str, *, plays: bool = True, width: int | None = None) -> str:
    """Return a looping video of a URL, `width` pixels wide; `label` describes it to screen readers."""
    start = "autoplay" if plays else 'preload="metadata"'
    start += "" if width is None else f' width="{width}"'
    label = html.escape(label)
    return f'<video controls {start} loop muted playsinline aria-label="{label}" src="{source}"></video>'


def image(path: str, caption: str) -> str:
    """Return an image with a caption."""
    return _figure(f'<img src="{quote(path)}" alt="{html.escape(caption)}">', caption)


def data_uri(media_type: str, data: bytes) -> str:
    """Return the URL of an embedded file."""
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


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
