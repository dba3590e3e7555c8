"""Training of VideoGPT: both stages, micro-batches, exact resumption, commands."""

import json
import math
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from settings import with_training
from shapes import make_shapes
from torch import Tensor

from styleganv.cli import main
from styleganv.clip import Clip
from styleganv.config import RunConfig, TrainingConfig
from styleganv.data.dataset import VideoDataset
from styleganv.data.dataset_writer import write_dataset
from styleganv.errors import StyleganvError
from styleganv.faces.dataset import make_faces
from styleganv.methods import apply_method, build_trainer
from styleganv.methods.videogpt.trainer import VideoGptTrainer
from styleganv.runs import resume, train
from styleganv.training.batches import ClipDataset, iterate_batches
from styleganv.training.checkpoint import load_checkpoint
from styleganv.training.loop import InterruptedTraining
from styleganv.training.run_log import read_log

CPU = torch.device("cpu")
CLIP = 16 / 25  # seconds


@pytest.fixture
def small(tiny: RunConfig) -> RunConfig:
    return apply_method(tiny, "videogpt")


def build(config: RunConfig, data: Path) -> tuple[VideoGptTrainer, Callable[[int], Clip]]:
    """Return a trainer, and a function from a step to its clips."""
    dataset, training = VideoDataset(data), config.training
    trainer = build_trainer(config, dataset, CPU)
    assert isinstance(trainer, VideoGptTrainer)
    clips = ClipDataset(dataset, TrainingConfig(num_frames=16, max_span=15))

    def batch(step: int) -> Clip:
        n, first = training.batch_size, step * training.batch_size
        return next(iterate_batches(clips, first=first, batch_size=n, num_workers=0, device=CPU))

    return trainer, batch


@pytest.mark.long
def test_four_clips_are_memorized(tmp_path: Path, small: RunConfig) -> None:
    """Reconstructions are within 17 gray levels, codes almost certain, and 3 of 4 samples are one of the clips.

    The mean image is 35 levels away, another clip 39; a sample counts as a clip within 22 levels.
    """
    make_shapes(tmp_path / "four.zip", num_videos=4, num_frames=16, resolution=(16, 16), seed=3)
    config = replace(with_training(small, batch_size=4, lr=0.004), model=replace(small.model, channel_max=32))
    trainer, batch = build(config, tmp_path / "four.zip")
    real, steps = batch(0), 500
    for step in range(steps):
        trainer.progress = step / steps
        trainer.train_step(None, real)  # type: ignore[arg-type]
    assert trainer.stage == 2 and not trainer.net.transformer.training
    net, frames = trainer.net, (real.frames.float() / 255 - 0.5).transpose(1, 2)
    with torch.no_grad():
        codes = net.vqvae.encode(frames)
        decoded = net.vqvae.decode(codes, net.shape)
        logits = net.transformer(codes, torch.zeros(4, dtype=torch.long))
    clips = real.frames.permute(0, 1, 3, 4, 2).numpy()
    assert min(nearest(clips[i], np.delete(clips, i, axis=0))[0] for i in range(4)) > 39
    assert (decoded - frames).square().mean().sqrt() * 255 < 17
    assert torch.nn.functional.cross_entropy(logits.flatten(0, 1), codes.flatten()) < 0.1
    model = trainer.video_model(VideoDataset(tmp_path / "four.zip"))
    nearest_clips = [nearest(model.sample(seed=seed, seconds=CLIP), clips) for seed in range(12)]
    recognized = [clip for distance, clip in nearest_clips if distance < 22]
    assert len(recognized) >= 9 and len(set(recognized)) >= 3, nearest_clips


def nearest(video: NDArray, clips: NDArray) -> tuple[float, int]:
    """Return the RMS distance, in gray levels, to the nearest of the clips, and its index."""
    distances = np.sqrt(np.square(clips.astype(np.float64) - video).mean(axis=(1, 2, 3, 4)))
    return float(distances.min()), int(distances.argmin())


