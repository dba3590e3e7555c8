"""Writers of videos and images: mp4, gif, webp, PNG.

Shapes: H height, W width. Frames are uint8 RGB `[H, W, 3]` in 0..255.
"""

from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

import av
import av.filter
import numpy as np
from av.video.reformatter import Colorspace, VideoReformatter
from numpy.typing import NDArray
from PIL import Image

from styleganv.errors import StyleganvError
from styleganv.files import atomic_write, check_destination

Frame = NDArray[np.uint8]

#: Files of a folder of frames, as patterns; the names get longer after the millionth frame.
FRAME_FILES = tuple(f"{'[0-9]' * digits}.png" for digits in range(6, 10))
#: Browsers show a gif frame for at least 2/100 s, and slow anything faster down to 1/10 s.
MAX_GIF_FPS = 50
#: Half the encoding time of x264's default, with files of the same size at half a decibel less.
X264_PRESET = "veryfast"


def write_video(
    path: Path | str, frames: Iterable[Frame], fps: float, *, crf: int = 18, overwrite: bool = False
) -> None:
    """Encode frames as they arrive, in constant memory.

    Args:
        path: file to write; the suffix selects the format. `.mp4`: H.264 that plays in every browser; odd sizes repeat
            their last row or column. `.gif`: one palette per frame; above 50 fps, frames are dropped to keep the
            speed. `.webp`: animated; libwebp holds the compressed frames until the end.
        fps: frames per second, accurate to 1e-4 on average (gif counts in 1/100 s, webp in 1/1000 s).
        crf: constant rate factor of mp4, 0 (lossless) to 51; webp uses a quality of 100 − `crf`, gif ignores it.

    Raises:
        StyleganvError: if the suffix is unknown, `fps` or `crf` is out of range, there are no frames, or `path` exists
            or cannot be written.
        ValueError: if a frame is not uint8 `[H, W, 3]` of the first frame's size.
    """
    path = Path(path)
    check_video(path, fps, crf)
    frames = iter(frames)
    first = next(frames, None)
    if first is None:
        raise StyleganvError(f"Cannot write {path} without frames: request a longer video.")
    rate = Fraction(fps).limit_denominator(10_000)
    with atomic_write(path, overwrite=overwrite) as tmp_path:
        _WRITERS[path.suffix.lower()](tmp_path, _video_frames(chain([first], frames), rate), rate, crf)


def check_video(path: Path | str, fps: float, crf: int = 18) -> None:
    """Raise StyleganvError for arguments of `write_video` out of range, before frames that take long to compute."""
    path = Path(path)
    if path.suffix.lower() not in _WRITERS:
        raise StyleganvError(f"Unknown video format of {path}: use one of {', '.join(_WRITERS)}.")
    if not 0.01 <= fps <= 1000:
        raise StyleganvError(f"Frame rate of {path} must be 0.01 to 1000 fps, got {fps:g}: change --fps.")
    if not 0 <= crf <= 51:
        raise StyleganvError(f"CRF of {path} must be 0 (lossless) to 51 (worst), got {crf}: change --crf.")


def _video_frames(frames: Iterable[Frame], rate: Fraction) -> Iterator[av.VideoFrame]:
    """Wrap arrays as PyAV frames with timestamps."""
    shape: tuple[int, ...] | None = None
    for index, frame in enumerate(frames):
        shape = shape or frame.shape
        if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape != (*shape[:2], 3):
            raise ValueError(f"frames must be uint8 [H, W, 3], all of the same size, got {frame.dtype} {frame.shape}")
        image = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
        image.pts, image.time_base = index, 1 / rate
        yield image


