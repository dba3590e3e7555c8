"""Patch sliced-Wasserstein distance (Karras et al. 2018) of frames or consecutive frames, without a network.

    clips ──laplacian_pyramid──▶ levels ──sample_patches──▶ 7x7 patches ──sliced_wasserstein──▶ a distance per level

Each level of the pyramid holds the detail of one scale, so its distance tells at which scale two sets of videos differ:
the finest level in texture and sharpness, the coarsest in layout and color. Patches of three consecutive frames (7x7x3
values x 3 frames) also capture motion.

Shapes: N clips (B in a batch) of T frames, height H, width W; L levels; P patches per clip and level, each of F
consecutive frames; n and m points of d values each; k directions.
"""

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

#: Height and width of a patch.
PATCH = 7
#: Minimum shorter side of a level, in pixels.
COARSEST = 16
#: Number of patches per clip and level.
PATCHES_PER_CLIP = 64
#: Number of random unit vectors that patches are projected on.
DIRECTIONS = 256
#: Factor of reported sliced-Wasserstein distances.
SCALE = 1000
#: Maximum number of values in a batch of clips (8 MiB of floats); at least one clip.
_VALUES_PER_BATCH = 2**21
#: Number of directions that are sorted at once, to limit memory.
_DIRECTIONS_PER_CHUNK = 64


@dataclass(frozen=True)
class PatchDistance:
    """Distances between the patches of two sets of clips, times 1000.

    `levels` holds them by the shorter side of the level in pixels, finest first.
    """

    levels: dict[int, float]

    @property
    def mean(self) -> float:
        return sum(self.levels.values()) / len(self.levels)


def patch_distance(
    real_clips: NDArray[np.uint8], fake_clips: NDArray[np.uint8], *, num_frames: int = 1, seed: int = 0
) -> PatchDistance:
    """Return the patch sliced-Wasserstein distance of two sets of clips.

    The positions of a clip's patches depend only on its content and the seed, so the distance is reproducible, and
    exactly 0 for equal sets in any order.

    Args:
        real_clips, fake_clips: uint8 `[N, T, H, W, 3]` of the same height and width, with T ≥ `num_frames`. N may
            differ, but distances of fewer clips are larger. In longer clips, patches come from all times.
        num_frames: number of consecutive frames per patch: 1 measures images, 3 also motion.

    Raises:
        ValueError: for empty sets, other shapes or types, unequal sizes, or clips smaller than a patch.
    """
    for clips in (real_clips, fake_clips):
        if clips.ndim != 5 or clips.shape[-1] != 3 or clips.dtype != np.uint8 or len(clips) == 0:
            raise ValueError(f"clips must be uint8 [N, T, H, W, 3], got {clips.dtype} {list(clips.shape)}")
    if real_clips.shape[2:] != fake_clips.shape[2:]:
        raise ValueError(
            f"frames must be equal in size, got {list(real_clips.shape[2:4])} and {list(fake_clips.shape[2:4])}"
        )
    real, fake = (_patches_of_all(clips, num_frames, seed) for clips in (real_clips, fake_clips))
    return PatchDistance(
        {side: level_distance(real[side].flatten(0, 1), fake[side].flatten(0, 1), seed=seed) for side in real}
    )


