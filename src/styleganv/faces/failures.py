"""Failure modes in frames to which a drawn face was fitted.

Shapes: T frames, H height, W width. Frames are uint8 `[T, H, W, 3]`.
"""

from dataclasses import dataclass, replace
from itertools import permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from styleganv.faces.detection import Detection, upright_positions
from styleganv.faces.drawing import MOUTH, draw_pose, head_color
from styleganv.faces.factors import Face, Pose
from styleganv.faces.fitting import error, fit_pose, select, soften, variants

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Frames = NDArray[np.uint8]

#: Failure modes of a video, each with its meaning.
FAILURE_MODES = {
    "no head": "no region has the size of a head",
    "several heads": "there is another region besides the head",
    "not two eyes": "an eye is missing, or there is an extra one",
    "no mouth": "the mouth is missing at its position",
    "head color changes": "the head has another color in some frames",
    "content changes": "one face explains some frames but not others",
    "no drawn face": "no face that this package draws resembles it",
}
#: Maximum RMS difference from the drawing in one cell of an 8 × 8 grid, in levels 0..255.
RESIDUAL = 45.0
#: Maximum median of that over a video.
MEDIAN_RESIDUAL = 38.0
#: How often the drawing may be blurred, weighted 1 2 1, to match the softness of the video. Each time adds a variance
#: of half a square pixel. A video that the last one fits best is too soft.
SOFTNESS = (0, 1, 2, 4, 8)
#: Maximum difference of a frame's head or background color from the video's, in levels 0..255.
COLOR = 14.0
#: Minimum fraction of an eye's white that must be white, and of the mouth's color that the mouth must have.
EYE_SHARE, MOUTH_SHARE = 0.2, 0.4
#: Maximum area of unexpected white, as a fraction of the frame's.
EXTRA = 0.006
#: Number of frames in which the options of a factor compete, and the fraction that each of two options must win.
DETAIL_FRAMES, EYE_FRAMES, MIN_WINS = 12, 8, 0.25
#: Maximum blink at which the eyes are visible. A fit closes large eyes by half to explain small ones.
OPEN = 0.7
#: Margin of each factor in `fitting.error` by which one option must win a frame of 64² pixels: less than the effect of
#: the factor, more than that of soft edges and slightly wrong poses.
MARGINS = {
    "nose": 0.8,
    "cheeks": 2.0,
    "iris": 1.0,
    "lids": 8.0,
    "brows": 6.0,
    "brow_slope": 6.0,
    "mouth": 6.0,
    "glasses": 15.0,
}
#: The margin for eyes, where the gaze is fitted for each option.
EYES_MARGIN = 8.0
#: Minimum darkest channel of white.
WHITE = 130


@dataclass(frozen=True)
class Failures:
    """Failure modes by name `[T]`, and the largest difference of a part of the frame `[T]`."""

    wrong: dict[str, Mask]
    residual: Array


def find_failures(frames: Frames, face: Face, pose: Pose, detection: Detection) -> Failures:
    """Compare frames with `face` drawn in `pose`."""
    drawn = draw_pose(face, pose, *frames.shape[1:3])
    soft, times = _match_softness(frames, drawn)
    residual = _residual(frames, soft)
    unlike = residual > RESIDUAL
    background = np.abs(detection.background - np.median(detection.background, axis=0)).max(axis=1) > COLOR
    no_face = unlike.mean() > 0.8 or float(np.median(residual)) > MEDIAN_RESIDUAL or times == SOFTNESS[-1]
    wrong = {
        "not two eyes": _wrong_eyes(frames, drawn, pose, detection),
        "no mouth": _no_mouth(frames, drawn, face, pose),
        "head color changes": _color_changes(frames, drawn, face),
        "content changes": background | (unlike & ~no_face) | _detail_changes(frames, face, pose),
        "no drawn face": np.full(len(frames), no_face),
    }
    return Failures(wrong, residual)


def _match_softness(frames: Frames, drawn: Frames) -> tuple[Any, int]:
    """Return the drawing blurred to match the frames, float32, and how often it was blurred, one of `SOFTNESS`."""
    fits, soft = [], drawn.astype(np.float32)
    for times in range(SOFTNESS[-1] + 1):
        if times in SOFTNESS:
            fits.append((float(np.log1p(np.square((frames - soft) / np.float32(30))).sum()), soft, times))
        soft = _blur(_blur(soft).swapaxes(1, 2)).swapaxes(1, 2)
    return min(fits, key=lambda fit: fit[0])[1:]


def _blur(images: Any) -> Any:
    """Average each pixel with those above and below it, weighted 1 2 1."""
    padded = np.pad(images, ((0, 0), (1, 1), (0, 0), (0, 0)), mode="edge")
    return (padded[:, :-2] + 2 * images + padded[:, 2:]) / 4


