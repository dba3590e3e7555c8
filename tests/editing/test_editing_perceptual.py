"""Distances between images: closed forms, direct computations, and a network of the user's."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from shapes import draw_video, sample_factors
from torch import Tensor, nn

from styleganv.editing.perceptual import Perceptual, load_perceptual, psnr, ssim
from styleganv.errors import StyleganvError


@pytest.fixture(scope="module")
def packaged() -> Perceptual:
    return load_perceptual()


@pytest.fixture(scope="module")
def images() -> Tensor:
    """Two drawn images `[2, 3, 32, 48]`."""
    random = np.random.default_rng(0)
    drawn = [draw_video(sample_factors(random), num_frames=1, height=32, width=48)[0] for _ in range(2)]
    return torch.from_numpy(np.stack(drawn)).permute(0, 3, 1, 2).float() / 255


def test_psnr_of_a_constant_difference() -> None:
    x = torch.full((2, 3, 4, 5), 0.5)
    y = x.clone()
    y[1] += 0.1
    assert psnr(x, y)[0] == math.inf
    assert psnr(x, y)[1] == pytest.approx(20, abs=1e-4)


def test_ssim_of_constant_images() -> None:
    """Without variance, only the luminance term remains."""
    x, y = torch.full((1, 3, 16, 12), 0.25), torch.full((1, 3, 16, 12), 0.75)
    expected = (2 * 0.25 * 0.75 + 1e-4) / (0.25**2 + 0.75**2 + 1e-4)
    assert ssim(x, y).item() == pytest.approx(expected, abs=1e-6)
    assert ssim(x, x).item() == pytest.approx(1, abs=1e-6)


def test_ssim_equals_the_mean_over_windows() -> None:
    x, y = torch.rand(2, 1, 3, 14, 13, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    along = torch.exp(-((torch.arange(11, dtype=torch.float64) - 5) ** 2) / (2 * 1.5**2))
    weight = along[:, None] * along[None]
    weight /= weight.sum()
    found = []
    for channel in range(3):
        for top in range(4):
            for left in range(3):
                a, b = (each[0, channel, top : top + 11, left : left + 11] for each in (x, y))
                ma, mb = (weight * a).sum(), (weight * b).sum()
                va, vb = (weight * (a - ma) ** 2).sum(), (weight * (b - mb) ** 2).sum()
                cov = (weight * (a - ma) * (b - mb)).sum()
                found.append(
                    (2 * ma * mb + 0.01**2) * (2 * cov + 0.03**2) / ((ma**2 + mb**2 + 0.01**2) * (va + vb + 0.03**2))
                )
    assert ssim(x, y).item() == pytest.approx(torch.stack(found).mean().item(), abs=1e-10)


def test_ssim_of_images_smaller_than_its_window_fails() -> None:
    with pytest.raises(StyleganvError, match="8x16"):
        ssim(torch.zeros(1, 3, 8, 16), torch.zeros(1, 3, 8, 16))


def test_the_network_ranks_images(packaged: Perceptual, images: Tensor) -> None:
    """The distance is 0 to itself, small to a blurred image, larger to another; images are independent."""
    blurred = nn.functional.avg_pool2d(images, 3, stride=1, padding=1, count_include_pad=False)
    same, near, far = packaged(images, images), packaged(images, blurred), packaged(images, images.flip(0))
    assert (same == 0).all() and (near > 0.01).all() and (far > 1.2 * near).all()
    assert torch.allclose(packaged(images[:1], blurred[:1]), near[:1], atol=1e-5)


def test_gradients_reduce_the_distance(packaged: Perceptual, images: Tensor) -> None:
    x = images[:1].lerp(torch.full_like(images[:1], 0.5), 0.5).requires_grad_()
    before = packaged(x, images[:1]).sum()
    (gradient,) = torch.autograd.grad(before, x)
    after = packaged(x - 1e-3 * gradient / gradient.square().mean().sqrt(), images[:1])
    assert after.item() < before.item()


class Pyramid(nn.Module):
    def forward(self, x: Tensor) -> list[Tensor]:
        return [x, nn.functional.avg_pool2d(x, 2)]


class OneVector(nn.Module):
    def forward(self, x: Tensor) -> list[Tensor]:
        return [x.mean(dim=(2, 3))]


class NoGradient(nn.Module):
    def forward(self, x: Tensor) -> list[Tensor]:
        return [x.round()]


def save_script(net: nn.Module, path: Path) -> Path:
    torch.jit.script(net).save(str(path))
    return path


def test_a_network_of_the_user(images: Tensor, tmp_path: Path) -> None:
    own = load_perceptual(save_script(Pyramid(), tmp_path / "own.pt"))
    dark, red = torch.full((1, 3, 4, 4), 0.2), torch.zeros(1, 3, 4, 4)
    red[:, 0] = 1
    # Unit vectors (1,1,1)/sqrt(3) and (1,0,0) give 2 − 2/sqrt(3) at both stages.
    assert own(dark, red).item() == pytest.approx(2 - 2 / math.sqrt(3), abs=1e-5)
    assert own.name == "own.pt" and len(own.sha256) == 64


@pytest.mark.parametrize("net", [OneVector(), NoGradient(), None])
def test_a_network_with_another_interface_fails(net: nn.Module | None, tmp_path: Path) -> None:
    path = tmp_path / "wrong.pt"
    if net is not None:
        save_script(net, path)
    with pytest.raises(StyleganvError, match=r"wrong\.pt is not a perceptual network"):
        load_perceptual(path)
