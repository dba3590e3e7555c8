"""Videos are read as a player shows them: shape, orientation, fields, dynamic range, alpha, and time."""

import struct
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from styleganv.errors import StyleganvError
from styleganv.media.decoding import DamagedVideo, Timing, measure_timing
from styleganv.media.sources import find_videos

GROUND, WHITE = 30, 240


def square(x: float, y: int = 12, *, side: int = 8, size: int = 32) -> np.ndarray:
    """Draw a frame with a square whose upper left corner is at (x, y)."""
    frame = np.full((size, size, 3), GROUND, np.uint8)
    frame[y : y + side, round(x) : round(x) + side] = WHITE
    return frame


def center(frame: np.ndarray) -> tuple[float, float]:
    """Return x and y of the middle of what is bright."""
    rows, columns = np.nonzero(frame.max(axis=2) > 128)
    return (columns.min() + columns.max() + 1) / 2, (rows.min() + rows.max() + 1) / 2


def encode(
    path: Path,
    frames: Sequence[np.ndarray],
    *,
    fps: int = 10,
    ticks: Sequence[int] | None = None,
    codec: str = "libx264",
    pixels: str = "yuv420p",
    last: int | None = None,
    prepare: Callable[[av.VideoFrame], None] = lambda frame: None,
    setup: Callable[[av.VideoCodecContext], None] = lambda context: None,
    **options: str,
) -> Path:
    """Write frames at a constant rate, or at `ticks` in 1/100 s, the last of them for `last` ticks."""
    if codec == "libx264":
        options = {"crf": "4", "bf": "0", **options}
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=fps, options=options)
        stream.height, stream.width, stream.pix_fmt = *frames[0].shape[:2], pixels
        base = Fraction(1, 100) if ticks else Fraction(1, fps)
        if ticks:
            stream.codec_context.time_base = base
        setup(stream.codec_context)
        packets = []
        for index, drawn in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(drawn, format="rgba" if drawn.shape[2] == 4 else "rgb24")
            frame = frame.reformat(format=pixels)
            frame.pts, frame.time_base = ticks[index] if ticks else index, base
            prepare(frame)
            packets += stream.encode(frame)
        packets += stream.encode(None)
        if last is not None:
            packets[-1].duration = last
        for packet in packets:
            container.mux(packet)
    return path


def pixels_of(path: Path, **settings) -> list[np.ndarray]:
    return [frame.pixels for frame in find_videos(path)[0].decode(**settings)]


@pytest.mark.parametrize(("aspect", "shape"), [((2, 1), (64, 128)), ((1, 2), (128, 64)), ((16, 15), (64, 68))])
def test_pixels_are_square(tmp_path, aspect, shape):
    def setup(context):
        context.sample_aspect_ratio = Fraction(*aspect)

    path = encode(tmp_path / "a.mp4", [square(16, 16, side=32, size=64)] * 3, setup=setup)
    frame = pixels_of(path)[0]
    rows, columns = np.nonzero(frame.max(axis=2) > 128)
    assert frame.shape[:2] == shape and center(frame) == (shape[1] / 2, shape[0] / 2)
    assert np.ptp(columns) / np.ptp(rows) == pytest.approx(shape[1] / shape[0], rel=0.05)


#: a, b, c, d of the display matrix, and the same turn of an array.
ORIENTATIONS = {
    (1, 0, 0, 1): lambda x: x,
    (-1, 0, 0, 1): lambda x: x[:, ::-1],
    (1, 0, 0, -1): lambda x: x[::-1],
    (-1, 0, 0, -1): lambda x: x[::-1, ::-1],
    (0, 1, -1, 0): lambda x: np.rot90(x, -1),
    (0, -1, 1, 0): lambda x: np.rot90(x),
    (0, 1, 1, 0): lambda x: x.swapaxes(0, 1),
    (0, -1, -1, 0): lambda x: x[::-1, ::-1].swapaxes(0, 1),
}


