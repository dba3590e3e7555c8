"""The commands on a CUDA device, or on a pretended one that raises where devices mix."""

import json
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import warm

import styleganv
from styleganv.cli import main
from styleganv.editing.explore import explore
from styleganv.methods.stylegan_v.sampler import load_video_generator
from styleganv.studio.studio_model import StudioModel
from styleganv.timeline.notation import Mix, Term, VideoParams
from styleganv.training.run_log import read_log

pytestmark = [pytest.mark.gpu, pytest.mark.slow, pytest.mark.usefixtures("gpu")]

NETWORK = "--channel-base 64 --channel-max 4 --z-dim 8 --w-dim 8 --motion-dim 8"
TRAINING = "--batch-size 4 --r1-interval 2 --log-every 4 --save-every 4 --augment-p 0.3 --num-workers 0"
#: A step of a trial of the study, in a process of its own: small networks, frames and reports.
TRIAL = """
from dataclasses import replace
from fake_cuda import any_gpu
from styleganv.metrics import features
from styleganv.study import trial

features.EFFICIENTNET_SIZE = (64, 64)
trial.MOTION_VIDEOS, trial.MOTION_FRAMES = 2, 16
trial.time_sampling = lambda model, num_frames: float(len(model.sample(seed=8, seconds=0.2)))
full_config = trial.Trial.config

def config(*arguments):
    full = full_config(*arguments)
    model = replace(full.model, channel_base=64, channel_max=4, z_dim=8, w_dim=8, motion_dim=8)
    training = replace(full.training, batch_size=4, precision="float32", second_discriminator="none", num_workers=0)
    return replace(full, model=model, training=training)

trial.Trial.config = config
with any_gpu():
    trial.main()
"""


def run(*words: object) -> None:
    """Run a command; an argument of several words is split."""
    main([part for word in words for part in (word.split() if isinstance(word, str) else [str(word)])])


def test_train_resumes_and_fine_tunes(faces: Path, tmp_path: Path, no_run_images: None) -> None:
    run("train", faces, "--out", tmp_path / "run", NETWORK, TRAINING, "--total-clips 4")
    run("train", "--resume", tmp_path / "run", "--total-clips 8 --num-workers 0")
    run(
        "train",
        faces,
        "--out",
        tmp_path / "tuned",
        "--finetune",
        tmp_path / "run",
        NETWORK,
        TRAINING,
        "--total-clips 4",
    )
    assert [row["clips_seen"] for row in read_log(tmp_path / "run" / "log.jsonl")] == [4, 8]
    model = styleganv.load(tmp_path / "tuned")
    assert next(model.network.parameters()).device.type == "cuda"


def test_frames_equal_those_of_the_cpu(finished_run: Path) -> None:
    expected = styleganv.load(finished_run, device="cpu").sample(seed=1, seconds=0.4)
    model = styleganv.load(finished_run)
    assert model.device.type == "cuda"
    frames = model.sample(seed=1, seconds=0.4)
    assert np.abs(frames.astype(int) - expected).max() <= 1
    streamed = np.stack([frame for frame, _ in zip(model.stream(seed=1), expected, strict=False)])
    np.testing.assert_array_equal(streamed, frames)


@pytest.mark.parametrize("options", ["--format mp4", "--format grid", "--precision bfloat16"])
def test_generate(options: str, finished_run: Path, tmp_path: Path) -> None:
    run("generate", finished_run, "--out", tmp_path / "videos", "--seeds 0-1 --seconds 0.2", options)
    assert any((tmp_path / "videos").iterdir())


def test_evaluate(faces: Path, finished_run: Path, tmp_path: Path, small_features: None) -> None:
    run("evaluate --real", faces, "--fake", finished_run, "--num-clips 4 --json", tmp_path / "scores.json")
    assert (tmp_path / "scores.json").is_file()


def test_project_and_edit(finished_run: Path, tmp_path: Path, small_features: None) -> None:
    run("generate", finished_run, "--out", tmp_path / "videos", "--seeds 0 --seconds 0.2 --format mp4")
    (video,) = (tmp_path / "videos").glob("*.mp4")
    out = tmp_path / "projected"
    run("project", finished_run, video, "--out", out, "--seconds 0.2 --num-steps 3 --finetune-steps 1")
    run("edit", finished_run, "--latents", out, "--mix 1:0-2 --speed 0.5 --seconds 0.2 --out", tmp_path / "edited.mp4")
    run("edit", finished_run, "--seed 0 --interpolate-to 3 --seconds 0.2 --out", tmp_path / "between.mp4")
    assert (tmp_path / "edited.mp4").is_file() and (tmp_path / "between.mp4").is_file()


@pytest.mark.parametrize("options", ["--num-samples 32", "--space motion --num-samples 32"])
def test_directions(options: str, finished_run: Path, tmp_path: Path) -> None:
    run("directions", finished_run, options, "--out", tmp_path / "directions.safetensors")
    assert (tmp_path / "directions.safetensors").is_file()


def test_explore(finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("styleganv.editing.explore.SECONDS", 0.2)
    explore(load_video_generator(finished_run), tmp_path / "page", num_samples=12, num_directions=1)
    assert (tmp_path / "page" / "index.html").is_file()


def test_studio_frames(finished_run: Path) -> None:
    """Frames of a video, a grid and a mix, as the studio computes them: in a thread of its own."""
    studio_model = StudioModel(finished_run)
    assert studio_model.model.device.type == "cuda"
    height, width = studio_model.model.height, studio_model.model.width
    for params, rows, columns in (
        (VideoParams((Term(1),)), 1, 1),
        (VideoParams(grid=(2, 2)), 2, 2),
        (VideoParams(mix=(Mix(1, (0, 1)),)), 1, 1),
    ):
        stream = studio_model.frames(params, start=0, fps=25)
        with ThreadPoolExecutor(1) as executor:
            frames = executor.submit(list, islice(stream, 20)).result()
        assert len(frames) == 20 and frames[0].shape[0] >= rows * height and frames[0].shape[1] >= columns * width


@pytest.mark.long
def test_export(finished_run: Path, tmp_path: Path) -> None:
    run("export", finished_run, tmp_path / "model.pt2")
    assert (tmp_path / "model.pt2").is_file()


@pytest.mark.long
def test_study_trains_evaluates_and_diagnoses(faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def start(command: list[str], **options: Any) -> warm.Popen:
        python, *_, step, trial = command
        return warm.Popen([python, "-c", TRIAL, step, trial], **options)

    monkeypatch.setenv("STYLEGANV_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("styleganv.study.study.subprocess", SimpleNamespace(Popen=start))
    run("study", faces, "--out", tmp_path / "study", "--methods stylegan-v --minutes 0.005 --num-clips 4")
    (path,) = (tmp_path / "study").rglob("measures.json")
    measures = json.loads(path.read_text())
    assert all("value" in measure for measure in measures["quality"].values()) and len(measures["motion"]) > 10
