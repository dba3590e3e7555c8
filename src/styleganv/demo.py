"""A first look, on one page: videos of the pretrained models, then one of them fine-tuned on newly drawn videos."""

import logging
import shutil
import sys
import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from styleganv.config import RunConfig, get_preset, load_settings
from styleganv.editing.edit import edit
from styleganv.faces.dataset import make_faces
from styleganv.files import check_destination
from styleganv.media import page, sheets, writing
from styleganv.media.enlarging import enlarge_grid
from styleganv.methods.loading import load
from styleganv.options import EditOptions, LatentsOptions, OutputOptions, SampleOptions, StyleMix
from styleganv.pretrained import FOLDER, pretrained_models
from styleganv.progress import Progress, track
from styleganv.runs import resume, train
from styleganv.training.checkpoint import has_checkpoint, load_checkpoint
from styleganv.validation import Positive, check_arguments
from styleganv.video_files import generate
from styleganv.video_model import VideoModel

logger = logging.getLogger(__name__)

#: Files of the folder; one with anything else is refused.
DEMO_FILES = ("index.html", "data.zip", "data-quick.zip", "*.mp4", "grid.png", "videos/*.mp4", "run/*", "run-quick/*")

#: Model that is edited and fine-tuned. Its folder is used, as a file in the working directory may have its name.
NAME = "faces-64"
MODEL = FOLDER / NAME
#: What the faces of the drawn dataset have in common: a green, wide head with ears of the same color.
CAST = {"hue": 0.3, "saturation": 0.75, "head": "wide", "top": "bear ears", "top_hue": 0.3, "background_hue": 0.55}
#: Length and resolution of the videos in the dataset.
NUM_FRAMES, RESOLUTION = 48, 64
#: Seeds of the videos shown side by side, and the columns they are shown in.
SEEDS, COLUMNS = range(8), 4
FRAME_RATES = (6.0, 25.0, 60.0)
REPLACED = OutputOptions(overwrite=True)


@dataclass(frozen=True)
class Extent:
    """How much a demo does.

    Attributes:
        minutes: length of the training.
        seconds: duration of each video that is shown.
        num_videos: size of the dataset.
        suffix: of the names of the dataset and the run, so that both kinds of demo can share a folder.
    """

    minutes: float
    seconds: float
    num_videos: int
    suffix: str = ""


FULL = Extent(minutes=3.0, seconds=3.0, num_videos=256)
#: Takes every step of a demo, to check an installation.
QUICK = Extent(minutes=0.02, seconds=0.5, num_videos=8, suffix="-quick")


@check_arguments
def demo(
    out: Path | str = "runs/demo",
    *,
    minutes: Positive | None = None,
    quick: bool = False,
    progress: Progress | None = None,
) -> None:
    """Show what the pretrained models can do, then fine-tune one; `out/index.html` shows the results.

    The dataset is drawn: cartoon faces that all have a green, wide head. A run found in `out` is resumed.

    Args:
        minutes: length of the training. None: 3, or about a second if `quick`.
        quick: only check the installation: short videos, a small dataset, and a few steps of training.
    """
    extent = QUICK if quick else FULL
    extent = extent if minutes is None else replace(extent, minutes=minutes)
    started, out = time.monotonic(), Path(out)
    data, run = out / f"data{extent.suffix}.zip", out / f"run{extent.suffix}"
    lead = "Everything on this page was generated on this machine."
    write = partial(page.write_page, out / "index.html", kind="styleganv demo", title="A first look", lead=lead)
    check_destination(out, overwrite=True, contents=DEMO_FILES)
    logger.info(f"1/3  Generating videos with the pretrained models{'' if quick else ' (about 20 seconds)'} …")
    out.mkdir(parents=True, exist_ok=True)
    sections = [_show_models(out, extent.seconds, progress), *_show_editing(out, extent.seconds, progress)]
    before = _write_seeds(out / "before.mp4", load(MODEL), extent.seconds, progress)
    write(sections=[*sections, _progress_section(run, before)], refresh=20)
    logger.info(f"     Open {out / 'index.html'} in a browser; it updates as the demo runs.")

    if not data.exists():
        duration = "" if quick else " (about 15 seconds)"
        logger.info(f"2/3  Drawing {extent.num_videos} videos of green faces{duration} …")
        size = (RESOLUTION, RESOLUTION)
        make_faces(
            data,
            num_videos=extent.num_videos,
            num_frames=NUM_FRAMES,
            resolution=size,
            fixed=CAST,
            progress=progress,
        )
    logger.info(f"3/3  Fine-tuning {NAME} on them for {extent.minutes:g} minutes …")
    try:
        _train(data, run, extent.minutes, progress)
    except BaseException:
        write(sections=sections)  # one that does not promise more
        raise
    after = _write_seeds(out / "after.mp4", load(run), extent.seconds, progress)
    write(sections=[*sections, _result_section(run, extent.num_videos, before, after)])

    # `make demo` installs into an environment that the user's shell may not have activated.
    command = "styleganv" if shutil.which("styleganv") else sys.argv[0]
    logger.info(
        f"\nDone in {(time.monotonic() - started) / 60:.1f} minutes. Results:\n"
        f"  {out / 'index.html'}    everything on one page\n"
        f"  {run}/          the fine-tuned model and its training\n"
        f"Next, generate more: {command} generate {NAME} --out videos --seeds 8-15\n"
        f"Or train on your own videos:\n"
        f"  {command} prepare FOLDER data.zip --resolution 64\n"
        f"  {command} train data.zip --out runs/mine --finetune {NAME}\n"
        f"  {command} generate runs/mine --out videos --seeds 0-7"
    )


