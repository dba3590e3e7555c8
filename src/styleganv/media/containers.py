"""Decoder of video files: frames as a player shows them, by FFmpeg's filters.

Times are in seconds; the first frame is at 0.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from itertools import chain
from typing import IO, Any

import av
import av.filter
import numpy as np
from av.sidedata.sidedata import Type
from av.stream import Disposition
from av.video.reformatter import VideoReformatter
from PIL import Image

from styleganv.errors import StyleganvError
from styleganv.media.decoding import (
    DECODING_ERRORS,
    MAX_STEP_SECONDS,
    Color,
    DamagedVideo,
    DecodedFrame,
    Timing,
    Treatment,
    composite,
    decoding_errors,
    measure_timing,
)
from styleganv.media.encoders import pull_frames
from styleganv.media.files import MAX_PIXELS, MediaFile, check_pixels

# Codes of ITU-T H.273.
_UNSPECIFIED, _IPT_C2 = 2, 15
_PQ, _HLG = 16, 18
#: Players take video that states no color matrix as BT.709 from this height on, and as BT.601 below.
_HD_HEIGHT = 720
#: Formats with an index, whose timestamps never start again.
_INDEXED = frozenset({"mov", "matroska"})
#: What is decoded before a start: filters look at the frames around, and some streams recover over a second.
_LEAD_SECONDS = 2.0
#: Clock of the filter graphs.
_TICK = Fraction(1, 1_000_000)


def read_timing(file: MediaFile) -> Timing:
    """Return the timing of a video file from its packets; nothing is decoded."""
    times: list[float] = []
    with _open_container(file) as (container, stream, _):
        last, shift = None, 0.0
        try:
            for packet in container.demux(stream):
                if packet.dts is not None and not packet.is_discard:
                    time = float(packet.dts * packet.time_base)
                    if last is not None and not 0 <= time - last < MAX_STEP_SECONDS:
                        shift += last - time  # timestamps that start again
                    last = time
                    times.append(shift + float((packet.dts if packet.pts is None else packet.pts) * packet.time_base))
        except av.FFmpegError:
            pass  # reported by the decoder
        stated = [float(rate) for rate in (stream.average_rate, stream.guessed_rate) if rate]
    return measure_timing(times, stated)


def decode_video(file: MediaFile, background: Color, start: float = 0.0) -> Iterator[DecodedFrame]:
    """Decode a video file: upright, progressive, 8-bit RGB of standard dynamic range, square pixels.

    Args:
        start: time before which frames may be left out, which is faster where the file has an index.

    Raises:
        DamagedVideo: after the frames before the first one that is damaged or missing.
        StyleganvError: if the file cannot be read, or no filter can convert it.
    """
    if start > _LEAD_SECONDS and (origin := _first_time(file)) is not None:
        frames = _shown_frames(file, background, (origin, start - _LEAD_SECONDS))
        try:
            first = next(frames, None)
        except DamagedVideo:
            first = None
        if first is not None and first.time <= start:
            yield first
            yield from frames
            return
    yield from _shown_frames(file, background)


def _shown_frames(
    file: MediaFile, background: Color, skip: tuple[float, float] | None = None
) -> Iterator[DecodedFrame]:
    """Decode a video file, with `skip` from the last key frame on that precedes some time.

    Args:
        skip: timestamp of the first frame, and that time, which counts from it.
    """
    damage: DamagedVideo | None = None
    origin = None if skip is None else skip[0]
    with _open_container(file) as (container, stream, opened):
        if skip is not None:
            with suppress(av.FFmpegError):  # decodes from the start of the file
                container.seek(round(sum(skip) / float(stream.time_base)), stream=stream)
        display = _Display(stream.sample_aspect_ratio or Fraction(1), file, background)
        try:
            for frame in _intact_frames(container, stream, opened, file, origin):
                yield from display.show(frame)
        except DamagedVideo as error:
            damage = error
        yield from display.flush()
    if damage is not None:
        raise damage


def decode_near(file: MediaFile, times: Iterable[float], background: Color) -> Iterator[DecodedFrame]:
    """Yield the frame at about each time, or the last one before the end; as `decode_video`, but from key frames on.

    Raises:
        StyleganvError: if one cannot be read.
    """
    with _open_container(file) as (container, stream, _):
        start = float((stream.start_time or 0) * stream.time_base)
        step = 1 / float(stream.average_rate or stream.guessed_rate or 25)
        for time in times:
            with suppress(av.FFmpegError):  # raw streams cannot seek; the next frames do
                container.seek(round((start + time) / float(stream.time_base)), stream=stream)
            found: av.VideoFrame | None = None
            for frame in _decode(container, stream):
                found = frame
                if frame.time is None or frame.time - start >= time - step / 2:
                    break
            if found is None:
                raise ValueError("no frame")
            found.time_base, found.pts, found.duration = _TICK, round(time / _TICK), round(step / _TICK)
            display = _Display(stream.sample_aspect_ratio or Fraction(1), file, background)
            yield next(chain(display.show(found), display.flush()))


@contextmanager
def _open_container(file: MediaFile) -> Iterator[tuple[Any, Any, IO[bytes]]]:
    """Open a PyAV container, its main video stream, and the file below.

    FFmpeg reads from a Python file, because a path may look like a URL to it, and may open no other file or URL, which
    playlists name.
    """
    limits = {"max_pixels": str(MAX_PIXELS)}
    with (
        decoding_errors(file, "a video"),
        file.open() as opened,
        av.open(opened, "r", options={"protocol_whitelist": "none", **limits}, buffer_size=2**18) as container,
    ):
        stream: Any = container.streams.best("video")
        if stream is None or stream.codec_context is None or stream.disposition & Disposition.attached_pic:
            raise ValueError("no video stream with a known codec")
        check_pixels(file, stream.width, stream.height)
        stream.codec_context.options = limits
        yield container, stream, opened


def _first_time(file: MediaFile) -> float | None:
    """Return the timestamp of the first frame of a file with an index, from which its times count; else None."""
    with _open_container(file) as (container, stream, _):
        if _INDEXED.isdisjoint(container.format.name.split(",")):
            return None
        with suppress(*DECODING_ERRORS):  # reported by the decoder
            return next((frame.time for frame in _decode(container, stream) if not frame.is_corrupt), None)
    return None


def _intact_frames(
    container: Any, stream: Any, opened: IO[bytes], file: MediaFile, origin: float | None = None
) -> Iterator[av.VideoFrame]:
    """Yield frames up to the first damage, with their times and durations in `_TICK`.

    Args:
        origin: timestamp from which times count; None: that of the first frame.

    Raises:
        DamagedVideo: if there are more, or should be.
    """
    step = 1 / float(stream.average_rate or stream.guessed_rate or 25)
    count, end, is_damaged = 0, 0.0, False
    last: av.VideoFrame | None = None
    shift = 0.0
    try:
        for frame in _decode(container, stream):
            if last is None and (frame.is_corrupt or (origin is not None and not frame.key_frame)):
                continue  # recordings often start between key frames
            if frame.is_corrupt:
                raise ValueError("damaged frame")
            time = (count * step if frame.time is None else float(frame.time)) + shift
            if last is None:
                shift = -time if origin is None else -origin
                time = max(0.0, time + shift)
                count = round(time / step)
            else:
                if not -1 < time - last.time < MAX_STEP_SECONDS:  # timestamps that start again
                    shift, time = shift + end - time, end
                time = max(time, last.time)
                last.duration = round((time - last.time) / _TICK)
                yield last
            duration = float((frame.duration or 0) * (frame.time_base or 0)) or step
            frame.time_base, frame.pts = _TICK, round(time / _TICK)
            count, end, last = count + 1, time + min(duration, MAX_STEP_SECONDS), frame
    except DECODING_ERRORS:
        is_damaged = True
    stated = _stated_seconds(container, stream)
    is_damaged = is_damaged or _is_cut(opened)
    if stated is not None and "matroska" not in container.format.name:
        is_damaged = is_damaged or end < 0.98 * stated - 2 * step
    elif stated is not None and not is_damaged and len(container.streams) == 1:
        end = max(end, min(stated, end + MAX_STEP_SECONDS))  # only the file states how long the last frame is shown
    if last is not None:
        last.duration = round((end - last.time) / _TICK)
        yield last
    if is_damaged or last is None:
        expected = stream.frames or (round(stated / step) if stated else None)
        raise DamagedVideo(f"{file} is damaged" if count else f"Cannot read {file} as a video", count, expected)


def _decode(container: Any, stream: Any) -> Iterator[av.VideoFrame]:
    """Decode a stream; VP8 and VP9 with alpha need libvpx, because FFmpeg's own decoders ignore the alpha."""
    name = {"vp8": "libvpx", "vp9": "libvpx-vp9"}.get(stream.codec_context.name)
    if name is None or stream.metadata.get("alpha_mode") != "1":
        yield from container.decode(stream)
        return
    decoder: Any = av.CodecContext.create(name, "r")
    for packet in container.demux(stream):
        yield from decoder.decode(packet if packet.size else None)


