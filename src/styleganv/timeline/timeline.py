"""Timelines: keyframes of `VideoParams` and speed over the time of a video.

Every key is a track of its own. It runs through the keyframes that state it, and is constant before the first and after
the last of them. Times are in seconds of the output, except `start`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Self

from styleganv.errors import StyleganvError
from styleganv.timeline.notation import VideoParams, as_number, check_keys, format_values, parse_values
from styleganv.validation import FrameRate, NonNegative, Positive, check

#: Keyframes of a timeline; more than anyone places by hand.
MAX_KEYFRAMES = 1000
DEFAULT_SECONDS = 5.0
PARAMS = tuple(VideoParams.__dataclass_fields__)


@dataclass(frozen=True)
class Keyframe:
    """What a video shows at a time.

    Attributes:
        time: in the video.
        values: fields of `VideoParams` by name, and "speed", the seconds of motion per second of the video: only those
            that the keyframe states.
    """

    time: float = 0.0
    values: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_json(cls, values: Any) -> Self:
        """Return a keyframe in the notation. Raises StyleganvError for an unknown key or an invalid value."""
        values = dict(check("A keyframe", values, dict))
        check_keys(values, ("time", "speed", *PARAMS))
        time, speed = values.pop("time", 0.0), values.pop("speed", None)
        speeds = {} if speed is None else {"speed": float(as_number("speed", speed, NonNegative))}
        return cls(float(as_number("time", time, NonNegative)), parse_values(values) | speeds)

    def to_json(self) -> dict[str, Any]:
        """Return the keyframe in the notation."""
        return {"time": self.time, **format_values(self.values)}


@dataclass(frozen=True)
class Timeline:
    """A video that changes over time.

    Attributes:
        keyframes: in order of their times.
        seconds: duration; of a loop, its period.
        fps: frame rate of a rendered file; None for the model's.
        start: time of the first frame in the endless motion.
        loop: whether motion and tracks close to a circle.
    """

    keyframes: tuple[Keyframe, ...] = (Keyframe(),)
    seconds: float = DEFAULT_SECONDS
    fps: float | None = None
    start: float = 0.0
    loop: bool = False

    def __post_init__(self) -> None:
        times = [keyframe.time for keyframe in self.keyframes]
        if not 1 <= len(times) <= MAX_KEYFRAMES:
            raise StyleganvError(f"A timeline must have 1 to {MAX_KEYFRAMES} keyframes, got {len(times)}: change it.")
        for i, (a, b) in enumerate(pairwise(times), 2):
            if b <= a:
                raise StyleganvError(f"Keyframe {i}: time must be later than {a:g} s, got {b:g} s: correct it.")
        if self.loop and times[-1] >= self.seconds:
            raise StyleganvError(
                f"Keyframe {len(times)}: time must be before {self.seconds:g} s, where the loop returns to its start, "
                f"got {times[-1]:g} s: move it or lengthen the loop."
            )
        grids = {value for _, value in self.stated("grid")}
        if len(grids) > 1:
            raise StyleganvError("A video has one grid, but its keyframes state several: omit all but one.")

    @classmethod
    def constant(cls, params: VideoParams) -> Self:
        """Return the endless video of these parameters."""
        values = {name: value for name in PARAMS if (value := getattr(params, name)) is not None}
        return cls((Keyframe(0.0, values),))

    @classmethod
    def from_json(cls, values: Any) -> Self:
        """Return a timeline in the notation. Raises StyleganvError for an unknown key or an invalid value.

        Messages about a keyframe begin with its number.
        """
        values = check("A timeline", values, dict)
        check_keys(values, ("seconds", "fps", "start", "loop", "keyframes"))
        keyframes = [_read_keyframe(i, each) for i, each in enumerate(_list(values.get("keyframes", [{}])), 1)]
        seconds = values.get("seconds")
        if seconds is None:
            seconds = keyframes[-1].time or DEFAULT_SECONDS if keyframes else DEFAULT_SECONDS
        fps = values.get("fps")
        return cls(
            tuple(keyframes),
            float(as_number("seconds", seconds, Positive)),
            None if fps is None else float(as_number("fps", fps, FrameRate)),
            float(as_number("start", values.get("start", 0.0), NonNegative)),
            check("loop", values.get("loop", False), bool),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the timeline in the notation, without what has its default."""
        optional = {"fps": self.fps, "start": self.start or None, "loop": self.loop or None}
        keyframes = [keyframe.to_json() for keyframe in self.keyframes]
        return {"seconds": self.seconds, **{k: v for k, v in optional.items() if v}, "keyframes": keyframes}

    @property
    def grid(self) -> tuple[int, int]:
        """Number of rows and columns."""
        return next((value for _, value in self.stated("grid")), (1, 1))

    @property
    def period(self) -> float | None:
        """Seconds after which everything repeats; None unless it is a loop."""
        return self.seconds if self.loop else None

    def stated(self, key: str, default: Any = None) -> list[tuple[float, Any]]:
        """Return the times and values of the keyframes that state a key; if none does, a default at 0, if given."""
        found = [(keyframe.time, keyframe.values[key]) for keyframe in self.keyframes if key in keyframe.values]
        return found or ([] if default is None else [(0.0, default)])


def _list(value: Any) -> list[Any]:
    items: list[Any] = check("keyframes", value, list[Any])
    return items[: MAX_KEYFRAMES + 1]


def _read_keyframe(number: int, values: Any) -> Keyframe:
    try:
        return Keyframe.from_json(values)
    except StyleganvError as error:
        raise StyleganvError(f"Keyframe {number}: {error}") from error
