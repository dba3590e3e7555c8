"""Package a trained run as a pretrained model: float16 weights, and a card with samples, figures and neighbors.

    python examples/package_model.py RUN NAME DATA --title … --data … --license … [--kept-out DATA] [--notes FILE]

Writes `src/styleganv/pretrained/NAME`. Commands and weaknesses come from the notes (Markdown).
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

import styleganv
from styleganv.config import RunConfig, load_settings
from styleganv.data.dataset import VideoDataset
from styleganv.faces.factor_report import compare_factors, has_factors
from styleganv.methods.stylegan_v.trainer import GanTrainer, build_networks
from styleganv.metrics.patches import patch_distance
from styleganv.model_folder import NEIGHBORS, PREVIEW, save_model
from styleganv.pretrained import FOLDER
from styleganv.training.checkpoint import load_checkpoint
from styleganv.videos import DatasetVideos, ModelVideos

NUM_CLIPS, CLIP_FRAMES = 256, 24
SAMPLE_SEEDS = range(16)


def main() -> None:
    args = parse_arguments()
    folder, data = FOLDER / args.name, VideoDataset(args.dataset)
    config, state = load_settings(args.run / "settings.yaml"), load_checkpoint(args.run / "checkpoint.pt")
    package(args, folder, build_trainer(config, data, state))
    model = styleganv.load(folder, device="cpu")
    write_samples(model, folder / PREVIEW)
    write_neighbors(model, data, folder / NEIGHBORS, mirror=config.training.mirror)
    text = card(args, model, data, minutes=state["minutes"] + args.earlier[1])
    (folder / "README.md").write_text(text)
    print(text)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("name")
    parser.add_argument("dataset", type=Path)
    for name in ("title", "data", "license"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument(
        "--earlier", type=int, nargs=2, default=(0, 0), help="clips and minutes of runs before this one"
    )
    parser.add_argument("--kept-out", type=Path, help="dataset of held-out videos")
    parser.add_argument(
        "--notes",
        type=lambda path: Path(path).read_text(),
        required=True,
        help="Markdown file: commands, weaknesses, license",
    )
    return parser.parse_args()


def add_clips(training: dict[str, Any], clips: int, num_frames: int) -> dict[str, Any]:
    """Return the facts about a training with the clips of earlier runs added."""
    seen = {"clips_seen": clips, "frames_seen": clips * num_frames}
    return training | {name: training[name] + more for name, more in seen.items()}


def build_trainer(config: RunConfig, data: VideoDataset, state: dict[str, Any]) -> GanTrainer:
    """Return the trainer of a run with the networks of its checkpoint."""
    trainer = GanTrainer(config, *build_networks(config, data))
    for name, part in trainer.state_parts().items():
        if isinstance(part, torch.nn.Module):
            part.load_state_dict(state[name])
    return trainer


def package(args: argparse.Namespace, folder: Path, trainer: GanTrainer) -> None:
    """Write the averaged generator and the discriminators of a run in float16."""
    stored = json.loads((args.run / "model" / "config.json").read_text())
    save_model(
        folder,
        trainer.generator_ema,
        data=stored["data"],
        training=add_clips(stored["training"], args.earlier[0], trainer.config.training.num_frames),
        metadata={"title": args.title, "data": args.data, "license": args.license},
        discriminator=trainer.discriminator,
        projected=trainer.projected,
        dtype=torch.float16,
        overwrite=True,
    )


def write_samples(model: styleganv.VideoModel, path: Path) -> None:
    """Write the first seeds as one animated image of 4 × 4 videos."""
    videos = np.stack([model.sample(seed=seed, seconds=4, fps=12.5) for seed in SAMPLE_SEEDS])
    rows = videos.reshape(4, 4, *videos.shape[1:]).transpose(2, 0, 3, 1, 4, 5)
    pages = [Image.fromarray(page.reshape(4 * model.height, -1, 3)) for page in rows]
    pages = [page.resize((2 * page.width, 2 * page.height), Image.Resampling.LANCZOS) for page in pages]
    pages[0].save(path, save_all=True, append_images=pages[1:], duration=80, loop=0, quality=60, method=4)


def write_neighbors(model: styleganv.VideoModel, data: VideoDataset, path: Path, *, mirror: bool) -> None:
    """Write frames of 12 seeds above the training frames that are nearest in the root-mean-square of 16² pixels."""
    frames = [data.read(i, range(0, v.num_frames, 4)).transpose(0, 2, 3, 1) for i, v in enumerate(data.videos)]
    real = np.concatenate(frames)
    fake = np.concatenate([model.sample(seed=seed, start=1, seconds=1 / model.fps) for seed in range(12)])
    if mirror:
        real = np.concatenate([real, real[:, :, ::-1]])
    small_real, small_fake = shrink(real), shrink(fake)
    nearest = [real[int(np.square(small_real - one).sum((1, 2, 3)).argmin())] for one in small_fake]
    sheet = np.concatenate([np.concatenate(list(fake), 1), np.concatenate(nearest, 1)])
    Image.fromarray(sheet).resize((2 * sheet.shape[1], 2 * sheet.shape[0]), Image.Resampling.LANCZOS).save(path)


def shrink(frames: np.ndarray) -> np.ndarray:
    """Reduce frames to 16 × 16 pixels."""
    tensor = torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2).float()
    return np.asarray(torch.nn.functional.adaptive_avg_pool2d(tensor, 16))


def card(args: argparse.Namespace, model: styleganv.VideoModel, data: VideoDataset, *, minutes: float) -> str:
    """Return the text of the card."""
    size = sum(path.stat().st_size for path in (FOLDER / args.name).glob("*.safetensors")) / 2**20
    sizes = f"{model.width}×{model.height}, {model.fps:g} fps; {size:.1f} MiB in float16, with discriminators"
    return f"""# {args.name}

