"""Small valid inputs, made once per campaign, and valid but unusual ones with what must come out of them."""

import csv
import io
import json
import os
import random
import shutil
import struct
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image

from .sandbox import ROOT, command_line

FPS, FRAMES, HEIGHT, WIDTH = 10, 16, 24, 32
#: Networks of a few channels, and a training of two steps.
TRAIN = [
    *("--preset", "tiny-cpu", "--channel-base", "128", "--channel-max", "8", "--z-dim", "16", "--w-dim", "16"),
    *("--motion-dim", "16", "--total-clips", "16", "--batch-size", "8", "--precision", "float32", "--num-workers", "0"),
    *("--r1-interval", "2", "--log-every", "8", "--save-every", "8", "--snapshot-every", "1000"),
]


def helpers() -> None:
    """Make the helper modules of the tests importable."""
    for folder in ("helpers", "interop"):
        sys.path.insert(0, str(ROOT / "tests" / folder))


def draw(count: int = FRAMES, height: int = HEIGHT, width: int = WIDTH, color: int = 0) -> list[np.ndarray]:
    """Return frames of a square that moves to the right over a plain background."""
    frames = []
    for t in range(count):
        frame = np.full((height, width, 3), 40, np.uint8)
        side = max(1, min(height, width) // 3)
        x = min(width - side, t * max(1, (width - side) // max(1, count)))
        frame[height // 3 : height // 3 + side, x : x + side, color % 3] = 230
        frames.append(frame)
    return frames


def write_video(
    path: Path,
    frames: list[np.ndarray],
    codec: str,
    pixels: str = "yuv420p",
    *,
    fps: int = FPS,
    times: list[int] | None = None,
    format: str | None = None,
    options: dict[str, str] | None = None,
    sar: Fraction | None = None,
    audio: bool = False,
) -> None:
    """Encode frames; `times` are presentation times in 1/90000 s."""
    with open(path, "wb") as file, av.open(file, "w", format=format or path.suffix[1:]) as container:
        stream: Any = container.add_stream(codec, rate=fps, options=options or {})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = pixels
        if sar:
            stream.codec_context.sample_aspect_ratio = sar
        if times:
            stream.codec_context.time_base = Fraction(1, 90000)
        sound: Any = container.add_stream("aac", rate=8000) if audio else None
        for index, pixels_ in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels_, format="rgb24")
            frame.pts = times[index] if times else index
            frame.time_base = Fraction(1, 90000) if times else Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if sound is not None:
            silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            silence.sample_rate = 8000
            for index in range(8):
                silence.pts = index * 1024
                container.mux(sound.encode(silence))
            container.mux(sound.encode(None))


def write_pictures(path: Path, frames: list[np.ndarray], duration: int | list[int] = 1000 // FPS) -> None:
    """Write an animated gif, webp or png."""
    images = [Image.fromarray(frame) for frame in frames]
    extra = {"lossless": True} if path.suffix == ".webp" else {}
    images[0].save(path, save_all=True, append_images=images[1:], duration=duration, loop=0, **extra)


@dataclass(frozen=True)
class Unusual:
    """A valid source, and how many frames must come out of it at its own rate (None: it must be refused)."""

    name: bytes
    num_frames: int | None = FRAMES


def make_videos(folder: Path) -> None:
    """Write one ordinary clip in each container, and a folder and a zip of frames."""
    folder.mkdir()
    for suffix, codec, pixels in (
        ("mp4", "libx264", "yuv420p"),
        ("mov", "libx264", "yuv420p"),
        ("mkv", "libx264", "yuv420p"),
        ("avi", "mpeg4", "yuv420p"),
        ("mpg", "mpeg2video", "yuv420p"),
        ("webm", "libvpx", "yuv420p"),
    ):
        rate = 25 if suffix == "mpg" else FPS
        write_video(
            folder / f"clip.{suffix}",
            draw(color=1),
            codec,
            pixels,
            fps=rate,
            format={"mkv": "matroska", "mpg": "mpeg"}.get(suffix),
        )
    write_video(folder / "clip.ts", draw(), "libx264", format="mpegts")
    for suffix in ("gif", "webp", "png"):
        write_pictures(folder / f"clip.{suffix}", draw())
    os.rename(folder / "clip.png", folder / "clip.apng")
    for name, suffix in (("pngs", "png"), ("jpgs", "jpg")):
        (folder / name).mkdir()
        for t, frame in enumerate(draw(color=2)):
            Image.fromarray(frame).save(folder / name / f"{t:03d}.{suffix}")


def make_unusual(folder: Path) -> list[Unusual]:
    """Write valid but unusual sources."""
    folder.mkdir()
    found = [Unusual(name.encode(), count) for name, count in _write_unusual_files(folder)]
    found += [Unusual(name.encode()) for name in _write_unusual_pictures(folder)]
    for name in (
        b"a:b.mp4",
        b"-dash.mp4",
        b"new\nline.mp4",
        "ü 🐟.mp4".encode(),
        b"\xff\xfe.mp4",
        b"x" * 240 + b".mp4",
    ):
        os.link(folder / "plain.MP4", os.path.join(os.fsencode(folder), name))
        found.append(Unusual(name))
    return found


def _write_unusual_files(folder: Path) -> Iterator[tuple[str, int | None]]:
    frames = draw()
    h264: dict[str, Any] = {"codec": "libx264"}
    write_video(folder / "plain.MP4", frames, **h264, format="mp4")
    yield "plain.MP4", FRAMES
    write_video(folder / "sar.mp4", frames, **h264, sar=Fraction(2))
    yield "sar.mp4", FRAMES
    write_video(folder / "odd.mkv", draw(height=33, width=17), "ffv1", "yuv444p", format="matroska")
    yield "odd.mkv", FRAMES
    write_video(folder / "ten-bit.mkv", frames, "ffv1", "yuv420p10le", format="matroska")
    yield "ten-bit.mkv", FRAMES
    write_video(folder / "gray.avi", frames, "ffv1", "gray")
    yield "gray.avi", FRAMES
    write_video(folder / "mjpeg.avi", frames, "mjpeg", "yuvj420p")
    yield "mjpeg.avi", FRAMES
    write_video(folder / "sound.mp4", frames, **h264, audio=True)
    yield "sound.mp4", FRAMES
    write_video(folder / "thin.mp4", draw(height=256, width=4), **h264)
    yield "thin.mp4", FRAMES
    write_video(folder / "slow.mp4", frames, **h264, fps=1)
    yield "slow.mp4", FRAMES
    write_video(folder / "fast.mp4", frames, **h264, fps=240)
    yield "fast.mp4", FRAMES
    write_video(folder / "three.mp4", draw(3), **h264)
    yield "three.mp4", 3
    write_video(folder / "one.mp4", draw(1), **h264)
    yield "one.mp4", None
    start = 5 * 90000
    write_video(
        folder / "offset.mkv", frames, **h264, times=[start + 9000 * t for t in range(FRAMES)], format="matroska"
    )
    yield "offset.mkv", FRAMES
    write_video(folder / "clip.m2ts", frames, **h264, format="mpegts")
    yield "clip.m2ts", FRAMES
    write_video(folder / "clip.flv", frames, "flv1")
    yield "clip.flv", FRAMES
    write_video(folder / "clip.wmv", frames, "wmv2", format="asf")
    yield "clip.wmv", FRAMES
    for number, matrix in enumerate(_matrices()):
        name = f"matrix{number}.mp4"
        (folder / name).write_bytes(_set_matrix((folder / "plain.MP4").read_bytes(), matrix))
        yield name, FRAMES


def _matrices() -> Iterator[tuple[int, int, int, int]]:
    """Yield the display matrices of the seven orientations that are not upright."""
    yield from (
        (0, 1, -1, 0),
        (-1, 0, 0, -1),
        (0, -1, 1, 0),
        (-1, 0, 0, 1),
        (1, 0, 0, -1),
        (0, 1, 1, 0),
        (0, -1, -1, 0),
    )


def _set_matrix(data: bytes, matrix: tuple[int, int, int, int]) -> bytes:
    a, b, c, d = (number << 16 for number in matrix)
    place = data.index(b"tkhd") + 4 + 4 + 20 + 8 + 8  # flags, times and number, reserved, layer and volume
    return data[:place] + struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30) + data[place + 36 :]


def _write_unusual_pictures(folder: Path) -> Iterator[str]:
    def pictures(name: str, suffix: str, change: Any) -> str:
        (folder / name).mkdir()
        for t, frame in enumerate(draw()):
            change(Image.fromarray(frame), t).save(folder / name / f"{t}.{suffix}")
        return name

    yield pictures("numbered", "png", lambda image, _: image)
    yield pictures("alpha", "png", lambda image, t: _with_alpha(image))
    yield pictures("palette", "png", lambda image, _: image.quantize(16))
    yield pictures("gray", "png", lambda image, _: image.convert("L"))
    yield pictures("gray16", "png", lambda image, _: Image.fromarray(np.asarray(image.convert("L"), np.uint16) << 8))
    yield pictures("bits", "png", lambda image, _: image.convert("1"))
    yield pictures("cmyk", "jpg", lambda image, _: image.convert("CMYK"))
    yield pictures("bmp", "bmp", lambda image, _: image)
    write_pictures(folder / "alpha.webp", draw())
    yield "alpha.webp"
    write_pictures(folder / "upper.gif", draw())
    os.rename(folder / "upper.gif", folder / "upper.GIF")
    yield "upper.GIF"


def _with_alpha(image: Image.Image) -> Image.Image:
    image.putalpha(Image.fromarray(np.tile(np.linspace(0, 255, image.width).astype(np.uint8), (image.height, 1))))
    return image


def write_zip(path: Path, entries: list[tuple[str, bytes]]) -> None:
    """Write a zip, with duplicates if there are any."""
    import warnings

    with warnings.catch_warnings(), zipfile.ZipFile(path, "w") as archive:
        warnings.simplefilter("ignore")
        for name, data in entries:
            archive.writestr(zipfile.ZipInfo(name), data)


def read_zip(path: Path) -> list[tuple[str, bytes]]:
    """Return the entries of a zip in their order."""
    with zipfile.ZipFile(path) as archive:
        return [(entry.filename, archive.read(entry)) for entry in archive.infolist()]


def picture(frame: np.ndarray, format: str = "PNG") -> bytes:
    """Return the bytes of a picture file."""
    buffer = io.BytesIO()
    Image.fromarray(frame).save(buffer, format)
    return buffer.getvalue()


def make_datasets(folder: Path) -> None:
    """Write a source with class folders, its zip and labels, and prepared datasets with and without classes."""
    from styleganv.data.dataset_writer import write_dataset

    (folder / "classes").mkdir()
    for index in range(4):
        name = folder / "classes" / ("cats", "dogs")[index % 2] / f"clip{index}"
        name.mkdir(parents=True)
        for t, frame in enumerate(draw(6, color=index)):
            Image.fromarray(frame).save(name / f"{t:02d}.png")
    files = sorted((folder / "classes").rglob("*.png"))
    write_zip(
        folder / "classes.zip", [(str(file.relative_to(folder / "classes")), file.read_bytes()) for file in files]
    )
    rows = [(f"{('cats', 'dogs')[index % 2]}/clip{index}", ("2", "5")[index % 2]) for index in range(4)]
    with open(folder / "labels.csv", "w", newline="") as file:
        csv.writer(file).writerows(rows)
    (folder / "labels.json").write_text(json.dumps(dict(rows)))
    videos = [(f"clip{index}", draw(24, 16, 16, index), index % 2, {}) for index in range(6)]
    for name, classes in (("data.zip", ("cats", "dogs")), ("plain.zip", ())):
        write_dataset(
            folder / name,
            [(video, frames, label if classes else None, meta) for video, frames, label, meta in videos],
            height=16,
            width=16,
            fps=FPS,
            class_names=classes,
        )


def make_models(folder: Path) -> None:
    """Write models, a run, latents, directions and an official checkpoint."""
    import torch

    helpers()
    from pickles import official_generator, write_pickle
    from small_networks import generator
    from tiny import save

    save(folder / "model")
    save(folder / "other", slot_distance=4)
    save(folder / "classes-model", num_classes=3)
    torch.manual_seed(0)
    write_pickle(folder / "official.pkl", official_generator(generator(16, 16, amplitude=False)), None)
    torch.save({"weight": torch.zeros(3)}, folder / "archive.pt")


def run_commands(folder: Path) -> Iterator[list[str]]:
    """Yield the commands that make the other inputs."""
    model = str(folder / "model")
    yield ["train", str(folder / "plain.zip"), "--out", str(folder / "run"), *TRAIN]
    latents = str(folder / "latents.safetensors")
    yield ["edit", model, "--out", str(folder / "edited.mp4"), "--seconds", "0.2", "--save-latents", latents]
    found = str(folder / "directions.safetensors")
    yield ["directions", model, "--out", found, "--num-samples", "16", "--num-directions", "2"]


@dataclass(frozen=True)
class Inputs:
    """The folder of all inputs, and the unusual ones."""

    folder: Path
    unusual: list[Unusual]

    def copy(self, name: str, dest: Path) -> Path:
        """Copy a file or folder of the inputs into a case's folder."""
        source = self.folder / name
        (shutil.copytree if source.is_dir() else shutil.copy2)(source, dest)
        return dest

    def clip(self, rng: random.Random) -> Path:
        """Return one of the ordinary video files."""
        return rng.choice(sorted(path for path in (self.folder / "videos").iterdir() if path.is_file()))


def make_inputs(folder: Path) -> None:
    """Make everything; called in a child, because it computes."""
    make_videos(folder / "videos")
    unusual = make_unusual(folder / "unusual")
    make_datasets(folder)
    make_models(folder)
    for argv in run_commands(folder):
        command_line(argv)
    rows = [[entry.name.decode("latin-1"), entry.num_frames] for entry in unusual]
    (folder / "unusual.json").write_text(json.dumps(rows))


def load_inputs(folder: Path) -> Inputs:
    """Return the inputs that `make_inputs` made."""
    rows = json.loads((folder / "unusual.json").read_text())
    return Inputs(folder, [Unusual(name.encode("latin-1"), count) for name, count in rows])
