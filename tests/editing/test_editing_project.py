"""Projection: content and motion of a clip are recovered, continued, and written to a folder."""

import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny import save

from styleganv import cli
from styleganv.editing.latents import load_latents, render_latents
from styleganv.editing.perceptual import Perceptual, ssim
from styleganv.editing.project import Projection, project
from styleganv.editing.project_video import read_clip
from styleganv.errors import StyleganvError
from styleganv.media.writing import write_video
from styleganv.methods.stylegan_v.sampler import Frame, VideoGenerator, load_video_generator
from styleganv.options import ProjectOptions
from styleganv.progress import Progress

FRAMES, FPS = 12, 25.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random network of few latents: with more, its loss has too many local minima to recover every video."""
    return save(tmp_path_factory.mktemp("project") / "model", z_dim=8, w_dim=8)


@pytest.fixture(scope="module")
def video(folder: Path) -> VideoGenerator:
    return load_video_generator(folder, device="cpu")


@pytest.fixture(scope="module")
def perceptual() -> Perceptual:
    """Colors at three sizes: fast, and sufficient for an untrained network."""
    return Perceptual("colors", "", lambda x: [torch.nn.functional.avg_pool2d(x, size) for size in (1, 2, 4)])


@pytest.fixture(scope="module")
def clip(video: VideoGenerator) -> Frame:
    return video.sample(seed=777, seconds=FRAMES / FPS)


@pytest.fixture(scope="module")
def projection(video: VideoGenerator, clip: Frame, perceptual: Perceptual) -> Projection:
    return project_clip(video, clip, perceptual, num_steps=200)


def project_clip(model: VideoGenerator, clip: Frame, perceptual: Perceptual, **options: Any) -> Projection:
    return project(model, clip, FPS, options=ProjectOptions(**options), perceptual=perceptual)


def frames_of(video: VideoGenerator, projection: Projection, **more: float) -> Frame:
    return np.stack(list(render_latents(video, projection.latents, **({"seconds": FRAMES / FPS} | more))))


@pytest.mark.slow
def test_a_video_of_the_model_is_recovered(projection: Projection, video: VideoGenerator, clip: Frame) -> None:
    assert projection.means()["psnr"] >= 30
    errors = (frames_of(video, projection).astype(float) - clip) ** 2
    assert np.allclose(projection.psnr, 10 * np.log10(255**2 / errors.mean(axis=(1, 2, 3))), atol=1e-3)
    real, rendered = (
        torch.from_numpy(x).permute(0, 3, 1, 2).float() / 255 for x in (clip, frames_of(video, projection))
    )
    assert np.allclose(projection.ssim, ssim(rendered, real), atol=1e-5)
    assert projection.history[-1]["psnr"] > projection.history[0]["psnr"]


@pytest.mark.slow
def test_fitting_only_the_first_frame_lacks_the_motion(
    projection: Projection, video: VideoGenerator, clip: Frame, perceptual: Perceptual
) -> None:
    assert np.abs(clip[0].astype(int) - clip[-1]).mean() > 2
    baseline = project_clip(video, clip, perceptual, num_steps=200, first_frame=True)
    assert baseline.psnr[0] > 28
    assert projection.means()["psnr"] > baseline.means()["psnr"] + 3
    seed = baseline.latents.motion.seed
    seeded = replace(baseline.latents, motion=replace(baseline.latents.motion, noise=None))
    assert np.array_equal(frames_of(video, replace(baseline, latents=seeded)), frames_of(video, baseline)), seed


@pytest.mark.slow
def test_the_same_seed_gives_the_same_latents(video: VideoGenerator, clip: Frame, perceptual: Perceptual) -> None:
    first, again, other = (project_clip(video, clip, perceptual, num_steps=10, seed=seed).latents for seed in (3, 3, 4))
    assert torch.equal(first.styles, again.styles) and torch.equal(first.motion.noise, again.motion.noise)
    assert not torch.equal(first.styles, other.styles)


@pytest.mark.slow
def test_space_w_gives_one_style(
    video: VideoGenerator, clip: Frame, perceptual: Perceptual, projection: Projection
) -> None:
    styles = project(
        video, clip, FPS, options=ProjectOptions(num_steps=10, space="w"), perceptual=perceptual
    ).latents.styles
    assert (styles == styles[0]).all()
    assert not (projection.latents.styles == projection.latents.styles[0]).all()


@pytest.mark.slow
def test_other_frame_rates_and_times_after_the_end(projection: Projection, video: VideoGenerator) -> None:
    """Equal times give equal frames; nothing jumps at the end of the clip."""
    assert np.array_equal(frames_of(video, projection, fps=50.0)[::2], frames_of(video, projection))
    longer = frames_of(video, projection, seconds=3 * FRAMES / FPS).astype(float)
    change = np.abs(np.diff(longer, axis=0)).mean(axis=(1, 2, 3))
    assert change[FRAMES - 2 : FRAMES + 1].max() <= 1.5 * change.max(initial=0, where=np.arange(35) < FRAMES - 2)
    assert change[FRAMES:].min() > 0


@pytest.mark.slow
def test_the_noise_stays_close_to_its_distribution(projection: Projection) -> None:
    noise = projection.latents.motion.noise
    assert noise is not None
    assert ((noise.square().mean(dim=1) - 1).abs() < 1).all()


@pytest.mark.slow
def test_fine_tuning_improves_the_match_and_leaves_the_model_unchanged(
    video: VideoGenerator, perceptual: Perceptual, clip: Frame
) -> None:
    before = {name: value.clone() for name, value in video.generator.state_dict().items()}
    untuned = project(video, clip[:, ::-1].copy(), FPS, options=ProjectOptions(num_steps=20), perceptual=perceptual)
    tuned = project(
        video, clip[:, ::-1].copy(), FPS, options=ProjectOptions(num_steps=20, finetune_steps=30), perceptual=perceptual
    )
    assert tuned.means()["psnr"] > untuned.means()["psnr"] + 1
    assert all(torch.equal(value, before[name]) for name, value in video.generator.state_dict().items())


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [{"num_classes": 3, "width": 24}, {"motion": "lstm"}])
def test_classes_and_recurrent_motion(arguments: dict, perceptual: Perceptual, tmp_path: Path) -> None:
    video = load_video_generator(save(tmp_path / "model", **arguments), device="cpu")
    label = 1 if video.class_names else None
    clip = video.sample(seed=500, seconds=8 / FPS, label=label)
    projection = project_clip(video, clip, perceptual, num_steps=40)
    start = project_clip(video, clip, perceptual, num_steps=0)
    assert projection.means()["psnr"] > start.means()["psnr"] + 1
    assert (projection.latents.motion.label is None) == (label is None)
    if video.class_names:
        assert (
            project(
                video, clip, FPS, options=ProjectOptions(num_steps=0, label="class2"), perceptual=perceptual
            ).latents.motion.label
            == 2
        )


@pytest.mark.slow
def test_ctrl_c_keeps_the_best_so_far(video: VideoGenerator, clip: Frame, perceptual: Perceptual) -> None:
    """Interrupt the step after the first evaluation, which is the 20th call of the perceptual network."""
    calls = count()

    def interrupt(x: torch.Tensor) -> Sequence[torch.Tensor]:
        if next(calls) == 20:
            raise KeyboardInterrupt
        return perceptual.maps(x)

    projection = project(
        video, clip, FPS, options=ProjectOptions(num_steps=200), perceptual=replace(perceptual, maps=interrupt)
    )
    assert projection.interrupted and len(projection.history) == 1
    assert projection.means()["psnr"] == pytest.approx(projection.history[0]["psnr"], abs=0.2)


@pytest.mark.slow
def test_a_keyboard_interrupt_in_the_callback_keeps_the_best_and_other_exceptions_cancel(
    video: VideoGenerator, clip: Frame, perceptual: Perceptual
) -> None:
    reports: list[tuple[int, int, str]] = []

    def raise_at_60(error: type[BaseException]) -> Progress:
        def report(done: int, total: int, stage: str) -> None:
            reports.append((done, total, stage))
            if done == 60 and stage.startswith("projecting"):
                raise error

        return report

    options = ProjectOptions(num_steps=100, finetune_steps=20)
    projection = project(
        video, clip, FPS, options=options, perceptual=perceptual, progress=raise_at_60(KeyboardInterrupt)
    )
    assert projection.interrupted and len(projection.history) == 1
    assert reports[:65] == [(done, 64, "comparing seeds") for done in range(65)]
    assert reports[65] == (0, 120, "projecting") and any("PSNR" in report[2] for report in reports)
    with pytest.raises(ValueError):
        project(video, clip, FPS, options=options, perceptual=perceptual, progress=raise_at_60(ValueError))


def test_invalid_clips_and_models_fail(video: VideoGenerator, clip: Frame, tmp_path: Path) -> None:
    images = load_video_generator(save(tmp_path / "images", motion="none"), device="cpu")
    for model, frames, label, message in (
        (images, clip, None, "got an image model"),
        (video, clip[:1], None, "at least 2 frames, got 1"),
        (video, clip[:, :8], None, "resize"),
        (video, clip, "cat", "no classes"),
    ):
        with pytest.raises(StyleganvError, match=message):
            project(model, frames, FPS, options=ProjectOptions(label=label))


@pytest.mark.parametrize(
    "options, message",
    [
        ({"space": "z"}, "--space must be one of w, w\\+, got 'z'"),
        ({"num_steps": -1}, "--num-steps must be an integer of at least 0"),
        ({"finetune_steps": -1}, "--finetune-steps must be an integer of at least 0"),
    ],
)
def test_invalid_options_fail(options: dict, message: str) -> None:
    with pytest.raises(StyleganvError, match=message):
        ProjectOptions(**options)


@pytest.mark.slow
def test_the_command_writes_a_folder_to_continue_from(
    folder: Path, clip: Frame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file of another size, shape and frame rate is projected, fine-tuned, loaded and rendered."""
    wide = np.pad(clip.repeat(2, 1).repeat(2, 2), [(0, 0), (0, 0), (8, 8), (0, 0)]).repeat(2, axis=0)
    write_video(tmp_path / "clip.mp4", wide, 50)
    out = tmp_path / "out"
    arguments = f"project {folder} {tmp_path / 'clip.mp4'} --out {out} --num-steps 20 --finetune-steps 5"
    arguments += " --seconds 0.4 --device cpu"
    cli.main(arguments.split())
    output = capsys.readouterr().out
    assert "PSNR" in output and f"{out / 'model'} --latents {out}" in output
    names = {"latents.safetensors", "comparison.mp4", "comparison.png", "continued.mp4", "report.json", "model"}
    assert {path.name for path in out.iterdir()} == names
    report = json.loads((out / "report.json").read_text())
    assert len(report["frames"]["psnr"]) == report["source"]["num_frames"] == 10
    tuned = load_video_generator(out / "model", device="cpu")
    real = read_clip(tuned, tmp_path / "clip.mp4", start=0, seconds=0.4)
    rendered = np.stack(list(render_latents(tuned, load_latents(tuned, out), seconds=0.4)))
    errors = (rendered.astype(float) - real) ** 2
    assert np.allclose(10 * np.log10(255**2 / errors.mean(axis=(1, 2, 3))), report["frames"]["psnr"], atol=1e-3)
    assert read_clip(tuned, tmp_path / "clip.mp4", start=0.2, seconds=9).shape == (7, 16, 16, 3)
    arguments += " --num-steps 0 --finetune-steps 0"
    with pytest.raises(SystemExit):
        cli.main(arguments.split())
    assert "out already exists" in capsys.readouterr().err and (out / "model").exists()
    cli.main(f"{arguments} --overwrite".split())
    assert not (out / "model").exists()


@pytest.mark.parametrize(
    "arguments, message",
    [
        ("{p}/clip.mp4 --out {p}/out --start 9", "after 9 seconds"),
        ("{p}/clip.mp4 --out {p}/out --seconds 0", "--seconds must be a finite number greater than 0, got 0"),
        ("{p}/nothing.mp4 --out {p}/out", "nothing.mp4"),
        ("{p}/text.mp4 --out {p}/out", "text.mp4"),
        ("{p} --out {p}/out", "2 videos"),
        ("{p}/clip.mp4 --out {p}", "new folder"),
        ("{p}/clip.mp4 --out {p}/out --label cat", "no classes"),
        ("{p}/clip.mp4 --out {p}/out --perceptual {p}/text.mp4", "perceptual network"),
    ],
)
def test_errors_are_one_sentence(
    arguments: str, message: str, folder: Path, clip: Frame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_video(tmp_path / "clip.mp4", clip, FPS)
    (tmp_path / "text.mp4").write_text("hello")
    with pytest.raises(SystemExit) as end:
        cli.main(["project", str(folder), *arguments.format(p=tmp_path).split()])
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert end.value.code == 1 and error.startswith("styleganv: ") and error.endswith(".") and message in error
    assert not (tmp_path / "out").exists()
