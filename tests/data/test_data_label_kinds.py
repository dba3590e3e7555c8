"""Several classes per video, and vectors: from tables and a dataset.json to a dataset, and again from it."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from styleganv.data.dataset import VideoDataset
from styleganv.data.dataset_writer import write_dataset
from styleganv.data.inspect import inspect
from styleganv.data.prepare import prepare
from styleganv.errors import StyleganvError
from styleganv.options import PrepareOptions


@pytest.fixture
def source(tmp_path, write_images, gray_frames) -> Path:
    """Folders of four frames, a, b and c, which are no classes by themselves."""
    for name in "abc":
        write_images(tmp_path / "source" / name, gray_frames(4))
    return tmp_path / "source"


def prepared(source: Path, dest: str = "data.zip", classes: str | Path = "auto", **arguments):
    """The report and the dataset."""
    options = PrepareOptions(classes=str(classes))
    dest_path = source.with_name(dest)
    report = prepare(source, dest_path, resolution=(8, 8), options=options, num_workers=1, overwrite=True, **arguments)
    return report, VideoDataset(dest_path)


def table(source: Path, name: str, text: str) -> Path:
    path = source.with_name(name)
    path.write_text(text)
    return path


CLASSES = "name,label\na,smile;glasses\nb,\nc,smile\n"
VECTORS = "name,age,mood\na,0.5,-1\nb,0.25,1e-3\nc,1,0\n"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("labels.csv", CLASSES),
        ("labels.csv", "a, smile ; glasses;\nb,;\nc,smile\n"),
        ("labels.json", '{"a": ["smile", "glasses"], "b": [], "c": "smile"}'),
    ],
)
def test_several_classes_per_video(source, name, text):
    report, data = prepared(source, classes=table(source, name, text))
    assert data.labels.kind == "classes" and data.class_names == ["glasses", "smile"] and data.num_classes == 2
    assert [video.label for video in data.videos] == [(1, 1), (0, 0), (0, 1)]
    assert [data.label(i).tolist() for i in range(3)] == [[1, 1], [0, 0], [0, 1]]
    assert report.warnings == [] and report.class_counts == {"glasses": 1, "smile": 2}
    assert "labels    glasses (1), smile (2); any number per video" in str(report)
    assert "labels         glasses (1), smile (2)" in str(inspect(data.path))


@pytest.mark.parametrize(
    ("name", "text", "names"),
    [
        ("labels.csv", VECTORS, ("age", "mood")),
        ("labels.json", '{"a": [0.5, -1], "b": [0.25, 1e-3], "c": [1, 0]}', ("label0", "label1")),
    ],
)
def test_vectors(source, name, text, names):
    report, data = prepared(source, classes=table(source, name, text))
    assert data.labels.kind == "vector" and data.labels.names == names and data.class_names == []
    assert [video.label for video in data.videos] == [(0.5, -1), (0.25, 1e-3), (1, 0)]
    np.testing.assert_array_equal(data.label(1), np.float32([0.25, 1e-3]))
    assert report.warnings == [] and report.class_counts == {}
    assert f"2 numbers per video: {names[0]} 0.25 to 1 (mean 0.5833), {names[1]} -1 to 0.001" in str(report)
    assert "2 numbers per video" in str(inspect(data.path))


def test_vectors_in_the_layout_of_stylegan(source):
    labels = [[f"{name}/frame{i}.png", [x, -x]] for name, x in (("a", 0.1), ("b", 20), ("c", 3)) for i in range(4)]
    (source / "dataset.json").write_text(json.dumps({"labels": labels}))
    report, data = prepared(source)
    assert [video.label for video in data.videos] == [(0.1, -0.1), (20, -20), (3, -3)]
    (warning,) = report.warnings
    assert warning.startswith("some labels are large (label0 (20), label1 (20)): scale them to about -1 to 1")
    with zipfile.ZipFile(data.path) as archive:
        assert json.loads(archive.read("dataset.json"))["labels"][0] == ["a/000000.jpg", [0.1, -0.1]]


@pytest.mark.parametrize("text", [CLASSES, VECTORS])
def test_a_dataset_is_prepared_again_with_its_labels(source, text):
    _, data = prepared(source, classes=table(source, "labels.csv", text))
    _, again = prepared(data.path, "again.zip")
    assert again.labels == data.labels
    assert [video.label for video in again.videos] == [video.label for video in data.videos]


@pytest.mark.parametrize("text", [CLASSES, VECTORS])
def test_shards_have_the_labels_of_the_whole_source(source, text):
    labels = table(source, "labels.csv", text)
    _, whole = prepared(source, classes=labels)
    for number in (1, 2, 3):
        prepare(
            source,
            source.with_name("shards"),
            resolution=(8, 8),
            options=PrepareOptions(classes=str(labels)),
            num_workers=1,
            shard=(number, 3),
        )
    data = VideoDataset(source.with_name("shards"))
    assert data.labels == whole.labels and data.videos == whole.videos


@pytest.mark.parametrize("text", [CLASSES, VECTORS])
def test_an_interrupted_preparation_continues_with_the_labels(source, text):
    labels = table(source, "labels.csv", text)
    _, whole = prepared(source, "whole.zip", classes=labels)

    def stop(done, total, stage):
        if (stage, done) == ("preparing", 2):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepared(source, classes=labels, progress=stop)
    assert source.with_name("data.zip.partial").is_dir()
    _, data = prepared(source, classes=labels)
    assert data.path.read_bytes() == whole.path.read_bytes()


def test_a_missing_label_is_a_warning(source):
    report, data = prepared(source, classes=table(source, "labels.csv", "name,age\na,1\nb,\nc,2\n"))
    assert [video.label for video in data.videos] == [(1,), None, (2,)] and data.num_classes == 1
    assert report.warnings == ["1 of 3 videos have no label (b): label them, or train with --no-conditional."]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("labels.json", '{"a": "cat", "b": [1, 2], "c": "dog"}', r"labels b with \[1, 2\] but a with cat: give all"),
        ("labels.json", '{"a": [1, 2], "b": [1], "c": [1, 2]}', r"labels a with \[1, 2\] but b with \[1\]"),
        ("labels.json", '{"a": [1, 2], "b": [], "c": [1, 2]}', r"labels a with \[1, 2\] but b with \[\]"),
        ("labels.json", '{"a": ["x", 1], "b": [], "c": []}', "a must be text, got 1"),
        ("labels.json", '{"a": [NaN], "b": [1], "c": [1]}', "a must be a finite number .*, got nan"),
        ("labels.json", '{"a": [1e39], "b": [1], "c": [1]}', "a must be a finite number"),
        ("labels.json", '{"a": [true], "b": [1], "c": [1]}', "a must be a finite number .*, got True"),
        ("labels.json", '{"a": ["x,y"], "b": ["z"], "c": []}', "has the class 'x,y': rename it"),
        ("labels.csv", "name,age\na,1\nb,inf\nc,1\n", "age of b must be a finite number .*, got inf"),
        ("labels.csv", "name,age\na,1\nb,old\nc,1\n", "age of b must be a finite number .*, got 'old'"),
        ("labels.csv", "name,age,mood\na,1,2\nb,1,\nc,1,2\n", "mood of b must be a finite number .*, got ''"),
        ("labels.csv", "name,age,mood\na,1,2\nb,1\nc,1,2\n", "Cannot read labels"),
        ("labels.csv", "name,age,age\na,1,2\nb,1,2\nc,1,2\n", "two of the same name: name each column"),
        ("labels.csv", "a,1,2\nb,1,2\nc,1,2\n", "below a line that names the columns"),
        ("labels.csv", "name,age\na,1\nb,1\n", "no label for the video 'c'"),
        ("labels.csv", "name,age\na,1\na,2\nb,1\nc,1\n", r"labels a twice, as \[1\.0\] and \[2\.0\]"),
    ],
)
def test_wrong_labels_are_errors(source, name, text, message):
    with pytest.raises(StyleganvError, match=message) as caught:
        prepared(source, classes=table(source, name, text))
    assert "\n" not in str(caught.value) and not source.with_name("data.zip").exists()


def test_a_video_called_name_is_no_header(source):
    (source / "a").rename(source / "name")
    _, data = prepared(source, classes=table(source, "labels.csv", "name,cat\nb,dog\nc,dog\n"))
    assert data.class_names == ["cat", "dog"] and [video.label for video in data.videos] == [1, 1, 0]
    _, data = prepared(source, classes=table(source, "labels.csv", "name,age,mood\nname,1,2\nb,3,4\nc,5,6\n"))
    assert data.labels.names == ("age", "mood") and [video.label for video in data.videos] == [(3, 4), (5, 6), (1, 2)]


def test_a_dataset_with_wrong_labels_is_not_opened(tmp_path):
    frames = np.zeros((3, 8, 8, 3), np.uint8)
    for kind, label, message in (
        ("classes", (1.0, 0.5), "has a number other than 0 and 1"),
        ("vector", (1.0,), "is not 2 numbers"),
        ("vector", (float("nan"), 1.0), "must be a finite number"),
        ("vector", 1, "label must be a list"),
        ("class", (1.0, 0.0), "label must be an integer"),
    ):
        path = tmp_path / "data.zip"
        video = ("v", frames, label, {})
        write_dataset(path, [video], height=8, width=8, fps=25, class_names=["a", "b"], label_kind=kind, overwrite=True)
        with pytest.raises(StyleganvError, match=message):
            VideoDataset(path)
