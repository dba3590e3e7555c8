"""Says what is wrong in frames that a drawn face was fitted to.

Shapes: T frames, H height, W width. Frames are uint8 `[T, H, W, 3]`.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from styleganv.faces.drawing import MOUTH, draw_pose, head_color
from styleganv.faces.factors import (
    BROW_SLOPES,
    BROWS,
    CHEEKS,
    EYES,
    GLASSES,
    IRISES,
    LIDS,
    MOUTHS,
    NOSES,
    Face,
    Pose,
)
from styleganv.faces.finding import Found, pixel_positions
from styleganv.faces.fitting import error, fit_pose, select, softened, variants

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Frames = NDArray[np.uint8]

#: What can be wrong with a video, each with its meaning.
PROBLEMS = {
    "no head": "nothing of a head's size stands out",
    "several heads": "something else stands out beside the head",
    "not two eyes": "an eye is missing, or there is another one",
    "no mouth": "there is no mouth where it should be",
    "head color changes": "the head has another color in some frames",
    "content changes": "one face explains some frames but not others",
    "no drawn face": "no face that this package draws looks like it",
}
#: Largest root mean square difference from the drawing of an eighth by an eighth of the frame, levels 0..255.
RESIDUAL = 45.0
#: Largest median of that over a video.
USUAL = 38.0
#: How often the drawing's pixels may be averaged with their neighbors, weighted 1 2 1, to be as soft as the video's.
#: Each time adds a variance of half a square pixel. A video that the last of them fits best is too soft.
SOFTNESS = (0, 1, 2, 4, 8)
#: By how many levels a frame's head color or background may differ from the video's.
COLOR = 14.0
#: Least share of an eye's white that must be white, and of the mouth's color that the mouth must have.
EYE_SHARE, MOUTH_SHARE = 0.2, 0.4
#: White where there should be none, a share of the frame's area.
EXTRA = 0.006
#: In how many frames the choices of a factor compete, and the least share of them that each of two choices must win.
DETAIL_FRAMES, EYE_FRAMES, WON = 12, 8, 0.25
#: Lids closed by less than this show what the eyes look like. A fit closes large eyes by half to explain small ones.
OPEN = 0.7
#: Choices of each factor, and by how much of `fitting.error` one must win a frame of 64² pixels: less than the
#: difference that the factor makes, more than soft edges and slightly wrong poses make where nothing changes.
DETAILS: dict[str, tuple[Iterable[str], float]] = {
    "nose": (NOSES, 0.8),
    "cheeks": (CHEEKS, 2.0),
    "iris": (IRISES, 1.0),
    "lids": (LIDS, 8.0),
    "brows": (BROWS, 6.0),
    "brow_slope": (BROW_SLOPES, 6.0),
    "mouth": (MOUTHS, 6.0),
    "glasses": (GLASSES, 15.0),
}
#: The same for eyes, each choice looking where it fits best.
EYES_MARGIN = 8.0
#: Darkest channel of white.
WHITE = 130


@dataclass(frozen=True)
class Judged:
    """What is wrong, by name in `PROBLEMS` `[T]`, and the largest difference of a part of the frame `[T]`."""

    wrong: dict[str, Mask]
    residual: Array


def judge(frames: Frames, face: Face, pose: Pose, found: Found) -> Judged:
    """Compare frames with `face` drawn in `pose`."""
    drawn = draw_pose(face, pose, *frames.shape[1:3])
    soft, times = _as_soft(frames, drawn)
    residual = _residual(frames, soft)
    unlike = residual > RESIDUAL
    background = np.abs(found.background - np.median(found.background, axis=0)).max(axis=1) > COLOR
    most = unlike.mean() > 0.8 or float(np.median(residual)) > USUAL or times == SOFTNESS[-1]
    wrong = {
        "not two eyes": _wrong_eyes(frames, drawn, pose, found),
        "no mouth": _no_mouth(frames, drawn, face, pose),
        "head color changes": _color_changes(frames, drawn, face),
        "content changes": background | (unlike & ~most) | _detail_changes(frames, face, pose),
        "no drawn face": np.full(len(frames), most),
    }
    return Judged(wrong, residual)


def _as_soft(frames: Frames, drawn: Frames) -> tuple[Any, int]:
    """The drawing as soft as the frames, float32, and how often neighbors were averaged for that, of `SOFTNESS`."""
    best: tuple[float, Any, int] | None = None
    soft: Any = drawn.astype(np.float32)
    for times in range(SOFTNESS[-1] + 1):
        if times in SOFTNESS:
            apart = float(np.log1p(np.square((frames - soft) / np.float32(30))).sum())
            if best is None or apart < best[0]:
                best = apart, soft, times
        soft = _averaged(_averaged(soft).swapaxes(1, 2)).swapaxes(1, 2)
    assert best is not None
    return best[1], best[2]


def _averaged(images: Any) -> Any:
    """Means of each pixel and those above and below it, weighted 1 2 1."""
    padded = np.pad(images, ((0, 0), (1, 1), (0, 0), (0, 0)), mode="edge")
    return (padded[:, :-2] + 2 * images + padded[:, 2:]) / 4


def _residual(frames: Frames, drawn: Any) -> Array:
    """Root mean square difference `[T]` in that part of an 8 × 8 grid where it is largest."""
    squares = np.square(softened(frames.astype(np.float32) - drawn)).mean(axis=-1)
    count, height, width = squares.shape
    size = min(height, width) // 8
    squares = squares[:, : height // size * size, : width // size * size]
    cells = squares.reshape(count, height // size, size, width // size, size).mean(axis=(2, 4))
    return np.sqrt(cells.max(axis=(1, 2))).astype(np.float64)


def _detail_changes(frames: Frames, face: Face, pose: Pose) -> Mask:
    """All frames, if some of them clearly show one choice of a factor and some another.

    A choice that is wrong in all frames alike is no change: only the recovered face is wrong then.
    """
    seen = np.flatnonzero(pose.blink < OPEN)
    if len(seen) < 5:  # of so few, a single slip would be a share that counts
        return np.zeros(len(frames), bool)
    scale = min(frames.shape[1:3]) ** 2 / 64**2
    some = _spaced(seen, EYE_FRAMES)
    changed = _two_win(_eye_errors(frames[some], face, select(pose, some)), EYES_MARGIN * scale)
    some = _spaced(seen, DETAIL_FRAMES)
    shown, at = frames[some], select(pose, some)
    usual = error(shown, face, at)
    for name, (options, margin) in DETAILS.items():
        if not changed and not (name == "brow_slope" and face.brows == "none"):
            faces = variants(face, **{name: options})
            errors = [usual if one == face else error(shown, one, at) for one in faces]
            changed = _two_win(np.stack(errors), margin * scale)
    return np.full(len(frames), changed)


def _spaced(index: NDArray[np.intp], count: int) -> NDArray[np.intp]:
    """At most `count` of the indices, evenly spaced."""
    return index[np.linspace(0, len(index) - 1, min(count, len(index))).astype(int)]


def _eye_errors(frames: Frames, face: Face, pose: Pose) -> NDArray[np.float32]:
    """How far frames are from each choice of eyes `[choices, T]`, looking where it fits best: lids and gaze of the fit
    make other eyes look like those of the recovered face."""
    start = replace(pose, blink=np.zeros(len(frames)))
    errors = []
    for one in variants(face, eyes=EYES):
        moved = fit_pose(frames, one, start, steps=2, names=("nod", "gaze_x", "gaze_y", "blink", "brow"))
        errors.append(error(frames, one, moved))
    return np.stack(errors)


def _two_win(errors: NDArray[np.float32], margin: float) -> bool:
    """Whether each of two choices `[choices, T]` is the nearest in enough frames, and nearer than the other by far."""
    nearest = errors.argmin(axis=0)
    wins = {
        (one, other): float(((nearest == one) & (errors[other] - errors[one] > margin)).mean()) >= WON
        for one, other in permutations(range(len(errors)), 2)
    }
    return any(won and wins[other, one] for (one, other), won in wins.items())


def _wrong_eyes(frames: Frames, drawn: Frames, pose: Pose, found: Found) -> Mask:
    """Where an open eye of the drawing is not white, or white is elsewhere on the head."""
    across, down = pixel_positions(*frames.shape[1:3])
    cos, sin = np.cos(pose.roll)[:, None, None], np.sin(pose.roll)[:, None, None]
    right = cos * (across - pose.x[:, None, None]) + sin * (down - pose.y[:, None, None]) > pose.turn[:, None, None]
    is_white, white = frames.min(axis=-1) > WHITE, drawn.min(axis=-1) > 200
    wrong = np.zeros(len(frames), bool)
    for side in (right, ~right):
        eye = white & side
        area = eye.sum(axis=(1, 2))
        wrong |= (area > 4) & ((eye & is_white).sum(axis=(1, 2)) < EYE_SHARE * area)
    extra = ((frames.min(axis=-1) > 190) & (drawn.min(axis=-1) < 110)).sum(axis=(1, 2)) / min(frames.shape[1:3]) ** 2
    unseen = np.isnan(found.roll) if np.isnan(found.roll).mean() > 0.8 else np.zeros(len(frames), bool)
    return wrong | unseen | (extra > EXTRA)


def _no_mouth(frames: Frames, drawn: Frames, face: Face, pose: Pose) -> Mask:
    """Where the mouth of the drawing has the head's color rather than a mouth's."""
    across, down = pixel_positions(*frames.shape[1:3])
    cos, sin = np.cos(pose.roll)[:, None, None], np.sin(pose.roll)[:, None, None]
    across, down = across - pose.x[:, None, None], down - pose.y[:, None, None]
    u = cos * across + sin * down - pose.turn[:, None, None]
    v = cos * down - sin * across - pose.nod[:, None, None]
    head = np.array(head_color(face))
    toward = (np.array(MOUTH) - head) / np.square(np.array(MOUTH) - head).sum()
    expected, shown = (drawn - head) @ toward, (frames - head) @ toward
    mouth = (np.abs(u) < 0.155) & (v > 0.1) & (expected > 0.4)
    return (shown * mouth).sum(axis=(1, 2)) <= MOUTH_SHARE * (expected * mouth).sum(axis=(1, 2))


def _color_changes(frames: Frames, drawn: Frames, face: Face) -> Mask:
    """Where the head's pixels differ from the drawing by more than in the video's other frames."""
    head = np.array(head_color(face), np.float32)
    length = np.linalg.norm(drawn.astype(np.float32), axis=-1)
    alike = drawn @ (head / np.linalg.norm(head)) > 0.9985 * length
    skin = (alike & (length > 0.7 * np.linalg.norm(head))).astype(np.float32)
    area = np.maximum(skin.sum(axis=(1, 2)), 1)
    rest = (frames.astype(np.float32) - drawn) * skin[..., None]
    shift = rest.sum(axis=(1, 2)) / area[:, None]
    return np.abs(shift - np.median(shift, axis=0)).max(axis=1) > COLOR
