"""Rules for the paper's datasets, on small imitations of the published folders."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest

from styleganv.cli import main
from styleganv.data.dataset import VideoDataset
from styleganv.data.masks import enclose
from styleganv.data.prepare import prepare
from styleganv.data.rules import RULES
from styleganv.data.rules.rule import Selection
from styleganv.data.takes import Box
from styleganv.errors import StyleganvError
from styleganv.media.sources import scan_source
from styleganv.options import DatasetName, PrepareOptions

ORIGINALS, MASKS = "original_sequences/youtube", "manipulated_sequences/Deepfakes/masks/videos"
WriteVideo = Callable[..., Path]


def touch(root: Path, names: Iterable[str]) -> Path:
    """Create empty files, which are enough to be found."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def select(name: DatasetName, source: Path) -> Selection:
    return RULES[name].apply(scan_source(source))


def names_and_classes(selection: Selection) -> list[tuple[str, str | None]]:
    return [
        (take.name, None if take.label is None else selection.labels.format(take.label)) for take in selection.takes
    ]


def test_ucf101_takes_all_videos_with_the_class_of_their_folder(tmp_path: Path) -> None:
    """One folder of the published dataset is spelled in another way than its videos."""
    names = ["ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c02.avi", "HandstandPushups/v_HandStandPushups_g10_c01.avi"]
    source = touch(tmp_path / "UCF-101", [*names, "other/holiday.avi"])
    selection = select("ucf101", source)
    assert names_and_classes(selection) == [
        ("v_ApplyEyeMakeup_g01_c02", "ApplyEyeMakeup"),
        ("v_HandStandPushups_g10_c01", "HandstandPushups"),
    ]
    assert selection.skipped == [("other/holiday", "not named Class/v_Class_gNN_cNN")]
    assert selection.warnings[0].startswith("2 of 101 classes found")
    assert names_and_classes(select("ucf101", source / "ApplyEyeMakeup")) == [
        ("v_ApplyEyeMakeup_g01_c02", "ApplyEyeMakeup")
    ]


@pytest.mark.parametrize("top", ["", "sky_train"])
def test_sky_timelapse_takes_the_train_split(tmp_path: Path, top: str) -> None:
    clips = ["sky_train/aB-c/aB-c_1/f1.jpg", "sky_train/aB-c/aB-c_2/f1.jpg", "sky_train/xyz/f1.jpg"]
    touch(tmp_path, [*clips, "sky_test/q/q_1/f1.jpg", "sky_train/notes.mp4"])
    selection = select("sky-timelapse", tmp_path / top)
    assert names_and_classes(selection) == [("aB-c_1", None), ("aB-c_2", None), ("xyz", None)]
    assert selection.skipped == ([] if top else [("sky_test/q/q_1", "not in sky_train")])


def test_mead_takes_front_views_with_the_actor_as_class(tmp_path: Path) -> None:
    names = ["M003/video/front/angry/level_1/001.mp4", "W040/video/front/neutral/level_1/012.mp4"]
    selection = select(
        "mead", touch(tmp_path, [*names, "M003/video/left_30/angry/level_1/001.mp4", "M003/audio/a.mp4"])
    )
    assert names_and_classes(selection) == [
        ("M003_angry_level_1_001", "M003"),
        ("W040_neutral_level_1_012", "W040"),
    ]
    assert [name for name, _ in selection.skipped] == ["M003/audio/a", "M003/video/left_30/angry/level_1/001"]


def test_rainbow_jelly_takes_video_files(tmp_path: Path) -> None:
    assert names_and_classes(select("rainbow-jelly", touch(tmp_path, ["jelly.mp4", "cover.jpg"]))) == [("jelly", None)]


def faceforensics(root: Path) -> Path:
    originals = [
        f"{ORIGINALS}/{level}/videos/{number}.mp4" for level in ("c23", "c40") for number in ("033", "097", "100")
    ]
    fakes = ["manipulated_sequences/Deepfakes/c23/videos/033_097.mp4", "original_sequences/actors/c23/videos/01__x.mp4"]
    return touch(root, [*originals, *fakes, f"{MASKS}/033_097.mp4", f"{MASKS}/097_033.mp4"])


def test_faceforensics_takes_originals_with_a_mask(tmp_path: Path) -> None:
    selection = select("faceforensics", faceforensics(tmp_path))
    assert [(take.source.name, take.mask and take.mask.name) for take in selection.takes] == [
        (f"{ORIGINALS}/c23/videos/033", f"{MASKS}/033_097"),
        (f"{ORIGINALS}/c23/videos/097", f"{MASKS}/097_033"),
    ]
    reasons = {reason for _, reason in selection.skipped}
    assert reasons == {"another compression than c23", "it has no mask: add manipulated_sequences/Deepfakes/masks"}
    assert "splits/train.json not found" in selection.warnings[0]


def test_faceforensics_reads_the_train_split(tmp_path: Path) -> None:
    source = faceforensics(tmp_path)
    (source / "splits").mkdir()
    (source / "splits" / "train.json").write_text(json.dumps([["033", "044"], ["055", "066"]]))
    selection = select("faceforensics", source)
    assert [take.name for take in selection.takes] == ["033"] and not selection.warnings
    assert (f"{ORIGINALS}/c23/videos/097", "not in the train split") in selection.skipped
    (source / "splits" / "train.json").write_text("[3]")
    with pytest.raises(StyleganvError, match=r"Cannot read .*train\.json as a list of pairs"):
        select("faceforensics", source)