def turn(path: Path, a: float, b: float, c: float, d: float) -> None:
    """Set the display matrix of an mp4: 16.16 fixed point in version 0 of its track header."""
    content = bytearray(path.read_bytes())
    at = content.index(b"tkhd") + 44
    a, b, c, d = (round(65536 * value) for value in (a, b, c, d))
    content[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(content)


def test_all_eight_orientations(tmp_path):
    frame = np.full((32, 48, 3), GROUND, np.uint8)
    frame[2:10, 2:10] = frame[2:6, 12:16] = WHITE
    path = encode(tmp_path / "a.mp4", [frame] * 3)
    stored = pixels_of(path)[0]
    for matrix, turned in ORIENTATIONS.items():
        turn(path, *matrix)
        assert np.array_equal(pixels_of(path)[0], turned(stored)), matrix
    turn(path, 0.7, 0.7, -0.7, 0.7)
    with pytest.raises(StyleganvError, match=r"a\.mp4 .*angle.*: rotate it"):
        pixels_of(path)


def test_interlaced_video_has_no_comb(tmp_path):
    """Odd rows show the square now, even rows half a frame later, two pixels to the right."""
    fields = [square(1 + 2 * i, 28, size=64) for i in range(24)]
    frames = [np.where(np.arange(64)[:, None, None] % 2, fields[i], fields[i + 1]) for i in range(0, 24, 2)]
    options = {"flags": "+ilme+ildct", "qmin": "1", "b": "4M"}
    path = encode(tmp_path / "a.mpg", frames, fps=25, codec="mpeg2video", **options)
    shown = list(find_videos(path)[0].decode())
    assert len(shown) == 12 and all(frame.treatments == {"deinterlaced"} for frame in shown)
    for frame in shown[2:-2]:
        assert abs(center(frame.pixels[::2])[0] - center(frame.pixels[1::2])[0]) <= 0.5


@pytest.mark.slow  # FFmpeg computes its table of colors for seconds
@pytest.mark.parametrize("transfer", [pytest.param(16, id="PQ"), pytest.param(18, id="HLG", marks=pytest.mark.long)])
def test_hdr_is_tone_mapped(tmp_path, transfer):
    """A ramp stays a ramp up to white, and differs from the codes as they are."""

    def tag(target):
        target.color_trc, target.color_primaries, target.colorspace, target.color_range = transfer, 9, 9, 1

    ramp = np.repeat(np.linspace(0, 255, 64).astype(np.uint8)[None, :, None], 32, 0).repeat(3, 2)
    path = encode(tmp_path / "a.mkv", [ramp] * 3, pixels="yuv420p10le", setup=tag, prepare=tag)
    (frame, *_) = find_videos(path)[0].decode()
    row = frame.pixels[16, ::4, 1].astype(int)
    assert frame.treatments == {"tone-mapped"}
    assert (np.diff(row) > 0).all() and row[0] < 10 and frame.pixels[16, -1].min() > 240
    assert np.abs(row - ramp[16, ::4, 1]).max() > 15 and np.ptp(frame.pixels[16].astype(int), axis=1).max() <= 3


@pytest.mark.parametrize(
    ("name", "codec", "pixels"),
    [("a.webm", "libvpx-vp9", "yuva420p"), ("a.mov", "prores_ks", "yuva444p10le"), ("a.mkv", "ffv1", "bgra")],
)
def test_alpha_of_video_files_is_composited(tmp_path, name, codec, pixels):
    frames = []
    for x in range(4, 8):
        seen = square(x)[..., :1] == WHITE
        frames.append(np.where(seen, 240, (40, 220, 60, 0)).astype(np.uint8))  # green below what is transparent
        frames[-1][..., 3] = 255 * seen[..., 0]
    path = encode(tmp_path / name, frames, codec=codec, pixels=pixels)
    shown = list(find_videos(path)[0].decode(background=(10, 20, 30)))
    assert len(shown) == 4 and all(frame.treatments == {"composited"} for frame in shown)
    assert np.abs(shown[0].pixels[0, 0].astype(int) - (10, 20, 30)).max() <= 1 and center(shown[0].pixels) == (8, 16)
    assert pixels_of(path)[0][0, 0].max() <= 1  # black by default


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".webm"])
@pytest.mark.parametrize("start", [0, 500])
def test_offset_and_long_last_frame(tmp_path, suffix, start):
    frames = [square(1 + i) for i in range(16)]
    ticks = [start + 10 * i for i in range(16)]
    codec = "libvpx" if suffix == ".webm" else "libx264"
    (video,) = find_videos(encode(tmp_path / f"a{suffix}", frames, ticks=ticks, codec=codec, last=300))
    assert video.timing() == Timing(10.0)
    assert len(list(video.frames())) == 16
    moments = [round(center(frame)[0]) - 5 for frame in video.frames(10)]
    assert moments == [*range(16), *[15] * 29]


