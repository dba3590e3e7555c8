"""Video files as a set of videos: one frame rate, exact reads, and constant memory."""

import json
import logging
import shutil
import tracemalloc
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from tiny import save

from styleganv.errors import StyleganvError
from styleganv.methods.loading import load
from styleganv.methods.stylegan_v.generator import Generator
from styleganv.methods.stylegan_v.sampler import VideoGenerator
from styleganv.videos import FileVideos, ModelVideos


def write(path: Path, levels: np.ndarray, fps: int = 10, size: int = 64) -> Path:
    """Write a video of one gray level per frame."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps, options={"crf": "4"})
        stream.width, stream.height, stream.pix_fmt = size, size, "yuv420p"
        for level in levels:
            frame = av.VideoFrame.from_ndarray(np.full((size, size, 3), level, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def levels(frames: np.ndarray) -> list[int]:
    return [round(float(frame.mean())) for frame in frames]


def test_every_file_keeps_its_own_speed(tmp_path, caplog):
    """Both brighten by 50 levels per second."""
    write(tmp_path / "a.mp4", np.arange(20, 220, 5), fps=10)
    write(tmp_path / "b.mp4", np.arange(20, 220, 1), fps=50)
    with caplog.at_level(logging.WARNING):
        videos = FileVideos(tmp_path)
    assert "Resampling 1 of 2 videos" in caplog.text and "to 10 fps" in caplog.text
    assert videos.fps == 10 and videos.length(0) == videos.length(1) == 40
    for index in (0, 1):
        assert levels(videos.read(index, range(0, 40, 8))) == pytest.approx(range(20, 220, 40), abs=1)


def test_frames_are_read_in_any_order_of_clips(tmp_path):
    write(tmp_path / "a.mp4", 20 + 3 * np.arange(60))
    write(tmp_path / "b.mp4", 200 - 3 * np.arange(60))
    videos = FileVideos(tmp_path)
    for index, frames in ((0, [3, 5, 30]), (0, [31, 32]), (1, range(4)), (0, [32, 33]), (0, [0]), (1, [59])):
        expected = [200 - 3 * frame if index else 20 + 3 * frame for frame in frames]
        assert levels(videos.read(index, frames)) == pytest.approx(expected, abs=1)
    with pytest.raises(IndexError):
        videos.read(1, [60])


def test_videos_of_any_length_take_the_same_memory(tmp_path):
    videos = FileVideos(write(tmp_path / "long.mp4", 7 * np.arange(1000) % 200))
    tracemalloc.start()
    assert videos.length(0) == 1000 and levels(videos.read(0, [998, 999])) == pytest.approx([186, 193], abs=1)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**20  # the video has 12 MB


def test_another_size_is_refused(tmp_path):
    write(tmp_path / "a.mp4", np.arange(20, 25))
    for i in range(3):
        (tmp_path / "b").mkdir(exist_ok=True)
        Image.new("RGB", (32, 32)).save(tmp_path / "b" / f"{i}.png")
    with pytest.raises(StyleganvError, match=r"b in .* is 32x32 but the first video is 64x64"):
        FileVideos(tmp_path).length(1)


def write_images(folder, count, size=16):
    folder.mkdir(parents=True)
    for i in range(count):
        Image.new("RGB", (size, size), (10 * i, 10 * i, 10 * i)).save(folder / f"{i}.png")
    return folder


def test_images_of_a_flat_folder_are_a_video_or_one_video_each(tmp_path):
    folder = write_images(tmp_path / "images", 12)
    shutil.make_archive(str(tmp_path / "packed"), "zip", folder)
    for path in (folder, tmp_path / "packed.zip"):
        one, each = FileVideos(path), FileVideos(path, images=True)
        assert (one.count, one.length(0), each.count, each.length(11)) == (1, 12, 12, 1)
        assert [levels(each.read(i, [0]))[0] for i in (11, 2, 10)] == [110, 20, 100]
        assert each.identity["kind"] == "images" and each.identity["storage"] == {"format": ".png"}
        assert one.identity["kind"] == "video files"
    write_images(tmp_path / "two" / "a", 3)
    write_images(tmp_path / "two" / "b", 4)
    assert FileVideos(tmp_path / "two", images=True).count == 2  # folders of frames stay videos
    Image.new("RGB", (8, 8)).save(folder / "99.png")
    with pytest.raises(StyleganvError, match=r"99.png in .* is 8x8 but the first image is 16x16: resize them to one"):
        FileVideos(folder, images=True).read(12, [0])


def test_all_that_frames_of_a_model_depend_on_is_in_its_identity(tmp_path):
    """Cached statistics are never those of another truncation, mean w, or setting without weights."""
    network = load(save(tmp_path / "model")).network

    def identity(psi=1.0, **changes):
        generator = Generator(replace(network.config, **changes))
        generator.load_state_dict(network.state_dict())
        return json.dumps(ModelVideos(VideoGenerator(generator, fps=25, device="cpu"), psi=psi).identity)

    first = identity()
    assert identity() == first
    others = [identity(psi=0.5), identity(psi=0.7), identity(slot_distance=4), identity(motion_path="bspline")]
    network.mapping.w_mean += 0.1
    assert len({first, *others, identity()}) == 6


def test_the_identity_of_truncated_videos_says_whether_it_was_by_class(tmp_path):
    """Statistics cached before are not reused."""
    for num_classes, psi, by_class in ((0, 0.7, False), (3, 1, False), (3, 0.7, True)):
        model = load(save(tmp_path / f"{num_classes} {psi}", num_classes=num_classes), device="cpu")
        assert ("truncation" in ModelVideos(model, psi=psi).identity) == by_class
