"""The variants of motion keep the guarantees of the paper's model, and every tool works with them."""

from copy import deepcopy
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from run_state import assert_same_state
from settings import with_training
from tiny import FPS, save

from styleganv import noise
from styleganv.config import RunConfig
from styleganv.data.dataset import VideoDataset
from styleganv.editing.latents import (
    Latents,
    latents_from_seed,
    load_latents,
    render_differentiably,
    render_latents,
    save_latents,
)
from styleganv.errors import StyleganvError
from styleganv.interop.export import export
from styleganv.interop.program import build_programs
from styleganv.methods import apply_ablation, apply_method, get_method
from styleganv.methods.loading import load
from styleganv.methods.stylegan_v.config import GeneratorConfig
from styleganv.methods.stylegan_v.finetune import PretrainedWeights, match_pretrained
from styleganv.methods.stylegan_v.generator import Generator
from styleganv.methods.stylegan_v.sampler import VideoGenerator
from styleganv.methods.stylegan_v.trainer import build_networks
from styleganv.model_folder import save_model
from styleganv.runs import resume, train
from styleganv.training import batches
from styleganv.training.batches import ClipDataset
from styleganv.training.preflight import check_settings

FAR = 1e7 / FPS
VARIANTS: dict[str, dict[str, Any]] = {
    "multiscale": {"motion_noise": "multiscale"},
    "layers": {"motion_layers": "all"},
    "lstm-layers": {"motion_layers": "all", "motion": "lstm"},
    "all": {"motion_noise": "multiscale", "motion_layers": "all", "motion_path": "bspline", "num_classes": 3},
}


def trained(folder: Path, **options: Any) -> Path:
    """Return the folder of a tiny network in which motion enters all layers, as after training."""
    video = load(save(folder, **options), device="cpu")
    generator = video.generator
    torch.manual_seed(1)
    for name, parameter in generator.named_parameters():
        if name.endswith("readout"):
            parameter.data = torch.randn_like(parameter)
    save_model(folder, generator, data={"fps": FPS, "class_names": video.class_names}, training={}, overwrite=True)
    return folder


