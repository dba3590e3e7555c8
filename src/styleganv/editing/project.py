"""Projection: the content and the motion with which a model comes closest to a given clip.

    frames ──many seeds tried──▶ a seed's latents ──gradients──▶ Latents ──(fine-tuning)──▶ a model of its own

The search follows StyleGAN2's projection (Karras et al. 2020, appendix D), and the motion noise of every slot that the
clip sees moves along. Beyond those slots the seed's noise goes on, so the clip never ends; and as a code sees `reach`
slots ahead, its motion turns into the seed's little by little.

Shapes: T frames, N of them in a step, L style layers, S slots, H height, W width. Times are in seconds.
"""

import math
from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from styleganv import noise
from styleganv.editing.latents import Latents, MotionLatents, differentiable_frames, latents_of, play
from styleganv.editing.perceptual import Perceptual, apart, load_perceptual, psnr, ssim
from styleganv.errors import StyleganvError
from styleganv.video_generator import VideoGenerator

Space = Literal["w", "w+"]
MEASURES = ("psnr", "ssim", "perceptual")

#: Seeds that are tried before the search, and how many of them, by their pixels, the perceptual network sees.
SEEDS, JUDGED_SEEDS = 64, 12
#: Frames of a step, and how many of them the perceptual network sees: it costs ten times what small frames cost.
FRAMES, SEEN = 16, 2
#: Adam's steps at their largest, in standard deviations of w and of the noise; of the weights, in fine-tuning.
STYLE_RATE, NOISE_RATE, TUNE_RATE = 0.06, 0.025, 0.002
#: Weights of the loss, whose pixel term is the squared error in 0..1 summed over a pyramid of three sizes.
PIXELS, PERCEPTUAL = 8.0, 1.0
#: Of the styles' distance from one common w, and of the noise's norm from that of N(0, I): both keep what is found
#: where the model was trained, so that it can be edited.
SPREAD, NORM = 0.1, 0.05
#: From this part of the steps on, layers have styles of their own and pictures are judged by the network, too.
REFINED = 0.4
#: Steps between looks at the whole clip, of which the best is kept, and how many of its frames these looks see.
CHECK_EVERY, CHECK_FRAMES = 50, 32


@dataclass(frozen=True)
class Projection:
    """What was found.

    Attributes:
        latents: play them with `video`.
        video: the model; of its own weights after fine-tuning.
        tuned: whether it is.
        psnr, ssim, perceptual: of each frame as it is played, against the real one.
        history: `step`, `psnr` and `loss` of each look at the clip.
        interrupted: whether Ctrl-C ended the search early.
    """

    latents: Latents
    video: VideoGenerator
    tuned: bool
    psnr: tuple[float, ...]
    ssim: tuple[float, ...]
    perceptual: tuple[float, ...]
    history: tuple[dict[str, float], ...]
    interrupted: bool

    def means(self) -> dict[str, float]:
        """The three measures, averaged over frames."""
        return {name: float(np.mean(getattr(self, name))) for name in MEASURES}


@dataclass(frozen=True)
class _Clip:
    """The real frames `[T, 3, H, W]` in 0..1 with their times `[T]` and their perceptual features."""

    frames: Tensor
    times: Tensor
    features: list[Tensor]
    judge: Perceptual

    def pixels_apart(self, x: Tensor, index: Tensor) -> Tensor:
        """Of pictures in 0..1 from the frames `index [N]`, over a pyramid: coarse pictures tell the way from afar."""
        y, total = self.frames[index], x.new_zeros(())
        for _ in range(3):
            total = total + (x - y).square().mean()
            x, y = F.avg_pool2d(x, 2), F.avg_pool2d(y, 2)
        return total

    def judged_apart(self, x: Tensor, index: Tensor) -> Tensor:
        return apart(self.judge.features(x), [stage[index] for stage in self.features]).mean()


