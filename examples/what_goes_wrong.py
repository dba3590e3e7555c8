"""Make the pictures of docs/choose.md: what wrong settings do to videos.

python examples/what_goes_wrong.py runs/wrong docs/media

Two pictures need no training: faces-64 with other truncation psi, and with its motion noise at other distances. For the
others, faces-64 is trained further on newly drawn faces, once with good settings and once with each wrong one. Run the
command again to continue. It takes a few minutes on one idle core.
"""

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

import styleganv
from styleganv.config import AugmentConfig, RunConfig, get_preset
from styleganv.faces.dataset import make_faces
from styleganv.pretrained import pretrained_folder

CLIPS = 400
SEEDS = range(8)
SIDE, GAP, MARGIN = 88, 4, 150
Rows = dict[str, list[np.ndarray]]


def with_slots(out: Path, distance: float) -> Path:
    """Return a copy of faces-64 whose slots are that many frames apart; its sinusoids stay the same."""
    folder, source = out / f"faces-64-slots{distance:g}", pretrained_folder("faces-64")
    assert source is not None
    if not folder.exists():
        folder.mkdir(parents=True)
        shutil.copy(source / "model.safetensors", folder)
        config = json.loads((source / "config.json").read_text())
        config["generator"]["slot_distance"] = distance
        (folder / "config.json").write_text(json.dumps(config))
    return folder


def arms() -> dict[str, RunConfig]:
    """Return the settings of each training; the second discriminator is off, to save time."""
    preset = get_preset("tiny-cpu")
    training = replace(preset.training, total_clips=CLIPS, second_discriminator="none")
    good = replace(
        preset,
        training=training,
        augment=AugmentConfig(augment="none"),
        logging=replace(preset.logging, save_every=CLIPS, snapshot_every=10 * CLIPS),
    )
    return {
        "good": good,
        "no-r1": replace(good, training=replace(training, r1_scale=0.0)),
        "leak": replace(good, augment=AugmentConfig(augment="fixed", augment_p=1.0, augment_rotation=True)),
    }


def train_all(out: Path) -> None:
    """Train what is not trained yet. A training that diverges ends with its last good checkpoint."""
    data = out / "faces.zip"
    if not data.exists():
        make_faces(data, num_videos=128, num_frames=64, resolution=(64, 64), seed=1)
    for name, config in arms().items():
        print(name, flush=True)
        try:
            styleganv.train(data, out / name, config, finetune="faces-64", or_resume=True)
        except styleganv.StyleganvError as error:
            print(error, flush=True)


def first_frames(model: Path | str, psi: float = 1.0) -> list[np.ndarray]:
    video = styleganv.load(model)
    return [video.sample(seed=seed, seconds=0.04, psi=psi)[0] for seed in SEEDS]


def slices(model: Path | str) -> list[np.ndarray]:
    """Return x–t slices `[T, W, 3]` of four seconds: one row of pixels, through the eyes, from top to bottom."""
    video = styleganv.load(model)
    return [video.sample(seed=seed, seconds=4.0)[:, 26] for seed in SEEDS]


def draw(path: Path, rows: Rows, height: int = SIDE) -> None:
    """Write rows of images below each other, each with its title on the left."""
    step = height + GAP
    page = Image.new("RGB", (MARGIN + len(SEEDS) * (SIDE + GAP) - GAP, len(rows) * step - GAP), "white")
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(size=15)
    for y, (title, images) in enumerate(rows.items()):
        pen.text((4, y * step + height // 2), title, "black", font, anchor="lm")
        for x, image in enumerate(images):
            cell = Image.fromarray(image).resize((SIDE, height), Image.Resampling.BICUBIC)
            page.paste(cell, (MARGIN + x * (SIDE + GAP), y * step))
    page.save(path, quality=80, method=6)


if __name__ == "__main__":
    runs, media = Path(sys.argv[1]), Path(sys.argv[2])
    media.mkdir(parents=True, exist_ok=True)
    draw(media / "psi.webp", {f"psi {psi:g}": first_frames("faces-64", psi) for psi in (1.2, 1.0, 0.7, 0.4, 0.0)})
    slots = {f"slots {n} frames\napart": slices(with_slots(runs, n)) for n in (2, 16, 128)}
    draw(media / "slot-distance.webp", slots, height=160)
    train_all(runs)
    titles = {"good": "good settings", "no-r1": "without R1", "leak": "augmentation with\np = 1, rotations"}
    draw(media / "wrong-settings.webp", {title: first_frames(runs / name) for name, title in titles.items()})
