"""DIGAN (Yu et al., ICLR 2022): a video as a function of position and time, computed pixel by pixel.

    z ──Mapping──▶ w ──▶ kernels of the layers ─────────────┐
    motion noise ──Mapping──▶ m ── MLP(m · t · 0.25) ──▶ phases(t) ──▶ sinusoids over the image ──▶ layers ──▶ frames

Time only shifts the phases of the sinusoids (Fourier features) that the layers get, so there is a frame at any time.
The paper leaves some choices open. Here:

- layers are demodulated like StyleGAN2's;
- above 32², features are upsampled (FIR) and concatenated with sinusoids of twice the frequency, whose phases motion
  shifts too, and colors are summed over the grids as in a skip generator;
- the longer side of the image has length 1, so sqrt(10) periods span it;
- time 1 is the end of the training window;
- motion does not depend on the content.

Shapes: B clips, T frames per clip, P pixels, C channels, F sinusoids per grid, G grids, K classes.
"""

import math
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from itertools import islice
from typing import Any, cast

import torch
from torch import Tensor, nn

from styleganv import noise
from styleganv.label_space import Label
from styleganv.methods.network_config import StyleConfig
from styleganv.methods.stylegan_v.mapping import Mapping, Truncation
from styleganv.nn import UNIT_GAIN, fir_kernel, leaky_relu, upsample2d
from styleganv.nn.layers import Dense, channels_at, resolutions, run_block, working_dtype
from styleganv.validation import Frames, Size
from styleganv.video_model import Frame, VideoModel, deterministic, to_uint8

BASE_RESOLUTION = 32
NUM_SINUSOIDS = 128
PERIODS_ACROSS = 10**0.5
RANK = 10
TIME_SCALE = 0.25
BASE_LAYERS, FINER_LAYERS = 6, 2
#: Frames per call of the network during generation.
CHUNK = 8


