"""What a rule for a published dataset is: its card, its settings, and a function from a scanned source to takes."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from styleganv.data.takes import Take
from styleganv.errors import StyleganvError
from styleganv.label_space import LabelSpace
from styleganv.media.sources import Skipped, SourceScan, VideoSource, natural_key, shorten
from styleganv.options import PrepareOptions


@dataclass
class Selection:
    """What a rule takes from a source.

    Attributes:
        labels: what the labels of the takes mean.
        skipped: `(name, reason)` of the videos that are not part of the published dataset.
        warnings: what the user may want to change, each with its remedy.
    """

    takes: list[Take] = field(default_factory=list)
    labels: LabelSpace = field(default_factory=LabelSpace)
    skipped: list[Skipped] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class DatasetRule:
    """How `prepare --dataset` turns a published dataset into that of the paper.

    Attributes:
        website, terms, size, protocol: where to get it, under which terms, how large it is, and what results on it
            measure; `styleganv datasets` prints them.
        layout: what SOURCE looks like, in one line.
        resolution: height and width of the paper's frames, in pixels.
        settings: values of `PrepareOptions` that replace their defaults.
        select: return what to take from the videos of a source.
    """

    title: str
    website: str
    terms: str
    size: str
    protocol: str
    layout: str
    resolution: int
    settings: Mapping[str, Any]
    select: Callable[[SourceScan], Selection]

    def apply(self, scan: SourceScan) -> Selection:
        """Return what to take from a source.

        Raises:
            StyleganvError: if the source does not have the published layout.
        """
        selection = self.select(scan)
        if not selection.takes:
            found = shorten(video.name for video in scan.videos)
            raise StyleganvError(
                f"The source does not have the layout of {self.title}, {self.layout} (it has {found}): pass the folder "
                "that the dataset was unpacked to, or omit --dataset."
            )
        return selection

    def complete(self, options: PrepareOptions) -> PrepareOptions:
        """Return the options with the settings of the rule where they have their defaults."""
        defaults = {option.name: option.default for option in fields(options)}
        unset = {name: value for name, value in self.settings.items() if getattr(options, name) == defaults[name]}
        return replace(options, **unset)


def match_names(
    videos: Iterable[VideoSource], pattern: str, reason: str
) -> tuple[list[tuple[VideoSource, re.Match[str]]], list[Skipped]]:
    """Return the videos whose path, from some folder on, matches the pattern; and the others, skipped for the reason.

    The path includes the name of the source, so that SOURCE can also be one of the folders in the pattern.
    """
    compiled = re.compile(rf"(?:.*/)?{pattern}")
    matched: list[tuple[VideoSource, re.Match[str]]] = []
    skipped: list[Skipped] = []
    for video in videos:
        if match := compiled.fullmatch(f"{video.root.name}/{video.name}"):
            matched.append((video, match))
        else:
            skipped.append((video.name, reason))
    return matched, skipped


def with_classes(takes: Sequence[Take], class_names: Sequence[str]) -> tuple[list[Take], LabelSpace]:
    """Return takes with the number of their class, and the classes in natural order."""
    names = sorted(set(class_names), key=natural_key)
    labeled = [replace(take, label=names.index(name)) for take, name in zip(takes, class_names, strict=True)]
    return labeled, LabelSpace(tuple(names))
