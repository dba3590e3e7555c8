"""Hooks of MkDocs: what the site shows beyond the Markdown files, which must also read well where they are stored.

Each adds to a page what cannot go stale: code of the package, the options of commands, the names of the Python API.
"""

import ast
import contextlib
import io
import posixpath
import re
from functools import cache
from pathlib import Path
from textwrap import dedent
from typing import Any

ROOT = Path(__file__).parents[1]
#: A line that only links to a function or class: [`name`](../src/file.py):
SOURCE = re.compile(r"^\[`([\w.]+)`\]\((?:\.\./)+(src/\S+\.py)\):$", re.MULTILINE)
LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(([^)\s]+)\)")
EQUATION = re.compile(r'<div class="equation">.*?</div>', re.DOTALL)
#: W_σ or x_(T−1).
SUBSCRIPT = re.compile(r"_(?:\(([^)]*)\)|(\w+))")
#: A paragraph that only links to a video.
VIDEO = re.compile(r'<p><a href="([^"]+\.mp4)">(.*?)</a></p>', re.DOTALL)


def on_page_markdown(markdown: str, *, page: Any, config: Any, **_: Any) -> str:
    """Insert code and references, and lead links to files outside docs/ to the repository."""
    if page.is_homepage:
        page.meta["hide"] = ["navigation", "toc"]
    markdown = SOURCE.sub(lambda found: code_block(found[2], found[1]), markdown)
    markdown = markdown.replace("<!-- commands -->", command_reference() if "<!-- commands -->" in markdown else "")
    markdown = markdown.replace("<!-- python -->", python_reference())
    return relink(markdown, page.file.src_uri, config.extra["repository"].rstrip("/"))


def on_page_content(html: str, **_: Any) -> str:
    """Show videos with controls and their link's text below, and subscripts of equations."""
    html = EQUATION.sub(lambda found: SUBSCRIPT.sub(r"<sub>\1\2</sub>", found[0]), html)
    return VIDEO.sub(
        r'<figure><video src="\1" controls autoplay loop muted playsinline></video>'
        r"<figcaption>\2</figcaption></figure>",
        html,
    )


def relink(markdown: str, page: str, repository: str) -> str:
    """Return the text with links from `page` to files outside docs/ changed: to the repository, or to plain text."""

    def replace(found: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join("docs", posixpath.dirname(page), found[2]))
        if re.match(r"[a-z]+:|#", found[2]) or path.startswith("docs/"):
            return found[0]
        return f"[{found[1]}]({repository}/blob/main/{path})" if repository else found[1]

    return LINK.sub(replace, markdown)


def code_block(path: str, name: str) -> str:
    """Return the lines of a function, method or class without its docstring, as a block of code."""
    text = (ROOT / path).read_text()
    node: Any = ast.parse(text)
    for part in name.split("."):
        node = next(child for child in node.body if getattr(child, "name", None) == part)
    lines = text.splitlines()[node.lineno - 1 : node.end_lineno]
    if ast.get_docstring(node) is not None:
        docstring = node.body[0]
        del lines[docstring.lineno - node.lineno : docstring.end_lineno - node.lineno + 1]
    return f'```python title="{path.removeprefix("src/")}"\n' + dedent("\n".join(lines)) + "\n```"


def python_reference() -> str:
    """Return one entry per public name, functions before classes, for mkdocstrings."""
    import styleganv

    names = sorted(styleganv.__all__, key=lambda name: name[0].isupper())
    return "\n\n".join(f"::: styleganv.{name}" for name in names)


def command_reference() -> str:
    """Return a section per command, from the text of its --help."""
    from styleganv.cli import COMMANDS

    return "\n\n".join(f"## {name}\n\n{format_help(help_text(name))}" for name in COMMANDS)


@cache
def help_text(command: str) -> str:
    """Return what `styleganv COMMAND --help` prints."""
    from styleganv.cli import main

    with contextlib.redirect_stdout(io.StringIO()) as printed, contextlib.suppress(SystemExit):
        main([command, "--help"])
    return printed.getvalue()


def format_help(text: str) -> str:
    """Return the Markdown of a --help text: usage, description, and a definition list per group of options.

    A group is a title, a rule and indented lines; a second rule ends its description.
    """
    introduction, *groups = re.split(r"^ (\S.*?) *\n -+ *\n", text, flags=re.MULTILINE)
    usage, _, description = introduction.strip().partition("\n\n")
    parts = [f"```sh\n{usage.removeprefix('usage: ')}\n```", _escape(description)]
    for title, body in zip(groups[::2], groups[1::2], strict=True):
        heading, rule, options = body.partition("  ---")
        if rule:
            options = options.lstrip("-").lstrip("\n")
        else:
            heading, options = "", body
        parts += [f"**{title.capitalize()}**", _escape(" ".join(heading.split()))]
        parts += map(_format_option, _split(options))
    return "\n\n".join(part for part in parts if part)


def _split(options: str) -> list[str]:
    """Return the lines of each option: the first is indented by two columns, the others by more."""
    return [part for part in re.split(r"^  (?=\S)", options, flags=re.MULTILINE) if part.strip()]


def _format_option(lines: str) -> str:
    """Return one option and its text as an entry of a definition list."""
    first, *others = lines.splitlines()
    name, _, start = first.strip().partition("  ")
    return f"`{name}`\n:   {_escape(' '.join(' '.join([start, *others]).split()))}"


def _escape(text: str) -> str:
    return re.sub(r"([<>*_\[\]])", r"\\\1", text)
