"""Commands that generate and edit videos."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro
from tyro.conf import OmitArgPrefixes, Positional

from styleganv.cli.console import progress_bar
from styleganv.cli.parsing import (
    ModelPath,
    parse_directions,
    parse_mixes,
    parse_names,
    parse_seeds,
    parse_time_map,
)
from styleganv.errors import StyleganvError
from styleganv.files import check_destination
from styleganv.options import (
    ComputeOptions,
    Device,
    DirectionOptions,
    EditOptions,
    LatentsOptions,
    OutputOptions,
    Overwrite,
    ProjectOptions,
    SampleOptions,
    Unset,
)


def generate(
    model: ModelPath,
    /,
    out: Path,
    seeds: str = "0-7",
    motion_seeds: Unset[str] = None,
    format: Literal["mp4", "webm", "mov", "gif", "webp", "frames", "grid"] = "mp4",
    sample: OmitArgPrefixes[SampleOptions] = SampleOptions(),
    output: OmitArgPrefixes[OutputOptions] = OutputOptions(),
    compute: OmitArgPrefixes[ComputeOptions] = ComputeOptions(),
) -> None:
    """Generate videos from seeds, of any length, frame rate and start time.

    Args:
        out: Folder to write to.
        seeds: Content seeds, e.g. 0-7 or 1,5,9.
        motion_seeds: Motion seeds, one per content seed or grid row. Default: same as --seeds.
        format: mp4 (H.264), webm (VP9), mov (ProRes 4444), gif, webp, frames (PNGs), or grid (all seeds).
    """
    from styleganv.video_files import generate as run

    with progress_bar() as progress:
        paths = run(
            model,
            out,
            seeds=parse_seeds(seeds),
            motion_seeds=None if motion_seeds is None else parse_seeds(motion_seeds, "--motion-seeds"),
            format=format,
            sample=sample,
            compute=compute,
            output=output,
            progress=progress,
        )
    for path in paths:
        print(path)


@dataclass(frozen=True)
class EditFlags:
    """Edits, in the order in which they are applied."""

    mix: Unset[str] = None
    """Content seeds to mix in: SEED:LAYERS[@AMOUNT], e.g. "7:4-9;8:0-2@0.5"."""
    mix_latents: Unset[str] = None
    """Latents files to mix in: FILE:LAYERS[@AMOUNT], e.g. "projected:4-9"."""
    direction: Unset[str] = None
    """Directions to move along: FILE:NAME=STRENGTH[@LAYERS], e.g. "found.safetensors:1=2"."""
    text: Unset[str] = None
    """Text to edit toward, e.g. "a green face"; requires styleganv[clip]."""
    clip_model: Unset[str] = None
    """CLIP for --text: a folder, or a Hugging Face Hub name. Default: the model's own, else OpenAI's."""
    text_steps: int = 100
    """Optimization steps for --text; not used by a model's own CLIP."""
    interpolate_to: Unset[str] = None
    """Content seeds to interpolate to over the video, in order, e.g. 7,9."""
    interpolate_to_latents: Unset[str] = None
    """Latents files to interpolate to after those seeds, in order, e.g. a,b."""
    speed: float = 1.0
    """Speed of the motion: 1 = the dataset's, 0.25 = slow motion, 0 = frozen."""
    time_map: Unset[str] = None
    """Time map VIDEO:MOTION in seconds, instead of --speed, e.g. 0:0,2:1,3:0.5."""

    def options(self) -> EditOptions:
        """Return the parsed options."""
        seeds = [] if self.interpolate_to is None else parse_seeds(self.interpolate_to, "--interpolate-to")
        return EditOptions(
            mixes=[*parse_mixes(self.mix), *parse_mixes(self.mix_latents, latents=True)],
            directions=list(parse_directions(self.direction)),
            text=self.text,
            clip_model=self.clip_model,
            text_steps=self.text_steps,
            interpolate_to=[*seeds, *map(Path, parse_names(self.interpolate_to_latents or ""))],
            speed=self.speed,
            time_map=None if self.time_map is None else parse_time_map(self.time_map),
        )


def edit(
    model: ModelPath,
    /,
    out: Path,
    latents: OmitArgPrefixes[LatentsOptions] = LatentsOptions(),
    edits: OmitArgPrefixes[EditFlags] = EditFlags(),
    sample: OmitArgPrefixes[SampleOptions] = SampleOptions(),
    side_by_side: bool = False,
    save_latents: Unset[Path] = None,
    output: OmitArgPrefixes[OutputOptions] = OutputOptions(),
    compute: OmitArgPrefixes[ComputeOptions] = ComputeOptions(),
) -> None:
    """Edit the content, motion and speed of a generated video, however long it is.

    Args:
        out: Video to write: .mp4, .webm, .mov (ProRes), .gif or .webp; a folder of PNGs without a suffix.
        side_by_side: Also show the original, on the left.
        save_latents: File to write the edited latents to.
    """
    from styleganv.editing.edit import edit as run

    with progress_bar() as progress:
        path = run(
            model,
            out,
            latents=latents,
            edits=edits.options(),
            sample=sample,
            compute=compute,
            output=output,
            side_by_side=side_by_side,
            latents_out=save_latents,
            progress=progress,
        )
    print(path)


