"""A settings file with a comment for each setting: the docstring of its field, and the values that its type accepts."""

import ast
import inspect
import re
import textwrap
from dataclasses import fields
from itertools import pairwise
from types import NoneType
from typing import Any, get_args, get_type_hints

import yaml

from styleganv.config.run_config import RunConfig
from styleganv.validation import describe_type

#: Width of the comments, in characters.
WIDTH = 110


def format_template(config: RunConfig, preset: str) -> str:
    """Return the text of a settings file with all settings of `config`, which started from `preset`."""
    intro = (
        "Settings for `styleganv train DATA --out RUN --config FILE`. Any of them can be deleted: missing settings "
        "come from the preset. Options of `styleganv train` override the file."
    )
    parts = [*_comment(intro), _entry("preset", preset)]
    for group in fields(config):
        settings = getattr(config, group.name)
        docs, hints = _docstrings(type(settings)), get_type_hints(type(settings), include_extras=True)
        parts += ["", *_comment(inspect.getdoc(settings) or ""), f"{group.name}:"]
        for field in fields(settings):
            entry = _entry(field.name, getattr(settings, field.name))
            parts += [
                *_comment(_without_dashes(docs[field.name]), "  "),
                f"  {entry}  # {_accepted(hints[field.name])}",
            ]
    return "\n".join(parts) + "\n"


def _comment(text: str, indent: str = "") -> list[str]:
    lead = f"{indent}# "
    return textwrap.wrap(
        text, WIDTH, initial_indent=lead, subsequent_indent=lead, break_on_hyphens=False, break_long_words=False
    )


def _entry(name: str, value: Any) -> str:
    return yaml.safe_dump({name: value}).strip()


def _docstrings(config: type) -> dict[str, str]:
    """Return the string below each field of a dataclass."""
    (definition,) = ast.parse(inspect.getsource(config)).body
    assert isinstance(definition, ast.ClassDef)
    return {
        field.target.id: inspect.cleandoc(text.value.value)
        for field, text in pairwise(definition.body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }


def _without_dashes(text: str) -> str:
    """Return a docstring with settings as they are named in a file: max_span instead of --max-span."""
    names = {field.name for group in fields(RunConfig) for field in fields(get_type_hints(RunConfig)[group.name])}

    def rename(option: re.Match[str]) -> str:
        name = option[1].replace("-", "_")
        return name if name in names else option[0]

    return re.sub(r"--([a-z][a-z0-9-]*)", rename, text)


def _accepted(hint: Any) -> str:
    """Return the values that a setting accepts in a file."""
    is_optional = NoneType in get_args(hint) or any(NoneType in get_args(part) for part in get_args(hint))
    return describe_type(hint) + (", or null" if is_optional else "")
