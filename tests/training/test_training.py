"""Training as a whole: exact resumption, divergence, fine-tuning, evaluation; real files."""

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import warm
import yaml
from run_state import assert_same_state, flatten
from safetensors.torch import load_file
from settings import with_training

from styleganv.clip import Clip
from styleganv.config import RunConfig, TrainingConfig, load_settings, save_settings
from styleganv.data.dataset import VideoDataset
from styleganv.data.dataset_writer import write_dataset
from styleganv.data.inspect import inspect
from styleganv.errors import StyleganvError
from styleganv.faces.dataset import make_faces
from styleganv.methods.loading import load
from styleganv.methods.stylegan_v.losses import compute_logits
from styleganv.methods.stylegan_v.trainer import GanTrainer, build_networks
from styleganv.runs import resume, train
from styleganv.training.batches import ClipDataset, iterate_batches
from styleganv.training.checkpoint import load_checkpoint
from styleganv.training.log_file import read_log, read_records
from styleganv.training.loop import is_best

CPU = torch.device("cpu")


@pytest.mark.usefixtures("no_run_images")
def test_four_steps_equal_two_resumed_two_bit_for_bit(faces: Path, tiny: RunConfig, tmp_path: Path) -> None:
    train(faces, tmp_path / "whole", with_training(tiny, total_clips=32))
    train(faces, tmp_path / "halves", with_training(tiny, total_clips=16))
    resume(tmp_path / "halves", config=with_training(tiny, total_clips=32))
    assert_same_state(tmp_path / "whole" / "checkpoint.pt", tmp_path / "halves" / "checkpoint.pt")
    whole, halves = (load_file(tmp_path / run / "model" / "model.safetensors") for run in ("whole", "halves"))
    assert all(torch.equal(whole[name], halves[name]) for name in whole)
    log = read_log(tmp_path / "halves" / "log.jsonl")
    assert [record["clips_seen"] for record in log] == [8, 16, 24, 32]
    assert [record["frames_seen"] for record in log] == [24, 48, 72, 96]
    events = map(json.loads, (tmp_path / "halves" / "log.jsonl").open())
    assert [event["clips_seen"] for event in events if event.get("event") == "start"] == [0, 16]  # not from scratch