def test_a_hole_is_named_and_held(tmp_path):
    ticks = [4 * i for i in range(100) if not 150 < 4 * i < 250]
    frames = [square(1 + 54 * tick / 400, 28, size=64) for tick in ticks]
    (video,) = find_videos(encode(tmp_path / "a.mp4", frames, fps=25, ticks=ticks))
    assert video.timing() == Timing(25.0, is_constant=False, gaps=((1.48, pytest.approx(1.04)),))
    moments = [center(frame)[0] for frame in video.frames(10)]
    held = center(frames[37])[0]
    assert moments[:15] == sorted(set(moments[:15])) and moments[15:25] == [held] * 10 and moments[25] > held + 10


def test_uneven_timestamps_give_an_even_speed(tmp_path):
    """25 frames per second for two seconds, then 5."""
    ticks = [4 * i for i in range(50)] + [200 + 20 * i for i in range(10)]
    frames = [square(1 + 54 * tick / 400, 28, size=64) for tick in ticks]
    (video,) = find_videos(encode(tmp_path / "a.mp4", frames, fps=25, ticks=ticks))
    assert video.timing() == Timing(25.0, is_constant=False)
    moments = np.array([center(frame)[0] for frame in video.frames(5)])
    assert np.abs(np.diff(moments)[:-1] - 2.7).max() <= 1


@pytest.mark.parametrize(
    ("times", "fps", "is_constant"),
    [
        (np.arange(60) / 25, 25.0, True),
        (np.round(np.arange(60) / 30, 3), 29.97, True),  # Matroska counts in milliseconds
        (np.arange(60) / 30 + np.random.default_rng(0).uniform(-0.004, 0.004, 60), 29.97, True),  # phones
        (np.cumsum([2, 3] * 30) / 60, 24.0, True),  # film shown for two and three fields in turn
        (np.arange(60) / 25 + 0.04 * (np.arange(60) > 30), 25.0, False),  # a dropped frame
        ([0.0] * 9, 29.97, True),
        ([], 29.97, True),
        (np.arange(9) * 1e-6, 25.0, True),  # beyond what any camera does
    ],
)
def test_frame_rate_from_timestamps(times, fps, is_constant):
    timing = measure_timing(times, [29.97])
    assert (timing.fps, timing.is_constant, timing.gaps) == (pytest.approx(fps, rel=1e-3), is_constant, ())


def cut(path: Path, fraction: float) -> Path:
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * fraction)])
    return path


@pytest.mark.parametrize(
    ("name", "codec", "extent"),
    [
        ("a.mkv", "libx264", r"\d\d of 40 frames"),
        ("a.avi", "mpeg4", r"\d\d of 40 frames"),
        ("a.flv", "flv", r"\d\d of 40 frames"),
        ("a.webm", "libvpx", r"\d\d of 40 frames"),
        ("a.mpg", "mpeg2video", r"\d\d frames"),
        ("a.ts", "libx264", r"\d\d frames"),
        ("a.m2v", "mpeg2video", r"\d\d frames"),
        ("a.gif", "gif", r"\d\d frames"),
        ("a.apng", "apng", r"\d\d of 40 frames"),
    ],
)
def test_damage_is_reported_after_the_readable_frames(tmp_path, name, codec, extent):
    noise = np.random.default_rng(0).integers(0, 24, (40, 64, 64, 1), np.uint8)
    frames = [square(1 + i, 28, size=64) - noise[i] for i in range(40)]
    pixels = {"gif": "rgb8", "apng": "rgb24"}.get(codec, "yuv420p")
    fps = 25 if codec == "mpeg2video" else 10
    options = {"b": "500k"} if codec in ("mpeg4", "flv") else {}
    path = encode(tmp_path / name, frames, codec=codec, pixels=pixels, fps=fps, **options)
    whole = pixels_of(path)
    cut(path, 0.613)
    read = []
    with pytest.raises(DamagedVideo, match=r"is damaged .*can be read\): replace it, or .*--damaged keep") as caught:
        for frame in find_videos(path)[0].decode():
            read.append(frame.pixels)
    assert caught.match(rf"\({extent} can be read\)") and str(len(read)) in caught.value.extent
    assert 10 < len(read) < 36 and all(np.array_equal(a, b) for a, b in zip(read, whole, strict=False))


def test_a_playlist_opens_no_other_file(tmp_path):
    encode(tmp_path / "a.ts", [square(4)] * 4)
    (tmp_path / "b.mp4").write_text("ffconcat version 1.0\nfile a.ts\n")
    with pytest.raises(StyleganvError, match=r"Cannot read .*b\.mp4 as a video"):
        pixels_of(tmp_path / "b.mp4")
