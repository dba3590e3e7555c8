"""Each operator against a slow, obvious twin, and its first and second derivatives against finite differences.

Shapes: N images, B clips, I input channels, O output channels, H height, W width.
"""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck
from twins import convolve_modulated, filter_fir, upsample

from styleganv.methods.stylegan_v.discriminator import append_stddev
from styleganv.nn import (
    bias_act,
    compute_demodulation,
    convolution,
    convolve,
    fir_filter2d,
    fir_kernel,
    modulated_conv2d,
    split_phases,
    upsample2d,
    winograd,
)

UP = fir_kernel(4.0)


def randn(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def assert_differentiable_twice(f: Callable[..., Tensor], *inputs: Tensor) -> None:
    inputs = tuple(x.clone().requires_grad_() for x in inputs)
    assert gradcheck(f, inputs, fast_mode=True)
    assert gradgradcheck(f, inputs, fast_mode=True)


@pytest.mark.parametrize("padding, stride, gain", [(0, 1, 1.0), (1, 1, 4.0), (2, 1, 1.0), (1, 2, 1.0), (2, 2, 0.5)])
def test_fir_filter2d_equals_the_sum_over_its_taps(padding: int, stride: int, gain: float) -> None:
    x = randn(2, 3, 7, 6)
    ours = fir_filter2d(x, fir_kernel(gain), padding=padding, stride=stride)
    torch.testing.assert_close(ours, filter_fir(x, padding, padding, stride, gain))
    assert ours.shape[2] == (7 + 2 * padding - 4) // stride + 1
    assert_differentiable_twice(
        lambda x: fir_filter2d(x, fir_kernel(gain), padding=padding, stride=stride), x[:1, :2, :5, :4]
    )


def test_upsample2d_equals_zero_insertion_and_filter() -> None:
    x = randn(2, 3, 5, 4)
    torch.testing.assert_close(upsample2d(x, UP), upsample(x))
    assert_differentiable_twice(lambda x: upsample2d(x, UP), x[:1, :2, :3, :2])


def test_upsampling_preserves_a_constant_in_the_interior() -> None:
    up = upsample2d(torch.ones(1, 1, 6, 6), UP)
    torch.testing.assert_close(up[:, :, 2:-2, 2:-2], torch.ones(1, 1, 8, 8))


@pytest.mark.parametrize("activate", [True, False])
def test_bias_act_number_by_number(activate: bool) -> None:
    x, bias = randn(2, 3, 4), randn(3, seed=1)
    expected = x.clone()
    for index in torch.cartesian_prod(*map(torch.arange, x.shape)).tolist():
        value = float(x[tuple(index)] + bias[index[1]])
        expected[tuple(index)] = value if not activate else 2**0.5 * (value if value > 0 else 0.2 * value)
    torch.testing.assert_close(bias_act(x, bias, activate=activate), expected)
    assert_differentiable_twice(lambda x, b: bias_act(x, b, activate=activate), x, bias)


def test_activation_keeps_the_second_moment_of_unit_noise() -> None:
    assert bias_act(randn(100_000)[None]).square().mean().sqrt() == pytest.approx(1.04**0.5, rel=0.005)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_only_half_precision_is_clamped(dtype: torch.dtype) -> None:
    x = torch.tensor([[1000.0, -5000.0, 1.0]], dtype=dtype)
    y = bias_act(x, gain=1.0)
    expected = [256.0, -256.0, 1.0] if x.element_size() == 2 else [1000.0, -1000.0, 1.0]
    assert y.dtype == dtype and y[0].tolist() == expected
    assert bias_act(x, activate=False)[0, 0] == 1000
    assert x.tolist() == [[1000.0, torch.tensor(-5000.0, dtype=dtype).item(), 1.0]]  # the input is unchanged
    x.requires_grad_()
    (gradient,) = torch.autograd.grad(bias_act(x, gain=1.0).sum(), x)
    assert gradient[0].tolist() == pytest.approx([1.0, 0.2, 1.0], rel=1e-2)


@pytest.mark.parametrize("demodulate", [True, False])
@pytest.mark.parametrize("up, kernel", [(False, 1), (False, 3), (True, 3)])
def test_modulated_conv2d_equals_one_weight_per_image(up: bool, kernel: int, demodulate: bool) -> None:
    x, weight, style = randn(6, 3, 5, 4), randn(4, 3, kernel, kernel, seed=1), randn(2, 3, seed=2)
    ours = modulated_conv2d(x, weight, style, fir=UP if up else None, demodulate=demodulate)
    torch.testing.assert_close(ours, convolve_modulated(x, weight, style, up, demodulate))
    assert_differentiable_twice(
        lambda x, w, s: modulated_conv2d(x, w, s, fir=UP if up else None, demodulate=demodulate),
        x[:2, :2, :2, :3],
        weight[:2, :2],
        style[:1, :2],
    )


def test_demodulation_gives_unit_variance() -> None:
    x, style = randn(2, 16, 64, 64), 5 * randn(2, 16, seed=1)
    y = modulated_conv2d(x, randn(8, 16, 3, 3, seed=2), style)[:, :, 1:-1, 1:-1]
    torch.testing.assert_close(y.var(dim=(2, 3)), torch.ones(2, 8, dtype=y.dtype), atol=0.15, rtol=0)
    assert torch.isfinite(compute_demodulation(torch.zeros(2, 3, 1, 1), torch.zeros(1, 3))).all()


@pytest.mark.parametrize("up", [False, True])
def test_bfloat16_stays_close_to_float32(up: bool) -> None:
    x, weight, style = randn(4, 32, 8, 8).float(), randn(32, 32, 3, 3, seed=1).float(), 1 + randn(2, 32).float()
    exact = bias_act(upsample2d(modulated_conv2d(x, weight, style, fir=UP if up else None), UP), randn(32).float())
    y = modulated_conv2d(x.bfloat16(), weight, style, fir=UP if up else None)
    half = bias_act(upsample2d(y, UP), randn(32).float())
    assert half.dtype == torch.bfloat16
    assert (half.float() - exact).norm() < 0.02 * exact.norm()


@pytest.mark.parametrize("batch, group", [(1, 1), (2, 2), (3, 1), (4, 4), (6, 2), (8, 4)])
def test_append_stddev_clip_by_clip(batch: int, group: int) -> None:
    x = randn(batch, 2, 3, 2)
    out = append_stddev(x)
    torch.testing.assert_close(out[:, :2], x)
    for i in range(batch):
        members = x[i % (batch // group) :: batch // group]
        assert len(members) == group
        variance = ((members - members.mean(dim=0)) ** 2).mean(dim=0)
        torch.testing.assert_close(out[i, 2], torch.full((3, 2), float((variance + 1e-8).sqrt().mean())).double())


def test_append_stddev_is_differentiable_twice() -> None:
    assert_differentiable_twice(append_stddev, randn(4, 1, 2, 2))


@pytest.mark.parametrize("height, width", [(4, 4), (3, 5)])
def test_a_transposed_convolution_equals_its_phases(height: int, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    x, kernel, bias = randn(2, 3, height, width), randn(5, 3, 3, 3, seed=1), randn(5, seed=2)
    transposed = convolve(x, kernel, bias, UP)
    monkeypatch.setattr(convolution, "prefers_phases", lambda device, dtype: True)
    torch.testing.assert_close(convolve(x, kernel, bias, UP), transposed)
    torch.testing.assert_close(convolve(x, split_phases(kernel), bias, UP), transposed)
    assert_differentiable_twice(lambda x, k, b: convolve(x, k, b, UP), x, kernel, bias)


@pytest.mark.parametrize("block_bytes", [1, 2**6, 2**8, 2**18])
@pytest.mark.parametrize("height, width", [(4, 4), (12, 8)])
def test_winograd_equals_convolution_for_every_block_size(
    block_bytes: int, height: int, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(winograd, "BLOCK_BYTES", block_bytes)
    x, kernel, bias = randn(3, 2, height, width), randn(5, 2, 3, 3, seed=1), randn(5, seed=2)
    for each in (None, bias):
        torch.testing.assert_close(winograd.convolve_3x3(x, kernel, each), F.conv2d(x, kernel, each, padding=1))
    assert_differentiable_twice(winograd.convolve_3x3, x[:2], kernel[:2], bias[:2])


@pytest.mark.parametrize("block_bytes", [1, 2**6, 2**18])
@pytest.mark.parametrize("height, width", [(4, 4), (12, 8)])
def test_winograd_with_small_tiles_equals_convolution(
    block_bytes: int, height: int, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All intermediate values are integers that bfloat16 represents exactly."""
    monkeypatch.setattr(winograd, "BLOCK_BYTES", block_bytes)
    x, kernel, bias = (randn(*shape).sign().bfloat16() for shape in ((3, 2, height, width), (5, 2, 3, 3), (5,)))
    y = winograd.convolve_transformed(x, winograd.transform_kernel(4 * kernel, torch.bfloat16), bias)
    torch.testing.assert_close(y, F.conv2d(x, 4 * kernel, bias, padding=1), rtol=0, atol=0)


def test_winograd_rounding_errors_are_bounded() -> None:
    x, kernel = randn(2, 256, 16, 16), randn(256, 256, 3, 3, seed=1) / 48
    exact = F.conv2d(x, kernel, padding=1)
    error = winograd.convolve_3x3(x.float(), kernel.float()) - exact
    assert error.std() < 5e-6 * exact.std()
    for_half = winograd.transform_kernel(kernel.float(), torch.bfloat16).bfloat16()
    error = winograd.convolve_transformed(x.bfloat16(), for_half) - exact
    ordinary = F.conv2d(x.bfloat16(), kernel.bfloat16(), padding=1) - exact
    assert error.std() < 3 * ordinary.std()


def test_winograd_is_used_where_supported_and_faster() -> None:
    def is_used(
        channels: int = 256, size: int = 32, images: int = 1, k: int = 3, device: str = "cpu", reused: bool = False
    ) -> bool:
        kernel = torch.empty(channels, 512, k, k, device=device)
        return winograd.is_faster(kernel, torch.float32, images, size, size, reused_kernel=reused)

    assert is_used() and is_used(size=16, images=4)
    assert not any((is_used(channels=255), is_used(size=34), is_used(size=16), is_used(k=1), is_used(device="meta")))
    # Transforming a kernel pays off with enough pixels, or if it is done once for many calls.
    assert not is_used(channels=512) and is_used(channels=512, images=2)
    assert is_used(channels=512, size=16, reused=True) and not is_used(channels=512, size=8, reused=True)
    kernel = torch.empty(256, 256, 3, 3)
    assert not winograd.is_faster(kernel, torch.float64, 1, 32, 32)
    with torch.autocast("cpu"):
        assert not is_used()


def test_winograd_is_not_used_in_exported_programs() -> None:
    """Their number of images is dynamic; reading the size would fix it."""

    class Convolution(torch.nn.Module):
        def forward(self, x: Tensor, kernel: Tensor) -> Tensor:
            return convolve(x, kernel, None)

    x, kernel = randn(5, 256, 16, 16).float(), randn(256, 256, 3, 3, seed=1).float() / 48
    shapes = ({0: torch.export.Dim("images")}, None)
    program = torch.export.export(Convolution(), (x[:2], kernel), dynamic_shapes=shapes)
    torch.testing.assert_close(program.module()(x, kernel), F.conv2d(x, kernel, padding=1))


def test_winograd_ignores_autocast() -> None:
    x, kernel = (each.float().requires_grad_() for each in (randn(1, 8, 8, 8), randn(8, 8, 3, 3, seed=1)))
    y = winograd.convolve_3x3(x, kernel)
    expected = torch.autograd.grad(y.sum(), (x, kernel), retain_graph=True)
    with torch.autocast("cpu"):
        torch.testing.assert_close(winograd.convolve_3x3(x, kernel), y)
        torch.testing.assert_close(torch.autograd.grad(y.sum(), (x, kernel)), expected)
