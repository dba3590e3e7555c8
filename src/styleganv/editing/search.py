"""The search behind `project`: which seed is nearest to a clip, then gradients to content and motion, or to weights.

It follows StyleGAN2's projection (Karras et al. 2020, appendix D), and the motion noise of every slot that the clip
sees moves along.

Shapes: T frames, N of them in a step, L style layers, S slots, H height, W width. Times are in seconds, and pictures
in 0..1.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from styleganv import noise
from styleganv.editing.latents import Latents, MotionLatents, differentiable_frames, spread_of_w
from styleganv.editing.perceptual import Perceptual, apart, psnr
from styleganv.methods.stylegan_v.sampler import VideoGenerator

Space = Literal["w", "w+"]

#: How many of the seeds, the nearest by their pixels, the perceptual network sees.
JUDGED_SEEDS = 12
#: Frames of a step, unless they have more pixels than this together: so 4 of 512² and 1 of 1024².
FRAMES, STEP_PIXELS = 16, 2**20
#: How many of them the perceptual network sees: it costs ten times what small frames cost.
JUDGED = 2
#: Adam's steps at their largest, in standard deviations of w and of the noise; of the weights, in fine-tuning.
STYLE_RATE, NOISE_RATE, TUNE_RATE = 0.06, 0.025, 0.002
#: Weights of the loss, whose pixel term is the squared error summed over a pyramid of three sizes.
PIXELS, PERCEPTUAL = 8.0, 1.0
#: Of the styles' distance from one common w, and of the noise's norm from that of N(0, I): both keep what is found
#: where the model was trained, so that it can be edited.
SPREAD, NORM = 0.1, 0.05
#: From this part of the steps on, layers have styles of their own and pictures are judged by the network, too.
REFINED = 0.4
#: Added to w at first, in standard deviations, and gone after half of the steps: the search is not caught at its start.
BLUR = 0.05
#: Steps between looks at the whole clip, of which the best is kept; how many of its frames they see, and the network.
LOOK_EVERY, LOOK_FRAMES, LOOK_JUDGED = 50, 32, 8


@dataclass(frozen=True)
class Clip:
    """The real frames `[T, 3, H, W]` with their times `[T]` and their perceptual features."""

    frames: Tensor
    times: Tensor
    features: list[Tensor]
    judge: Perceptual

    def first(self) -> "Clip":
        """Its first frame only."""
        return Clip(self.frames[:1], self.times[:1], [stage[:1] for stage in self.features], self.judge)

    @property
    def step_frames(self) -> int:
        """How many frames fit into a step."""
        return max(1, min(FRAMES, STEP_PIXELS // self.frames[0, 0].numel()))

    def some(self, random: torch.Generator) -> Tensor:
        """Frame numbers for a step, one at random of each of as many equal parts of the clip."""
        total = len(self.times)
        count = min(total, self.step_frames)
        places = (torch.arange(count) + torch.rand(count, generator=random)) * total / count
        return places.long().clamp(max=total - 1)

    def loss(self, x: Tensor, index: Tensor, judged: Tensor | None) -> Tensor:
        """Of pictures `x [N, 3, H, W]` from the frames `index [N]`, of which the network sees those at `judged`.

        Coarse pictures tell from afar which way to go.
        """
        total = x.new_zeros(())
        small, real = x, self.frames[index]
        for _ in range(3):
            total = total + PIXELS * (small - real).square().mean()
            small, real = F.avg_pool2d(small, 2), F.avg_pool2d(real, 2)
        if judged is None:
            return total
        features = [stage[index[judged]] for stage in self.features]
        return total + PERCEPTUAL * apart(self.judge.features(x[judged]), features).mean()


def clip_of(frames: np.ndarray, fps: float, judge: Perceptual, device: torch.device) -> Clip:
    """Of uint8 `[T, H, W, 3]`. On the device the features take about a megabyte a frame."""
    pictures = torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2).to(device).float() / 255
    with torch.no_grad():
        parts = [judge.features(part) for part in pictures.split(8)]
    times = torch.arange(len(frames), dtype=torch.float64) / fps
    return Clip(pictures, times, [torch.cat(stage) for stage in zip(*parts, strict=True)], judge)


def nearest(video: VideoGenerator, clip: Clip, candidates: Sequence[Latents]) -> Latents:
    """The one most like a few frames of the clip."""
    index = _evenly(len(clip.times), 4)
    by_pixels = [_look(video, clip, each, index, None)[0] for each in tqdm(candidates, desc="seeds", delay=2)]
    few = np.argsort(by_pixels, kind="stable")[:JUDGED_SEEDS]
    judged = torch.arange(len(index))
    return min((candidates[i] for i in few), key=lambda each: _look(video, clip, each, index, judged)[0])


def search(
    video: VideoGenerator,
    clip: Clip,
    start: Latents,
    *,
    space: Space,
    steps: int,
    seed: int,
    move_noise: bool,
    bar: tqdm,
) -> Iterator[tuple[Latents, dict[str, float]]]:
    """The best so far, with `step`, `psnr` and `loss` of now, at every look. Other arguments as for `project`."""
    spread = spread_of_w(video)
    # One w, each layer's offset from it in units of the spread, and the noise of the slots that the clip sees.
    w = start.styles[0].clone().requires_grad_()
    offset = torch.zeros_like(start.styles).requires_grad_(space == "w+")
    slot_noise = _recorded(video, clip, start.motion.seed).requires_grad_(move_noise)
    motion = MotionLatents(start.motion.seed, slot_noise, start.motion.label)
    rates = {w: STYLE_RATE * float(spread.mean()), offset: STYLE_RATE, slot_noise: NOISE_RATE}
    optimizer = torch.optim.Adam([{"params": [x], "peak": peak} for x, peak in rates.items()], betas=(0.9, 0.95))
    random = torch.Generator().manual_seed(seed)
    best = math.inf
    for step in range(steps):
        part = step / steps
        index = clip.some(random)
        blur = BLUR * max(0.0, 1 - 2 * part) ** 2 * spread * torch.randn(w.shape, generator=random)
        styles, judged = (w + blur).expand_as(offset), None
        if part >= REFINED:
            styles = styles + offset * spread
            judged = torch.randperm(len(index), generator=random)[:JUDGED]
        x = differentiable_frames(video, styles, motion, clip.times[index]) / 2 + 0.5
        norm = slot_noise.square().mean(dim=1)
        prior = SPREAD * offset.square().mean() + NORM * (norm - 1).square().mean()
        _descend(optimizer, clip.loss(x, index, judged) + prior, part)
        bar.update()
        if (step + 1) % LOOK_EVERY == 0 or step + 1 == steps:
            styles = (w + offset * spread).detach()
            found = Latents(styles, MotionLatents(motion.seed, slot_noise.detach().clone(), motion.label))
            looked = _evenly(len(clip.times), LOOK_FRAMES)
            value, decibels = _look(video, clip, found, looked, _evenly(len(looked), LOOK_JUDGED))
            bar.set_postfix_str(f"psnr {decibels:.1f}")
            if value < best:
                best, start = value, found
            yield start, {"step": step + 1, "psnr": decibels, "loss": value}


def tune(video: VideoGenerator, latents: Latents, clip: Clip, *, steps: int, seed: int, bar: tqdm) -> None:
    """Fit the synthesis network itself to the clip, with the latents held (Roich et al. 2021)."""
    weights = list(video.generator.synthesis.requires_grad_(True).parameters())
    optimizer = torch.optim.Adam([{"params": weights, "peak": TUNE_RATE}], betas=(0.9, 0.99))
    random = torch.Generator().manual_seed(seed)
    for step in range(steps):
        index = clip.some(random)
        x = differentiable_frames(video, latents.styles, latents.motion, clip.times[index]) / 2 + 0.5
        _descend(optimizer, clip.loss(x, index, torch.randperm(len(index), generator=random)[:JUDGED]), step / steps)
        bar.update()
        if (step + 1) % LOOK_EVERY == 0:
            bar.set_postfix_str(f"tuning, psnr {float(psnr(x.detach(), clip.frames[index]).mean()):.1f}")


def _descend(optimizer: torch.optim.Optimizer, loss: Tensor, part: float) -> None:
    """A step of a rate that rises in the first twentieth of all steps, then falls along a cosine."""
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * min(1.0, 20 * part + 0.01) * (0.5 + 0.5 * math.cos(math.pi * part))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


@torch.no_grad()
def _look(
    video: VideoGenerator, clip: Clip, latents: Latents, index: Tensor, judged: Tensor | None
) -> tuple[float, float]:
    """Loss and PSNR over the frames `index`."""
    few = index.split(clip.step_frames)
    parts = [differentiable_frames(video, latents.styles, latents.motion, clip.times[each]) for each in few]
    x = (torch.cat(parts) / 2 + 0.5).clamp(0, 1)
    return float(clip.loss(x, index, judged)), float(psnr(x, clip.frames[index]).mean())


def _recorded(video: VideoGenerator, clip: Clip, seed: int) -> Tensor:
    """The seed's noise `[S, noise_dim]` of the slots that the clip sees."""
    motion = video.generator.motion
    assert motion is not None
    slots = range(video.generator.num_slots(float(clip.times[-1]) * video.fps))
    return torch.from_numpy(np.stack([noise.normal(seed, noise.MOTION, slot, motion.noise_dim) for slot in slots]))


def _evenly(total: int, count: int) -> Tensor:
    return torch.linspace(0, total - 1, min(total, count)).round().long()
