"""Recognition of the ground-truth factors of a drawn face, its pose, and failure modes, from the pixels of a video.

The head and the eyes are located roughly (`detection`), the face's factors are chosen by drawing candidates
(`content`), and its pose is fitted in every frame (`fitting`). The remaining difference between the frames and the
drawing tells whether they show such a face (`failures`).

Shapes: T frames, H height, W width. Videos are uint8 `[T, H, W, 3]`.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from styleganv.faces.content import first_guess, first_pose, recognize_face
from styleganv.faces.detection import SPECK, Detection, detect, detect_mouth
from styleganv.faces.drawing import head_color
from styleganv.faces.factors import FPS, Face, Pose
from styleganv.faces.failures import FAILURE_MODES, find_failures
from styleganv.faces.fitting import CHANNELS, error, fit_pose, select, track
from styleganv.faces.movement import blink_rate, reversals, speed

Array = NDArray[np.float64]
Frames = NDArray[np.uint8]

#: Fraction of frames above which a failure mode counts; isolated errors are ignored.
TOLERANCE = 0.1
#: Number of frames from which content is recognized.
KEY_FRAMES = 6


@dataclass(frozen=True)
class RecognizedFace:
    """Factors and motion that a video shows.

    Attributes:
        failure_modes: keys of `FAILURE_MODES`; empty if the video is valid and constant.
        face: content; None without a head. `brow_slope` is "level" without brows, `top_hue` is undefined without a top.
        pose: pose in each frame; NaN in frames without a head.
        blink_rate: blinks per second.
        speed: mean speed of the head in frame sides per second; NaN without a head.
        reversals: reversals of the head's motion along x and y, per second.
        residual: RMS difference of each frame's head from the drawing, in levels 0..255, `[T]`.
    """

    failure_modes: tuple[str, ...]
    face: Face | None
    pose: Pose
    blink_rate: float
    speed: float
    reversals: float
    residual: Array

    @property
    def valid(self) -> bool:
        return not self.failure_modes


def recognize_factors(video: Frames, fps: float = FPS) -> RecognizedFace:
    """Recognize the face and the motion in a video `[T, H, W, 3]` of at least 32², at `fps` frames per second."""
    coarse, fine = _reduce(video, 32), _reduce(video, 64)
    detection = detect(fine)
    seen = np.flatnonzero(detection.present)
    wrong = {"no head": ~detection.present, "several heads": detection.other > SPECK}
    if len(seen) <= (1 - TOLERANCE) * len(video):
        nothing = np.full(len(video), np.nan)
        return RecognizedFace(
            _failure_modes(wrong), None, Pose(**dict.fromkeys(CHANNELS, nothing)), 0.0, np.nan, 0.0, nothing
        )
    face, pose = _fit(coarse[seen], fine[seen], select(detection, seen))
    failures = find_failures(fine[seen], face, pose, select(detection, seen))
    wrong |= {name: _spread(frames, seen, len(video)) == 1 for name, frames in failures.wrong.items()}
    residual = _spread(failures.residual, seen, len(video))
    pose = Pose(**{name: _spread(values, seen, len(video)) for name, values in vars(pose).items()})
    motion = blink_rate(pose, fps), speed(pose, fps), reversals(pose, fps)
    return RecognizedFace(_failure_modes(wrong), face, pose, *motion, residual)


def _fit(coarse: Frames, fine: Frames, detection: Detection) -> tuple[Face, Pose]:
    face, open_share = first_guess(fine, detection)
    mouth = detect_mouth(fine, np.array(head_color(face)), detection)
    clear = np.flatnonzero((open_share > 0.85) & ~np.isnan(detection.roll))
    if len(clear) < KEY_FRAMES:
        clear = np.arange(len(fine))
    keys = clear[np.linspace(0, len(clear) - 1, KEY_FRAMES).round().astype(int)]
    face = recognize_face(
        coarse[keys], fine[keys], face, select(detection, keys), select(mouth, keys), open_share[keys]
    )
    pose = track(coarse, face, first_pose(face, detection, mouth, open_share))
    return face, _refine(coarse, fine, face, pose)


def _refine(coarse: Frames, fine: Frames, face: Face, pose: Pose) -> Pose:
    """Fit frames with moving lids or a bad fit once more, at a finer resolution."""
    errors = error(coarse, face, pose)
    again = np.flatnonzero(((pose.blink > 0.15) & (pose.blink < 0.85)) | (errors > np.quantile(errors, 0.85)))
    frames, start = fine[again], select(pose, again)
    zero = np.zeros(len(again))
    fits = [
        fit_pose(frames, face, initial) for initial in (start, replace(start, blink=zero, gaze_x=zero, gaze_y=zero))
    ]
    opened = error(frames, face, fits[1]) < error(frames, face, fits[0])
    values = {name: channel.copy() for name, channel in vars(pose).items()}
    for name in values:
        values[name][again] = np.where(opened, getattr(fits[1], name), getattr(fits[0], name))
    return Pose(**values)


def _failure_modes(wrong: dict[str, NDArray[np.bool_]]) -> tuple[str, ...]:
    return tuple(name for name in FAILURE_MODES if name in wrong and wrong[name].mean() > TOLERANCE)


def _spread(values: NDArray, seen: NDArray[np.intp], count: int) -> Array:
    """Return values of the frames `seen` among all `count` frames; NaN in the others."""
    spread = np.full(count, np.nan)
    spread[seen] = values
    return spread


def _reduce(video: Frames, side: int) -> Frames:
    """Average the largest blocks that divide the frame and leave at least `side` pixels."""
    count, height, width, _ = video.shape
    factors = [f for f in range(1, min(height, width) // side + 1) if height % f == 0 and width % f == 0]
    factor = max(factors, default=1)
    if factor == 1:
        return video
    blocks = video.reshape(count, height // factor, factor, width // factor, factor, 3)
    return (blocks.mean(axis=(2, 4), dtype=np.float32) + 0.5).astype(np.uint8)