![Uncurated videos, seeds 0 to 15]({PREVIEW})

*Uncurated videos, seeds 0 to 15.*

| | |
|---|---|
| videos | {args.title}; {sizes} |
| trained on | {args.data} |
| training | {model.config["training"]["clips_seen"]:,} clips, {minutes / 60:.1f} hours of one CPU core |
| license | {args.license} |

## Figures

{figures(args, model, data)}

![Frames of seeds 0 to 11, and their nearest training frames]({NEIGHBORS})

*Top: frames of seeds 0 to 11. Bottom: their nearest training frames, compared at 16×16 pixels.*

{args.notes.strip()}
"""


def figures(args: argparse.Namespace, model: styleganv.VideoModel, data: VideoDataset) -> str:
    """Return a table of distances, each beside its noise floor, and of the motion report."""
    rows = ["| measure | model | noise floor |", "|---|---|---|"]
    fake = np.stack([model.sample(seed=s, seconds=CLIP_FRAMES / model.fps) for s in range(NUM_CLIPS)])
    clips = read_clips(data)
    halves = clips[::2], clips[1::2]
    for count in (1, 3):
        value = patch_distance(halves[0], fake[: len(halves[0])], num_frames=count).mean
        floor = patch_distance(*(half[: len(halves[1])] for half in halves), num_frames=count).mean
        label = "frames" if count == 1 else f"{count} consecutive frames"
        rows.append(f"| patch distance of {label} | {value:.0f} | {floor:.0f} |")
    if args.kept_out:
        kept_out = read_clips(VideoDataset(args.kept_out))
        value = patch_distance(kept_out, fake).mean
        floor = patch_distance(kept_out, clips).mean
        rows.append(f"| patch distance to held-out videos | {value:.0f} | {floor:.0f} (training videos) |")
    dataset = DatasetVideos(data)
    report = styleganv.diagnose(ModelVideos(model), dataset).report
    rated = [one.fine for one in report.diagnostics if one.fine is not None]
    rows.append(f"| motion report: numbers in the expected range | {sum(rated)} of {len(rated)} | |")
    if has_factors(dataset):
        factors = compare_factors(ModelVideos(model), dataset, num_clips=64)
        valid = f"{factors.generated.valid:.0%} | {factors.real.valid:.0%} (dataset)"
        rows.append(f"| videos with valid, constant factors | {valid} |")
    return "\n".join(rows)


def read_clips(data: VideoDataset) -> np.ndarray:
    """Return up to 512 clips, several per video if there are fewer videos."""
    starts = [(i, s) for i, v in enumerate(data.videos) for s in range(0, v.num_frames - CLIP_FRAMES + 1, CLIP_FRAMES)]
    chosen = starts[:: max(1, len(starts) // (2 * NUM_CLIPS))][: 2 * NUM_CLIPS]
    return np.stack([data.read(i, range(s, s + CLIP_FRAMES)).transpose(0, 2, 3, 1) for i, s in chosen])


if __name__ == "__main__":
    main()