def test_micro_batches_give_the_gradients_of_the_batch(tmp_path: Path, small: RunConfig) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (8, 16, 16, 16, 3), dtype=np.uint8)
    records = [(f"video{i}", frames[i], i % 2, {}) for i in range(8)]
    write_dataset(tmp_path / "two.zip", records, height=16, width=16, fps=25, class_names=["a", "b"])
    after = []
    for changes in ({}, {"micro_batch_size": 4}):
        trainer, batch = build(with_training(small, **changes), tmp_path / "two.zip")
        trainer.net.transformer.apply(lambda m: setattr(m, "p", 0.0) if isinstance(m, torch.nn.Dropout) else None)
        trainer._sample_candidates = lambda flat: flat[:64]  # type: ignore[method-assign]
        real = batch(0)
        order = torch.arange(8).view(4, 2).T.flatten()  # the first part then starts with the same features as the whole
        real = replace(real, frames=real.frames[order], label=None if real.label is None else real.label[order])
        assert real.label is not None and real.label.shape == (8, 2)
        for trainer.progress in (0.0, 0.5):
            trainer.train_step(None, real)  # type: ignore[arg-type]
        gradients = {n: p.grad for n, p in trainer.net.named_parameters()}
        assert all(gradient is not None for gradient in gradients.values())
        assert (trainer.net.transformer.start.weight.grad != 0).any(dim=1).all()  # type: ignore[union-attr]
        after.append(gradients | {"counts": trainer.net.vqvae.codebook.counts})
    for name, value in after[0].items():
        torch.testing.assert_close(after[1][name], value, rtol=1e-3, atol=1e-4 * float(value.abs().max()), msg=name)


def same_state(a: Any, b: Any) -> bool:
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same_state(a[k], b[k]) for k in a if k != "minutes")
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same_state, a, b))
    return torch.equal(a, b) if isinstance(a, Tensor) else a == b


