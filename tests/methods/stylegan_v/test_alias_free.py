"""The alias-free synthesis network: its bands, equivariance to translation, and use like the plain one."""

import copy
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from run_state import assert_same_state, train_with_pauses
from settings import with_training
from small_networks import generator, noise, randn, times
from tiny import FPS, save
from torch import Tensor

from styleganv.config import RunConfig
from styleganv.data.dataset import VideoDataset
from styleganv.editing.direction_search import compute_motion_effect
from styleganv.errors import StyleganvError
from styleganv.interop.program import build_programs
from styleganv.interop.swap import swap_layers
from styleganv.methods import apply_ablation, apply_method, get_method
from styleganv.methods.loading import load
from styleganv.methods.stylegan_v import alias_free
from styleganv.methods.stylegan_v.alias_free import AliasFreeSynthesis, Band, FourierInput, plan_bands
from styleganv.methods.stylegan_v.finetune import copy_matching_weights, load_pretrained, match_pretrained
from styleganv.methods.stylegan_v.generator import Generator
from styleganv.methods.stylegan_v.memory import estimate_step_memory_gib
from styleganv.methods.stylegan_v.trainer import build_networks
from styleganv.training.batches import ClipDataset

ALIAS_FREE: dict[str, Any] = {"synthesis": "alias-free"}


def synthesis(side: int = 64, *, seed: int = 0, channels: int = 16, motion_dim: int = 8) -> AliasFreeSynthesis:
    """Return a random network that has measured the power of its features."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        sizes = {"w_dim": 8, "motion_dim": motion_dim, "channel_base": 1024, "channel_max": channels}
        network = AliasFreeSynthesis(side, side, **sizes)
    for i in range(3):
        network(styles(network, 4, seed=100 + i), randn(4, 2, motion_dim, seed=200 + i) if motion_dim else None)
        network.update_powers()
    return network.eval().requires_grad_(False)


def styles(network: AliasFreeSynthesis, batch: int = 1, seed: int = 1) -> Tensor:
    """Return a different random style per layer."""
    return randn(batch, network.num_styles, 8, seed=seed)


def test_bands_at_64() -> None:
    """Worked out by hand: cutoff 2·2^(i/2), stopband 2^(2.1 + 0.4 i), both until layer 8."""
    rates = [16, 16, 16, 32, 32, 64, 64, 64, 64, 64]
    stopbands = [2.1, 2.5, 2.9, 3.3, 3.7, 4.1, 4.5, 4.9, 5.3, 5.3]
    bands = plan_bands(64, 64)
    assert [band.size for band in bands] == [(rate, rate) for rate in rates]
    assert [band.cutoff for band in bands] == pytest.approx([2 * 2 ** (min(i, 8) / 2) for i in range(10)])
    assert [band.stopband for band in bands] == pytest.approx([2**exponent for exponent in stopbands])
    assert [bands[i].half_width for i in (0, 3, 8)] == pytest.approx([8 - 2, 16 - 2**2.5, 2**5.3 - 32])


def test_bands_at_256() -> None:
    """The paper's 14 layers: stopband 2^(2.1 + 13/30 i); that of layer 9 is 64, so its rate is exactly 128."""
    bands = plan_bands(256, 256)
    assert [band.rate for band in bands] == [16, 16, 16, 32, 32, 64, 64, 128, 128, 128, 256, 256, 256, 256]
    assert bands[9].stopband == pytest.approx(64) and bands[13].stopband == pytest.approx(128 * 2**0.3)
    assert [band.cutoff for band in bands] == pytest.approx([2 * 2 ** (min(i, 12) / 2) for i in range(14)])
    assert len(plan_bands(1024, 1024)) == 14 and len(plan_bands(16, 16)) == 6 and len(plan_bands(8, 8)) == 4


def test_channels() -> None:
    network = AliasFreeSynthesis(64, 64, w_dim=4, motion_dim=4, channel_base=1024, channel_max=64)
    # min(512 / cutoff, 64)
    assert [len(layer.bias) for layer in network.layers] == [64, 64, 64, 64, 64, 45, 32, 23, 16, 16]
    assert network.num_styles == 12


