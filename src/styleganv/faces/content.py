"""Recognition of a face's content in some frames: colors are measured, other factors chosen by drawing them."""

import colorsys
from dataclasses import replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from styleganv.faces.detection import Detection, Mouth, border_color, detect, pixel_positions
from styleganv.faces.drawing import EYE_Y, MOUTH_Y, draw_pose, head_color
from styleganv.faces.factors import MOUTHS, Face, Pose
from styleganv.faces.fitting import CHANNELS, choose, error, fit_pose, variants

Array = NDArray[np.float64]
Frames = NDArray[np.uint8]

#: Average face that recognition starts from.
DEFAULT = Face(
    hue=0.0,
    saturation=0.675,
    value=0.87,
    background_hue=0.0,
    head="round",
    top="none",
    top_hue=0.0,
    eyes="round",
    lids="wide",
    iris="brown",
    brows="thin",
    brow_slope="level",
    mouth="wide",
    nose="none",
    cheeks="none",
    glasses="none",
)
#: Channels to fit in frames with open eyes.
OPEN = tuple(name for name in CHANNELS if name != "blink")
#: Mean light on the part of a head below its center.
CHIN_LIGHT = 0.95
#: Bend of a full smile, and how far the visible white shifts when eyes look aside.
SMILE, GAZE = 0.055, 0.016


def first_guess(video: Frames, detection: Detection) -> tuple[Face, Array]:
    """Return a face with the colors of head and background, and how far the eyes are open in each frame `[T]`."""
    background = np.median(detection.background, axis=0)
    rows = pixel_positions(*video.shape[1:3])[1]
    chin = detection.head & (rows[None] > detection.y[:, None, None])
    hue, saturation, value = _hsv(np.median(video[chin], axis=0) / CHIN_LIGHT)
    face = replace(DEFAULT, hue=hue, saturation=saturation, value=value, background_hue=_hsv(background)[0])
    return face, detection.white / max(float(np.quantile(detection.white, 0.85)), 1e-6)


def first_pose(face: Face, detection: Detection, mouth: Mouth, open_share: Array) -> Pose:
    """Return the pose that the detection suggests, for a head and a top."""
    roll = _fill(detection.roll)
    eye_x, eye_y = _fill(detection.eye_x, detection.x), _fill(detection.eye_y, detection.y + EYE_Y)
    offset = _offset(face.head, face.top)
    x, y = detection.x + np.sin(roll) * offset, detection.y - np.cos(roll) * offset
    across, down = eye_x - x, eye_y - y
    eyes_u, eyes_v = np.cos(roll) * across + np.sin(roll) * down, np.cos(roll) * down - np.sin(roll) * across
    smile = np.clip(mouth.bend / SMILE, -0.9, 0.9)
    gaze = np.clip(np.nan_to_num(mouth.u / GAZE), -0.8, 0.8)
    known = {
        "x": x,
        "y": y,
        "roll": roll,
        "turn": eyes_u + _fill(mouth.u),
        "nod": eyes_v + _fill(mouth.v - 0.75 * SMILE * smile, detection.x * 0 + MOUTH_Y - EYE_Y) - MOUTH_Y,
        "gaze_x": gaze,
        "blink": 1.1 - 1.2 * open_share,
        "talk": (_fill(mouth.area) / (np.pi * MOUTHS["wide"]) - 0.017) / 0.075,
        "smile": _fill(smile),
    }
    zero = np.zeros(len(x))
    return Pose(**{name: np.clip(known.get(name, zero + c.mean), c.low, c.high) for name, c in CHANNELS.items()})


def recognize_face(
    small: Frames, frames: Frames, face: Face, detection: Detection, mouth: Mouth, open_share: Array
) -> Face:
    """Return the content that frames show.

    Args:
        small, frames: the same K frames at a coarse and a finer resolution.
        face: result of `first_guess`.
        detection, mouth, open_share: results for these frames.
    """
    face, pose = _choose_head(small, face, detection, mouth, open_share)
    pose = replace(pose, blink=np.zeros(len(frames)))
    pose = fit_pose(small, face, pose, names=("x", "y", "roll", "turn", "nod", "talk", "smile"))
    face = choose(small, pose, variants(face, "mouth"))
    face = choose(small, pose, variants(face, "eyes", "lids", "glasses"))
    face = with_colors(small, face, pose)
    pose = fit_pose(small, face, pose, names=OPEN)
    face = choose(small, pose, variants(face, "brows", "brow_slope"))
    face = choose(small, pose, variants(face, "iris"))
    face = choose(small, pose, variants(face, "nose", "cheeks"))
    face, pose = _choose_eyes(small, face, pose)
    pose = fit_pose(frames, face, pose, names=OPEN)
    face = with_colors(frames, face, pose)
    face = _choose_each(frames, face, pose)
    face, pose = _choose_eyes(small, face, pose)
    if face.top != "none":
        hues = [(face.top_hue + turn) % 1 for turn in (-0.045, -0.03, -0.015, 0, 0.015, 0.03, 0.045)]
        face = choose(small, pose, [replace(face, top_hue=hue) for hue in hues])
    if face.brows == "none":
        face = replace(face, brow_slope="level")
    return face