def project(
    video: VideoGenerator,
    frames: NDArray[np.uint8],
    fps: float,
    *,
    space: Space = "w+",
    steps: int = 600,
    seed: int = 0,
    label: str | int | None = None,
    perceptual: Perceptual | None = None,
    tune_steps: int = 0,
    first_frame: bool = False,
) -> Projection:
    """The latents whose video is most like these frames. Ctrl-C ends the search with the best so far.

    The same seed gives the same result on the same machine.

    Args:
        frames: `[T, H, W, 3]`, of the model's size, T ≥ 2.
        fps: of the frames.
        space: "w+" gives every layer a style of its own; "w" one to all: less alike, more like the model's own videos.
        steps: of the search; 0 gives the best of the seeds tried.
        seed: of the search, and of the motion beyond the clip.
        label: class of a conditional model; the best of all where left out.
        perceptual: the network that judges; the packaged one where left out.
        tune_steps: of fine-tuning a copy of the synthesis network to the clip, with the latents held (pivotal tuning,
            Roich et al. 2021).
        first_frame: fit the first frame only and leave the motion to a seed: what to compare with.

    Raises:
        StyleganvError: if the frames are too few or of another size, or the model makes images, or for an unknown
            class or space.
    """
    _check(video, frames, space, steps, tune_steps)
    judge = perceptual or load_perceptual(device=video.device)
    clip = _clip(frames, fps, judge, video.device)
    seen = _Clip(clip.frames[:1], clip.times[:1], [f[:1] for f in clip.features], judge) if first_frame else clip
    search = _Search(video, seen, space, move_noise=not first_frame)
    history: list[dict[str, float]] = []
    interrupted = False
    latents = search.best_of(_candidates(video, seed, label))
    with tqdm(total=steps + tune_steps, desc="projecting", unit="step") as bar:
        try:
            for best, looked in search.run(latents, steps, seed, bar):
                latents = best
                history.append(looked)
            if tune_steps:
                video = _copied(video)
                _tune(video, latents, clip, tune_steps, seed, bar)
        except KeyboardInterrupt:
            interrupted = True
    video.generator.requires_grad_(False)
    measures = _measured(video, latents, clip, fps)
    return Projection(latents, video, video is not search.video, *measures, tuple(history), interrupted)


def _check(video: VideoGenerator, frames: NDArray[np.uint8], space: str, steps: int, tune_steps: int) -> None:
    size = (video.height, video.width, 3)
    for fits, message in (
        (
            video.generator.motion is not None,
            "This model makes images, so a clip has no motion in it: give one of video",
        ),
        (frames.ndim == 4 and len(frames) >= 2, f"A clip of {len(frames)} frames is too short: give at least 2 frames"),
        (frames.shape[1:] == size, f"The frames are {list(frames.shape[1:])}, the model's {list(size)}: resize them"),
        (space in ("w", "w+"), f"Space {space} is not known: choose w or w+"),
        (steps >= 0 and tune_steps >= 0, "Steps cannot be fewer than none: give 0 or more"),
    ):
        if not fits:
            raise StyleganvError(f"{message}.")


def _clip(frames: NDArray[np.uint8], fps: float, judge: Perceptual, device: torch.device) -> _Clip:
    pictures = torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2).to(device).float() / 255
    with torch.no_grad():
        parts = [judge.features(part) for part in pictures.split(8)]
    times = torch.arange(len(frames), dtype=torch.float64) / fps
    return _Clip(pictures, times, [torch.cat(stage) for stage in zip(*parts, strict=True)], judge)


def _candidates(video: VideoGenerator, seed: int, label: str | int | None) -> list[Latents]:
    """Of seeds that follow from `seed`; where the class is to be chosen, of every class."""
    classes = video.generator.num_classes
    chosen = video.class_index(seed, label) if label is not None or not classes else None
    count = max(SEEDS, 4 * classes)
    labels = [i % classes if classes and chosen is None else chosen for i in range(count)]
    return [latents_of(video, seed * count + i, label=labels[i]) for i in range(count)]


