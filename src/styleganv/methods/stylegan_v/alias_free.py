"""Alias-free synthesis network, in which texture moves with what it belongs to (StyleGAN3-T, Karras et al. 2021).

    w, v(t) ──▶ FourierInput ──▶ N × AliasFreeLayer ──▶ to-RGB ──▶ frames

Each layer treats its features as samples of a continuous signal: nothing in a layer depends on where the pixels are. A
shift of the input, even by a fraction of a pixel, therefore shifts the frame. StyleGAN2's layers let details cling to
the pixel grid instead (texture sticking).

Frequencies are in cycles per longer side of the frame, rates in pixels per longer side.

Shapes: B clips, T frames per clip, N = B·T images, L styles, C channels, H height, W width.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from styleganv import distributed
from styleganv.methods.stylegan_v.synthesis import ToRGB
from styleganv.nn import UNIT_GAIN, modulated_conv2d
from styleganv.nn.kaiser import filtered_leaky_relu, kaiser_lowpass, plan_resampling
from styleganv.nn.layers import Dense, resolutions, run_block, working_dtype

MAX_LAYERS = 14
#: Layers at the end whose cutoff is the highest frequency of a frame.
NUM_CRITICAL = 2
FIRST_CUTOFF, FIRST_STOPBAND = 2.0, 2**2.1
#: Highest stopband edge, relative to the highest frequency of a frame.
LAST_STOPBAND = 2**0.3
#: Pixels around the frame that all layers but the last compute too, since their borders are not exact.
MARGIN = 10
#: Length of a filter, in samples of the lower of its two rates.
FILTER_SAMPLES = 6
#: Tolerance of a number of halvings, which is a whole number for some layers.
ROUNDING = 1e-9
OUTPUT_GAIN = 0.25
#: Updates that the running power of features averages, and early in training as a fraction of the updates so far.
POWER_WINDOW, POWER_RAMPUP = 1000, 0.1


@dataclass(frozen=True)
class Band:
    """Frequencies and size of a layer's output.

    Attributes:
        size: height and width in pixels, without the margin.
        cutoff: frequency up to which the layer keeps its features.
        stopband: frequency from which on its filter should leave nothing.
    """

    size: tuple[int, int]
    cutoff: float
    stopband: float

    @property
    def rate(self) -> int:
        """Sampling rate."""
        return max(self.size)

    @property
    def half_width(self) -> float:
        """Half the width of the filter's transition band."""
        return max(self.rate / 2, self.stopband) - self.cutoff


def plan_bands(height: int, width: int) -> list[Band]:
    """Return the band of each layer's output, for frames of a size that `resolutions` accepts.

    Cutoff and stopband grow geometrically until the last two layers. The paper has 14 layers at any resolution; here
    smaller frames have fewer, two per doubling as at 256², where the cutoff of 14 layers grows by √2 per layer.
    """
    sizes, side = resolutions(height, width), max(height, width)
    num_layers = min(MAX_LAYERS, 2 * round(math.log2(side)) - 2)
    bands = []
    for i in range(num_layers):
        part = min(i / (num_layers - NUM_CRITICAL), 1.0)
        cutoff = FIRST_CUTOFF * (side / 2 / FIRST_CUTOFF) ** part
        stopband = FIRST_STOPBAND * (side / 2 * LAST_STOPBAND / FIRST_STOPBAND) ** part
        # Small frames with odd sides cannot be halved further.
        halvings = min(int(math.log2(side / min(2 * stopband, side)) + ROUNDING), len(sizes) - 1)
        bands.append(Band(sizes[len(sizes) - 1 - halvings], cutoff, stopband))
    return bands