@pytest.mark.slow
@pytest.mark.usefixtures("no_run_images")
@pytest.mark.parametrize("at", [2, 5])
def test_an_interrupted_run_resumes_bit_for_bit_in_either_stage(
    at: int, faces: Path, small: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = with_training(small, total_clips=64)
    train(faces, tmp_path / "whole", config)
    whole = VideoGptTrainer.train_step

    def step(self: VideoGptTrainer, clips: ClipDataset, real: Clip) -> None:
        whole(self, clips, real)
        if self.step == at:
            signal.raise_signal(signal.SIGTERM)

    with monkeypatch.context() as patched:
        patched.setattr("styleganv.runs.dry_run", lambda *_: None)  # it must not receive signals
        patched.setattr(VideoGptTrainer, "train_step", step)
        with pytest.raises(InterruptedTraining):
            train(faces, tmp_path / "parts", config)
    begun = load_checkpoint(tmp_path / "parts" / "checkpoint.pt")["optimizer_gpt"]["state"]
    assert bool(begun) == (at > 4)
    resume(tmp_path / "parts")
    one, two = (load_checkpoint(tmp_path / run / "checkpoint.pt") for run in ("whole", "parts"))
    assert one["step"] == 8 and same_state(one, two)
    for run in ("whole", "parts"):
        log = read_log(tmp_path / run / "log.jsonl")
        assert [line["stage"] for line in log] == [1, 1, 1, 1, 2, 2, 2, 2]
        assert ["loss_gpt" in line for line in log] == [line["stage"] == 2 for line in log]
        assert ["codes_used" in line for line in log] == [line["stage"] == 1 for line in log]


@pytest.mark.long
@pytest.mark.usefixtures("no_run_images")
def test_a_run_limited_by_time_halves_it_and_never_leaves_stage_two(
    faces: Path, small: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every step advances the clock by one minute."""
    now = [0.0]
    stages: list[tuple[int, float]] = []
    monkeypatch.setattr("styleganv.training.loop.time.monotonic", lambda: now[0])
    whole = VideoGptTrainer.train_step

    def step(self: VideoGptTrainer, clips: ClipDataset, real: Clip) -> None:
        whole(self, clips, real)
        optimizer = self.optimizer_vqvae if self.stage == 1 else self.optimizer_gpt
        stages.append((self.stage, optimizer.param_groups[0]["lr"] / 0.0003))
        now[0] += 60
        if len(stages) == 2:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(VideoGptTrainer, "train_step", step)
    monkeypatch.setattr("styleganv.runs.dry_run", lambda *_: None)
    config = with_training(small, total_clips=10_000, minutes=6.0)
    with pytest.raises(InterruptedTraining):
        train(faces, tmp_path / "run", config)
    resume(tmp_path / "run")  # six more minutes, so eight in all
    assert [stage for stage, _ in stages] == [1, 1, 1, 1, 2, 2, 2, 2]
    assert stages[4][1] == 1 and stages[7][1] == pytest.approx((1 + math.cos(math.pi * 0.75)) / 2)
    resume(tmp_path / "run", config=with_training(config, minutes=24.0))
    assert len(stages) == 32 and {stage for stage, _ in stages[8:]} == {2} and stages[8][1] == 1


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"num_frames": 18, "max_span": 17}, "a multiple of 4, got 18: set --num-frames 16"),
        ({"num_frames": 8, "max_span": 7}, "at least 16 frames"),
        ({"max_span": 32}, "consecutive frames: set --max-span 15"),
        ({"gradient_checkpointing": True}, "does not support --gradient-checkpointing"),
    ],
)
def test_unsupported_training_settings_are_rejected(
    changes: dict[str, Any], message: str, faces: Path, small: RunConfig, tmp_path: Path
) -> None:
    with pytest.raises(StyleganvError, match=message):
        train(faces, tmp_path / "run", with_training(small, **changes))


def test_other_unsupported_settings_are_rejected(faces: Path, small: RunConfig, tmp_path: Path) -> None:
    with pytest.raises(StyleganvError, match="set --augment none"):
        train(faces, tmp_path / "run", replace(small, augment=replace(small.augment, augment="ada")))
    with pytest.raises(StyleganvError, match="got videogpt: omit --finetune"):
        train(faces, tmp_path / "run", small, finetune=tmp_path)
    make_faces(tmp_path / "odd.zip", num_videos=2, num_frames=16, resolution=(18, 32))
    with pytest.raises(StyleganvError, match="18x32: prepare"):
        train(tmp_path / "odd.zip", tmp_path / "run", small)


@pytest.mark.slow
@pytest.mark.usefixtures("small_features")
def test_commands_from_training_to_the_motion_report(
    faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STYLEGANV_CACHE", str(tmp_path / "cache"))
    run, options = tmp_path / "run", "--channel-max 8 --batch-size 8 --precision float32 --total-clips 48 --log-every 8"

    def styleganv(text: str, error: str | None = None) -> None:
        if error is None:
            return main(text.split())
        with pytest.raises(SystemExit):
            main(text.split())
        assert error in capsys.readouterr().err.splitlines()[-1]
        return None

    styleganv(f"train {faces} --out {run} --method videogpt --eval-every 48 --eval-clips 4 {options}")
    assert {line.get("stage") for line in read_log(run / "log.jsonl")} == {1, 2}
    assert (run / "best" / "config.json").exists() and (run / "curves.png").exists()
    assert len(list((run / "snapshots").iterdir())) == 2
    styleganv(f"generate {run} --out {tmp_path / 'videos'} --seeds 0-1 --format frames")
    assert sorted(x.name for x in (tmp_path / "videos").iterdir()) == ["seed0000", "seed0001"]
    assert len(list((tmp_path / "videos" / "seed0000").iterdir())) == 16
    styleganv(f"generate {run} --out {tmp_path / 'videos'} --seconds 5", "must end within 0.64 seconds")
    styleganv(f"generate {run} --out {tmp_path / 'videos'} --format grid", "Format grid requires motion seeds")
    protocol = "--protocol frechet_efficientnet256_16f --num-clips 4"
    styleganv(f"evaluate --real {faces} --fake {run} {protocol} --json {tmp_path / 'values.json'} --device cpu")
    assert json.loads((tmp_path / "values.json").read_text())["results"][0]["clips"]["fake"] == 4
    page, numbers = tmp_path / "report.html", tmp_path / "report.json"
    styleganv(f"diagnose {run} --num-videos 2 --out {page} --json {numbers} --device cpu")
    report = json.loads(numbers.read_text())
    assert report["num_frames"] == 16 and "must end within 0.64 seconds" in page.read_text()
    verdicts = {each["name"]: each["verdict"] for each in report["diagnostics"] if each["value"] is None}
    assert "no motion seed" in verdicts["hold"] and "must end within 0.64 seconds" in verdicts["drift_1000"]
    assert "fixed frame rate" in verdicts["between"] and "no motion slots" in verdicts["slot_jump"]
