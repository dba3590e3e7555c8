"""Captions of drawn faces: the facts that they can state, and how. `train_face_clip.py` trains a CLIP on them.

Shapes: F facts.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from styleganv.faces.factors import OPTIONS, Face

#: Hue and half width of each color.
COLORS = {
    "red": (0, 1 / 12),
    "orange": (1 / 12, 1 / 24),
    "yellow": (1 / 6, 1 / 12),
    "green": (1 / 3, 1 / 12),
    "cyan": (1 / 2, 1 / 12),
    "turquoise": (1 / 2, 1 / 12),
    "blue": (2 / 3, 1 / 12),
    "purple": (3 / 4, 1 / 12),
    "magenta": (5 / 6, 1 / 12),
    "pink": (11 / 12, 1 / 16),
}
OPENINGS = ("a", "a", "a", "the", "a drawing of a", "a picture of a", "a video of a", "one")
NOUNS = ("face", "face", "face", "head", "cartoon face", "character")


@dataclass(frozen=True)
class Fact:
    """Something that is true or false of an image.

    Attributes:
        factor: group of facts that exclude each other, of which a caption mentions one at most.
        place: where a caption mentions it: "adjective", "with", "without" or "on".
        wordings: equivalent phrases.
        is_true: function of the face and the pose of the image (each channel a number).
    """

    factor: str
    place: str
    wordings: tuple[str, ...]
    is_true: Callable[[Face, dict[str, float]], bool]


def is_color(hue: float, color: str) -> bool:
    center, width = COLORS[color]
    return abs((hue - center + 0.5) % 1 - 0.5) <= width


def option_facts(factor: str, place: str, wordings: dict[str, tuple[str, ...]]) -> list[Fact]:
    """Return one fact per option of a categorical factor of `Face`."""
    return [
        Fact(factor, place, words, lambda face, pose, option=option: getattr(face, factor) == option)
        for option, words in wordings.items()
    ]


def color_facts() -> list[Fact]:
    """Return the facts about colors."""
    facts = []
    for color in COLORS:
        facts.append(Fact("hue", "adjective", (color,), lambda face, pose, c=color: is_color(face.hue, c)))
        background = (f"a {color} background", f"a pale {color} background")
        facts.append(
            Fact("background_hue", "on", background, lambda face, pose, c=color: is_color(face.background_hue, c))
        )
        for top, words in TOPS.items():
            colored = tuple(word.replace("a ", f"a {color} ") if "a " in word else f"{color} {word}" for word in words)
            facts.append(
                Fact(
                    "top",
                    "with",
                    colored,
                    lambda face, pose, c=color, t=top: face.top == t and is_color(face.top_hue, c),
                )
            )
    return facts


TOPS = {
    "hair": ("hair",),
    "beanie": ("a beanie", "a hat", "a cap"),
    "bear ears": ("bear ears", "round ears"),
    "cat ears": ("cat ears", "pointed ears"),
}


def all_facts() -> list[Fact]:
    """Return every fact that captions can mention."""
    return [
        *color_facts(),
        *option_facts("head", "adjective", {h: (h,) if h != "tall" else ("tall", "long") for h in OPTIONS["head"]}),
        *option_facts("top", "with", TOPS),
        *option_facts("top", "adjective", {"none": ("bald",)}),
        *option_facts("top", "without", {"none": ("hair or hat", "hair", "a hat", "ears")}),
        Fact("top", "with", ("ears", "animal ears"), lambda face, pose: face.top.endswith("ears")),
        *option_facts(
            "eyes",
            "with",
            {
                "small": ("small eyes",),
                "round": ("round eyes",),
                "tall": ("tall eyes",),
                "large": ("large eyes", "big eyes"),
            },
        ),
        *option_facts("iris", "with", {iris: (f"{iris} eyes",) for iris in OPTIONS["iris"]}),
        *option_facts("lids", "with", {"wide": ("wide open eyes",), "half": ("half closed eyes", "heavy lids")}),
        *option_facts("lids", "adjective", {"wide": ("awake",), "half": ("sleepy", "tired")}),
        Fact("lids", "with", ("closed eyes", "shut eyes"), lambda face, pose: pose["blink"] > 0.8),
        *option_facts("brows", "with", {b: (f"{b} brows", f"{b} eyebrows") for b in ("thin", "thick")}),
        *option_facts("brows", "without", {"none": ("brows", "eyebrows")}),
        Fact("brows", "with", ("brows", "eyebrows"), lambda face, pose: face.brows != "none"),
        *(
            Fact(
                "brow_slope",
                place,
                words,
                lambda face, pose, s=slope: face.brows != "none" and face.brow_slope == s,
            )
            for slope, place, words in (
                ("worried", "adjective", ("worried", "anxious")),
                ("angry", "adjective", ("angry", "grumpy")),
                ("level", "adjective", ("calm",)),
                ("worried", "with", ("worried brows",)),
                ("angry", "with", ("angry brows",)),
                ("level", "with", ("level brows",)),
            )
        ),
        *option_facts(
            "mouth", "with", {"narrow": ("a narrow mouth", "a small mouth"), "wide": ("a wide mouth", "a big mouth")}
        ),
        *option_facts("nose", "with", {"button": ("a nose", "a button nose")}),
        *option_facts("nose", "without", {"none": ("a nose",)}),
        *option_facts("cheeks", "with", {"blush": ("blush", "rosy cheeks", "red cheeks", "blushing cheeks")}),
        *option_facts("cheeks", "without", {"none": ("blush", "rosy cheeks")}),
        *option_facts("glasses", "with", {g: (f"{g} glasses",) for g in ("round", "square")}),
        *option_facts("glasses", "without", {"none": ("glasses", "any glasses")}),
        Fact("glasses", "with", ("glasses", "spectacles"), lambda face, pose: face.glasses != "none"),
        Fact("smile", "adjective", ("smiling", "happy"), lambda face, pose: pose["smile"] > 0.45),
        Fact("smile", "adjective", ("sad", "unhappy"), lambda face, pose: pose["smile"] < -0.2),
        Fact("smile", "with", ("a smile",), lambda face, pose: pose["smile"] > 0.45),
        Fact("smile", "with", ("a wide smile",), lambda face, pose: pose["smile"] > 0.45 and face.mouth == "wide"),
        Fact("talk", "with", ("an open mouth",), lambda face, pose: pose["talk"] > 0.5),
        Fact("talk", "with", ("a closed mouth",), lambda face, pose: pose["talk"] < 0.15),
    ]


FACTS = all_facts()


def choose_facts(rng: np.random.Generator, truths: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which of the true facts a caption mentions: 1 to 5, at most one per factor, half of them one."""
    count = min(5, int(rng.geometric(0.45)))
    by_factor: dict[str, list[int]] = {}
    for index in np.flatnonzero(truths):
        by_factor.setdefault(FACTS[index].factor, []).append(int(index))
    factors = list(by_factor)
    chosen = np.zeros(len(FACTS), bool)
    for number in rng.permutation(len(factors))[:count]:
        indices = by_factor[factors[number]]
        chosen[indices[int(rng.integers(len(indices)))]] = True
    return chosen


def write_caption(rng: np.random.Generator, facts: Sequence[Fact]) -> str:
    """Return a sentence such as "a blue round face with glasses and a smile on a pink background"."""

    def pick(words: Sequence[str]) -> str:
        return words[int(rng.integers(len(words)))]

    phrases: dict[str, list[str]] = {"adjective": [], "with": [], "without": [], "on": []}
    for number in rng.permutation(len(facts)):
        fact = facts[number]
        phrases[fact.place].append(pick(fact.wordings))
    if phrases["with"] and phrases["without"] and rng.random() < 0.5:  # "with a hat and no glasses"
        phrases["with"] += ["no " + phrase.removeprefix("a ") for phrase in phrases["without"]]
        phrases["without"] = []
    subject = [*phrases["adjective"], pick(NOUNS)]
    opening = pick(OPENINGS)
    if opening.endswith("a") and subject[0][0] in "aeiou":
        opening += "n"
    sentence = [opening, *subject]
    for place in ("with", "without", "on"):
        if phrases[place]:
            sentence += [place, join(phrases[place])]
    return " ".join(sentence)


def join(phrases: Sequence[str]) -> str:
    *first, last = phrases
    return f"{', '.join(first)} and {last}" if first else last