class FourierInput(nn.Module):
    """The input of the first layer: plane waves of random directions, moved and turned by w and by the motion code.

    v(t) enters twice. It adds to the shift and rotation of the waves, so that a whole frame can move continuously; and
    it adds a value per channel, the same at every pixel, which changes how the waves combine into shapes, as v(t) at
    the constant input of StyleGAN-V does. Neither depends on the pixel grid, and styles stay those of the content.

    Attributes:
        frequencies: `[C, 2]`, of each wave along height and width, evenly distributed in a disk.
        phases: `[C]`, in cycles.
    """

    frequencies: Tensor
    phases: Tensor
    y: Tensor
    x: Tensor

    def __init__(self, band: Band, channels: int, w_dim: int, motion_dim: int) -> None:
        super().__init__()
        angle, radius = 2 * math.pi * torch.rand(channels), band.cutoff * torch.rand(channels).sqrt()
        self.register_buffer("frequencies", torch.stack([radius * angle.sin(), radius * angle.cos()], dim=1))
        self.register_buffer("phases", torch.rand(channels))
        for name, side in zip("yx", band.size, strict=True):
            pixels = torch.arange(side + 2 * MARGIN) + 0.5 - MARGIN - side / 2
            self.register_buffer(name, pixels / band.rate, persistent=False)
        #: From w to the cosine and sine of the rotation, not normalized yet, and the shift along height and width.
        self.affine = Dense(w_dim, 4)
        nn.init.zeros_(self.affine.weight)
        self.affine.bias = nn.Parameter(torch.tensor([1.0, 0.0, 0.0, 0.0]))
        #: From v to what it adds to these four numbers, and to each channel. A bias would collapse motion.
        self.motion = Dense(motion_dim, 4 + channels, bias=False) if motion_dim else None
        if self.motion is not None:
            nn.init.zeros_(self.motion.weight[:4])

    def forward(self, w: Tensor, v: Tensor | None) -> Tensor:
        """Map `w [N, w_dim]` and `v [N, v_dim]` (None for an image model) to `[N, C, H, W]`, of unit power without v.

        A positive shift moves the waves down and to the right.
        """
        transform, offset = self.affine(w), None
        if v is not None:
            moved, offset = self.motion_effect(v.to(w.dtype)).split([4, len(self.phases)], dim=1)
            transform = transform + moved
        cos, sin = F.normalize(transform[:, :2]).unsqueeze(2).unbind(dim=1)
        f_y, f_x = self.frequencies.unbind(dim=1)
        f_y, f_x = cos * f_y - sin * f_x, sin * f_y + cos * f_x
        phases = self.phases - transform[:, 2:3] * f_y - transform[:, 3:] * f_x
        rows = f_y[:, None] * self.y[:, None] + phases[:, None]
        columns = f_x[:, None] * self.x[:, None]
        waves = torch.sin(2 * math.pi * (rows[:, :, None] + columns[:, None])) * UNIT_GAIN
        if offset is not None:
            waves = waves + offset[:, None, None]
        return waves.permute(0, 3, 1, 2)

    def motion_effect(self, v: Tensor) -> Tensor:
        """Return what `v [N, v_dim]` adds to the transform and the channels, `[N, 4 + C]`, in the dtype of v."""
        assert self.motion is not None
        return F.linear(v, (self.motion.weight * self.motion.weight_gain).to(v.dtype))


class AliasFreeLayer(nn.Module):
    """3×3 modulated convolution, then bias and filtered leaky ReLU, to the rate and cutoff of `target`.

    Leaky ReLU creates frequencies above what pixels can represent. So it is applied at twice the rate, and a low-pass
    filter removes them before they become aliases.
    """

    up_taps: Tensor
    down_taps: Tensor

    def __init__(
        self, in_channels: int, out_channels: int, w_dim: int, source: Band, target: Band, *, margin: int
    ) -> None:
        """Build a layer between two bands; its output has a `margin` of pixels on each side, its input `MARGIN`."""
        super().__init__()
        self.affine = Dense(w_dim, in_channels, bias_init=1.0)
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, 3, 3))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        rate = 2 * max(source.rate, target.rate)
        up, down = rate // source.rate, rate // target.rate
        self.plan = plan_resampling(up, down, FILTER_SAMPLES, MARGIN, margin)
        up_taps = up * kaiser_lowpass(FILTER_SAMPLES * up, source.cutoff, source.half_width, rate)
        down_taps = kaiser_lowpass(FILTER_SAMPLES * down, target.cutoff, target.half_width, rate)
        self.register_buffer("up_taps", torch.from_numpy(up_taps).float(), persistent=False)
        self.register_buffer("down_taps", torch.from_numpy(down_taps).float(), persistent=False)

    def forward(self, x: Tensor, w: Tensor, gain: Tensor) -> Tensor:
        """Map `x [N, C_in, H, W]`, times `gain []`, and `w [B, w_dim]` to `[N, C_out, H', W']`."""
        gain, bias = gain * UNIT_GAIN, self.bias * UNIT_GAIN
        x = modulated_conv2d(x, self.weight, self.affine(w), bias=bias, gain=gain)
        return filtered_leaky_relu(x, self.up_taps, self.down_taps, self.plan)


