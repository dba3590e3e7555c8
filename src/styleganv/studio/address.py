"""Parameters of a video in the query of a URL, in the notation of the page's address."""

import re
from collections.abc import Mapping
from typing import Any

from styleganv.errors import StyleganvError
from styleganv.studio.video_params import VideoParams

MIX = re.compile(r"(?P<seed>\d+):(?P<first>\d+)-(?P<last>\d+)(@(?P<amount>[\d.]+))?")


def params_from_query(query: Mapping[str, str]) -> VideoParams:
    """Return the parameters in a query such as `content=3&psi=0.8&dir=content 1:1.5&grid=2x3`; other keys are ignored.

    Raises:
        StyleganvError: if one is mistyped or out of range.
    """
    try:
        values: dict[str, Any] = {"psi": float(query.get("psi", "1"))}
        content, motion = query.get("content", "0"), query.get("motion")
        if content.startswith("result-"):
            values |= {"search_result": int(content.removeprefix("result-")), "motion_seed": None}
        else:
            values |= {"seed": int(content), "motion_seed": int(content)}
        if motion is not None and motion != content:
            values["motion_seed"] = int(motion)
        if "label" in query:
            values["label"] = int(query["label"]) if query["label"].isdecimal() else query["label"]
        if "mix" in query:
            values["mix"] = _parse_mix(query["mix"])
        if "dir" in query:
            values["directions"] = dict(_parse_direction(part) for part in query["dir"].split(";"))
        if "grid" in query:
            values["grid"] = [int(side) for side in query["grid"].split("x")]
    except ValueError as error:
        raise StyleganvError(f"Invalid address ({error}): correct it.") from error
    return VideoParams.from_json(values)


def _parse_direction(text: str) -> tuple[str, float]:
    name, _, strength = text.rpartition(":")
    if not name:
        raise ValueError(f"expected a direction such as content 1:1.5, got {text!r}")
    return name, float(strength)


def _parse_mix(text: str) -> dict[str, Any]:
    match = MIX.fullmatch(text)
    if match is None:
        raise ValueError(f"expected a mix such as 5:0-3@0.5, got {text!r}")
    numbers = {name: int(match[name]) for name in ("seed", "first", "last")}
    return numbers | {"amount": float(match["amount"] or 1)}
