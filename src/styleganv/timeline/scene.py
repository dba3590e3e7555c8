"""Scenes: what a timeline shows at any time, as latents and frames of a model.

    Timeline ──Track per key──▶ Latents at a time ──▶ styles, v(motion time) ──VideoGenerator.frames──▶ frames

A frame depends on its time only, so frames from any time on are those of the whole video. Times are in seconds.

Shapes: L style layers, H height, W width, R rows and C columns of a grid.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache, lru_cache
from itertools import pairwise, takewhile
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from styleganv.editing.directions import Directions
from styleganv.editing.edits import blend_motions, check_layer, mix_styles
from styleganv.editing.latents import Latents, MotionLatents
from styleganv.errors import StyleganvError
from styleganv.label_space import Label
from styleganv.media import sheets
from styleganv.methods.stylegan_v.sampler import VideoGenerator
from styleganv.timeline.notation import Mix, Term
from styleganv.timeline.timeline import Timeline
from styleganv.timeline.track import Track
from styleganv.validation import NonNegative, Positive, check_arguments
from styleganv.video_model import TICKS, Frame, VideoModel


class Resolver(Protocol):
    """What the names in a timeline mean. Both methods raise StyleganvError for an unknown name."""

    def find_latents(self, name: str) -> Latents:
        """Return the latents of a name."""

    def find_direction(self, full_name: str) -> tuple[Directions, str]:
        """Return the directions that a full name refers to, and the name in them."""


@check_arguments
def frames(
    model: VideoModel, timeline: Timeline, resolver: Resolver, *, start: NonNegative = 0.0, fps: Positive | None = None
) -> Iterator[Frame]:
    """Yield frames `[H, W, 3]` from a time of the video on, in constant memory; of a grid, all cells in one frame.

    After `timeline.seconds`, a loop repeats; another video keeps its last keyframe and moves on.

    Args:
        start: time of the first frame in the video, in seconds.
        fps: frames per second; default: the model's. Only StyleGAN-V and DIGAN have other frame rates.

    Raises:
        StyleganvError: for what the model does not support, and unknown names.
    """
    rows, columns = timeline.grid
    images = cells(model, timeline, resolver, start=start, fps=fps)
    return (image[0, 0] for image in images) if rows * columns == 1 else map(sheets.tile, images)


def cells(
    model: VideoModel, timeline: Timeline, resolver: Resolver, *, start: float, fps: float | None
) -> Iterator[NDArray[np.uint8]]:
    """Yield the cells `[R, C, H, W, 3]` of each time; arguments as for `frames`."""
    rows, columns = timeline.grid
    if isinstance(model, VideoGenerator):
        scenes = [Scene(model, timeline, resolver, row, column) for row in range(rows) for column in range(columns)]
        videos = [scene.frames(start, fps or model.fps) for scene in scenes]
    else:
        videos = [_stream(model, timeline, start, fps, i // columns, i % columns) for i in range(rows * columns)]
    return (np.stack(images).reshape(rows, columns, *images[0].shape) for images in zip(*videos, strict=False))


class Scene:
    """One video of a timeline. All its names and layers are checked when it is created."""

    def __init__(
        self, model: VideoGenerator, timeline: Timeline, resolver: Resolver, row: int = 0, column: int = 0
    ) -> None:
        """Prepare the tracks; in a grid, seeds of motion are those of the timeline + `row`, of content + `column`."""
        self.model, self.timeline, self.resolver, self.row, self.column = model, timeline, resolver, row, column
        self._content, self._source = cache(self._content_track), cache(self._find_content)
        self._latents = lru_cache(maxsize=4 * model.chunk_size)(self._latents_at)
        for keyframe in timeline.keyframes:
            for key, value in keyframe.values.items():
                self.check(key, value)
        self._contents = timeline.stated("content", (Term(0),))
        self._motions = timeline.stated("motion") or self._contents
        self._sources = dict.fromkeys(term.source for _, terms in self._motions for term in terms)
        self._weights = self._motion_track()
        self._psi, self._speed = (self._track(timeline.stated(key, 1.0)) for key in ("psi", "speed"))
        steps = timeline.stated("directions", ())
        names = dict.fromkeys(name for _, pairs in steps for name, _ in pairs)
        self._strengths = {name: self._track([(t, dict(pairs).get(name, 0.0)) for t, pairs in steps]) for name in names}
        self._amounts = {key: self._track(points) for key, points in self._mix_points().items()}
        first = timeline.start
        self._loop = model.close_loop(first, first + self._speed.integral(timeline.seconds)) if timeline.loop else None
        self._code: tuple[Any, Callable[[float], Tensor] | None] = None, None

    def check(self, key: str, value: Any) -> None:
        """Raise StyleganvError for a value of a keyframe that this model cannot show."""
        if key in ("content", "motion"):
            for term in value:
                self._check_source(term.source)
        elif key == "mix":
            for mix in value:
                self._check_source(mix.source, in_grid=True)
                for layer in mix.layers:
                    check_layer(layer, self.model.generator.synthesis.num_styles)
        elif key == "directions":
            for name, _ in value:
                self.resolver.find_direction(name)
        elif key == "label":
            self.model.choose_label(0, label_text(self.model, value))

    def _check_source(self, source: int | str, in_grid: bool = False) -> None:
        if isinstance(source, str):
            if self.timeline.grid != (1, 1) and not in_grid:
                raise StyleganvError(f"A grid requires seeds, got {source}: choose a seed, or set the grid to 1 × 1.")
            self.resolver.find_latents(source)

    def _track(self, points: list[tuple[float, Any]]) -> Track:
        return Track([time for time, _ in points], np.stack([value for _, value in points]), self.timeline.period)

    def _motion_track(self) -> Track:
        """Return the weights of all sources of motion over time, of length 1 at each keyframe."""
        points = []
        for time, terms in self._motions:
            weights = dict.fromkeys(self._sources, 0.0)
            for term in terms:
                weights[term.source] += term.weight
            norm = math.hypot(*weights.values())
            if norm == 0:
                raise StyleganvError("Motion requires a weight other than 0: change the weights, or state a motion.")
            points.append((time, np.array([weight / norm for weight in weights.values()])))
        for (_, a), (time, b) in pairwise([*points, *points[: self.timeline.loop]]):
            if a @ b < -1 + 1e-9:
                raise StyleganvError(
                    f"The motion at {time:g} s is the opposite of the one before, which no blend lies between: add a "
                    "keyframe with another motion."
                )
        return self._track(points)

    def _mix_points(self) -> dict[tuple[int | str, tuple[int, ...]], list[tuple[float, float]]]:
        points: dict[tuple[int | str, tuple[int, ...]], list[tuple[float, float]]] = {}
        for time, mixes in self.timeline.stated("mix"):
            for source, layers, amount in {
                (m.source, m.layers): (m.source, m.layers, m.amount) for m in mixes
            }.values():
                points.setdefault((source, layers), []).append((time, amount))
        return points

    def _in_force(self, points: list[tuple[float, Any]], time: float) -> Any:
        """Return the value at a time of a key that switches; before its first keyframe, a loop has that of the last."""
        before = [value for at, value in points if at <= time]
        return before[-1] if before else points[-1 if self.timeline.loop else 0][1]

    def _find_content(self, source: int | str, label: str | None, offset: int) -> tuple[Tensor, Tensor]:
        """Return untruncated styles of a seed or latents and the mean w of their label, both `[L, w_dim]`."""
        own = self._content_label(source, label, offset)
        if isinstance(source, int):
            styles = self.model.styles_from_seed(source + offset, label=label).cpu().clone()
        else:
            latents = self.resolver.find_latents(source)
            styles, own = latents.styles, latents.motion.label
        return styles, self.model.truncation.mean(self.model.label_tensor(own)).cpu().expand_as(styles)

    def _content_label(self, source: int | str, label: str | None, offset: int) -> Label | None:
        """Return the label stated, or that of a seed or latents."""
        if isinstance(source, int) or label is not None:
            return self.model.choose_label(source + offset if isinstance(source, int) else 0, label)
        return self.resolver.find_latents(source).motion.label

    def _content_track(self, label: str | None) -> Track:
        """Return styles and mean w `[2, L, w_dim]` over time, if all keyframes have this label."""
        points = []
        for time, terms in self._contents:
            sources = [self._source(term.source, label, self.column) for term in terms]
            parts = [term.weight * torch.stack(each) for term, each in zip(terms, sources, strict=True)]
            if rest := 1 - math.fsum(term.weight for term in terms):
                parts.append(rest * torch.stack([sources[0][1]] * 2))
            points.append((time, torch.stack(parts).sum(dim=0).numpy()))
        return self._track(points)

    def latents(self, time: float) -> Latents:
        """Return the latents at a time of the video; in a loop, one from 0 to its seconds."""
        return self._latents(time)

    def _latents_at(self, time: float) -> Latents:
        stated = self.timeline.stated("label")
        label = label_text(self.model, self._in_force(stated, time)) if stated else None
        psi = float(self._psi(time))
        w, mean = map(torch.from_numpy, self._content(label)(time))
        latents = Latents(w if psi == 1 else torch.lerp(mean, w, psi), self._motion(time, label))
        for mix in self._mixes(time):
            w, mean = self._source(mix.source, label, 0)
            other = replace(latents, styles=w if psi == 1 else torch.lerp(mean, w, psi))
            amount = float(self._amounts[mix.source, mix.layers](time))
            latents = mix_styles(latents, other, mix.layers, amount)
        for full_name, strength in self._strengths.items():
            directions, name = self.resolver.find_direction(full_name)
            if amount := float(strength(time)):
                latents = directions.apply(latents, name, amount)
        return latents

    def _mixes(self, time: float) -> tuple[Mix, ...]:
        mixes: tuple[Mix, ...] = self._in_force(self.timeline.stated("mix", ()) or [(0.0, ())], time)
        return mixes

    def _motion(self, time: float, label: str | None) -> MotionLatents:
        weights = zip(self._weights(time).tolist(), self._sources, strict=True)
        terms = [
            (
                weight,
                self.resolver.find_latents(source).motion
                if isinstance(source, str)
                else MotionLatents(source + self.row),
            )
            for weight, source in weights
            if weight
        ]
        first = self._in_force(self._motions, time)[0].source
        if isinstance(first, int):  # the motion of a seed has the content's label, as everywhere
            content = self._in_force(self._contents, time)[0].source
            return replace(blend_motions(terms), label=self._content_label(content, label, self.column))
        return replace(blend_motions(terms), label=self._content_label(first, label, 0))

    @property
    def is_content_constant(self) -> bool:
        """Whether the styles never change, so that the network can be folded for them."""
        spaces = {name: self.resolver.find_direction(name)[0].space for name in self._strengths}
        tracks = [track for name, track in self._strengths.items() if spaces[name] == "content"]
        labels, mixes = ({value for _, value in self.timeline.stated(key)} for key in ("label", "mix"))
        if len(labels) > 1 or len(mixes) > 1:
            return False
        label = label_text(self.model, next(iter(labels), None))
        return all(track.is_constant for track in [self._psi, self._content(label), *tracks])

    def frames(self, start: float, fps: float) -> Iterator[Frame]:
        """Yield the frames `[H, W, 3]` from a time of the video on, as far as the model's motion reaches."""
        times, limit = self.model.times(start, fps), self.model.max_frames
        if limit is not None:
            self.model.motion_time(self._motion_seconds(start))  # raises if nothing is left
            times = takewhile(lambda time: self._motion_frames(time) < limit, times)
        styles = (
            self.latents(0.0).styles if self.is_content_constant else lambda time: self.latents(self._wrap(time)).styles
        )
        return self.model.frames(styles, times, None if self.model.is_image_model else self._code_at)

    def _wrap(self, time: float) -> float:
        """Return the time within a loop, in which the end is exactly the start."""
        if not self.timeline.loop:
            return time
        ticks = self.model.fps * TICKS
        return round(time * ticks) % round(self.timeline.seconds * ticks) / ticks

    def _motion_seconds(self, time: float) -> float:
        return self.timeline.start + self._speed.integral(self._wrap(time))

    def _motion_frames(self, time: float) -> float:
        """Return the time of the motion for one of the video, both in frames of the dataset."""
        seconds = self._motion_seconds(time / self.model.fps)
        return self.model.motion_time(seconds) if self._loop is None else self._loop.time(seconds * self.model.fps)

    def _code_at(self, time: float) -> Tensor:
        """Return v at a time of the video in frames of the dataset."""
        motion = self.latents(self._wrap(time / self.model.fps)).motion
        noise = tuple((weight, each.seed, id(each.noise)) for weight, each in motion.terms)
        key = noise, motion.label, None if motion.shift is None else motion.shift.numpy().tobytes()
        if key != self._code[0]:
            assert self.model.generator.motion is not None
            slot_noise = motion.slot_noise(self.model.generator.motion.noise_dim)
            self._code = key, self.model.code_function(slot_noise, motion.label, motion.shift, self._loop)
        code = self._code[1]
        assert code is not None
        return code(self._motion_frames(time))


