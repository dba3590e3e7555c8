"""What goes wrong in a training, in words: found in its log alone, without torch.

Each check is a function from `Facts` to a `Finding` or None. Six long trainings, none of which
may be in trouble, bound the thresholds of all checks. Two trainings that were spoiled on purpose set those of exploded
losses and of a discriminator that wins; the others are estimates (docs/troubleshooting.md).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from statistics import median
from typing import Any, Literal

from styleganv.config import RunConfig
from styleganv.record import DatasetFacts
from styleganv.training.log_file import DIVERSITY, SCORES, is_number

#: Page of the documentation that the findings refer to.
PAGE = "troubleshooting.md"
#: Lines of the log that count as the present.
RECENT = 5
#: Discriminators by the suffix of their scalars.
DISCRIMINATORS = {"": "discriminator", "_projected": "second discriminator"}
#: Losses of a discriminator and of a generator that cannot tell real from generated clips, per pair of logits.
CHANCE = math.log(2)
#: The discriminator wins if the generator's loss is this many times its own, both as multiples of those by chance. The
#: largest ratio of a good training was 11, in its first minute; that of one with a weak R1 was 29.
WINNING_RATIO = 25.0
#: Losses were at most 2.4 in good trainings.
EXPLODED_LOSS = 100.0
#: A distance that is this much above the best one has risen, and has doubled.
RISEN, DOUBLED, NUM_EVALUATIONS = 1.15, 2.0, 3
#: Snapshots differ less than this fraction of earlier ones, and less than these gray levels.
COLLAPSED, COLLAPSED_LEVELS = 0.25, 2.0
#: A training this much slower than before shares its device.
SLOWER = 0.5
#: Below this fraction of its start, the learning rate changes little. It was 0.35 at the end of a good training.
DECAYED = 0.2
#: Fewer videos, seen more often per frame, are remembered. A good training saw 26 videos 17 times per frame.
FEW_VIDEOS, REPEATS = 100, 50
#: A log that is silent for this many of its intervals, and for this many seconds, has stopped.
SILENT_INTERVALS, SILENT_SECONDS = 10, 600


@dataclass(frozen=True)
class Finding:
    """Something that goes wrong.

    Attributes:
        severity: error: more training of this kind is in vain; warning: look at it; note: good to know.
        text: one sentence.
        numbers: those in the sentence, by name.
        help: page and section of the documentation.
    """

    name: str
    severity: Literal["error", "warning", "note"]
    text: str
    numbers: dict[str, float]
    help: str

    def to_dict(self) -> dict[str, Any]:
        """Return everything for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Facts:
    """What the checks know of a training.

    Attributes:
        records: of the log, as of `read_log`.
        event: last event of the log.
        dataset: None if it is not known.
        silent: seconds since the last line of the log; None unless the run is in training.
    """

    records: Sequence[Mapping[str, Any]]
    event: str = ""
    config: RunConfig | None = None
    dataset: DatasetFacts | None = None
    silent: float | None = None

    def values(self, name: str) -> list[float]:
        """Return all values of a scalar in order."""
        return [record[name] for record in self.records if is_number(record.get(name))]

    def finite(self, name: str) -> list[float]:
        """Return its finite values in order."""
        return [value for value in self.values(name) if math.isfinite(value)]

    def recent(self, name: str) -> float | None:
        """Return the median of the last lines; None if there are too few."""
        values = self.finite(name)[-RECENT:]
        return median(values) if len(values) == RECENT else None

    @property
    def clips_seen(self) -> int:
        return max((record["clips_seen"] for record in self.records), default=0)


def find_problems(facts: Facts) -> list[Finding]:
    """Return what goes wrong, the worst first; an empty list if nothing is known to."""
    findings = [finding for check in CHECKS if (finding := check(facts))]
    return sorted(findings, key=lambda finding: ("error", "warning", "note").index(finding.severity))


def divergence(facts: Facts) -> Finding | None:
    """A gradient or a loss is not finite."""
    broken = [name for name in _losses(facts) if not all(map(math.isfinite, facts.values(name)[-RECENT:]))]
    if facts.event != "diverged" and not broken:
        return None
    what = f"{broken[0]} is not finite" if broken else "a gradient was not finite"
    text = f"Training diverged before {facts.clips_seen:,} clips: {what}. Start again from its last model."
    return Finding("divergence", "error", text, {"clips_seen": facts.clips_seen}, f"{PAGE}#training-diverged")


def explosion(facts: Facts) -> Finding | None:
    """A loss is far larger than those of any training that learns."""
    worst = max(_losses(facts), key=lambda name: _largest(facts, name), default=None)
    if worst is None or (value := _largest(facts, worst)) < EXPLODED_LOSS:
        return None
    text = f"The losses exploded: {worst} reached {value:.3g}. The learning rate is too high, or R1 too weak."
    return Finding("explosion", "error", text, {worst: value}, f"{PAGE}#the-losses-explode")


def lost_balance(facts: Facts) -> Finding | None:
    """A discriminator tells all clips apart, so that the generator learns nothing from it."""
    relativistic = facts.config is not None and facts.config.training.loss == "relativistic"
    for suffix, title in DISCRIMINATORS.items():
        loss_d, loss_g = facts.recent(f"loss_d{suffix}"), facts.recent(f"loss_g{suffix}")
        if loss_d is None or loss_g is None:
            continue
        chance = CHANCE if relativistic else 2 * CHANCE
        if loss_g / CHANCE > WINNING_RATIO * loss_d / chance:
            text = (
                f"The {title} wins: its loss fell to {loss_d:.3g}, and the generator's rose to {loss_g:.3g} "
                f"(undecided: {chance:.2f} and {CHANCE:.2f})."
            )
            numbers = {f"loss_d{suffix}": loss_d, f"loss_g{suffix}": loss_g}
            return Finding("lost_balance", "warning", text, numbers, f"{PAGE}#the-discriminator-wins")
    return None


