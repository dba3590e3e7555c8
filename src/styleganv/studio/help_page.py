"""Sections of the documentation that the page shows, from the file that the package contains."""

import re
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from styleganv.errors import StyleganvError

#: Page that the findings of a run refer to.
PAGE = "troubleshooting.md"
HEADING = re.compile(r"^(#{2,3}) (.+)$", re.MULTILINE)


def read_section(anchor: str) -> dict[str, str]:
    """Return the title and the Markdown text of a section of the troubleshooting page.

    Raises:
        StyleganvError: if there is none of this anchor.
    """
    text = _page().read_text(encoding="utf-8")
    headings = list(HEADING.finditer(text))
    for heading, after in zip(headings, [*headings[1:], None], strict=True):
        if _anchor(heading[2]) == anchor:
            return {"title": heading[2], "text": text[heading.end() : after.start() if after else None].strip()}
    raise StyleganvError(f"{PAGE} has no section {anchor}: reload the page.")


def _page() -> Traversable:
    """Return the page in an installed package, or in the source tree."""
    installed = files("styleganv.studio") / PAGE
    return installed if installed.is_file() else Path(__file__).parents[3] / "docs" / PAGE


def _anchor(title: str) -> str:
    """Return the anchor that GitHub and MkDocs give a heading."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
