"""Patch sliced-Wasserstein distance (Karras et al. 2018) of frames and of short runs of frames: no network involved.

    clips ──laplacian_pyramid──▶ levels ──sample_patches──▶ 7x7 patches ──sliced_wasserstein──▶ a distance per level

Each level of the pyramid holds the detail of one scale, so a level's distance says at which scale two sets of videos
differ: the finest about texture and sharpness, the coarsest about layout and color. Patches of three consecutive frames
(7x7x3 pixels x 3 frames) see motion as well.

Shapes: N clips (B in a batch) of T frames, height H, width W; L levels; P patches of a clip and level, each of F
consecutive frames; n and m points of d numbers each; k directions.
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
#: The pyramid ends before its shorter side would fall below this.
COARSEST = 16
#: Patches of each clip and level.
PATCHES_PER_CLIP = 64
#: Random unit vectors that patches are projected on.
DIRECTIONS = 256
#: Sliced-Wasserstein distances are printed times this.
SCALE = 1000
#: Clips are decomposed in batches of at most so many numbers (8 MiB of floats), and at least one clip.
_NUMBERS_PER_BATCH = 2**21
#: Directions that are sorted at once, which bounds memory.
_DIRECTIONS_AT_ONCE = 64


@dataclass(frozen=True)
class PatchDistance:
    """How far the patches of two sets of clips are apart, times 1000.

    Attributes:
        levels: by the shorter side of the level in pixels, finest first.
        mean: over levels.
    """

    levels: dict[int, float]

    @property
    def mean(self) -> float:
        return sum(self.levels.values()) / len(self.levels)


def patch_distance(
    real_clips: NDArray[np.uint8], fake_clips: NDArray[np.uint8], *, num_frames: int = 1, seed: int = 0
) -> PatchDistance:
    """The patch sliced-Wasserstein distance of two sets of clips.

    Where the patches of a clip lie depends on its content and the seed only, so equal sets, in any order, have a
    distance of exactly 0, and all else is reproducible.

    Args:
        real_clips, fake_clips: uint8 `[N, T, H, W, 3]` of one height and width, with T ≥ `num_frames`. N may differ,
            but distances of fewer clips are larger. Of longer clips, patches come from all times.
        num_frames: consecutive frames of a patch: 1 judges pictures, 3 also motion.
        seed: of patches and directions.

    Raises:
        ValueError: for empty sets, other shapes or types, unequal sizes, or clips with no room for a patch.
    """
    for clips in (real_clips, fake_clips):
        if clips.ndim != 5 or clips.shape[-1] != 3 or clips.dtype != np.uint8 or len(clips) == 0:
            raise ValueError(f"clips must be uint8 [N, T, H, W, 3], not {clips.dtype} {list(clips.shape)}")
    if real_clips.shape[2:] != fake_clips.shape[2:]:
        raise ValueError(f"frames are {list(real_clips.shape[2:4])} and {list(fake_clips.shape[2:4])}")
    real, fake = (_patches_of_all(clips, num_frames, seed) for clips in (real_clips, fake_clips))
    return PatchDistance(
        {side: level_distance(real[side].flatten(0, 1), fake[side].flatten(0, 1), seed=seed) for side in real}
    )


def _patches_of_all(clips: NDArray[np.uint8], num_frames: int, seed: int) -> dict[int, Tensor]:
    """`clip_patches` of clips `[N, T, H, W, 3]`, a batch at a time."""
    size = max(1, _NUMBERS_PER_BATCH // math.prod(clips.shape[1:]))
    batches = [
        clip_patches(torch.from_numpy(np.ascontiguousarray(batch.transpose(0, 1, 4, 2, 3))), num_frames, seed=seed)
        for batch in (clips[i : i + size] for i in range(0, len(clips), size))
    ]
    return {side: torch.cat([batch.pop(side) for batch in batches]) for side in list(batches[0])}  # never all twice


def clip_patches(clips: Tensor, num_frames: int, *, count: int = PATCHES_PER_CLIP, seed: int = 0) -> dict[int, Tensor]:
    """Random patches of every level of clips, at places that depend on the clip's content and the seed only.

    Args:
        clips: uint8 `[B, T, 3, H, W]`.
        num_frames: F, consecutive frames of a patch.
        count: P.

    Returns:
        By the shorter side of the level in pixels, finest first: float32 `[B, P, F, 3, 7, 7]`.

    Raises:
        ValueError: for clips with no room for a patch.
    """
    height, width = clips.shape[-2:]
    if clips.shape[1] < num_frames or min(height, width) < PATCH or num_frames < 1:
        room = f"{clips.shape[1]} frames of {height}x{width}"
        raise ValueError(f"there is no patch of {num_frames} frames of {PATCH}x{PATCH} in {room}")
    levels = laplacian_pyramid(clips.float().flatten(0, 1))
    places = np.stack([_random_places(clip, len(levels), count, seed) for clip in clips])
    return {
        min(level.shape[-2:]): sample_patches(level.unflatten(0, clips.shape[:2]), places[:, i], num_frames)
        for i, level in enumerate(levels)
    }


def _random_places(clip: Tensor, levels: int, count: int, seed: int) -> NDArray[np.float64]:
    """`[L, P, 3]` in [0, 1), drawn from a generator that the clip's bytes and the seed start."""
    return np.random.default_rng([seed, zlib.crc32(clip.cpu().numpy().tobytes())]).random((levels, count, 3))


