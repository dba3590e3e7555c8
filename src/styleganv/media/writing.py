"""Write videos and images: mp4, gif, webp, PNG.

Shapes: H height, W width; frames are uint8 RGB `[H, W, 3]` in 0..255.
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
from styleganv.files import atomic_write

Frame = NDArray[np.uint8]

#: Shortest time a browser shows a gif's frame for: 2/100 s. It slows anything faster down to 1/10 s.
GIF_FPS = 50
#: x264's effort: half of its default's work, for files no larger at half a decibel less.
PRESET = "veryfast"


def write_video(path: Path | str, frames: Iterable[Frame], fps: float, *, crf: int = 18) -> None:
    """Encode frames while they arrive, so that memory does not grow with their number.

    Args:
        path: its suffix chooses the format. `.mp4`: H.264 that plays in every browser, odd sizes repeat their
            last row or column. `.gif`: a palette of its own for every frame; above 50 fps frames are dropped
            to keep the speed. `.webp`: animated; the library holds the compressed frames until the end.
        fps: frames a second, kept to 1e-4 on average (gif counts in 1/100 s, webp in 1/1000 s).
        crf: constant rate factor of mp4, 0 (lossless) to 51; webp takes a quality of 100 − `crf`, gif ignores it.

    Raises:
        StyleganvError: for an unknown suffix, no frames, an fps or a CRF out of range, a full disk.
        ValueError: if a frame is not uint8 `[H, W, 3]` of the first one's size.
    """
    path = Path(path)
    check_video(path, fps, crf)
    frames = iter(frames)
    first = next(frames, None)
    if first is None:
        raise StyleganvError(f"{path} was not written because there are no frames: ask for a longer video.")
    rate = Fraction(fps).limit_denominator(10_000)
    with atomic_write(path) as tmp_path:
        _writers()[path.suffix.lower()](tmp_path, _video_frames(chain([first], frames), rate), rate, crf)


def check_video(path: Path | str, fps: float, crf: int = 18) -> None:
    """What `write_video` would refuse before it has seen a frame, for those whose frames take long to make.

    Raises:
        StyleganvError: for an unknown suffix, or an fps or a CRF out of range.
    """
    path = Path(path)
    if path.suffix.lower() not in _writers():
        raise StyleganvError(f"{path} cannot be written as a video: end its name with {', '.join(_writers())}.")
    if not 0.01 <= fps <= 1000:
        raise StyleganvError(f"{path} cannot have {fps:g} frames a second: choose 0.01 to 1000.")
    if not 0 <= crf <= 51:
        raise StyleganvError(f"{path} cannot have a CRF of {crf}: choose 0 (lossless) to 51 (worst).")


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


def _write_mp4(path: Path, frames: Iterator[av.VideoFrame], rate: Fraction, crf: int) -> None:
    first = next(frames)
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=rate, options={"crf": str(crf), "preset": PRESET})
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


def _write_gif(path: Path, frames: Iterator[av.VideoFrame], rate: Fraction, crf: int) -> None:
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


def _write_webp(path: Path, frames: Iterator[av.VideoFrame], rate: Fraction, crf: int) -> None:
    first = next(frames)
    with av.open(str(path), "w", format="webp", options={"loop": "0"}) as container:
        stream = container.add_stream("libwebp_anim", rate=rate, options={"quality": str(100 - crf)})
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
    with atomic_write(folder) as tmp_path:
        tmp_path.mkdir()
        count = 0
        for frame in frames:
            Image.fromarray(frame).save(tmp_path / f"{start_index + count:06d}.png")
            count += 1
        if count == 0:
            raise StyleganvError(f"{folder} was not written because there are no frames: ask for a longer video.")


def _is_frame(path: Path) -> bool:
    return path.suffix == ".png" and path.stem.isdecimal()


def write_image(path: Path | str, image: Frame) -> None:
    """Write one uint8 `[H, W, 3]` picture as PNG."""
    with atomic_write(path) as tmp_path:
        Image.fromarray(image).save(tmp_path, format="PNG")