def _stated_seconds(container: Any, stream: Any) -> float | None:
    """Return the duration in the header; None where the format only guesses (MPEG) or sound may be longer."""
    if "mpeg" in container.format.name:
        return None
    if container.format.name == "avi" and stream.frames and stream.average_rate:
        return float(stream.frames / stream.average_rate)
    if stream.duration:
        return float(stream.duration * stream.time_base)
    if container.duration and ("matroska" in container.format.name or len(container.streams) == 1):
        return container.duration / av.time_base - float((stream.start_time or 0) * stream.time_base)
    return None


def _is_cut(file: IO[bytes]) -> bool:
    """Return whether a file ends early, for the formats where FFmpeg reads on: Matroska and MPEG transport streams."""
    file.seek(0)
    head = file.read(4096)
    length = file.seek(0, 2)
    for size in (188, 192, 204):  # bytes per packet; each starts with G, after four bytes of time in those of 192
        if head[4 * (size == 192) :: size][:8] == b"G" * 8:
            return length % size > 0
    if not head.startswith(b"\x1a\x45\xdf\xa3"):
        return False
    start = head.find(b"\x18\x53\x80\x67") + 4  # the segment, which holds everything, and its size
    num_bytes = 9 - head[start].bit_length()
    size, unknown = int.from_bytes(head[start : start + num_bytes], "big"), 1 << 7 * num_bytes
    size &= unknown - 1
    return size != unknown - 1 and start + num_bytes + size > length


