"""Commands that make and change videos."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tyro.conf import OmitArgPrefixes, Positional

from styleganv.cli.parsing import parse_directions, parse_mixes, parse_names, parse_seeds, parse_time_map
from styleganv.errors import StyleganvError
from styleganv.options import (
    DEFAULT_CLIP,
    ComputeOptions,
    EditOptions,
    OutputOptions,
    ProjectOptions,
    SampleOptions,
    Unset,
)


def generate(
    model: Positional[Path],
    /,
    out: Path,
    seeds: str = "0-7",
    motion_seeds: Unset[str] = None,
    format: Literal["mp4", "gif", "webp", "frames", "grid"] = "mp4",
    sample: OmitArgPrefixes[SampleOptions] = SampleOptions(),
    output: OmitArgPrefixes[OutputOptions] = OutputOptions(),
    compute: OmitArgPrefixes[ComputeOptions] = ComputeOptions(),
) -> None:
    """Write videos of a model: any length, frame rate and start; the same seed gives the same video.

    Args:
        model: Model folder, or the folder of a run.
        out: Folder to write to.
        seeds: Content seeds, e.g. 0-7 or 1,5,9.
        motion_seeds: Motion seeds, one per content seed (in a grid: one per row). Default: same as --seeds.
        format: mp4 (H.264), gif, webp, frames (PNG folders), or grid (contents across, motions down).
    """
    from styleganv.video_files import generate as run

    paths = run(
        model,
        out,
        seeds=parse_seeds(seeds),
        motion_seeds=None if motion_seeds is None else parse_seeds(motion_seeds),
        format=format,
        sample=sample,
        compute=compute,
        output=output,
    )
    for path in paths:
        print(path)


@dataclass(frozen=True)
class EditFlags:
    """Edits as the command line takes them."""

    mix: Unset[str] = None
    """Content of another seed at some layers, 0 the coarsest: "7:4-9", or half of it: "7:4-9@0.5"; several with ;."""
    direction: Unset[str] = None
    """Step along a direction: "FILE:NAME=2" standard deviations, "…=2@0-3" at some layers; several with ;."""
    text: Unset[str] = None
    """What the video should show, e.g. "a green square"; requires styleganv[clip]."""
    clip_model: str = DEFAULT_CLIP
    """CLIP that understands the text: a folder, or a name on the Hugging Face Hub."""
    text_steps: int = 100
    """Steps of the search for the text."""
    interpolate_to: str = ""
    """Content seeds to interpolate to over the video, in order, e.g. 7,9."""
    speed: float = 1.0
    """Speed of the motion: 0.25 is slow motion, 0 a still."""
    time_map: Unset[str] = None
    """Map from video time to motion time in seconds, instead of --speed, e.g. 0:0,2:1,3:0.5."""

    def options(self) -> EditOptions:
        return EditOptions(
            mixes=list(parse_mixes(self.mix)),
            directions=list(parse_directions(self.direction)),
            text=self.text,
            clip_model=self.clip_model,
            text_steps=self.text_steps,
            interpolate_to=parse_names(self.interpolate_to),
            speed=self.speed,
            time_map=None if self.time_map is None else parse_time_map(self.time_map),
        )


def edit(
    model: Positional[Path],
    /,
    out: Path,
    seed: str = "0",
    motion_seed: Unset[str] = None,
    edits: OmitArgPrefixes[EditFlags] = EditFlags(),
    sample: OmitArgPrefixes[SampleOptions] = SampleOptions(),
    side_by_side: bool = False,
    save_latents: Unset[Path] = None,
    output: OmitArgPrefixes[OutputOptions] = OutputOptions(),
    compute: OmitArgPrefixes[ComputeOptions] = ComputeOptions(),
) -> None:
    """Edit a video of a model: other content or motion, style mixing, directions, slow motion; all of it endless.

    Any option that takes a seed also accepts a latents file: what --save-latents or `styleganv project` wrote.

    Args:
        model: Model folder, or the folder of a run.
        out: Video to write: .mp4, .gif or .webp.
        seed: Content seed, and its motion.
        motion_seed: Motion seed. Default: same as --seed.
        side_by_side: Show the original on the left.
        save_latents: File to keep the edited latents in.
    """
    from styleganv.editing.edit import edit as run

    path = run(
        model,
        out,
        content=seed,
        motion=motion_seed,
        edits=edits.options(),
        sample=sample,
        compute=compute,
        output=output,
        side_by_side=side_by_side,
        latents_out=save_latents,
    )
    print(path)


def project(
    model: Positional[Path],
    video: Positional[Path],
    /,
    out: Path,
    start: float = 0.0,
    seconds: float = 2.0,
    label: Unset[str] = None,
    options: OmitArgPrefixes[ProjectOptions] = ProjectOptions(),
    perceptual: Unset[Path] = None,
    device: Unset[str] = None,
) -> None:
    """Find the content and the motion of a real clip, to continue, change and combine it; Ctrl-C ends the search early.

    Args:
        model: Model folder, or the folder of a run.
        video: Video file or folder of frames; cropped, resized and resampled as the model needs.
        out: Folder to write to.
        start: Start of the clip in the video, in seconds.
        seconds: Duration of the clip in seconds.
        label: Class name or number, for a class-conditional model. Default: the best.
        perceptual: TorchScript network that measures likeness (docs/projection.md). Default: the packaged one.
        device: Torch device, e.g. cpu or cuda. Default: cuda if available.
    """
    from styleganv.editing.project_video import project_video

    found = project_video(
        model,
        video,
        out,
        start=start,
        seconds=seconds,
        label=label,
        options=options,
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


def directions(
    model: Positional[Path],
    /,
    out: Path = Path("directions.safetensors"),
    space: Literal["content", "motion"] = "content",
    count: int = 10,
    samples: Unset[int] = None,
    score: Unset[str] = None,
    labels: Unset[Path] = None,
    text: Unset[str] = None,
    source_text: Unset[str] = None,
    clip_model: str = DEFAULT_CLIP,
    seed: int = 0,
    device: Unset[str] = None,
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
        clip_model: The CLIP that understands the text: a folder, or a name on the Hugging Face hub.
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

        judge = load_clip(clip_model, device=video.device)
        found = text_direction(video, text, judge, source_text=source_text, seeds=range(seed, seed + samples))
    else:
        found = find_directions(video, space, count=count, samples=samples, seed=seed, score=score, labels=labels)
    save_directions(out, found)
    picture = out.with_suffix(".png")
    writing.write_image(picture, directions_sheet(video, found, seed))
    print(f"{out}: {', '.join(found.names)}\nPicture: {picture}")


def explore(model: Positional[Path], /, out: Path = Path("explored"), seed: int = 0, device: Unset[str] = None) -> None:
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
