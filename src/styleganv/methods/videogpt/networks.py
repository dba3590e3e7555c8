"""VideoGPT (Yan et al. 2021): a VQ-VAE encodes clips as codes, and a transformer generates codes one by one.

    clip ──encoder──▶ z ──nearest──▶ codes ──decoder──▶ clip
    seed ──▶ uniform numbers ──transformer, one code at a time──▶ codes ──decoder──▶ clip

Normalization is over groups of channels of one clip, never over the batch: clips do not depend on each other.

Shapes: B clips, T frames, H height, W width, N = T/4 · H/4 · W/4 codes in this order, C channels, D width of a code,
K codes in the codebook, E width and L layers of the transformer. Clips are `[B, 3, T, H, W]` in −0.5..0.5.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from styleganv import noise
from styleganv.errors import StyleganvError
from styleganv.label_space import Label
from styleganv.methods.network_config import FrameConfig
from styleganv.validation import Size
from styleganv.video_model import Frame, VideoModel, deterministic, to_uint8

DOWN = 4  # frames, rows and columns per code
RESIDUAL_BLOCKS, AXIAL_HEADS, GROUPS = 4, 2, 4
LAYERS, HEADS, DROPOUT = 8, 4, 0.2
#: Videos that are always generated together; see `VideoGptVideos`.
VIDEOS_PER_BATCH = 8


class Attention(nn.Module):
    """Multi-head attention between positions, `[B, N, E]` → the same; `causal` masks later positions."""

    def __init__(self, width: int, heads: int, *, causal: bool) -> None:
        super().__init__()
        self.heads, self.causal = heads, causal
        self.qkv, self.out = nn.Linear(width, 3 * width, bias=causal), nn.Linear(width, width)

    def forward(self, x: Tensor, cache: Tensor | None = None, position: int = 0) -> Tensor:
        """Attend over all positions of `x [B, N, E]`, or from a single position to the previous ones.

        Args:
            x: `[B, N, E]`; with a cache, `[B, 1, E]`.
            cache: keys and values `[2, B, heads, N, E / heads]`; this position's are stored in it.
            position: index of `x` in the cache.
        """
        q, k, v = self.qkv(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        if cache is not None:
            cache[0, :, :, position], cache[1, :, :, position] = k[:, :, 0], v[:, :, 0]
            k, v = cache[:, :, :, : position + 1]
        y = F.scaled_dot_product_attention(q, k, v, is_causal=self.causal and cache is None)
        return self.out(y.transpose(1, 2).flatten(2))


class AxialAttention(nn.Module):
    """Sum of attention along time, height and width: `[B, C, t, h, w]` → the same."""

    def __init__(self, width: int) -> None:
        super().__init__()
        axes = [Attention(width, AXIAL_HEADS, causal=False) for _ in range(3)]
        for parameter in (parameter for attention in axes for parameter in attention.out.parameters()):
            nn.init.zeros_(parameter)  # Residual blocks start as the identity and learn faster.
        self.axes = nn.ModuleList(axes)

    def forward(self, x: Tensor) -> Tensor:
        rows = [x.movedim(1, -1).movedim(axis, 3) for axis in (1, 2, 3)]
        outputs = [attend(row.flatten(0, 2)).view_as(row) for attend, row in zip(self.axes, rows, strict=True)]
        return sum(y.movedim(3, axis) for axis, y in enumerate(outputs, start=1)).movedim(-1, 1)


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
    """K vectors `[K, D]` that follow the mean of the features nearest to them, without gradients."""

    def __init__(self, num_codes: int, dim: int) -> None:
        super().__init__()
        self.vectors = nn.Buffer(torch.zeros(num_codes, dim))
        self.counts = nn.Buffer(torch.zeros(num_codes))  # uses per step, averaged over steps; 0: never used

    def forward(self, z: Tensor) -> Tensor:
        """Return the indices `[M]` of the nearest vectors to `z [M, D]`, float32."""
        return torch.addmm(self.vectors.square().sum(dim=1), z, self.vectors.T, alpha=-2).argmin(dim=1)

    @torch.no_grad()
    def restart(self, candidates: Tensor, min_uses: float) -> None:
        """Replace vectors used less than `min_uses` times per step by `candidates [K, D]`; initially, all of them."""
        unused = self.counts < min_uses
        self.vectors.copy_(torch.where(unused[:, None], candidates, self.vectors))
        self.counts.copy_(torch.where(unused, 1.0, self.counts))

    @torch.no_grad()
    def follow(self, counts: Tensor, sums: Tensor, decay: float) -> None:
        """Update the running means with a step's `counts [K]` and `sums [K, D]` of the nearest features."""
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
        """Return the codes `[B, N]` of clips `[B, 3, T, H, W]`."""
        z = self.encoder(clips).float()
        return self.codebook(z.movedim(1, -1).flatten(0, 3)).view(len(z), -1)

    def decode(self, codes: Tensor, shape: tuple[int, int, int]) -> Tensor:
        """Return the clips of codes `[B, N]`, where N has the `shape` (T/4, H/4, W/4)."""
        return self.decoder(self.codebook.vectors[codes].unflatten(1, shape).movedim(-1, 1))


