"""The dataset file: random access, labels, content hash, processes, and damage."""

import io
import json
import math
import multiprocessing
import pickle
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from PIL import Image

from styleganv.data.dataset import VideoDataset
from styleganv.data.dataset_writer import write_dataset
from styleganv.errors import StyleganvError


def write(path, frames, **settings):
    settings = {"jpeg_quality": None, "class_names": ["a", "b"], "extra": {"fit": "crop"}, **settings}
    height, width = frames.shape[2:4]
    videos = [(f"v/{i}", video, i % 2, {"speed": i}) for i, video in enumerate(frames)]
    write_dataset(path, videos, height=height, width=width, fps=12.5, **settings)
    return path


def test_the_data_layer_does_not_import_torch():
    """Its worker processes must start in a fraction of a second."""
    modules = "styleganv.data.prepare, styleganv.data.inspect"
    subprocess.run([sys.executable, "-c", f"import {modules}, sys; assert 'torch' not in sys.modules"], check=True)


@pytest.fixture
def frames():
    return np.random.default_rng(0).integers(0, 256, (3, 6, 8, 12, 3)).astype(np.uint8)


@pytest.fixture
def path(tmp_path, frames):
    return write(tmp_path / "d.zip", frames)


def test_frames_are_read_in_the_given_order(path, frames):
    data = VideoDataset(path)
    taken = data.read(1, [5, 0, 0, 3])
    assert taken.dtype == np.uint8 and taken.flags.c_contiguous
    assert np.array_equal(taken, frames[1][[5, 0, 0, 3]].transpose(0, 3, 1, 2))
    assert data.read(1, np.array([2])).shape == (1, 3, 8, 12)
    assert (len(data), data.height, data.width, data.fps, data.num_classes) == (3, 8, 12, 12.5, 2)
    assert data.videos[2].name == "v_2" and data.videos[2].num_frames == 6
    assert data.videos[2].meta == {"speed": 2} and data.extra == {"fit": "crop"}
    assert data.label(1).tolist() == [0, 1] and data.label(1).dtype == np.float32


def test_no_labels_without_classes(tmp_path, frames):
    write_dataset(tmp_path / "d.zip", [("v", frames[0], None, {})], height=8, width=12, fps=25)
    data = VideoDataset(tmp_path / "d.zip")
    assert data.num_classes == 0 and data.label(0) is None


@pytest.mark.parametrize("index", [-1, 6])
def test_frames_outside_the_video(path, index):
    with pytest.raises(IndexError, match=f"frame {index} of v_0, which has 6"):
        VideoDataset(path).read(0, [index])


def test_names_that_flatten_to_the_same_name_get_a_number(tmp_path, frames):
    videos = [("a/b", frames[0], None, {}), ("a_b", frames[1], None, {}), ("a_b_2", frames[2], None, {})]
    write_dataset(tmp_path / "d.zip", videos, height=8, width=12, fps=25, jpeg_quality=None)
    data = VideoDataset(tmp_path / "d.zip")
    assert len({video.name for video in data.videos}) == 3
    for index in range(3):
        assert np.array_equal(data.read(index, [0])[0], frames[index][0].transpose(2, 0, 1))


def test_jpeg_is_close(tmp_path, frames):
    smooth = np.broadcast_to(np.arange(12, dtype=np.uint8)[:, None] * 20, (1, 2, 8, 12, 3))
    data = VideoDataset(write(tmp_path / "d.zip", smooth, jpeg_quality=95))
    assert np.abs(data.read(0, [1])[0].astype(int) - smooth[0, 1].transpose(2, 0, 1)).max() <= 3


def test_wrong_frames_are_rejected(tmp_path, frames):
    with pytest.raises(ValueError, match="frames must be uint8"):
        write_dataset(tmp_path / "d.zip", [("v", frames[0], None, {})], height=8, width=8, fps=25)
    assert list(tmp_path.iterdir()) == []


def test_content_hash_depends_on_the_content_only(tmp_path, frames, path):
    same = write(tmp_path / "elsewhere.zip", frames)
    assert VideoDataset(same).content_hash == VideoDataset(path).content_hash
    assert same.read_bytes() == path.read_bytes()
    frames[2, 5, 0, 0, 0] ^= 1
    other = write(tmp_path / "other.zip", frames)
    assert VideoDataset(other).content_hash != VideoDataset(path).content_hash


def _means(data, queue):
    queue.put([float(data.read(i % 3, [i % 6]).mean()) for i in range(300)])


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork here")
def test_forked_processes_read_concurrently(path):
    data = VideoDataset(path)
    expected = [float(data.read(i % 3, [i % 6]).mean()) for i in range(300)]  # opens the handle before the fork
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    workers = [context.Process(target=_means, args=(data, queue)) for _ in range(2)]
    for worker in workers:
        worker.start()
    assert [queue.get(timeout=60) for _ in workers] == [expected, expected]
    for worker in workers:
        worker.join()


def test_a_pickled_dataset_can_be_read(path):
    data = VideoDataset(path)
    data.read(0, [0])
    assert np.array_equal(pickle.loads(pickle.dumps(data)).read(1, [2]), data.read(1, [2]))