@pytest.mark.parametrize("name", RULES)
def test_another_layout_is_named(tmp_path: Path, name: DatasetName) -> None:
    source = touch(tmp_path, ["pictures/a.jpg", "pictures/b.jpg"])
    with pytest.raises(StyleganvError, match=f"does not have the layout of {RULES[name].title.replace('+', '.')}"):
        select(name, source)


def draw_masks(boxes: list[tuple[int, int, int, int]], height: int = 40, width: int = 60) -> np.ndarray:
    """Masks that are white in boxes (top, bottom, left, right), one per frame."""
    masks = np.zeros((len(boxes), height, width, 3), np.uint8)
    for mask, (top, bottom, left, right) in zip(masks, boxes, strict=True):
        mask[top:bottom, left:right] = 255
    return masks


def test_the_crop_encloses_all_masks_in_an_enlarged_square() -> None:
    assert enclose(draw_masks([(10, 20, 20, 25), (0, 0, 0, 0), (15, 30, 22, 35)])) == Box(14, 7, 26, 26)
    assert enclose(draw_masks([(0, 10, 50, 60)])) == Box(47, 0, 13, 13)  # moved into the frame
    assert enclose(draw_masks([(0, 40, 0, 60)])) == Box(10, 0, 40, 40)  # as large as the frame allows
    assert enclose(draw_masks([(0, 0, 0, 0)])) is None and enclose([]) is None


def test_faces_are_cropped_by_their_masks(tmp_path: Path, write_video: WriteVideo) -> None:
    """The face is the only red thing, and moves; everything outside of the crop is blue."""
    frames = np.zeros((4, 64, 96, 3), np.uint8)
    frames[..., 2] = 200
    frames[:, 8:40, 40:72] = (200, 0, 0)
    masks = draw_masks([(14, 34, 44, 64), (14, 34, 48, 68)] * 2, 64, 96)
    for number in ("001", "002"):
        write_video(tmp_path / ORIGINALS / "c23" / "videos" / f"{number}.mp4", frames, fps=30)
    write_video(tmp_path / MASKS / "001_002.mp4", masks, fps=30)
    write_video(tmp_path / MASKS / "002_001.mp4", np.zeros_like(masks), fps=30)
    options = PrepareOptions(dataset="faceforensics", lossless=True)
    report = prepare(tmp_path, tmp_path / "d.zip", resolution=(32, 32), options=options, num_workers=1)
    data = VideoDataset(tmp_path / "d.zip")
    assert [video.name for video in data.videos] == ["001"] and data.videos[0].meta["crop"] == [40, 8, 31, 31]
    red, _, blue = data.read(0, range(4)).mean(axis=(0, 2, 3))
    assert red > 180 and blue < 20 and data.fps == 30
    assert ("002", f"its mask {MASKS}/002_001 is black in all frames: replace it, or pass --crop.") in report.skipped


def test_one_command_prepares_a_published_dataset(tmp_path: Path, write_video: WriteVideo, capsys) -> None:
    """A piece of 512 frames; the rest is dropped."""
    frames = np.random.default_rng(0).integers(0, 256, (1, 16, 32, 3)).astype(np.uint8).repeat(600, axis=0)
    write_video(tmp_path / "jelly.mp4", frames, fps=30)
    args = ["--dataset", "rainbow-jelly", "--resolution", "16", "--num-workers", "1"]
    main(["prepare", str(tmp_path / "jelly.mp4"), str(tmp_path / "d.zip"), *args])
    videos = VideoDataset(tmp_path / "d.zip").videos
    assert [(video.name, video.num_frames) for video in videos] == [("jelly_000", 512)]
    assert "1 video, 512 frames of 16x16" in capsys.readouterr().out


def test_settings_of_a_rule_fill_in_defaults_only() -> None:
    rule = RULES["sky-timelapse"]
    assert rule.complete(PrepareOptions()).min_frames == 128
    completed = rule.complete(PrepareOptions(min_frames=16, fps=12.5))
    assert (completed.min_frames, completed.fps) == (16, 12.5)


def test_classes_of_the_user_replace_those_of_the_rule(tmp_path: Path, write_video: WriteVideo) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3)).astype(np.uint8)
    for name in (
        "M003/video/front/angry/level_1/001",
        "M005/video/front/sad/level_2/001",
        "M005/video/top/sad/level_2/1",
    ):
        write_video(tmp_path / "mead" / f"{name}.mp4", frames, fps=30)
    (tmp_path / "c.csv").write_text("M003/video/front/angry/level_1/001,angry\nM005/video/front/sad/level_2/001,sad\n")
    for classes, expected in (("auto", ["M003", "M005"]), ("none", []), (str(tmp_path / "c.csv"), ["angry", "sad"])):
        options = PrepareOptions(dataset="mead", classes=classes)
        dest = tmp_path / f"{len(expected)}{classes[:1].strip('/')}.zip"
        report = prepare(tmp_path / "mead", dest, resolution=(16, 16), options=options, num_workers=1)
        assert VideoDataset(dest).class_names == expected
        assert "M003_angry_level_1_001 = M005_sad_level_2_001 show nearly the same" in str(report)


def test_datasets_are_described(capsys) -> None:
    main(["datasets"])
    text = capsys.readouterr().out
    for name, rule in RULES.items():
        assert f"{name}: {rule.title}" in text and rule.terms in text and rule.protocol in text


def test_a_frame_size_is_required(tmp_path: Path, capsys) -> None:
    with pytest.raises(SystemExit):
        main(["prepare", str(tmp_path), str(tmp_path / "d.zip")])
    assert "requires --resolution or --dataset" in capsys.readouterr().err
