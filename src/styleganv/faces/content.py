"""Recovers a face's content from some frames of it: colors are measured, other factors chosen by drawing them."""

import colorsys
from dataclasses import replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from styleganv.faces.drawing import EYE_Y, draw_pose, head_color
from styleganv.faces.factors import (
    BROW_SLOPES,
    BROWS,
    CENTER,
    CHEEKS,
    EYES,
    GLASSES,
    HEADS,
    IRISES,
    LIDS,
    MOUTHS,
    NOSES,
    TOPS,
    Face,
    Pose,
)
from styleganv.faces.finding import Found, border_color, find, foreground_of, pixel_positions
from styleganv.faces.fitting import CHANNELS, choose, fit_pose, select, variants

Array = NDArray[np.float64]
Frames = NDArray[np.uint8]

#: A face in the middle of what faces are, to begin with.
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
#: Light on the part of a head below its center, on average.
CHIN_LIGHT = 0.95


def first_guess(video: Frames, found: Found) -> tuple[Face, Array]:
    """Colors of the head and the background, and the share of the open eyes' white in each frame `[T]`."""
    background = np.median(found.background, axis=0)
    rows = pixel_positions(*video.shape[1:3])[1]
    chin = found.head & (rows[None] > found.y[:, None, None])
    hue, saturation, value = _hsv(np.median(video[chin], axis=0) / CHIN_LIGHT)
    face = replace(DEFAULT, hue=hue, saturation=saturation, value=value, background_hue=_hsv(background)[0])
    return face, found.white / max(float(np.quantile(found.white, 0.85)), 1e-6)


def first_pose(face: Face, found: Found, open_share: Array) -> Pose:
    """The pose that what was found suggests, for a head and a top."""
    roll, eye_x, eye_y = (_filled(values) for values in (found.roll, found.eye_x, found.eye_y))
    offset = _offset(face.head, face.top)
    x, y = found.x + np.sin(roll) * offset, found.y - np.cos(roll) * offset
    across, down = eye_x - x, eye_y - y
    zero = np.zeros(len(x))
    known = {
        "x": x,
        "y": y,
        "roll": roll,
        "turn": np.nan_to_num(np.cos(roll) * across + np.sin(roll) * down).clip(-0.06, 0.06),
        "nod": np.nan_to_num(np.cos(roll) * down - np.sin(roll) * across - EYE_Y - 0.01).clip(-0.05, 0.05),
        "blink": np.clip(1.1 - 1.2 * open_share, 0, 1),
    }
    return Pose(**{name: known.get(name, zero + channel.mean) for name, channel in CHANNELS.items()})


def recover_face(small: Frames, frames: Frames, face: Face, found: Found, open_share: Array) -> Face:
    """The content that frames show.

    Args:
        small, frames: the same K frames, coarse and finer.
        face: of `first_guess`.
        found, open_share: of these frames.
    """
    face, pose = _choose_head(small, face, found, open_share)
    pose = fit_pose(small, face, pose, names=("x", "y", "roll", "turn", "nod", "talk", "smile"))
    face = choose(small, pose, variants(face, mouth=MOUTHS))
    face = choose(small, pose, variants(face, eyes=EYES, lids=LIDS, glasses=GLASSES))
    face = with_colors(small, face, pose)
    pose = fit_pose(small, face, pose)
    face = choose(small, pose, variants(face, brows=BROWS, brow_slope=BROW_SLOPES))
    face = choose(small, pose, variants(face, iris=IRISES))
    face = choose(small, pose, variants(face, nose=NOSES, cheeks=CHEEKS))
    for _ in range(2):
        pose = fit_pose(frames, face, pose)
        face = with_colors(frames, face, pose)
        face = _choose_each(frames, face, pose)
    if face.brows == "none":
        face = replace(face, brow_slope="level")
    return face


