"""Preparation: layout, labels, fitting, determinism, and errors on bad input."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from styleganv.data import prepare as module
from styleganv.data.dataset import VideoDataset
from styleganv.errors import StyleganvError
from styleganv.options import PrepareOptions


def prepare(source, dest, *, resolution, num_workers=1, overwrite=False, quality=95, **options):
    """Call `prepare` with flat options; `quality=None` stores PNG."""
    encoding = {"lossless": True} if quality is None else {"jpeg_quality": quality}
    return module.prepare(
        source,
        dest,
        resolution=resolution,
        options=PrepareOptions(**encoding, **options),
        num_workers=num_workers,
        overwrite=overwrite,
    )


@pytest.fixture
def classes(tmp_path, write_video, gray_frames):
    """Two class folders: a with 2 videos, b with 1."""
    for name, count in (("a/1", 5), ("a/10", 7), ("b/2", 9)):
        write_video(tmp_path / "source" / f"{name}.mp4", gray_frames(count))
    return tmp_path / "source"


def test_layout_and_metadata(tmp_path, classes):
    report = prepare(classes, tmp_path / "data.zip", resolution=(16, 24))
    with zipfile.ZipFile(tmp_path / "data.zip") as archive:
        names = archive.namelist()
        assert all(entry.compress_type == zipfile.ZIP_STORED for entry in archive.infolist())
        description = json.loads(archive.read("dataset.json"))
    assert names[0] == "a_1/000000.jpg" and names[-1] == "dataset.json" and len(names) == 5 + 7 + 9 + 1
    videos, labels = description.pop("videos"), description.pop("labels")
    assert description == {
        "format": 1,
        "height": 16,
        "width": 24,
        "fps": 25.0,
        "encoding": {"format": "jpeg", "quality": 95},
        "fit": "crop",
        "class_names": ["a", "b"],
    }
    assert videos[1] == {"name": "a_10", "frames": 7, "label": 0, "source": "a/10.mp4"}
    assert labels == [["a_1/000000.jpg", 0], ["a_10/000000.jpg", 0], ["b_2/000000.jpg", 1]]
    assert (report.num_videos, report.num_frames, report.lengths) == (3, 21, [5, 7, 9])
    assert report.class_counts == {"a": 2, "b": 1} and report.skipped == [] and report.warnings == []
    for words in ("3 videos", "21 frames", "16x24", "JPEG quality 95", "5 to 9", "25 (3 videos)", "a (2), b (1)"):
        assert words in str(report)


def test_jpegs_have_the_requested_quality(tmp_path, classes):
    """Compare the quantization tables: the official code asked for 95 and got 75."""
    Image.new("RGB", (8, 8)).save(tmp_path / "95.jpg", quality=95)
    prepare(classes, tmp_path / "data.zip", resolution=(16, 24))
    with (
        zipfile.ZipFile(tmp_path / "data.zip") as archive,
        Image.open(archive.open("a_1/000000.jpg")) as image,
        Image.open(tmp_path / "95.jpg") as reference,
    ):
        assert image.quantization == reference.quantization
        assert all(component[1:3] == (1, 1) for component in image.layer)  # no chroma subsampling


def test_same_bytes_from_any_number_of_workers(tmp_path, classes):
    for name, workers in (("one", 1), ("two", 2)):
        prepare(classes, tmp_path / f"{name}.zip", resolution=(16, 16), num_workers=workers)
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.zip", "source", "two.zip"]


@pytest.mark.parametrize(("fit", "bounds"), [("crop", (8, 24)), ("pad", (12, 20)), ("stretch", (12, 20))])
def test_fit(tmp_path, write_images, fit, bounds):
    """Fit a 32x64 video with a centered white square of half the height to 32x32."""
    frames = np.zeros((3, 32, 64, 3), np.uint8)
    frames[:, 8:24, 24:40] = 255
    write_images(tmp_path / "a", frames)
    prepare(tmp_path / "a", tmp_path / "d.zip", resolution=(32, 32), fit=fit, quality=None)
    image = VideoDataset(tmp_path / "d.zip").read(0, [0])[0, 0].astype(float)
    columns, rows = np.flatnonzero(image.max(axis=0) > 127), np.flatnonzero(image.max(axis=1) > 127)
    assert (columns[0], columns[-1] + 1) == bounds
    assert (rows[0], rows[-1] + 1) == ((12, 20) if fit == "pad" else (8, 24))


def test_lossless_keeps_every_pixel(tmp_path, write_images):
    frames = np.random.default_rng(0).integers(0, 256, (12, 16, 20, 3)).astype(np.uint8)
    write_images(tmp_path / "a", frames)
    prepare(tmp_path / "a", tmp_path / "d.zip", resolution=(16, 20), quality=None)
    data = VideoDataset(tmp_path / "d.zip")
    assert data.encoding == {"format": "png"}
    assert np.array_equal(data.read(0, range(12)), frames.transpose(0, 3, 1, 2))


def test_transparency_is_composited_before_resizing(tmp_path, write_images, gray_frames):
    """Each output pixel is half red, half transparent black: the mean of red and the background."""
    frames = np.zeros((3, 16, 16, 4), np.uint8)
    frames[:, ::2] = (255, 0, 0, 255)
    frames[1, ::2, :, 1] = 99  # Pillow merges equal frames
    images = [Image.fromarray(frame) for frame in frames]
    (tmp_path / "s").mkdir()
    images[0].save(tmp_path / "s" / "a.webp", save_all=True, append_images=images[1:], lossless=True, duration=40)
    write_images(tmp_path / "s" / "opaque", gray_frames(3))
    settings = {"resolution": (8, 8), "quality": None, "overwrite": True, "min_frames": 1}
    report = prepare(tmp_path / "s", tmp_path / "d.zip", background="#cfe8ff", **settings)
    data = VideoDataset(tmp_path / "d.zip")
    assert np.abs(data.read(0, [0])[0, :, 2:6].astype(int) - np.array([231, 116, 128])[:, None, None]).max() <= 3
    assert report.treated == {"composited": ["a"]} and data.extra == {"fit": "crop", "background": "#cfe8ff"}
    assert "converted 1 video composited over #cfe8ff (--background): a" in str(report)
    assert prepare(tmp_path / "s", tmp_path / "d.zip", **settings).background == "#000000"
    report = prepare(tmp_path / "s" / "opaque", tmp_path / "d.zip", background="skyblue", **settings)
    assert "converted" not in str(report) and "background" not in VideoDataset(tmp_path / "d.zip").extra


def test_split_every(tmp_path, write_video, gray_frames):
    source = write_video(tmp_path / "a.mp4", gray_frames(13))
    prepare(source, tmp_path / "d.zip", resolution=(16, 16), split_every=5, min_frames=3)
    data = VideoDataset(tmp_path / "d.zip")
    assert [(video.name, video.num_frames, video.meta["start"]) for video in data.videos] == [
        ("a_000", 5, 0),
        ("a_001", 5, 5),
        ("a_002", 3, 10),
    ]
    assert data.read(2, [0]).mean() == pytest.approx(105, abs=2)
    prepare(source, tmp_path / "e.zip", resolution=(16, 16), split_every=5, min_frames=4)
    assert len(VideoDataset(tmp_path / "e.zip")) == 2


def test_every_video_keeps_its_speed(tmp_path, write_video, gray_frames):
    """Without --fps, videos of another rate are resampled to the most common one; of equal counts, the lowest."""
    for name, fps in (("a", 10), ("b", 20)):
        write_video(tmp_path / "s" / f"{name}.mp4", gray_frames(20), fps=fps)
    report = prepare(tmp_path / "s", tmp_path / "d.zip", resolution=(16, 16))
    assert report.source_fps == {10: 1, 20: 1} and report.fps == 10 and report.lengths == [20, 10]
    assert report.treated == {"resampled": ["b"]} and "1 video resampled to 10 fps" in str(report)
    report = prepare(tmp_path / "s", tmp_path / "e.zip", resolution=(16, 16), fps=10)
    assert report.lengths == [20, 10] and report.fps == 10 and report.warnings == [] and report.treated == {}
    report = prepare(tmp_path / "s", tmp_path / "f.zip", resolution=(64, 64), fps=20)
    assert len(report.warnings) == 2 and "repeat" in report.warnings[0] and "enlarged" in report.warnings[1]


def test_classes_of_folders(tmp_path, classes, write_video, gray_frames):
    def names(**settings):
        prepare(classes, tmp_path / "d.zip", resolution=(8, 8), overwrite=True, **settings)
        return VideoDataset(tmp_path / "d.zip").class_names

    assert names() == names(classes="folders") == ["a", "b"]
    assert names(classes="none") == []
    write_video(classes / "loose.mp4", gray_frames(4))
    assert names() == []
    with pytest.raises(StyleganvError, match="loose is not in a class folder"):
        names(classes="folders")


def test_one_folder_per_video_is_not_a_class(tmp_path, write_images, gray_frames):
    for name in ("v1", "v2"):
        write_images(tmp_path / "s" / name / "frames", gray_frames(3))
    prepare(tmp_path / "s", tmp_path / "d.zip", resolution=(8, 8))
    assert VideoDataset(tmp_path / "d.zip").num_classes == 0


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("l.csv", "name,label\na/1,run\na/10.mp4,walk\nb/2,run\n"),
        ("l.json", '{"a/1": "run", "a/10": "walk", "b/2.mp4": "run"}'),
    ],
)
def test_label_files(tmp_path, classes, file, text):
    (tmp_path / file).write_text(text)
    prepare(classes, tmp_path / "d.zip", resolution=(8, 8), classes=str(tmp_path / file))
    data = VideoDataset(tmp_path / "d.zip")
    assert data.class_names == ["run", "walk"] and [video.label for video in data.videos] == [0, 1, 0]


def test_unusable_videos_are_skipped_and_reported(tmp_path, classes, write_video, write_images, gray_frames):
    (classes / "a" / "text.mp4").write_text("hello")
    write_video(classes / "b" / "single.mp4", gray_frames(1))
    write_images(classes / "c" / "odd", gray_frames(3))
    Image.new("RGB", (20, 20)).save(classes / "c" / "odd" / "frame3.png")
    report = prepare(classes, tmp_path / "d.zip", resolution=(8, 8), num_workers=2)
    assert dict(report.skipped).keys() == {"a/text", "b/single", "c/odd"}
    assert "fewer frames than --min-frames 3" in dict(report.skipped)["b/single"]
    assert "frame3.png is 20x20" in dict(report.skipped)["c/odd"] and "c/odd" in str(report)
    # The class whose only video was skipped is dropped.
    assert VideoDataset(tmp_path / "d.zip").class_names == ["a", "b"]


BAD = {
    "missing source": ("nowhere", {}, "nowhere not found"),
    "empty folder": ("empty", {}, "No videos found in empty"),
    "text named mp4": ("text.mp4", {}, r"No usable video in text\.mp4 .*Cannot read .*text\.mp4 as a video"),
    "truncated mp4": ("cut.mp4", {}, r"No usable video in cut\.mp4 .*(Cannot read|is damaged)"),
    "half-written zip": ("half.zip", {}, r"half\.zip is not a zip"),
    "one frame of another size": ("odd", {}, r"No usable video in odd .*frame9\.png is 20x20"),
    "one-frame video": ("single.mp4", {}, "a single picture, fewer frames than --min-frames 3"),
    "zero resolution": ("good", {"resolution": (0, 16)}, "--resolution must be an integer from 4 to 16384, got 0"),
    "negative resolution": ("good", {"resolution": (16, -1)}, "--resolution .*got -1"),
    "label for a missing video": ("good", {"classes": "more.csv"}, r"more\.csv has a label for 'ghost'"),
    "video without label": ("good", {"classes": "less.json"}, r"less\.json has no label for .*'clip'"),
    "labels that are none": ("good", {"classes": "bad.json"}, r"Cannot read bad\.json as JSON"),
    "labels with a third column": ("good", {"classes": "wide.csv"}, r"Cannot read labels from wide\.csv"),
    "missing label file": ("good", {"classes": "nowhere.csv"}, r"--classes must be .*got nowhere\.csv"),
    "unknown fit": ("good", {"fit": "squash"}, "--fit must be one of .*'squash'"),
    "no fps": ("good", {"fps": 0.0}, "--fps .*got 0.0"),
    "no quality": ("good", {"quality": 101}, "--jpeg-quality .*got 101"),
    "no workers": ("good", {"num_workers": 0}, "--num-workers .*got 0"),
    "no color": ("good", {"background": "cfe8ff"}, "--background must be .*'cfe8ff': .*'#cfe8ff'"),
    "transparent background": ("good", {"background": "#cfe8ff80"}, "must be an opaque color, got '#cfe8ff80'"),
    "split below minimum": ("good", {"split_every": 2}, "--split-every .*got 2"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_reported_in_one_sentence(tmp_path, write_video, write_images, gray_frames, monkeypatch, case):
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    Path("text.mp4").write_text("hello")
    write_video(Path("good/clip.mp4"), gray_frames(4))
    content = Path("good/clip.mp4").read_bytes()
    Path("cut.mp4").write_bytes(content[: len(content) // 3])
    with zipfile.ZipFile("half.zip", "w") as archive:
        archive.write("good/clip.mp4")
    Path("half.zip").write_bytes(Path("half.zip").read_bytes()[:-100])
    write_images(Path("odd"), gray_frames(4))
    Image.new("RGB", (20, 20)).save("odd/frame9.png")
    Image.new("RGB", (20, 20)).save("odd/frame10.png")
    write_video(Path("single.mp4"), gray_frames(1))
    Path("more.csv").write_text("clip,a\nghost,b\n")
    Path("less.json").write_text("{}")
    Path("bad.json").write_text("[1")
    Path("wide.csv").write_text("clip,a,b\n")
    source, settings, says = BAD[case]
    before = sorted(Path(".").iterdir())
    with pytest.raises(StyleganvError, match=says) as caught:
        prepare(source, "dest.zip", **{"resolution": (16, 16), **settings})
    assert "\n" not in str(caught.value) and str(caught.value).endswith((".", ":")) and ": " in str(caught.value)
    assert sorted(Path(".").iterdir()) == before  # no partial file remains


def test_existing_destination_is_kept(tmp_path, classes):
    (tmp_path / "d.zip").write_text("precious")
    with pytest.raises(StyleganvError, match=r"d\.zip already exists.*--overwrite"):
        prepare(classes, tmp_path / "d.zip", resolution=(8, 8))
    assert (tmp_path / "d.zip").read_text() == "precious"


def test_a_dataset_is_a_source(tmp_path, classes):
    prepare(classes, tmp_path / "d.zip", resolution=(16, 16))
    report = prepare(tmp_path / "d.zip", tmp_path / "e.zip", resolution=(8, 8))
    assert report.lengths == [5, 7, 9]