class _Search:
    """The search of one clip's latents."""

    def __init__(self, video: VideoGenerator, clip: _Clip, space: Space, *, move_noise: bool) -> None:
        self.video, self.clip, self.space, self.move_noise = video, clip, space, move_noise
        mapping, classes = video.generator.mapping, video.generator.num_classes
        z = torch.from_numpy(noise.normal(0, noise.CONTENT, 0, 1024 * video.generator.z_dim)).view(1024, -1)
        labels = torch.eye(classes)[torch.arange(1024) % classes].to(video.device) if classes else None
        with torch.no_grad():
            # What is one step for every number of w alike; a constant number of a broken model must not divide by 0.
            self.spread = mapping(z.to(video.device), labels).std(dim=0).cpu().clamp(min=1e-3)

    def best_of(self, candidates: Sequence[Latents]) -> Latents:
        """The one most like a few frames of the clip."""
        index = _evenly(len(self.clip.times), 4)
        by_pixels = [self._loss_at(latents, index, 0)[0] for latents in tqdm(candidates, desc="seeds", delay=2)]
        nearest = np.argsort(by_pixels, kind="stable")[:JUDGED_SEEDS]
        return min((candidates[i] for i in nearest), key=lambda latents: self._loss_at(latents, index, len(index))[0])

    def run(self, start: Latents, steps: int, seed: int, bar: tqdm) -> Iterator[tuple[Latents, dict[str, float]]]:
        """The best so far, at every look."""
        w, motion, noise_of_slots, offset = self._unknowns(start)
        rates = [STYLE_RATE * float(self.spread.mean()), NOISE_RATE, STYLE_RATE]
        groups = [{"params": [x], "peak": r} for x, r in zip((w, noise_of_slots, offset), rates, strict=True)]
        optimizer = torch.optim.Adam(groups, lr=0.0, betas=(0.9, 0.95))
        random = torch.Generator().manual_seed(seed)
        best = math.inf
        for step in range(steps):
            part = step / steps
            for group in optimizer.param_groups:
                group["lr"] = group["peak"] * _rate(part)
            index = _stratified(len(self.clip.times), FRAMES, random)
            blur = 0.05 * max(0.0, 1 - 2 * part) ** 2 * self.spread * torch.randn(w.shape, generator=random)
            refined = part >= REFINED
            styles = (w + blur) + (offset * self.spread if refined and self.space == "w+" else 0 * offset)
            x = differentiable_frames(self.video, styles, motion, self.clip.times[index]) / 2 + 0.5
            loss = PIXELS * self.clip.pixels_apart(x, index)
            if refined:
                few = torch.randperm(len(index), generator=random)[:SEEN]
                loss = loss + PERCEPTUAL * self.clip.judged_apart(x[few], index[few])
            norm = noise_of_slots.square().mean(dim=1)
            loss = loss + SPREAD * offset.square().mean() + NORM * (norm - 1).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            bar.update()
            if (step + 1) % CHECK_EVERY == 0 or step + 1 == steps:
                styles = (w + offset * self.spread).detach().clone()
                found = Latents(styles, MotionLatents(motion.seed, noise_of_slots.detach().clone(), motion.label))
                value, decibels = self._loss_at(found, _evenly(len(self.clip.times), CHECK_FRAMES), 8)
                bar.set_postfix_str(f"psnr {decibels:.1f}")
                if value < best:
                    best, start = value, found
                yield start, {"step": step + 1, "psnr": decibels, "loss": value}

    def _unknowns(self, start: Latents) -> tuple[Tensor, MotionLatents, Tensor, Tensor]:
        """One w `[w_dim]`, the motion with its noise `[S, noise_dim]`, and each layer's offset `[L, w_dim]` in units
        of the spread."""
        network = self.video.generator
        assert network.motion is not None
        slots = network.num_slots(float(self.clip.times[-1]) * self.video.fps)
        drawn = [noise.normal(start.motion.seed, noise.MOTION, slot, network.motion.noise_dim) for slot in range(slots)]
        recorded = torch.from_numpy(np.stack(drawn)).requires_grad_(self.move_noise)
        motion = MotionLatents(start.motion.seed, recorded, start.motion.label)
        return (
            start.styles[0].clone().requires_grad_(),
            motion,
            recorded,
            torch.zeros_like(start.styles).requires_grad_(),
        )

    @torch.no_grad()
    def _loss_at(self, latents: Latents, index: Tensor, judged: int) -> tuple[float, float]:
        """Loss and PSNR over the frames `index`; the network sees `judged` of them."""
        parts = [
            differentiable_frames(self.video, latents.styles, latents.motion, self.clip.times[few])
            for few in index.split(FRAMES)
        ]
        x = (torch.cat(parts) / 2 + 0.5).clamp(0, 1)
        value = PIXELS * self.clip.pixels_apart(x, index)
        if judged:
            few = _evenly(len(index), judged)
            value = value + PERCEPTUAL * self.clip.judged_apart(x[few], index[few])
        return float(value), float(psnr(x, self.clip.frames[index]).mean())


