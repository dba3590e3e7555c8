"""Several classes per video, and vectors: what models learn, store, draw and refuse."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from settings import with_training

from styleganv import noise
from styleganv.cli import main
from styleganv.config import RunConfig
from styleganv.data.dataset import VideoDataset
from styleganv.data.dataset_writer import write_dataset
from styleganv.data.sampling import draw_real_frames
from styleganv.editing.latents import compute_w_std, latents_from_seed, load_latents, render_latents, save_latents
from styleganv.errors import StyleganvError
from styleganv.interop.card import format_card
from styleganv.interop.program import build_programs
from styleganv.methods import apply_method, build_trainer
from styleganv.methods.loading import load
from styleganv.methods.stylegan_v.sampler import VideoGenerator, load_video_generator
from styleganv.metrics.checks import common_classes
from styleganv.metrics.clips import draw_model_clips, members
from styleganv.metrics.protocols import PROTOCOLS
from styleganv.runs import resume, train
from styleganv.studio.commands import export_commands
from styleganv.studio.studio_model import StudioModel
from styleganv.studio.video_params import ExportParams
from styleganv.timeline.notation import VideoParams
from styleganv.training.batches import ClipDataset, iterate_batches
from styleganv.videos import DatasetVideos, ModelVideos

KINDS = ("classes", "vector")
NAMES = {"classes": ("glasses", "smile"), "vector": ("age", "mood")}
LABELS = {
    "classes": [(1.0, 1.0), (0.0, 0.0), (0.0, 1.0), (0.0, 1.0)],
    "vector": [(0.5, -1.0), (0.25, 0.0), (-1.0, 1.0), (0.1, 0.7)],
}
#: One for each kind, as text; the vector begins with a minus sign.
TEXTS = {"classes": "glasses", "vector": "-0.5,0.7"}


def write(path: Path, kind: str) -> VideoDataset:
    """A dataset of 12 videos, each label three times."""
    random = np.random.default_rng(0)
    labels = 3 * LABELS[kind]
    videos = [(f"v{i}", random.integers(0, 256, (24, 16, 16, 3), np.uint8), x, {}) for i, x in enumerate(labels)]
    write_dataset(path, videos, height=16, width=16, fps=25, class_names=NAMES[kind], label_kind=kind)
    return VideoDataset(path)


@pytest.fixture(scope="module", params=KINDS)
def run(request: pytest.FixtureRequest, tiny: RunConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one step on labels of this kind, next to its dataset."""
    folder = tmp_path_factory.mktemp(request.param)
    write(folder / "data.zip", request.param)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("write_curves", "write_snapshot"):
            patch.setattr(f"styleganv.training.run_log.RunLog.{name}", lambda *_: None)
        train(folder / "data.zip", folder / "run", with_training(tiny, total_clips=8))
    return folder / "run"


@pytest.fixture(scope="module")
def data(run: Path) -> VideoDataset:
    return VideoDataset(run.with_name("data.zip"))


@pytest.fixture(scope="module")
def video(run: Path) -> VideoGenerator:
    return load_video_generator(run, device="cpu")


def test_fake_labels_are_as_frequent_as_real_ones(data: VideoDataset, tiny: RunConfig) -> None:
    clips = ClipDataset(data, tiny.training)
    counts = Counter(tuple(clips.fake_inputs(i)[1].tolist()) for i in range(600))
    expected = Counter(tuple(np.float32(label).tolist()) for label in LABELS[data.labels.kind])
    assert {label: count / 600 for label, count in counts.items()} == pytest.approx(
        {label: count / 4 for label, count in expected.items()}, abs=0.06
    )
    assert clips[0][2].tolist() == clips.label(clips.videos[clips.order[0]]).tolist()


def test_the_model_knows_the_labels_and_draws_them_by_seed(video: VideoGenerator, data: VideoDataset) -> None:
    assert video.labels == data.labels and video.num_classes == 2
    drawn = [video.label_from_seed(seed) for seed in range(400)]
    assert Counter(drawn).keys() == set(LABELS[data.labels.kind])
    text = video.labels.format(drawn[3])
    frames = video.sample(seed=3, seconds=0.1)
    np.testing.assert_array_equal(frames, video.sample(seed=3, seconds=0.1, label=text))
    assert (frames != video.sample(seed=3, seconds=0.1, label=TEXTS[data.labels.kind])).any()


def test_truncation_is_towards_the_mean_of_the_label(video: VideoGenerator) -> None:
    label = TEXTS[video.labels.kind]
    vector = torch.from_numpy(video.labels.to_vector(video.labels.parse(label)))
    z = torch.randn(20_000, 16, generator=torch.Generator().manual_seed(0))
    w = video.generator.mapping(z, vector.expand(len(z), -1))
    means = [video.styles_from_seed(seed, psi=0, label=label)[0] for seed in (1, 2)]
    assert torch.equal(*means)
    deviations = (means[0] - w.mean(dim=0)) / (w.std(dim=0) * (1 / 4096 + 1 / 20_000) ** 0.5)
    assert deviations.abs().max() < 4


def test_latents_keep_the_label(video: VideoGenerator, tmp_path: Path) -> None:
    label = TEXTS[video.labels.kind]
    latents = latents_from_seed(video, 5, label=label)
    save_latents(tmp_path / "latents", latents)
    loaded = load_latents(video, tmp_path / "latents")
    assert loaded.motion == latents.motion and isinstance(loaded.motion.label, tuple)
    expected = video.sample(seed=5, seconds=0.1, label=label)
    np.testing.assert_array_equal(list(render_latents(video, loaded, seconds=0.1)), expected)
    assert compute_w_std(video).isfinite().all()
    for wrong in (1, (0.5,)):
        changed = replace(latents, motion=replace(latents.motion, label=wrong))
        save_latents(tmp_path / "wrong", changed, overwrite=True)
        with pytest.raises(StyleganvError, match=r"do not match this model .their label"):
            load_latents(video, tmp_path / "wrong")


