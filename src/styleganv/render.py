"""Pictures and clips out: mp4, gif, webp, PNG, contact sheets, the content/motion grid, training curves.

Shapes: T frames, H height, W width; frames are uint8 RGB `[H, W, 3]` in 0..255. R rows and C columns of
pictures, N videos. Nothing here knows where frames come from.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

import av
import av.filter
import numpy as np
from av.video.reformatter import Colorspace, VideoReformatter
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from styleganv.errors import StyleganvError
from styleganv.files import written_whole

Frame = NDArray[np.uint8]

#: Shortest time a browser shows a gif's frame for: 2/100 s. It slows anything faster down to 1/10 s.
GIF_FPS = 50
#: x264's effort: half of its default's work, for files no larger at half a decibel less.
PRESET = "veryfast"


def write_video(path: Path | str, frames: Iterable[Frame], fps: float, *, quality: int = 18) -> None:
    """Encode frames while they arrive, so that memory does not grow with their number.

    Args:
        path: its suffix chooses the format. `.mp4`: H.264 that plays in every browser, odd sizes repeat their
            last row or column. `.gif`: a palette of its own for every frame; above 50 fps frames are dropped
            to keep the speed. `.webp`: animated; the library holds the compressed frames until the end.
        fps: frames a second, kept to 1e-4 on average (gif counts in 1/100 s, webp in 1/1000 s).
        quality: constant rate factor of mp4, 0 (best) to 51; webp takes 100 − `quality`, gif ignores it.

    Raises:
        StyleganvError: for an unknown suffix, no frames, an fps or a quality out of range, a full disk.
        ValueError: if a frame is not uint8 `[H, W, 3]` of the first one's size.
    """
    path = Path(path)
    check_video(path, fps, quality)
    frames = iter(frames)
    first = next(frames, None)
    if first is None:
        raise StyleganvError(f"{path} was not written because there are no frames: ask for a longer video.")
    rate = Fraction(fps).limit_denominator(10_000)
    with written_whole(path) as temporary:
        _writers()[path.suffix.lower()](temporary, _video_frames(chain([first], frames), rate), rate, quality)


def check_video(path: Path | str, fps: float, quality: int = 18) -> None:
    """What `write_video` would refuse before it has seen a frame, for those whose frames take long to make.

    Raises:
        StyleganvError: for an unknown suffix, or an fps or a quality out of range.
    """
    path = Path(path)
    if path.suffix.lower() not in _writers():
        raise StyleganvError(f"{path} cannot be written as a video: end its name with {', '.join(_writers())}.")
    if not 0.01 <= fps <= 1000:
        raise StyleganvError(f"{path} cannot have {fps:g} frames a second: choose 0.01 to 1000.")
    if not 0 <= quality <= 51:
        raise StyleganvError(f"{path} cannot have quality {quality}: choose 0 (best) to 51 (smallest).")


def _writers() -> dict[str, Callable[[Path, Iterator[av.VideoFrame], Fraction, int], None]]:
    return {".mp4": _write_mp4, ".gif": _write_gif, ".webp": _write_webp}


def _video_frames(frames: Iterable[Frame], rate: Fraction) -> Iterator[av.VideoFrame]:
    shape: tuple[int, ...] | None = None
    for index, frame in enumerate(frames):
        shape = shape or frame.shape
        if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape != (*shape[:2], 3):
            raise ValueError(f"frames must be uint8 [H, W, 3], all of one size, got {frame.dtype} {frame.shape}")
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
        picture.pts, picture.time_base = index, 1 / rate
        yield picture


def _write_mp4(path: Path, frames: Iterator[av.VideoFrame], rate: Fraction, quality: int) -> None:
    first = next(frames)
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=rate, options={"crf": str(quality), "preset": PRESET})
        stream.width, stream.height = first.width + first.width % 2, first.height + first.height % 2
        stream.pix_fmt = "yuv420p"
        # Said outright, since players guess the matrix of untagged video by its size.
        context = stream.codec_context
        context.colorspace, context.color_primaries, context.color_trc, context.color_range = 1, 1, 1, 1
        to_yuv = VideoReformatter()  # one for all: each frame would start threads for its own
        for frame in chain([first], frames):
            even = to_yuv.reformat(
                _padded_to_even(frame), threads=1, format="yuv420p", dst_colorspace=Colorspace.ITU709
            )
            container.mux(stream.encode(even))
        container.mux(stream.encode(None))


def _padded_to_even(frame: av.VideoFrame) -> av.VideoFrame:
    if frame.width % 2 == 0 and frame.height % 2 == 0:
        return frame
    pixels: Any = np.pad(frame.to_ndarray(), ((0, frame.height % 2), (0, frame.width % 2), (0, 0)), mode="edge")
    padded = av.VideoFrame.from_ndarray(pixels, format="rgb24")
    padded.pts, padded.time_base = frame.pts, frame.time_base
    return padded


def _write_gif(path: Path, frames: Iterator[av.VideoFrame], rate: Fraction, quality: int) -> None:
    first = next(frames)
    graph = av.filter.Graph()
    source = graph.add_buffer(width=first.width, height=first.height, format=first.format, time_base=1 / rate)
    last = source
    if rate > GIF_FPS:
        thinned = graph.add("fps", str(GIF_FPS))
        last.link_to(thinned)
        last = thinned
    split, palette = graph.add("split"), graph.add("palettegen", "stats_mode=single:reserve_transparent=0")
    use, sink = graph.add("paletteuse", "new=1:dither=sierra2_4a"), graph.add("buffersink")
    last.link_to(split)
    split.link_to(use, 0, 0)
    split.link_to(palette, 1, 0)
    palette.link_to(use, 0, 1)
    use.link_to(sink)
    graph.configure()
    with av.open(str(path), "w", format="gif") as container:
        stream = container.add_stream("gif", rate=min(rate, Fraction(GIF_FPS)))
        stream.width, stream.height, stream.pix_fmt = first.width, first.height, "pal8"
        for frame in chain([first], frames, [None]):
            source.push(frame)
            for ready in _pulled(sink):
                container.mux(stream.encode(ready))
        container.mux(stream.encode(None))


def _pulled(sink: Any) -> Iterator[av.VideoFrame]:
    """The frames that a filter graph has ready; none is left when it asks for more, or at its end."""
    while True:
        try:
            yield sink.pull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return


def _write_webp(path: Path, frames: Iterator[av.VideoFrame], rate: Fraction, quality: int) -> None:
    first = next(frames)
    with av.open(str(path), "w", format="webp", options={"loop": "0"}) as container:
        stream = container.add_stream("libwebp_anim", rate=rate, options={"quality": str(100 - quality)})
        stream.width, stream.height, stream.pix_fmt = first.width, first.height, "bgra"
        for frame in chain([first], frames):
            container.mux(stream.encode(frame.reformat(format="bgra")))
        container.mux(stream.encode(None))


def write_frames(folder: Path | str, frames: Iterable[Frame], start_index: int = 0) -> None:
    """Write `000000.png`, … counted from `start_index`; an earlier folder of frames is replaced whole.

    Raises:
        StyleganvError: if there are no frames, or the folder holds anything else or cannot be written.
    """
    folder = Path(folder)
    if folder.exists() and not (folder.is_dir() and all(map(_is_frame, folder.iterdir()))):
        raise StyleganvError(f"{folder} holds more than numbered PNG frames: choose a new folder for the frames.")
    with written_whole(folder) as temporary:
        temporary.mkdir()
        count = 0
        for frame in frames:
            Image.fromarray(frame).save(temporary / f"{start_index + count:06d}.png")
            count += 1
        if count == 0:
            raise StyleganvError(f"{folder} was not written because there are no frames: ask for a longer video.")


def _is_frame(path: Path) -> bool:
    return path.suffix == ".png" and path.stem.isdecimal()


def write_image(path: Path | str, image: Frame) -> None:
    """Write one uint8 `[H, W, 3]` picture as PNG."""
    with written_whole(path) as temporary:
        Image.fromarray(image).save(temporary, format="PNG")


def tile(images: NDArray[np.uint8], *, gap: int = 2, background: int = 255, scale: int = 1) -> Frame:
    """Lay `[R, C, H, W, 3]` out as one picture.

    Args:
        gap: pixels between neighbours.
        background: grey value of the gaps, 0..255.
        scale: each pixel becomes a square of this many pixels a side, so that small pictures can be seen.

    Returns:
        `[R (scale H + gap) − gap, C (scale W + gap) − gap, 3]`.
    """
    images = np.asarray(images).repeat(scale, axis=2).repeat(scale, axis=3)
    rows, columns, height, width, _ = images.shape
    padded = np.full((rows, columns, height + gap, width + gap, 3), background, np.uint8)
    padded[:, :, :height, :width] = images
    sheet = padded.transpose(0, 2, 1, 3, 4).reshape(rows * (height + gap), columns * (width + gap), 3)
    return np.ascontiguousarray(sheet[: len(sheet) - gap, : sheet.shape[1] - gap])


def tile_videos(videos: NDArray[np.uint8], *, gap: int = 2, background: int = 255, scale: int = 1) -> Iterator[Frame]:
    """`[R, C, T, H, W, 3]` as the T frames of one video; see `tile`."""
    for t in range(videos.shape[2]):
        yield tile(videos[:, :, t], gap=gap, background=background, scale=scale)


def contact_sheet(videos: NDArray[np.uint8], columns: int = 8, *, gap: int = 2, scale: int = 1) -> Frame:
    """One row for each of `[N, T, H, W, 3]`, its columns evenly spaced frames from the first to the last."""
    return tile(videos[:, _evenly_spaced(videos.shape[1], columns)], gap=gap, scale=scale)


def _evenly_spaced(total: int, count: int) -> NDArray[np.intp]:
    return np.linspace(0, total - 1, min(count, total)).round().astype(np.intp)


def content_motion_grid(frames: NDArray[np.uint8], *, moments: int = 4) -> Frame:
    """A still picture that shows content and motion apart: one content a column, one motion a row.

    Args:
        frames: `[M, N, T, H, W, 3]`, M motions of N contents.
        moments: each cell is a film strip of so many evenly spaced frames from the first to the last.

    Returns:
        The labelled picture, frames below 64 pixels enlarged and above 96 reduced.
    """
    motions, contents, total = frames.shape[:3]
    chosen = frames[:, :, _evenly_spaced(total, moments)]
    return labelled_sheet(
        np.stack([[film_strip(cell) for cell in row] for row in chosen]),
        rows=[f"motion {row + 1}" for row in range(motions)],
        columns=[f"content {column + 1}" for column in range(contents)],
        note="Time runs to the right inside each strip.",
    )


def film_strip(frames: NDArray[np.uint8], count: int | None = None) -> Frame:
    """`[T, H, W, 3]` beside each other, or `count` evenly spaced ones, at a size that shows well on a sheet."""
    if count is not None:
        frames = frames[_evenly_spaced(len(frames), count)]
    return tile(_readable(frames)[None], gap=1)


def labelled_sheet(cells: NDArray[np.uint8], *, rows: Sequence[str], columns: Sequence[str], note: str = "") -> Frame:
    """`[R, C, H, W, 3]` as one picture with a name beside each row and above each column, and a note above all."""
    font = ImageFont.load_default(size=15)
    gap, top = 10, 52
    left = 20 + max(84 - 20, *(math.ceil(font.getlength(row)) for row in rows))
    sheet = tile(cells, gap=gap)
    width = max(left + sheet.shape[1] + gap, left + math.ceil(font.getlength(note)) + gap)
    picture = Image.new("RGB", (width, top + sheet.shape[0] + gap), "white")
    picture.paste(Image.fromarray(sheet), (left, top))
    draw = ImageDraw.Draw(picture)
    draw.text((left, 6), note, fill=(110, 110, 110), font=font)
    for column, name in enumerate(columns):
        x = left + column * (cells.shape[3] + gap) + cells.shape[3] // 2
        draw.text((x, top - 6), name, fill="black", font=font, anchor="mb")
    for row, name in enumerate(rows):
        y = top + row * (cells.shape[2] + gap) + cells.shape[2] // 2
        draw.text((left - 8, y), name, fill="black", font=font, anchor="rm")
    return np.asarray(picture)


def _readable(images: NDArray[np.uint8], smallest: int = 64, largest: int = 96) -> NDArray[np.uint8]:
    """`[T, H, W, 3]` brought to a height that shows well on a sheet; small pixels stay squares."""
    height, width = images.shape[1:3]
    if height > largest:
        size = (max(1, round(width * largest / height)), largest)
        return np.stack([np.asarray(Image.fromarray(i).resize(size, Image.Resampling.LANCZOS)) for i in images])
    scale = -(-smallest // height)
    return images.repeat(scale, axis=1).repeat(scale, axis=2)


#: Of every kind of model, those that its log has are drawn: label and colour.
LOSSES = {
    "loss_g": ("generator", "C0"),
    "loss_d": ("discriminator", "C1"),
    "loss_vqvae": ("VQ-VAE", "C0"),
    "loss_gpt": ("transformer, nats a code", "C1"),
}


def plot_curves(path: Path | str, records: Sequence[Mapping[str, Any]]) -> None:
    """Draw training curves as PNG: losses, logits, augmentation with the R1 penalty, evaluations, over clips seen.

    Args:
        records: lines of the log in order; `clips_seen` and any of `LOSSES`, `logits_real`, `logits_fake`,
            `augment_p`, `r1`, `frechet_efficientnet`, `frechet_efficientnet_floor`. Missing and
            non-finite values are left out.

    Raises:
        StyleganvError: if `path` cannot be written.
    """
    evaluated = any("frechet_efficientnet" in record for record in records)
    figure = Figure(figsize=(13 + 4.5 * evaluated, 3.6), layout="constrained")
    losses, logits, augment, *more = figure.subplots(1, 3 + evaluated)
    _curves(losses, records, LOSSES, "losses")
    _curves(logits, records, {"logits_real": ("real", "C2"), "logits_fake": ("generated", "C3")}, "logits")
    penalty = augment.twinx()
    _curves(augment, records, {"augment_p": ("augmentation p (left)", "C4")}, "augmentation and R1")
    _curves(penalty, records, {"r1": ("R1 penalty (right)", "C5")}, "")
    augment.set_ylim(bottom=0)
    penalty.set_ylim(bottom=0)
    for axes in more:
        names = {"frechet_efficientnet": ("generated", "C0"), "frechet_efficientnet_floor": ("other real videos", "C7")}
        _curves(axes, records, names, "distance from real videos")
        axes.set_ylim(bottom=0)
    for axes, beside in ((losses, None), (logits, None), (augment, penalty), *((axes, None) for axes in more)):
        axes.set_xlabel("clips seen")
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(beside is not None)
        lines = axes.get_lines() + (beside.get_lines() if beside else [])
        named = [line for line in lines if not line.get_label().startswith("_")]
        if named:
            (beside or axes).legend(handles=named, framealpha=0.8, edgecolor="none", fontsize="small")
    with written_whole(path) as temporary:
        FigureCanvasAgg(figure).print_figure(temporary, format="png", dpi=110)


def _curves(axes: Any, records: Sequence[Mapping[str, Any]], names: Mapping[str, tuple[str, str]], title: str) -> None:
    """One line for each key: many noisy points turn pale behind their running mean."""
    axes.set_title(title)
    for key, (label, colour) in names.items():
        points = [(r["clips_seen"], r[key]) for r in records if r.get(key) is not None and np.isfinite(r[key])]
        if not points:
            continue
        x, y = np.array(points, dtype=np.float64).T
        window = len(x) // 50
        if window > 1:
            axes.plot(x, y, color=colour, alpha=0.25, linewidth=0.8)
            half = window // 2
            y = np.convolve(np.pad(y, (half, window - 1 - half), "edge"), np.full(window, 1 / window), "valid")
        axes.plot(x, y, color=colour, label=label, linewidth=1.5, marker="o" if len(x) == 1 else None)