def _residual(frames: Frames, drawn: Any) -> Array:
    """Return the RMS difference `[T]` in the cell of an 8 × 8 grid where it is largest."""
    squares = np.square(soften(frames.astype(np.float32) - drawn)).mean(axis=-1)
    count, height, width = squares.shape
    size = min(height, width) // 8
    squares = squares[:, : height // size * size, : width // size * size]
    cells = squares.reshape(count, height // size, size, width // size, size).mean(axis=(2, 4))
    return np.sqrt(cells.max(axis=(1, 2))).astype(np.float64)


def _detail_changes(frames: Frames, face: Face, pose: Pose) -> Mask:
    """Mark all frames if some of them clearly show one option of a factor and some another.

    An option that is wrong in all frames is no change: then only the recognized face is wrong.
    """
    seen = np.flatnonzero(pose.blink < OPEN)
    if len(seen) < 5:  # among so few, a single error would exceed the tolerance
        return np.zeros(len(frames), bool)
    scale = min(frames.shape[1:3]) ** 2 / 64**2
    chosen = _spaced(seen, EYE_FRAMES)
    changed = _two_win(_eye_errors(frames[chosen], face, select(pose, chosen)), EYES_MARGIN * scale)
    chosen = _spaced(seen, DETAIL_FRAMES)
    frames_shown, pose_shown = frames[chosen], select(pose, chosen)
    own = error(frames_shown, face, pose_shown)
    for name, margin in MARGINS.items():
        if not changed and not (name == "brow_slope" and face.brows == "none"):
            faces = variants(face, name)
            errors = [own if one == face else error(frames_shown, one, pose_shown) for one in faces]
            changed = _two_win(np.stack(errors), margin * scale)
    return np.full(len(frames), changed)


def _spaced(index: NDArray[np.intp], count: int) -> NDArray[np.intp]:
    """Return at most `count` of the indices, evenly spaced."""
    return index[np.linspace(0, len(index) - 1, min(count, len(index))).astype(int)]


def _eye_errors(frames: Frames, face: Face, pose: Pose) -> NDArray[np.float32]:
    """Return the error of each option of the eyes `[options, T]`, with lids and gaze fitted for each.

    The lids and gaze of the recognized face would disguise other eyes as its own.
    """
    start = replace(pose, blink=np.zeros(len(frames)))
    errors = []
    for one in variants(face, "eyes"):
        moved = fit_pose(frames, one, start, steps=2, names=("nod", "gaze_x", "gaze_y", "blink", "brow"))
        errors.append(error(frames, one, moved))
    return np.stack(errors)


def _two_win(errors: NDArray[np.float32], margin: float) -> bool:
    """Return whether each of two options `[options, T]` wins enough frames against the other by the margin."""
    nearest = errors.argmin(axis=0)
    wins = {
        (one, other): float(((nearest == one) & (errors[other] - errors[one] > margin)).mean()) >= MIN_WINS
        for one, other in permutations(range(len(errors)), 2)
    }
    return any(won and wins[other, one] for (one, other), won in wins.items())


def _wrong_eyes(frames: Frames, drawn: Frames, pose: Pose, detection: Detection) -> Mask:
    """Mark frames in which an open eye of the drawing is not white, or white appears elsewhere on the head."""
    right = upright_positions(pose.x, pose.y, pose.roll, *frames.shape[1:3])[0] > pose.turn[:, None, None]
    is_white, white = frames.min(axis=-1) > WHITE, drawn.min(axis=-1) > 200
    wrong = np.zeros(len(frames), bool)
    for side in (right, ~right):
        eye = white & side
        area = eye.sum(axis=(1, 2))
        wrong |= (area > 4) & ((eye & is_white).sum(axis=(1, 2)) < EYE_SHARE * area)
    extra = ((frames.min(axis=-1) > 190) & (drawn.min(axis=-1) < 110)).sum(axis=(1, 2)) / min(frames.shape[1:3]) ** 2
    unseen = np.isnan(detection.roll) if np.isnan(detection.roll).mean() > 0.8 else np.zeros(len(frames), bool)
    return wrong | unseen | (extra > EXTRA)


def _no_mouth(frames: Frames, drawn: Frames, face: Face, pose: Pose) -> Mask:
    """Mark frames in which the mouth of the drawing has the head's color rather than a mouth's."""
    u, v = upright_positions(pose.x, pose.y, pose.roll, *frames.shape[1:3])
    u, v = u - pose.turn[:, None, None], v - pose.nod[:, None, None]
    head = np.array(head_color(face))
    toward = (np.array(MOUTH) - head) / np.square(np.array(MOUTH) - head).sum()
    expected, shown = (drawn - head) @ toward, (frames - head) @ toward
    mouth = (np.abs(u) < 0.155) & (v > 0.1) & (expected > 0.4)
    return (shown * mouth).sum(axis=(1, 2)) <= MOUTH_SHARE * (expected * mouth).sum(axis=(1, 2))


def _color_changes(frames: Frames, drawn: Frames, face: Face) -> Mask:
    """Mark frames in which the head's color differs from the drawing by more than in the video's other frames."""
    head = np.array(head_color(face), np.float32)
    length = np.linalg.norm(drawn.astype(np.float32), axis=-1)
    similar = drawn @ (head / np.linalg.norm(head)) > 0.9985 * length
    skin = (similar & (length > 0.7 * np.linalg.norm(head))).astype(np.float32)
    area = np.maximum(skin.sum(axis=(1, 2)), 1)
    rest = (frames.astype(np.float32) - drawn) * skin[..., None]
    shift = rest.sum(axis=(1, 2)) / area[:, None]
    return np.abs(shift - np.median(shift, axis=0)).max(axis=1) > COLOR
