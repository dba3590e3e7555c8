"""What the labels of videos mean: one class per video, several, or a vector of numbers; as text and for networks.

Shapes: K names of classes, or of the numbers of a vector. Networks get K numbers per video in each case.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from styleganv.errors import StyleganvError
from styleganv.validation import Interval, check, short_repr

#: Label of a video: the number of its class, or K numbers; those of several classes are 1 for each that it has, else 0.
Label = int | tuple[float, ...]
#: Label as the user gives it, e.g. "dogs", "smile,glasses", "0.1,0.7" or [0.1, 0.7].
LabelArgument = str | int | Sequence[str | float]
LabelKind = Literal["class", "classes", "vector"]
#: A number of a vector; networks overflow beyond it.
Component = Annotated[float, Interval(-1e6, 1e6)]

#: A class name that is a number, so that numbers name classes.
NUMBER = re.compile(r"[-+]?\d+(\.\d*)?")
#: Labels of a dataset that a model stores, to draw from.
MAX_EXAMPLES = 256


def class_numbers(label: Label | None) -> list[int]:
    """Return the numbers of the classes that a label is or contains."""
    if label is None or isinstance(label, int):
        return [] if label is None else [label]
    return [k for k, value in enumerate(label) if value]


@dataclass(frozen=True)
class LabelSpace:
    """The labels that the videos of a dataset or model can have.

    Attributes:
        names: names of the classes, or of the numbers of a vector.
        kind: "class" (one per video), "classes" (any number of them), or "vector".
        examples: labels of the dataset, about as frequent as there, from which seeds draw; none for "class", as all
            classes are equally frequent.
    """

    names: tuple[str, ...] = ()
    kind: LabelKind = "class"
    examples: tuple[tuple[float, ...], ...] = ()

    @property
    def size(self) -> int:
        """K; 0 without labels, which includes a single class that all videos have."""
        return 0 if self.kind == "class" and len(self.names) < 2 else len(self.names)

    @property
    def class_names(self) -> list[str]:
        """Names of the classes; empty for vectors."""
        return [] if self.kind == "vector" else list(self.names)

    def __str__(self) -> str:
        if not self.size:
            return "no classes"
        names = f"({', '.join(self.names[:5])}{', …' if self.size > 5 else ''})"
        kinds = {"class": f"{self.size} classes", "classes": f"any of {_count(self.size, 'class')}"}
        return f"{kinds.get(self.kind, f'vectors of {self.size}')} {names}"

    def with_examples(self, labels: Iterable[Label | None]) -> Self:
        """Return the same space with up to `MAX_EXAMPLES` of these labels, and one for each class that they miss."""
        if self.kind == "class":
            return self
        known = sorted(label for label in labels if isinstance(label, tuple))
        spread = np.linspace(0, len(known) - 1, min(len(known), MAX_EXAMPLES)).round().astype(int)
        examples = [known[i] for i in spread]
        for k in range(self.size if self.kind == "classes" else 0):
            if not any(label[k] for label in examples):
                examples += [label for label in known if label[k]][:1]
        return replace(self, examples=tuple(examples))

    def all(self) -> Sequence[Label]:
        """Return every class, or the examples."""
        return range(self.size) if self.kind == "class" else self.examples

    def parse(self, label: LabelArgument) -> Label:
        """Return the label that a user gave.

        A number is a class's place among the classes, unless names are numbers: it then is a name.

        Raises:
            StyleganvError: for an unknown class, a vector of another length, or any label of a model without classes.
        """
        if not self.size:
            raise StyleganvError(f"This model has no classes, got label {label}: omit the label.")
        if self.kind == "class":
            return self._class_number(label)
        parts = label.split(",") if isinstance(label, str) else [label] if isinstance(label, int) else label
        if self.kind == "classes":
            chosen = {self._class_number(part) for part in parts if str(part).strip()}
            return tuple(float(k in chosen) for k in range(self.size))
        try:
            numbers = tuple(check("The label", float(part), Component) for part in parts)
        except ValueError:
            numbers = ()
        if len(numbers) != self.size:
            names = ",".join(self.names[:5]) + (",…" if self.size > 5 else "")
            given = label if isinstance(label, str) else short_repr(label)
            raise StyleganvError(f"The label must be {_count(self.size, 'number')} ({names}), got {given}: correct it.")
        return numbers

    def _class_number(self, label: Any) -> int:
        name = label.strip() if isinstance(label, str) and label not in self.names else str(label)
        if name in self.names:
            return self.names.index(name)
        numbers = [] if any(map(NUMBER.fullmatch, self.names)) else [str(k) for k in range(self.size)]
        if name not in numbers:
            known = [*self.names, *([f"or 0 to {self.size - 1}"] if numbers else [])]
            raise StyleganvError(f"Unknown class {label}: choose {', '.join(known)}.")
        return int(name)

    def format(self, label: Label) -> str:
        """Return the text that `parse` turns into this label."""
        if isinstance(label, int):
            return self.names[label]
        if self.kind == "classes":
            return ",".join(name for name, value in zip(self.names, label, strict=True) if value)
        return ",".join(str(int(x)) if x == int(x) else repr(float(x)) for x in label)

    def to_vector(self, label: Label) -> NDArray[np.float32]:
        """Return the K numbers that networks get; for a class, its number is 1 and all others are 0.

        Raises:
            StyleganvError: for a label that is not of this space.
        """
        if problem := self.problem(label):
            raise StyleganvError(f"The label {short_repr(label)} {problem}: choose another one.")
        if not isinstance(label, int):
            return np.array(label, np.float32)
        vector = np.zeros(self.size, np.float32)
        vector[label] = 1
        return vector

    def problem(self, label: Label) -> str | None:
        """Return why a label is not of this space, as the predicate of a sentence; None if it is."""
        if self.kind == "class":
            valid = isinstance(label, int) and 0 <= label < len(self.names)
            return None if valid else f"is none of the {_count(len(self.names), 'class')}"
        if isinstance(label, int) or len(label) != self.size:
            return f"is not {_count(self.size, 'number')}"
        if self.kind == "classes" and not {0, 1}.issuperset(label):
            return "has a number other than 0 and 1"
        return None

    def without_unused(self, labels: Sequence[Label | None]) -> tuple[Self, list[Label | None]]:
        """Return the space without the classes that none of these labels has, and the labels in it."""
        if self.kind == "vector":
            return self, list(labels)
        counts = self.count(labels)
        used = [k for k, name in enumerate(self.names) if counts[name]]
        new = {k: index for index, k in enumerate(used)}
        changed: list[Label | None] = [
            label if label is None else new[label] if isinstance(label, int) else tuple(label[k] for k in used)
            for label in labels
        ]
        return replace(self, names=tuple(self.names[k] for k in used)), changed

    def count(self, labels: Iterable[Label | None]) -> dict[str, int]:
        """Return how many of these labels have each class; empty for vectors."""
        counts = np.zeros(len(self.class_names), int)
        for label in labels if len(counts) else ():
            counts[class_numbers(label)] += 1
        return dict(zip(self.class_names, counts.tolist(), strict=True))

    def summarize(self, labels: Sequence[Label | None]) -> str:
        """Return how many of these labels have each class, or the range of each number of vectors."""
        if not any(label is not None for label in labels):
            return "none"
        if self.kind != "vector":
            counts = ", ".join(f"{name} ({count})" for name, count in self.count(labels).items() if count)
            return counts if self.kind == "class" else f"{counts}; any number per video"
        known = np.array([label for label in labels if label is not None]).reshape(-1, self.size)
        ranges = [
            f"{name} {low:.4g} to {high:.4g} (mean {mean:.4g})"
            for name, low, high, mean in zip(self.names, known.min(0), known.max(0), known.mean(0), strict=True)
        ]
        more = f", and {self.size - 8} more" if self.size > 8 else ""
        return f"{_count(self.size, 'number')} per video: {', '.join(ranges[:8])}{more}"

    def to_dict(self) -> dict[str, Any]:
        """Return what a model folder stores, as JSON."""
        stored: dict[str, Any] = {"class_names": list(self.names)}
        if self.kind != "class":
            stored |= {"label_kind": self.kind, "labels": [self.format(label) for label in self.examples]}
        return stored

    @classmethod
    def from_dict(cls, prefix: str, stored: dict[str, Any]) -> Self:
        """Return the space that a file stores.

        Args:
            prefix: what messages put before the names of fields.

        Raises:
            StyleganvError: if anything is missing or invalid.
        """
        names = check(f"{prefix}class_names", stored.get("class_names"), list[str])
        kind = check(f"{prefix}label_kind", stored.get("label_kind", "class"), LabelKind)
        space = cls(tuple(names), kind)
        if kind == "class":
            return space
        texts = check(f"{prefix}labels", stored.get("labels", []), list[str])
        try:
            examples = [label for label in map(space.parse, texts) if isinstance(label, tuple)]
        except StyleganvError as error:
            raise StyleganvError(f"{prefix}labels are damaged ({error}): copy or train the model again.") from error
        if examples and not all(space.count(examples).values()):
            raise StyleganvError(f"{prefix}labels lack a class: copy or train the model again.")
        return replace(space, examples=tuple(examples))


def _count(number: int, noun: str) -> str:
    plural = f"{noun}es" if noun.endswith("s") else f"{noun}s"
    return f"{number} {noun if number == 1 else plural}"