def render(
    project: Annotated[Positional[Path], tyro.conf.arg(metavar="PROJECT", help="Project file (YAML).")],
    /,
    out: Path,
    model: Unset[str] = None,
    output: OmitArgPrefixes[OutputOptions] = OutputOptions(),
    compute: OmitArgPrefixes[ComputeOptions] = ComputeOptions(),
) -> None:
    """Generate the video of a project file: keyframes of content, motion, speed and edits.

    Args:
        out: Video to write: .mp4, .gif or .webp.
        model: Model folder, run, or name of a pretrained model. Default: the project's.
    """
    from styleganv.timeline.project import render as run

    with progress_bar() as progress:
        path = run(project, out, model=model, compute=compute, output=output, progress=progress)
    print(path)


def project(
    model: ModelPath,
    video: Annotated[Positional[Path], tyro.conf.arg(metavar="VIDEO")],
    /,
    out: Path,
    start: float = 0.0,
    seconds: float = 2.0,
    search: OmitArgPrefixes[ProjectOptions] = ProjectOptions(),
    perceptual: Unset[Path] = None,
    device: Device = None,
    overwrite: Overwrite = False,
) -> None:
    """Find the latents of a real clip, to edit and continue it. Ctrl-C keeps the best so far.

    Args:
        video: Video file or folder of frames; resized and resampled to match the model.
        out: Folder to write to.
        start: Start of the clip in the video, in seconds.
        seconds: Duration of the clip in seconds.
        perceptual: TorchScript network of the perceptual distance. Default: the packaged one.
    """
    from styleganv.editing.project_video import project_video

    with progress_bar() as progress:
        projection = project_video(
            model,
            video,
            out,
            start=start,
            seconds=seconds,
            options=search,
            perceptual=perceptual,
            device=device,
            overwrite=overwrite,
            progress=progress,
        )
    if projection.interrupted:
        print("Interrupted: kept the best result so far.")
    means = projection.means()
    print(
        f"PSNR {means['psnr']:.2f} dB, SSIM {means['ssim']:.3f}, perceptual distance {means['perceptual']:.3f} "
        f"(means over {len(projection.psnr)} frames; worst PSNR {min(projection.psnr):.2f} dB)"
    )
    print(f"Wrote {out / 'comparison.mp4'} (real on the left, projected on the right) and {out / 'continued.mp4'}.")
    print(
        f"Next: styleganv edit {out / 'model' if projection.is_finetuned else model} --latents {out} --out edited.mp4"
    )


def directions(
    model: ModelPath,
    /,
    out: Path = Path("directions.safetensors"),
    search: OmitArgPrefixes[DirectionOptions] = DirectionOptions(),
    device: Device = None,
    overwrite: Overwrite = False,
) -> None:
    """Find directions for `styleganv edit`: by variance, score, annotations or text.

    Args:
        out: File to write; an image of the directions is written next to it.
    """
    from styleganv.editing.direction_search import draw_directions, find_directions
    from styleganv.editing.directions import save_directions
    from styleganv.media import writing
    from styleganv.methods.stylegan_v.sampler import load_video_generator

    if out.suffix != ".safetensors":
        raise StyleganvError(f"--out must end with .safetensors, got {out}: change its suffix.")
    check_destination(out, out.with_suffix(".png"), overwrite=overwrite)
    video_model = load_video_generator(model, device=device)
    with progress_bar() as progress:
        found = find_directions(video_model, search, progress=progress)
        image = draw_directions(video_model, found, search.first_seed, progress=progress)
    save_directions(out, found, overwrite=overwrite)
    writing.write_image(out.with_suffix(".png"), image, overwrite=overwrite)
    print(f"Wrote directions {', '.join(found.names)} to {out}, and their image to {out.with_suffix('.png')}")


def explore(
    model: ModelPath,
    /,
    out: Path = Path("explored"),
    first_seed: int = 0,
    device: Device = None,
    overwrite: Overwrite = False,
) -> None:
    """Show a model on an HTML page: truncation, interpolation, mixing, motion, directions.

    Args:
        out: Folder to write to.
        first_seed: First of the six consecutive content seeds to show.
    """
    from styleganv.editing.explore import PAGE_FILES
    from styleganv.editing.explore import explore as run
    from styleganv.methods.stylegan_v.sampler import load_video_generator

    check_destination(out, overwrite=overwrite, contents=PAGE_FILES)
    video_model = load_video_generator(model, device=device)
    with progress_bar() as progress:
        page = run(video_model, out, first_seed=first_seed, overwrite=overwrite, progress=progress)[0]
    print(f"Wrote {page}")