def _choose_each(frames: Frames, face: Face, pose: Pose) -> Face:
    """Each factor anew, given the others."""
    face = choose(frames, pose, variants(face, eyes=EYES, lids=LIDS))
    face = choose(frames, pose, variants(face, brows=BROWS, brow_slope=BROW_SLOPES))
    others = {"glasses": GLASSES, "mouth": MOUTHS, "iris": IRISES, "nose": NOSES, "cheeks": CHEEKS, "head": HEADS}
    for name, options in others.items():
        face = choose(frames, pose, variants(face, **{name: options}))
    return face


def with_colors(frames: Frames, face: Face, pose: Pose) -> Face:
    """`face` with its colors measured where it is drawn: shading scales a color, so means compare."""
    drawn = draw_pose(face, pose, *frames.shape[1:3])
    where = _differ(drawn, draw_pose(_turned(face, "hue"), pose, *frames.shape[1:3]), 90)
    if where.sum() > 10:
        ratio = np.median(frames[where] / np.maximum(drawn[where], 1.0), axis=0)
        hue, saturation, value = _hsv(np.array(head_color(face)) * ratio)
        face = replace(face, hue=hue, saturation=saturation, value=value)
    if face.top != "none":
        face = replace(face, top_hue=_top_hue(frames, face, pose))
    return replace(face, background_hue=_hsv(np.median(border_color(frames), axis=0))[0])


def _choose_head(frames: Frames, face: Face, found: Found, open_share: Array) -> tuple[Face, Pose]:
    """Head and top, each candidate in the pose that it suggests and with the color that its top would have."""
    best: tuple[float, Face, Pose] | None = None
    for candidate in variants(face, head=HEADS, top=TOPS):
        pose = first_pose(candidate, found, open_share)
        if candidate.top != "none":
            candidate = replace(candidate, top_hue=_top_hue(frames, candidate, pose))
        rest = draw_pose(candidate, pose, *frames.shape[1:3]).astype(np.float32) - frames
        error = float(np.log1p(np.square(rest / 50)).sum())
        if best is None or error < best[0]:
            best = error, candidate, pose
    assert best is not None
    return best[1], best[2]


def _top_hue(frames: Frames, face: Face, pose: Pose) -> float:
    size = frames.shape[1:3]
    drawn, other = draw_pose(face, pose, *size), draw_pose(_turned(face, "top_hue"), pose, *size)
    where = _differ(drawn, other, 60)
    return _hsv(np.median(frames[where], axis=0))[0] if where.any() else 0.0


def _differ(drawn: Frames, other: Frames, least: int) -> NDArray[np.bool_]:
    """Where the two differ most, by `least` levels if that occurs: only what is of one color."""
    difference = np.abs(drawn.astype(np.int16) - other).max(axis=-1)
    return difference > least


def _turned(face: Face, name: str) -> Face:
    """`face` with the complementary hue."""
    return replace(face, **{name: (getattr(face, name) + 0.5) % 1})


@lru_cache
def _offset(head: str, top: str) -> float:
    """By how much the center of a head's pixels is below its center."""
    face = replace(DEFAULT, head=head, top=top)
    zero = np.zeros(1)
    pose = Pose(**{name: zero + (0.5 if name in "xy" else 0) for name in CHANNELS})
    found = find(draw_pose(face, pose, 64, 64))
    return float(found.y[0]) - 0.5


def _hsv(rgb: Array) -> tuple[float, float, float]:
    red, green, blue = np.clip(rgb / 255, 0, 1)
    return colorsys.rgb_to_hsv(float(red), float(green), float(blue))


def _filled(values: Array) -> Array:
    """Gaps filled between their neighbors; 0 if there is nothing (NaN stays for positions, which are never 0)."""
    known = np.flatnonzero(~np.isnan(values))
    if not len(known):
        return np.zeros(len(values))
    return np.interp(np.arange(len(values)), known, values[known])


__all__ = ["first_guess", "first_pose", "foreground_of", "recover_face", "select", "with_colors", "CENTER"]