def mode_collapse(facts: Facts) -> Finding | None:
    """The snapshots of all content seeds look alike, after they had differed."""
    values = facts.finite(DIVERSITY)
    best = max(values, default=0.0)
    if not values or best < 2 * COLLAPSED_LEVELS or values[-1] > max(COLLAPSED * best, COLLAPSED_LEVELS):
        return None
    text = (
        f"All videos look alike: the content seeds of the last snapshot differ by {values[-1]:.3g} gray levels, "
        f"earlier ones by {best:.3g}."
    )
    numbers = {"last": values[-1], "best": best}
    return Finding("mode_collapse", "error", text, numbers, f"{PAGE}#all-videos-look-alike-mode-collapse")


def rising_distance(facts: Facts) -> Finding | None:
    """The distance to the real videos has risen for several evaluations."""
    name = next(iter(SCORES))
    scores = [(r[name], r["clips_seen"]) for r in facts.records if is_number(r.get(name)) and math.isfinite(r[name])]
    if not scores:
        return None
    best, clips = min(scores)
    since = [score for score, seen in scores if seen > clips]
    if len(since) < NUM_EVALUATIONS or min(since[-NUM_EVALUATIONS:]) < RISEN * best:
        return None
    text = (
        f"The distance to real videos has risen from {best:.4g} at {clips:,} clips to {since[-1]:.4g}; best/ holds the "
        "model before."
    )
    numbers = {"best": best, "best_clips": clips, "last": since[-1]}
    severity: Literal["error", "warning"] = "error" if min(since[-NUM_EVALUATIONS:]) > DOUBLED * best else "warning"
    return Finding("rising_distance", severity, text, numbers, f"{PAGE}#the-distance-rises")


def augmentation_cap(facts: Facts) -> Finding | None:
    """ADA would augment more than it may, since the discriminator overfits."""
    if facts.config is None or facts.config.augment.augment != "ada":
        return None
    cap, p = facts.config.augment.augment_max_p, facts.finite("augment_p")[-RECENT:]
    if len(p) < RECENT or cap == 0 or min(p) < cap - 1e-4:
        return None
    text = f"Augmentation is at its cap of {cap:g}: the discriminator still overfits, and augmentation may leak."
    return Finding("augmentation_cap", "warning", text, {"augment_p": p[-1]}, f"{PAGE}#augmentation-is-at-its-cap")


def repeated_data(facts: Facts) -> Finding | None:
    """Few videos were seen so often that the networks can remember them."""
    data = facts.dataset
    frames = facts.finite("frames_seen")
    if data is None or not frames or not data.frames or data.videos >= FEW_VIDEOS:
        return None
    if (repeats := frames[-1] / data.frames) < REPEATS:
        return None
    text = f"The model may repeat its training videos: each frame of only {data.videos} was seen {repeats:.0f} times."
    numbers = {"videos": data.videos, "repeats": repeats}
    return Finding("repeated_data", "warning", text, numbers, f"{PAGE}#frames-repeat-the-training-videos")


def silence(facts: Facts) -> Finding | None:
    """A run in training has not logged for much longer than usual."""
    times = facts.finite("time")
    if facts.silent is None or len(times) < 2:
        return None
    usual = median(later - earlier for earlier, later in pairwise(times))
    if facts.silent < max(SILENT_SECONDS, SILENT_INTERVALS * usual):
        return None
    text = f"No progress for {facts.silent / 60:.0f} minutes; a line of the log usually takes {usual:.3g} s."
    return Finding(
        "silence", "warning", text, {"seconds": facts.silent, "usual": usual}, f"{PAGE}#training-stands-still"
    )


def slow_down(facts: Facts) -> Finding | None:
    """Training takes more time per clip than before."""
    speeds, recent = facts.finite("clips_per_second"), facts.recent("clips_per_second")
    if recent is None or len(speeds) < 4 * RECENT or recent > SLOWER * (usual := median(speeds[:-RECENT])):
        return None
    text = (
        f"Training is slower than before, {recent:.3g} clips/s instead of {usual:.3g}: other programs may share the "
        "device."
    )
    return Finding("slow_down", "note", text, {"recent": recent, "usual": usual}, f"{PAGE}#training-is-slow")


def decayed_learning_rate(facts: Facts) -> Finding | None:
    """The learning rate has fallen so far that more training changes little."""
    start = facts.config.training.lr_decay_clips if facts.config else None
    if start is None or facts.clips_seen <= start or (factor := math.sqrt(start / facts.clips_seen)) > DECAYED:
        return None
    text = (
        f"The learning rate has decayed to 1/{1 / factor:.0f}: for a training of this length, raise --lr-decay-clips."
    )
    return Finding("decayed_learning_rate", "note", text, {"factor": factor}, f"{PAGE}#the-learning-rate-has-decayed")


CHECKS = (
    divergence,
    explosion,
    lost_balance,
    mode_collapse,
    rising_distance,
    augmentation_cap,
    repeated_data,
    silence,
    slow_down,
    decayed_learning_rate,
)


def _losses(facts: Facts) -> list[str]:
    return [name for name in (facts.records[-1] if facts.records else {}) if name.startswith("loss_")]


def _largest(facts: Facts, name: str) -> float:
    return max((abs(value) for value in facts.finite(name)[-RECENT:]), default=0.0)
