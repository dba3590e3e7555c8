"""Recovers from the pixels of a video the face that it shows and how that moves, and says what is wrong with it.

A head and its eyes are found roughly (`finding`), the face's factors are chosen by drawing them (`content`), its pose
is fitted in every frame (`fitting`), and what is left between the frames and the drawing tells whether a face is there.

Shapes: T frames, H height, W width. Videos are uint8 `[T, H, W, 3]`.
"""

from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from styleganv.faces.content import first_guess, first_pose, recover_face
from styleganv.faces.drawing import head_color
from styleganv.faces.factors import FPS, Face, Pose
from styleganv.faces.finding import SPECK, Found, Mouth, find, find_mouth
from styleganv.faces.fitting import CHANNELS, error, fit_pose, select, track
from styleganv.faces.judging import PROBLEMS, judge
from styleganv.faces.movement import blink_rate, reversals, speed

Array = NDArray[np.float64]
Frames = NDArray[np.uint8]

#: Share of the frames from which a problem counts: single slips are none.
SLIPS = 0.1
#: Frames from which content is recovered.
KEY_FRAMES = 6


@dataclass(frozen=True)
class RecoveredFace:
    """What a video shows.

    Attributes:
        problems: keys of `PROBLEMS`; none if the video is valid and constant.
        face: None if there is no head. `brow_slope` is "level" where there are no brows, `top_hue` means nothing where
            there is no top.
        pose: in each frame; NaN where there is no head.
        blink_rate: blinks per second.
        speed: of the head, on average, in frame sides per second; NaN if there is no head.
        reversals: turning points of the head's motion across and down, per second.
        residual: root mean square difference of each frame's head from the drawing, in levels 0..255, `[T]`.
    """

    problems: tuple[str, ...]
    face: Face | None
    pose: Pose
    blink_rate: float
    speed: float
    reversals: float
    residual: Array

    @property
    def valid(self) -> bool:
        return not self.problems


def recover(video: Frames, fps: float = FPS) -> RecoveredFace:
    """Recover the face and the motion of a video `[T, H, W, 3]` of at least 32² pixels and `fps` frames per second."""
    coarse, fine = _reduced(video, 32), _reduced(video, 64)
    found = find(fine)
    seen = np.flatnonzero(found.present)
    wrong = {"no head": ~found.present, "several heads": found.beside > SPECK}
    if len(seen) <= (1 - SLIPS) * len(video):
        nothing = np.full(len(video), np.nan)
        return RecoveredFace(
            _problems(wrong), None, Pose(**dict.fromkeys(CHANNELS, nothing)), 0.0, np.nan, 0.0, nothing
        )
    face, pose = _fit(coarse[seen], fine[seen], _at(found, seen))
    judged = judge(fine[seen], face, pose, _at(found, seen))
    wrong |= {name: _spread(frames, seen, len(video)) == 1 for name, frames in judged.wrong.items()}
    residual = _spread(judged.residual, seen, len(video))
    pose = Pose(**{name: _spread(values, seen, len(video)) for name, values in vars(pose).items()})
    return RecoveredFace(
        problems=_problems(wrong),
        face=face,
        pose=pose,
        blink_rate=blink_rate(pose, fps),
        speed=speed(pose, fps),
        reversals=reversals(pose, fps),
        residual=residual,
    )


def _fit(coarse: Frames, fine: Frames, found: Found) -> tuple[Face, Pose]:
    face, open_share = first_guess(fine, found)
    mouth = find_mouth(fine, np.array(head_color(face)), found)
    clear = np.flatnonzero((open_share > 0.85) & ~np.isnan(found.roll))
    if len(clear) < KEY_FRAMES:
        clear = np.arange(len(fine))
    keys = clear[np.linspace(0, len(clear) - 1, KEY_FRAMES).round().astype(int)]
    face = recover_face(coarse[keys], fine[keys], face, _at(found, keys), _at(mouth, keys), open_share[keys])
    pose = track(coarse, face, first_pose(face, found, mouth, open_share))
    return face, _refined(coarse, fine, face, pose)


def _refined(coarse: Frames, fine: Frames, face: Face, pose: Pose) -> Pose:
    """Lids on their way are fast, and some frames fit badly: fit those once more, from finer pixels."""
    apart = error(coarse, face, pose)
    again = np.flatnonzero(((pose.blink > 0.15) & (pose.blink < 0.85)) | (apart > np.quantile(apart, 0.85)))
    frames, start = fine[again], select(pose, again)
    zero = np.zeros(len(again))
    fits = [fit_pose(frames, face, begin) for begin in (start, replace(start, blink=zero, gaze_x=zero, gaze_y=zero))]
    opened = error(frames, face, fits[1]) < error(frames, face, fits[0])
    values = {name: channel.copy() for name, channel in vars(pose).items()}
    for name in values:
        values[name][again] = np.where(opened, getattr(fits[1], name), getattr(fits[0], name))
    return Pose(**values)


def _problems(wrong: dict[str, NDArray[np.bool_]]) -> tuple[str, ...]:
    return tuple(name for name in PROBLEMS if name in wrong and wrong[name].mean() > SLIPS)


def _spread(values: NDArray, seen: NDArray[np.intp], count: int) -> Array:
    """Values of the frames `seen` among all; NaN in the others."""
    spread = np.full(count, np.nan)
    spread[seen] = values
    return spread


def _reduced(video: Frames, side: int) -> Frames:
    """Averages of blocks, as large as leave at least `side` pixels and divide the frame."""
    count, height, width, _ = video.shape
    factors = [f for f in range(1, min(height, width) // side + 1) if height % f == 0 and width % f == 0]
    factor = max(factors, default=1)
    if factor == 1:
        return video
    blocks = video.reshape(count, height // factor, factor, width // factor, factor, 3)
    return (blocks.mean(axis=(2, 4), dtype=np.float32) + 0.5).astype(np.uint8)


Record = TypeVar("Record", Found, Mouth)


def _at(record: Record, index: Any) -> Record:
    """What was found in some frames."""
    return type(record)(**{field.name: getattr(record, field.name)[index] for field in fields(record)})