def label_text(model: VideoModel, label: int | str | None) -> str | None:
    """Return a label as text, or None. Raises StyleganvError if the model has no such class."""
    if label is None or isinstance(label, str):
        return label
    if model.labels.problem(label):
        raise StyleganvError(f"Unknown class {label}: choose 0 to {len(model.labels.names) - 1}.")
    return model.labels.format(label)


def _stream(
    model: VideoModel, timeline: Timeline, start: float, fps: float | None, row: int, column: int
) -> Iterator[Frame]:
    """Yield the frames of a model of another method, which has seeds, psi and label. Refuse everything else."""
    values = {key: _only(model, timeline, key) for keyframe in timeline.keyframes for key in keyframe.values}
    for key in ("mix", "directions"):
        if values.get(key):
            raise StyleganvError(f"{model.name} does not support {key}: remove it.")
    if timeline.loop:
        raise StyleganvError(f"Videos of this {model.name} model cannot be closed to a loop: omit the loop.")
    content, speed = _seed(model, values.get("content", (Term(0),))), values.get("speed", 1.0)
    motion = _seed(model, values["motion"]) if "motion" in values else content if row + column else None
    if not speed or (speed != 1 and not model.supports_any_fps):
        raise StyleganvError(f"{model.name} does not support speed {speed:g}: remove it.")
    rate = (fps or model.fps) / speed if model.supports_any_fps else model.fps
    first, seconds = timeline.start + start * speed, None
    if model.max_frames is not None:
        seconds = max(1, math.floor((model.max_frames / model.fps - first) * rate + 1e-6)) / rate
    return model.stream(
        seed=content + column,
        motion_seed=None if motion is None else motion + row,
        start=first,
        seconds=seconds,
        fps=rate if model.supports_any_fps else None,
        psi=values.get("psi", 1.0),
        label=label_text(model, values.get("label")),
    )


def _only(model: VideoModel, timeline: Timeline, key: str) -> Any:
    """Return the value of a key that does not change."""
    (value, *others) = dict.fromkeys(value for _, value in timeline.stated(key))
    if others:
        raise StyleganvError(f"{model.name} does not support changes over time, got several values of {key}: keep one.")
    return value


def _seed(model: VideoModel, terms: tuple[Term, ...]) -> int:
    if len(terms) > 1 or not isinstance(terms[0].source, int) or terms[0].weight != 1:
        raise StyleganvError(f"{model.name} supports only single seeds, got other terms: choose one seed.")
    return terms[0].source