@pytest.mark.parametrize("height, width", [(64, 64), (144, 256), (8, 16), (24, 40), (72, 96), (48, 80)])
def test_rates_hold_every_band_and_divide_each_other(height: int, width: int) -> None:
    bands = plan_bands(height, width)
    assert bands[-1].size == (height, width)
    for before, band in zip([bands[0], *bands], bands, strict=False):
        assert band.rate >= 2 * min(band.stopband, max(height, width) / 2) * (1 - 1e-9) and band.half_width > 0
        assert band.rate // before.rate in (1, 2) and band.rate % before.rate == 0
        assert band.size[0] * width == band.size[1] * height


@pytest.mark.parametrize("height, width", [(32, 32), (24, 40), (8, 16), (16, 48)])
def test_it_supports_every_shape(height: int, width: int) -> None:
    frames = generator(height, width, **ALIAS_FREE)(randn(2, 8), times(), noise())
    assert frames.shape == (2, 3, 3, height, width) and torch.isfinite(frames).all()


def shift_matrix(size: int, shift: float) -> Tensor:
    """Return the matrix `[size, size]` of a band-limited shift, a sinc of 24 samples under a Kaiser window."""
    t = torch.arange(size, dtype=torch.float64)[:, None] - torch.arange(size) - shift
    window = torch.special.i0(8 * (1 - (t / 12) ** 2).clamp(min=0).sqrt()) / torch.special.i0(torch.tensor(8.0))
    return torch.sinc(t) * window * (t.abs() < 12)


def translation_psnr(network: AliasFreeSynthesis, shift: tuple[float, float], seed: int) -> float:
    """Return the PSNR in dB of a shift by pixels at the input compared with one of the frame, relative to its range."""
    moved = copy.deepcopy(network)
    moved.input.affine.bias[2:] += torch.tensor(shift) / 64
    inputs = styles(network, seed=seed), randn(1, 1, 8, seed=seed)
    frame, actual = (each(*inputs)[0, 0].double() for each in (network, moved))
    expected = shift_matrix(64, shift[0]) @ frame @ shift_matrix(64, shift[1]).T
    inside = (..., slice(16, -16), slice(16, -16))
    error = (actual - expected)[inside].square().mean()
    return float(10 * torch.log10((frame[inside].max() - frame[inside].min()) ** 2 / error))


@pytest.mark.parametrize("shift", [(1, 0), (0.5, 0.5), (-2.37, 1.61), (0, 5.25)])
def test_a_shift_of_the_input_shifts_the_frame(shift: tuple[float, float]) -> None:
    assert min(translation_psnr(synthesis(seed=seed), shift, seed) for seed in range(2)) > 60


def test_leaky_relu_at_the_rate_of_the_pixels_breaks_this(monkeypatch: pytest.MonkeyPatch) -> None:
    network, filtered = synthesis(), alias_free.filtered_leaky_relu
    psnr = translation_psnr(network, (0.5, 0.5), 0)
    monkeypatch.setattr(alias_free, "filtered_leaky_relu", lambda x, *rest: filtered(F.leaky_relu(x, 0.2), *rest))
    assert translation_psnr(network, (0.5, 0.5), 0) < psnr - 10


def test_waves_are_moved_and_turned() -> None:
    """Against the formula, pixel by pixel: sin(2π(f · R(x − shift) + φ))."""
    torch.manual_seed(0)
    source = FourierInput(Band((8, 16), 2.0, 4.3), 5, 3, 4)
    torch.nn.init.normal_(source.affine.weight)
    torch.nn.init.normal_(source.motion.weight)  # type: ignore[union-attr]
    source.requires_grad_(False)
    w, v = randn(2, 3), randn(2, 4, seed=1)
    moved, offset = source.motion(v).split([4, 5], dim=1)  # type: ignore[misc]
    cos, sin, shift_y, shift_x = (source.affine(w) + moved).unbind(dim=1)
    x = source(w, v)
    assert x.shape == (2, 5, 28, 36)
    for n, channel, i, j in ((0, 0, 0, 0), (1, 4, 27, 3), (1, 2, 13, 35)):
        y_at, x_at = (i + 0.5 - 14) / 16 - shift_y[n], (j + 0.5 - 18) / 16 - shift_x[n]
        angle = math.atan2(sin[n], cos[n])
        turned = (math.cos(angle) * y_at + math.sin(angle) * x_at, -math.sin(angle) * y_at + math.cos(angle) * x_at)
        cycles = source.frequencies[channel] @ torch.stack(turned) + source.phases[channel]
        expected = 2**0.5 * math.sin(2 * math.pi * cycles) + offset[n, channel]
        torch.testing.assert_close(x[n, channel, i, j], expected)
    assert source.frequencies.norm(dim=1).max() <= 2