def test_a_run_holds_all_it_should(faces: Path, tiny: RunConfig, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert train(faces, run, tiny) == run / "model"
    for name in ("settings.yaml", "checkpoint.pt", "curves.png", "model/config.json", "model/model.safetensors"):
        assert (run / name).stat().st_size > 0
    assert (run / "snapshots" / "000000016.png").exists() and (run / "snapshots" / "000000016.mp4").exists()
    assert list((run / "tensorboard").iterdir())
    assert yaml.safe_load((run / "settings.yaml").read_text())["training"]["batch_size"] == 8
    assert json.loads((run / "model" / "config.json").read_text())["training"] == {"clips_seen": 16, "frames_seen": 48}
    with pytest.raises(StyleganvError, match="--resume"):
        train(faces, run, tiny)


@pytest.mark.usefixtures("no_run_images")
def test_a_run_works_on_its_own_number_of_threads(
    faces: Path, tiny: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads, before = [], torch.get_num_threads()

    def train_step(trainer: GanTrainer, *_: Any) -> None:
        threads.append(torch.get_num_threads())
        trainer.step += 1

    monkeypatch.setattr(GanTrainer, "train_step", train_step)
    train(faces, tmp_path / "run", with_training(tiny, num_threads=before + 1))
    assert set(threads) == {before + 1} and torch.get_num_threads() == before


def test_resume_refuses_what_would_change_the_mathematics(finished_run: Path, tiny: RunConfig) -> None:
    with pytest.raises(StyleganvError, match="keeps its settings"):
        resume(finished_run, config=with_training(tiny, lr=0.001))


@pytest.mark.slow
@pytest.mark.usefixtures("no_run_images")
def test_a_requeued_run_keeps_the_settings_that_it_chose(
    faces: Path, tiny: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same command starts and resumes it, without the options that the first start added.

    They are the slot distance, which was estimated, and micro-batches, to fit a GPU.
    """
    tiny = replace(tiny, model=replace(tiny.model, slot_distance="auto"))
    with monkeypatch.context() as patch:
        patch.setattr("styleganv.runs.choose_memory", lambda config, *_: with_training(config, micro_batch_size=4))
        train(faces, tmp_path / "run", tiny)
    train(faces, tmp_path / "run", with_training(tiny, total_clips=24), or_resume=True)
    config, suggested = load_settings(tmp_path / "run" / "settings.yaml"), inspect(faces).slot_distance
    assert (config.training.micro_batch_size, config.model.slot_distance) == (4, suggested)
    assert load(tmp_path / "run" / "model").slot_distance == suggested != 16
    assert load_checkpoint(tmp_path / "run" / "checkpoint.pt")["step"] == 3
    with pytest.raises(StyleganvError, match="keeps its settings"):
        resume(tmp_path / "run", config=with_training(tiny, micro_batch_size=8))


def test_resume_refuses_other_data(finished_run: Path, tmp_path: Path) -> None:
    make_faces(tmp_path / "other.zip", num_videos=8, num_frames=20, resolution=(16, 16), seed=1)
    with pytest.raises(StyleganvError, match="not the dataset"):
        resume(finished_run, data=tmp_path / "other.zip")


@pytest.mark.parametrize("loss", ["logistic", "relativistic"])
def test_micro_batches_accumulate_to_the_whole_batch(loss: str, faces: Path, tiny: RunConfig) -> None:
    gradients = []
    for micro in (8, 4):
        config = with_training(tiny, micro_batch_size=micro, loss=loss)
        data = VideoDataset(faces)
        trainer = GanTrainer(config, *build_networks(config, data))
        clips = ClipDataset(data, TrainingConfig(num_frames=3, max_span=32))
        batches = iterate_batches(clips, first=0, batch_size=8, num_workers=0, device=CPU)
        trainer.train_step(clips, next(batches))
        gradients.append([p.grad.clone() for p in trainer.discriminator.parameters() if p.grad is not None])
    for whole, parts in zip(*gradients, strict=True):
        torch.testing.assert_close(whole, parts, rtol=1e-3, atol=1e-4 * float(whole.abs().max()) + 1e-7)


@pytest.mark.parametrize("batch", [2, 4, 6, 8])
def test_joint_logits_equal_separate_logits(batch: int, faces: Path, tiny: RunConfig) -> None:
    data = VideoDataset(faces)
    trainer = GanTrainer(tiny, *build_networks(tiny, data))
    random = torch.Generator().manual_seed(0)
    frames = torch.randn(2, batch, 3, 3, 16, 16, generator=random)
    times = torch.rand(2, batch, 3, generator=random, dtype=torch.float64).cumsum(dim=2) * 9
    fake, real = Clip(frames[0], times[0]), Clip(frames[1], times[1].round().long())
    together = compute_logits(trainer.discriminator, fake, real)
    for logits, clip in zip(together, (fake, real), strict=True):
        torch.testing.assert_close(logits, trainer.discriminator(clip.frames, clip.times), rtol=1e-5, atol=1e-6)


def test_data_workers_do_not_change_what_is_read(faces: Path) -> None:
    clips = ClipDataset(VideoDataset(faces), TrainingConfig(num_frames=3, max_span=32, seed=0, mirror=True))
    streams = [iterate_batches(clips, first=40, batch_size=8, num_workers=n, device=CPU) for n in (0, 2)]
    for _ in range(3):
        here, there = (next(stream) for stream in streams)
        assert torch.equal(here.frames, there.frames) and torch.equal(here.times, there.times)


@pytest.mark.usefixtures("no_run_images")
def test_divergence_stops_with_the_last_good_checkpoint(faces: Path, tiny: RunConfig, tmp_path: Path) -> None:
    config = with_training(tiny, total_clips=8000, lr=1e30)
    with pytest.raises(StyleganvError, match=r"diverged.*last good checkpoint is .*checkpoint\.pt"):
        train(faces, tmp_path / "run", config)
    good = flatten(load_checkpoint(tmp_path / "run" / "checkpoint.pt"))
    assert all(value.isfinite().all() for value in good.values())
    assert read_records(tmp_path / "run" / "log.jsonl")[-1]["event"] == "diverged"


def test_a_damaged_checkpoint_is_named(finished_run: Path, tmp_path: Path) -> None:
    path = shutil.copytree(finished_run, tmp_path / "run") / "checkpoint.pt"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(StyleganvError, match=r"checkpoint\.pt is damaged.*--finetune"):
        resume(tmp_path / "run")


def test_settings_of_another_network_than_the_checkpoints(finished_run: Path, tiny: RunConfig, tmp_path: Path) -> None:
    run = shutil.copytree(finished_run, tmp_path / "run")
    save_settings(replace(tiny, model=replace(tiny.model, slot_distance=16, w_dim=8)), run / "settings.yaml")
    with pytest.raises(StyleganvError, match=r"does not match .*settings\.yaml \(.*size mismatch for mapping"):
        resume(run)


@pytest.mark.slow
def test_a_full_disk_leaves_the_checkpoint_before(finished_run: Path, tiny: RunConfig, tmp_path: Path) -> None:
    run = shutil.copytree(finished_run, tmp_path / "run")
    before = (run / "checkpoint.pt").read_bytes()
    save_settings(with_training(tiny, total_clips=32), run / "settings.yaml")
    limit = len(before) // 2
    code = (
        f"import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))\n"
        f"from styleganv.cli import main; main(['train', '--resume', {str(run)!r}])"
    )
    job = warm.run([sys.executable, "-c", code])
    assert job.returncode == 1
    message = job.stderr.splitlines()[-1]
    assert "the disk is full (the checkpoint at 16 clips is kept): free at least 1 MiB" in message, job.stderr
    assert "Traceback" not in job.stderr
    assert (run / "checkpoint.pt").read_bytes() == before


@pytest.mark.slow
@pytest.mark.usefixtures("no_run_images")
def test_finetuning_starts_from_the_model(finished_run: Path, faces: Path, tiny: RunConfig, tmp_path: Path) -> None:
    still = with_training(tiny, lr=1e-12, total_clips=8)
    train(faces, tmp_path / "second", still, finetune=finished_run)
    first, second = (load_file(run / "model" / "model.safetensors") for run in (finished_run, tmp_path / "second"))
    for name in first.keys() - {"mapping.w_mean"}:  # the mean of w goes on moving
        torch.testing.assert_close(second[name], first[name], rtol=0, atol=1e-6, msg=name)
    other = replace(still, model=replace(tiny.model, channel_max=4))  # the model knows its own networks
    train(faces, tmp_path / "third", other, finetune=finished_run)
    assert load_settings(tmp_path / "third" / "settings.yaml").model == tiny.model


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"batch_size": 0}, "--batch-size must be an integer from 1 to 16777216, got 0"),
        ({"num_frames": 1}, "--motion none"),
        ({"num_frames": 40, "max_span": 32}, "--max-span 32 is too short"),
        ({"num_frames": 41, "max_span": 50}, "fewer frames than a clip \\(41\\)"),
        ({"micro_batch_size": 3}, "--micro-batch-size 3 does not divide"),
    ],
)
def test_impossible_settings(
    changes: dict[str, int], message: str, faces: Path, tiny: RunConfig, tmp_path: Path
) -> None:
    with pytest.raises(StyleganvError, match=message):
        train(faces, tmp_path / "run", with_training(tiny, **changes))


def test_videos_without_a_class_are_counted_before_anything_is_written(tiny: RunConfig, tmp_path: Path) -> None:
    frames = np.zeros((4, 16, 16, 3), np.uint8)
    videos = [(f"v{i}", frames, label, {}) for i, label in enumerate((0, 1, None, 1))]
    write_dataset(tmp_path / "data.zip", videos, height=16, width=16, fps=10, class_names=["a", "b"])
    with pytest.raises(StyleganvError, match=r"1 of 4 videos of .* have no class: label .* or pass --no-conditional"):
        train(tmp_path / "data.zip", tmp_path / "run", tiny)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("no_run_images", "small_features")
def test_a_run_is_evaluated_and_the_best_model_kept(
    faces: Path, tiny: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STYLEGANV_CACHE", str(tmp_path / "cache"))
    evaluated = replace(tiny, logging=replace(tiny.logging, eval_every=8, eval_clips=4))
    train(faces, tmp_path / "run", with_training(evaluated, total_clips=24))
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    values = {line["clips_seen"]: line["frechet_efficientnet"] for line in lines if "frechet_efficientnet" in line}
    assert list(values) == [8, 16, 24] and all(value > 0 for value in values.values())
    kept = json.loads((tmp_path / "run" / "best" / "config.json").read_text())["training"]
    assert kept["clips_seen"] == min(values, key=values.__getitem__)
    assert kept["frechet_efficientnet"] == min(values.values()) and kept["frechet_efficientnet_floor"] > 0
    assert load(tmp_path / "run" / "best").sample(seed=0, seconds=0.1).shape == (2, 16, 16, 3)
    assert len(list((tmp_path / "cache").iterdir())) == 3  # lengths and two sets of the data's; none of the model's
    # A better value of before stands in the way of a worse model; one of a part that is trained again does not.
    assert not is_best(tmp_path / "run" / "best", {"frechet_efficientnet": 1e9}, clips_seen=32)
    assert is_best(tmp_path / "run" / "best", {"frechet_efficientnet": 1e9}, clips_seen=8)
    assert is_best(tmp_path / "run" / "best", {"frechet_efficientnet": 0.0}, clips_seen=32)


def test_too_few_clips_for_an_evaluation_are_refused_at_once(faces: Path, tiny: RunConfig, tmp_path: Path) -> None:
    with pytest.raises(StyleganvError, match="--eval-clips must be an integer of at least 4"):
        train(faces, tmp_path / "run", replace(tiny, logging=replace(tiny.logging, eval_clips=3)))


@pytest.mark.usefixtures("no_run_images")
def test_videos_too_short_for_an_evaluation_are_trained_on(
    tiny: RunConfig, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "styleganv")
    make_faces(tmp_path / "short.zip", num_videos=8, num_frames=15, resolution=(16, 16))
    evaluated = replace(tiny, logging=replace(tiny.logging, eval_every=8))
    train(tmp_path / "short.zip", tmp_path / "run", evaluated)
    assert "skipping evaluations" in caplog.text
    assert not (tmp_path / "run" / "best").exists()
