"""Official checkpoints become our networks, with the same frames and logits and all weights, or a clear error."""

import json
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pickles import official_discriminator, official_generator, write_pickle
from reference import Reference
from settings import with_training
from torch import Tensor

from styleganv import cli
from styleganv.config import RunConfig
from styleganv.errors import StyleganvError
from styleganv.interop.checkpoint_conversion import convert_discriminator, convert_generator
from styleganv.interop.import_checkpoint import import_checkpoint
from styleganv.interop.safe_unpickler import read_pickle
from styleganv.methods.stylegan_v.config import DiscriminatorConfig, GeneratorConfig
from styleganv.methods.stylegan_v.discriminator import Discriminator
from styleganv.methods.stylegan_v.generator import Generator
from styleganv.methods.stylegan_v.pretrained import load_discriminator, load_generator
from styleganv.methods.stylegan_v.sampler import load_video_generator
from styleganv.noise import SeededNoise
from styleganv.runs import train
from styleganv.training.checkpoint import load_checkpoint

SIZES: dict[str, Any] = dict(z_dim=12, w_dim=16, channel_base=256, channel_max=16)
SLOTS = "cfg.motion.motion_z_distance"
MOTION: dict[str, Any] = dict(
    motion_noise_dim=10, motion_code_dim=14, num_frequencies=6, motion_kernel=3, amplitude=False
)


def video_networks(num_classes: int = 0) -> tuple[Generator, Discriminator]:
    torch.manual_seed(0)
    generator = Generator(
        GeneratorConfig(
            32, 32, num_classes=num_classes, mapping_layers=3, slot_distance=8, longest_period=100, **SIZES, **MOTION
        )
    )
    generator.mapping.w_mean.normal_()
    discriminator = Discriminator(
        DiscriminatorConfig(
            32, 32, num_classes=num_classes, channel_base=256, channel_max=16, condition="project", condition_dim=20
        )
    )
    return generator, discriminator


def image_networks() -> tuple[Generator, Discriminator]:
    torch.manual_seed(0)
    generator = Generator(GeneratorConfig(32, 32, mapping_layers=8, motion="none", **SIZES))
    return generator, Discriminator(DiscriminatorConfig(32, 32, num_frames=1, channel_base=256, channel_max=16))


def write(path: Path, generator: Generator, discriminator: Discriminator | None = None, **options: Any) -> Path:
    theirs = None if discriminator is None else official_discriminator(discriminator)
    return write_pickle(path, official_generator(generator), theirs, **options)


@pytest.mark.parametrize("prefix", ["", "src."])
def test_frames_and_logits_equal_those_of_the_reference(prefix: str, tmp_path: Path) -> None:
    reference = Reference("released_16x16_classes")
    networks = reference.generator(), reference.discriminator()
    path = write(tmp_path / "network-snapshot-000100.pkl", *networks, prefix=prefix)
    import_checkpoint(path, tmp_path / "model")
    generator, _ = load_generator(tmp_path / "model")
    discriminator = load_discriminator(tmp_path / "model")
    assert discriminator is not None
    with torch.inference_mode():
        frames = generator(reference["z"], reference["times"], reference["motion_noise"], reference.label)
        logits = discriminator(reference["real"], reference["times"].round(), reference.label)
    for ours, theirs in ((frames, reference["frames"]), (logits, reference["logits_real"])):
        assert (ours - theirs).abs().max() <= 1e-4 * theirs.abs().max()


@pytest.mark.parametrize("stored, shortest", [(20, 8.0), (8, None), (np.float64(2.5), 8.0)])
def test_slot_distance_and_shortest_period_may_differ(stored: float, shortest: float | None, tmp_path: Path) -> None:
    theirs = Generator(replace(video_networks()[0].config, slot_distance=float(stored), shortest_period=8.0))
    path = write(tmp_path / "snapshot.pkl", theirs, settings={SLOTS: stored})
    report = import_checkpoint(path, tmp_path / "model")
    generator, _ = load_generator(tmp_path / "model")
    assert (generator.config.slot_distance, generator.config.shortest_period) == (float(stored), shortest)
    assert "slot distance" not in str(report)
    z, times, noise = torch.randn(2, 12), torch.tensor([[0.0, 9.5, 41.0]] * 2), SeededNoise([0, 1], 10)
    with torch.inference_mode():
        assert torch.equal(generator(z, times, noise), theirs(z, times, noise))