class _Display:
    """Filter graph from decoded frames to frames as shown, rebuilt when their properties change."""

    def __init__(self, aspect: Fraction, file: MediaFile, background: Color) -> None:
        self._aspect, self._file, self._background = aspect, file, background
        self._key: tuple[Any, ...] | None = None
        self._interlaced = False
        self._treatments: frozenset[Treatment] = frozenset()
        self._to_rgba = VideoReformatter()  # one for all frames: setting it up takes longer than a small frame
        self._source: Any = None
        self._sink: Any = None

    def show(self, frame: av.VideoFrame) -> Iterator[DecodedFrame]:
        """Add a frame, and yield those that are ready."""
        matrix = _display_matrix(frame)
        self._interlaced = self._interlaced or frame.interlaced_frame
        if frame.format.has_palette or any(component.is_alpha for component in frame.format.components):
            frame = self._composite(frame)
        color = (frame.colorspace, frame.color_range, frame.color_trc, frame.color_primaries)
        key = (frame.width, frame.height, frame.format.name, *map(int, color), matrix, self._interlaced)
        if key != self._key:
            yield from self.flush()
            self._configure(frame, matrix)
            self._key = key
        self._source.push(frame)
        yield from self._ready()

    def flush(self) -> Iterator[DecodedFrame]:
        """Yield the frames that are left."""
        if self._key is not None:
            self._source.push(None)
            yield from self._ready()
            self._key = None

    def _ready(self) -> Iterator[DecodedFrame]:
        for frame in pull_frames(self._sink):
            duration = float((frame.duration or 0) * (frame.time_base or 0))
            yield DecodedFrame(frame.time or 0.0, duration, frame.to_ndarray(), self._file, self._treatments)

    def _composite(self, frame: av.VideoFrame) -> av.VideoFrame:
        rgba = self._to_rgba.reformat(frame, format="rgba").to_ndarray()
        pixels, treatments = composite(self._background, Image.fromarray(rgba))
        self._treatments |= treatments
        opaque = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
        opaque.time_base, opaque.pts, opaque.duration = frame.time_base, frame.pts, frame.duration
        opaque.color_trc, opaque.color_primaries = frame.color_trc, frame.color_primaries
        return opaque

    def _configure(self, frame: av.VideoFrame, matrix: tuple[int, ...]) -> None:
        width, height = frame.width, frame.height
        graph: Any = av.filter.Graph()
        graph.threads = 1  # one video per process is decoded
        aspect = float(self._aspect)
        size = (max(width, round(width * aspect)), max(height, round(height / aspect)))
        check_pixels(self._file, *size)
        if frame.colorspace == _IPT_C2:
            raise StyleganvError(
                f"{self._file} uses Dolby Vision profile 5, which FFmpeg cannot convert: convert it to SDR or HDR10."
            )
        scale = f"w={size[0]}:h={size[1]}:flags=bicubic"
        if frame.color_trc in (_PQ, _HLG):
            primaries = "bt2020" if frame.color_primaries == _UNSPECIFIED else "auto"
            scale += f":in_primaries={primaries}:out_primaries=bt709:out_transfer=bt709:intent=perceptual"
            self._treatments |= {"tone-mapped"}
        if frame.colorspace == _UNSPECIFIED and height >= _HD_HEIGHT and not frame.format.is_rgb:
            scale += ":in_color_matrix=bt709"
        filters = [("scale", scale), ("format", "rgb24"), *_orient(matrix, self._file)]
        if self._interlaced and width >= 3 and height >= 4:  # smaller ones are beyond the filter
            filters.insert(0, ("bwdif", f"mode=send_frame:deint={'all' if frame.format.is_rgb else 'interlaced'}"))
            self._treatments |= {"deinterlaced"}
        self._source = last = graph.add(
            "buffer",
            f"video_size={width}x{height}:pix_fmt={frame.format.name}:time_base={_TICK}:pixel_aspect=1/1:"
            f"colorspace={int(frame.colorspace)}:range={int(frame.color_range)}",
        )
        self._sink = graph.add("buffersink")
        for name, arguments in filters:
            node = graph.add(name, arguments)
            last.link_to(node)
            last = node
        last.link_to(self._sink)
        graph.configure()
        self._graph = graph


