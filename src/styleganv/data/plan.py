"""Plan of a preparation: all that is decided before anything is decoded, which is the same on every machine."""

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, astuple, dataclass, field, replace
from pathlib import Path

from styleganv import __version__
from styleganv.data.labels import read_labels
from styleganv.data.rules import RULES
from styleganv.data.rules.rule import Selection
from styleganv.data.scenes import make_detector
from styleganv.data.takes import Take, by_source, trim_and_crop, whole_takes
from styleganv.errors import StyleganvError
from styleganv.label_space import LabelSpace
from styleganv.media.decoding import Timing
from styleganv.media.sources import DEFAULT_FPS, Skipped, SourceScan, VideoSource, common_fps, scan_source
from styleganv.options import PrepareOptions

#: Number of a shard, from 1, and number of shards.
ShardOf = tuple[int, int]


@dataclass(frozen=True)
class Plan:
    """What to prepare, and how.

    Attributes:
        height, width: frame size in pixels.
        groups: takes of all sources, in groups of one source, in natural order.
        labels: what the labels of all takes mean.
        shard: part of the groups to prepare; None for all of them.
        skipped: things in the source that are no videos.
        warnings: about labels.
    """

    source: Path
    height: int
    width: int
    options: PrepareOptions
    groups: list[Sequence[Take]]
    labels: LabelSpace
    shard: ShardOf | None = None
    skipped: list[Skipped] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def numbers(self) -> range:
        """Numbers of the groups to prepare: every Nth one for a shard."""
        number, count = self.shard or (1, 1)
        return range(number - 1, len(self.groups), count)

    def choose_fps(self, timings: Iterable[Timing | str]) -> float:
        """Return the frame rate of the dataset: the one that is asked for, or the most common one of the sources."""
        known = [timing for timing in timings if isinstance(timing, Timing)]
        return self.options.fps or (common_fps(known) if known else DEFAULT_FPS)

    def fingerprints(self) -> tuple[str, str]:
        """Return two hashes: of settings and source, equal for all shards on all machines; and of this very work.

        The first knows files by their names and sizes. The second also knows the shard and when files were changed.
        """
        settings = {
            **asdict(self.options),
            "size": (self.height, self.width),
            "version": __version__,
            "labels": repr(self.labels),
        }
        common = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode())
        own = hashlib.sha256(f"{self.shard} {self.source.resolve()}\n".encode("utf-8", "surrogateescape"))
        for group in self.groups:
            for take in group:
                crop = None if take.crop is None else astuple(take.crop)
                mask = None if take.mask is None else take.mask.name
                common.update(repr((take.name, take.label, take.start, take.stop, crop, mask)).encode())
            for name, size, changed in _list_files(group[0].source):
                common.update(f"{name!r} {size}\n".encode())
                own.update(f"{changed}\n".encode())
        own.update(common.digest())
        return common.hexdigest(), own.hexdigest()


def make_plan(source: Path, resolution: tuple[int, int], options: PrepareOptions, shard: ShardOf | None = None) -> Plan:
    """Search a source for videos, and decide which takes of them to prepare.

    Raises:
        StyleganvError: if the source holds no videos, or labels or options are invalid.
    """
    if shard is not None and shard[0] > shard[1]:
        raise StyleganvError(f"--shard must be from 1/N to N/N, got {shard[0]}/{shard[1]}: correct it.")
    if options.split_scenes:
        make_detector()  # fail early
    scan = scan_source(source)
    options, selection = _select(source, scan, options)
    takes = trim_and_crop(selection.takes, options.trim, options.crop)
    return Plan(
        source=source,
        height=resolution[0],
        width=resolution[1],
        options=options,
        groups=by_source(takes),
        labels=selection.labels,
        shard=shard,
        skipped=scan.skipped + selection.skipped,
        warnings=selection.warnings,
    )


def _select(source: Path, scan: SourceScan, options: PrepareOptions) -> tuple[PrepareOptions, Selection]:
    """Return the options that the source and its rule complete, and the takes with their labels."""
    if options.dataset is None:
        labels = read_labels(source, scan.videos, options.classes)
        selection = Selection(whole_takes(scan.videos, labels.label_of), labels.space, warnings=labels.warnings)
        return replace(options, source_fps=labels.fps or options.source_fps), selection
    rule = RULES[options.dataset]
    options, selection = rule.complete(options), rule.apply(scan)
    if options.classes != "auto":
        labels = read_labels(source, [take.source for take in selection.takes], options.classes)
        selection.takes = [replace(take, label=labels.label_of.get(take.source.name)) for take in selection.takes]
        selection.labels = labels.space
        selection.warnings += labels.warnings
    return options, selection


def _list_files(source: VideoSource) -> Iterable[tuple[str, int, int]]:
    """Yield name, bytes and time of change of the files of a source; those of its zip, if it is in one."""
    in_zip = source.root.is_file()
    for name in source.files:
        try:
            status = os.stat(source.root if in_zip else os.path.join(source.root, name))
        except OSError:
            yield name, -1, -1  # the decoder reports it
        else:
            yield name, status.st_size, status.st_mtime_ns
