"""Edit a video: from a seed or a latents file to a video file.

seed or file ──▶ Latents ──mixes, directions, text──▶ Latents ──interpolation, time map──▶ frames ──▶ file
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from styleganv.editing.clip_model import choose_clip_model, is_own_clip, load_clip_model
from styleganv.editing.directions import load_directions
from styleganv.editing.edits import constant_speed, interpolate_over_time, mix_styles, piecewise_linear
from styleganv.editing.latents import (
    Latents,
    MotionLatents,
    latents_from_seed,
    load_latents,
    render_latents,
    save_latents,
    truncate,
)
from styleganv.editing.perceptual import load_perceptual
from styleganv.editing.text import OWN_CLIP_EDIT, TextEditOptions, edit_by_text
from styleganv.media import sheets, writing
from styleganv.media.enlarging import enlarge
from styleganv.methods.stylegan_v.sampler import Styles, VideoGenerator, load_video_generator
from styleganv.options import ComputeOptions, EditOptions, LatentsOptions, OutputOptions, SampleOptions
from styleganv.progress import Progress, track
from styleganv.video_files import choose_scale, choose_seconds


def edit(
    model: Path | str,
    out: Path | str,
    *,
    latents: LatentsOptions = LatentsOptions(),
    edits: EditOptions = EditOptions(),
    sample: SampleOptions = SampleOptions(),
    compute: ComputeOptions = ComputeOptions(),
    output: OutputOptions = OutputOptions(),
    side_by_side: bool = False,
    latents_out: Path | str | None = None,
    progress: Progress | None = None,
) -> Path:
    """Write one edited video of a model.

    Args:
        model: model folder, run, or name of a pretrained model.
        out: file to write; its suffix chooses the format, see `media.writing.FORMATS`; without one, a folder of PNGs.
        sample, compute, output: see the classes.
        side_by_side: show the original on the left, with its own motion and speed.
        latents_out: file for the edited latents, which do not include `interpolate_to`, `speed` and `time_map`.

    Raises:
        StyleganvError: for a file that cannot be read, one to write that exists, a value out of range, or latents that
            do not match the model.
    """
    writing.check_video_destination(out, latents_out, overwrite=output.overwrite)
    video_model = load_video_generator(model, device=compute.device, precision=compute.precision)
    start, seconds, fps = sample.start, choose_seconds(video_model, sample), sample.fps
    original = _load_content(video_model, latents.latents or latents.seed or 0, sample)
    edited = _edit_latents(video_model, original, latents, edits, sample)
    targets = [_load_content(video_model, content, sample) for content in edits.interpolate_to]
    time_map = None if edits.speed == 1 else constant_speed(edits.speed, start=start)
    if edits.time_map is not None:
        time_map = piecewise_linear(edits.time_map)
    original_frames = render_latents(video_model, original, start=start, seconds=seconds, fps=fps, loop=sample.loop)
    out, num_frames, output_fps = Path(out), video_model.num_frames(seconds, fps), fps or video_model.fps
    writing.check_video(out, output_fps, output.crf)

    # Everything is validated before the long search and before anything is written.
    if edits.text is not None:
        edited = search_by_text(video_model, edited, edits, progress)
    styles: Styles = edited.styles
    if targets:
        contents = [edited, *targets, edited] if sample.loop else [edited, *targets]
        styles = interpolate_over_time(contents, seconds, start=start)
    if latents_out is not None:
        save_latents(latents_out, edited, overwrite=output.overwrite)
    frames = render_latents(
        video_model, edited, styles=styles, time_map=time_map, start=start, seconds=seconds, fps=fps, loop=sample.loop
    )
    if side_by_side:
        frames = (sheets.tile(np.stack(pair)[None]) for pair in zip(original_frames, frames, strict=True))
    tracked = track(frames, progress, num_frames, "generating")
    scale = choose_scale(video_model, output, is_folder=not writing.video_format(out).suffix)
    scaled = (enlarge(frame, scale) for frame in tracked)
    writing.write_video(out, scaled, output_fps, crf=output.crf, overwrite=output.overwrite)
    return out


def _load_content(model: VideoGenerator, content: int | Path, sample: SampleOptions) -> Latents:
    """Return the latents of a seed, or those of a file, truncated by psi."""
    if isinstance(content, int):
        return latents_from_seed(model, content, psi=sample.psi, label=sample.label)
    return truncate(model, load_latents(model, content), sample.psi)


def _edit_latents(
    model: VideoGenerator, latents: Latents, source: LatentsOptions, edits: EditOptions, sample: SampleOptions
) -> Latents:
    """Replace the motion, mix styles and step along directions."""
    if source.motion_seed is not None:
        # Like in `generate`, the motion of a seed has the content's label.
        label = latents.motion.label if sample.label is None else model.choose_label(source.motion_seed, sample.label)
        latents = replace(latents, motion=MotionLatents(source.motion_seed, label=label))
    if source.motion_latents is not None:
        latents = replace(latents, motion=load_latents(model, source.motion_latents).motion)
    for mix in edits.mixes:
        latents = mix_styles(latents, _load_content(model, mix.content, sample), mix.layers, mix.amount)
    for step in edits.directions:
        latents = load_directions(model, step.file).apply(latents, step.name, step.strength, step.layers)
    return latents


def search_by_text(
    model: VideoGenerator, latents: Latents, edits: EditOptions, progress: Progress | None = None
) -> Latents:
    """Return latents that show `edits.text`, by the model's own CLIP, or by another one and a perceptual distance."""
    path = choose_clip_model(edits.clip_model, model.source)
    clip_model, text = load_clip_model(path, device=model.device), edits.text or ""
    if is_own_clip(path, model.source):
        identity, options = clip_model.distance_from, OWN_CLIP_EDIT
    else:
        identity = load_perceptual(device=model.device).distance_from
        options = TextEditOptions(num_steps=edits.text_steps)
    return edit_by_text(model, latents, text, clip_model, identity=identity, options=options, progress=progress)
