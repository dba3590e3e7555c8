"""Decoding from a start on: the same frames at the same times as from the beginning, without what comes before."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from styleganv.media.decoding import DamagedVideo
from styleganv.media.sources import VideoSource, find_videos

FPS, SECONDS = 25, 12


def write(path: Path, *, codec: str = "libx264", ticks: bool = False, offset: float = 0.0, **options: str) -> Path:
    """Write noise that drifts, at 25 frames per second or, with `ticks`, at uneven times; the first one at `offset`."""
    noise = np.random.default_rng(0).integers(0, 256, (12, 16, 3)).astype(np.uint8).repeat(8, 0).repeat(8, 1)
    uneven = np.random.default_rng(1).integers(2, 7, FPS * SECONDS).cumsum()
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=FPS, options=options)
        stream.height, stream.width, stream.pix_fmt = 96, 128, "yuv420p"
        base = Fraction(1, 100) if ticks else Fraction(1, FPS)
        stream.codec_context.time_base = base
        for index in range(FPS * SECONDS):
            frame = av.VideoFrame.from_ndarray(np.roll(noise, 3 * index, 1), format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = int(uneven[index]) if ticks else index, base
            for packet in stream.encode(frame):
                packet.pts, packet.dts = (time + round(offset / packet.time_base) for time in (packet.pts, packet.dts))
                container.mux(packet)
        for packet in stream.encode(None):
            packet.pts, packet.dts = (time + round(offset / packet.time_base) for time in (packet.pts, packet.dts))
            container.mux(packet)
    return path


def source_of(path: Path) -> VideoSource:
    (source,) = find_videos(path)
    return source


CASES = {
    "b-frames": ("a.mp4", {"g": "40", "bf": "3"}),
    "open-gop": ("a.mkv", {"x264-params": "keyint=50:min-keyint=50:open-gop=1:bframes=3:scenecut=0"}),
    "intra-refresh": ("a.mp4", {"x264-params": "keyint=50:intra-refresh=1:bframes=0"}),
    "uneven": ("a.mp4", {"ticks": True, "g": "30"}),
    "vp9": ("a.webm", {"codec": "libvpx-vp9", "g": "30", "deadline": "realtime", "cpu-used": "8"}),
    "later": ("a.mkv", {"g": "30", "offset": 5.0}),
    "one key frame": ("a.mp4", {"g": "1000"}),
    "no index": ("a.ts", {"g": "30"}),
}


@pytest.fixture(scope="module", params=CASES)
def video(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> VideoSource:
    name, options = CASES[request.param]
    return source_of(write(tmp_path_factory.mktemp("start") / name, **options))


@pytest.mark.parametrize("fps", [None, 10.0, 30.0])
def test_frames_are_those_of_the_whole_video(video: VideoSource, fps: float | None) -> None:
    whole = list(video.decode(fps))
    for start in (2.5, 7.93, 11.9, 30.0):
        frames = list(video.decode(fps, start=start))
        assert frames[0].time <= max(0, start - 1)
        for frame, expected in zip(frames, whole[-len(frames) :], strict=True):
            assert (frame.time, frame.duration) == pytest.approx((expected.time, expected.duration), abs=1e-6)
            if frame.time >= start:
                assert np.array_equal(frame.pixels, expected.pixels)


def test_frames_before_are_not_decoded(tmp_path: Path) -> None:
    source = source_of(write(tmp_path / "a.mp4", g="25"))
    frames = list(source.decode(start=9.0))
    assert 6 < frames[0].time <= 7 and frames[-1].time == pytest.approx(SECONDS - 1 / FPS)


def test_damage_before_the_start_does_not_matter(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", g="25")
    content = bytearray(path.read_bytes())
    middle = len(content) // 3
    content[middle : middle + 3000] = bytes(3000)
    path.write_bytes(content)
    source = source_of(path)
    with pytest.raises(DamagedVideo):
        list(source.decode())
    assert len([frame for frame in source.decode(start=9.0) if frame.time >= 9]) == 3 * FPS
