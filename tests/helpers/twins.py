"""Slow, obvious twins of the operators and networks: the papers' formulas, literally, one image and one time at a time.

They are differentiable. `weights` are the parameters and buffers of our networks by name.
"""

import itertools
import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from styleganv.methods.stylegan_v.config import DiscriminatorConfig, GeneratorConfig

Weights = Mapping[str, Tensor]
JOIN_RESOLUTION = 16


def filter_fir(x: Tensor, before: int, after: int, stride: int, gain: float) -> Tensor:
    """Filter with [1, 3, 3, 1] / 8 along each side, tap by tap, after padding by `before` and `after` pixels."""
    taps = [1 / 8, 3 / 8, 3 / 8, 1 / 8]
    x = F.pad(x, (before, after, before, after))
    height, width = x.shape[2] - 3, x.shape[3] - 3
    out = torch.zeros(*x.shape[:2], height, width, dtype=x.dtype)
    for i in range(4):
        for j in range(4):
            out = out + gain * taps[i] * taps[j] * x[:, :, i : i + height, j : j + width]
    return out[:, :, ::stride, ::stride]


def insert_zeros(x: Tensor) -> Tensor:
    """Return `[N, C, 2H, 2W]` with the pixels of `[N, C, H, W]` at even positions."""
    out = torch.zeros(*x.shape[:2], 2 * x.shape[2], 2 * x.shape[3], dtype=x.dtype)
    out[:, :, ::2, ::2] = x
    return out


def upsample(x: Tensor) -> Tensor:
    """Double the resolution: zeros between the pixels, then the filter with gain 4."""
    return filter_fir(insert_zeros(x), 2, 1, 1, 4.0)


