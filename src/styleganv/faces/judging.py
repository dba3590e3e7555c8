"""Says what is wrong in frames that a drawn face was fitted to.

Shapes: T frames, H height, W width. Frames are uint8 `[T, H, W, 3]`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from styleganv.faces.drawing import MOUTH, draw_pose, head_color
from styleganv.faces.factors import CHEEKS, IRISES, NOSES, Face, Pose
from styleganv.faces.finding import Found, pixel_positions
from styleganv.faces.fitting import error, select, softened, variants

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
#: Largest median of that over a video. Drawn videos stay below 26, after JPEG at quality 95 and a blur of 0.7 pixels.
USUAL = 34.0
#: By how many levels a frame's head color or background may differ from the video's.
COLOR = 14.0
#: Least share of an eye's white that must be white, and of the mouth's color that the mouth must have.
EYE_SHARE, MOUTH_SHARE = 0.2, 0.4
#: White where there should be none, a share of the frame's area.
EXTRA = 0.006
#: In how many frames, and in which share of them, another choice of a small factor must not be nearer.
DETAIL_FRAMES, MOSTLY = 12, 0.25
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
    residual = _residual(frames, drawn)
    unlike = residual > RESIDUAL
    background = np.abs(found.background - np.median(found.background, axis=0)).max(axis=1) > COLOR
    most = unlike.mean() > 0.8 or float(np.median(residual)) > USUAL
    wrong = {
        "not two eyes": _wrong_eyes(frames, drawn, pose, found),
        "no mouth": _no_mouth(frames, drawn, face, pose),
        "head color changes": _color_changes(frames, drawn, face),
        "content changes": background | (unlike & ~most) | _detail_changes(frames, face, pose),
        "no drawn face": np.full(len(frames), most),
    }
    return Judged(wrong, residual)


def _residual(frames: Frames, drawn: Frames) -> Array:
    """Root mean square difference `[T]` in that part of an 8 × 8 grid where it is largest."""
    squares = np.square(softened(frames.astype(np.float32) - drawn)).mean(axis=-1)
    count, height, width = squares.shape
    size = min(height, width) // 8
    squares = squares[:, : height // size * size, : width // size * size]
    cells = squares.reshape(count, height // size, size, width // size, size).mean(axis=(2, 4))
    return np.sqrt(cells.max(axis=(1, 2))).astype(np.float64)


def _detail_changes(frames: Frames, face: Face, pose: Pose) -> Mask:
    """All frames, if another choice of one of the small factors is nearer in many of those where eyes are open."""
    clear = np.flatnonzero(pose.blink < 0.3)
    some = clear[np.linspace(0, len(clear) - 1, min(DETAIL_FRAMES, len(clear))).astype(int)]
    shown, at = frames[some], select(pose, some)
    usual = error(shown, face, at)
    details = {"nose": NOSES, "cheeks": CHEEKS, "iris": IRISES}
    others = [one for name, options in details.items() for one in variants(face, **{name: options}) if one != face]
    changed = any((error(shown, other, at) < usual).mean() > MOSTLY for other in others) if len(some) else False
    return np.full(len(frames), changed)


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
