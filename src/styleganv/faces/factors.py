"""Factors of a drawn face: its appearance and its motion.

Content (`Face`) is constant within a video. Motion (`Pose`) is aperiodic: every channel is smooth random noise with its
own time scale, except blinks, which are short and random events. Both are functions of a seed, so a video can be drawn
at any frame rate and from any start time.

Lengths are in shorter frame sides, x to the right and y down; times are in frames at 25 fps.
Shapes: T times.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from styleganv.validation import Fraction

FPS = 25.0

#: Horizontal and vertical semi-axes, and the exponent of the outline |x/a|^n + |y/b|^n = 1.
HEADS = {"round": (0.35, 0.35, 2), "tall": (0.305, 0.375, 2), "wide": (0.385, 0.315, 2), "square": (0.325, 0.33, 4)}
TOPS = ("none", "hair", "beanie", "bear ears", "cat ears")
#: Semi-axes of an eye.
EYES = {"small": (0.07, 0.07), "round": (0.095, 0.095), "tall": (0.083, 0.115), "large": (0.112, 0.112)}
#: Fraction of an open eye that its lid covers.
LIDS = {"wide": 0.0, "half": 0.38}
IRISES = {"black": (24, 20, 30), "brown": (112, 62, 22), "blue": (34, 92, 208), "green": (24, 128, 70)}
#: Half thickness of the brows.
BROWS = {"none": 0.0, "thin": 0.011, "thick": 0.022}
#: Slope of the brows down toward the nose, in degrees.
BROW_SLOPES = {"worried": -18, "level": 0, "angry": 18}
#: Half width of the mouth.
MOUTHS = {"narrow": 0.085, "wide": 0.135}
NOSES = ("none", "button")
CHEEKS = ("none", "blush")
GLASSES = ("none", "round", "square")
#: Options of every categorical factor.
OPTIONS: dict[str, tuple[str, ...]] = {
    "head": tuple(HEADS),
    "top": TOPS,
    "eyes": tuple(EYES),
    "lids": tuple(LIDS),
    "iris": tuple(IRISES),
    "brows": tuple(BROWS),
    "brow_slope": tuple(BROW_SLOPES),
    "mouth": tuple(MOUTHS),
    "nose": NOSES,
    "cheeks": CHEEKS,
    "glasses": GLASSES,
}


@dataclass(frozen=True)
class Face:
    """Content of a video.

    Attributes:
        hue, saturation, value: color of the head, each in 0..1.
        background_hue: hue of the pale background, 0..1.
        top: hair, a hat or ears, of color `top_hue` (0..1).
    """

    hue: Fraction
    saturation: Fraction
    value: Fraction
    background_hue: Fraction
    head: str
    top: str
    top_hue: Fraction
    eyes: str
    lids: str
    iris: str
    brows: str
    brow_slope: str
    mouth: str
    nose: str
    cheeks: str
    glasses: str


def sample_face(rng: np.random.Generator) -> Face:
    """Sample every factor independently and uniformly, except that most faces have no glasses."""

    def pick(name: str) -> str:
        return OPTIONS[name][int(rng.integers(len(OPTIONS[name])))]

    return Face(
        hue=float(rng.random()),
        saturation=float(rng.uniform(0.55, 0.8)),
        value=float(rng.uniform(0.78, 0.95)),
        background_hue=float(rng.random()),
        head=pick("head"),
        top=pick("top"),
        top_hue=float(rng.random()),
        **{name: pick(name) for name in ("eyes", "lids", "iris", "brows", "brow_slope", "mouth", "nose", "cheeks")},
        glasses=pick("glasses") if rng.random() < 0.6 else "none",
    )


@dataclass(frozen=True)
class Pose:
    """A face's pose at T times, each `[T]`.

    Attributes:
        x, y: position of the head's center in the frame.
        roll: tilt of the head in radians, clockwise.
        turn, nod: horizontal and vertical shift of the features on the head, as it turns and nods.
        gaze_x, gaze_y: direction of the eyes, −1..1.
        blink: closing of the lids, 0 (the face's own) to 1 (closed).
        talk: opening of the mouth, 0..1.
        smile: −1 (corners down) to 1 (up).
        brow: how far the brows are raised.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    roll: NDArray[np.float64]
    turn: NDArray[np.float64]
    nod: NDArray[np.float64]
    gaze_x: NDArray[np.float64]
    gaze_y: NDArray[np.float64]
    blink: NDArray[np.float64]
    talk: NDArray[np.float64]
    smile: NDArray[np.float64]
    brow: NDArray[np.float64]


#: Frames between two knots, and standard deviation, of each channel of smooth noise.
CHANNELS = {
    "x": (18, 0.026),
    "y": (14, 0.018),
    "roll": (22, 0.10),
    "turn": (17, 0.022),
    "nod": (13, 0.018),
    "gaze_x": (9, 0.55),
    "gaze_y": (11, 0.45),
    "smile": (32, 0.55),
    "brow": (20, 0.010),
    "phrase": (28, 1.0),
    "syllable": (3.5, 1.0),
}
CENTER = (0.5, 0.545)
#: Frames from the middle of one blink to that of the next: the minimum, and the mean beyond it.
BLINK_PAUSE = (22.0, 40.0)
#: Frames that a lid takes to close or open, and that it stays closed.
BLINK_MOVE, BLINK_SHUT = 2.5, 1.5


def motion(seed: int, t: NDArray[np.floating] | list[float]) -> Pose:
    """Return the pose at times `t` (in frames at 25 fps, ≥ 0); a seed gives the same motion at any frame rate."""
    times: NDArray[np.float64] = np.array(t, dtype=np.float64)
    noise = {
        name: deviation * smooth_noise(np.random.default_rng([seed, number]), times / period)
        for number, (name, (period, deviation)) in enumerate(CHANNELS.items())
    }
    speaking = 1 / (1 + np.exp(-5 * noise.pop("phrase")))
    syllable = noise.pop("syllable")
    return Pose(
        x=CENTER[0] + noise.pop("x"),
        y=CENTER[1] + noise.pop("y"),
        blink=_blinks(np.random.default_rng([seed, len(CHANNELS)]), times),
        talk=speaking * np.clip(0.45 + 0.5 * syllable, 0, 1),
        smile=np.tanh(noise.pop("smile") + 0.25),
        gaze_x=np.tanh(noise.pop("gaze_x")),
        gaze_y=np.tanh(noise.pop("gaze_y")),
        **noise,
    )


def smooth_noise(rng: np.random.Generator, t: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return noise of unit mean variance, bounded by 4, twice differentiable in `t ≥ 0`: a cubic B-spline.

    Knots are 1 apart and drawn in order, so a longer noise begins with a shorter one.
    """
    first = np.floor(t).astype(int)
    knots = np.clip(rng.standard_normal(int(first.max(initial=0)) + 4), -2, 2)
    p = t - first
    weights = [(1 - p) ** 3, 3 * p**3 - 6 * p**2 + 4, -3 * p**3 + 3 * p**2 + 3 * p + 1, p**3]
    # The spline smooths the knots' variance to 0.48 on average.
    return sum(weight * knots[first + i] for i, weight in enumerate(weights)) / 6 / 0.48**0.5


def blink_times(rng: np.random.Generator, end: float) -> NDArray[np.float64]:
    """Return the middles of the blinks that begin before time `end`."""
    least, mean = BLINK_PAUSE
    times: list[float] = []
    now = float(rng.uniform(0, least + mean))
    while now < end + BLINK_MOVE + BLINK_SHUT:
        times.append(now)
        now += least + float(rng.exponential(mean))
    return np.array(times)


def _blinks(rng: np.random.Generator, t: NDArray[np.float64]) -> NDArray[np.float64]:
    middles = blink_times(rng, float(t.max(initial=0)))
    nearest = np.abs(t[:, None] - middles).min(axis=1, initial=np.inf)
    closed = np.clip(1 - (nearest - BLINK_SHUT) / BLINK_MOVE, 0, 1)
    return closed**2 * (3 - 2 * closed)