def _write_mp4(path: Path, frames: Iterator[av.VideoFrame], rate: Fraction, crf: int) -> None:
    first = next(frames)
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=rate, options={"crf": str(crf), "preset": X264_PRESET})
        stream.width, stream.height = first.width + first.width % 2, first.height + first.height % 2
        stream.pix_fmt = "yuv420p"
        # Players guess the color matrix of untagged video from its size.
        context = stream.codec_context
        context.colorspace, context.color_primaries, context.color_trc, context.color_range = 1, 1, 1, 1
        to_yuv = VideoReformatter()  # one for all frames: each would start its own threads
        for frame in chain([first], frames):
            even = to_yuv.reformat(_pad_to_even(frame), threads=1, format="yuv420p", dst_colorspace=Colorspace.ITU709)
            container.mux(stream.encode(even))
        container.mux(stream.encode(None))


def _pad_to_even(frame: av.VideoFrame) -> av.VideoFrame:
    if frame.width % 2 == 0 and frame.height % 2 == 0:
        return frame
    pixels: Any = np.pad(frame.to_ndarray(), ((0, frame.height % 2), (0, frame.width % 2), (0, 0)), mode="edge")
    padded = av.VideoFrame.from_ndarray(pixels, format="rgb24")
    padded.pts, padded.time_base = frame.pts, frame.time_base
    return padded


def _write_gif(path: Path, frames: Iterator[av.VideoFrame], rate: Fraction, crf: int) -> None:
    first = next(frames)
    graph = av.filter.Graph()
    source = graph.add_buffer(width=first.width, height=first.height, format=first.format, time_base=1 / rate)
    last = source
    if rate > MAX_GIF_FPS:
        thinned = graph.add("fps", str(MAX_GIF_FPS))
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
        stream = container.add_stream("gif", rate=min(rate, Fraction(MAX_GIF_FPS)))
        stream.width, stream.height, stream.pix_fmt = first.width, first.height, "pal8"
        for frame in chain([first], frames, [None]):
            source.push(frame)
            for ready in pull_frames(sink):
                container.mux(stream.encode(ready))
        container.mux(stream.encode(None))


def pull_frames(sink: Any) -> Iterator[av.VideoFrame]:
    """Yield the frames that a filter graph has ready, until it needs more input or ends."""
    while True:
        try:
            yield sink.pull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return


def _write_webp(path: Path, frames: Iterator[av.VideoFrame], rate: Fraction, crf: int) -> None:
    first = next(frames)
    with av.open(str(path), "w", format="webp", options={"loop": "0"}) as container:
        stream = container.add_stream("libwebp_anim", rate=rate, options={"quality": str(100 - crf)})
        stream.width, stream.height, stream.pix_fmt = first.width, first.height, "bgra"
        for frame in chain([first], frames):
            container.mux(stream.encode(frame.reformat(format="bgra")))
        container.mux(stream.encode(None))


_WRITERS: dict[str, Callable[[Path, Iterator[av.VideoFrame], Fraction, int], None]] = {
    ".mp4": _write_mp4,
    ".gif": _write_gif,
    ".webp": _write_webp,
}


def write_frames(folder: Path | str, frames: Iterable[Frame], start_index: int = 0, *, overwrite: bool = False) -> None:
    """Write `000000.png`, … numbered from `start_index`.

    Raises:
        StyleganvError: if there are no frames, or the folder cannot be written, exists, or holds other files.
    """
    check_destination(folder, overwrite=overwrite, contents=FRAME_FILES)
    with atomic_write(folder, overwrite=overwrite, contents=FRAME_FILES) as tmp_path:
        index = None
        for index, frame in enumerate(frames, start_index):
            Image.fromarray(frame).save(tmp_path / f"{index:06d}.png")
        if index is None:
            raise StyleganvError(f"Cannot write {folder} without frames: request a longer video.")


def write_image(path: Path | str, image: Frame, *, overwrite: bool = False) -> None:
    """Write a uint8 `[H, W, 3]` image as PNG."""
    with atomic_write(path, overwrite=overwrite) as tmp_path:
        Image.fromarray(image).save(tmp_path, format="PNG")
