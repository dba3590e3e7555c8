"""Takes: trimmed and cropped videos have exactly the frames and pixels of the whole ones, and sheets show them."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from styleganv.cli.parsing import parse_crop, parse_shard, parse_trim
from styleganv.data import plan as plans
from styleganv.data.dataset import VideoDataset
from styleganv.data.prepare import prepare
from styleganv.data.preview import preview
from styleganv.data.takes import Box, Take
from styleganv.errors import StyleganvError
from styleganv.options import PrepareOptions


def prepared(source, dest, *, resolution=(32, 48), **options):
    report = prepare(
        source, dest, resolution=resolution, num_workers=1, options=PrepareOptions(lossless=True, **options)
    )
    data = VideoDataset(dest)
    return report, [data.read(i, range(video.num_frames)) for i, video in enumerate(data.videos)], data


@pytest.fixture
def clip(tmp_path, write_video, gray_frames):
    return write_video(tmp_path / "clip.mp4", gray_frames(20), fps=10)


@pytest.mark.parametrize(
    ("trim", "fps", "expected"),
    [
        ((0.5, 1.2), None, slice(5, 12)),
        ((0.45, 1.21), None, slice(5, 13)),
        ((None, 0.7), None, slice(0, 7)),
        ((1.3, None), None, slice(13, 20)),
        ((-0.5, None), None, slice(15, 20)),
        ((None, -0.5), None, slice(0, 15)),
        ((-1.0, -0.5), None, slice(10, 15)),
        ((-100, 100), None, slice(0, 20)),
        ((0.5, 1.2), 20.0, slice(10, 24)),
    ],
)
def test_trim_selects_frames_of_the_whole_video(tmp_path, clip, trim, fps, expected):
    _, (whole,), _ = prepared(clip, tmp_path / "whole.zip", fps=fps)
    _, (trimmed,), data = prepared(clip, tmp_path / "trimmed.zip", fps=fps, trim=trim)
    assert np.array_equal(trimmed, whole[expected]) and data.videos[0].meta["trim"] == list((trim[0] or 0, trim[1]))


def test_crop_takes_pixels_of_the_upright_frame(tmp_path, write_images):
    frames = np.random.default_rng(0).integers(0, 256, (3, 20, 24, 3)).astype(np.uint8)
    write_images(tmp_path / "s" / "a", frames)
    write_images(tmp_path / "s" / "small", frames[:, :16])
    report, (cropped,), data = prepared(tmp_path / "s", tmp_path / "d.zip", resolution=(12, 8), crop=(5, 7, 8, 12))
    assert np.array_equal(cropped, frames[:, 7:19, 5:13].transpose(0, 3, 1, 2))
    assert data.videos[0].meta["crop"] == [5, 7, 8, 12]
    says = "frames of 24x16 (width x height) do not contain the crop 5,7,8,12: change --crop."
    assert report.skipped == [("small", says)]


def test_takes_of_one_source_are_decoded_together(tmp_path, clip, monkeypatch):
    """Overlapping stretches, with other crops; one that starts after the end is skipped."""
    _, (whole,), _ = prepared(clip, tmp_path / "whole.zip", resolution=(16, 16), crop=(0, 0, 16, 16))
    takes = [("one", 0, 0.8), ("two", 0.5, 1.5), ("rest", 1.7, None), ("none", 2.5, None)]
    monkeypatch.setattr(
        plans,
        "whole_takes",
        lambda videos, _: [Take(name, videos[0], None, a, b, Box(16, 8, 16, 16)) for name, a, b in takes],
    )
    decode, calls = plans.VideoSource.decode, []
    monkeypatch.setattr(plans.VideoSource, "decode", lambda *args: calls.append(1) or decode(*args))
    report, videos, data = prepared(clip, tmp_path / "d.zip", resolution=(16, 16))
    assert [video.name for video in data.videos] == ["one", "two", "rest"] and len(calls) == 1
    assert report.skipped == [("none", "0 frames after --trim, fewer frames than --min-frames 3")]
    for frames, expected in zip(videos, (whole[:8], whole[5:15], whole[17:]), strict=True):
        assert np.array_equal(frames, expected)


def test_damage_after_the_end_of_a_take_is_no_damage(tmp_path, clip, write_images, gray_frames):
    folder = write_images(tmp_path / "frames", gray_frames(10))
    (folder / "frame7.png").write_bytes(b"damaged")
    options = {"resolution": (16, 16), "source_fps": 10.0}
    report, (frames,), _ = prepared(folder, tmp_path / "d.zip", trim=(0.2, 0.7), **options)
    assert len(frames) == 5 and report.damaged == []
    with pytest.raises(StyleganvError, match="frame7"):
        prepared(folder, tmp_path / "e.zip", trim=(0.2, 0.8), **options)
    report, (frames,), _ = prepared(folder, tmp_path / "e.zip", trim=(0.2, 0.8), damaged="keep", **options)
    assert len(frames) == 5 and report.damaged == ["frames (7 of 10 frames)"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("5:20", (5, 20)),
        ("5:", (5, None)),
        (":2.5", (None, 2.5)),
        (":-3", (None, -3)),
        ("-10:-1.5", (-10, -1.5)),
        ("1:05:2:10", (65, 130)),
        ("1:05:", (65, None)),
        (":1:00:05", (None, 3605)),
        ("0:01:05:1:00:00", (65, 3600)),
        ("-1:05:", (-65, None)),
    ],
)
def test_trims_are_read(text, expected):
    assert parse_trim(text) == expected


@pytest.mark.parametrize(
    "text", ["", ":", "::", "5", "1:2:3", "5:x", "1:2:3:4:5", "1e3:2e3", "a:b:c:d", "1:-2:3:4", "nan:"]
)
def test_other_trims_are_refused(text):
    with pytest.raises(StyleganvError, match="Cannot read --trim"):
        parse_trim(text)


def test_crops_and_shards_are_read():
    assert parse_crop(" 280, 0,720,720") == (280, 0, 720, 720) and parse_shard("3/16") == (3, 16)
    for text in ("1,2,3", "1,2,3,-4", "a,b,c,d", "1.5,0,3,3", ""):
        with pytest.raises(StyleganvError, match="Cannot read --crop"):
            parse_crop(text)
    for text in ("3", "3/", "-1/3", "a/b", "1/3/5"):
        with pytest.raises(StyleganvError, match="Cannot read --shard"):
            parse_shard(text)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"trim": (5, 2)}, "--trim must stop after it starts, got 5 to 2"),
        ({"trim": (None, 0)}, "--trim must stop"),
        ({"trim": (-2, -2)}, "--trim must stop"),
        ({"trim": (float("nan"), None)}, "--trim must be"),
        ({"crop": (0, 0, 0, 5)}, "--crop must be an integer of at least 1, got 0"),
        ({"crop": (-1, 0, 5, 5)}, "--crop must be an integer of at least 0, got -1"),
    ],
)
def test_impossible_trims_and_crops(options, says):
    with pytest.raises(StyleganvError, match=says):
        PrepareOptions(**options)


def test_a_dry_run_writes_only_a_sheet_of_what_would_be_used(tmp_path, write_video, write_images, gray_frames):
    """Columns are evenly spaced frames of the take: gray level 10 t + 5 tells which."""
    source = tmp_path / "s"
    write_video(source / "clip.mp4", gray_frames(24), fps=10)
    write_images(source / "images", gray_frames(24))
    (source / "text.mp4").write_text("hello")
    before = sorted(path.name for path in tmp_path.iterdir())
    options = PrepareOptions(trim=(0.4, 1.5), crop=(8, 0, 32, 32), source_fps=10.0)
    report = preview(
        source, tmp_path / "d.zip", tmp_path / "d.png", resolution=(16, 16), options=options, num_workers=1
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*before, "d.png"])
    assert report.lengths == [11, 11] and [name for name, _ in report.skipped] == ["text"]
    assert "d.zip would hold about 2 videos, 22 frames of 16x16" in str(report) and "skipped   1 would be" in str(
        report
    )
    with Image.open(tmp_path / "d.png") as image:
        sheet = np.asarray(image.convert("L")).astype(int)
    left, step = sheet.shape[1] - 6 * 138 - 0, 138
    for row in range(2):
        levels = [sheet[52 + 138 * row + 64, left + step * column + 64] for column in range(6)]
        assert np.abs(np.array(levels) - (10 * np.array([4, 6, 8, 10, 12, 14]) + 5)).max() <= 3
    actual = prepare(source, tmp_path / "d.zip", resolution=(16, 16), options=options, num_workers=1)
    assert actual.lengths == report.lengths and actual.skipped == report.skipped
    assert replace(actual, lengths=[], is_preview=True, treated={}) == replace(report, lengths=[], treated={})
