"""VideoGPT: its parts by hand, both stages of its training, exact resumption, sampling, and the way by commands."""

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

from styleganv import noise
from styleganv.cli import main
from styleganv.clip import Clip
from styleganv.config import RunConfig, TrainingConfig
from styleganv.data.dataset import VideoDataset, write_dataset
from styleganv.errors import StyleganvError
from styleganv.faces.dataset import make_faces
from styleganv.faces.factor_report import compare_factors
from styleganv.methods import apply_method, build_trainer
from styleganv.methods.loading import load
from styleganv.methods.videogpt.networks import (
    AxialAttention,
    Codebook,
    Transformer,
    VideoGpt,
    VideoGptConfig,
    VideoGptVideos,
    drawn,
)
from styleganv.methods.videogpt.trainer import VideoGptTrainer
from styleganv.metrics.evaluate import evaluate
from styleganv.metrics.options import EvaluateOptions
from styleganv.model_folder import save_model
from styleganv.runs import resume, train
from styleganv.training.batches import ClipDataset, iterate_batches
from styleganv.training.checkpoint import load_checkpoint
from styleganv.training.loop import InterruptedTraining
from styleganv.training.run_log import read_log
from styleganv.video_model import Precision
from styleganv.videos import DatasetVideos, ModelVideos

CPU = torch.device("cpu")
CLIP = 16 / 25  # seconds


@pytest.fixture
def small(tiny: RunConfig) -> RunConfig:
    return apply_method(tiny, "videogpt")


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> VideoGptVideos:
    """An untrained network of three classes whose logits differ enough to matter."""
    torch.manual_seed(0)
    net = VideoGpt(VideoGptConfig(16, 24, num_classes=3, channel_max=8))
    torch.nn.init.normal_(net.transformer.start.weight)
    torch.nn.init.normal_(net.transformer.logits.weight)
    torch.nn.init.normal_(net.vqvae.codebook.vectors)
    folder = tmp_path_factory.mktemp("videogpt") / "model"
    save_model(folder, net, method="videogpt", data={"fps": 25.0, "class_names": ["a", "b", "c"]}, training={})
    loaded = load(folder, device="cpu")
    assert isinstance(loaded, VideoGptVideos)
    return loaded


def built(config: RunConfig, data: Path) -> tuple[VideoGptTrainer, Callable[[int], Clip]]:
    """A trainer, and the clips of each of its steps."""
    dataset, training = VideoDataset(data), config.training
    trainer = build_trainer(config, dataset, CPU)
    assert isinstance(trainer, VideoGptTrainer)
    clips = ClipDataset(dataset, TrainingConfig(num_frames=16, max_span=15))

    def batch(step: int) -> Clip:
        n, first = training.batch_size, step * training.batch_size
        return next(iterate_batches(clips, first=first, batch_size=n, num_workers=0, device=CPU))

    return trainer, batch


# The networks


def test_each_axis_attends_by_itself() -> None:
    torch.manual_seed(0)
    x = torch.randn(1, 8, 3, 4, 5, requires_grad=True)
    attention = AxialAttention(8)
    assert not attention(x).any()  # until it has learned
    for axis in attention.axes:
        torch.nn.init.normal_(axis.out.weight)
    y = attention(x)
    assert y.shape == x.shape
    (seen,) = torch.autograd.grad(y[0, :, 1, 2, 3].sum(), x)
    places = seen[0].abs().sum(dim=0) > 0
    expected = torch.zeros(3, 4, 5, dtype=torch.bool)
    expected[:, 2, 3] = expected[1, :, 3] = expected[1, 2, :] = True
    assert torch.equal(places, expected)


def test_the_codebook_follows_what_is_nearest_and_restarts_what_is_not_used() -> None:
    random = torch.Generator().manual_seed(0)
    book, first = Codebook(4, 3), torch.randn(4, 3, generator=random)
    book.restart(first, 0.5)
    assert torch.equal(book.vectors, first)  # at first, none was ever used
    z = torch.randn(50, 3, generator=random)
    codes = book(z)
    assert torch.equal(codes, (z[:, None] - first).square().sum(dim=2).argmin(dim=1))
    counts = torch.tensor([float((codes == k).sum()) for k in range(4)])
    sums = torch.stack([z[codes == k].sum(dim=0) for k in range(4)])
    book.follow(counts, sums, 0.9)
    torch.testing.assert_close(book.counts, 0.9 + 0.1 * counts)
    torch.testing.assert_close(book.vectors, (0.9 * first + 0.1 * sums) / (0.9 + 0.1 * counts)[:, None])
    moved = book.vectors.clone()
    for _ in range(8):  # only the first is used: 0.9⁸ of a use is left of the others
        book.follow(torch.tensor([5.0, 0, 0, 0]), 5 * moved[:1] * torch.tensor([[1.0], [0], [0], [0]]), 0.9)
    book.restart(first, 2.0)
    torch.testing.assert_close(book.vectors, torch.cat([moved[:1], first[1:]]))


