"""Written images and videos, read back with PyAV and Pillow."""

import itertools
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from styleganv.errors import StyleganvError
from styleganv.media import sheets, writing
from styleganv.training import curves


def moving_square(num_frames: int = 12, height: int = 32, width: int = 48) -> np.ndarray:
    """Return a red square that moves right over a green gradient, `[T, H, W, 3]`."""
    frames = np.zeros((num_frames, height, width, 3), np.uint8)
    frames[..., 1] = np.linspace(40, 200, width).astype(np.uint8)
    for t in range(num_frames):
        frames[t, 8:24, 2 * t : 2 * t + 16] = (220, 30, 60)
    return frames


def read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return all frames `[T, H, W, 3]` and their times in seconds."""
    if path.suffix == ".webp":
        frames, times = [], [0.0]
        with Image.open(path) as image:
            for index in range(image.n_frames):
                image.seek(index)
                frames.append(np.asarray(image.convert("RGB")))
                times.append(times[-1] + image.info["duration"] / 1000)
        return np.stack(frames), np.array(times[:-1])
    with av.open(str(path)) as container:
        decoded = list(container.decode(video=0))
    return np.stack([f.to_ndarray(format="rgb24") for f in decoded]), np.array([f.time for f in decoded])


FILES = [each.suffix for each in writing.FORMATS.values() if each.suffix]


@pytest.mark.parametrize(
    "suffix, tolerance", [(".mp4", 4.0), (".webm", 4.0), (".mov", 0.1), (".gif", 0.5), (".webp", 5.0)]
)
def test_written_frames_can_be_read_back(tmp_path: Path, suffix: str, tolerance: float) -> None:
    video = moving_square()
    writing.write_video(tmp_path / f"new/clip{suffix}", video, 25)
    frames, times = read(tmp_path / f"new/clip{suffix}")
    assert frames.shape == video.shape
    for shown, drawn in zip(frames.astype(float), video, strict=True):
        assert np.abs(shown - drawn).mean() < tolerance
    assert np.allclose(times, np.arange(len(video)) / 25, atol=1e-3)
    assert list(tmp_path.glob("new/*")) == [tmp_path / f"new/clip{suffix}"]


@pytest.mark.parametrize("fps", [7, 12.5, 23.976, 25, 29.97, 30000 / 1001, 50, 120])
def test_mp4_keeps_fractional_frame_rates(tmp_path: Path, fps: float) -> None:
    writing.write_video(tmp_path / "a.mp4", moving_square(11), fps)
    frames, times = read(tmp_path / "a.mp4")
    assert len(frames) == 11
    assert 10 / (times[-1] - times[0]) == pytest.approx(fps, abs=1e-4)
    with av.open(str(tmp_path / "a.mp4")) as container:
        assert float(container.streams.video[0].average_rate) == pytest.approx(fps, abs=1e-4)


@pytest.mark.parametrize("suffix, tick", [(".gif", 0.01), (".webp", 0.001), (".webm", 0.001), (".mov", 1e-6)])
def test_times_do_not_drift_from_frame_rates_between_ticks(tmp_path: Path, suffix: str, tick: float) -> None:
    writing.write_video(tmp_path / f"a{suffix}", moving_square(100, 16, 16), 29.97)
    frames, times = read(tmp_path / f"a{suffix}")
    assert np.abs(times - np.arange(len(frames)) / 29.97).max() <= tick


def test_a_gif_above_50_fps_drops_frames_to_keep_its_speed(tmp_path: Path) -> None:
    writing.write_video(tmp_path / "a.gif", moving_square(12, 16, 48), 100)
    frames, times = read(tmp_path / "a.gif")
    assert len(frames) == pytest.approx(6, abs=1)
    assert np.allclose(np.diff(times), 0.02)


def test_mp4_suits_browsers_and_repeats_the_edge_of_odd_sizes(tmp_path: Path) -> None:
    video = moving_square(4, 31, 45)
    writing.write_video(tmp_path / "a.mp4", video, 25)
    frames, _ = read(tmp_path / "a.mp4")
    assert frames.shape == (4, 32, 46, 3)
    padded = np.pad(video, ((0, 0), (0, 1), (0, 1), (0, 0)), mode="edge").astype(float)
    assert np.abs(frames[:, -1] - padded[:, -1]).mean() < 4
    assert np.abs(frames[:, :, -1] - padded[:, :, -1]).mean() < 4
    with av.open(str(tmp_path / "a.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.codec.name, stream.pix_fmt) == ("h264", "yuv420p")
        assert (stream.codec_context.colorspace, stream.codec_context.color_range) == (1, 1)
    data = (tmp_path / "a.mp4").read_bytes()
    assert 0 < data.index(b"moov") < data.index(b"mdat")  # playback starts before the file is complete


@pytest.mark.parametrize("suffix, codec", [(".mp4", "h264"), (".webm", "vp9"), (".mov", "prores")])
def test_videos_state_codec_color_and_duration(tmp_path: Path, suffix: str, codec: str) -> None:
    path = tmp_path / f"a{suffix}"
    writing.write_video(path, moving_square(9), 12.5)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        context = stream.codec_context
        assert stream.codec.name == codec and container.duration == 720_000
        assert (context.colorspace, context.color_primaries, context.color_trc, context.color_range) == (1, 1, 1, 1)
        assert float(stream.average_rate) == 12.5


@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
@pytest.mark.parametrize("height, width", [(31, 45), (1, 1), (32, 45)])
def test_odd_sizes_repeat_their_edge(tmp_path: Path, suffix: str, height: int, width: int) -> None:
    video = moving_square(4, height, width)[..., 1:2].repeat(3, axis=3)  # gray, as color has half the resolution
    writing.write_video(tmp_path / f"a{suffix}", video, 25, crf=0)
    padded = np.pad(video, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    assert np.abs(read(tmp_path / f"a{suffix}")[0].astype(int) - padded).max() <= 1


def test_prores_is_exact_to_a_level_at_any_size(tmp_path: Path) -> None:
    video = moving_square(4, 31, 45)
    writing.write_video(tmp_path / "a.mov", video, 25)
    frames, _ = read(tmp_path / "a.mov")
    assert np.abs(frames.astype(int) - video).max() <= 1
    with av.open(str(tmp_path / "a.mov")) as container:
        context = container.streams.video[0].codec_context
        assert (context.codec_tag, context.profile) == ("ap4h", "4444")


def test_a_crf_of_0_is_lossless(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3), np.uint8)
    writing.write_video(tmp_path / "a.webp", noise, 25, crf=0)
    assert np.array_equal(read(tmp_path / "a.webp")[0], noise)
    gray = np.repeat(np.random.default_rng(0).integers(0, 256, (4, 16, 16, 1), np.uint8), 3, axis=3)
    for suffix in (".mp4", ".webm"):  # 256 levels are stored as 220
        writing.write_video(tmp_path / f"a{suffix}", gray, 25, crf=0)
        assert np.abs(read(tmp_path / f"a{suffix}")[0].astype(int) - gray).max() <= 1


def test_a_path_without_suffix_is_a_folder_of_pngs(tmp_path: Path) -> None:
    video = moving_square(3)
    writing.check_video_destination(tmp_path / "out", tmp_path / "x.safetensors", overwrite=False)
    writing.write_video(tmp_path / "out", video, 25)
    files = sorted((tmp_path / "out").iterdir())
    assert [file.name for file in files] == ["000000.png", "000001.png", "000002.png"]
    assert np.array_equal(np.stack([np.asarray(Image.open(file)) for file in files]), video)
    with pytest.raises(StyleganvError, match="out already exists"):
        writing.check_video_destination(tmp_path / "out", overwrite=False)
    writing.check_video_destination(tmp_path / "out", overwrite=True)
    (tmp_path / "out" / "mine.txt").touch()
    with pytest.raises(StyleganvError, match=r"contains other files \(mine.txt\)"):
        writing.check_video_destination(tmp_path / "out", overwrite=True)


@pytest.mark.parametrize("suffix", [".mp4", ".webp"])
def test_frames_too_large_for_a_format_are_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    with pytest.raises(StyleganvError, match=r"Cannot encode .*a\.(mp4|webp) .*: choose a smaller --scale, or another"):
        writing.write_video(path, [np.zeros((8, 20_000, 3), np.uint8)], 25)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", [".mp4", ".webm", ".webp"])
def test_a_higher_crf_gives_smaller_files_and_larger_errors(tmp_path: Path, suffix: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3), np.uint8)
    sizes, errors = [], []
    for crf in (5, 18, 45):
        path = tmp_path / f"{crf}{suffix}"
        writing.write_video(path, noise, 25, crf=crf)
        sizes.append(path.stat().st_size)
        errors.append(np.abs(read(path)[0].astype(float) - noise).mean())
    assert sizes == sorted(sizes, reverse=True) and errors == sorted(errors)
    assert sizes[0] > 1.5 * sizes[2]


@pytest.mark.parametrize("suffix", [*FILES, ""])
def test_frames_are_released_while_they_are_written(tmp_path: Path, suffix: str) -> None:
    alive: set[int] = set()
    most = 0

    def frames() -> Iterator[np.ndarray]:
        nonlocal most
        for index in range(200):
            frame = np.full((16, 16, 3), index, np.uint8)
            alive.add(index)
            weakref.finalize(frame, alive.discard, index)
            most = max(most, len(alive))
            yield frame

    writing.write_video(tmp_path / f"a{suffix}", frames(), 25)
    assert most <= 3


@pytest.mark.parametrize(
    "name, frames, fps, crf, parts",
    [
        ("a.avi", moving_square(2), 25, 18, ["a.avi", ".mp4, .webm, .mov, .gif, .webp", "folder of PNGs"]),
        ("a.mp4", [], 25, 18, ["a.mp4", "without frames"]),
        ("a.gif", [], 25, 18, ["a.gif", "without frames"]),
        ("a.mp4", moving_square(2), 0, 18, ["a.mp4", "0.01 to 1000 fps"]),
        ("a.mp4", moving_square(2), float("nan"), 18, ["got nan"]),
        ("a.mp4", moving_square(2), 25, 52, ["got 52", "0 (lossless) to 51"]),
    ],
)
def test_errors_name_the_value_and_leave_no_file(
    tmp_path: Path, name: str, frames: np.ndarray, fps: float, crf: int, parts: list[str]
) -> None:
    with pytest.raises(StyleganvError) as caught:
        writing.write_video(tmp_path / name, frames, fps, crf=crf)
    assert all(part in str(caught.value) for part in parts)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", FILES)
def test_a_source_that_fails_midway_leaves_the_earlier_file(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"earlier")

    def failing() -> Iterator[np.ndarray]:
        yield from moving_square(3)
        raise RuntimeError("generator broke")

    with pytest.raises(RuntimeError, match="generator broke"):
        writing.write_video(path, failing(), 25, overwrite=True)
    with pytest.raises(ValueError, match="the same size"):
        writing.write_video(path, itertools.chain(moving_square(2), moving_square(1, 16, 16)), 25, overwrite=True)
    assert path.read_bytes() == b"earlier" and list(tmp_path.iterdir()) == [path]


def test_write_frames_replaces_the_folder_atomically(tmp_path: Path) -> None:
    video = moving_square(5)
    writing.write_frames(tmp_path / "out", video)
    with pytest.raises(StyleganvError, match="out already exists"):
        writing.write_frames(tmp_path / "out", video)
    writing.write_frames(tmp_path / "out", iter(video[:2]), start_index=10_000_000, overwrite=True)
    files = sorted((tmp_path / "out").iterdir())
    assert [f.name for f in files] == ["10000000.png", "10000001.png"]
    assert np.array_equal(np.asarray(Image.open(files[1])), video[1])
    with pytest.raises(StyleganvError, match="without frames"):
        writing.write_frames(tmp_path / "out", [], overwrite=True)
    assert len(list((tmp_path / "out").iterdir())) == 2


def test_tile_puts_each_image_in_its_cell() -> None:
    images = np.arange(6, dtype=np.uint8).reshape(2, 3, 1, 1, 1) * np.ones((1, 1, 4, 5, 3), np.uint8)
    sheet = sheets.tile(images, gap=2, background=99, scale=3)
    assert sheet.shape == (2 * 14 - 2, 3 * 17 - 2, 3)
    for row in range(2):
        for column in range(3):
            assert (sheet[row * 14 : row * 14 + 12, column * 17 : column * 17 + 15] == 3 * row + column).all()
    assert (sheet[12:14] == 99).all() and (sheet[:, 15:17] == 99).all()
    assert np.array_equal(sheets.tile(images[:1, :1], gap=0)[..., 0], images[0, 0, ..., 0])


def test_tile_videos_and_contact_sheet_show_the_expected_times() -> None:
    videos = (10 * np.arange(2)[:, None] + np.arange(9)).astype(np.uint8)  # value = 10 × video + time
    videos = videos[:, :, None, None, None] * np.ones((4, 4, 3), np.uint8)
    frames = list(sheets.tile_videos(videos[None], gap=1))
    assert len(frames) == 9 and frames[3][0, 0, 0] == 3 and frames[3][0, 5, 0] == 13
    sheet = sheets.contact_sheet(videos, columns=5, gap=0)
    assert sheet[::4, ::4, 0].tolist() == [[0, 2, 4, 6, 8], [10, 12, 14, 16, 18]]
    assert sheets.contact_sheet(videos, columns=20, gap=0).shape == (8, 36, 3)


@pytest.mark.parametrize("height, width, shown", [(32, 48, (64, 96)), (144, 192, (96, 128)), (80, 60, (80, 60))])
def test_the_grid_has_content_in_columns_motion_in_rows_and_times_in_cells(
    height: int, width: int, shown: tuple[int, int]
) -> None:
    motions, contents, total = 2, 3, 7
    gray = 100 * np.arange(motions)[:, None, None] + 20 * np.arange(contents)[:, None] + np.arange(total)
    frames = gray.astype(np.uint8)[..., None, None, None] * np.ones((height, width, 3), np.uint8)
    image = sheets.content_motion_grid(frames)
    expected = [[gray[m, n, t] for n in range(contents) for t in (0, 2, 4, 6)] for m in range(motions)]
    h, w = shown
    x = [84 + n * (4 * w + 3 + 10) + k * (w + 1) + w // 2 for n in range(contents) for k in range(4)]
    y = [52 + m * (h + 10) + h // 2 for m in range(motions)]
    assert image[np.ix_(y, x)][..., 0].tolist() == expected
    labels = (image[:52] < 60).all(-1), (image[52:, :80] < 60).all(-1)
    assert all(label.sum() > 40 for label in labels)


def test_write_frames_never_replaces_a_folder_with_other_files(tmp_path: Path) -> None:
    (tmp_path / "1.png").write_text("mine")  # a numbered picture, but not as this program numbers them
    for overwrite in (False, True):
        with pytest.raises(StyleganvError, match=r"contains other files \(1\.png\): choose a new folder"):
            writing.write_frames(tmp_path, moving_square(2), overwrite=overwrite)
    assert (tmp_path / "1.png").read_text() == "mine"


@pytest.mark.parametrize(
    "write",
    [
        lambda path: writing.write_image(path, moving_square(1)[0]),
        lambda path: curves.plot_curves(path, []),
        lambda path: writing.write_video(path, moving_square(1), 25),
    ],
)
def test_errors_name_a_path_that_cannot_be_written(tmp_path: Path, write: Callable[[Path], None]) -> None:
    (tmp_path / "folder.mp4").mkdir()
    with pytest.raises(StyleganvError, match=r"folder\.mp4 exists and is a folder"):
        write(tmp_path / "folder.mp4")
