"""The notation of videos: the same words in project files, in JSON and in addresses of the studio.

    {"content": "3@0.6,8@0.4", "psi": 0.8} ──parse_values──▶ values ──VideoParams──format_values──▶ the same words

A term is a seed or the name of latents: a file, or a search result of the studio. What a name means is not known here.
"""

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

from styleganv.errors import StyleganvError
from styleganv.validation import Amount, Psi, Seed, check, short_repr

#: Limits of what one moment of a video can hold, since browsers send it.
MAX_TERMS, MAX_MIXES, MAX_DIRECTIONS, MAX_LAYERS, MAX_GRID_CELLS, MAX_TEXT = 16, 16, 64, 64, 24, 10_000
NUMBER = r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?"


@dataclass(frozen=True)
class Term:
    """A weighted seed or name of latents."""

    source: int | str
    weight: float = 1.0


@dataclass(frozen=True)
class Mix:
    """A seed or name of latents to mix in at some style layers; `amount` 1 replaces, 0.5 averages."""

    source: int | str
    layers: tuple[int, ...]
    amount: float = 1.0


@dataclass(frozen=True)
class VideoParams:
    """One endless video of a model, or one moment of a video that changes.

    Attributes:
        content: terms of a weighted sum of styles w, relative to mean w: mean + Σ weight · (w − mean).
        motion: terms whose noise is added, with weights normalized to Σ weight² = 1; None for those of the content.
        psi: truncation psi.
        label: class number, or text as of --label; None for the label that the content's seed draws.
        mix: style mixing, in this order.
        directions: names and strengths in standard deviations, without zeros.
        grid: number of rows (consecutive motion seeds) and columns (consecutive content seeds).
    """

    content: tuple[Term, ...] = (Term(0),)
    motion: tuple[Term, ...] | None = None
    psi: float = 1.0
    label: int | str | None = None
    mix: tuple[Mix, ...] = ()
    directions: tuple[tuple[str, float], ...] = ()
    grid: tuple[int, int] = (1, 1)

    @classmethod
    def from_json(cls, values: Any) -> Self:
        """Return the parameters in this notation. Raises StyleganvError for an unknown key or an invalid value."""
        return cls(**parse_values(values))

    def to_json(self) -> dict[str, Any]:
        """Return the parameters that differ from the default, in the notation."""
        changed = {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) != f.default}
        return format_values(changed)


def parse_values(values: Any) -> dict[str, Any]:
    """Return the fields of `VideoParams` that a mapping in the notation states; None counts as not stated.

    Values may all be text, as in an address.

    Raises:
        StyleganvError: for an unknown key, which names the nearest valid one, or an invalid value.
    """
    values = check("The description of a video", values, dict)
    check_keys(values, _PARSERS)
    return {key: _PARSERS[key](value) for key, value in values.items() if value is not None}