class AliasFreeSynthesis(nn.Module):
    """`styles [B, L, w_dim]` and motion codes `v [B, T, v_dim]` → frames `[B, T, 3, H, W]`, as `Synthesis`.

    The styles are that of the input, one per layer, and that of to-RGB.

    Attributes:
        gradient_checkpointing: recompute the activations of each layer in the backward pass, to save memory.
        powers: running mean square of the features that enter each layer, and to-RGB, which divide by its root.
    """

    gradient_checkpointing = False
    powers: Tensor
    num_updates: Tensor
    observed: Tensor

    def __init__(
        self, height: int, width: int, *, w_dim: int, motion_dim: int, channel_base: int, channel_max: int
    ) -> None:
        super().__init__()
        bands = plan_bands(height, width)
        channels = [max(1, min(round(channel_base / 2 / band.cutoff), channel_max)) for band in bands]
        self.input = FourierInput(bands[0], channels[0], w_dim, motion_dim)
        inputs, sources = [channels[0], *channels[:-1]], [bands[0], *bands[:-1]]
        margins = [MARGIN] * (len(bands) - 1) + [0]
        self.layers = nn.ModuleList(
            AliasFreeLayer(n_in, n_out, w_dim, source, target, margin=margin)
            for n_in, n_out, source, target, margin in zip(inputs, channels, sources, bands, margins, strict=True)
        )
        self.to_rgb = ToRGB(channels[-1], w_dim)
        self.num_styles = len(bands) + 2
        self.register_buffer("powers", torch.ones(len(bands) + 1))
        self.register_buffer("num_updates", torch.zeros(()))
        self.register_buffer("observed", torch.zeros(len(bands) + 1), persistent=False)
        self.num_observed = 0

    def forward(self, styles: Tensor, motion: Tensor | None) -> Tensor:
        """Return frames `[B, T, 3, H, W]`; for motion None, the images of the waves alone, with T = 1.

        Raises:
            ValueError: if `styles` does not have one style for each of the L layers.
        """
        if styles.shape[1] != self.num_styles:
            raise ValueError(f"styles must be [B, {self.num_styles}, w_dim], got {list(styles.shape)}")
        batch, num_frames = (len(styles), 1) if motion is None else motion.shape[:2]
        images = self.compute_images(styles, None if motion is None else motion.flatten(0, 1), num_frames)
        return images.unflatten(0, (batch, num_frames)).contiguous()

    def compute_images(self, styles: Tensor, codes: Tensor | None, num_frames: int = 1) -> Tensor:
        """Return images `[N, 3, H, W]` for `styles [B, L, w_dim]` and motion codes `[N, v_dim]`, N = B·`num_frames`."""
        dtype = working_dtype(styles)
        observing, powers, gains = self.training and torch.is_grad_enabled(), [], self.powers.rsqrt()
        with torch.autocast(styles.device.type, enabled=False):
            first, *layer_styles, rgb_style = styles.unbind(dim=1)
            x = self.input(first if num_frames == 1 else first.repeat_interleave(num_frames, dim=0), codes)
            x = x.to(dtype=dtype, memory_format=torch.channels_last)
            for layer, w, gain in zip(self.layers, layer_styles, gains[:-1], strict=True):
                powers += [mean_square(x)] if observing else []
                x = run_block(layer, x, w, gain, gradient_checkpointing=self.gradient_checkpointing)
            if observing:
                self.observed += torch.stack([*powers, mean_square(x)])
                self.num_observed += 1
            return OUTPUT_GAIN * self.to_rgb(x * gains[-1].to(dtype), rgb_style).to(styles.dtype)

    @torch.no_grad()
    def update_powers(self) -> None:
        """Move the running powers toward those of the forward passes with gradients since the last call.

        All processes must call this equally often. The window of the average grows with the training.
        """
        if not self.num_observed:
            return
        mean = distributed.all_reduce_mean(self.observed / self.num_observed)
        self.observed.zero_()
        self.num_observed = 0
        # What a power would be if that of the layer before were right already; else, errors would multiply over layers.
        mean[1:] *= self.powers[:-1] / mean[:-1].clone()
        self.num_updates += 1
        self.powers.lerp_(mean, (1 / (POWER_RAMPUP * self.num_updates)).clamp(1 / POWER_WINDOW, 1))


def mean_square(x: Tensor) -> Tensor:
    """Return the mean of all squares, in float32."""
    return x.detach().float().square().mean()