def _patches_of_all(clips: NDArray[np.uint8], num_frames: int, seed: int) -> dict[int, Tensor]:
    """Return `clip_patches` of clips `[N, T, H, W, 3]`, batch by batch."""
    size = max(1, _VALUES_PER_BATCH // math.prod(clips.shape[1:]))
    batches = [
        clip_patches(torch.from_numpy(np.ascontiguousarray(batch.transpose(0, 1, 4, 2, 3))), num_frames, seed=seed)
        for batch in (clips[i : i + size] for i in range(0, len(clips), size))
    ]
    return {
        side: torch.cat([batch.pop(side) for batch in batches]) for side in list(batches[0])
    }  # frees each batch's copy


def clip_patches(clips: Tensor, num_frames: int, *, seed: int = 0) -> dict[int, Tensor]:
    """Return random patches of every level of uint8 clips `[B, T, 3, H, W]`, by the level's shorter side, finest first.

    They are float32 `[B, P, F, 3, 7, 7]` of F = `num_frames` consecutive frames, at positions that depend only on the
    clip's content and the seed.

    Raises:
        ValueError: if clips are smaller than a patch.
    """
    height, width = clips.shape[-2:]
    if clips.shape[1] < num_frames or min(height, width) < PATCH or num_frames < 1:
        size = f"{clips.shape[1]} frames of {height}x{width}"
        raise ValueError(f"no patch of {num_frames} frames of {PATCH}x{PATCH} fits in {size}")
    levels = laplacian_pyramid(clips.float().flatten(0, 1))
    positions = np.stack([_random_positions(clip, len(levels), seed) for clip in clips])
    return {
        min(level.shape[-2:]): sample_patches(level.unflatten(0, clips.shape[:2]), positions[:, i], num_frames)
        for i, level in enumerate(levels)
    }


def _random_positions(clip: Tensor, levels: int, seed: int) -> NDArray[np.float64]:
    """Return positions `[L, P, 3]` in [0, 1), seeded by the clip's bytes and the seed."""
    return np.random.default_rng([seed, zlib.crc32(clip.cpu().numpy().tobytes())]).random((levels, PATCHES_PER_CLIP, 3))


def laplacian_pyramid(frames: Tensor) -> list[Tensor]:
    """Split images `[N, C, H, W]` into bands of detail `[N, C, h, w]`, finest first (Burt and Adelson 1983).

    Each level is the image minus its low-pass copy at half the size (rounded up), enlarged, while the shorter side
    stays at least `COARSEST`; the last level is the low-pass image. `reconstruct` sums them.
    """
    levels = []
    while (min(frames.shape[-2:]) + 1) // 2 >= COARSEST:
        low = _halve(_halve(frames, -1), -2)
        levels.append(frames - _enlarge(low, frames.shape[-2:]))
        frames = low
    return [*levels, frames]


def reconstruct(levels: Sequence[Tensor]) -> Tensor:
    """Return the images `[N, C, H, W]` of a Laplacian pyramid."""
    frames = levels[-1]
    for level in reversed(levels[:-1]):
        frames = level + _enlarge(frames, level.shape[-2:])
    return frames


def _halve(x: Tensor, dim: int) -> Tensor:
    """Blur along a dimension by [1, 4, 6, 4, 1] / 16, mirrored at the borders, and keep every other value."""
    size = (x.shape[dim] + 1) // 2
    x = F.pad(x, (2, 2, 0, 0) if dim == -1 else (0, 0, 2, 2), mode="reflect").movedim(dim, -1)
    taps = [x[..., i : i + 2 * size - 1 : 2] for i in range(5)]
    return (6 * taps[2]).add_(taps[1] + taps[3], alpha=4).add_(taps[0]).add_(taps[4]).div_(16).movedim(-1, dim)


def _enlarge(x: Tensor, size: Sequence[int]) -> Tensor:
    """Double the size, cropped to `size`: insert zeros, apply the same blur, and multiply by 2 per dimension."""
    for dim, length in ((-2, size[-2]), (-1, size[-1])):
        x = F.pad(x, (1, 1, 0, 0) if dim == -1 else (0, 0, 1, 1), mode="replicate").movedim(dim, -1)
        before, here, after = x[..., :-2], x[..., 1:-1], x[..., 2:]
        even, odd = (6 * here).add_(before).add_(after).div_(8), (here + after).div_(2)
        x = torch.stack([even, odd], dim=-1).flatten(-2)[..., :length].movedim(-1, dim)
    return x


def sample_patches(level: Tensor, positions: NDArray[np.float64], num_frames: int = 1) -> Tensor:
    """Return patches `[B, P, num_frames, C, 7, 7]` of consecutive frames of `level [B, T, C, h, w]`.

    `positions [B, P, 3]` in [0, 1) are time, row and column of a patch, as fractions of the possible range.
    """
    windows = level.unfold(1, num_frames, 1).unfold(3, PATCH, 1).unfold(4, PATCH, 1)  # a view: [B, t, C, y, x, F, 7, 7]
    windows = windows.permute(0, 1, 3, 4, 5, 2, 6, 7)
    first = torch.from_numpy(np.floor(positions * windows.shape[1:4]).astype(np.int64)).to(level.device)
    clip = torch.arange(len(level), device=level.device)[:, None]
    return windows[clip, first[..., 0], first[..., 1], first[..., 2]]


def level_distance(real: Tensor, fake: Tensor, *, seed: int = 0) -> float:
    """Return 1000 times the sliced-Wasserstein distance of a level's patches `[n, F, 3, 7, 7]` and `[m, F, 3, 7, 7]`.

    Both sets are normalized by the real set's mean and standard deviation per color channel, so a wrong contrast or
    color cast counts. `seed` is that of the directions.
    """
    unit = random_directions(DIRECTIONS, real[0].numel(), seed=seed)
    # (x − mean) / std · u = x · (u / std) − mean · (u / std); the last term shifts both sets equally and cancels.
    deviation = torch.stack([real[:, :, c].std(correction=0) for c in range(real.shape[2])])
    deviation = deviation.where(deviation > 0, 1)  # a constant channel is not scaled
    scaled = unit.view(-1, *real.shape[1:]) / deviation[:, None, None].cpu()
    return SCALE * sliced_wasserstein(real.flatten(1), fake.flatten(1), scaled.flatten(1))


def random_directions(count: int, dims: int, *, seed: int = 0) -> Tensor:
    """Return unit vectors `[count, dims]`, uniform on the sphere."""
    return F.normalize(torch.randn(count, dims, generator=torch.Generator().manual_seed(seed)), dim=1)


def sliced_wasserstein(real: Tensor, fake: Tensor, directions: Tensor) -> float:
    """Return the mean Wasserstein-1 distance between projections of `[n, d]` and `[m, d]` on `directions [k, d]`."""
    total = 0.0
    for chunk in directions.split(_DIRECTIONS_PER_CHUNK):
        a, b = ((chunk.to(x) @ x.T).cpu().numpy() for x in (real, fake))
        total += float(wasserstein(a, b).sum())
    return total / len(directions)


def wasserstein(a: NDArray[np.floating], b: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the Wasserstein-1 distance `[...]` between numbers `a [..., n]` and `b [..., m]`.

    This is the area between their quantile functions; for n = m the mean absolute difference of the sorted numbers.
    """
    a, b = np.sort(a, axis=-1), np.sort(b, axis=-1)
    n, m = a.shape[-1], b.shape[-1]
    if n == m:
        return np.abs(a - b).mean(axis=-1, dtype=np.float64)
    # Both quantile functions are constant between the steps i / n and j / m, here in integer units of 1 / (n m).
    steps = np.union1d(np.arange(n + 1) * m, np.arange(m + 1) * n)
    difference = np.abs(a[..., steps[:-1] // m] - b[..., steps[:-1] // n])
    return difference.astype(np.float64) @ (np.diff(steps) / (n * m))


def patch_features(clips: Tensor, num_frames: int) -> Tensor:
    """Return patches of clips `[B, T, 3, H, W]` as features `[B·L·P, 1 + F·147]`, one row per patch.

    A row holds the shorter side of its level in pixels, then the patch `[F, 3, 7, 7]` of F = `num_frames`.
    """
    rows = [F.pad(patches.flatten(2), (1, 0), value=side) for side, patches in clip_patches(clips, num_frames).items()]
    return torch.stack(rows, dim=1).flatten(0, 2)


def distance_of_features(real: Tensor, fake: Tensor, *, seed: int = 0) -> PatchDistance:
    """Return the distance between two sets of `patch_features`; `seed` is the random seed of the directions."""
    sides = sorted((int(side) for side in real[:, 0].unique()), reverse=True)

    def level(features: Tensor, side: int) -> Tensor:
        return features[features[:, 0] == side, 1:].unflatten(1, (-1, 3, PATCH, PATCH))

    return PatchDistance({side: level_distance(level(real, side), level(fake, side), seed=seed) for side in sides})