def laplacian_pyramid(frames: Tensor, *, coarsest: int = COARSEST) -> list[Tensor]:
    """Pictures split into bands of detail (Burt and Adelson 1983): each level is the picture less its low-pass copy at
    half the size, enlarged; the last level is the low-pass picture itself.

    Args:
        frames: float `[N, C, H, W]`.
        coarsest: pictures are halved (rounded up) while their shorter side stays at least this.

    Returns:
        Levels `[N, C, h, w]`, finest first; `reconstructed` adds them up again.
    """
    levels = []
    while (min(frames.shape[-2:]) + 1) // 2 >= coarsest:
        low = _halved(_halved(frames, -1), -2)
        levels.append(frames - _enlarged(low, frames.shape[-2:]))
        frames = low
    return [*levels, frames]


def reconstructed(levels: Sequence[Tensor]) -> Tensor:
    """The pictures `[N, C, H, W]` of a Laplacian pyramid."""
    frames = levels[-1]
    for level in reversed(levels[:-1]):
        frames = level + _enlarged(frames, level.shape[-2:])
    return frames


def _halved(x: Tensor, dim: int) -> Tensor:
    """Every other value along a dimension after a blur by [1, 4, 6, 4, 1] / 16, mirrored at the borders."""
    size = (x.shape[dim] + 1) // 2
    x = F.pad(x, (2, 2, 0, 0) if dim == -1 else (0, 0, 2, 2), mode="reflect").movedim(dim, -1)
    taps = [x[..., i : i + 2 * size - 1 : 2] for i in range(5)]
    return (6 * taps[2]).add_(taps[1] + taps[3], alpha=4).add_(taps[0]).add_(taps[4]).div_(16).movedim(-1, dim)


def _enlarged(x: Tensor, size: Sequence[int]) -> Tensor:
    """Twice the size, cut to `size`: the same blur of the values with zeros in between, times 2 a dimension."""
    for dim, length in ((-2, size[-2]), (-1, size[-1])):
        x = F.pad(x, (1, 1, 0, 0) if dim == -1 else (0, 0, 1, 1), mode="replicate").movedim(dim, -1)
        before, here, after = x[..., :-2], x[..., 1:-1], x[..., 2:]
        even, odd = (6 * here).add_(before).add_(after).div_(8), (here + after).div_(2)
        x = torch.stack([even, odd], dim=-1).flatten(-2)[..., :length].movedim(-1, dim)
    return x


def sample_patches(level: Tensor, places: NDArray[np.float64], num_frames: int = 1) -> Tensor:
    """Patches of 7x7 pixels and `num_frames` consecutive frames at given places.

    Args:
        level: `[B, T, C, h, w]`.
        places: `[B, P, 3]` in [0, 1): time, row and column of a patch, as a share of all possible ones.

    Returns:
        `[B, P, num_frames, C, 7, 7]`.
    """
    windows = level.unfold(1, num_frames, 1).unfold(3, PATCH, 1).unfold(4, PATCH, 1)  # a view: [B, t, C, y, x, F, 7, 7]
    windows = windows.permute(0, 1, 3, 4, 5, 2, 6, 7)
    first = torch.from_numpy(np.floor(places * windows.shape[1:4]).astype(np.int64)).to(level.device)
    clip = torch.arange(len(level), device=level.device)[:, None]
    return windows[clip, first[..., 0], first[..., 1], first[..., 2]]


