"""Projection: a clip's content and motion found again, kept, continued, and written as a folder."""

import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import save

from styleganv import cli
from styleganv.editing.latents import open_latents, play
from styleganv.editing.perceptual import Perceptual, ssim
from styleganv.editing.project import Projection, project
from styleganv.editing.project_video import read_clip
from styleganv.errors import StyleganvError
from styleganv.media.writing import write_video
from styleganv.methods.stylegan_v.sampler import Frame, VideoGenerator, load_video_generator

FRAMES, FPS = 12, 25.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random network of few numbers: with more of them its landscape is too rough to find every video again."""
    return save(tmp_path_factory.mktemp("project") / "model", z_dim=8, w_dim=8)


@pytest.fixture(scope="module")
def video(folder: Path) -> VideoGenerator:
    return load_video_generator(folder, device="cpu")


@pytest.fixture(scope="module")
def judge() -> Perceptual:
    """Colours at three sizes: quick, and enough for a network that is not trained."""
    return Perceptual("colours", "", lambda x: [torch.nn.functional.avg_pool2d(x, size) for size in (1, 2, 4)])


@pytest.fixture(scope="module")
def clip(video: VideoGenerator) -> Frame:
    return video.sample(seed=777, seconds=FRAMES / FPS)


@pytest.fixture(scope="module")
def found(video: VideoGenerator, clip: Frame, judge: Perceptual) -> Projection:
    return project(video, clip, FPS, steps=200, perceptual=judge)


def frames_of(video: VideoGenerator, found: Projection, **more: float) -> Frame:
    return np.stack(list(play(video, found.latents, **({"seconds": FRAMES / FPS} | more))))


def test_a_video_of_the_model_is_found_again(found: Projection, video: VideoGenerator, clip: Frame) -> None:
    assert found.means()["psnr"] >= 30
    errors = (frames_of(video, found).astype(float) - clip) ** 2
    assert np.allclose(found.psnr, 10 * np.log10(255**2 / errors.mean(axis=(1, 2, 3))), atol=1e-3)
    real, played = (torch.from_numpy(x).permute(0, 3, 1, 2).float() / 255 for x in (clip, frames_of(video, found)))
    assert np.allclose(found.ssim, ssim(played, real), atol=1e-5)
    assert found.history[-1]["psnr"] > found.history[0]["psnr"]


def test_the_clip_moves_and_motion_is_what_first_frame_only_lacks(
    found: Projection, video: VideoGenerator, clip: Frame, judge: Perceptual
) -> None:
    assert np.abs(clip[0].astype(int) - clip[-1]).mean() > 2
    only = project(video, clip, FPS, steps=200, perceptual=judge, first_frame=True)
    assert only.psnr[0] > 28
    assert found.means()["psnr"] > only.means()["psnr"] + 3
    seed = only.latents.motion.seed
    seeded = replace(only.latents, motion=replace(only.latents.motion, noise=None))
    assert np.array_equal(frames_of(video, replace(only, latents=seeded)), frames_of(video, only)), seed


def test_the_same_seed_finds_the_same(video: VideoGenerator, clip: Frame, judge: Perceptual) -> None:
    first, again, other = (
        project(video, clip, FPS, steps=10, seed=seed, perceptual=judge).latents for seed in (3, 3, 4)
    )
    assert torch.equal(first.styles, again.styles) and torch.equal(first.motion.noise, again.motion.noise)
    assert not torch.equal(first.styles, other.styles)


def test_space_w_has_one_style(video: VideoGenerator, clip: Frame, judge: Perceptual, found: Projection) -> None:
    styles = project(video, clip, FPS, steps=10, space="w", perceptual=judge).latents.styles
    assert (styles == styles[0]).all()
    assert not (found.latents.styles == found.latents.styles[0]).all()


def test_other_rates_and_beyond_the_end(found: Projection, video: VideoGenerator) -> None:
    """A shared time has one frame; across the clip's end nothing jumps."""
    assert np.array_equal(frames_of(video, found, fps=50.0)[::2], frames_of(video, found))
    longer = frames_of(video, found, seconds=3 * FRAMES / FPS).astype(float)
    change = np.abs(np.diff(longer, axis=0)).mean(axis=(1, 2, 3))
    assert change[FRAMES - 2 : FRAMES + 1].max() <= 1.5 * change.max(initial=0, where=np.arange(35) < FRAMES - 2)
    assert change[FRAMES:].min() > 0


def test_the_noise_stays_where_the_model_was_trained(found: Projection) -> None:
    noise = found.latents.motion.noise
    assert noise is not None
    assert ((noise.square().mean(dim=1) - 1).abs() < 1).all()


def test_fine_tuning_brings_it_nearer_and_leaves_the_model_alone(
    video: VideoGenerator, judge: Perceptual, clip: Frame
) -> None:
    before = {name: value.clone() for name, value in video.generator.state_dict().items()}
    plain = project(video, clip[:, ::-1].copy(), FPS, steps=20, perceptual=judge)
    tuned = project(video, clip[:, ::-1].copy(), FPS, steps=20, tune_steps=30, perceptual=judge)
    assert tuned.means()["psnr"] > plain.means()["psnr"] + 1
    assert all(torch.equal(value, before[name]) for name, value in video.generator.state_dict().items())