def _display_matrix(frame: av.VideoFrame) -> tuple[int, ...]:
    """Return a, b, c, d by which a player moves a pixel from (x, y) to (a·x + c·y, b·x + d·y), in 1/65536."""
    side_data: Any = frame.side_data
    found = side_data.get(Type.DISPLAYMATRIX)
    if found is None:
        return 65536, 0, 0, 65536
    matrix = np.frombuffer(bytes(memoryview(found)), np.int32)
    return tuple(matrix[[0, 1, 3, 4]].tolist())


def _orient(matrix: tuple[int, ...], file: MediaFile) -> list[tuple[str, str]]:
    """Return the filters for one of the eight orientations. Raises StyleganvError for any other."""
    a, b, c, d = matrix
    if not any(matrix):
        return []  # players ignore it too
    small = max(abs(a), abs(b), abs(c), abs(d)) / 50  # a degree of rounding
    if max(abs(b), abs(c)) <= small < min(abs(a), abs(d)):
        return [("hflip", "")] * (a < 0) + [("vflip", "")] * (d < 0)
    if max(abs(a), abs(d)) <= small < min(abs(b), abs(c)):
        return [("transpose", "cclock_flip")] + [("hflip", "")] * (c < 0) + [("vflip", "")] * (b < 0)
    raise StyleganvError(f"{file} is rotated by an angle that is not a multiple of 90 degrees: rotate it first.")
