"""Labels of sources: a dataset.json of either layout, tables, null, conflicts and wrong types."""

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from styleganv.data import prepare as module
from styleganv.data.dataset import VideoDataset
from styleganv.data.dataset_writer import write_dataset
from styleganv.data.labels import read_labels
from styleganv.errors import StyleganvError
from styleganv.media.sources import VideoSource
from styleganv.options import PrepareOptions


@pytest.fixture
def source(tmp_path, write_images, gray_frames) -> Path:
    """Folders of four frames, a, b and c, which are no classes by themselves."""
    for name in "abc":
        write_images(tmp_path / "source" / name, gray_frames(4))
    return tmp_path / "source"


def prepare(source: Path, classes: str = "auto", **options):
    """The report, the dataset, and the class name of each video."""
    dest = source.with_name("data.zip")
    report = module.prepare(
        source,
        dest,
        resolution=(8, 8),
        options=PrepareOptions(classes=classes, **options),
        num_workers=1,
        overwrite=True,
    )
    data = VideoDataset(dest)
    names = {v.name: None if v.label is None else data.class_names[v.label] for v in data.videos}
    return report, data, names


def labels_of(**labels) -> str:
    """A dataset.json with a label per frame."""
    return json.dumps({"labels": [[f"{name}/frame{i}.png", label] for name, label in labels.items() for i in range(4)]})


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("is_zip", [False, True])
def test_integers_that_are_no_indices_keep_their_names(source, nested, is_zip):
    """At the top of a folder or zip, or in the only folder there."""
    (source / "dataset.json").write_text(labels_of(a=9, b=2, c=10))
    if nested:
        source = source.rename(source.with_name("inner")).parent / "outer"
        source.mkdir()
        shutil.move(source.with_name("inner"), source / "inner")
    if is_zip:
        source = Path(shutil.make_archive(str(source.with_name("packed")), "zip", source))
    report, data, names = prepare(source)
    assert data.class_names == ["2", "9", "10"] and list(names.values()) == ["9", "2", "10"]
    assert report.warnings == []


def test_null_and_missing_labels_mean_no_class(source):
    (source / "dataset.json").write_text(labels_of(a=5, b=None))
    report, _, names = prepare(source)
    assert names == {"a": "5", "b": None, "c": None}
    assert report.warnings == ["2 of 3 videos have no class (b, c): label them, or train with --no-conditional."]
    (source / "dataset.json").write_text(labels_of(a=None, b=None))
    assert prepare(source)[1].class_names == []
    (source / "dataset.json").write_text('{"labels": null}')
    assert prepare(source)[1].class_names == []


def test_a_dataset_json_is_also_a_label_file(source):
    (source / "dataset.json").write_text(labels_of(a="cat", b=3, c=None))
    table = source.with_name("dataset.json")
    shutil.move(source / "dataset.json", table)
    assert prepare(source)[2] == dict.fromkeys("abc")
    assert prepare(source, classes=str(table))[2] == {"a": "cat", "b": "3", "c": None}


def test_tables_may_leave_classes_out(source):
    (source.parent / "labels.csv").write_text("a,x\nb,\nc,y\n")
    assert prepare(source, classes=str(source.parent / "labels.csv"))[2] == {"a": "x", "b": None, "c": "y"}
    (source.parent / "labels.json").write_text('{"a": 1, "b": null, "c": "y"}')
    assert prepare(source, classes=str(source.parent / "labels.json"))[2] == {"a": "1", "b": None, "c": "y"}


def test_a_prepared_dataset_keeps_its_rate_and_classes(tmp_path):
    frames = np.zeros((4, 8, 8, 3), np.uint8)
    videos = [(name, frames, label, {}) for name, label in (("u", 1), ("v", 0), ("w", None))]
    write_dataset(tmp_path / "first.zip", videos, height=8, width=8, fps=10, class_names=["red", "blue"])
    _, data, names = prepare(tmp_path / "first.zip")
    assert data.fps == 10 and names == {"u": "blue", "v": "red", "w": None}
    assert prepare(tmp_path / "first.zip", classes="none")[1].fps == 10