@pytest.mark.parametrize("arguments", [{"num_classes": 3, "width": 24}, {"motion": "lstm"}])
def test_classes_and_recurrent_motion(arguments: dict, judge: Perceptual, tmp_path: Path) -> None:
    video = load_video_generator(save(tmp_path / "model", **arguments), device="cpu")
    label = 1 if video.class_names else None
    clip = video.sample(seed=500, seconds=8 / FPS, label=label)
    found = project(video, clip, FPS, steps=40, perceptual=judge)
    start = project(video, clip, FPS, steps=0, perceptual=judge)
    assert found.means()["psnr"] > start.means()["psnr"] + 1
    assert (found.latents.motion.label is None) == (label is None)
    if video.class_names:
        assert project(video, clip, FPS, steps=0, label="class2", perceptual=judge).latents.motion.label == 2


def test_ctrl_c_keeps_what_is_found(video: VideoGenerator, clip: Frame, judge: Perceptual) -> None:
    """It comes in a step after the first look, which is the 20th time that the network is asked."""
    calls = count()

    def interrupted(x: torch.Tensor) -> Sequence[torch.Tensor]:
        if next(calls) == 20:
            raise KeyboardInterrupt
        return judge.maps(x)

    found = project(video, clip, FPS, steps=200, perceptual=replace(judge, maps=interrupted))
    assert found.interrupted and len(found.history) == 1
    assert found.means()["psnr"] == pytest.approx(found.history[0]["psnr"], abs=0.2)


def test_what_cannot_be_projected_is_told(video: VideoGenerator, clip: Frame, tmp_path: Path) -> None:
    images = load_video_generator(save(tmp_path / "images", motion="none"), device="cpu")
    for model, frames, options, told in (
        (images, clip, {}, "makes images"),
        (video, clip[:1], {}, "too short"),
        (video, clip[:, :8], {}, "resize"),
        (video, clip, {"space": "z"}, "w or w+"),
        (video, clip, {"label": "cat"}, "no classes"),
    ):
        with pytest.raises(StyleganvError, match=told):
            project(model, frames, FPS, **options)


def test_the_verb_leaves_a_folder_to_go_on_from(
    folder: Path, clip: Frame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A real file: enlarged, of another shape and rate; projected, tuned, opened again and played."""
    wide = np.pad(clip.repeat(2, 1).repeat(2, 2), [(0, 0), (0, 0), (8, 8), (0, 0)]).repeat(2, axis=0)
    write_video(tmp_path / "clip.mp4", wide, 50)
    out = tmp_path / "out"
    words = f"project {folder} {tmp_path / 'clip.mp4'} --out {out} --num-steps 20 --finetune-steps 5"
    words += " --seconds 0.4 --device cpu"
    cli.main(words.split())
    said = capsys.readouterr().out
    assert "PSNR" in said and str(out / "model") in said
    names = {"latents.safetensors", "comparison.mp4", "comparison.png", "continued.mp4", "report.json", "model"}
    assert {path.name for path in out.iterdir()} == names
    report = json.loads((out / "report.json").read_text())
    assert len(report["frames"]["psnr"]) == report["source"]["frames"] == 10
    tuned = load_video_generator(out / "model", device="cpu")
    real = read_clip(tuned, tmp_path / "clip.mp4", start=0, seconds=0.4)
    played = np.stack(list(play(tuned, open_latents(tuned, out), seconds=0.4)))
    errors = (played.astype(float) - real) ** 2
    assert np.allclose(10 * np.log10(255**2 / errors.mean(axis=(1, 2, 3))), report["frames"]["psnr"], atol=1e-3)
    assert read_clip(tuned, tmp_path / "clip.mp4", start=0.2, seconds=9).shape == (7, 16, 16, 3)
    cli.main(f"{words} --num-steps 0 --finetune-steps 0".split())  # a projection may be replaced
    assert not (out / "model").exists()


@pytest.mark.parametrize(
    "words, told",
    [
        ("{p}/clip.mp4 --out {p}/out --start 9", "from second 9"),
        ("{p}/clip.mp4 --out {p}/out --seconds 0", "0"),
        ("{p}/nothing.mp4 --out {p}/out", "nothing.mp4"),
        ("{p}/text.mp4 --out {p}/out", "text.mp4"),
        ("{p} --out {p}/out", "2 videos"),
        ("{p}/clip.mp4 --out {p}", "new folder"),
        ("{p}/clip.mp4 --out {p}/out --label cat", "no classes"),
        ("{p}/clip.mp4 --out {p}/out --perceptual {p}/text.mp4", "perceptual network"),
    ],
)
def test_mistakes_are_told_in_one_sentence(
    words: str, told: str, folder: Path, clip: Frame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_video(tmp_path / "clip.mp4", clip, FPS)
    (tmp_path / "text.mp4").write_text("hello")
    with pytest.raises(SystemExit) as end:
        cli.main(["project", str(folder), *words.format(p=tmp_path).split()])
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert end.value.code == 1 and message.startswith("styleganv: ") and message.endswith(".") and told in message
    assert not (tmp_path / "out").exists()
