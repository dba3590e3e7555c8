"""DIGAN (Yu et al., ICLR 2022): a video as a function of place and time, which a network computes pixel by pixel.

    z ──Mapping──▶ w ──▶ kernels of the layers ─────────────┐
    motion noise ──Mapping──▶ m ── MLP(m · t · 0.25) ──▶ phases(t) ──▶ waves over the picture ──▶ layers ──▶ frames

Time only shifts the phases of the waves (Fourier features) that the layers see, so any instant has a frame.
Left open by the description, and chosen here: layers are demodulated like StyleGAN2's; above 32², features are
upsampled (FIR) and joined by waves twice as fine, whose phases motion shifts too, and colours are summed over the
grids as in a skip generator; the longer side of the picture is 1 long, so that sqrt(10) waves span it; time 1 is the
end of the training window; motion sees nothing of the content.

Shapes: B clips, T frames a clip, P pixels, C channels, F waves of a grid, G grids, K classes.
"""

import math
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import KW_ONLY, dataclass
from itertools import islice
from typing import Any, cast

import torch
from torch import Tensor, nn

from styleganv import noise
from styleganv.methods.stylegan_v.mapping import Mapping
from styleganv.nn import UNIT_GAIN, leaky_relu, upsample2d
from styleganv.nn.layers import Dense, channels_at, resolutions, run_block, working_dtype
from styleganv.video_model import Frame, VideoModel, deterministic, to_uint8

BASE_RESOLUTION = 32
NUM_WAVES = 128
WAVES_ACROSS = 10**0.5
RANK = 10
TIME_SCALE = 0.25
BASE_LAYERS, FINER_LAYERS = 6, 2
#: Frames in a call of the network when videos are made.
CHUNK = 8


