"""Videos and models with known motion, without and with a planted fault.

Shapes: T frames, H height, W width; videos are uint8 `[T, 3, H, W]`.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from PIL import Image
from shapes import Factors, draw_video, plain_factors, position, sample_factors
from torch import Tensor, nn

from styleganv.methods.stylegan_v.config import GeneratorConfig
from styleganv.methods.stylegan_v.generator import Generator
from styleganv.methods.stylegan_v.sampler import VideoGenerator

FPS = 25.0
SIDE = 48


def pan(seed: int = 0, *, frames: int = 96, speed: float = 1.0, side: int = SIDE) -> np.ndarray:
    """Pan over a colored landscape at `speed` pixels per frame, without reversal or repetition."""
    rng = np.random.default_rng(seed)
    width = side + int(speed * frames) + 2
    small = rng.integers(0, 256, (side // 8 + 1, width // 8 + 1, 3)).astype(np.uint8)
    land = np.asarray(Image.fromarray(small).resize((width, side), Image.Resampling.BICUBIC), np.float64)
    found = []
    for t in range(frames):
        first = int(speed * t)
        part = speed * t - first
        found.append((1 - part) * land[:, first : first + side] + part * land[:, first + 1 : first + 1 + side])
    return np.stack(found).round().astype(np.uint8).transpose(0, 3, 1, 2)


def ping_pong(video: np.ndarray, stroke: int) -> np.ndarray:
    """Play the first `stroke` frames forward and backward, for as many frames as the video has."""
    there = [*range(stroke), *range(stroke - 2, 0, -1)]
    return video[np.resize(there, len(video))]


def looped(video: np.ndarray, period: int) -> np.ndarray:
    return video[np.arange(len(video)) % period]


def shape(**changes: Any) -> Factors:
    """Return the factors of a red disc that moves slowly in a circle on a pale background."""
    return plain_factors(**({"background_hue": 0.6} | changes))


def drawn(factors: Factors, *, frames: int = 64, side: int = SIDE, fps: float = FPS) -> np.ndarray:
    return draw_video(factors, frames, side, side, fps).transpose(0, 3, 1, 2)


def grain_on_pan(seed: int = 0, *, stuck: bool) -> np.ndarray:
    """Add fine grain to a pan that moves with the landscape, or sticks to the screen like dirt on the lens."""
    video = pan(seed, speed=1.0)
    grain = np.random.default_rng(seed).normal(0, 20, (SIDE, SIDE + len(video)))
    grains = [grain[:, :SIDE] if stuck else grain[:, t : t + SIDE] for t in range(len(video))]
    return (video + np.stack(grains)[:, None]).clip(0, 255).round().astype(np.uint8)


def grain_on_disc(*, stuck: bool, frames: int = 64, side: int = 64) -> np.ndarray:
    """Draw a striped disc with fine grain that moves with it, or sticks to the screen while the disc moves."""
    factors = shape(texture="stripes")
    video = drawn(factors, frames=frames, side=side).astype(np.float64)
    inside = np.abs(video - video[:1, :, :1, :1]).mean(axis=1) > 60
    grain = np.random.default_rng(0).normal(0, 25, (side, side))
    x, y = position(factors, np.arange(frames))
    for t in range(frames):
        shift = (0, 0) if stuck else (round(float(y[t] - y[0]) * side), round(float(x[t] - x[0]) * side))
        video[t] += inside[t] * np.roll(grain, shift, axis=(0, 1))
    return video.clip(0, 255).round().astype(np.uint8)


# Models


class Faulty(nn.Module):
    """A time encoding with a planted fault: `change(v, times, t_left)` of the sound encoding's v."""

    def __init__(self, sound: nn.Module, change: Any, before: Any = None) -> None:
        super().__init__()
        self.sound, self.change, self.before = sound, change, before

    def forward(self, codes: Tensor, times: Tensor, t_left: Tensor, t_right: Tensor) -> Tensor:
        if self.before is not None:
            codes, times = self.before(codes, times)
        return self.change(self.sound(codes, times, t_left, t_right), times, t_left)

    def bind_slots(self, codes: Tensor, t_left: Tensor, t_right: Tensor) -> Callable[[Tensor], Tensor]:
        return lambda times: self(codes, times, t_left, t_right)


def network(**arguments: Any) -> Generator:
    """Return a small random network whose motion is smooth, and as strong as after training."""
    torch.manual_seed(0)
    sizes = dict(z_dim=16, w_dim=16, channel_max=16, motion_noise_dim=16, motion_code_dim=16, num_frequencies=8)
    return Generator(GeneratorConfig(**({"height": 32, "width": 32, "slot_distance": 8} | sizes | arguments)))


def model(change: Any = None, before: Any = None, **arguments: Any) -> VideoGenerator:
    """Return a sampler of `network` with a fault in its time encoding."""
    generator = network(**arguments)
    if change is not None or before is not None:
        generator.motion.encoding = Faulty(generator.motion.encoding, change or (lambda v, *_: v), before)
    return VideoGenerator(generator, fps=FPS, device="cpu")


def offset(v: Tensor) -> Tensor:
    """Return a fixed direction of the motion code, with the norm of a code."""
    return torch.cos(3 * torch.arange(v.shape[-1], dtype=v.dtype))


def jump_at_slots(v: Tensor, times: Tensor, t_left: Tensor) -> Tensor:
    return v + offset(v) * ((t_left / 8) % 2)[..., None].to(v.dtype)


def drift_on(v: Tensor, times: Tensor, t_left: Tensor) -> Tensor:
    return v + offset(v) * (times / 200)[..., None].to(v.dtype)


def stray_between(v: Tensor, times: Tensor, t_left: Tensor) -> Tensor:
    return v + offset(v) * torch.sin(torch.pi * times)[..., None].to(v.dtype) ** 2


def hold_frames(codes: Tensor, times: Tensor) -> tuple[Tensor, Tensor]:
    """Hold every frame for the duration of a frame of the dataset."""
    return codes, times.floor()


def ignore_noise(codes: Tensor, times: Tensor) -> tuple[Tensor, Tensor]:
    """Ignore the motion noise: one motion for all seeds."""
    return torch.ones_like(codes), times


class ContentOfMotion(VideoGenerator):
    """Sampler whose content depends on the motion seed as well."""

    def stream(self, *, seed: int, motion_seed: int | None = None, **how: Any) -> Any:
        motion = seed if motion_seed is None else motion_seed
        return super().stream(seed=1000 * seed + motion, motion_seed=motion, **how)


class RateDependent(VideoGenerator):
    """Sampler whose motion is 1% too fast at higher frame rates."""

    def stream(self, *, fps: float | None = None, **how: Any) -> Any:
        rate = fps or self.fps
        return super().stream(fps=rate if rate <= self.fps else rate / 1.01, **how)


def drawn_grid(*, shared: bool, seed: int = 0, frames: int = 48) -> np.ndarray:
    """Draw a grid of videos `[3, 4, T, 3, H, W]`: contents of a row share one motion, or each has its own."""
    factors = [sample_factors(np.random.default_rng([seed, i])) for i in range(3 + 4 + 12)]
    motion = ("path", "speed", "direction", "angle", "start", "rhythm")
    rows = []
    for m in range(3):
        row = []
        for n in range(4):
            mover = factors[m] if shared else factors[7 + 4 * m + n]
            row.append(drawn(replace(factors[3 + n], **{k: getattr(mover, k) for k in motion}), frames=frames, side=32))
        rows.append(np.stack(row))
    return np.stack(rows)