class Layer(nn.Module):
    """Transformer layer: causal attention, then a network per position; both normalize their input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm_attention, self.norm_network = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, HEADS, causal=True)
        self.network = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.dropout = nn.Dropout(DROPOUT)

    def forward(self, x: Tensor, *cache_position: Any) -> Tensor:
        """Map `x [B, N, E]` to the same; `cache_position` are optional arguments of `Attention.forward`."""
        x = x + self.dropout(self.attention(self.norm_attention(x), *cache_position))
        return x + self.dropout(self.network(self.norm_network(x)))


class Transformer(nn.Module):
    """Logits of each code given the previous ones; before the first comes a start embedding per class."""

    def __init__(self, shape: tuple[int, int, int], num_codes: int, width: int, num_classes: int) -> None:
        super().__init__()
        self.start = nn.Embedding(max(1, num_classes), width)
        self.codes = nn.Embedding(num_codes, width)
        # "places" is the name in model folders.
        self.places = nn.ParameterList(torch.empty(side, width) for side in shape)
        self.dropout = nn.Dropout(DROPOUT)
        self.layers = nn.ModuleList(Layer(width) for _ in range(LAYERS))
        self.norm, self.logits = nn.LayerNorm(width), nn.Linear(width, num_codes)
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2 or name.endswith("bias"):
                nn.init.normal_(parameter, std=0.02 if parameter.ndim == 2 else 0.0)

    @property
    def position_embedding(self) -> Tensor:
        """Return `[N, E]`: the sum of learned embeddings of time, row and column."""
        t, h, w = self.places
        return (t[:, None, None] + h[:, None] + w).flatten(0, 2)

    def forward(self, codes: Tensor, label: Tensor) -> Tensor:
        """Return logits `[B, N, K]` of `codes [B, N]` given the previous ones and the class `label [B]` (0 without)."""
        previous = torch.cat([self.start(label)[:, None], self.codes(codes[:, :-1])], dim=1)
        x = self.dropout(previous + self.position_embedding)
        for layer in self.layers:
            x = layer(x)
        return self.logits(self.norm(x))

    def generate(self, label: Tensor, choose: Callable[[Tensor, int], Tensor], dtype: torch.dtype) -> Tensor:
        """Return codes `[B, N]`, generated one position at a time, with a progress bar.

        Args:
            label: classes `[B]`.
            choose: function from logits `[B, K]` and a position to codes `[B]`.
            dtype: dtype of the cached keys and values.
        """
        embedding, previous = self.position_embedding, self.start(label)
        num_positions, width = embedding.shape
        cache = previous.new_empty((LAYERS, 2, len(label), HEADS, num_positions, width // HEADS), dtype=dtype)
        codes: list[Tensor] = []
        for i in range(num_positions):
            x = (previous + embedding[i])[:, None]
            for layer, layer_cache in zip(self.layers, cache, strict=True):
                x = layer(x, layer_cache, i)
            codes.append(choose(self.logits(self.norm(x))[:, 0], i))
            previous = self.codes(codes[-1])
        return torch.stack(codes, dim=1)


@dataclass(frozen=True, kw_only=True)
class VideoGptConfig(FrameConfig):
    """Architecture of a `VideoGpt`; height and width are multiples of 4."""

    num_frames: Size = 16
    """Frames per clip; a multiple of 4."""
    channel_max: Size = 512
    """Width of the networks: the paper's from 288 on (240, 576; 2048 codes of 256), smaller below."""


