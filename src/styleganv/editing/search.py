"""The search behind `project`: the seed nearest to a clip, then gradients to its content and motion, or to weights.

It follows StyleGAN2's projection (Karras et al. 2020, appendix D), and also optimizes the motion noise of every slot
that the clip depends on.

Shapes: T frames, N of them in a step, L style layers, S slots, H height, W width. Times are in seconds, images in 0..1.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from styleganv import noise
from styleganv.editing.latents import Latents, MotionLatents, compute_w_std, render_differentiably
from styleganv.editing.perceptual import Perceptual, feature_distance, psnr
from styleganv.methods.stylegan_v.sampler import VideoGenerator
from styleganv.options import ProjectOptions
from styleganv.progress import Progress, Stage, track

#: Number of candidates, the nearest by their pixels, that the perceptual network compares.
NUM_PERCEPTUAL_CANDIDATES = 12
#: Frames per step, and the limit of their elements together: 4 frames of 512², 1 of 1024².
STEP_FRAMES, MAX_STEP_ELEMENTS = 16, 2**20
#: Frames per step that the perceptual network compares; it costs ten times what small frames cost.
PERCEPTUAL_FRAMES = 2
#: Peak learning rates of Adam: in standard deviations of w and of the noise; of the weights, in fine-tuning.
STYLE_RATE, NOISE_RATE, FINETUNE_RATE = 0.06, 0.025, 0.002
#: Weights of the loss, whose pixel term is the mean squared error summed over a pyramid of three sizes.
PIXEL_WEIGHT, PERCEPTUAL_WEIGHT = 8.0, 1.0
#: Weights of two priors that keep the latents editable: distance of the styles from one w, and of the norm of the noise
#: from that of N(0, I).
STYLE_PRIOR_WEIGHT, NOISE_PRIOR_WEIGHT = 0.1, 0.05
#: Fraction of the steps after which layers have their own styles and the perceptual network takes part.
REFINE_AFTER = 0.4
#: Noise added to w at first, in standard deviations; it falls to 0 by half of the steps and avoids local minima.
W_NOISE = 0.05
#: Steps between evaluations of the clip, the best of which is kept; frames per evaluation, by pixels and perceptually.
EVAL_EVERY, EVAL_FRAMES, EVAL_PERCEPTUAL_FRAMES = 50, 32, 8


@dataclass(frozen=True)
class TargetClip:
    """Real frames `[T, 3, H, W]` with their times `[T]` and perceptual features."""

    frames: Tensor
    times: Tensor
    features: list[Tensor]
    perceptual: Perceptual

    @classmethod
    def from_frames(cls, frames: np.ndarray, fps: float, perceptual: Perceptual, device: torch.device) -> "TargetClip":
        """Create the clip from uint8 `[T, H, W, 3]`; the features take about one megabyte per frame on the device."""
        images = torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2).to(device).float() / 255
        with torch.no_grad():
            parts = [perceptual.features(part) for part in images.split(8)]
        times = torch.arange(len(frames), dtype=torch.float64) / fps
        return cls(images, times, [torch.cat(stage) for stage in zip(*parts, strict=True)], perceptual)

    def first_frame(self) -> "TargetClip":
        """Return the clip of the first frame only."""
        return TargetClip(self.frames[:1], self.times[:1], [stage[:1] for stage in self.features], self.perceptual)

    @property
    def frames_per_step(self) -> int:
        """Number of frames that fit into a step."""
        return max(1, min(STEP_FRAMES, MAX_STEP_ELEMENTS // self.frames[0, 0].numel()))

    def draw_frames(self, random: torch.Generator) -> Tensor:
        """Return frame numbers for a step, one at random from each of equal parts of the clip."""
        num_frames = len(self.times)
        num_drawn = min(num_frames, self.frames_per_step)
        positions = (torch.arange(num_drawn) + torch.rand(num_drawn, generator=random)) * num_frames / num_drawn
        return positions.long().clamp(max=num_frames - 1)

    def loss(self, x: Tensor, index: Tensor, perceptual_index: Tensor | None) -> Tensor:
        """Return the loss of images `x [N, 3, H, W]` of the frames `index [N]`.

        The coarse sizes of the pyramid give gradients far from the target. The perceptual network compares the images
        `perceptual_index` of `x`, or none.
        """
        total = x.new_zeros(())
        small, real = x, self.frames[index]
        for _ in range(3):
            total = total + PIXEL_WEIGHT * (small - real).square().mean()
            small, real = F.avg_pool2d(small, 2), F.avg_pool2d(real, 2)
        if perceptual_index is None:
            return total
        features = [stage[index[perceptual_index]] for stage in self.features]
        distance = feature_distance(self.perceptual.features(x[perceptual_index]), features)
        return total + PERCEPTUAL_WEIGHT * distance.mean()


def find_nearest(
    model: VideoGenerator, clip: TargetClip, candidates: Sequence[Latents], progress: Progress | None
) -> Latents:
    """Return the candidate most similar to a few frames of the clip."""
    index = _spaced(len(clip.times), 4)
    losses = [
        _evaluate(model, clip, candidate, index, None)[0]
        for candidate in track(candidates, progress, len(candidates), "comparing seeds")
    ]
    nearest = np.argsort(losses, kind="stable")[:NUM_PERCEPTUAL_CANDIDATES]
    everything = torch.arange(len(index))
    return min(
        (candidates[i] for i in nearest), key=lambda latents: _evaluate(model, clip, latents, index, everything)[0]
    )


def search(
    model: VideoGenerator, clip: TargetClip, start: Latents, options: ProjectOptions, stage: Stage
) -> Iterator[tuple[Latents, dict[str, float]]]:
    """Optimize the latents; at every evaluation, yield the best so far and its `step`, `psnr` and `loss` of now."""
    num_steps, w_std = options.num_steps, compute_w_std(model)
    # One w, the offset of each layer from it in standard deviations, and the noise of the slots of the clip.
    w = start.styles[0].clone().requires_grad_()
    offset = torch.zeros_like(start.styles).requires_grad_(options.space == "w+")
    motion_noise = _seeded_noise(model, clip, start.motion.seed).requires_grad_(not options.first_frame)
    motion = MotionLatents(start.motion.seed, motion_noise, start.motion.label)
    rates = {w: STYLE_RATE * float(w_std.mean()), offset: STYLE_RATE, motion_noise: NOISE_RATE}
    optimizer = torch.optim.Adam([{"params": [x], "peak": peak} for x, peak in rates.items()], betas=(0.9, 0.95))
    random = torch.Generator().manual_seed(options.seed)
    best = math.inf
    for step in range(num_steps):
        fraction = step / num_steps
        index = clip.draw_frames(random)
        w_noise = W_NOISE * max(0.0, 1 - 2 * fraction) ** 2 * w_std * torch.randn(w.shape, generator=random)
        styles, perceptual_index = (w + w_noise).expand_as(offset), None
        if fraction >= REFINE_AFTER:
            styles = styles + offset * w_std
            perceptual_index = torch.randperm(len(index), generator=random)[:PERCEPTUAL_FRAMES]
        x = render_differentiably(model, styles, motion, clip.times[index]) / 2 + 0.5
        squared_norm = motion_noise.square().mean(dim=1)
        prior = STYLE_PRIOR_WEIGHT * offset.square().mean() + NOISE_PRIOR_WEIGHT * (squared_norm - 1).square().mean()
        _optimizer_step(optimizer, clip.loss(x, index, perceptual_index) + prior.to(x.device), fraction)
        if (step + 1) % EVAL_EVERY and step + 1 < num_steps:
            stage.advance()
            continue
        styles = (w + offset * w_std).detach()
        latents = Latents(styles, MotionLatents(motion.seed, motion_noise.detach().clone(), motion.label))
        index = _spaced(len(clip.times), EVAL_FRAMES)
        loss, decibels = _evaluate(model, clip, latents, index, _spaced(len(index), EVAL_PERCEPTUAL_FRAMES))
        if loss < best:
            best, start = loss, latents
        yield start, {"step": step + 1, "psnr": decibels, "loss": loss}
        stage.advance(f"PSNR {decibels:.1f} dB")


def finetune(model: VideoGenerator, latents: Latents, clip: TargetClip, options: ProjectOptions, stage: Stage) -> None:
    """Fit the weights of the synthesis network to the clip, with the latents fixed (Roich et al. 2021)."""
    weights = list(model.generator.synthesis.requires_grad_(True).parameters())
    optimizer = torch.optim.Adam([{"params": weights, "peak": FINETUNE_RATE}], betas=(0.9, 0.99))
    random = torch.Generator().manual_seed(options.seed)
    for step in range(options.finetune_steps):
        index = clip.draw_frames(random)
        x = render_differentiably(model, latents.styles, latents.motion, clip.times[index]) / 2 + 0.5
        perceptual_index = torch.randperm(len(index), generator=random)[:PERCEPTUAL_FRAMES]
        _optimizer_step(optimizer, clip.loss(x, index, perceptual_index), step / options.finetune_steps)
        if (step + 1) % EVAL_EVERY:
            stage.advance()
        else:
            stage.advance(f"fine-tuning, PSNR {float(psnr(x.detach(), clip.frames[index]).mean()):.1f} dB")


def _optimizer_step(optimizer: torch.optim.Optimizer, loss: Tensor, fraction: float) -> None:
    """Take a step at a rate that rises during the first twentieth of all steps, then falls along a cosine."""
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * min(1.0, 20 * fraction + 0.01) * (0.5 + 0.5 * math.cos(math.pi * fraction))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


@torch.no_grad()
def _evaluate(
    model: VideoGenerator, clip: TargetClip, latents: Latents, index: Tensor, perceptual_index: Tensor | None
) -> tuple[float, float]:
    """Return the loss and the PSNR over the frames `index`."""
    times = clip.times[index].split(clip.frames_per_step)
    parts = [render_differentiably(model, latents.styles, latents.motion, part) for part in times]
    x = (torch.cat(parts) / 2 + 0.5).clamp(0, 1)
    return float(clip.loss(x, index, perceptual_index)), float(psnr(x, clip.frames[index]).mean())


def _seeded_noise(model: VideoGenerator, clip: TargetClip, seed: int) -> Tensor:
    """Return the seed's noise `[S, noise_dim]` of the slots that the clip depends on."""
    motion = model.generator.motion
    assert motion is not None
    slots = range(model.generator.num_slots(float(clip.times[-1]) * model.fps))
    return torch.from_numpy(np.stack([noise.normal(seed, noise.MOTION, slot, motion.noise_dim) for slot in slots]))


def _spaced(total: int, count: int) -> Tensor:
    """Return at most `count` evenly spaced numbers from 0 to `total` − 1."""
    return torch.linspace(0, total - 1, min(total, count)).round().long()
