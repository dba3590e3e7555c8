"""Edit a video: from a seed or a file of latents to a video file.

seed or file ──▶ Latents ──mixes, directions, text──▶ Latents ──interpolation, time map──▶ frames ──▶ a file
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from styleganv.editing.clip_model import load_clip
from styleganv.editing.directions import load_directions
from styleganv.editing.edits import Clock, at_speed, content_over_time, mixed, remapped
from styleganv.editing.latents import Latents, open_latents, play, save_latents
from styleganv.editing.perceptual import load_perceptual
from styleganv.editing.text import edit_by_text
from styleganv.media import sheets, writing
from styleganv.methods.stylegan_v.sampler import Frame, Styles, VideoGenerator, load_video_generator
from styleganv.options import ComputeOptions, EditOptions, OutputOptions, SampleOptions
from styleganv.video_files import duration


def edit(
    model: Path | str,
    out: Path | str,
    *,
    content: str | int | Path,
    motion: str | int | Path | None = None,
    edits: EditOptions = EditOptions(),
    sample: SampleOptions = SampleOptions(),
    compute: ComputeOptions = ComputeOptions(),
    output: OutputOptions = OutputOptions(),
    side_by_side: bool = False,
    latents_out: Path | str | None = None,
) -> Path:
    """Write one edited video of a model.

    Args:
        out: its suffix chooses the format: .mp4, .gif or .webp.
        content: a seed, or a file (or folder) of latents.
        motion: likewise; that of `content` by default.
        side_by_side: show the original on the left, with its own motion and speed.
        latents_out: where to keep the edited latents (all but `interpolate_to`, `speed` and `time_map`, which are no
            latents).

    Raises:
        StyleganvError: for what cannot be read, is out of range, or does not fit the model.
    """
    video = load_video_generator(model, device=compute.device, precision=compute.precision)
    start, seconds, fps = sample.start, duration(video, sample), sample.fps
    original = open_latents(video, content, psi=sample.psi, label=sample.label)
    latents = _edited(video, original, motion, edits, sample)
    others = [open_latents(video, place, psi=sample.psi, label=sample.label) for place in edits.interpolate_to]
    clock = _clock(edits, start)
    plain = play(video, original, start=start, seconds=seconds, fps=fps)
    out, total, rate = Path(out), video.num_frames(seconds, fps), fps or video.fps
    writing.check_video(out, rate, output.crf)

    # All that could be refused has been, before what takes long and before anything is written.
    if edits.text is not None:
        judge, keep = load_clip(edits.clip_model, device=video.device), load_perceptual(device=video.device)
        latents = edit_by_text(video, latents, edits.text, judge, steps=edits.text_steps, identity=keep)
    styles: Styles = content_over_time([latents, *others], seconds, start=start) if others else latents.styles
    if latents_out is not None:
        save_latents(latents_out, latents)
    shown = play(video, latents, styles=styles, clock=clock, start=start, seconds=seconds, fps=fps)
    if side_by_side:
        shown = (sheets.tile(np.stack(pair)[None]) for pair in zip(plain, shown, strict=True))
    writing.write_video(out, _enlarged(shown, total, output.scale), rate, crf=output.crf)
    return out


def _edited(
    video: VideoGenerator,
    latents: Latents,
    motion: str | int | Path | None,
    edits: EditOptions,
    sample: SampleOptions,
) -> Latents:
    """Other motion, other layers' content, and steps along directions."""
    if motion is not None:
        # The motion of a seed is that of the content's class, as in generate.
        kind = latents.motion.label if sample.label is None else sample.label
        latents = replace(latents, motion=open_latents(video, motion, label=kind).motion)
    for mix in edits.mixes:
        other = open_latents(video, mix.content, psi=sample.psi, label=sample.label)
        latents = mixed(latents, other, mix.layers, mix.amount)
    for step in edits.directions:
        latents = load_directions(video, step.file).moved(latents, step.name, step.strength, step.layers)
    return latents


def _enlarged(frames: Iterator[Frame], total: int, scale: int) -> Iterator[Frame]:
    for frame in tqdm(frames, total=total, desc="generating", unit="frame"):
        yield frame.repeat(scale, axis=0).repeat(scale, axis=1)


def _clock(edits: EditOptions, start: float) -> Clock | None:
    if edits.time_map is not None:
        return remapped(list(edits.time_map))
    return None if edits.speed == 1 else at_speed(edits.speed, start=start)