def convolve_modulated(x: Tensor, weight: Tensor, style: Tensor, up: bool, demodulate: bool) -> Tensor:
    """Apply StyleGAN2's equations literally: one weight per image."""
    images = []
    for image, s in zip(x, style.repeat_interleave(len(x) // len(style), dim=0), strict=True):
        w = weight * s[None, :, None, None]
        if demodulate:
            w = w / torch.sqrt(w.square().sum(dim=(1, 2, 3), keepdim=True) + 1e-8)
        if up:
            # A transposed convolution is zero insertion, then correlation with the flipped kernel.
            y = F.pad(insert_zeros(image[None]), (2, 1, 2, 1))
            y = filter_fir(F.conv2d(y, w.flip(2, 3)), 1, 1, 1, 4.0)
        else:
            y = F.conv2d(image[None], w, padding=weight.shape[-1] // 2)
        images.append(y)
    return torch.cat(images)


def activate(x: Tensor) -> Tensor:
    """Apply leaky ReLU with slope 0.2 and gain sqrt(2)."""
    return torch.where(x > 0, x, 0.2 * x) * math.sqrt(2)


def normalize(x: Tensor) -> Tensor:
    """Scale `[N, C]` to unit root mean square."""
    return x / torch.sqrt(x.square().mean(dim=1, keepdim=True) + 1e-8)


def dense(weights: Weights, name: str, x: Tensor, lr_multiplier: float = 1.0) -> Tensor:
    """Apply an equalized linear layer."""
    weight = weights[f"{name}.weight"] * lr_multiplier / math.sqrt(x.shape[1])
    bias = weights.get(f"{name}.bias")
    return x @ weight.T if bias is None else x @ weight.T + bias * lr_multiplier


def map_content(weights: Weights, z: Tensor, label: Tensor | None, psi: float) -> Tensor:
    """Return w `[B, w_dim]`."""
    x = normalize(z)
    if label is not None:
        x = torch.cat([x, normalize(dense(weights, "mapping.embed", label))], dim=1)
    layer = 0
    while f"mapping.layers.{layer}.weight" in weights:
        x = activate(dense(weights, f"mapping.layers.{layer}", x, 0.01))
        layer += 1
    mean = weights["mapping.w_mean"]
    return mean + psi * (x - mean)


def compute_codes(weights: Weights, slots: Tensor, prefix: str = "") -> Tensor:
    """Return u for `slots [S, noise_dim + K]`: both convolutions as sums over their slots."""
    x = slots
    for layer in range(2):
        weight, bias = (weights[f"{prefix}convs.{layer}.{name}"] for name in ("weight", "bias"))
        kernel = weight.shape[2]
        weight = weight * 0.01 / math.sqrt(x.shape[1] * kernel)
        rows = []
        for i in range(len(x) - kernel + 1):
            y = bias * 0.01 + sum(weight[:, :, k] @ x[i + k] for k in range(kernel))
            rows.append(torch.where(y > 0, y, 0.2 * y))
        x = torch.stack(rows)
    return x


def compute_motion(
    weights: Weights,
    slots: Tensor,
    t: float,
    *,
    distance: float,
    longest: float,
    shortest: float | None = None,
    prefix: str = "",
    path: str = "linear",
) -> Tensor:
    """Return v(t) by the formulas, for one clip and one time; `shortest` is the slot distance by default."""
    shortest = distance if shortest is None else shortest
    codes = compute_codes(weights, slots, prefix)
    slot = math.floor(t / distance)
    a = t / distance - slot

    def linear(name: str, u: Tensor) -> Tensor:
        return weights[f"{prefix}encoding.{name}.weight"] @ u / math.sqrt(len(u))

    def phi(u: Tensor, time: float) -> Tensor:
        sigma, rho = torch.tanh(linear("period", u)) + 1, linear("phase", u)
        amplitude = linear("amplitude", u) if f"{prefix}encoding.amplitude.weight" in weights else 1.0
        last, ends = len(sigma) - 1, (math.log2(shortest), math.log2(longest))
        exponents = [ends[0] + (ends[1] - ends[0]) * (last - k) / last for k in range(last + 1)]
        period = torch.tensor([2**exponent for exponent in exponents], dtype=torch.float64)
        angle = 2 * math.pi / period * sigma * time + rho * longest / period
        return amplitude * torch.cat([angle.sin(), angle.cos()])

    if path == "bspline":
        around = codes[slot : slot + 4]
        shares = [(1 - a) ** 3, 3 * a**3 - 6 * a**2 + 4, -3 * a**3 + 3 * a**2 + 3 * a + 1, a**3]
        return sum(share / 6 * (phi(u, t) + linear("align", u)) for share, u in zip(shares, around, strict=True))
    left, right = codes[slot], codes[slot + 1]
    stitch = (1 - a) * phi(left, slot * distance) + a * phi(left, (slot + 1) * distance)
    return phi(left, t) - stitch + (1 - a) * linear("align", left) + a * linear("align", right)


def compute_motions(
    weights: Weights, config: GeneratorConfig, times: Tensor, noise: Tensor, label: Tensor | None
) -> Tensor:
    """Return v `[B, T, 2F]` at `times [B, T]` for motion noise `[B, S, noise_dim]`."""
    clips = []
    for b, clip_times in enumerate(times.tolist()):
        slots = noise[b]
        if label is not None:
            slots = torch.cat([slots, label[b].expand(len(slots), -1)], dim=1)
        distance, longest = config.slot_distance, config.longest_period
        options = {"distance": distance, "longest": longest, "prefix": "motion."}
        clips.append(torch.stack([compute_motion(weights, slots, t, **options) for t in clip_times]))
    return torch.stack(clips)


def synthesize(weights: Weights, w: Tensor, v: Tensor) -> Tensor:
    """Return frames `[B, T, 3, H, W]` from `w [B, w_dim]` and `v [B, T, 2F]`, frame by frame."""
    frames = [torch.stack([_synthesize_frame(weights, w[[b]], code) for code in v[b]]) for b in range(len(w))]
    return torch.stack(frames)


def _synthesize_frame(weights: Weights, w: Tensor, v: Tensor) -> Tensor:
    constant = weights["synthesis.constant"]
    x = torch.cat([constant, v[:, None, None].expand(-1, *constant.shape[1:])])[None]
    image, block = None, 0
    while f"synthesis.blocks.{block}.conv1.weight" in weights:
        name = f"synthesis.blocks.{block}"
        for conv in ("conv0", "conv1") if block else ("conv1",):
            style = dense(weights, f"{name}.{conv}.affine", w)
            y = convolve_modulated(x, weights[f"{name}.{conv}.weight"], style, conv == "conv0", True)
            x = activate(y + weights[f"{name}.{conv}.bias"][:, None, None])
        style = dense(weights, f"{name}.to_rgb.affine", w) / math.sqrt(x.shape[1])
        rgb = convolve_modulated(x, weights[f"{name}.to_rgb.weight"], style, False, False)
        rgb = rgb + weights[f"{name}.to_rgb.bias"][:, None, None]
        image = rgb if image is None else upsample(image) + rgb
        block += 1
    assert image is not None
    return image[0]


def convolve(weights: Weights, name: str, x: Tensor, stride: int = 1, padding: int = 0) -> Tensor:
    """Apply an equalized convolution with its bias, if it has one."""
    weight, bias = weights[f"{name}.weight"], weights.get(f"{name}.bias")
    return F.conv2d(x, weight / math.sqrt(weight[0].numel()), bias, stride, padding)


def condition_logits(weights: Weights, times: Tensor, label: Tensor | None, max_gap: int) -> Tensor:
    """Return the condition e `[B, E]`."""
    rows = []
    for b, clip_times in enumerate(times.tolist()):
        parts = [] if label is None else [label[b]]
        for gap in (late - early for early, late in itertools.pairwise(clip_times)):
            num = math.ceil(math.log2(max_gap))
            angle = torch.tensor([2 * math.pi / 2 ** (num + 1 - k) * gap for k in range(num)], dtype=torch.float64)
            row = min(max(round(gap), 0), max_gap - 1)
            parts += [torch.cat([weights["condition.embedding.weight"][row], angle.sin(), angle.cos()])]
        rows.append(torch.cat(parts))
    # The class comes first, then each gap's embedding, sines and cosines.
    x = normalize(dense(weights, "condition.embed", torch.stack(rows)))
    for layer in range(2):
        x = activate(dense(weights, f"condition.layers.{layer}", x, 0.01))
    return x


def discriminate(
    weights: Weights, config: DiscriminatorConfig, frames: Tensor, times: Tensor, label: Tensor | None
) -> Tensor:
    """Return logits `[B]` of `frames [B, T, 3, H, W]`; groups of the standard deviation hold all B = 4 clips."""
    condition = condition_logits(weights, times, label, config.max_gap)
    batch = len(frames)
    x = activate(convolve(weights, "from_rgb", frames.flatten(0, 1)))
    block, joined = 0, False
    while f"blocks.{block}.conv0.weight" in weights:
        name = f"blocks.{block}"
        if config.condition == "modulate+project":
            style = dense(weights, f"{name}.affine", condition)
            y = convolve_modulated(x, weights[f"{name}.conv0.weight"], style, False, True)
            y = activate(y + weights[f"{name}.conv0.bias"][:, None, None])
        else:
            y = activate(convolve(weights, f"{name}.conv0", x, padding=1))
        y = activate(convolve(weights, f"{name}.conv1", filter_fir(y, 2, 2, 1, 1.0), stride=2))
        x = (y + convolve(weights, f"{name}.skip", filter_fir(x, 1, 1, 2, 1.0))) / math.sqrt(2)
        block += 1
        if not joined and max(x.shape[2:]) <= JOIN_RESOLUTION:
            x, joined = x.reshape(batch, -1, *x.shape[2:]), True
    deviation = ((x - x.mean(dim=0)).square().mean(dim=0) + 1e-8).sqrt().mean()
    x = torch.cat([x, deviation.expand(batch, 1, *x.shape[2:])], dim=1)
    x = activate(convolve(weights, "conv", x, padding=1))
    x = dense(weights, "out", activate(dense(weights, "dense", x.flatten(1))))
    return (x * condition).sum(dim=1) / math.sqrt(x.shape[1])
