"""Search and decoding: every container, natural order, frame rates, and unreadable files."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from styleganv.errors import StyleganvError
from styleganv.media.decoding import Timing
from styleganv.media.sources import find_videos, natural_key


def numbers(frames):
    """Return the numbers of gray frames."""
    return [round((float(frame.mean()) - 5) / 10) for frame in frames]


def test_natural_order():
    names = ["frame10.png", "Frame2.png", "frame1.png", "a", "1b", "12", "2"]
    assert sorted(names, key=natural_key) == ["1b", "2", "12", "a", "frame1.png", "Frame2.png", "frame10.png"]


@pytest.mark.parametrize("suffix", ["mp4", "mov", "webm", "mkv", "mpg", "avi", "gif", "m4v"])
def test_every_container_gives_its_frames_in_order(tmp_path, write_video, gray_frames, suffix):
    write_video(tmp_path / f"a.{suffix}", gray_frames(14))
    (video,) = find_videos(tmp_path / f"a.{suffix}")
    frames = list(video.frames())
    assert video.name == "a" and video.class_name is None
    assert frames[0].shape == (32, 48, 3) and frames[0].dtype == np.uint8
    # The 8-bit palette of a GIF holds few grays.
    steps = np.diff([frame.mean() for frame in frames])
    assert len(frames) == 14 and (steps >= 0).all()
    assert suffix == "gif" or numbers(frames) == list(range(14))
    assert video.timing().is_constant and video.timing().fps == pytest.approx(25, rel=0.02)


def test_folders_zips_and_nesting_give_the_same_videos(tmp_path, write_video, write_images, gray_frames):
    source = tmp_path / "source"
    write_video(source / "c2" / "deep" / "x.mp4", gray_frames(5))
    write_video(source / "c10" / "y.webm", gray_frames(4))
    write_images(source / "c10" / "frames", gray_frames(12))
    (source / "c10" / "readme.txt").write_text("not a video")
    (source / "c10" / "._y.webm").write_text("left behind by a file manager")
    with zipfile.ZipFile(tmp_path / "source.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for file in source.rglob("*"):
            archive.write(file, file.relative_to(source))
    for root in (source, tmp_path / "source.zip"):
        videos = find_videos(root)
        assert [video.name for video in videos] == ["c2/deep/x", "c10/frames", "c10/y"]
        assert [video.class_name for video in videos] == ["c2", "c10", "c10"]
        assert [numbers(video.frames()) for video in videos] == [[*range(5)], [*range(12)], [*range(4)]]
        timings = [video.timing() for video in videos]
        assert timings[1] is None and [timings[i].fps for i in (0, 2)] == [25, pytest.approx(25, rel=0.02)]


def test_folders_shared_by_all_videos_are_not_a_class(tmp_path, write_video, gray_frames):
    for name in ("all/videos/a/1.mp4", "all/videos/b/1.mp4", "all/videos/b/2.mp4"):
        write_video(tmp_path / name, gray_frames(3))
    videos = find_videos(tmp_path)
    assert [video.class_name for video in videos] == ["a", "b", "b"]
    assert videos[0].name == "all/videos/a/1"


def test_same_stem_gives_different_names(tmp_path, write_video, write_images, gray_frames):
    write_video(tmp_path / "a.mp4", gray_frames(3))
    write_video(tmp_path / "a.mkv", gray_frames(3))
    write_images(tmp_path / "a", gray_frames(3))
    assert [video.name for video in find_videos(tmp_path)] == ["a", "a.mkv", "a.mp4"]


@pytest.mark.parametrize(
    ("fps", "expected"),
    [
        (25, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
        (12.5, [0, 2, 4, 6, 8]),
        (5, [0, 5]),
        (50, [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9]),
    ],
)
def test_resampling_takes_the_nearest_frame(tmp_path, write_video, write_images, gray_frames, fps, expected):
    write_video(tmp_path / "a.mp4", gray_frames(10))
    write_images(tmp_path / "b", gray_frames(10))
    by_file, by_folder = find_videos(tmp_path)
    halfway = int(fps == 50)  # where either frame is nearest
    assert numbers(by_folder.frames(fps, source_fps=25)) == pytest.approx(expected, abs=halfway)
    assert numbers(by_file.frames(fps)) == pytest.approx(expected, abs=halfway)


def test_variable_frame_rate_is_resampled_by_time(tmp_path, write_video, gray_frames):
    ticks = [0, 10, 20, 100, 110]  # hundredths of a second: the third frame stays for 0.8 s
    write_video(tmp_path / "a.mkv", gray_frames(5), fps=10, ticks=ticks)
    (video,) = find_videos(tmp_path / "a.mkv")
    assert numbers(video.frames()) == [0, 1, 2, 3, 4]
    taken = numbers(video.frames(10))
    assert taken == [0, 1, 2, 2, 2, 2, 2, 2, 2, 2, 3, 4]


def test_sixteen_bit_images_are_scaled(tmp_path):
    for index in range(3):
        Image.fromarray(np.full((8, 8), 256 * 100 * index, np.uint16)).save(tmp_path / f"{index}.png")
    assert [frame[0, 0].tolist() for frame in find_videos(tmp_path)[0].frames()] == [
        [0] * 3,
        [100] * 3,
        [200] * 3,
    ]


SKY = (207, 232, 255)


def discs(count: int = 5, size: int = 32) -> list[Image.Image]:
    """Draw moving white discs with soft edges on transparent black; wrong compositing darkens the edges."""
    y, x = np.mgrid[:size, :size]
    frames = []
    for index in range(count):
        frame = np.zeros((size, size, 4), np.uint8)
        cover = np.clip(size / 4 + 0.5 - np.hypot(y - size / 2, x - size / 2 - index), 0, 1)
        frame[..., :3] = 255 * (cover > 0)[..., None]
        frame[..., 3] = np.round(255 * cover)
        frames.append(Image.fromarray(frame))
    return frames


def write_discs(folder: Path, kind: str, duration: int = 40) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    first, *others = discs()
    if kind in ("webp", "gif"):
        options = {"lossless": True} if kind == "webp" else {"disposal": 2}
        first.save(folder / f"a.{kind}", save_all=True, append_images=others, duration=duration, loop=0, **options)
    else:
        (folder / "a").mkdir()
        for index, frame in enumerate(discs()):
            if kind == "palette":
                frame = frame.quantize()
            frame.save(folder / "a" / f"{index}.{'webp' if kind == 'single webp' else 'png'}", lossless=True)


@pytest.mark.parametrize("packed", [False, True], ids=["folder", "zip"])
@pytest.mark.parametrize("kind", ["webp", "gif", "png", "palette", "single webp"])
def test_transparent_frames_show_the_background(tmp_path, kind, packed):
    root = tmp_path / "s"
    write_discs(root, kind)
    if packed:
        with zipfile.ZipFile(tmp_path / "s.zip", "w") as archive:
            for file in root.rglob("*.*"):
                archive.write(file, file.relative_to(root))
        root = tmp_path / "s.zip"
    (video,) = find_videos(root)
    frames = list(video.decode(background=SKY))
    assert video.name == "a" and video.is_video_file == (kind in ("webp", "gif"))
    assert len(frames) == 5 and all("composited" in frame.treatments for frame in frames)
    for frame, disc in zip(frames, discs(), strict=True):
        exact = np.asarray(Image.alpha_composite(Image.new("RGBA", disc.size, SKY), disc).convert("RGB")).astype(int)
        inside = np.isin(np.asarray(disc)[..., 3], (0, 255)) if kind in ("gif", "palette") else ...  # coarse edges
        assert np.abs(frame.pixels - exact)[inside].max() <= 2
        assert frame.pixels.min() >= min(SKY) - 2  # the black stored in transparent pixels is not visible
    assert next(video.frames())[0, 0].max() <= 2  # black by default


@pytest.mark.parametrize("kind", ["webp", "gif", "apng"])
def test_timing_of_animations(tmp_path, kind):
    """Browsers show frames of at most 10 ms for 100 ms; a long last frame does not make the rate vary."""
    first, *others = (disc.convert("RGB") for disc in discs())
    for name, duration in (("even", 40), ("long", [40] * 4 + [400]), ("uneven", [10, 40, 40, 400, 40])):
        options = {"save_all": True, "append_images": others, "duration": duration}
        first.save(tmp_path / f"{name}.{'png' if kind == 'apng' else kind}", **options)
    even, long, uneven = find_videos(tmp_path)
    assert even.timing() == long.timing() == Timing(25.0)
    assert uneven.timing() == Timing(25.0, is_constant=False)
    assert [round(1000 * frame.time) for frame in uneven.decode()] == [0, 100, 140, 180, 580]
    assert [len(list(video.frames(25))) for video in (even, long, uneven)] == [5, 14, 16]


def test_damaged_webp_is_reported(tmp_path):
    write_discs(tmp_path, "webp")
    cut(tmp_path / "a.webp", 0.6)
    with pytest.raises(StyleganvError, match=r"Cannot read .*a\.webp as a video"):
        list(find_videos(tmp_path)[0].frames())


def cut(path: Path, keep: float) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])


@pytest.mark.parametrize(
    ("keep", "says"),
    [(0.1, "Cannot read .*{} as a video"), (0.7, r"{} is damaged \(\d\d of 30 frames can be read\)")],
)
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_truncated_files_are_reported(tmp_path, write_video, suffix, keep, says):
    noise = np.random.default_rng(0).integers(0, 255, (30, 32, 48, 3)).astype(np.uint8)
    cut(write_video(tmp_path / f"broken{suffix}", noise), keep)
    if suffix == ".mkv" and keep == 0.1:
        says = r"{} is damaged \(\d of 30 frames can be read\)"
    with pytest.raises(StyleganvError, match=says.replace("{}", f"broken{suffix}")):
        list(find_videos(tmp_path)[0].frames())


def test_text_with_a_video_suffix_is_reported(tmp_path):
    (tmp_path / "note.mp4").write_text("hello")
    with pytest.raises(StyleganvError, match=r"Cannot read .*note\.mp4 as a video"):
        list(find_videos(tmp_path)[0].frames())


def test_damaged_and_differing_images_are_reported(tmp_path, write_images, gray_frames):
    write_images(tmp_path / "a", gray_frames(4))
    write_images(tmp_path / "b", gray_frames(4))
    cut(tmp_path / "a" / "frame2.png", 0.5)
    Image.new("RGB", (20, 20)).save(tmp_path / "b" / "frame3.png")
    damaged, differing = find_videos(tmp_path)
    with pytest.raises(StyleganvError, match=r"Cannot read .*a/frame2\.png as an image"):
        list(damaged.frames())
    with pytest.raises(StyleganvError, match=r"b/frame3\.png is 20x20 but the frames before it are 48x32"):
        list(differing.frames())


def test_damaged_entries_of_a_zip_are_reported(tmp_path, write_video, write_images, gray_frames):
    write_images(tmp_path / "a", gray_frames(3))
    write_video(tmp_path / "b.mp4", gray_frames(3))
    with zipfile.ZipFile(tmp_path / "s.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("a/frame0.png", "b.mp4"):
            archive.write(tmp_path / name, name)
        offsets = [entry.header_offset + 30 + len(entry.filename) for entry in archive.infolist()]
    data = bytearray((tmp_path / "s.zip").read_bytes())
    for offset in offsets:
        data[offset : offset + 20] = b"\xff" * 20
    (tmp_path / "s.zip").write_bytes(data)
    for video, says in zip(find_videos(tmp_path / "s.zip"), ("as an image", "as a video"), strict=True):
        with pytest.raises(StyleganvError, match=f"Cannot read .*{video.files[0]} {says}"):
            list(video.frames())


@pytest.mark.parametrize("name", ["missing", "empty", "note.txt", "half.zip", "bare.zip"])
def test_sources_without_videos(tmp_path, name):
    (tmp_path / "empty").mkdir()
    (tmp_path / "note.txt").write_text("hello")
    for archive_name in ("half.zip", "bare.zip"):
        with zipfile.ZipFile(tmp_path / archive_name, "w") as archive:
            archive.writestr("note.txt", "hello" * 100)
    cut(tmp_path / "half.zip", 0.5)
    with pytest.raises(StyleganvError, match=name):
        find_videos(tmp_path / name)