@pytest.mark.parametrize("classes", [0, 3])
def test_the_cache_gives_the_logits_of_the_whole_and_none_looks_ahead(classes: int) -> None:
    torch.manual_seed(0)
    gpt = Transformer((2, 3, 2), 16, 8, classes).eval()
    for parameter in gpt.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    codes, label = torch.randint(16, (3, 12)), torch.arange(3) % max(1, classes)
    with torch.no_grad():
        whole = gpt(codes, label)
        logits: list[Tensor] = []

        def choose(now: Tensor, place: int) -> Tensor:
            logits.append(now)
            return codes[:, place]

        assert torch.equal(gpt.write(label, choose, torch.float32), codes)
        torch.testing.assert_close(torch.stack(logits, dim=1), whole, rtol=1e-5, atol=1e-5)
        changed = codes.clone()
        changed[:, 5] = (codes[:, 5] + 1) % 16
        other = gpt(changed, label)
        assert torch.equal(other[:, :6], whole[:, :6]) and (other[:, 6:] != whole[:, 6:]).any(dim=2).all()
        if classes:
            assert (gpt(codes, (label + 1) % 3) != whole).any(dim=2).all()


def test_uniform_numbers_become_codes_as_likely_as_they_should_be() -> None:
    logits = torch.tensor([1.0, -2.0, -math.inf, 0.5, 0.0])
    n = 100_000
    codes = drawn(logits.expand(n, 5), (torch.arange(n) + 0.5).double() / n)
    shares = torch.bincount(codes, minlength=5) / n
    torch.testing.assert_close(shares, logits.softmax(dim=0), rtol=0, atol=2 / n)
    assert drawn(logits[None], torch.tensor([1 - 1e-17]).double()) == 4  # 1 in float64: the last, not one beyond


def test_published_widths() -> None:
    with torch.device("meta"):
        net = VideoGpt(VideoGptConfig(128, 128))
    assert net.vqvae.encoder[0].weight.shape == (240, 3, 4, 4, 4) and net.vqvae.codebook.vectors.shape == (2048, 256)
    assert len(net.transformer.layers) == 8 and net.transformer.logits.weight.shape == (2048, 576)
    assert net.shape == (4, 32, 32) and net.num_places == 4096
    with pytest.raises(StyleganvError, match="16 frames of 18x32 cannot be"):
        VideoGpt(VideoGptConfig(18, 32))


# Sampling


def test_a_seed_is_one_video_however_it_is_asked_for(videos: VideoGptVideos) -> None:
    whole = videos.sample(seed=3, seconds=CLIP)
    assert whole.shape == (16, 16, 24, 3) and whole.std() > 1
    assert (videos.sample(seed=4, seconds=CLIP) != whole).any()
    again = load_again(videos)
    assert (again.sample(seed=3, start=5 / 25, seconds=4 / 25) == whole[5:9]).all()
    assert (again.sample(seed=3, seconds=CLIP, label=videos.class_from_seed(3)) == whole).all()
    other = again.sample(seed=3, seconds=CLIP, label=(videos.class_from_seed(3) + 1) % 3)
    assert (other != whole).any() and (again.sample(seed=3, seconds=CLIP) == whole).all()
    frames = next(iter(again.stream(seed=-6, seconds=CLIP)))
    assert frames.shape == (16, 24, 3)
    frames[:] = 0  # the caller's own
    assert (again.sample(seed=-6, seconds=CLIP)[0] != 0).any()


def load_again(videos: VideoGptVideos, precision: Precision = "float32") -> VideoGptVideos:
    return VideoGptVideos(videos.net, fps=videos.fps, class_names=videos.class_names, device="cpu", precision=precision)


def test_half_precision_makes_videos_too(videos: VideoGptVideos) -> None:
    one, again = (load_again(videos, "bfloat16").sample(seed=3, seconds=CLIP) for _ in range(2))
    assert one.std() > 1 and (one == again).all()