def test_a_dataset_json_of_another_layout_is_named(source):
    (source / "dataset.json").write_text('{"images": [1, 2]}')
    report, data, _ = prepare(source)
    assert data.class_names == []
    (warning,) = report.warnings
    assert "dataset.json has an unknown layout and was ignored: pass labels with --classes" in warning


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"labels": [["a/frame0.png", 0], ["a/frame1.png", 1]]}', "labels a twice, as 0 and 1: remove one"),
        ('{"labels": [["a/frame0.png", null], ["a/frame1.png", 1]]}', "labels a twice, as no class and 1"),
        ('{"labels": [["a/frame0.png", true]]}', "labels must be .* got True"),
        ('{"labels": [["a/frame0.png", 1.5]]}', r"labels must be .* got 1\.5"),
        ('{"labels": [["a/frame0.png", NaN]]}', "labels must be .* got nan"),
        ('{"labels": [["a/frame0.png"]]}', "labels must be 2 values"),
        ('{"labels": {"a": 1}}', "labels must be a list"),
        ('{"labels": [["ghost.png", 1]]}', r"dataset\.json has a label for 'ghost\.png', which is not in the source"),
        ('{"labels": [["a/frame0.png", 1', r"Cannot read .*dataset\.json as JSON"),
        ("[" * 100_000, r"Cannot read .*dataset\.json as JSON"),
        ('{"videos": [], "fps": NaN}', "fps must be a finite number from 0.01 to 1000, got nan"),
        ('{"videos": [{"name": "a", "label": 3}], "fps": 5, "class_names": ["x"]}', "label 3 of a is none of the 1"),
        ('{"videos": [{"name": 7}], "fps": 5, "class_names": []}', "name must be text, got 7"),
    ],
)
def test_wrong_descriptions_are_errors(source, text, message):
    (source / "dataset.json").write_text(text)
    with pytest.raises(StyleganvError, match=message) as caught:
        prepare(source)
    assert "\n" not in str(caught.value) and not source.with_name("data.zip").exists()


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("labels.csv", "a,cat\nb,dog\nc,cat\na,dog\n", r"labels\.csv labels a twice, as cat and dog: remove one"),
        ("labels.json", '{"a": "cat", "b": 1, "c": 1, "a": "dog"}', "two values for 'a', 'cat' and 'dog': remove one"),
        ("labels.json", '{"a": 1.5, "b": 1, "c": 1}', r"labels\.json: a must be text or an integer, got 1\.5"),
        ("labels.csv", "a,cat\n\x00,dog\n", "has a label for|Cannot read labels"),
        ("labels.csv", f"a,{'x' * 200_000}\n", "Cannot read labels"),
    ],
)
def test_wrong_tables_are_errors(source, file, text, message):
    (source.parent / file).write_text(text)
    with pytest.raises(StyleganvError, match=message):
        prepare(source, classes=str(source.parent / file))


def test_what_file_managers_leave_behind_hides_no_labels(tmp_path: Path) -> None:
    """Neither `__MACOSX` nor `./` makes the only folder of a zip one of two, nor does `.DS_Store` in a folder."""
    source = tmp_path / "macos.zip"
    with zipfile.ZipFile(source, "w") as archive:
        archive.writestr("./", b"")
        archive.writestr("__MACOSX/data/._a", b"x")
        archive.writestr("data/dataset.json", json.dumps({"labels": [["a/0.png", 1], ["b/0.png", 0]]}))
    videos = [VideoSource(f"data/{name}", None, source, (f"data/{name}/0.png",), "frames") for name in "ab"]
    assert read_labels(source, videos, "auto").label_of == {"data/a": 1, "data/b": 0}
    folder = tmp_path / "folder"
    with zipfile.ZipFile(source) as archive:
        archive.extractall(folder)
    (folder / ".DS_Store").touch()
    assert read_labels(folder, videos, "auto").label_of == {"data/a": 1, "data/b": 0}
