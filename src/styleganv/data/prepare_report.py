"""Report of `prepare`: what is in the dataset, what was converted, skipped or damaged, and warnings."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from styleganv.data.dataset_file import VideoRecord
from styleganv.data.encoding import Outcome, parse_color
from styleganv.data.plan import Plan
from styleganv.errors import StyleganvError
from styleganv.label_space import LabelSpace
from styleganv.media.sources import shorten, summarize_skipped


@dataclass
class PrepareReport:
    """Result of `prepare`; `str()` formats it for the user.

    Attributes:
        lengths: frames of each video in the dataset.
        fps: frame rate of the dataset, in frames per second.
        source_fps: number of source videos by frame rate.
        skipped: `(name, reason)` of each skipped video and of each other thing in the source.
        class_counts: number of videos by class; empty for vectors.
        labels: what the labels of the dataset are, with numbers, for the user.
        background: color behind transparent pixels, as `#rrggbb`.
        treated: names of the videos that were composited, deinterlaced, tone-mapped, or resampled.
        damaged: names of the videos of which only the frames before the damage were kept, and how many these are.
        gaps: stretches without frames in the videos, where the frame before each is repeated.
        num_enlarged: number of videos smaller than the resolution.
        sharpness: of each video; see `footage.sharpness`.
        copies: pairs of videos that show nearly the same, as "a = b".
        warnings: what the user may want to change, each with its remedy.
        is_preview: whether nothing was written; lengths are then estimates.
    """

    dest: Path
    height: int
    width: int
    encoding: str
    background: str
    lengths: list[int] = field(default_factory=list)
    fps: float = 0.0
    source_fps: Counter[float] = field(default_factory=Counter)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    class_counts: Counter[str] = field(default_factory=Counter)
    labels: str = "none"
    treated: dict[str, list[str]] = field(default_factory=dict)
    damaged: list[str] = field(default_factory=list)
    gaps: list[str] = field(default_factory=list)
    num_enlarged: int = 0
    sharpness: list[float] = field(default_factory=list)
    copies: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    is_preview: bool = False

    @property
    def num_videos(self) -> int:
        return len(self.lengths)

    @property
    def num_frames(self) -> int:
        return sum(self.lengths)

    @classmethod
    def of_plan(cls, plan: Plan, dest: Path) -> "PrepareReport":
        """Return a report without videos."""
        quality, color = plan.options.stored_quality, parse_color(plan.options.background)
        encoding = "lossless PNG" if quality is None else f"JPEG quality {quality}"
        background = "#{:02x}{:02x}{:02x}".format(*color)
        return cls(dest, plan.height, plan.width, encoding, background, skipped=list(plan.skipped))

    def count(self, outcome: Outcome) -> None:
        """Add a take, used or skipped, to the counts."""
        name = outcome.name
        if outcome.reason:
            self.skipped.append((name, outcome.reason))
            return
        self.source_fps[outcome.fps] += 1
        self.num_enlarged += outcome.is_enlarged
        self.sharpness.append(outcome.sharpness)
        self.gaps += [f"{name} ({seconds:.2f} s from {start:.2f} s on)" for start, seconds in outcome.gaps]
        for treatment in outcome.treatments:
            self.treated.setdefault(treatment, []).append(name)
        if outcome.damage:
            self.damaged.append(f"{name} ({outcome.damage})")

    def finish(
        self, videos: Sequence[VideoRecord], space: LabelSpace, warnings: Sequence[str], fps: float | None
    ) -> None:
        """Add the videos of the dataset, and warnings; `fps` is the frame rate asked for."""
        self.lengths = [video.num_frames for video in videos]
        labels = [video.label for video in videos]
        self.class_counts = +Counter(space.count(labels))
        self.labels = space.summarize(labels)
        self.warnings = [*warnings, *_warnings(self, fps)]

    def no_usable_video(self, source: Path) -> StyleganvError:
        """Return the error for a source whose videos are all skipped, with the reasons."""
        reasons = "; ".join(f"{name}: {reason.rstrip('.')}" for name, reason in self.skipped[:3])
        return StyleganvError(f"No usable video in {source} ({reasons}): pass other videos.")

    def _rates(self) -> str:
        if len(self.source_fps) > 8:  # cameras with a variable rate
            return f"{len(self.source_fps)} rates from {min(self.source_fps):g} to {max(self.source_fps):g}"
        return ", ".join(f"{fps:g} ({_count_videos(count)})" for fps, count in sorted(self.source_fps.items()))

    def _lengths(self) -> str:
        if not self.lengths:
            return "no videos"
        shortest, middle, longest = min(self.lengths), median(self.lengths), max(self.lengths)
        return f"{shortest} to {longest} frames, median {middle:g} ({middle / self.fps:.1f} s)"

    def __str__(self) -> str:
        would_hold, be = (" would hold about", " would be") if self.is_preview else (":", "")
        lines = [
            f"{self.dest}{would_hold} {_count_videos(self.num_videos)}, {self.num_frames} frames of "
            f"{self.height}x{self.width} (height x width), {self.encoding}",
            f"lengths   {self._lengths()}",
            f"fps       {self.fps:g}; sources: {self._rates() or 'none'}",
            f"labels    {self.labels}",
        ]
        if self.sharpness:
            low, middle, high = min(self.sharpness), median(self.sharpness), max(self.sharpness)
            lines.append(f"sharpness {low:.0f} to {high:.0f}, median {middle:.0f}")
        details = {
            "composited": f" over {self.background} (--background)",
            "tone-mapped": " from HDR",
            "resampled": f" to {self.fps:g} fps, because their frame rate differs or varies (--fps sets another)",
        }
        for treatment, names in self.treated.items():
            lines.append(
                f"converted {_count_videos(len(names))}{be} {treatment}{details.get(treatment, '')}: {shorten(names)}"
            )
        if self.gaps:
            lines.append(f"gaps      {len(self.gaps)}{be} filled with the preceding frame: {shorten(self.gaps)}")
        if self.damaged:
            lines.append(f"damaged   {_count_videos(len(self.damaged))} kept up to the damage: {shorten(self.damaged)}")
        if self.copies:
            lines.append(f"copies    {shorten(self.copies)} show nearly the same: remove one of each pair")
        lines.append(f"skipped   {len(self.skipped) or 'none'}{be if self.skipped else ''}")
        lines += [f"  {line}" for line in summarize_skipped(self.skipped)]
        lines += [f"warning   {warning}" for warning in self.warnings]
        return "\n".join(lines)


def _count_videos(number: int) -> str:
    return f"{number} video{'' if number == 1 else 's'}"


def _warnings(report: PrepareReport, fps: float | None) -> list[str]:
    warnings = []
    if fps is not None and any(rate < 0.99 * fps for rate in report.source_fps):
        warnings.append(f"some videos have fewer than {fps:g} fps, so their frames repeat: lower --fps.")
    if report.num_enlarged:
        warnings.append(
            f"{_count_videos(report.num_enlarged)} smaller than the resolution enlarged: lower --resolution."
        )
    return warnings
