"""The list of diagnostics: what each is called and measured in, what is good, and what to say where it is not.

How they are measured is told in `motion` and `model_motion`.
"""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """A diagnostic before it is measured.

    Attributes:
        matters: how far a number must be from the data's to be worth a word: the larger of this share of the
            data's number, and this much outright.
        ideal, good: the best value and the range in which all is well, for what only a model has; else None.
        higher, lower: what it means to be above (below) the data or the range.
    """

    key: str
    title: str
    unit: str
    meaning: str
    higher: str
    lower: str
    matters: tuple[float, float] = (0.2, 0.0)
    ideal: float | None = None
    good: tuple[float, float] | None = None


KINDS = (
    Kind(
        "loop",
        "Loop score",
        "0 to 1",
        "How much of the first frame's colours later frames still have.",
        "Videos keep or regain the colours they began with, more than the data does.",
        "Videos lose the colours they began with faster than the data does.",
        (0.0, 0.02),
    ),
    Kind(
        "period",
        "Periodicity",
        "0 to 1",
        "How exactly a video comes back to earlier frames: 1 is a loop or a steady swing.",
        "Videos repeat themselves more than the data does.",
        "Videos repeat themselves less than the data does.",
        (0.0, 0.1),
    ),
    Kind(
        "turns",
        "Turning back",
        "times a second",
        "How often the whole motion turns and runs back the way it came.",
        "Motion turns back more often than in the data: it goes to and fro.",
        "Motion turns back less often than in the data.",
        (0.25, 0.05),
    ),
    Kind(
        "speed",
        "Speed",
        "frame sides a second",
        "How fast what moves does so, on average; the side is the shorter one.",
        "Things move faster than in the data.",
        "Things move slower than in the data.",
    ),
    Kind(
        "speed_spread",
        "Speed distribution",
        "of the data's mean speed",
        "How far speeds must shift, on average, to be distributed as the data's; beside it, two halves of the data.",
        "Speeds are not distributed as in the data.",
        "Speeds are distributed as in the data.",
        (0.0, 0.15),
    ),
    Kind(
        "drift",
        "Change of looks in a clip",
        "of the difference between videos",
        "How different the last third of a clip looks from its first, by colour.",
        "Looks change more within a clip than in the data.",
        "Looks change less within a clip than in the data.",
        (0.25, 0.05),
    ),
    Kind(
        "drift_1000",
        "Drift after 1,000 frames",
        "of the difference between videos",
        "How different a video looks after 1,000 frames. The ideal is what another motion seed changes anyway.",
        "After 1,000 frames the content has drifted away.",
        "",
        ideal=0.0,
    ),
    Kind(
        "drift_hour",
        "Drift after an hour",
        "of the difference between videos",
        "How different a video looks after an hour. The ideal is what another motion seed changes anyway.",
        "After an hour the content has drifted away.",
        "",
        ideal=0.0,
    ),
    Kind(
        "flicker",
        "Flicker",
        "grey levels",
        "Noise in time where nothing moves.",
        "Still parts flicker more than in the data.",
        "Still parts flicker less than in the data, whose own noise may be the camera's.",
        (0.25, 0.25),
    ),
    Kind(
        "sticking",
        "Texture sticking",
        "0 to 1",
        "Whether fine texture moves with what it belongs to (0) or stays on the screen (1).",
        "Fine texture moves along less than in the data: it sticks to the screen, or dissolves.",
        "Fine texture moves along more than in the data.",
        (0.0, 0.08),
    ),
    Kind(
        "diversity",
        "Motion diversity",
        "of the change in time",
        "How different two motion seeds are for one content: 1 is as different as two moments of one video.",
        "Motion seeds differ more than one video's own moments.",
        "Motion seeds give much the same motion.",
        ideal=1.0,
        good=(0.7, math.inf),
    ),
    Kind(
        "transfer",
        "Motion follows its seed",
        "0 to 1",
        "Whether one motion seed moves different contents alike.",
        "",
        "The same motion seed moves different contents in different ways.",
        ideal=1.0,
        good=(0.25, math.inf),
    ),
    Kind(
        "hold",
        "Motion changes looks",
        "of the difference between contents",
        "How much another motion seed changes the colours of one content.",
        "The motion seed changes how things look about as much as the content seed does.",
        "",
        ideal=0.0,
        good=(-math.inf, 0.5),
    ),
    Kind(
        "same_frames",
        "Same frame at any rate",
        "grey levels",
        "The largest difference between a frame and the one of the same moment at four times the rate.",
        "The same moment gives another frame at another rate.",
        "",
        ideal=0.0,
        good=(-math.inf, 0.0),
    ),
    Kind(
        "between",
        "Frames in between",
        "of the step between frames",
        "How far frames in between stray: at most 1 is between its neighbours.",
        "Frames in between leave the way from one frame to the next.",
        "",
        ideal=1.0,
        good=(-math.inf, 1.1),
    ),
    Kind(
        "even",
        "Evenness in between",
        "1 to 4",
        "The largest of four small steps over their mean: 1 is even, 4 is all at once.",
        "Motion in between is uneven: frames are held, then jump.",
        "",
        ideal=1.0,
        good=(-math.inf, 1.5),
    ),
    Kind(
        "slot_jump",
        "Jump at slot boundaries",
        "of the steps around it",
        "The change across a slot boundary over that just before and after.",
        "The picture jumps at slot boundaries.",
        "No jump, but a kink: motion changes its direction at slot boundaries.",
        ideal=1.0,
        good=(0.8, 1.25),
    ),
)