def level_distance(real: Tensor, fake: Tensor, *, directions: int = DIRECTIONS, seed: int = 0) -> float:
    """1000 times the sliced-Wasserstein distance of the patches of one level, after both sets are normalized by the
    real set's mean and standard deviation of each color channel, so that a fake contrast or color cast counts.

    Args:
        real: `[n, F, 3, 7, 7]`.
        fake: `[m, F, 3, 7, 7]`.
        directions: how many random ones.
        seed: of the directions.
    """
    unit = random_directions(directions, real[0].numel(), seed=seed)
    # (x − mean) / std · u = x · (u / std) − mean · (u / std); the last term shifts both sets alike and drops out.
    deviation = torch.stack([real[:, :, c].std(correction=0) for c in range(real.shape[2])])
    deviation = deviation.where(deviation > 0, 1)  # a channel of nothing but one value stays as it is
    scaled = unit.view(-1, *real.shape[1:]) / deviation[:, None, None].cpu()
    return SCALE * sliced_wasserstein(real.flatten(1), fake.flatten(1), scaled.flatten(1))


def random_directions(count: int, dims: int, *, seed: int = 0) -> Tensor:
    """Unit vectors `[count, dims]`, uniform on the sphere."""
    return F.normalize(torch.randn(count, dims, generator=torch.Generator().manual_seed(seed)), dim=1)


def sliced_wasserstein(real: Tensor, fake: Tensor, directions: Tensor) -> float:
    """The mean over directions of the Wasserstein-1 distance of both sets' projections.

    Args:
        real: `[n, d]`.
        fake: `[m, d]`.
        directions: `[k, d]`, usually unit vectors.
    """
    total = 0.0
    for some in directions.split(_DIRECTIONS_AT_ONCE):
        a, b = ((some.to(x) @ x.T).cpu().numpy() for x in (real, fake))
        total += float(wasserstein(a, b).sum())
    return total / len(directions)


def wasserstein(a: NDArray[np.floating], b: NDArray[np.floating]) -> NDArray[np.float64]:
    """The Wasserstein-1 distance of sets of numbers: the area between their quantile functions.

    Args:
        a: `[..., n]`.
        b: `[..., m]`.

    Returns:
        `[...]`. With n = m, the mean difference of the sorted numbers.
    """
    a, b = np.sort(a, axis=-1), np.sort(b, axis=-1)
    n, m = a.shape[-1], b.shape[-1]
    if n == m:
        return np.abs(a - b).mean(axis=-1, dtype=np.float64)
    # Both quantile functions are constant between the steps i / n and j / m, here in whole units of 1 / (n m).
    steps = np.union1d(np.arange(n + 1) * m, np.arange(m + 1) * n)
    difference = np.abs(a[..., steps[:-1] // m] - b[..., steps[:-1] // n])
    return difference.astype(np.float64) @ (np.diff(steps) / (n * m))


def patch_features(clips: Tensor, num_frames: int) -> Tensor:
    """Patches as features, so that an evaluation can carry them: a row a patch, with its level in front.

    Args:
        clips: uint8 `[B, T, 3, H, W]`.
        num_frames: F.

    Returns:
        float32 `[B·L·P, 1 + F·147]`: the level's shorter side in pixels, then the patch `[F, 3, 7, 7]`.
    """
    rows = [F.pad(patches.flatten(2), (1, 0), value=side) for side, patches in clip_patches(clips, num_frames).items()]
    return torch.stack(rows, dim=1).flatten(0, 2)


def distance_of_features(real: Tensor, fake: Tensor, *, seed: int = 0) -> PatchDistance:
    """The distance of two sets of `patch_features`; the seed is that of the directions."""
    sides = sorted((int(side) for side in real[:, 0].unique()), reverse=True)

    def of(features: Tensor, side: int) -> Tensor:
        return features[features[:, 0] == side, 1:].unflatten(1, (-1, 3, PATCH, PATCH))

    return PatchDistance({side: level_distance(of(real, side), of(fake, side), seed=seed) for side in sides})