@pytest.fixture(scope="module", params=VARIANTS)
def video(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> VideoGenerator:
    return load(trained(tmp_path_factory.mktemp(request.param) / "model", **VARIANTS[request.param]), device="cpu")


def test_a_frame_is_the_same_for_any_chunking_start_and_rate(video: VideoGenerator) -> None:
    whole = video.sample(seed=1, seconds=2, fps=50)
    np.testing.assert_array_equal(video.sample(seed=1, seconds=2), whole[::2])
    np.testing.assert_array_equal(video.sample(seed=1, start=0.22, seconds=0.3, fps=50), whole[11:26])
    np.testing.assert_array_equal(list(islice(video.stream(seed=1, seconds=2, fps=50), 37)), whole[:37])
    assert (whole[0] != whole[-1]).any() and (video.sample(seed=1, motion_seed=2, seconds=0.1)[0] != whole[0]).any()


def test_far_times_are_continuous_and_exact(video: VideoGenerator) -> None:
    if video.max_frames is not None:
        pytest.skip("an LSTM does not reach them")
    close = video.sample(seed=1, start=FAR, seconds=8e-3 / FPS, fps=1000 * FPS).astype(int)
    assert np.abs(np.diff(close, axis=0)).max() <= 1
    expected = video.sample(seed=1, start=FAR, seconds=1)
    assert np.abs(expected[0].astype(int) - expected[-1]).max() > 10
    np.testing.assert_array_equal(video.sample(seed=1, start=FAR - 11 / FPS, seconds=2)[11:36], expected)


def test_frames_equal_those_of_the_generator(video: VideoGenerator) -> None:
    """The folded network agrees with the plain one, and motion in float64 with that of training."""
    label = 1 if video.class_names else None
    sampled = video.sample(seed=3, motion_seed=4, start=0.5, seconds=0.8, label=label)
    one_hot, t = None if label is None else torch.eye(3)[[label]], 0.5 * FPS + torch.arange(20.0)[None].double()
    z = torch.from_numpy(noise.normal(3, noise.CONTENT, 0, 16))[None]
    with torch.no_grad():
        frames = video.generator(z, t, noise.SeededNoise([4], 16), one_hot)[0].permute(0, 2, 3, 1)
    assert np.abs(sampled - (frames * 127.5 + 127.5).clamp(0, 255).numpy()).max() <= 0.5 + 127.5e-4


def test_bfloat16_is_close(video: VideoGenerator) -> None:
    half = VideoGenerator(deepcopy(video.generator), fps=FPS, device="cpu", precision="bfloat16")
    half.labels = video.labels
    difference = np.abs(half.sample(seed=1, seconds=0.4).astype(int) - video.sample(seed=1, seconds=0.4))
    assert 0 < difference.mean() < 2 and np.quantile(difference, 0.99) < 10


def test_latents_render_the_seed_survive_a_file_and_are_differentiable(video: VideoGenerator, tmp_path: Path) -> None:
    latents = latents_from_seed(video, 5, motion_seed=6)
    expected = video.sample(seed=5, motion_seed=6, seconds=0.4)
    save_latents(tmp_path / "latents", latents)
    np.testing.assert_array_equal(
        list(render_latents(video, load_latents(video, tmp_path / "latents"), seconds=0.4)), expected
    )
    # Recorded noise, as from a projection, is the seed's in the slots that the clip depends on.
    slots = video.generator.num_slots(9.0)
    recorded = torch.from_numpy(np.stack([noise.normal(6, noise.MOTION, i, 16) for i in range(slots)])).requires_grad_()
    motion = deepcopy(latents.motion)
    object.__setattr__(motion, "noise", recorded)
    times = torch.arange(10) / FPS
    frames = render_differentiably(video, latents.styles, motion, times)
    levels = (frames.detach() * 127.5 + 127.5).clamp(0, 255).permute(0, 2, 3, 1).numpy()
    assert np.abs(levels - expected).max() <= 0.5 + 0.1
    frames.square().sum().backward()
    assert recorded.grad is not None and (recorded.grad.abs().amax(dim=1) > 0).all()


def test_content_that_changes_with_time(video: VideoGenerator) -> None:
    """Styles as a function of time run the plain network; a constant function equals folded styles."""
    latents: Latents = latents_from_seed(video, 5)
    folded = list(render_latents(video, latents, seconds=0.4))
    plain = list(render_latents(video, latents, styles=lambda _: latents.styles, seconds=0.4))
    assert np.abs(np.stack(folded).astype(int) - np.stack(plain)).max() <= 1


@pytest.mark.parametrize("variant", ["multiscale", "layers", "all"])
def test_the_exported_program(variant: str, tmp_path: Path) -> None:
    """Before any exporter, at the first and the last times of its window."""
    video = load(trained(tmp_path / "model", **VARIANTS[variant]), device="cpu")
    generator, distance = video.generator, 8.0
    first = torch.tensor([0, 1_250_000])
    times = first[:, None] * distance + torch.tensor([[0.0, 7.5, 17.0]], dtype=torch.float64)
    slots = first[:, None] + torch.arange(2 + generator.motion.window_slots)
    white = noise.SeededNoise([0, 1], 16)
    label = torch.eye(3)[:2] if generator.num_classes else None
    styles = torch.stack([video.styles_from_seed(seed) for seed in (0, 1)])
    frames = build_programs(generator)[1](styles, times, white(torch.arange(2), slots), first, label)
    codes = deepcopy(generator.motion).double()(times, white, label)
    torch.testing.assert_close(frames, generator.synthesis(styles, codes.float()), atol=1e-4, rtol=0)


@pytest.mark.long
def test_all_variants_together_are_exported_to_onnx(tmp_path: Path) -> None:
    """The export itself compares frames at early and late times with those of the model."""
    small = {"height": 8, "width": 8, "motion_kernel": 3, "num_frequencies": 4}
    export(trained(tmp_path / "model", **VARIANTS["all"] | small), tmp_path / "all.onnx")
    assert (tmp_path / "all.onnx").exists() and (tmp_path / "all-mapping.onnx").exists()


def with_model(config: RunConfig, **values: Any) -> RunConfig:
    return replace(config, model=replace(config.model, **values))


ALL = {"motion_noise": "multiscale", "motion_layers": "all", "temporal_shift": True}


@pytest.mark.usefixtures("no_run_images")
def test_four_steps_equal_two_resumed_two_bit_for_bit(faces: Path, tiny: RunConfig, tmp_path: Path) -> None:
    options = {"max_span": 39, "span_growth_clips": 24, "loss": "relativistic"}
    config = with_model(with_training(tiny, **options, total_clips=32), **ALL)
    train(faces, tmp_path / "whole", config)
    train(faces, tmp_path / "halves", with_training(config, total_clips=16))
    resume(tmp_path / "halves", config=config)
    assert_same_state(tmp_path / "whole" / "checkpoint.pt", tmp_path / "halves" / "checkpoint.pt")
    generator = load(tmp_path / "whole", device="cpu").generator
    readouts = [weight for name, weight in generator.named_parameters() if name.endswith("readout")]
    assert min(float(weight.abs().max()) for weight in readouts) > 0  # so motion has entered all layers


def test_fine_tuning_keeps_variants_and_can_add_motion_layers_and_temporal_shift(tiny: RunConfig) -> None:
    networks = Generator(GeneratorConfig(16, 16, motion_noise="multiscale", motion_path="bspline"))
    source = PretrainedWeights(Path("x"), networks, {}, "project", temporal_shift=True)
    matched = match_pretrained(tiny, source).model
    assert (matched.motion_noise, matched.motion_layers, matched.temporal_shift) == ("multiscale", "first", True)
    assert match_pretrained(with_model(tiny, motion_layers="all"), source).model.motion_layers == "all"
    shifted = with_model(tiny, temporal_shift=True)
    assert match_pretrained(shifted, replace(source, temporal_shift=False)).model.temporal_shift
    moving = replace(source, generator=Generator(GeneratorConfig(16, 16, motion_layers="all")))
    assert match_pretrained(tiny, moving).model.motion_layers == "all"
    images = with_model(with_training(tiny, num_frames=1), motion="none")
    for_images = match_pretrained(images, moving)
    assert (for_images.model.motion_layers, for_images.model.temporal_shift) == ("first", False)
    check_settings(for_images)


def test_ablations_change_one_setting_each(tiny: RunConfig) -> None:
    for name, change in {
        "temporal-shift": {"temporal_shift": True},
        "motion-layers": {"motion_layers": "all"},
        "multiscale-noise": {"motion_noise": "multiscale"},
    }.items():
        assert apply_ablation(tiny, name) == with_model(tiny, **change)


def test_variants_leave_all_other_initial_weights_as_they_are(tiny: RunConfig, faces: Path) -> None:
    data = VideoDataset(faces)
    plain = [network.state_dict() for network in build_networks(tiny, data)]
    for change in ({"motion_noise": "multiscale"}, {"temporal_shift": True}):
        for expected, network in zip(plain, build_networks(with_model(tiny, **change), data), strict=True):
            weights = network.state_dict()
            assert weights.keys() == expected.keys()
            assert all(torch.equal(weights[name], expected[name]) for name in expected)


def test_spans_of_real_and_generated_clips_grow(tiny: RunConfig, faces: Path) -> None:
    config = with_training(tiny, max_span=39, span_growth_clips=100, num_frames=2)
    clips = ClipDataset(VideoDataset(faces), config.training)
    requested: list[int] = []
    clips.frame_sampler = lambda random, num_frames, length, max_span: (
        requested.append(max_span) or np.array([0, num_frames])
    )
    for index in (0, 50, 100):
        clips[index]
    assert requested == [32, 35, 39]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batches, "draw_fake_times", lambda random, num_frames, length, max_span: max_span)
        assert [clips.fake_inputs(2 * index + 1)[0] for index in (0, 50, 100)] == requested


