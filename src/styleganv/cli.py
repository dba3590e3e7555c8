"""The command line: one verb a function, thin. `styleganv VERB --help` explains each."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import tyro
from tyro.conf import OmitArgPrefixes, Positional

from styleganv.errors import StyleganvError
from styleganv.methods import ablation_names, apply_ablation, apply_method
from styleganv.recipes import PRESETS, Settings, load_settings, preset


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
    background: str = "white",
    workers: int | None = None,
    overwrite: bool = False,
) -> None:
    """Turn videos into a data set: one file of frames, all of one size.

    Args:
        source: A video (mp4 mov webm mkv mpg avi gif webp), a folder or a zip of videos or of folders of frames.
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
        background: Color seen through transparent pixels, such as '#cfe8ff' (in quotes) or skyblue.
        workers: Processes; one for each core where left out.
        overwrite: Replace DEST.
    """
    from styleganv.data.prepare import prepare as run
    from styleganv.nn.layers import resolution_levels

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
        background=background,
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
        factors: Also recover what videos of the built-in faces show, and compare that.
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
    from styleganv.metrics.videos import open_videos
    from styleganv.motion_report.diagnose import diagnose as run
    from styleganv.motion_report.diagnose import training_data
    from styleganv.motion_report.page import write_page

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


def edit(
    model: Positional[Path],
    /,
    out: Path,
    seed: str = "0",
    motion_seed: str | None = None,
    label: str | None = None,
    psi: float = 1.0,
    mix: str | None = None,
    direction: str | None = None,
    text: str | None = None,
    clip: str = "openai/clip-vit-base-patch32",
    text_steps: int = 100,
    towards: str | None = None,
    speed: float = 1.0,
    remap: str | None = None,
    seconds: float = 5.0,
    fps: float | None = None,
    start: float = 0.0,
    beside: bool = False,
    save: Path | None = None,
    scale: int = 1,
    quality: int = 18,
    device: str | None = None,
    precision: Literal["float32", "bfloat16"] = "float32",
) -> None:
    """Edit a video of a model: other content or motion, style mixing, directions, slow motion; all of it endless.

    Wherever a seed is asked for, a file of latents will do: what --save or `styleganv project` wrote.

    Args:
        model: A model folder, or the folder of a run.
        out: The video to write: .mp4, .gif or .webp.
        seed: The content, and its motion.
        motion_seed: Motion of another seed or file.
        label: Class, by name or number, for a class-conditional model.
        psi: Truncation: 1 is all variety, towards 0 the mean content.
        mix: Another content at some layers, 0 the coarsest: "7:4-9", or half of it: "7:4-9@0.5"; several with
            ; between.
        direction: Of `styleganv directions`: "FILE:NAME=2", in standard deviations, "…=2@0-3" at some layers; several
            with ; between.
        text: What the video shall show, such as "a green square"; needs styleganv[clip].
        clip: The CLIP that understands the text: a folder, or a name on the Hugging Face hub.
        text_steps: Of the search for it.
        towards: Contents to go on to in the course of the video: "7" or "7,9".
        speed: Of the motion: 0.25 is slow motion, 0 a still.
        remap: Instead of --speed: where the motion is when, "0:0,2:1,3:0.5" (seconds of the video:of the motion).
        seconds: Length.
        fps: Frames a second; the data's where left out.
        start: Where in the endless video to begin, in seconds.
        beside: Show the original on the left.
        save: Keep the edited latents in this file.
        scale: Enlarge every pixel this many times.
        quality: Of mp4 (CRF): 0 is lossless, 18 looks so, 51 is worst.
        device: Such as cpu or cuda; the GPU, if there is one, where left out.
        precision: Of convolutions; float32 gives the same video on every machine.
    """
    from styleganv.editing.edit import edit as run

    print(
        run(
            model,
            out,
            seed=seed,
            motion_seed=motion_seed,
            label=label,
            psi=psi,
            mix=mix,
            direction=direction,
            text=text,
            clip=clip,
            text_steps=text_steps,
            towards=towards,
            speed=speed,
            remap=remap,
            seconds=seconds,
            fps=fps,
            start=start,
            beside=beside,
            save=save,
            scale=scale,
            quality=quality,
            device=device,
            precision=precision,
        )
    )


def directions(
    model: Positional[Path],
    /,
    out: Path = Path("directions.safetensors"),
    space: Literal["content", "motion"] = "content",
    count: int = 10,
    samples: int | None = None,
    score: str | None = None,
    labels: Path | None = None,
    text: str | None = None,
    source_text: str | None = None,
    clip: str = "openai/clip-vit-base-patch32",
    seed: int = 0,
    device: str | None = None,
) -> None:
    """Find directions for `styleganv edit`: what varies most in a model, or what goes along with a score or labels.

    Args:
        model: A model folder, or the folder of a run.
        out: The file to write; a picture of what each does comes beside it.
        space: Of the content, or of the motion.
        count: How many of those in which the model varies most.
        samples: Seeds to look at; 2000, or 200 with --score or --text, which have to see them.
        score: What rises along it instead: brightness, contrast, saturation, red, green, blue or motion.
        labels: A CSV file of seed,label lines instead: numbers, or names such as round and square.
        text: Towards a text, such as "a green square"; needs styleganv[clip].
        source_text: Away from another one.
        clip: The CLIP that understands the text: a folder, or a name on the Hugging Face hub.
        seed: The first of the seeds to look at, and the one in the picture.
        device: Such as cpu or cuda; the GPU, if there is one, where left out.
    """
    from styleganv.editing.directions import directions_sheet, find_directions, save_directions
    from styleganv.media import writing
    from styleganv.methods.stylegan_v.sampler import load_video_generator

    if out.suffix != ".safetensors":
        raise StyleganvError(f"{out} cannot hold directions: end its name with .safetensors.")
    if text is not None and (score is not None or labels is not None or space != "content"):
        raise StyleganvError("--text finds a direction of content by itself: leave out --score, --labels and --space.")
    if source_text is not None and text is None:
        raise StyleganvError("--source-text says what a text leads away from: give --text too.")
    video = load_video_generator(model, device=device)
    samples = samples or (2000 if score is None and text is None else 200)
    if text is not None:
        from styleganv.editing.clip_model import load_clip
        from styleganv.editing.text import text_direction

        judge = load_clip(clip, device=video.device)
        found = text_direction(video, text, judge, source_text=source_text, seeds=range(seed, seed + samples))
    else:
        found = find_directions(video, space, count=count, samples=samples, seed=seed, score=score, labels=labels)
    save_directions(out, found)
    picture = out.with_suffix(".png")
    writing.write_image(picture, directions_sheet(video, found, seed))
    print(f"{out}: {', '.join(found.names)}\nPicture: {picture}")


def explore(model: Positional[Path], /, out: Path = Path("explored"), seed: int = 0, device: str | None = None) -> None:
    """Show what a model can be asked for: truncation, interpolation, mixing, motion, directions, on one page.

    Args:
        model: A model folder, or the folder of a run.
        out: The folder to write to.
        seed: The first of the six contents shown.
        device: Such as cpu or cuda; the GPU, if there is one, where left out.
    """
    from styleganv.editing.explore import explore as run
    from styleganv.methods.stylegan_v.sampler import load_video_generator

    print(f"Page: {run(load_video_generator(model, device=device), out, first_seed=seed)[0]}")


def import_(
    file: Positional[Path],
    dest: Positional[Path],
    /,
    fps: float = 25.0,
    network: Literal["G_ema", "G"] = "G_ema",
) -> None:
    """Turn a released pickle of StyleGAN-V, or of StyleGAN2-ADA's images, into a model, without running it.

    Args:
        file: Such as network-snapshot-025000.pkl.
        dest: The model folder to write.
        fps: Frames a second of the data it was trained on, which a pickle does not say.
        network: The averaged generator, or the one that was being trained.
    """
    from styleganv.interop.import_pickle import import_pickle

    print(import_pickle(file, dest, fps=fps, network=network))


def swap(low: Positional[Path], high: Positional[Path], dest: Positional[Path], /, resolution: int) -> None:
    """Make one model of two: shapes and motion of the first, textures and colours of the second.

    Args:
        low: A model folder or run, whose layers below the resolution are taken.
        high: Another of the same sizes, best fine-tuned from the first or from the same model.
        dest: The model folder to write.
        resolution: From where on the layers are those of HIGH, such as 16.
    """
    from styleganv.interop.swap import swap as run

    print(f"Model: {run(low, high, dest, resolution=resolution)}")


def export(model: Positional[Path], file: Positional[Path], /) -> None:
    """Write a model as programs that run without styleganv, checked against it.

    Args:
        model: A model folder, or the folder of a run.
        file: FILE.onnx for onnxruntime, or FILE.pt2 for torch.export; content comes from FILE-mapping beside it.
    """
    from styleganv.interop.export import export as run

    for written in run(model, file):
        print(written)


def push(
    model: Positional[Path],
    dest: Positional[str],
    /,
    license: str | None = None,
    private: bool = False,
) -> None:
    """Publish a model with its card on the Hugging Face hub, or in a folder laid out like a repository there.

    Args:
        model: A model folder, or the folder of a run.
        dest: USER/NAME of the hub, or a folder that begins with . or /, such as ./published.
        license: For the card, such as mit or cc-by-4.0; without it the card says that none is stated.
        private: Only you can see the repository, if it is new.
    """
    from styleganv.interop.hub import push as run

    print(run(model, dest, license=license, private=private))


def pull(source: Positional[str], dest: Positional[Path], /, revision: str | None = None) -> None:
    """Fetch a model from the Hugging Face hub.

    Args:
        source: USER/NAME of the hub, or a folder that begins with . or /.
        dest: The new folder for the model.
        revision: A branch, tag or commit; the main branch where left out.
    """
    from styleganv.interop.hub import pull as run

    folder = run(source, dest, revision=revision)
    print(f"Model: {folder}. Next: styleganv generate {folder} --out videos --seeds 0-7")


def project(
    model: Positional[Path],
    video: Positional[Path],
    /,
    out: Path,
    start: float = 0.0,
    seconds: float = 2.0,
    space: Literal["w", "w+"] = "w+",
    steps: int = 600,
    tune: int = 0,
    label: str | None = None,
    seed: int = 0,
    first_frame: bool = False,
    perceptual: Path | None = None,
    device: str | None = None,
) -> None:
    """Find the content and the motion of a real clip, to continue, change and combine it; Ctrl-C ends the search early.

    Args:
        model: A model folder, or the folder of a run.
        video: A video file or a folder of frames; cropped, resized and resampled as the model needs.
        out: The folder to write to.
        start: Of the clip in the video, in seconds.
        seconds: Length of the clip.
        space: w+ gives every layer a style of its own; w is less alike, more like the model's own videos.
        steps: Of the search.
        tune: Steps of fine-tuning a copy of the model to the clip: more alike, written to OUT/model.
        label: Class, by name or number, for a class-conditional model; the best where left out.
        seed: Of the search, and of the motion beyond the clip.
        first_frame: Fit the first frame only and leave the motion to chance: what to compare with.
        perceptual: A TorchScript network that judges likeness (docs/projection.md); the packaged one where left out.
        device: Such as cpu or cuda; the GPU, if there is one, where left out.
    """
    from styleganv.editing.project_video import project_video

    found = project_video(
        model,
        video,
        out,
        start=start,
        seconds=seconds,
        space=space,
        steps=steps,
        tune_steps=tune,
        label=label,
        seed=seed,
        first_frame=first_frame,
        perceptual=perceptual,
        device=device,
    )
    if found.interrupted:
        print("Interrupted: this is the best that was found until then.")
    means = found.means()
    print(
        f"PSNR {means['psnr']:.2f} dB, SSIM {means['ssim']:.3f}, perceptual distance {means['perceptual']:.3f} "
        f"(means of {len(found.psnr)} frames; the worst {min(found.psnr):.2f} dB)"
    )
    print(f"Look at {out / 'comparison.mp4'} (left real, right projected) and {out / 'continued.mp4'}.")
    print(f"Next, to change it: styleganv edit {out / 'model' if found.tuned else model} --seed {out}")


def demo(out: Path = Path("runs/demo"), minutes: float = 5.0) -> None:
    """The whole way once: draw videos of cartoon faces, train on them, generate new ones.

    Args:
        out: The folder to write to.
        minutes: How long to train.
    """
    from styleganv.demo import demo as run

    run(out, minutes=minutes)


def studio(
    models: Positional[tuple[Path, ...]],
    /,
    host: str = "127.0.0.1",
    port: int = 8000,
    token: str | None = None,
    open: bool = True,
    clip: str = "openai/clip-vit-base-patch32",
    device: str | None = None,
) -> None:
    """See and steer models in the browser, beside the videos they learn from; needs styleganv[studio]. Ctrl-C ends it.

    Args:
        models: Model folders, or folders of runs.
        host: The address to listen at; at any but this machine's own a token is needed, and made up where left out.
        port: 0 takes a free one.
        token: What a browser must bring.
        open: The page in the browser of this machine.
        clip: The CLIP that understands texts: a folder, or a name on the Hugging Face hub.
        device: Such as cpu or cuda; the GPU, if there is one, where left out.
    """
    from styleganv.studio.server import studio as run

    if not models:
        raise StyleganvError("The studio needs a model: give the folder of one, or of a run.")
    run(models, host=host, port=port, token=token, open_page=open, clip=clip, device=device)


def study(
    data: Positional[tuple[Path, ...]] = (),
    /,
    out: Path = Path("runs/study"),
    models: str | None = None,
    minutes: float = 5.0,
    seeds: int = 1,
    preset: str = "tiny-cpu",
    clips: int = 256,
    protocols: str = "",
    weights: str | None = None,
    jobs: int = 1,
    show_real: bool = True,
) -> None:
    """Train StyleGAN-V, its ablations and the models it is compared with on the same data in the same time; compare.

    The same command goes on where an interrupted one ended, and with more data, models or seeds adds them.

    Args:
        data: Data sets written by `styleganv prepare`; the built-in faces where left out.
        out: The folder to write to: models, numbers, and comparison.md with pictures.
        models: Such as stylegan-v,digan; all where left out.
        minutes: Of training, for each.
        seeds: Trainings of each, from seeds 0, 1, …
        preset: Where the settings of all of them start.
        clips: Of each side in an evaluation.
        protocols: More of `styleganv evaluate`, such as fvd2048_16f (needs weights).
        weights: The folder, file or address of their networks.
        jobs: Trainings at a time, which share the processor.
        show_real: Real videos too in the pictures; off where they must not be published.
    """
    from styleganv.study.study import study as run

    page = run(
        data,
        out,
        models=None if models is None else _names(models),
        minutes=minutes,
        seeds=seeds,
        preset=preset,
        clips=clips,
        protocols=_names(protocols),
        weights=weights,
        jobs=jobs,
        show_real=show_real,
    )
    print(f"Comparison: {page}")


def _names(text: str) -> tuple[str, ...]:
    return tuple(name for name in text.split(",") if name)


def train_command(defaults: Settings, preset_name: str) -> Callable[..., None]:
    """The verb `train`, whose settings start from a preset or from the run to resume."""

    def train(
        data: Positional[Path | None] = None,
        /,
        out: Path | None = None,
        preset: str = preset_name,
        ablation: str | None = None,
        resume: Path | None = None,
        finetune: Path | None = None,
        or_resume: bool = False,
        settings: OmitArgPrefixes[Settings] = defaults,
    ) -> None:
        from styleganv.runs import resume as run_resume
        from styleganv.runs import train as run_train

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
        ablation: StyleGAN-V as the paper takes it apart: {", ".join(ablation_names())}.
        resume: A run to continue exactly where it was saved.
            Only --clips, --minutes, --workers, --threads and the report settings may change.
        finetune: A model or run to start from: what fits of it is taken.
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
    settings = apply_method(preset(name), _value_of("--model", words) or "stylegan-v")
    return apply_ablation(settings, _value_of("--ablation", words)), name


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


VERBS: dict[str, Callable[..., None]] = {
    "prepare": prepare,
    "inspect": inspect,
    "train": train_command(Settings(), "tiny-cpu"),
    "generate": generate,
    "evaluate": evaluate,
    "diagnose": diagnose,
    "project": project,
    "edit": edit,
    "directions": directions,
    "explore": explore,
    "import": import_,
    "swap": swap,
    "export": export,
    "push": push,
    "pull": pull,
    "studio": studio,
    "study": study,
    "demo": demo,
}


def main(words: list[str] | None = None) -> None:
    """Run the command line; every mistake ends in one sentence and a non-zero exit status."""
    words = sys.argv[1:] if words is None else words
    try:
        verbs = VERBS | {"train": train_command(*_train_defaults(words[1:]))} if words[:1] == ["train"] else VERBS
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
