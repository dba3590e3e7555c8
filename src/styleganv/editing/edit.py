"""The verb `edit`: from words of the command line to an edited video.

seed or file ──▶ Latents ──mix, direction, text──▶ Latents ──towards, speed, remap──▶ frames ──▶ mp4, gif, webp
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from styleganv.editing.clip_model import DEFAULT_CLIP, load_clip
from styleganv.editing.directions import load_directions
from styleganv.editing.edits import Clock, at_speed, content_over_time, mixed, remapped
from styleganv.editing.latents import open_latents, play, save_latents
from styleganv.editing.perceptual import load_perceptual
from styleganv.editing.text import edit_by_text
from styleganv.errors import StyleganvError
from styleganv.media import sheets, writing
from styleganv.methods.stylegan_v.sampler import Frame, Precision, Styles, load_video_generator
from styleganv.video_files import parse_seeds


def edit(
    model: Path | str,
    out: Path | str,
    *,
    seed: str | int | Path,
    motion_seed: str | int | Path | None = None,
    label: str | int | None = None,
    psi: float = 1.0,
    mix: str | None = None,
    direction: str | None = None,
    text: str | None = None,
    clip: Path | str = DEFAULT_CLIP,
    text_steps: int = 100,
    towards: str | None = None,
    speed: float = 1.0,
    remap: str | None = None,
    seconds: float = 5.0,
    fps: float | None = None,
    start: float = 0.0,
    beside: bool = False,
    save: Path | str | None = None,
    scale: int = 1,
    quality: int = 18,
    device: str | None = None,
    precision: Precision = "float32",
) -> Path:
    """Write one edited video of a model; edits are made in the order of the arguments.

    Args:
        out: its suffix chooses the format: .mp4, .gif or .webp.
        seed: of the content: a seed, or a file (or folder) of latents.
        motion_seed: of the motion, likewise; that of `seed` where left out.
        mix: another content at some layers, as "7:4-9", or half of it, as "7:4-9@0.5"; several with semicolons
            between.
        direction: "FILE:NAME=STRENGTH", in standard deviations; "…@LAYERS" for some layers only; several with
            semicolons between.
        text: what the video shall show, as CLIP understands it; see `text.edit_by_text`.
        clip: a folder that holds a CLIP, or its name on the Hugging Face hub.
        text_steps: of the search for it.
        towards: contents that the video goes on to, as "7" or "7,9,FILE".
        speed: of the motion; 0.25 is slow motion.
        remap: "seconds of the video:seconds of the motion" with commas between, instead of `speed`.
        beside: show the original on the left, with its own motion and speed.
        save: where to keep the edited latents (all but `towards`, `speed` and `remap`, which are no latents).
        scale: each pixel becomes a square of so many pixels a side.

    Raises:
        StyleganvError: for what cannot be read, is out of range, or does not fit the model.
    """
    if scale < 1:
        raise StyleganvError(f"Scale cannot be {scale}: choose 1 or more.")
    if speed != 1 and remap is not None:
        raise StyleganvError("Speed and remap both say when the motion is where: give one of them.")
    video = load_video_generator(model, device=device, precision=precision)
    original = open_latents(video, seed, psi=psi, label=label)
    latents = original
    if motion_seed is not None:
        # The motion of a seed is that of the content's class, as in generate.
        kind = original.motion.label if label is None else label
        latents = replace(latents, motion=open_latents(video, motion_seed, label=kind).motion)
    for other, layers, amount in _mixes(mix):
        latents = mixed(latents, open_latents(video, other, psi=psi, label=label), layers, amount)
    for file, name, strength, where in _directions(direction):
        latents = load_directions(video, file).moved(latents, name, strength, where)
    places = [] if towards is None else towards.split(",")
    others = [open_latents(video, place, psi=psi, label=label) for place in places]
    clock = _clock(speed, remap, start)
    plain = play(video, original, start=start, seconds=seconds, fps=fps)
    out, total, rate = Path(out), video.num_frames(seconds, fps), fps or video.fps
    writing.check_video(out, rate, quality)

    # All that could be refused has been, before what takes long and before anything is written.
    if text is not None:
        judge, keep = load_clip(clip, device=video.device), load_perceptual(device=video.device)
        latents = edit_by_text(video, latents, text, judge, steps=text_steps, identity=keep)
    styles: Styles = content_over_time([latents, *others], seconds, start=start) if others else latents.styles
    if save is not None:
        save_latents(save, latents)
    shown = play(video, latents, styles=styles, clock=clock, start=start, seconds=seconds, fps=fps)
    if beside:
        shown = (sheets.tile(np.stack(pair)[None]) for pair in zip(plain, shown, strict=True))
    writing.write_video(out, _enlarged(shown, total, scale), rate, quality=quality)
    return out


def _enlarged(frames: Iterator[Frame], total: int, scale: int) -> Iterator[Frame]:
    for frame in tqdm(frames, total=total, desc="generating", unit="frame"):
        yield frame.repeat(scale, axis=0).repeat(scale, axis=1)


def _clock(speed: float, remap: str | None, start: float) -> Clock | None:
    if remap is None:
        return None if speed == 1 else at_speed(speed, start=start)
    points = [re.fullmatch(r"\s*([0-9]+\.?[0-9]*):([0-9]+\.?[0-9]*)\s*", point) for point in remap.split(",")]
    if not all(points):
        raise StyleganvError(f"--remap {remap} cannot be read: write points as 0:0,2:1,3:3.")
    return remapped([(float(point[1]), float(point[2])) for point in points if point])


def _mixes(text: str | None) -> Iterator[tuple[str, list[int], float]]:
    for part in text.split(";") if text else ():
        found = re.fullmatch(r"\s*(.+):([0-9,\-]+)(?:@([0-9]*\.?[0-9]+))?\s*", part)
        if not found:
            raise StyleganvError(f"--mix {part} cannot be read: write SEED:LAYERS, such as 7:4-9, or 7:4-9@0.5.")
        yield found[1], parse_seeds(found[2], "Layers"), float(found[3] or 1)


def _directions(text: str | None) -> Iterator[tuple[str, str, float, list[int] | None]]:
    for part in text.split(";") if text else ():
        found = re.fullmatch(r"\s*(.+):([^:=]+)=([-+]?[0-9]+\.?[0-9]*)(?:@([0-9,\-]+))?\s*", part)
        if not found:
            raise StyleganvError(
                f"--direction {part} cannot be read: write FILE:NAME=STRENGTH, such as found.safetensors:1=2."
            )
        yield found[1], found[2], float(found[3]), parse_seeds(found[4], "Layers") if found[4] else None