def _copied(video: VideoGenerator) -> VideoGenerator:
    return VideoGenerator(
        deepcopy(video.generator),
        fps=video.fps,
        class_names=video.class_names,
        device=video.device,
        precision=video.precision,
        config=video.config,
    )


def _tune(video: VideoGenerator, latents: Latents, clip: _Clip, steps: int, seed: int, bar: tqdm) -> None:
    """Fit the synthesis network to the clip, with these latents held."""
    weights = list(video.generator.synthesis.requires_grad_(True).parameters())
    optimizer = torch.optim.Adam(weights, lr=0.0, betas=(0.9, 0.99))
    random = torch.Generator().manual_seed(seed)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = TUNE_RATE * _rate(step / steps)
        index = _stratified(len(clip.times), FRAMES, random)
        x = differentiable_frames(video, latents.styles, latents.motion, clip.times[index]) / 2 + 0.5
        few = torch.randperm(len(index), generator=random)[:SEEN]
        loss = PIXELS * clip.pixels_apart(x, index) + PERCEPTUAL * clip.judged_apart(x[few], index[few])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        bar.update()
        if (step + 1) % CHECK_EVERY == 0:
            bar.set_postfix_str(f"tuning, psnr {float(psnr(x.detach(), clip.frames[index]).mean()):.1f}")


@torch.no_grad()
def _measured(
    video: VideoGenerator, latents: Latents, clip: _Clip, fps: float
) -> tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]]:
    """PSNR, SSIM and perceptual distance of each frame, of the whole levels that are played."""
    found: list[Tensor] = []
    frames = play(video, latents, seconds=len(clip.times) / fps, fps=fps)
    for frame, real in zip(frames, clip.frames.split(1), strict=True):
        x = torch.from_numpy(frame).permute(2, 0, 1)[None].to(real.device).float() / 255
        structure = ssim(x, real).to(x) if min(x.shape[-2:]) >= 11 else x.new_full((1,), math.nan)
        found.append(torch.cat([psnr(x, real), structure, clip.judge(x, real)]))
    a, b, c = (tuple(column) for column in torch.stack(found).T.tolist())
    return a, b, c


def _rate(part: float) -> float:
    """Of the largest step: up in the first twentieth, then down along a cosine."""
    return min(1.0, 20 * part + 0.01) * (0.5 + 0.5 * math.cos(math.pi * part))


def _stratified(total: int, count: int, random: torch.Generator) -> Tensor:
    """Frame numbers, one at random of each of `count` equal parts of the clip."""
    count = min(total, count)
    places = (torch.arange(count) + torch.rand(count, generator=random)) * total / count
    return places.long().clamp(max=total - 1)


def _evenly(total: int, count: int) -> Tensor:
    return torch.linspace(0, total - 1, min(total, count)).round().long()