@pytest.mark.parametrize(
    "settings",
    [
        {SLOTS: "${motion.slots}", "cfg.motion.slots": 20},
        {SLOTS: "${a.b}", "cfg.a.b": "${c}", "cfg.c": np.int64(20)},
        {"cfg.motion": "${other}", "cfg.other.motion_z_distance": 20},
    ],
)
def test_interpolations_in_the_settings_are_resolved(settings: dict[str, object], tmp_path: Path) -> None:
    path = write(tmp_path / "snapshot.pkl", *video_networks(), settings=settings)
    report = import_checkpoint(path, tmp_path / "model")
    assert report.generator.config.slot_distance == 20 and "slot distance" not in str(report)


@pytest.mark.parametrize("stored", ["not stored", None, "${missing}", "${motion.motion_z_distance}", "${oc.env:HOME}"])
def test_an_unknown_slot_distance_is_assumed_and_said(stored: object, tmp_path: Path) -> None:
    settings = {} if stored == "not stored" else {SLOTS: stored}
    path = write(tmp_path / "snapshot.pkl", *video_networks(), settings=settings)
    report = import_checkpoint(path, tmp_path / "model")
    assert "does not store the slot distance: 8 frames, the shortest period, is assumed" in str(report)


@pytest.mark.parametrize("value", [0, -4, "16", float("nan"), 1e12])
def test_an_impossible_slot_distance_is_rejected(value: object, tmp_path: Path) -> None:
    path = write(tmp_path / "snapshot.pkl", *video_networks(), settings={SLOTS: value})
    with pytest.raises(StyleganvError, match=f"motion_z_distance is {value}"):
        import_checkpoint(path, tmp_path / "model")


@pytest.mark.parametrize("protocol", [3, 4, 5])
@pytest.mark.parametrize("num_classes", [0, 3])
def test_video_networks_are_imported_bit_for_bit(num_classes: int, protocol: int, tmp_path: Path) -> None:
    networks = video_networks(num_classes)
    path = write(tmp_path / "snapshot.pkl", *networks, protocol=protocol)
    modules = set(sys.modules)
    read_pickle(path)
    assert set(sys.modules) <= modules
    import_checkpoint(path, tmp_path / "model", fps=30)
    assert not path.with_suffix(".run").exists()
    generator, config = load_generator(tmp_path / "model")
    discriminator = load_discriminator(tmp_path / "model")
    assert generator.config == networks[0].config
    assert discriminator is not None and discriminator.config == networks[1].config
    for ours, theirs in zip((generator, discriminator), networks, strict=True):
        state = theirs.state_dict()
        assert ours.state_dict().keys() == state.keys()
        assert all(torch.equal(value, state[name]) for name, value in ours.state_dict().items())
    assert config["data"] == {"fps": 30, "class_names": [f"class{k}" for k in range(num_classes)]}
    assert config["training"] == {"imported_from": "snapshot.pkl", "frames_seen": 3000}
    assert load_video_generator(tmp_path / "model").sample(seed=0, seconds=0.1).shape == (3, 32, 32, 3)


@pytest.mark.parametrize("channel_base", [6553, 3276, 1638, 1025])
def test_any_channel_base_is_imported(channel_base: int) -> None:
    """The base is `fmaps` × 32768, rounded down; several resolutions are below the maximum."""
    sizes = dict(channel_base=channel_base, channel_max=32)
    generator = Generator(GeneratorConfig(1024, 1024, motion="none", z_dim=4, w_dim=4, **sizes))
    discriminator = Discriminator(DiscriminatorConfig(1024, 1024, condition="project", condition_dim=4, **sizes))
    ours, _ = convert_generator(official_generator(generator))
    our_discriminator = convert_discriminator(official_discriminator(discriminator), num_classes=0)
    for network, theirs in ((ours, generator), (our_discriminator, discriminator)):
        assert all(torch.equal(value, theirs.state_dict()[name]) for name, value in network.state_dict().items())


def test_an_image_network_becomes_an_image_model(tmp_path: Path) -> None:
    theirs, their_discriminator = image_networks()
    imported = import_checkpoint(write(tmp_path / "images.pkl", theirs, their_discriminator), tmp_path / "model")
    assert "Pixel noise" in str(imported) and "image generator of 32×32" in str(imported)
    generator, _ = load_generator(tmp_path / "model")
    assert generator.config == theirs.config and generator.motion is None
    z = torch.randn(2, 12)
    assert torch.equal(generator(z, torch.zeros(2, 1)), theirs(z, torch.zeros(2, 1)))
    discriminator = load_discriminator(tmp_path / "model")
    assert discriminator is not None and discriminator.num_frames == 1
    assert (
        discriminator.state_dict()["blocks.0.conv1.weight"].shape[0] == 16
    )  # one frame: no features are joined, so none are halved
    frames = torch.randn(4, 1, 3, 32, 32)
    assert torch.equal(discriminator(frames, torch.zeros(4, 1)), their_discriminator(frames, torch.zeros(4, 1)))