def _choose_eyes(frames: Frames, face: Face, pose: Pose) -> tuple[Face, Pose]:
    """Choose eyes and lids, with the gaze fitted for each candidate."""
    fits = []
    for candidate in variants(face, "eyes", "lids"):
        fitted = fit_pose(frames, candidate, pose, steps=2, names=("nod", "gaze_x", "gaze_y", "brow"))
        fits.append((float(error(frames, candidate, fitted).sum()), candidate, fitted))
    return min(fits, key=lambda fit: fit[0])[1:]


def _choose_each(frames: Frames, face: Face, pose: Pose) -> Face:
    """Choose each factor again, given the others."""
    face = choose(frames, pose, variants(face, "brows", "brow_slope"))
    for name in ("glasses", "mouth", "iris", "nose", "cheeks", "head"):
        face = choose(frames, pose, variants(face, name))
    return face


def with_colors(frames: Frames, face: Face, pose: Pose) -> Face:
    """Return `face` with its colors measured where it is drawn; shading scales a color, so ratios are compared."""
    drawn = draw_pose(face, pose, *frames.shape[1:3])
    where = _differ(drawn, draw_pose(_complement(face, "hue"), pose, *frames.shape[1:3]), 90)
    if where.sum() > 10:
        ratio = np.median(frames[where] / np.maximum(drawn[where], 1.0), axis=0)
        hue, saturation, value = _hsv(np.array(head_color(face)) * ratio)
        face = replace(face, hue=hue, saturation=saturation, value=value)
    if face.top != "none":
        face = replace(face, top_hue=_top_hue(frames, face, pose))
    return replace(face, background_hue=_hsv(np.median(border_color(frames), axis=0))[0])


def _choose_head(
    frames: Frames, face: Face, detection: Detection, mouth: Mouth, open_share: Array
) -> tuple[Face, Pose]:
    """Choose head and top, each candidate in the pose and with the top color that it suggests."""
    fits = []
    for candidate in variants(face, "head", "top"):
        pose = first_pose(candidate, detection, mouth, open_share)
        if candidate.top != "none":
            candidate = replace(candidate, top_hue=_top_hue(frames, candidate, pose))
        rest = draw_pose(candidate, pose, *frames.shape[1:3]).astype(np.float32) - frames
        fits.append((float(np.log1p(np.square(rest / 50)).sum()), candidate, pose))
    return min(fits, key=lambda fit: fit[0])[1:]


def _top_hue(frames: Frames, face: Face, pose: Pose) -> float:
    size = frames.shape[1:3]
    drawn, other = draw_pose(face, pose, *size), draw_pose(_complement(face, "top_hue"), pose, *size)
    where = next((pixels for least in (78, 60, 40) if (pixels := _differ(drawn, other, least)).sum() > 20), None)
    if where is None:
        return face.top_hue
    return _hsv(frames[where].mean(axis=0))[0]


def _differ(drawn: Frames, other: Frames, least: int) -> NDArray[np.bool_]:
    """Mark pixels in which the two differ by more than `least` levels: parts of a single color."""
    difference = np.abs(drawn.astype(np.int16) - other).max(axis=-1)
    return difference > least


def _complement(face: Face, name: str) -> Face:
    """Return `face` with the complementary hue."""
    return replace(face, **{name: (getattr(face, name) + 0.5) % 1})


@lru_cache
def _offset(head: str, top: str) -> float:
    """Return how far the center of a head's pixels is below its center."""
    face = replace(DEFAULT, head=head, top=top)
    zero = np.zeros(1)
    pose = Pose(**{name: zero + (0.5 if name in "xy" else 0) for name in CHANNELS})
    detection = detect(draw_pose(face, pose, 64, 64))
    return float(detection.y[0]) - 0.5


def _hsv(rgb: Array) -> tuple[float, float, float]:
    red, green, blue = np.clip(rgb / 255, 0, 1)
    return colorsys.rgb_to_hsv(float(red), float(green), float(blue))


def _fill(values: Array, otherwise: Array | None = None) -> Array:
    """Interpolate NaN between neighbors; use `otherwise` (zero) if all are NaN."""
    known = np.flatnonzero(~np.isnan(values))
    if not len(known):
        return np.zeros(len(values)) if otherwise is None else otherwise
    return np.interp(np.arange(len(values)), known, values[known])