class VideoGpt(nn.Module):
    """VQ-VAE and transformer."""

    def __init__(self, config: VideoGptConfig) -> None:
        """Build both networks.

        Raises:
            StyleganvError: if a side of the clip is not divisible by 4.
        """
        super().__init__()
        self.config = config
        height, width, num_frames, num_classes = config.height, config.width, config.num_frames, config.num_classes
        if any(side % DOWN for side in (num_frames, height, width)):
            raise StyleganvError(
                f"VideoGPT requires clips whose sides are multiples of {DOWN}, got {num_frames} frames of "
                f"{height}x{width}: prepare the dataset with such sides, and set --num-frames."
            )
        self.height, self.width, self.num_frames, self.num_classes = height, width, num_frames, num_classes
        self.shape = (num_frames // DOWN, height // DOWN, width // DOWN)
        self.num_codes = math.prod(self.shape)  # N
        channels = max(8, config.channel_max // 8 * 8)
        codebook_size = min(2048, 8 * channels)
        self.vqvae = VqVae(min(240, channels), codebook_size, min(256, channels))
        self.transformer = Transformer(self.shape, codebook_size, min(576, 2 * channels), num_classes)


def sample_codes(logits: Tensor, uniform: Tensor) -> Tensor:
    """Return codes `[B]` sampled from `logits [B, K]` by inverting the distribution at `uniform [B]` in 0..1."""
    sums = logits.double().softmax(dim=1).cumsum(dim=1)
    return (sums <= uniform[:, None] * sums[:, -1:]).sum(dim=1).clamp(max=logits.shape[1] - 1)


class VideoGptVideos(VideoModel):
    """Clips of a trained VideoGPT; the seed determines the uniform numbers that codes are sampled with.

    Eight videos of consecutive seeds are always generated together, since that takes little longer than one. A video
    therefore does not depend on the request. On another machine, rounding may change a code and all that follow it.
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
        self._generated: dict[tuple[int, Label | None], Tensor] = {}

    def _frames_at(
        self, seed: int, motion_seed: int, times: Iterator[float], *, psi: float, label: Label | None
    ) -> Iterator[Frame]:
        if (seed, label) not in self._generated:
            first = seed - seed % VIDEOS_PER_BATCH
            seeds = range(first, first + VIDEOS_PER_BATCH)
            is_own = label is None or label == self.label_from_seed(seed)
            labels = [self.choose_label(s) if is_own else label for s in seeds]
            rows = zip(seeds, labels, strict=True)
            self._generated = dict(zip(rows, self._generate(seeds, labels), strict=True))
        with torch.inference_mode(), deterministic(), self.autocast():
            clip = self.net.vqvae.decode(self._generated[seed, label][None], self.net.shape)[0]
        frames = to_uint8(2 * clip.float().transpose(0, 1))
        yield from (frames[round(time)] for time in times)

    @torch.inference_mode()
    def _generate(self, seeds: Sequence[int], labels: Sequence[Label | None]) -> Tensor:
        """Return codes `[B, N]`."""
        columns = [torch.from_numpy(noise.uniform(s, noise.CONTENT, 0, self.net.num_codes)) for s in seeds]
        uniform = torch.stack(columns, dim=1).to(self.device)
        label = torch.tensor([label or 0 for label in labels], dtype=torch.long, device=self.device)
        dtype: torch.dtype = getattr(torch, self.precision)
        with deterministic(), self.autocast():
            return self.net.transformer.generate(label, lambda logits, i: sample_codes(logits, uniform[i]), dtype)