@pytest.mark.slow
def test_an_image_checkpoint_can_be_finetuned_on_video(faces: Path, tiny: RunConfig, tmp_path: Path) -> None:
    torch.manual_seed(0)
    theirs = Generator(GeneratorConfig(16, 16, mapping_layers=8, motion="none", **SIZES))
    their_discriminator = Discriminator(DiscriminatorConfig(16, 16, num_frames=1, channel_base=256, channel_max=16))
    import_checkpoint(write(tmp_path / "images.pkl", theirs, their_discriminator), tmp_path / "model")
    train(faces, tmp_path / "run", with_training(tiny, total_clips=8, lr=1e-12), finetune=tmp_path / "model")
    generator, _ = load_generator(tmp_path / "run" / "model")
    z, times = torch.randn(2, 12), torch.tensor([[0.0, 9.5]] * 2)
    with torch.inference_mode():
        frames, images = generator(z, times), theirs(z, torch.zeros(2, 1))
    torch.testing.assert_close(frames, images.expand_as(frames), rtol=1e-4, atol=1e-4)
    weights = load_checkpoint(tmp_path / "run" / "checkpoint.pt")["discriminator"]
    torch.testing.assert_close(
        weights["from_rgb.weight"], their_discriminator.from_rgb.weight.detach(), rtol=0, atol=1e-9
    )


def test_the_command_reports_the_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "snapshot.pkl", *video_networks())
    cli.main(["import", str(path), str(tmp_path / "model"), "--fps", "30"])
    output = capsys.readouterr().out
    for text in ("video generator of 32×32", "slot_distance 8", "longest_period 100", "30 fps", "of 3 frames"):
        assert text in output
    with pytest.raises(SystemExit):
        cli.main(["import", str(path), str(tmp_path / "other"), "--fps", "0"])
    assert not (tmp_path / "other").exists()


def without(name: str) -> Callable[[dict[str, Tensor]], None]:
    return lambda weights: weights.__delitem__(name)


def put(name: str, value: Tensor) -> Callable[[dict[str, Tensor]], None]:
    return lambda weights: weights.update({name: value})


def with_colors(channels: int) -> Callable[[dict[str, Tensor]], None]:
    return lambda weights: weights.update(
        {
            name: value[:1].expand(channels, *value.shape[1:])
            for name, value in weights.items()
            if re.search(r"torgb\.(weight|bias)$", name)
        }
    )


def without_all(pattern: str) -> Callable[[dict[str, Tensor]], None]:
    def change(weights: dict[str, Tensor]) -> None:
        for name in [name for name in weights if re.search(pattern, name)]:
            del weights[name]

    return change


def unchanged(_: dict[str, Tensor]) -> None:
    pass


def as_skip_discriminator(weights: dict[str, Tensor]) -> None:
    without_all("skip")(weights)
    weights["b16.fromrgb.weight"] = torch.ones(16, 3, 1, 1)


def as_stylegan3(weights: dict[str, Tensor]) -> None:
    without_all("synthesis")(weights)
    weights |= {f"synthesis.{name}.weight": torch.ones(3, 3) for name in ("input", "L0_36_512", "L10_276_128")}