def rewrite(path, changes):
    """Copy a zip with some entries replaced (None: removed)."""
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()} | changes
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in entries.items():
            if data is not None:
                archive.writestr(name, data)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda path: path.unlink(), r"Dataset .* not found: .*styleganv prepare"),
        (lambda path: (path.unlink(), path.mkdir()), "it is a folder"),
        (lambda path: path.write_bytes(path.read_bytes()[:-50]), "truncated"),
        (lambda path: rewrite(path, {"dataset.json": None}), "has no dataset.json"),
        (lambda path: rewrite(path, {"dataset.json": b"{"}), "dataset.json is damaged"),
        (lambda path: rewrite(path, {"dataset.json": b"[]"}), "dataset.json"),
        (lambda path: rewrite(path, {"dataset.json": b'{"format": 1}'}), "lacks 'height'"),
        (lambda path: rewrite(path, {"dataset.json": b'{"format": 2}'}), "incompatible version"),
        (lambda path: rewrite(path, {"dataset.json": json.dumps({"labels": None}).encode()}), "lacks 'format'"),
    ],
)
def test_invalid_datasets_are_reported(path, damage, says):
    damage(path)
    with pytest.raises(StyleganvError, match=says) as caught:
        VideoDataset(path)
    assert "styleganv prepare" in str(caught.value) or "prepare it again" in str(caught.value)


@pytest.mark.parametrize("data", [None, b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n broken"])
def test_damaged_frames_are_reported(path, monkeypatch, data):
    rewrite(path, {"v_1/000003.png": data})
    with pytest.raises(StyleganvError, match=r"Cannot read frame v_1/000003\.png in "):
        VideoDataset(path)
    rewrite(path, {"v_1/000003.png": data or b""})
    monkeypatch.setattr("styleganv.data.dataset.MAX_CHECKED_FRAMES", 1)
    dataset = VideoDataset(path)
    dataset.read(1, [2])
    with pytest.raises(StyleganvError, match=r"Cannot read frame v_1/000003\.png in "):
        dataset.read(1, [3])


def image_bytes(width, height, suffix):
    buffer = io.BytesIO()
    Image.new("RGB", (width, height)).save(buffer, suffix)
    return buffer.getvalue()


def giant_jpeg():
    """The header of an image of 60,000 x 60,000 pixels, which decodes to 10 GB, around the data of a small one."""
    small = bytearray(image_bytes(8, 8, "jpeg"))
    start = small.index(b"\xff\xc0") + 5
    small[start : start + 4] = (60_000).to_bytes(2, "big") * 2
    return bytes(small)


@pytest.mark.parametrize(
    ("data", "size"),
    [(image_bytes(1, 1, "png"), "1x1"), (image_bytes(12, 9, "jpeg"), "9x12"), (giant_jpeg(), "60000x60000")],
    ids=["pixel", "high", "giant"],
)
def test_frames_of_another_size_are_refused_from_their_headers(path, monkeypatch, data, size):
    rewrite(path, {"v_1/000003.png": data})
    says = rf"Frame v_1/000003\.png in .* is {size}, the dataset is 8x12 \(height x width\)"
    with pytest.raises(StyleganvError, match=says):
        VideoDataset(path)
    monkeypatch.setattr("styleganv.data.dataset.MAX_CHECKED_FRAMES", 1)
    dataset = VideoDataset(path)  # of a larger dataset, a sample is checked
    monkeypatch.setattr("styleganv.data.dataset.decode_frame", lambda data: pytest.fail("decoded"))
    with pytest.raises(StyleganvError, match=says):
        dataset.read(1, [3])


def test_the_first_frames_are_checked(path, monkeypatch):
    monkeypatch.setattr("styleganv.data.dataset.MAX_CHECKED_FRAMES", 3)  # of 18 frames
    rewrite(path, {"v_2/000000.png": image_bytes(1, 1, "png")})
    with pytest.raises(StyleganvError, match=r"v_2/000000\.png .* is 1x1"):
        VideoDataset(path)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"fps": math.nan}, r"dataset\.json: fps must be a finite number from 0\.01 to 1000, got nan"),
        ({"fps": "25"}, "fps must be a finite number .*got '25'"),
        ({"height": 8.5}, r"height must be an integer from 1 to 65536, got 8\.5"),
        ({"width": -12}, "width must be an integer from 1 to 65536, got -12"),
        ({"encoding": {"format": "bmp"}}, "format must be one of jpeg, png, got 'bmp'"),
        ({"class_names": ["a", 1]}, "class_names must be text, got 1"),
        ({"class_names": ["a", "a"]}, "two classes have the same name"),
        ({"videos": []}, "has no videos"),
        ({"videos": {"v_0": 6}}, "videos must be a list"),
        (
            {"videos": [{"name": "v_0", "frames": True, "label": 0}]},
            "frames must be an integer .* got True",
        ),
        ({"videos": [{"name": "v_0", "frames": 6, "label": 2}]}, "the label 2 of v_0 is none of the 2 classes"),
        ({"videos": [{"name": "v_0", "frames": 6, "label": "a"}]}, "label must be an integer, got 'a'"),
        ({"videos": [{"name": "v_0", "frames": 7, "label": 0}]}, r"Cannot read frame v_0/000006\.png"),
        ({"videos": [{"name": "v_0", "frames": 6, "label": 0}] * 2}, "two videos have the same name"),
    ],
)
def test_invalid_metadata_is_named(path, changes, says):
    with zipfile.ZipFile(path) as archive:
        description = json.loads(archive.read("dataset.json"))
    rewrite(path, {"dataset.json": json.dumps(description | changes)})
    with pytest.raises(StyleganvError, match=says):
        VideoDataset(path)


def test_a_flipped_bit_is_noticed(path, frames):
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        offset = archive.getinfo("v_0/000001.png").header_offset
    data[offset + 100] ^= 1
    path.write_bytes(data)
    with pytest.raises(StyleganvError, match=r"v_0/000001\.png"):
        VideoDataset(path).read(0, [1])
