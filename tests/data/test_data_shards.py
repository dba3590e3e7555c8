"""Shards and resumed preparations: the same bytes and the same dataset, however the work is divided or interrupted."""

import os
import pickle
import shutil
import signal

import numpy as np
import pytest

from styleganv.data import journal
from styleganv.data.dataset import VideoDataset, is_dataset
from styleganv.data.encoding import Encoder
from styleganv.data.prepare import prepare
from styleganv.errors import StyleganvError
from styleganv.options import PrepareOptions
from styleganv.videos import DatasetVideos, open_videos

SIZE = (8, 8)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Seven folders of frames in three classes, of which one has only a damaged video, and a text named mp4."""
    from PIL import Image

    random, folder = np.random.default_rng(0), tmp_path_factory.mktemp("source") / "s"
    for name, count in (("a/1", 5), ("a/2", 8), ("a/10", 4), ("b/3", 6), ("d/4", 3), ("d/5", 7), ("d/6", 4)):
        (folder / name).mkdir(parents=True)
        for frame in range(count):
            pixels = random.integers(0, 256, (8, 8, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{frame}.png")
    (folder / "c").mkdir()
    (folder / "c" / "broken.mp4").write_text("hello")
    return folder


def run(source, dest, progress=None, *, overwrite=False, shard=None, **options):
    return prepare(
        source,
        dest,
        resolution=SIZE,
        options=PrepareOptions(**options),
        shard=shard,
        num_workers=1,
        overwrite=overwrite,
        progress=progress,
    )


@pytest.fixture(scope="module")
def whole(source, tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "d.zip"
    run(source, path)
    return path


@pytest.fixture(scope="module")
def shards(source, tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards") / "data"
    for number in (3, 1, 2):
        run(source, folder, shard=(number, 3))
    return folder


def test_a_folder_of_shards_is_the_dataset(whole, shards):
    assert sorted(path.name for path in shards.iterdir()) == [f"shard-000{n}-of-0003.zip" for n in (1, 2, 3)]
    expected, data = VideoDataset(whole), VideoDataset(shards)
    assert data.videos == expected.videos and data.class_names == expected.class_names == ["a", "b", "d"]
    assert (data.fps, data.extra, data.encoding) == (expected.fps, expected.extra, expected.encoding)
    for index, video in enumerate(data.videos):
        frames = range(video.num_frames)
        assert np.array_equal(data.read(index, frames), expected.read(index, frames))
    copy = pickle.loads(pickle.dumps(data))
    assert np.array_equal(copy.read(6, [0]), data.read(6, [0]))
    assert is_dataset(shards) and isinstance(open_videos(shards), DatasetVideos)
    moved = shutil.copytree(shards, shards.with_name("moved"))
    assert VideoDataset(moved).content_hash == data.content_hash != expected.content_hash


def test_every_shard_has_all_class_names_and_its_part_of_the_videos(shards):
    data = VideoDataset(shards / "shard-0002-of-0003.zip")  # of a/1, a/2, a/10, b/3, c/broken, d/4 …
    assert [video.name for video in data.videos] == ["a_2", "d_6"] or len(data.videos) < 3
    assert data.class_names == ["a", "b", "c", "d"]


def test_a_shard_may_be_empty(source, tmp_path):
    reports = [run(source / "b", tmp_path / "d", shard=(number, 2)) for number in (1, 2)]
    assert [report.lengths for report in reports] == [[6], []] and "0 videos" in str(reports[1])
    assert VideoDataset(tmp_path / "d").videos[0].num_frames == 6


@pytest.mark.parametrize("damage", ["missing", "copy", "other", "count", "whole", "none"])
def test_incomplete_and_contradicting_shards(source, whole, shards, tmp_path, damage):
    folder = shutil.copytree(shards, tmp_path / "data")
    one, two = (folder / f"shard-000{n}-of-0003.zip" for n in (1, 2))
    says = {
        "missing": r"data lacks shard 2 of 3: .*--shard 2/3",
        "copy": r"shard-0002-of-0003\.zip holds shard 1 of 3: rename it to shard-0001-of-0003\.zip",
        "other": r"shard-0002-of-0003\.zip and shard-0001-of-0003\.zip are of different datasets",
        "count": "are of different datasets",
        "whole": "shard-0002-of-0003.zip is not a shard but a whole dataset",
        "none": "data is not a prepared dataset .*without shards",
    }[damage]
    if damage == "missing":
        two.unlink()
    elif damage == "copy":
        shutil.copy(one, two)
    elif damage == "other":
        run(source, folder, shard=(2, 3), overwrite=True, fit="stretch")
    elif damage == "count":
        run(source, folder, shard=(1, 2))
    elif damage == "whole":
        shutil.copy(whole, two)
    else:
        shutil.rmtree(folder)
        folder.mkdir()
    with pytest.raises(StyleganvError, match=says):
        VideoDataset(folder)


@pytest.mark.parametrize("shard", [(0, 3), (4, 3), (1, 0)])
def test_impossible_shards(source, tmp_path, shard):
    with pytest.raises(StyleganvError, match="--shard must be"):
        run(source, tmp_path / "d", shard=shard)
    assert list(tmp_path.iterdir()) == []


class Stop:
    """Progress callback that ends the process, or raises, at a step of a stage."""

    def __init__(self, stage, at, how=signal.SIGKILL):
        self.stage, self.at, self.how = stage, at, how

    def __call__(self, done, total, stage):
        if (stage, done) == (self.stage, self.at):
            if isinstance(self.how, BaseException):
                raise self.how
            os.kill(os.getpid(), self.how)


def run_killed(*args, **kwargs):
    pid = os.fork()
    if not pid:
        try:
            run(*args, **kwargs)
        finally:
            os._exit(1)
    assert os.WTERMSIG(os.waitpid(pid, 0)[1]) == signal.SIGKILL


@pytest.fixture
def save_at_once(monkeypatch):
    monkeypatch.setattr(journal, "SAVE_SECONDS", 0.0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize("torn", [False, True])
def test_a_killed_preparation_continues_to_the_same_bytes(source, whole, tmp_path, save_at_once, monkeypatch, torn):
    dest, seen = tmp_path / "d.zip", []
    for stage, at in (("reading frame rates", 3), ("preparing", 2), ("preparing", 3), ("preparing", 7)):
        run_killed(source, dest, Stop(stage, at))
        assert not dest.exists() and (tmp_path / "d.zip.partial").is_dir()
        if torn:  # a frame and a line of which only the first bytes are on disk
            for name in ("journal.jsonl", "frames.zip", "directory"):
                with open(tmp_path / "d.zip.partial" / name, "ab") as file:
                    file.write(b'{"takes"')
    encode = Encoder.encode
    monkeypatch.setattr(Encoder, "encode", lambda self, task: seen.append(task[0]) or encode(self, task))
    report = run(source, dest)
    assert seen == [7] and dest.read_bytes() == whole.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["d.zip"]
    other = run(source, tmp_path / "e.zip")
    assert str(report).replace("d.zip", "e.zip") == str(other)


def test_ctrl_c_keeps_what_is_finished_and_says_so(source, whole, tmp_path):
    dest = tmp_path / "d.zip"
    with pytest.raises(KeyboardInterrupt, match=r"Interrupted after 3 of 8 videos, which .*d\.zip\.partial holds: run"):
        run(source, dest, Stop("preparing", 3, KeyboardInterrupt()))
    with pytest.raises(StyleganvError, match=r"d\.zip\.partial holds an unfinished .*--overwrite"):
        run(source, dest, fit="stretch")
    run(source, dest)
    assert dest.read_bytes() == whole.read_bytes() and sorted(tmp_path.iterdir()) == [dest]


def test_a_changed_source_is_not_continued(source, tmp_path):
    copy, dest = shutil.copytree(source, tmp_path / "s"), tmp_path / "d.zip"
    with pytest.raises(KeyboardInterrupt):
        run(copy, dest, Stop("preparing", 2, KeyboardInterrupt()))
    os.utime(copy / "d" / "6" / "0.png", ns=(0, 0))
    with pytest.raises(StyleganvError, match="another state of it"):
        run(copy, dest)
    run(copy, dest, overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["d.zip", "s"]


def test_a_failure_before_the_first_video_leaves_nothing(source, tmp_path):
    with pytest.raises(RuntimeError):
        run(source, tmp_path / "d.zip", Stop("reading frame rates", 3, RuntimeError()))
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(RuntimeError):
        run(source, tmp_path / "d.zip", Stop("preparing", 3, RuntimeError()))
    assert [path.name for path in tmp_path.iterdir()] == ["d.zip.partial"]


def test_a_folder_of_the_user_is_left_alone(source, tmp_path):
    (tmp_path / "d.zip.partial").mkdir()
    (tmp_path / "d.zip.partial" / "notes.txt").write_text("precious")
    with pytest.raises(StyleganvError, match=r"d\.zip\.partial contains other files \(notes\.txt\)"):
        run(source, tmp_path / "d.zip")
    assert [path.name for path in (tmp_path / "d.zip.partial").iterdir()] == ["notes.txt"]


def test_only_one_process_prepares_a_destination(source, tmp_path):
    def second(done, total, stage):
        if (done, stage) == (1, "preparing"):
            with pytest.raises(StyleganvError, match=r"Another process prepares .*d\.zip"):
                run(source, tmp_path / "d.zip")

    run(source, tmp_path / "d.zip", second)