@pytest.mark.parametrize(
    "change, reason",
    [
        (without("synthesis.b8.torgb.weight"), r"missing weights: synthesis\.blocks\.1\.to_rgb\.weight"),
        (without("synthesis.b16.conv1.weight"), "no blocks of 4²"),
        (without("mapping.fc0.weight"), r"missing weights: mapping\.fc0\.weight"),
        (without("synthesis.motion_encoder.time_encoder.freqs"), "motion without acyclic"),
        (put("synthesis.b8.more.weight", torch.ones(2, 2)), r"unexpected weights: synthesis\.blocks\.1\.more"),
        (put("synthesis.b8.skip.weight", torch.ones(2, 2)), "architecture is resnet instead of skip"),
        (without_all(r"b(4|8|16)\.torgb"), "architecture is orig instead of skip"),
        (with_colors(1), "grayscale images in torgb instead of RGB"),
        (with_colors(4), "images of 4 channels in torgb instead of RGB"),
        (
            put("synthesis.motion_encoder.rnn.weight_ih_l0", torch.ones(4, 1)),
            r"LSTM motion in synthesis.*\.rnn instead",
        ),
        (as_stylegan3, r"StyleGAN3 network, whose layers, e\.g\. L0_36_512, .*StyleGAN-V or StyleGAN2-ADA with"),
        (put("synthesis.b4.resample_filter", torch.ones(4, 4) / 16), "is not the filter"),
        (
            put("synthesis.b4.input.input.const", torch.ones(1, 16, 4, 8)),
            r"synthesis\.constant is torch\.float32 \[1, 16, 4, 8\]",
        ),
        (put("synthesis.b8.conv0.bias", torch.full([16], torch.nan)), "non-finite"),
        (put("synthesis.b8.conv0.bias", torch.ones(16, dtype=torch.int64)), r"conv0\.bias"),
        (put("synthesis.b32.conv1.weight", torch.ones(100_000, 1, 1, 1)), "irregular channels"),
        (
            put("synthesis.motion_encoder.time_encoder.phase_scales", torch.ones(1, 6)),
            "time_enc has other phase_scales than its min and max period",
        ),
        (
            put("synthesis.motion_encoder.time_encoder.freqs", 2 * torch.pi / torch.linspace(100, 8, 6)),
            "time_enc has other freqs than its min and max period give, 8 and 100 frames",
        ),
        (put("mapping.fc0.weight", torch.ones(1, 1).expand(40_000, 40_000)), "more weights than the file"),
        (
            put("mapping.fc0.weight", torch.ones(50_000, 1)),
            r"mapping\.w_mean is torch\.float32 \[16\], expected floats \[50000\]",
        ),
    ],
)
def test_unsupported_networks_are_rejected(
    change: Callable[[dict[str, Tensor]], None], reason: str, tmp_path: Path
) -> None:
    weights = official_generator(video_networks()[0])
    change(weights)
    path = write_pickle(tmp_path / "snapshot.pkl", weights, None)
    with pytest.raises(StyleganvError, match=reason) as caught:
        import_checkpoint(path, tmp_path / "model")
    assert "snapshot.pkl" in str(caught.value) and not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    "change, settings, reason",
    [
        (without("b16.conv1.bias"), {}, r"missing weights: blocks\.1\.conv1\.bias"),
        (without_all(r"skip\.weight"), {}, "architecture is orig instead of resnet"),
        (as_skip_discriminator, {}, "architecture is skip instead of resnet"),
        (unchanged, {"b4.mbstd_group_size": 8}, "mbstd_group_size is 8 instead of 4"),
        (unchanged, {"cfg.discriminator.group_size": np.int64(32)}, "group_size is 32 instead of 4"),
        (unchanged, {"b4.group_size": None}, "group_size is None instead of 4"),
        (unchanged, {"cfg.data.dummy_c": True}, "dummy_c is True instead of False"),
    ],
)
def test_an_unsupported_discriminator_is_reported_and_not_imported(
    change: Callable[[dict[str, Tensor]], None], settings: dict[str, object], reason: str, tmp_path: Path
) -> None:
    generator, discriminator = video_networks()
    weights = official_discriminator(discriminator)
    change(weights)
    path = write_pickle(
        tmp_path / "snapshot.pkl", official_generator(generator), weights, discriminator_settings=settings
    )
    imported = import_checkpoint(path, tmp_path / "model")
    assert re.search(rf"Discriminator not imported \({reason}\)", str(imported))
    assert load_discriminator(tmp_path / "model") is None
    assert "discriminator" not in json.loads((tmp_path / "model" / "config.json").read_text())


def test_a_discriminator_with_the_default_settings_is_imported(tmp_path: Path) -> None:
    """The module's group size counts, and null elsewhere is no other one."""
    settings = {"b4.group_size": 4, "cfg.mbstd_group_size": None, "cfg.dummy_c": False, "cfg.c.dummy_c": "${missing}"}
    networks = video_networks()
    path = write(tmp_path / "snapshot.pkl", *networks, discriminator_settings=settings)
    assert import_checkpoint(path, tmp_path / "model").discriminator is not None


@pytest.mark.parametrize("content", [[1, 2], {"G": 3}, np.float64(2)])
def test_pickles_of_other_objects_are_rejected(content: Any, tmp_path: Path) -> None:
    import pickle

    (tmp_path / "other.pkl").write_bytes(pickle.dumps(content))
    with pytest.raises(StyleganvError, match="Network G_ema not found in"):
        import_checkpoint(tmp_path / "other.pkl", tmp_path / "model")