@pytest.mark.parametrize(
    "model, training, message",
    [
        ({"motion_noise": "multiscale", "motion": "lstm"}, {}, "--motion-noise multiscale requires --motion conv"),
        ({"motion_layers": "all", "motion": "none"}, {"num_frames": 1}, "--motion-layers all requires motion"),
        ({"temporal_shift": True, "motion": "none"}, {"num_frames": 1}, "--temporal-shift requires clips of 2 or more"),
        ({}, {"span_growth_clips": 9}, "--span-growth-clips requires a --max-span above 32, got 32: raise it"),
        ({}, {"grow_clips": 9}, "--grow-clips requires --grow-from"),
    ],
)
def test_settings_that_exclude_each_other(
    model: dict[str, Any], training: dict[str, Any], message: str, tiny: RunConfig
) -> None:
    with pytest.raises(StyleganvError, match=message):
        check_settings(with_model(with_training(tiny, **training), **model))


@pytest.mark.parametrize("method", ["digan", "mocogan", "mocogan-stylegan2", "videogpt"])
@pytest.mark.parametrize("name, value", [*ALL.items()])
def test_other_methods_refuse_the_variants(name: str, value: Any, method: str, tiny: RunConfig) -> None:
    config = apply_method(with_model(tiny, **{name: value}), method)
    option = "--" + name.replace("_", "-") + ("" if value is True else f" {value}")
    with pytest.raises(StyleganvError, match=f"{option} requires --method stylegan-v, got {method}"):
        get_method(method).check(replace(config, augment=replace(config.augment, augment="none")))
