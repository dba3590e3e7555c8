"""The command line: one verb a function, thin. `styleganv VERB --help` explains each."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from tyro.conf import OmitArgPrefixes, Positional

from styleganv.errors import StyleganvError
from styleganv.recipes import PRESETS, Settings, load_settings, of_kind, preset


def prepare(
    source: Positional[Path],
    dest: Positional[Path],
    /,
    resolution: str,
    fps: float | None = None,
    source_fps: float = 25.0,
    fit: Literal["crop", "pad", "stretch"] = "crop",
    min_frames: int = 3,
    split_every: int | None = None,
    quality: int = 95,
    lossless: bool = False,
    classes: str = "auto",
    workers: int | None = None,
    overwrite: bool = False,
) -> None:
    """Turn videos into a data set: one file of frames, all of one size.

    Args:
        source: A video (mp4 mov webm mkv mpg avi gif), a folder or a zip of videos or of folders of frames.
        dest: The data set to write, such as data.zip.
        resolution: Pixels: 64, or HEIGHTxWIDTH such as 144x256.
        fps: Frames a second to resample to; as they are where left out.
        source_fps: Frames a second of folders of frames, which do not say.
        fit: Crop to the centre, pad with black, or stretch.
        min_frames: Skip videos with fewer frames.
        split_every: Cut long videos into pieces of this many frames.
        quality: Of the stored JPEG frames, 1 to 100.
        lossless: Store PNG frames instead.
        classes: auto (folders that hold videos), folders, none, or a .csv (name,label) or .json file.
        workers: Processes; one for each core where left out.
        overwrite: Replace DEST.
    """
    from styleganv.data.prepare import prepare as run
    from styleganv.models.layers import resolution_levels

    size = parse_resolution(resolution)
    if min(size) > 0:
        resolution_levels(*size)  # refuse now what no network could learn from
    report = run(
        source,
        dest,
        resolution=size,
        fps=fps,
        source_fps=source_fps,
        fit=fit,
        min_frames=min_frames,
        split_every=split_every,
        quality=None if lossless else quality,
        classes=classes,
        workers=workers,
        overwrite=overwrite,
    )
    print(report)


def inspect(data: Positional[Path], /, sheet: Path | None = None) -> None:
    """Show what a data set holds and which settings fit it.

    Args:
        data: A data set written by `styleganv prepare`.
        sheet: Where to write the contact sheet (a PNG); beside the data set where left out.
    """
    from styleganv.data.inspect import contact_sheet
    from styleganv.data.inspect import inspect as run

    print(run(data))
    sheet = sheet or data.with_name(f"{data.stem}-sheet.png")
    contact_sheet(data, sheet)
    print(f"Contact sheet: {sheet}")


def generate(
    model: Positional[Path],
    /,
    out: Path,
    seeds: str = "0-7",
    seconds: float | None = None,
    fps: float | None = None,
    start: float = 0.0,
    psi: float = 1.0,
    motion_seeds: str | None = None,
    label: str | None = None,
    format: Literal["mp4", "gif", "webp", "frames", "grid"] = "mp4",
    scale: int = 1,
    quality: int = 18,
    device: str | None = None,
    precision: Literal["float32", "bfloat16"] = "float32",
) -> None:
    """Write videos of a model: any length, frame rate and start; the same seed gives the same video.

    Args:
        model: A model folder, or the folder of a run.
        out: The folder to write to.
        seeds: Contents, such as 0-7 or 1,5,9.
        seconds: Length; 5 where left out, or what is left of the model's videos if less.
        fps: Frames a second; the data's where left out.
        start: Where in the endless video to begin, in seconds.
        psi: Truncation: 1 is all variety, towards 0 the mean content.
        motion_seeds: Motions, one for each content (in a grid: one for each row); the contents' seeds where left out.
        label: Class, by name or number, for a class-conditional model.
        format: mp4 (H.264), gif, webp, frames (PNG folders), or grid (contents across, motions down).
        scale: Enlarge every pixel this many times.
        quality: Of mp4 (CRF): 0 is lossless, 18 looks so, 51 is worst.
        device: Such as cpu or cuda; the GPU, if there is one, where left out.
        precision: Of convolutions; float32 gives the same video on every machine.
    """
    from styleganv.video_files import generate as run
    from styleganv.video_files import parse_seeds

    paths = run(
        model,
        out,
        seeds=parse_seeds(seeds),
        seconds=seconds,
        fps=fps,
        start=start,
        psi=psi,
        label=label,
        motion_seeds=None if motion_seeds is None else parse_seeds(motion_seeds),
        format=format,
        device=device,
        precision=precision,
        scale=scale,
        quality=quality,
    )
    for path in paths:
        print(path)


def evaluate(
    real: Path,
    fake: Path,
    protocol: str = "frechet_efficientnet2048_16f",
    clips: int | None = None,
    seeds: int = 1,
    per_class: bool = False,
    factors: bool = False,
    json: Path | None = None,
    split: str | None = None,
    resolution: str | None = None,
    weights: str | None = None,
    sha256: str | None = None,
    psi: float = 1.0,
    device: str | None = None,
    cache: Path | None = None,
) -> None:
    """Measure how far generated videos are from real ones, whatever made them.

    Args:
        real: A data set, or a folder, zip or file of videos.
        fake: The same, or a model folder or run.
        protocol: Names with commas between; docs/evaluation.md lists them, and so does a wrong name.
        clips: Clips of each side instead of the protocol's number; the name then says so.
        seeds: Draws of clips, for a standard error.
        per_class: Measure each class by itself as well.
        factors: Also find again what videos of the embedded shapes show, and compare that.
        json: A file to write everything to.
        split: A note for the report on which part of the data REAL is, such as train.
        resolution: Size to resize both to (64 or HEIGHTxWIDTH); needed only where they differ.
        weights: Of the published detectors: a folder, a file or a URL.
        sha256: What the weights' hash must be; several with commas between.
        psi: Truncation of a model.
        device: Such as cpu or cuda; the GPU, if there is one, where left out.
        cache: The folder of computed statistics; ~/.cache/styleganv/statistics where left out.
    """
    from styleganv.metrics.evaluate import evaluate as run

    report = run(
        real,
        fake,
        protocols=protocol.split(","),
        clips=clips,
        seeds=seeds,
        per_class=per_class,
        factors=factors,
        resolution=None if resolution is None else parse_resolution(resolution),
        weights=weights,
        sha256=sha256.split(",") if sha256 else (),
        split=split,
        psi=psi,
        device=device,
        cache=cache,
    )
    if os.environ.get("RANK", "0") == "0":
        print(report)
        if json is not None:
            report.write_json(json)


def diagnose(
    videos: Positional[Path],
    /,
    data: Path | None = None,
    out: Path = Path("report.html"),
    json: Path | None = None,
    count: Annotated[int, tyro.conf.arg(name="videos")] = 32,
    frames: int = 128,
    seed: int = 0,
    psi: float = 1.0,
    device: str | None = None,
) -> None:
    """Judge motion: loops, turning back, speed, drift, flicker, sticking texture, and more, as one HTML page.

    Args:
        videos: A model folder or run, a data set, or video files of any program.
        data: What to compare with; for a run, the data set it was trained on where left out.
        out: The page to write.
        json: Where to write the numbers as JSON.
        count: Clips to watch of each.
        frames: Longest clip, in frames.
        seed: Of the choice of clips; the same gives the same report.
        psi: Truncation of a model.
        device: Of a model, such as cpu or cuda; the GPU, if there is one, where left out.
    """
    from styleganv.metrics.diagnose import diagnose as run
    from styleganv.metrics.diagnose import training_data
    from styleganv.metrics.page import write_page
    from styleganv.metrics.videos import open_videos

    beside = data or training_data(videos)
    found = run(
        open_videos(videos, psi=psi, device=device),
        beside,
        count=count,
        frames=frames,
        seed=seed,
    )
    write_page(out, found)
    if json is not None:
        found.report.write_json(json)
    print(found.report)
    if beside is None:
        print("Without data to compare with: give --data for numbers beside these.")
    print(f"Report: {out}")


def demo(out: Path = Path("runs/demo"), minutes: float = 5.0) -> None:
    """The whole way once: draw videos of shapes, train on them, generate new ones.

    Args:
        out: The folder to write to.
        minutes: How long to train.
    """
    from styleganv.demo import demo as run

    run(out, minutes=minutes)


def train_command(defaults: Settings, preset_name: str) -> Callable[..., None]:
    """The verb `train`, whose settings start from a preset or from the run to resume."""

    def train(
        data: Positional[Path | None] = None,
        /,
        out: Path | None = None,
        preset: str = preset_name,
        resume: Path | None = None,
        finetune: Path | None = None,
        or_resume: bool = False,
        settings: OmitArgPrefixes[Settings] = defaults,
    ) -> None:
        from styleganv.training.loop import resume as run_resume
        from styleganv.training.loop import train as run_train

        if resume is not None:
            if out is not None or finetune is not None:
                raise StyleganvError("--resume continues a run in its own folder: leave out --out and --finetune.")
            folder = run_resume(resume, data=data, settings=settings)
        elif data is None or out is None:
            raise StyleganvError("train needs a data set and --out RUN, or --resume RUN.")
        else:
            folder = run_train(data, out, settings, finetune=finetune, or_resume=or_resume)
        if os.environ.get("RANK", "0") == "0":
            print(f"Model: {folder}. Next: styleganv generate {folder} --out videos --seeds 0-7")

    train.__doc__ = f"""Train on a data set; Ctrl-C saves and ends, --resume continues exactly.

    Args:
        data: A data set written by `styleganv prepare` (with --resume, only if it was moved).
        out: The run folder to write to.
        preset: Where the settings start: {", ".join(PRESETS)}; by machine and resolution where left out.
        resume: A run to continue exactly where it was saved. 
            Only --clips, --minutes, --workers and the report settings may change.
        finetune: A model or run whose generator to start from.
        or_resume: If --out holds a run already, continue it: one command for jobs that are started again.
    """
    return train


def _train_defaults(words: list[str]) -> tuple[Settings, str]:
    """The settings that `train` starts from, which tyro needs before it reads the other words."""
    resumed, name = _value_of("--resume", words), _value_of("--preset", words)
    if resumed:
        if not (Path(resumed) / "settings.yaml").is_file():
            raise StyleganvError(f"There is no run in {resumed}: give the folder that --out named.")
        return load_settings(Path(resumed) / "settings.yaml"), "as the run"
    if name is None:
        data = next((word for word in words if not word.startswith("-")), None)
        name = _fitting_preset(Path(data)) if data and Path(data).is_file() else "tiny-cpu"
    return of_kind(preset(name), _value_of("--model", words) or "stylegan-v"), name


def _fitting_preset(data: Path) -> str:
    import torch

    from styleganv.data.dataset import VideoDataset

    if not torch.cuda.is_available():
        return "tiny-cpu"
    side = max(VideoDataset(data).height, VideoDataset(data).width)
    return next(
        (name for limit, name in ((64, "64"), (128, "128"), (256, "256-faces"), (512, "512")) if side <= limit),
        "1024",
    )


def _value_of(flag: str, words: list[str]) -> str | None:
    for i, word in enumerate(words):
        if word == flag and i + 1 < len(words):
            return words[i + 1]
        if word.startswith(flag + "="):
            return word.removeprefix(flag + "=")
    return None


def parse_resolution(text: str) -> tuple[int, int]:
    """ "64" or "144x256" as (height, width)."""
    sides = text.lower().split("x")
    if len(sides) > 2 or not all(side.isdecimal() for side in sides):
        raise StyleganvError(f"--resolution {text} is not a size: give one number, or HEIGHTxWIDTH such as 144x256.")
    return int(sides[0]), int(sides[-1])


def main(words: list[str] | None = None) -> None:
    """Run the command line; every mistake ends in one sentence and a non-zero exit status."""
    words = sys.argv[1:] if words is None else words
    try:
        from_preset = _train_defaults(words[1:]) if words[:1] == ["train"] else (Settings(), "tiny-cpu")
        verbs: dict[str, Callable[..., Any]] = {
            "prepare": prepare,
            "inspect": inspect,
            "train": train_command(*from_preset),
            "generate": generate,
            "evaluate": evaluate,
            "diagnose": diagnose,
            "demo": demo,
        }
        tyro.extras.subcommand_cli_from_dict(
            verbs,
            args=words,
            prog="styleganv",
            description="Videos as signals continuous in time: StyleGAN-V, from your own footage.",
        )
    except StyleganvError as error:
        _end(str(error), 1)
    except KeyboardInterrupt as interruption:
        _end(str(interruption) or "Interrupted.", 128 + getattr(interruption, "number", 2))
    except MemoryError:
        _end("The memory does not suffice: give a smaller size or fewer workers.", 1)


def _end(text: str, status: int) -> None:
    print(f"styleganv: {text}", file=sys.stderr)
    sys.exit(status)


if __name__ == "__main__":
    main()