def test_waves_fill_a_disk_evenly() -> None:
    torch.manual_seed(0)
    radius = FourierInput(Band((16, 16), 2.0, 4.3), 4000, 1, 0).frequencies.norm(dim=1)
    assert (radius < 2).all() and float((radius < 1).float().mean()) == pytest.approx(1 / 4, abs=0.03)


def test_frames_depend_on_content_and_on_their_own_times() -> None:
    g = generator(**ALIAS_FREE)
    z, t = randn(2, 8), times()
    whole = g(z, t, noise())
    for i in range(3):
        torch.testing.assert_close(g(z, t[:, i : i + 1], noise())[:, 0], whole[:, i], atol=1e-5, rtol=1e-4)
    assert (whole[:, 0] - whole[:, 1]).abs().amax(dim=(1, 2, 3)).min() > 1e-3
    assert (whole[0] - g(randn(2, 8, seed=9), t, noise())[0]).abs().max() > 1e-2
    assert (g(z, t + 1e-3, noise()) - whole).abs().max() < 1e-3  # motion is continuous
    with pytest.raises(ValueError, match="styles must be"):
        g.synthesis(randn(1, 3, 8), None)


def test_without_motion_it_is_stylegan3() -> None:
    g = generator(motion="none", **ALIAS_FREE)
    image = g(randn(4, 8), torch.zeros(4, 1))
    assert image.shape == (4, 1, 3, 32, 32) and (image[0] - image[1]).abs().max() > 1e-2


def test_every_weight_gets_a_gradient_also_with_checkpointing() -> None:
    gradients = []
    for gradient_checkpointing in (False, True):
        g = generator(**ALIAS_FREE)
        g.synthesis.gradient_checkpointing = gradient_checkpointing
        g(randn(2, 8), times(), noise()).square().mean().backward()
        gradients.append({name: p.grad for name, p in g.synthesis.named_parameters()})
    for name, gradient in gradients[0].items():
        assert gradient is not None and gradient.abs().max() > 0, name
        torch.testing.assert_close(gradients[1][name], gradient)


def test_powers_converge_to_those_of_the_features() -> None:
    """Every layer gets features of unit power after one update already, for the same inputs."""
    network, inputs = synthesis(32), []
    torch.nn.init.constant_(network.powers, 1.0)
    network.train().requires_grad_(True)
    batch = styles(network, 8), randn(8, 2, 8)
    for layer in network.layers:
        layer.register_forward_hook(lambda _, args, __: inputs.append(float((args[0] * args[2]).square().mean())))
    network.num_updates.zero_()
    network(*batch)
    network.update_powers()
    inputs.clear()
    network(*batch)
    assert inputs == pytest.approx([1.0] * len(inputs), rel=1e-3)
    network.update_powers()
    assert network.num_updates == 2 and network.observed.sum() == 0
    before = network.powers.clone()
    with torch.no_grad():
        network(*batch)
    network.update_powers()
    assert torch.equal(network.powers, before) and network.num_updates == 2


def test_bfloat16_is_close_to_float32() -> None:
    network = synthesis(32)
    inputs = styles(network), randn(1, 4, 8)
    exact = network(*inputs)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = network(*inputs)
    assert rounded.dtype == torch.float32 and (rounded - exact).abs().max() < 0.05 * exact.abs().max()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("alias") / "model", **ALIAS_FREE)


