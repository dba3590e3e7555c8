"""What a viewer wants to see, as the page sends it and as nothing but numbers and known words.

    JSON of the page ──Scene.of──▶ Scene ──Stage.frames──▶ uint8 frames ──▶ the page   (see `stage`)

A scene says which video, not when: time, rate and pace are the viewer's own, or a `Take`'s.
"""

from dataclasses import dataclass, replace
from typing import Any

from styleganv.errors import StyleganvError

MAX_SEED = 2**31 - 1
MAX_SECONDS = 60
#: Of a grid.
MOST_CELLS = 24


@dataclass(frozen=True)
class Scene:
    """One endless video of a model.

    Attributes:
        seed, motion_seed: of content and motion; without a motion seed, motion is what was found with the content.
        psi: truncation.
        label: number of the class, None for the seed's own.
        mix: a second content's seed, its first and last style layer, and how far towards it, 0 to 1; or None.
        grid: so many motions down and contents across, of the seeds from these on.
        moved: directions ("content 1") with strengths, in standard deviations; zeros left out.
        found: number of what a job found (see `stage.Find`), as the content instead of a seed's; or None.
    """

    seed: int = 0
    motion_seed: int | None = 0
    psi: float = 1.0
    label: int | None = None
    mix: tuple[int, int, int, float] | None = None
    grid: tuple[int, int] = (1, 1)
    moved: tuple[tuple[str, float], ...] = ()
    found: int | None = None

    @classmethod
    def of(cls, values: dict[str, Any]) -> "Scene":
        """From what a page sent. Raises StyleganvError if it cannot be."""
        try:
            mix, label, found = values.get("mix"), values.get("label"), values.get("found")
            rows, columns = map(_whole, values.get("grid", (1, 1)))
            if not 1 <= rows * columns <= MOST_CELLS or rows < 1:
                raise ValueError(f"a grid of {rows} × {columns}")
            motion = values.get("motionSeed", 0)
            scene = cls(
                seed=_whole(values.get("seed", 0)),
                motion_seed=None if motion is None and found is not None else _whole(motion),
                psi=_number(values.get("psi", 1.0), -4, 4),
                label=None if label is None else _whole(label),
                mix=None if mix is None else _mix(mix),
                grid=(rows, columns),
                moved=tuple(
                    (str(name), _number(strength, -10, 10)) for name, strength in values.get("moved", {}).items()
                ),
                found=None if found is None else _whole(found),
            )
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            raise StyleganvError(f"The page asked for what cannot be shown ({error}): load it again.") from error
        if scene.found is not None and scene.grid != (1, 1):
            raise StyleganvError("A grid shows neighbouring seeds: choose a seed as the content, not what was found.")
        return replace(scene, moved=tuple(pair for pair in scene.moved if pair[1]))


def _mix(values: dict[str, Any]) -> tuple[int, int, int, float]:
    seed, first, last = (_whole(values[name]) for name in ("seed", "first", "last"))
    return seed, first, last, _number(values["amount"], 0, 1)


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_SEED:
        raise ValueError(f"{value!r} is no whole number from 0 to {MAX_SEED}")
    return value


def _number(value: Any, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ValueError(f"{value!r} is no number from {low:g} to {high:g}")
    return float(value)


@dataclass(frozen=True)
class Take:
    """What to save of a scene: from when on, how long (of the file), how fast the video goes, and how it is stored."""

    start: float
    seconds: float
    fps: float
    speed: float
    format: str

    @classmethod
    def of(cls, values: dict[str, Any]) -> "Take":
        """From what a page sent. Raises StyleganvError if it cannot be."""
        try:
            start, seconds = _number(values["start"], 0, 1e8), _number(values["seconds"], 0.01, MAX_SECONDS)
            take = cls(
                start, seconds, _number(values["rate"], 1, 120), _number(values["speed"], 0.01, 8), values["format"]
            )
        except (TypeError, ValueError, KeyError) as error:
            raise StyleganvError(f"This cannot be saved ({error}): choose up to {MAX_SECONDS} seconds.") from error
        if take.format not in ("mp4", "gif", "webp"):
            raise StyleganvError(f"Format {take.format} is not known: choose mp4, gif or webp.")
        return take
