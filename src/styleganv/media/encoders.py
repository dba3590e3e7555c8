"""Encoders of videos: each writes frames as they arrive to a file, in constant memory.

Shapes: H height, W width. Frames are uint8 RGB `[H, W, 3]` in 0..255.
"""

from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

import av
import av.filter
import numpy as np
from av.video.reformatter import Colorspace, VideoReformatter
from numpy.typing import NDArray

Frame = NDArray[np.uint8]

#: Browsers show a gif frame for at least 2/100 s, and slow anything faster down to 1/10 s.
MAX_GIF_FPS = 50
#: Half the encoding time of x264's default, with files of the same size at half a decibel less.
X264_PRESET = "veryfast"
#: VP9 as fast as H.264, instead of a tenth smaller in five times the time.
VP9_OPTIONS = {"deadline": "realtime", "cpu-used": "8", "row-mt": "1", "b": "0"}
#: Apple as the vendor, and enough bits for errors of at most two levels in 255; the default rate blurs small frames.
PRORES_OPTIONS = {"profile": "4444", "vendor": "apl0", "bits_per_mb": "8000"}
#: Largest CRF of VP9 and of H.264.
MAX_VP9_CRF, MAX_CRF = 63, 51
#: BT.709 in the numbering of the standards; players guess the color matrix of untagged video from its size.
BT709 = 1
#: Code of the limited range of levels, 16..235 in 8 bits.
LIMITED_RANGE = 1


def video_frames(frames: Iterable[Frame], rate: Fraction) -> Iterator[av.VideoFrame]:
    """Wrap arrays as PyAV frames with timestamps."""
    for index, frame in enumerate(frames):
        image = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
        image.pts, image.time_base = index, 1 / rate
        yield image


def write_mp4(path: Path, frames: Iterator[av.VideoFrame], rate: Fraction, crf: int) -> None:
    """Write H.264, which plays in every browser; odd sizes repeat their last row or column."""
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        options = {"crf": str(crf), "preset": X264_PRESET}
        _encode(container, map(_pad_to_even, frames), rate, "libx264", "yuv420p", options)


def write_webm(path: Path, frames: Iterator[av.VideoFrame], rate: Fraction, crf: int) -> None:
    """Write VP9, with `crf` on the scale of H.264; odd sizes as in mp4. AV1 is smaller, but fewer players decode it."""
    quality = {"crf": str(round(crf * MAX_VP9_CRF / MAX_CRF)), "lossless": str(int(crf == 0))}
    with av.open(str(path), "w", format="webm") as container:
        _encode(container, map(_pad_to_even, frames), rate, "libvpx-vp9", "yuv420p", VP9_OPTIONS | quality)


def write_prores(path: Path, frames: Iterator[av.VideoFrame], rate: Fraction, crf: int) -> None:
    """Write ProRes 4444 for video editors: 10 bits, full chroma, every frame a key frame, without alpha."""
    with av.open(str(path), "w", format="mov") as container:
        _encode(container, frames, rate, "prores_ks", "yuv444p10le", PRORES_OPTIONS)


def _encode(
    container: Any,
    frames: Iterator[av.VideoFrame],
    rate: Fraction,
    codec: str,
    pix_fmt: str,
    options: Mapping[str, str],
) -> None:
    """Encode RGB frames as BT.709."""
    first = next(frames)
    stream = container.add_stream(codec, rate=rate, options=dict(options))
    stream.width, stream.height, stream.pix_fmt = first.width, first.height, pix_fmt
    context = stream.codec_context
    context.colorspace = context.color_primaries = context.color_trc = BT709
    context.color_range = LIMITED_RANGE
    to_yuv = VideoReformatter()  # one for all frames: each would start its own threads
    for frame in chain([first], frames):
        yuv = to_yuv.reformat(frame, threads=1, format=pix_fmt, dst_colorspace=Colorspace.ITU709)
        container.mux(stream.encode(yuv))
    container.mux(stream.encode(None))


def _pad_to_even(frame: av.VideoFrame) -> av.VideoFrame:
    if frame.width % 2 == 0 and frame.height % 2 == 0:
        return frame
    pixels: Any = np.pad(frame.to_ndarray(), ((0, frame.height % 2), (0, frame.width % 2), (0, 0)), mode="edge")
    padded = av.VideoFrame.from_ndarray(pixels, format="rgb24")
    padded.pts, padded.time_base = frame.pts, frame.time_base
    return padded


def write_gif(path: Path, frames: Iterator[av.VideoFrame], rate: Fraction, crf: int) -> None:
    """Write one palette per frame; above 50 fps, drop frames to keep the speed. `crf` has no effect."""
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


def write_webp(path: Path, frames: Iterator[av.VideoFrame], rate: Fraction, crf: int) -> None:
    """Write animated WebP of quality 100 − `crf`, 0 without any loss; libwebp holds the frames until the end."""
    first = next(frames)
    with av.open(str(path), "w", format="webp", options={"loop": "0"}) as container:
        stream = container.add_stream(
            "libwebp_anim", rate=rate, options={"quality": str(100 - crf), "lossless": str(int(crf == 0))}
        )
        stream.width, stream.height, stream.pix_fmt = first.width, first.height, "bgra"
        for frame in chain([first], frames):
            container.mux(stream.encode(frame.reformat(format="bgra")))
        container.mux(stream.encode(None))