def _train(data: Path, run: Path, minutes: float, progress: Progress | None) -> None:
    """Fine-tune the model for `minutes`, in addition to what a run found there has trained."""
    if has_checkpoint(run):
        config = load_settings(run / "settings.yaml")
        config = replace(config, training=replace(config.training, minutes=minutes))
        resume(run, data=data, config=config, progress=progress)
    else:
        train(data, run, demo_settings(minutes), finetune=MODEL, progress=progress)


def demo_settings(minutes: float) -> RunConfig:
    """Return the preset tiny-cpu without augmentation, as there are many videos."""
    config = get_preset("tiny-cpu")
    training, augment = replace(config.training, minutes=minutes), replace(config.augment, augment="none")
    return replace(config, training=training, augment=augment)


def _show_models(out: Path, seconds: float, progress: Progress | None) -> page.Section:
    """Write videos of every pretrained model."""
    videos = []
    for model in pretrained_models():
        path = _write_seeds(out / f"{model.name}.mp4", load(model.folder), seconds, progress)
        videos.append(page.video(path.name, f"{model.name}: {model.title}, trained on {model.data}"))
    text = f"Content seeds {SEEDS[0]} to {SEEDS[-1]}, uncurated. The videos are endless; {seconds:g} seconds are shown."
    return page.Section("Generated videos", text, page.figures(*videos))


def _show_editing(out: Path, seconds: float, progress: Progress | None) -> list[page.Section]:
    """Write a content/motion grid, edits, and a video at several frame rates."""
    sample = SampleOptions(seconds=seconds)
    write = partial(generate, MODEL, output=REPLACED, progress=progress)
    write(out, seeds=range(5), motion_seeds=range(3), format="grid", sample=sample)
    edits = {
        "mixed.mp4": ("Left: seed 3. Right: with the colors of seed 5", [StyleMix(5, range(4, 10))], []),
        "interpolated.mp4": ("Right: seed 3, interpolated to seeds 5 and 7 while it moves", [], [5, 7]),
    }
    write_edit = partial(edit, MODEL, latents=LatentsOptions(seed=3), output=REPLACED, progress=progress)
    for name, (_, mixes, targets) in edits.items():
        options = EditOptions(mixes=mixes, interpolate_to=targets)
        write_edit(out / name, edits=options, sample=sample, side_by_side=True)
    rates = []
    for fps in FRAME_RATES:
        [path] = write(out / "videos", seeds=[3], sample=replace(sample, fps=fps))
        renamed = path.replace(out / "videos" / f"{fps:g}fps.mp4")
        rates.append(page.video(f"videos/{renamed.name}", f"{fps:g} frames per second"))
    return [
        page.Section(
            "Content and motion have separate seeds",
            "Each column is one content seed, each row one motion seed.",
            page.figures(page.video("grid.mp4", f"{NAME}, content seeds 0 to 4, motion seeds 0 to 2")),
        ),
        page.Section(
            "Edits apply to the entire video",
            "An edit changes the content and keeps the motion.",
            page.figures(*(page.video(name, caption) for name, (caption, *_) in edits.items()), columns=2),
        ),
        page.Section(
            "Any frame rate",
            "The same video, sampled at different times.",
            page.figures(*rates, columns=3),
        ),
    ]


def _progress_section(run: Path, before: Path) -> page.Section:
    text = f"{NAME} now learns from newly drawn videos of green faces. The run's page shows the latest snapshot."
    link = f'<p><a href="{run.name}/index.html">Page of the run</a> (available after half a minute)</p>'
    return page.Section("Fine-tuning, in progress", text, link + page.figures(page.video(before.name, "Before")))


def _result_section(run: Path, num_videos: int, before: Path, after: Path) -> page.Section:
    minutes = load_checkpoint(run / "checkpoint.pt")["minutes"]
    text = f"{NAME} learned from {num_videos} newly drawn videos of green faces, for {minutes:.3g} minutes."
    videos = page.video(before.name, "Before"), page.video(after.name, "After, with the same seeds")
    link = f'<p><a href="{run.name}/index.html">All snapshots and curves</a></p>'
    return page.Section("Fine-tuned", text, page.figures(*videos, columns=2) + link)


def _write_seeds(path: Path, model: VideoModel, seconds: float, progress: Progress | None) -> Path:
    """Write the videos of `SEEDS` side by side as one video."""
    videos = [model.sample(seed=seed, seconds=seconds) for seed in track(SEEDS, progress, len(SEEDS), path.stem)]
    grid = np.stack(videos).reshape(-1, COLUMNS, *videos[0].shape)
    frames = (sheets.tile(enlarge_grid(grid[:, :, t])) for t in range(grid.shape[2]))
    writing.write_video(path, frames, model.fps, overwrite=True)
    return path
