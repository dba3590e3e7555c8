"""VideoGPT (Yan et al. 2021): clips as codes of a VQ-VAE, and a transformer that writes codes one after another.

    clip ──encoder──▶ z ──nearest──▶ codes ──decoder──▶ clip
    seed ──▶ uniform numbers ──transformer, one code after the other──▶ codes ──decoder──▶ clip

Channels of one clip are normalised, in groups, and never a batch: no clip depends on others.

Shapes: B clips, T frames, H height, W width, N = T/4 · H/4 · W/4 codes in this order, C channels, D width of a code,
K codes in the book, E width and L layers of the transformer. Clips are `[B, 3, T, H, W]` in −0.5..0.5.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

from styleganv import noise
from styleganv.errors import StyleganvError
from styleganv.video_model import Frame, VideoModel, deterministic, to_uint8

DOWN = 4  # frames, rows and columns that share a code
RESIDUAL_BLOCKS, AXIAL_HEADS, GROUPS = 4, 2, 4
LAYERS, HEADS, DROPOUT = 8, 4, 0.2
#: Videos that are written side by side, always; see `VideoGptVideos`.
TOGETHER = 8


class Attention(nn.Module):
    """Of places to each other in several heads: `[B, N, E]` → the same. A causal one sees no place after its own."""

    def __init__(self, width: int, heads: int, *, causal: bool) -> None:
        super().__init__()
        self.heads, self.causal = heads, causal
        self.qkv, self.out = nn.Linear(width, 3 * width, bias=causal), nn.Linear(width, width)

    def forward(self, x: Tensor, cache: Tensor | None = None, place: int = 0) -> Tensor:
        """`x [B, N, E]` all at once; or `[B, 1, E]` at a `place`, with keys and values in `cache
        [2, B, heads, N, E / heads]` of all before, which gets its own."""
        q, k, v = self.qkv(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        if cache is not None:
            cache[0, :, :, place], cache[1, :, :, place] = k[:, :, 0], v[:, :, 0]
            k, v = cache[:, :, :, : place + 1]
        seen = F.scaled_dot_product_attention(q, k, v, is_causal=self.causal and cache is None)
        return self.out(seen.transpose(1, 2).flatten(2))


class AxialAttention(nn.Module):
    """Attention along time, height and width, each by itself, summed: `[B, C, t, h, w]` → the same."""

    def __init__(self, width: int) -> None:
        super().__init__()
        axes = [Attention(width, AXIAL_HEADS, causal=False) for _ in range(3)]
        for parameter in (parameter for attention in axes for parameter in attention.out.parameters()):
            nn.init.zeros_(parameter)  # A residual block begins as the identity, and learns sooner.
        self.axes = nn.ModuleList(axes)

    def forward(self, x: Tensor) -> Tensor:
        rows = [x.movedim(1, -1).movedim(axis, 3) for axis in (1, 2, 3)]
        seen = [attend(of.flatten(0, 2)).view_as(of) for attend, of in zip(self.axes, rows, strict=True)]
        return sum(of.movedim(3, axis) for axis, of in enumerate(seen, start=1)).movedim(-1, 1)


class ResidualBlock(nn.Module):
    """Convolutions through half the width, then axial attention, added to the input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        half = width // 2
        self.layers = nn.Sequential(
            nn.GroupNorm(GROUPS, width), nn.ReLU(), nn.Conv3d(width, half, 3, padding=1, bias=False),
            nn.GroupNorm(GROUPS, half), nn.ReLU(), nn.Conv3d(half, width, 1, bias=False),
            nn.GroupNorm(GROUPS, width), nn.ReLU(), AxialAttention(width),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


class Codebook(nn.Module):
    """K vectors `[K, D]` that move to the mean of what they stand for; they are counted, not differentiated."""

    def __init__(self, num_codes: int, dim: int) -> None:
        super().__init__()
        self.vectors = nn.Buffer(torch.zeros(num_codes, dim))
        self.counts = nn.Buffer(torch.zeros(num_codes))  # of a step, averaged over steps; 0: never used

    def forward(self, z: Tensor) -> Tensor:
        """The nearest of the K vectors for each of `z [M, D]`: `[M]`. float32."""
        return torch.addmm(self.vectors.square().sum(dim=1), z, self.vectors.T, alpha=-2).argmin(dim=1)

    @torch.no_grad()
    def restart(self, candidates: Tensor, fewest: float) -> None:
        """Vectors used fewer than `fewest` times a step become `candidates [K, D]`; at first all of them."""
        unused = self.counts < fewest
        self.vectors.copy_(torch.where(unused[:, None], candidates, self.vectors))
        self.counts.copy_(torch.where(unused, 1.0, self.counts))

    @torch.no_grad()
    def follow(self, counts: Tensor, sums: Tensor, decay: float) -> None:
        """Move to the average, over steps, of what was nearest: `counts [K]` of a step and their `sums [K, D]`."""
        kept = self.vectors * (decay * self.counts)[:, None]
        self.counts.mul_(decay).add_(counts, alpha=1 - decay)
        self.vectors.copy_((kept + (1 - decay) * sums) / self.counts[:, None])


class VqVae(nn.Module):
    """Clips to codes and back."""

    def __init__(self, width: int, num_codes: int, dim: int) -> None:
        super().__init__()
        blocks = [ResidualBlock(width) for _ in range(2 * RESIDUAL_BLOCKS)]
        self.encoder = nn.Sequential(
            nn.Conv3d(3, width, 4, stride=2, padding=1), nn.ReLU(),
            nn.Conv3d(width, width, 4, stride=2, padding=1), nn.ReLU(),
            nn.Conv3d(width, width, 3, padding=1),
            *blocks[:RESIDUAL_BLOCKS], nn.ReLU(), nn.Conv3d(width, dim, 1),
        )  # fmt: skip
        self.codebook = Codebook(num_codes, dim)
        self.decoder = nn.Sequential(
            nn.Conv3d(dim, width, 1),
            *blocks[RESIDUAL_BLOCKS:], nn.ReLU(),
            nn.ConvTranspose3d(width, width, 4, stride=2, padding=1), nn.ReLU(),
            nn.ConvTranspose3d(width, 3, 4, stride=2, padding=1),
        )  # fmt: skip

    def encode(self, clips: Tensor) -> Tensor:
        """`[B, 3, T, H, W]` → codes `[B, N]`."""
        z = self.encoder(clips).float()
        return self.codebook(z.movedim(1, -1).flatten(0, 3)).view(len(z), -1)

    def decode(self, codes: Tensor, shape: tuple[int, int, int]) -> Tensor:
        """Codes `[B, N]`, N of the given `shape` (T/4, H/4, W/4) → clips."""
        return self.decoder(self.codebook.vectors[codes].unflatten(1, shape).movedim(-1, 1))


class Layer(nn.Module):
    """Of the transformer: attention to all before, then a network for each place; both normalise their input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm_attention, self.norm_network = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, HEADS, causal=True)
        self.network = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.dropout = nn.Dropout(DROPOUT)

    def forward(self, x: Tensor, *at: Any) -> Tensor:
        """`at`: a cache and a place, as `Attention` wants them, or nothing."""
        x = x + self.dropout(self.attention(self.norm_attention(x), *at))
        return x + self.dropout(self.network(self.norm_network(x)))


class Transformer(nn.Module):
    """How likely each code is after those before it. The first comes after a start, of which each class has its own."""

    def __init__(self, shape: tuple[int, int, int], num_codes: int, width: int, num_classes: int) -> None:
        super().__init__()
        self.start = nn.Embedding(max(1, num_classes), width)
        self.codes = nn.Embedding(num_codes, width)
        self.places = nn.ParameterList(torch.empty(side, width) for side in shape)
        self.dropout = nn.Dropout(DROPOUT)
        self.layers = nn.ModuleList(Layer(width) for _ in range(LAYERS))
        self.norm, self.logits = nn.LayerNorm(width), nn.Linear(width, num_codes)
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2 or name.endswith("bias"):
                nn.init.normal_(parameter, std=0.02 if parameter.ndim == 2 else 0.0)

    @property
    def place(self) -> Tensor:
        """`[N, E]`: where in time, height and width, each learned by itself."""
        t, h, w = self.places
        return (t[:, None, None] + h[:, None] + w).flatten(0, 2)

    def forward(self, codes: Tensor, label: Tensor) -> Tensor:
        """Logits `[B, N, K]` of each of `codes [B, N]`, given those before it and the class `label [B]` (0 without)."""
        before = torch.cat([self.start(label)[:, None], self.codes(codes[:, :-1])], dim=1)
        x = self.dropout(before + self.place)
        for layer in self.layers:
            x = layer(x)
        return self.logits(self.norm(x))

    def write(self, label: Tensor, choose: Callable[[Tensor, int], Tensor], dtype: torch.dtype) -> Tensor:
        """Codes `[B, N]`, one place after the other, with a progress bar: `choose` makes codes `[B]` of logits `[B, K]`
        and their place. `dtype` of keys and values that are kept."""
        place, before = self.place, self.start(label)
        cache = before.new_empty((LAYERS, 2, len(label), HEADS, len(place), place.shape[1] // HEADS), dtype=dtype)
        codes: list[Tensor] = []
        for i in tqdm(range(len(place)), desc="writing codes", unit="code", delay=2, leave=False):
            x = (before + place[i])[:, None]
            for layer, kept in zip(self.layers, cache, strict=True):
                x = layer(x, kept, i)
            codes.append(choose(self.logits(self.norm(x))[:, 0], i))
            before = self.codes(codes[-1])
        return torch.stack(codes, dim=1)


@dataclass(frozen=True)
class VideoGptConfig:
    """Architecture of a `VideoGpt`."""

    height: int
    """Frame height in pixels; `resolutions` says which are possible."""
    width: int
    """Frame width in pixels."""
    _: KW_ONLY
    num_frames: int = 16
    """Frames per clip; a multiple of 4, as height and width."""
    num_classes: int = 0
    """Classes K of the dataset; 0 for an unconditional model."""
    channel_max: int = 512
    """Width of the networks: the paper's from 288 on, smaller below."""


class VideoGpt(nn.Module):
    """Both networks. Widths are the paper's (240, 576; 2048 codes of 256) from `channel_max` 288 on, smaller below.
    Raises StyleganvError if the clip's sides cannot be divided by 4."""

    def __init__(self, config: VideoGptConfig) -> None:
        super().__init__()
        self.config = config
        height, width, num_frames, num_classes = config.height, config.width, config.num_frames, config.num_classes
        if any(side % DOWN for side in (num_frames, height, width)):
            raise StyleganvError(
                f"VideoGPT divides clips by {DOWN}, and {num_frames} frames of {height}x{width} cannot be: prepare "
                f"the data with sides, and choose --num-frames, that are multiples of {DOWN}."
            )
        self.height, self.width, self.num_frames, self.num_classes = height, width, num_frames, num_classes
        self.shape = (num_frames // DOWN, height // DOWN, width // DOWN)
        self.num_places = math.prod(self.shape)  # N
        whole = max(8, config.channel_max // 8 * 8)
        num_codes = min(2048, 8 * whole)
        self.vqvae = VqVae(min(240, whole), num_codes, min(256, whole))
        self.transformer = Transformer(self.shape, num_codes, min(576, 2 * whole), num_classes)


def drawn(logits: Tensor, uniform: Tensor) -> Tensor:
    """Codes `[B]` with the probabilities of `logits [B, K]`: where `uniform [B]`, 0..1, falls among their sums."""
    sums = logits.double().softmax(dim=1).cumsum(dim=1)
    return (sums <= uniform[:, None] * sums[:, -1:]).sum(dim=1).clamp(max=logits.shape[1] - 1)


class VideoGptVideos(VideoModel):
    """Clips of a trained VideoGPT: a seed gives the uniform numbers that choose its codes.

    Eight videos of neighbouring seeds are always written together, whichever of them is asked for: that costs little
    more than one, and a video does not depend on how it is asked for. On another machine, rounding may choose another
    code here or there, and all after it.
    """

    name = "VideoGPT"
    supports_any_fps = False
    supports_motion_seed = False
    supports_truncation = False

    def __init__(self, net: VideoGpt, **arguments: Any) -> None:
        super().__init__(net, **arguments)
        self.net, self.max_frames = net, net.num_frames
        self._move_network()

    def _move_network(self) -> None:
        super()._move_network()
        self._written: dict[tuple[int, int | None], Tensor] = {}

    def _frames_at(
        self, seed: int, motion_seed: int, times: Iterator[float], *, psi: float, label: int | None
    ) -> Iterator[Frame]:
        if (seed, label) not in self._written:
            first = seed - seed % TOGETHER
            seeds = range(first, first + TOGETHER)
            own = label is None or label == self.class_from_seed(seed)
            labels = [self.class_index(s) if own else label for s in seeds]
            rows = zip(seeds, labels, strict=True)
            self._written = dict(zip(rows, self._write(seeds, labels), strict=True))
        with torch.inference_mode(), deterministic(), self.autocast():
            clip = self.net.vqvae.decode(self._written[seed, label][None], self.net.shape)[0]
        frames = to_uint8(2 * clip.float().transpose(0, 1))
        yield from (frames[round(time)] for time in times)

    @torch.inference_mode()
    def _write(self, seeds: Sequence[int], labels: Sequence[int | None]) -> Tensor:
        """Codes `[B, N]`."""
        count = self.net.num_places
        columns = [torch.from_numpy(noise.uniform(s, noise.CONTENT, 0, count)) for s in seeds]
        uniform = torch.stack(columns, dim=1).to(self.device)
        label = torch.tensor([label or 0 for label in labels], device=self.device)
        dtype: torch.dtype = getattr(torch, self.precision)
        with deterministic(), self.autocast():
            return self.net.transformer.write(label, lambda logits, i: drawn(logits, uniform[i]), dtype)