def test_a_frame_is_the_same_from_any_start(folder: Path) -> None:
    videos = load(folder, device="cpu")
    assert videos.config["generator"]["synthesis"] == "alias-free"
    whole = np.stack(list(videos.stream(seed=3, seconds=20 / FPS)))
    later = np.stack(list(videos.stream(seed=3, start=7 / FPS, seconds=9 / FPS)))
    assert np.array_equal(whole[7:16], later) and not np.array_equal(whole[0], whole[19])
    content = videos.styles_from_seed(3)
    changing = np.stack(list(videos.render(lambda _: content, 3, seconds=8 / FPS)))
    assert np.abs(changing.astype(int) - whole[:8]).max() <= 1


def test_motion_directions_see_what_motion_adds_to_the_input(folder: Path) -> None:
    videos = load(folder, device="cpu")
    codes = randn(5, 16)
    effect = compute_motion_effect(videos, codes)
    assert effect.shape == (5, 4 + 8)
    torch.testing.assert_close(compute_motion_effect(videos, 2 * codes), 2 * effect)


def test_the_program_for_export_gives_the_same_frames(folder: Path) -> None:
    network = load(folder, device="cpu").generator
    _, program = build_programs(network)
    content, t = randn(2, network.synthesis.num_styles, 16), torch.tensor([[0.0, 3.3, 9.1]] * 2, dtype=torch.float64)
    slots = network.num_slots(20)
    noise_of_slots = randn(2, slots, 16, seed=5)
    frames = program(content, t, noise_of_slots, torch.zeros(2, dtype=torch.long))
    codes = network.motion_codes(t.float(), noise_of_slots)
    torch.testing.assert_close(frames, network.synthesis(content, codes), atol=1e-4, rtol=1e-3)


@pytest.fixture
def settings(tiny: RunConfig) -> RunConfig:
    return with_training(apply_ablation(tiny, "alias-free"), batch_size=4, num_frames=2, r1_interval=2)


def test_a_resumed_run_is_the_same(settings: RunConfig, faces: Path, tmp_path: Path) -> None:
    data = VideoDataset(faces)
    trainer = train_with_pauses(settings, data, tmp_path / "once.pt", [2])
    train_with_pauses(settings, data, tmp_path / "twice.pt", [1, 1])
    assert_same_state(tmp_path / "once.pt", tmp_path / "twice.pt")
    assert isinstance(trainer.generator, Generator) and trainer.generator.synthesis.num_updates == 2  # type: ignore[attr-defined]
    assert torch.equal(trainer.generator_ema.synthesis.powers, trainer.generator.synthesis.powers)  # type: ignore[attr-defined]


def test_its_memory_is_estimated(settings: RunConfig, faces: Path) -> None:
    clips = ClipDataset(VideoDataset(faces), settings.training)
    assert 0 < estimate_step_memory_gib(settings, clips, torch.device("cpu")) < 1


def test_finetuning_copies_all_of_it_or_says_why_not(
    settings: RunConfig, faces: Path, folder: Path, tmp_path: Path
) -> None:
    data = VideoDataset(faces)
    source = load_pretrained(folder)
    config = match_pretrained(settings, source)
    generator, discriminator = build_networks(config, data)
    messages = copy_matching_weights(source, config, generator, discriminator)
    assert messages[0].endswith(f"generator from {folder}.") and config.model.synthesis == "alias-free"
    larger = load_pretrained(save(tmp_path / "larger", height=32, width=32, **ALIAS_FREE))
    with pytest.raises(StyleganvError, match="is for 32x32 frames, got 16x16: prepare the dataset"):
        copy_matching_weights(larger, config, generator, discriminator)


def test_what_cannot_work_is_refused(settings: RunConfig, folder: Path) -> None:
    get_method("stylegan-v").check(settings)
    with pytest.raises(StyleganvError, match="--grow-from requires --synthesis skip"):
        get_method("stylegan-v").check(with_training(settings, grow_from=16))
    with pytest.raises(StyleganvError, match="--grow-from requires --synthesis skip"):
        get_method("stylegan2").check(with_training(apply_method(settings, "stylegan2"), grow_from=16))
    with pytest.raises(StyleganvError, match="--synthesis alias-free requires --method stylegan-v or stylegan2"):
        get_method("digan").check(apply_method(settings, "digan"))
    network = load(folder, device="cpu").generator
    with pytest.raises(StyleganvError, match="Only layers of models with --synthesis skip can be swapped"):
        swap_layers(network, network, 16)