class LowRankLayer(nn.Module):
    """A dense layer for every pixel, whose kernel is `W ⊙ (1 + U V / sqrt(10))` with U and V of rank 10 from w."""

    def __init__(self, in_channels: int, out_channels: int, w_dim: int, *, activate: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.affine = Dense(w_dim, RANK * (in_channels + out_channels))
        self.activate = activate

    def kernel(self, w: Tensor) -> Tensor:
        """`w [B, w_dim]` → `[B, C_out, C_in]`; demodulated, except for colours."""
        out_channels, in_channels = self.weight.shape
        u, v = self.affine(w).split([RANK * out_channels, RANK * in_channels], dim=1)
        modulation = u.unflatten(1, (out_channels, RANK)) @ v.unflatten(1, (RANK, in_channels)) / RANK**0.5
        kernel = self.weight * (1 + modulation)
        if not self.activate:
            return kernel / in_channels**0.5
        return kernel * torch.rsqrt(kernel.square().sum(dim=2, keepdim=True) + 1e-8) * UNIT_GAIN

    def forward(self, x: Tensor, kernel: Tensor) -> Tensor:
        """`x [B, T, C_in, P]`, `kernel [B, C_out, C_in]` → `[B, T, C_out, P]`."""
        gain = UNIT_GAIN if self.activate else 1.0
        x = kernel[:, None] @ x + (self.bias * gain).to(x.dtype)[:, None]
        return leaky_relu(x) if self.activate else x


class Waves(nn.Module):
    """Fourier features of a grid: sines of fixed random frequencies, with phases that are learned and shifted."""

    frequency: Tensor
    place: Tensor

    def __init__(self, height: int, width: int, across: float) -> None:
        super().__init__()
        self.register_buffer("frequency", 2 * math.pi * across * torch.randn(NUM_WAVES, 2))
        self.phase = nn.Parameter(2 * math.pi * torch.rand(NUM_WAVES))
        rows, columns = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
        place = torch.stack([rows, columns]).flatten(1) / max(height, width)
        self.register_buffer("place", place, persistent=False)

    def forward(self, shift: Tensor) -> Tensor:
        """`shift [B, T, F]` in radians → `[B, T, F, P]` of unit variance."""
        return ((self.frequency @ self.place) + (self.phase + shift)[..., None]).sin() * 2**0.5


class Grid(nn.Module):
    """Everything at one resolution: waves, layers and colours."""

    def __init__(
        self, level: tuple[int, int], in_channels: int, channels: int, w_dim: int, *, layers: int, across: float
    ) -> None:
        super().__init__()
        self.height, self.width = level
        self.waves = Waves(*level, across)
        widths = [in_channels + NUM_WAVES] + [channels] * layers
        self.layers = nn.ModuleList([LowRankLayer(widths[i], channels, w_dim) for i in range(layers)])
        self.to_rgb = LowRankLayer(channels, 3, w_dim, activate=False)

    def kernels(self, w: Tensor) -> list[Tensor]:
        return [layer.kernel(w) for layer in cast(list[LowRankLayer], [*self.layers, self.to_rgb])]

    def forward(self, x: Tensor | None, image: Tensor | None, shift: Tensor, *kernels: Tensor) -> tuple[Tensor, Tensor]:
        """Features `[B, T, C_in, P/4]` and picture `[B, T, 3, H/2, W/2]` of the coarser grid, or None → those of this
        one, in the precision of the kernels."""
        waves = self.waves(shift).to(kernels[0].dtype)
        if x is None:
            x = waves
        else:
            coarse = x.unflatten(3, (self.height // 2, self.width // 2))
            x = torch.cat([_upsample(coarse).flatten(3), waves], dim=2)
        for layer, kernel in zip(self.layers, kernels, strict=False):
            x = layer(x, kernel)
        # Colours are summed in float32: over the grids half precision would lose a level of 255.
        colours = self.to_rgb(x, kernels[-1]).to(shift.dtype).unflatten(3, (self.height, self.width))
        return x, colours if image is None else _upsample(image) + colours


def _upsample(x: Tensor) -> Tensor:
    """`[B, T, C, H, W]` → `[B, T, C, 2H, 2W]`."""
    return upsample2d(x.flatten(0, 1)).unflatten(0, x.shape[:2])


class Synthesis(nn.Module):
    """Kernels of a content and phase shifts of each instant → frames.

    Attributes:
        checkpointing: compute each grid again in the backward pass instead of keeping what it computed: less memory.
    """

    gradient_checkpointing = False

    def __init__(self, height: int, width: int, *, w_dim: int, channel_base: int, channel_max: int) -> None:
        super().__init__()
        sizes = resolutions(height, width)
        base = max((i for i, level in enumerate(sizes) if max(level) <= BASE_RESOLUTION), default=0)
        grids, before = [], 0
        for i, level in enumerate(sizes[base:]):
            channels = channels_at(level, channel_base, channel_max) if i else channel_max
            layers = FINER_LAYERS if i else BASE_LAYERS
            grids.append(Grid(level, before, channels, w_dim, layers=layers, across=WAVES_ACROSS * 2**i))
            before = channels
        self.grids = nn.ModuleList(grids)
        self.num_waves = NUM_WAVES * len(grids)

    def kernels(self, w: Tensor, dtype: torch.dtype) -> list[list[Tensor]]:
        """Of each grid, from `w [B, w_dim]`: all that depends on the content, once for all frames."""
        return [[kernel.to(dtype) for kernel in grid.kernels(w)] for grid in cast(list[Grid], list(self.grids))]

    def forward(self, kernels: list[list[Tensor]], shifts: Tensor) -> Tensor:
        """Phase shifts `[B, T, G·F]` in radians → frames `[B, T, 3, H, W]`."""
        state: Any = (None, None)  # features and picture
        for grid, of_grid, shift in zip(self.grids, kernels, shifts.split(NUM_WAVES, dim=2), strict=True):
            state = run_block(grid, *state, shift, *of_grid, gradient_checkpointing=self.gradient_checkpointing)
        return state[1]


class Motion(nn.Module):
    """Motion noise → code m; m and time → phase shifts, by a small network of `m · t · 0.25`."""

    def __init__(self, dim: int, num_waves: int, *, window: float, num_classes: int) -> None:
        super().__init__()
        self.window = window
        self.code = Mapping(dim, dim, num_classes=num_classes)
        self.shift = nn.Sequential(
            Dense(dim, dim, activate=True), Dense(dim, dim, activate=True), Dense(dim, num_waves)
        )

    def forward(self, code: Tensor, times: Tensor) -> Tensor:
        """`code [B, M]`, `times [B, T]` in frames → radians `[B, T, G·F]`."""
        t = (times / self.window).to(code.dtype)
        return self.shift(code[:, None] * (TIME_SCALE * t)[..., None])


@dataclass(frozen=True)
class DiganConfig:
    """Architecture of a `DiganGenerator`."""

    height: int
    """Frame height in pixels; `resolutions` says which are possible."""
    width: int
    """Frame width in pixels."""
    _: KW_ONLY
    num_classes: int = 0
    """Classes K of the dataset; 0 for an unconditional model."""
    z_dim: int = 512
    """Width of the content noise z."""
    w_dim: int = 512
    """Width of the content style w."""
    mapping_layers: int = 2
    """Layers from z to w."""
    channel_base: int = 16384
    """Layers of a grid of resolution r above 32² have `min(channel_base / r, channel_max)` channels."""
    channel_max: int = 512
    """Channels of the layers up to 32²."""
    motion_dim: int = 512
    """Width of motion noise, motion code and motion network."""
    window: float = 15
    """Frames from the first to the last of a training clip, which are times 0 to 1."""


class DiganGenerator(nn.Module):
    """Content z, motion noise and times → frames; called as `models.Generator` is."""

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
            config.motion_dim, self.synthesis.num_waves, window=config.window, num_classes=config.num_classes
        )

    def forward(self, z: Tensor, times: Tensor, motion_noise: Tensor, label: Tensor | None = None) -> Tensor:
        """Normal `z [B, z_dim]` and `motion_noise [B, motion_dim]`, `times [B, T]` in frames (any), one-hot
        `label [B, K]` → frames `[B, T, 3, H, W]`, roughly in −1..1, float32 also under autocast."""
        return self.synthesize(self.mapping(z, label), times, motion_noise, label)

    def synthesize(self, w: Tensor, times: Tensor, motion_noise: Tensor, label: Tensor | None = None) -> Tensor:
        """Like `forward`, from `w [B, w_dim]`."""
        dtype = working_dtype(w)
        with torch.autocast(w.device.type, enabled=False):
            shifts = self.motion(self.motion.code(motion_noise, label), times)
            return self.synthesis(self.synthesis.kernels(w, dtype), shifts)


class DiganVideos(VideoModel):
    """A trained DIGAN as a source of videos. Frames of times far beyond the window were never judged."""

    name = "DIGAN"

    def __init__(self, generator: DiganGenerator, **arguments: Any) -> None:
        """Moves all but the motion network to the device; that is copied and stays on the CPU, in float64."""
        super().__init__(generator, **arguments)
        self.generator = generator
        self._move_network()
        self._motion = deepcopy(generator.motion).cpu().double()

    def _move_network(self) -> None:
        for part in (self.generator.mapping, self.generator.synthesis):
            part.to(self.device)

    def _frames_at(
        self, seed: int, motion_seed: int, times: Iterator[float], *, psi: float, label: int | None
    ) -> Iterator[Frame]:
        one_hot = self._one_hot(label)
        with torch.inference_mode():
            z = torch.from_numpy(noise.normal(seed, noise.CONTENT, 0, self.generator.z_dim))[None].to(self.device)
            w = self.generator.mapping(z, None if one_hot is None else one_hot.to(self.device), psi=psi)
            half = self.precision == "bfloat16"
            kernels = self.generator.synthesis.kernels(w, torch.bfloat16 if half else torch.float32)
            drawn = torch.from_numpy(noise.normal(motion_seed, noise.MOTION, 0, self.generator.motion_dim))[None]
            code = self._motion.code(drawn.double(), None if one_hot is None else one_hot.double())
        while chunk := list(islice(times, CHUNK)):
            # Always as many frames, each with its own product, so that a frame does not depend on those beside it.
            padded = chunk + chunk[-1:] * (CHUNK - len(chunk))
            yield from self._levels(kernels, code, padded)[: len(chunk)]

    @torch.inference_mode()
    def _levels(self, kernels: list[list[Tensor]], code: Tensor, times: list[float]) -> Frame:
        """uint8 `[CHUNK, H, W, 3]`. Motion's shifts are computed one by one, and kept within a turn, so that late
        times lose nothing in float32."""
        moments = [torch.tensor([[time]], dtype=torch.float64) for time in times]
        shifts = torch.cat([self._motion(code, moment).remainder(2 * math.pi).float() for moment in moments], dim=1)
        with deterministic():
            frames = self.generator.synthesis(kernels, shifts.to(self.device))[0]
        return to_uint8(frames)