def format_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return fields of `VideoParams` in the notation."""
    return {key: _FORMATS[key](value) if key in _FORMATS else value for key, value in values.items()}


def check_keys(values: Mapping[Any, Any], known: Iterable[str]) -> None:
    """Raise StyleganvError for the first unknown key, with the nearest known one."""
    known = list(known)
    for key in values:
        if key not in known:
            nearest = difflib.get_close_matches(str(key), known, n=1, cutoff=0.5)
            remedy = f"did you mean {nearest[0]}?" if nearest else f"use {', '.join(known)}."
            raise StyleganvError(f"Unknown key {short_repr(key)}: {remedy}")


def as_number(key: str, value: Any, hint: Any) -> Any:
    """Return a number of this type, which may be given as text. Raises StyleganvError for anything else."""
    is_text = isinstance(value, str) and re.fullmatch(NUMBER, value.strip())
    return check(key, float(value) if is_text else value, hint)


def _source(key: str, text: str) -> int | str:
    """Return a seed, or a name unless it looks like another number."""
    text = text.strip()
    if re.fullmatch("[0-9]{1,40}", text):
        seed: int = check(f"A seed of {key}", int(text), Seed)
        return seed
    if not text or re.fullmatch(NUMBER, text):
        raise StyleganvError(f"{key} must be made of seeds or names of latents, got {short_repr(text)}: correct it.")
    return text


def _parts(key: str, value: Any, separator: str, limit: int) -> list[str]:
    """Return the parts of a text; of an empty one, none."""
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else check(key, value, str)
    parts = [part for part in text[: MAX_TEXT + 1].split(separator) if part.strip()]
    if len(text) > MAX_TEXT or len(parts) > limit:
        raise StyleganvError(f"{key} must have at most {limit} parts, got {len(parts)}: omit some.")
    return parts


def _terms(key: str, value: Any) -> tuple[Term, ...]:
    terms = []
    for part in _parts(key, value, ",", MAX_TERMS):
        weighted = re.fullmatch(rf"(.*)@\s*({NUMBER})\s*", part)
        source, weight = (weighted[1], float(weighted[2])) if weighted else (part, 1.0)
        terms.append(Term(_source(key, source), check(f"A weight of {key}", weight, Amount)))
    if not terms:
        raise StyleganvError(f"{key} must be TERM[@WEIGHT], joined by commas, e.g. 3@0.6,8@0.4, got nothing.")
    return tuple(terms)


def _motion(value: Any) -> tuple[Term, ...]:
    terms = _terms("motion", value)
    if not any(term.weight for term in terms):
        raise StyleganvError("A weight of motion must differ from 0, got 0 for all terms: change one.")
    return terms


def _mixes(value: Any) -> tuple[Mix, ...]:
    if not isinstance(value, str):  # YAML 1.1 reads 5:0 as a number of minutes and seconds
        raise StyleganvError(f"mix must be text, e.g. '5:0-3@0.5', got {short_repr(value)}: put it in quotes.")
    mixes = []
    for part in _parts("mix", value, ";", MAX_MIXES):
        match = re.fullmatch(rf"(.+):([0-9,\-\s]+)(?:@\s*({NUMBER})\s*)?", part)
        if not match:
            raise StyleganvError(f"mix must be TERM:LAYERS[@AMOUNT], e.g. 5:0-3@0.5, got {short_repr(part)}: fix it.")
        amount = check("The amount of mix", float(match[3] or 1), Amount)
        mixes.append(Mix(_source("mix", match[1]), _layers(match[2]), amount))
    return tuple(mixes)


def _layers(text: str) -> tuple[int, ...]:
    layers: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*([0-9]{1,2})\s*(?:-\s*([0-9]{1,2})\s*)?", part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if not first <= last < MAX_LAYERS:
            problem = f"must be ascending and below {MAX_LAYERS}, e.g. 0-3,5, got {short_repr(text)}"
            raise StyleganvError(f"The layers of mix {problem}: fix them.")
        layers += range(first, last + 1)
    return tuple(dict.fromkeys(layers))


def _directions(value: Any) -> tuple[tuple[str, float], ...]:
    if isinstance(value, str):
        pairs = [part.rpartition(":")[::2] for part in _parts("directions", value, ";", MAX_DIRECTIONS)]
    else:
        pairs = list(check("directions", value, dict).items())[: MAX_DIRECTIONS + 1]
    if len(pairs) > MAX_DIRECTIONS or any(not isinstance(name, str) or not name.strip() for name, _ in pairs):
        raise StyleganvError(f"directions must be at most {MAX_DIRECTIONS} names and strengths, e.g. content 1: 1.5.")
    strengths = [(name.strip(), as_number(f"directions {name.strip()}", value, Amount)) for name, value in pairs]
    return tuple((name, float(strength)) for name, strength in strengths if strength)


def _label(value: Any) -> int | str:
    label: int | str = check("label", value, int | str)
    if isinstance(label, str) and len(label) > MAX_TEXT:
        raise StyleganvError(f"label must have at most {MAX_TEXT} characters, got {len(label)}: shorten it.")
    return label


def _grid(value: Any) -> tuple[int, int]:
    sides = value.split("x") if isinstance(value, str) else value
    if isinstance(sides, list | tuple):
        sides = [int(side) if re.fullmatch(r"\s*[0-9]{1,4}\s*", str(side)) else side for side in sides]
    rows, columns = check("grid", sides, tuple[int, int])
    if rows < 1 or not 1 <= rows * columns <= MAX_GRID_CELLS:
        raise StyleganvError(f"A grid must have 1 to {MAX_GRID_CELLS} cells, got {rows} × {columns}: change it.")
    return rows, columns


def _format_number(number: float) -> str:
    return repr(float(number)).removesuffix(".0")


def _format_terms(terms: tuple[Term, ...]) -> str | int:
    if len(terms) == 1 and isinstance(terms[0].source, int) and terms[0].weight == 1:
        return terms[0].source
    weights = ["" if term.weight == 1 else f"@{_format_number(term.weight)}" for term in terms]
    return ",".join(f"{term.source}{weight}" for term, weight in zip(terms, weights, strict=True))


def _format_mix(mixes: tuple[Mix, ...]) -> str:
    return ";".join(f"{m.source}:{format_layers(m.layers)}@{_format_number(m.amount)}" for m in mixes)


def format_layers(layers: tuple[int, ...]) -> str:
    """Return e.g. "0-3" or "0,2"."""
    is_range = len(layers) > 1 and layers == tuple(range(layers[0], layers[-1] + 1))
    return f"{layers[0]}-{layers[-1]}" if is_range else ",".join(map(str, layers))


_PARSERS: dict[str, Callable[[Any], Any]] = {
    "content": lambda value: _terms("content", value),
    "motion": _motion,
    "psi": lambda value: as_number("psi", value, Psi),
    "label": _label,
    "mix": _mixes,
    "directions": _directions,
    "grid": _grid,
}
_FORMATS: dict[str, Callable[[Any], Any]] = {
    "content": _format_terms,
    "motion": _format_terms,
    "mix": _format_mix,
    "directions": dict,
    "grid": list,
}