@pytest.mark.usefixtures("no_run_images")
def test_a_run_resumes_and_others_start_from_it(run: Path, tiny: RunConfig, tmp_path: Path) -> None:
    before = json.loads((run / "model" / "config.json").read_text())["data"]
    resume(run, config=with_training(tiny, total_clips=16))
    assert json.loads((run / "model" / "config.json").read_text())["data"] == before
    other = next(kind for kind in KINDS if kind != load(run).labels.kind)
    write(tmp_path / "data.zip", other)
    train(tmp_path / "data.zip", tmp_path / "run", with_training(tiny, total_clips=8), finetune=run)
    assert load(tmp_path / "run").labels.kind == other


@pytest.mark.parametrize("name", ["digan", "mocogan", "mocogan-stylegan2"])
def test_other_methods_learn_them_too(name: str, data: VideoDataset, tiny: RunConfig) -> None:
    config = apply_method(with_training(tiny, batch_size=4), name)
    device = torch.device("cpu")
    trainer = build_trainer(config, data, device)
    clips = ClipDataset(data, config.training, frame_sampler=getattr(trainer, "frame_sampler", draw_real_frames))
    trainer.train_step(clips, next(iterate_batches(clips, first=0, batch_size=4, num_workers=0, device=device)))
    assert bool(trainer.finite)
    model = trainer.video_model(data)
    own, given = (model.sample(seed=1, seconds=0.08, label=label) for label in (None, TEXTS[data.labels.kind]))
    assert own.shape == (2, 16, 16, 3) and (own != given).any()


def test_videogpt_refuses_them(data: VideoDataset, tiny: RunConfig) -> None:
    config = apply_method(tiny, "videogpt")
    with pytest.raises(StyleganvError, match=r"videogpt learns one class per video, but .* has .*--no-conditional"):
        build_trainer(config, data, torch.device("cpu"))
    assert build_trainer(with_training(config, conditional=False), data, torch.device("cpu"))


def test_evaluation_by_class(video: VideoGenerator, data: VideoDataset) -> None:
    real, fake = DatasetVideos(data), ModelVideos(video)
    other = replace(video.labels, examples=video.labels.examples[:1])
    changed = load_video_generator(str(video.source), device="cpu")
    changed.labels = other
    assert ModelVideos(changed).identity != fake.identity  # other labels, other videos
    if data.labels.kind == "vector":
        with pytest.raises(StyleganvError, match=r"vectors are no classes.: omit --per-class"):
            common_classes(real, fake)
        return
    assert common_classes(real, fake) == ["glasses", "smile"]
    assert members(real, "glasses") == [0, 4, 8] and len(members(real, "smile")) == 9
    drawn = draw_model_clips(fake, "glasses", PROTOCOLS["fvd2048_16f"], 0)[:20]
    assert all(video.label_from_seed(window.video)[0] == 1 for window in drawn)


def test_exported_programs_truncate_towards_the_mean_of_the_label(video: VideoGenerator) -> None:
    labels = [video.label_from_seed(seed) for seed in range(2)]
    vectors = torch.from_numpy(np.stack(list(map(video.labels.to_vector, labels))))
    z = torch.from_numpy(np.stack([noise.normal(seed, noise.CONTENT, 0, 16) for seed in range(2)]))
    mapping, _ = build_programs(video.generator, video.labels.kind)
    styles = mapping(z, torch.tensor([0.7, 0.0]), vectors)
    for seed, psi in enumerate((0.7, 0.0)):
        torch.testing.assert_close(styles[seed], video.styles_from_seed(seed, psi=psi), atol=1e-5, rtol=0)


def test_the_card_and_the_studio_show_them(run: Path, video: VideoGenerator) -> None:
    kind, card = video.labels.kind, format_card(video, name="mine")
    example = {"classes": "glasses,smile", "vector": "0.5,-1"}[kind]
    assert f"--label {example}" in card and ", ".join(NAMES[kind]) in card
    studio = StudioModel(run, device="cpu")
    metadata, params = studio.metadata(), VideoParams.from_json({"content": 3, "motion": 0, "label": TEXTS[kind]})
    assert metadata.class_names == () and all(name in metadata.label_hint for name in NAMES[kind])
    assert isinstance(studio.model, VideoGenerator)
    expected = studio.model.sample(seed=3, motion_seed=0, seconds=0.04, label=TEXTS[kind])[0]
    np.testing.assert_array_equal(next(studio.frames(params, start=0, fps=25)), expected)
    (line,) = export_commands(studio, params, ExportParams(0, 1, 25, 1, "mp4")).lines
    assert f"--label {TEXTS[kind]}" in line
    with pytest.raises(StyleganvError, match=r"Unknown class cats|must be 2 numbers"):
        next(studio.frames(replace(params, label="cats"), start=0, fps=25))


def test_generate_takes_them(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = TEXTS[load(run).labels.kind]
    arguments = ["generate", str(run), "--out", str(tmp_path / "videos"), "--seeds", "0", "--seconds", "0.1"]
    main([*arguments, "--label", text])
    (file,) = (tmp_path / "videos").iterdir()
    assert file.name == {"glasses": "seed0000-label-glasses.mp4", "-0.5,0.7": "seed0000-label--0.5_0.7.mp4"}[text]
    with pytest.raises(SystemExit):
        main([*arguments, "--label", "cats"])
    assert "cats" in capsys.readouterr().err