def test_videos_of_seeds_are_those_of_the_slow_way(videos: VideoGptVideos) -> None:
    """The full transformer for each code, of one video alone."""
    gpt, seed = videos.net.transformer, 10
    label = torch.tensor([videos.class_from_seed(seed)])
    uniform = torch.from_numpy(noise.uniform(seed, noise.CONTENT, 0, videos.net.num_places))
    codes = torch.zeros(1, videos.net.num_places, dtype=torch.long)
    with torch.inference_mode():
        for i in range(videos.net.num_places):
            codes[:, i] = drawn(gpt(codes, label)[:, i], uniform[i : i + 1])
        clip = videos.net.vqvae.decode(codes, videos.net.shape)[0].permute(1, 2, 3, 0)
    shown = videos.sample(seed=seed, seconds=CLIP).astype(np.float32)
    assert np.abs(shown - (clip * 255 + 127.5).clamp(0, 255).numpy()).max() <= 0.51


@pytest.mark.parametrize(
    "asked, told",
    [
        (dict(seconds=1.0), "must end within 0.64 seconds, got an end at 1:"),
        (dict(seconds=None), "must end within 0.64 seconds"),
        (dict(start=0.6, seconds=0.2), "must end within 0.64 seconds"),
        (dict(seconds=CLIP, fps=50), "got 50 fps from 0 seconds: use 25 fps"),
        (dict(seconds=CLIP, motion_seed=3), "does not support motion seeds, got motion seed 3"),
        (dict(seconds=CLIP, psi=0.5), "no truncation"),
        (dict(seconds=CLIP, label="d"), "Unknown class d"),
    ],
)
def test_what_it_cannot_do_is_refused(asked: dict[str, Any], told: str, videos: VideoGptVideos) -> None:
    with pytest.raises(StyleganvError, match=told):
        videos.stream(seed=0, **asked)
    with pytest.raises(StyleganvError, match="Unknown precision half"):
        VideoGptVideos(videos.net, fps=25, precision="half")  # type: ignore[arg-type]


# Training


def test_four_clips_are_learned_by_heart(tmp_path: Path, small: RunConfig) -> None:
    """Reconstructed within 17 grey levels (the mean picture is 35 away, another clip 39), each code almost certain,
    and three of four samples are one of the clips again (within 22), three or four clips in all."""
    make_shapes(tmp_path / "four.zip", num_videos=4, num_frames=16, resolution=(16, 16), seed=3)
    config = replace(with_training(small, batch_size=4, lr=0.004), model=replace(small.model, channel_max=32))
    trainer, batch = built(config, tmp_path / "four.zip")
    real, steps = batch(0), 500
    for step in range(steps):
        trainer.progress = step / steps
        trainer.train_step(None, real)  # type: ignore[arg-type]
    assert trainer.stage == 2 and not trainer.net.transformer.training
    net, frames = trainer.net, (real.frames.float() / 255 - 0.5).transpose(1, 2)
    with torch.no_grad():
        codes = net.vqvae.encode(frames)
        shown = net.vqvae.decode(codes, net.shape)
        logits = net.transformer(codes, torch.zeros(4, dtype=torch.long))
    clips = real.frames.permute(0, 1, 3, 4, 2).numpy()
    assert min(nearest(clips[i], np.delete(clips, i, axis=0))[0] for i in range(4)) > 39
    assert (shown - frames).square().mean().sqrt() * 255 < 17
    assert torch.nn.functional.cross_entropy(logits.flatten(0, 1), codes.flatten()) < 0.1
    made = trainer.video_model(VideoDataset(tmp_path / "four.zip"))
    found = [nearest(made.sample(seed=seed, seconds=CLIP), clips) for seed in range(24)]
    known = [clip for distance, clip in found if distance < 22]
    assert len(known) >= 18 and len(set(known)) >= 3, found


def nearest(video: NDArray, clips: NDArray) -> tuple[float, int]:
    """Root mean square distance, in grey levels, to the nearest of the clips, and which it is."""
    apart = np.sqrt(np.square(clips.astype(np.float64) - video).mean(axis=(1, 2, 3, 4)))
    return float(apart.min()), int(apart.argmin())


def test_parts_of_a_batch_learn_what_the_whole_does(tmp_path: Path, small: RunConfig) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (8, 16, 16, 16, 3), dtype=np.uint8)
    records = [(f"video{i}", frames[i], i % 2, {}) for i in range(8)]
    write_dataset(tmp_path / "two.zip", records, height=16, width=16, fps=25, class_names=["a", "b"])
    after = []
    for changes in ({}, {"micro_batch": 4}):
        trainer, batch = built(with_training(small, **changes), tmp_path / "two.zip")
        trainer.net.transformer.apply(lambda m: setattr(m, "p", 0.0) if isinstance(m, torch.nn.Dropout) else None)
        trainer._candidates = lambda flat: flat[:64]  # type: ignore[method-assign]
        real = batch(0)
        order = torch.arange(8).view(4, 2).T.flatten()  # part 0 then holds the first places, as the whole does
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


