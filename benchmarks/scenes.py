"""What a model learned of scenes with several heads: are their number and colors valid, and are objects separate?

python benchmarks/scenes.py draw scenes.zip --heads 2 3           512 drawn videos, 32²
python benchmarks/scenes.py measure runs/mine --heads 2 3         a trained model
python benchmarks/scenes.py measure scenes.zip --heads 2 3        the drawn videos, for comparison

For a model with `--synthesis attention`, the latent of each object is replaced by that of another seed. The ratio is
the mean change inside the object's region, before or after, relative to that in the regions of the other objects.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from styleganv.data.dataset import VideoDataset, is_dataset
from styleganv.faces.scene_recognition import recognize_scene
from styleganv.faces.scenes import make_scenes
from styleganv.methods.stylegan_v.attention import AttentionSynthesis
from styleganv.methods.stylegan_v.sampler import VideoGenerator, load_video_generator
from styleganv.noise import SeededNoise

FRAMES = 48
#: A place belongs to an object if this part of its attention does.
BELONGS = 0.5


def videos(path: Path, count: int) -> Iterator[np.ndarray]:
    """Yield uint8 videos `[T, H, W, 3]`."""
    if is_dataset(path):
        data = VideoDataset(path)
        for i, video in enumerate(data.videos[:count]):
            yield data.read(i, range(min(FRAMES, video.num_frames))).transpose(0, 2, 3, 1)
        return
    model = load_video_generator(path, device="cpu")
    for seed in range(count):
        yield model.sample(seed=seed, seconds=FRAMES / model.fps)


def measure_validity(path: Path, count: int, heads: tuple[int, int]) -> None:
    """Print the fraction of valid videos and why others are not."""
    found = [recognize_scene(video) for video in videos(path, count)]
    numbers = np.array([len(scene.colors) for scene in found])
    print(f"valid                {np.mean([scene.is_valid(*heads) for scene in found]):.2f} of {count} videos")
    print(f"number of heads      {dict(enumerate(np.bincount(numbers).tolist()))}")
    for name in ("together", "explained"):
        quantiles = np.quantile([getattr(scene, name) for scene in found], [0.1, 0.5, 0.9])
        print(f"{name:20} {quantiles.round(2).tolist()} (quantiles 0.1, 0.5, 0.9)")


@torch.inference_mode()
def measure_separation(model: VideoGenerator, count: int) -> None:
    """Print how much more a latent changes its object than the other objects and the background."""
    generator, synthesis = model.generator, model.generator.synthesis
    assert isinstance(synthesis, AttentionSynthesis)
    changes: list[tuple[float, float, float]] = []
    for seed in range(count):
        styles, other = (
            model.styles_from_seed(s)[None].unflatten(2, (synthesis.num_parts, -1)) for s in (seed, 10_000 + seed)
        )
        noise = SeededNoise([seed], generator.config.motion_noise_dim)
        codes = generator.motion_codes(torch.tensor([[20.0]], dtype=torch.float64), noise)
        assert codes is not None
        for part in range(1, synthesis.num_parts):
            changed = styles.clone()
            changed[:, :, part] = other[:, :, part]
            (before, regions), (after, moved) = (_render(synthesis, each, codes[:, 0]) for each in (styles, changed))
            difference, union = (after - before).abs().mean(dim=0), regions | moved
            own = union[part]
            others = union[1:].clone()
            others[part - 1] = False
            others, rest = others.any(dim=0) & ~own, ~union[1:].any(dim=0)
            if own.any() and others.any():
                changes.append(tuple(float(difference[where].mean()) for where in (own, others, rest)))
    own, others, rest = np.mean(changes, axis=0)
    ratios = [a / max(b, 1e-9) for a, b, _ in changes]
    print(f"change of an object  {own:.3f} in its region, {others:.4f} in other objects, {rest:.4f} in the background")
    print(
        f"ratio                {own / others:.1f} of the means; median {np.median(ratios):.1f} of {len(ratios)} changes"
    )


def _render(synthesis: AttentionSynthesis, styles: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
    """Return an image `[3, H, W]` and the regions `[P, H, W]` for styles `[1, L, P, w_dim / P]`."""
    w, v = synthesis.split(styles.flatten(2), codes)
    masks = synthesis.layouts(w[:, 0], v)[-1][0]
    return synthesis.compute_images(styles.flatten(2), codes)[0], masks[0] > BELONGS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["draw", "measure"])
    parser.add_argument("path", type=Path)
    parser.add_argument("--heads", type=int, nargs=2, default=[2, 4])
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--videos", type=int, default=512, help="drawn; at most 100 are measured")
    options = parser.parse_args()
    torch.set_num_threads(1)
    heads = options.heads[0], options.heads[1]
    if options.command == "draw":
        size = options.size, options.size
        make_scenes(options.path, num_videos=options.videos, num_heads=heads, resolution=size)
        return
    count = min(100, options.videos)
    measure_validity(options.path, count, heads)
    if not is_dataset(options.path):
        model = load_video_generator(options.path, device="cpu")
        if isinstance(model.generator.synthesis, AttentionSynthesis):
            measure_separation(model, count)


if __name__ == "__main__":
    main()