class LowRankLayer(nn.Module):
    """Dense layer applied to every pixel; its kernel is `W ⊙ (1 + U V / sqrt(10))` with U and V of rank 10 from w."""

    def __init__(self, in_channels: int, out_channels: int, w_dim: int, *, activate: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.affine = Dense(w_dim, RANK * (in_channels + out_channels))
        self.activate = activate

    def compute_kernel(self, w: Tensor) -> Tensor:
        """Return the kernels `[B, C_out, C_in]` for `w [B, w_dim]`; demodulated, except for color."""
        out_channels, in_channels = self.weight.shape
        u, v = self.affine(w).split([RANK * out_channels, RANK * in_channels], dim=1)
        modulation = u.unflatten(1, (out_channels, RANK)) @ v.unflatten(1, (RANK, in_channels)) / RANK**0.5
        kernel = self.weight * (1 + modulation)
        if not self.activate:
            return kernel / in_channels**0.5
        return kernel * torch.rsqrt(kernel.square().sum(dim=2, keepdim=True) + 1e-8) * UNIT_GAIN

    def forward(self, x: Tensor, kernel: Tensor) -> Tensor:
        """Map `x [B, T, C_in, P]` to `[B, T, C_out, P]` by `kernel [B, C_out, C_in]`."""
        gain = UNIT_GAIN if self.activate else 1.0
        x = kernel[:, None] @ x + (self.bias * gain).to(x.dtype)[:, None]
        return leaky_relu(x) if self.activate else x


class FourierFeatures(nn.Module):
    """Sinusoids of fixed random frequencies on a grid, with learned phases that motion shifts."""

    frequency: Tensor
    position: Tensor

    def __init__(self, height: int, width: int, periods_across: float) -> None:
        super().__init__()
        self.register_buffer("frequency", 2 * math.pi * periods_across * torch.randn(NUM_SINUSOIDS, 2))
        self.phase = nn.Parameter(2 * math.pi * torch.rand(NUM_SINUSOIDS))
        rows, columns = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
        position = torch.stack([rows, columns]).flatten(1) / max(height, width)
        self.register_buffer("position", position, persistent=False)

    def forward(self, shift: Tensor) -> Tensor:
        """Return `[B, T, F, P]` of unit variance for phase shifts `shift [B, T, F]` in radians."""
        return ((self.frequency @ self.position) + (self.phase + shift)[..., None]).sin() * 2**0.5


class Grid(nn.Module):
    """One resolution: Fourier features, layers and to-RGB."""

    fir: Tensor

    def __init__(
        self,
        size: tuple[int, int],
        in_channels: int,
        channels: int,
        w_dim: int,
        *,
        num_layers: int,
        periods_across: float,
    ) -> None:
        super().__init__()
        self.height, self.width = size
        self.waves = FourierFeatures(*size, periods_across)  # the name in model folders
        widths = [in_channels + NUM_SINUSOIDS] + [channels] * num_layers
        self.layers = nn.ModuleList([LowRankLayer(widths[i], channels, w_dim) for i in range(num_layers)])
        self.to_rgb = LowRankLayer(channels, 3, w_dim, activate=False)
        self.register_buffer("fir", fir_kernel(4.0), persistent=False)

    def compute_kernels(self, w: Tensor) -> list[Tensor]:
        """Return the kernels of all layers, and of to-RGB, for `w [B, w_dim]`."""
        return [layer.compute_kernel(w) for layer in cast(list[LowRankLayer], [*self.layers, self.to_rgb])]

    def forward(self, x: Tensor | None, image: Tensor | None, shift: Tensor, *kernels: Tensor) -> tuple[Tensor, Tensor]:
        """Return the features and image of this grid, in the precision of the kernels.

        Args:
            x: features `[B, T, C_in, P/4]` of the coarser grid; None for the first grid.
            image: image `[B, T, 3, H/2, W/2]` of the coarser grid; None for the first grid.
            shift: phase shifts `[B, T, F]` in radians.
            kernels: of the layers and to-RGB.
        """
        sinusoids = self.waves(shift).to(kernels[0].dtype)
        if x is None:
            x = sinusoids
        else:
            coarse = x.unflatten(3, (self.height // 2, self.width // 2))
            x = torch.cat([_upsample(coarse, self.fir).flatten(3), sinusoids], dim=2)
        for layer, kernel in zip(self.layers, kernels, strict=False):
            x = layer(x, kernel)
        # Colors are summed in float32: over all grids, half precision would be off by one of 255 levels.
        color = self.to_rgb(x, kernels[-1]).to(shift.dtype).unflatten(3, (self.height, self.width))
        return x, color if image is None else _upsample(image, self.fir) + color


def _upsample(x: Tensor, fir: Tensor) -> Tensor:
    """Double the resolution, `[B, T, C, H, W]` → `[B, T, C, 2H, 2W]`."""
    return upsample2d(x.flatten(0, 1), fir).unflatten(0, x.shape[:2])


class Synthesis(nn.Module):
    """Kernels of a content and phase shifts of each time → frames.

    Attributes:
        gradient_checkpointing: recompute the activations of each grid in the backward pass, to save memory.
    """

    gradient_checkpointing = False

    def __init__(self, height: int, width: int, *, w_dim: int, channel_base: int, channel_max: int) -> None:
        super().__init__()
        sizes = resolutions(height, width)
        base = max((i for i, size in enumerate(sizes) if max(size) <= BASE_RESOLUTION), default=0)
        grids, in_channels = [], 0
        for i, size in enumerate(sizes[base:]):
            channels = channels_at(size, channel_base, channel_max) if i else channel_max
            num_layers, periods = FINER_LAYERS if i else BASE_LAYERS, PERIODS_ACROSS * 2**i
            grids.append(Grid(size, in_channels, channels, w_dim, num_layers=num_layers, periods_across=periods))
            in_channels = channels
        self.grids = nn.ModuleList(grids)
        self.num_sinusoids = NUM_SINUSOIDS * len(grids)

    def compute_kernels(self, w: Tensor, dtype: torch.dtype) -> list[list[Tensor]]:
        """Return the kernels of each grid for `w [B, w_dim]`: all that depends on the content, shared by all frames."""
        return [[kernel.to(dtype) for kernel in grid.compute_kernels(w)] for grid in cast(list[Grid], list(self.grids))]

    def forward(self, kernels: list[list[Tensor]], shifts: Tensor) -> Tensor:
        """Return frames `[B, T, 3, H, W]` for phase shifts `[B, T, G·F]` in radians."""
        state: Any = (None, None)  # features and image
        for grid, grid_kernels, shift in zip(self.grids, kernels, shifts.split(NUM_SINUSOIDS, dim=2), strict=True):
            state = run_block(grid, *state, shift, *grid_kernels, gradient_checkpointing=self.gradient_checkpointing)
        return state[1]


class Motion(nn.Module):
    """Motion noise → code m; m and time t → phase shifts, by a small network of `m · t · 0.25`."""

    def __init__(self, dim: int, num_sinusoids: int, *, window: float, num_classes: int) -> None:
        super().__init__()
        self.window = window
        self.code = Mapping(dim, dim, num_classes=num_classes)
        self.shift = nn.Sequential(
            Dense(dim, dim, activate=True), Dense(dim, dim, activate=True), Dense(dim, num_sinusoids)
        )

    def forward(self, code: Tensor, times: Tensor) -> Tensor:
        """Return phase shifts `[B, T, G·F]` in radians for `code [B, M]` and `times [B, T]` in frames."""
        t = (times / self.window).to(code.dtype)
        return self.shift(code[:, None] * (TIME_SCALE * t)[..., None])


@dataclass(frozen=True, kw_only=True)
class DiganConfig(StyleConfig):
    """Architecture of a `DiganGenerator`; the layers up to 32² have `channel_max` channels."""

    motion_dim: Size = 512
    """Width of motion noise, motion code and motion network."""
    window: Frames = 15
    """Frames from the first to the last of a training clip, which are times 0 and 1."""


class DiganGenerator(nn.Module):
    """Content z, motion noise and times → frames; called like StyleGAN-V's `Generator`."""

    def __init__(self, config: DiganConfig) -> None:
        super().__init__()
        self.config = config
        self.height, self.width, self.num_classes = config.height, config.width, config.num_classes
        self.z_dim, self.motion_dim = config.z_dim, config.motion_dim
        self.mapping = Mapping(
            config.z_dim, config.w_dim, num_layers=config.mapping_layers, num_classes=config.num_classes
        )
        self.synthesis = Synthesis(
            config.height,
            config.width,
            w_dim=config.w_dim,
            channel_base=config.channel_base,
            channel_max=config.channel_max,
        )
        self.motion = Motion(
            config.motion_dim, self.synthesis.num_sinusoids, window=config.window, num_classes=config.num_classes
        )

    def forward(self, z: Tensor, times: Tensor, motion_noise: Tensor, label: Tensor | None = None) -> Tensor:
        """Return frames `[B, T, 3, H, W]`, roughly in −1..1, float32 also under autocast.

        Args:
            z: `[B, z_dim]`, standard normal.
            times: `[B, T]` in frames, any.
            motion_noise: `[B, motion_dim]`, standard normal.
            label: `[B, K]` one-hot for a class-conditional model.
        """
        return self.synthesize(self.mapping(z, label), times, motion_noise, label)

    def synthesize(self, w: Tensor, times: Tensor, motion_noise: Tensor, label: Tensor | None = None) -> Tensor:
        """Return the frames of `forward` from `w [B, w_dim]`."""
        dtype = working_dtype(w)
        with torch.autocast(w.device.type, enabled=False):
            shifts = self.motion(self.motion.code(motion_noise, label), times)
            return self.synthesis(self.synthesis.compute_kernels(w, dtype), shifts)

    def update_statistics(self, w_mean: Tensor) -> None:
        """Update the running statistics after an update; `w_mean [w_dim]` is the mean over its clips."""
        self.mapping.update_mean(w_mean)


class DiganVideos(VideoModel):
    """Videos of a trained DIGAN; times far beyond the training window were never trained."""

    name = "DIGAN"

    def __init__(self, generator: DiganGenerator, **arguments: Any) -> None:
        """Move mapping and synthesis to the device; a copy of the motion network stays on the CPU, in float64."""
        super().__init__(generator, **arguments)
        self.generator, self.truncation = generator, Truncation(generator.mapping)
        self._move_network()
        self._motion = deepcopy(generator.motion).cpu().double()

    def _move_network(self) -> None:
        for part in (self.generator.mapping, self.generator.synthesis):
            part.to(self.device)

    def _frames_at(
        self, seed: int, motion_seed: int, times: Iterator[float], *, psi: float, label: Label | None
    ) -> Iterator[Frame]:
        vector = self.label_tensor(label)
        with torch.inference_mode():
            z = torch.from_numpy(noise.normal(seed, noise.CONTENT, 0, self.generator.z_dim))[None].to(self.device)
            w = self.generator.mapping(z, None if vector is None else vector.to(self.device))
            w = self.truncation(w, vector, psi)
            half = self.precision == "bfloat16"
            kernels = self.generator.synthesis.compute_kernels(w, torch.bfloat16 if half else torch.float32)
            drawn = torch.from_numpy(noise.normal(motion_seed, noise.MOTION, 0, self.generator.motion_dim))[None]
            code = self._motion.code(drawn.double(), None if vector is None else vector.double())
        while chunk := list(islice(times, CHUNK)):
            # The batch size is constant, since rounding may depend on it.
            padded = chunk + chunk[-1:] * (CHUNK - len(chunk))
            yield from self._render(kernels, code, padded)[: len(chunk)]

    @torch.inference_mode()
    def _render(self, kernels: list[list[Tensor]], code: Tensor, times: list[float]) -> Frame:
        """Return uint8 `[CHUNK, H, W, 3]`.

        Phase shifts are computed separately, and reduced to one turn to keep the precision of late times in float32.
        """
        each = [torch.tensor([[time]], dtype=torch.float64) for time in times]
        shifts = torch.cat([self._motion(code, time).remainder(2 * math.pi).float() for time in each], dim=1)
        with deterministic():
            frames = self.generator.synthesis(kernels, shifts.to(self.device))[0]
        return to_uint8(frames)