@pytest.mark.parametrize("at", [2, 5])
def test_a_run_that_was_interrupted_in_either_stage_goes_on_bit_for_bit(
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
        patched.setattr("styleganv.runs.dry_run", lambda *_: "")  # no signals there
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


def test_by_time_each_stage_has_half_and_the_second_stays(
    faces: Path, small: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clock that each step moves by a minute."""
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
    monkeypatch.setattr("styleganv.runs.dry_run", lambda *_: "")
    config = with_training(small, total_clips=10_000, minutes=6.0)
    with pytest.raises(InterruptedTraining):
        train(faces, tmp_path / "run", config)
    resume(tmp_path / "run")  # six more minutes, so eight in all
    assert [stage for stage, _ in stages] == [1, 1, 1, 1, 2, 2, 2, 2]
    assert stages[4][1] == 1 and stages[7][1] == pytest.approx((1 + math.cos(math.pi * 0.75)) / 2)
    resume(tmp_path / "run", config=with_training(config, minutes=24.0))
    assert len(stages) == 32 and {stage for stage, _ in stages[8:]} == {2} and stages[8][1] == 1


@pytest.mark.parametrize(
    "changes, told",
    [
        ({"num_frames": 18, "max_span": 17}, "a multiple of 4: set --num-frames 16"),
        ({"num_frames": 8, "max_span": 7}, "16 frames or more"),
        ({"max_span": 32}, "consecutive frames: set --max-span 15"),
        ({"checkpointing": True}, "no --gradient-checkpointing"),
    ],
)
def test_settings_that_cannot_work(
    changes: dict[str, Any], told: str, faces: Path, small: RunConfig, tmp_path: Path
) -> None:
    with pytest.raises(StyleganvError, match=told):
        train(faces, tmp_path / "run", with_training(small, **changes))


def test_other_things_that_cannot_work(faces: Path, small: RunConfig, tmp_path: Path) -> None:
    with pytest.raises(StyleganvError, match="set --augment none"):
        train(faces, tmp_path / "run", replace(small, augment=replace(small.augment, augment="ada")))
    with pytest.raises(StyleganvError, match="leave it out for videogpt"):
        train(faces, tmp_path / "run", small, finetune=tmp_path)
    make_faces(tmp_path / "odd.zip", num_videos=2, num_frames=16, resolution=(18, 32))
    with pytest.raises(StyleganvError, match="18x32 cannot be: prepare"):
        train(tmp_path / "odd.zip", tmp_path / "run", small)


# The whole way


def test_from_training_to_the_report_by_commands(
    faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STYLEGANV_CACHE", str(tmp_path / "cache"))
    run, words = tmp_path / "run", "--channel-max 8 --batch-size 8 --precision float32 --total-clips 48 --log-every 8"

    def styleganv(text: str, refused: str | None = None) -> None:
        if refused is None:
            return main(text.split())
        with pytest.raises(SystemExit):
            main(text.split())
        assert refused in capsys.readouterr().err.splitlines()[-1]
        return None

    styleganv(f"train {faces} --out {run} --method videogpt --eval-every 48 --eval-clips 4 {words}")
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
    told = {found["name"]: found["verdict"] for found in report["diagnostics"] if found["value"] is None}
    assert "no motion seed" in told["hold"] and "must end within 0.64 seconds" in told["drift_1000"]
    assert "fixed frame rate" in told["between"] and "no motion slots" in told["slot_jump"]


def test_longer_protocols_say_what_is_missing(videos: VideoGptVideos, faces: Path, tmp_path: Path) -> None:
    from styleganv.metrics.protocols import named_protocol

    long = replace(named_protocol("frechet_efficientnet256_16f"), num_frames=16, stride=2, tail="_32f", num_clips=2)
    options = EvaluateOptions(cache=tmp_path / "cache")
    with pytest.raises(StyleganvError, match=r"_32f requires at least 2 clips of 31 frames, got 0 from model"):
        evaluate(faces, ModelVideos(videos), protocols=[long], resolution=(16, 16), options=options)


def test_known_factors_of_sixteen_frames(videos: VideoGptVideos, tmp_path: Path) -> None:
    make_faces(tmp_path / "faces.zip", num_videos=2, num_frames=16, resolution=(16, 16))
    real = DatasetVideos(VideoDataset(tmp_path / "faces.zip"))
    assert compare_factors(ModelVideos(videos), real, num_clips=2).num_frames == 16
