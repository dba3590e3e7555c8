"""How far pictures are apart: to a network that knows pictures, and pixel by pixel.

Shapes: N pictures, C channels, H height, W width. Pictures are float `[N, 3, H, W]` in 0..1.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from styleganv.errors import StyleganvError
from styleganv.metrics.features import efficientnet, normalize_imagenet, offline_weights, sha256_of

#: EfficientNet-Lite0's blocks whose outputs are compared: 1/2, 1/4, 1/8 and 1/16 of the input's size.
STAGES = (0, 2, 4, 10)
#: The network was trained at 224²; below 128² its features of small pictures are too few.
SMALLEST, LARGEST = 128, 224
#: Of SSIM (Wang et al. 2004): an 11×11 Gaussian window, and constants for a range of 1.
WINDOW, SIGMA, C1, C2 = 11, 1.5, 0.01**2, 0.03**2


@dataclass(frozen=True)
class Perceptual:
    """A network as a measure of distance (the idea of LPIPS, Zhang et al. 2018, with equal weights).

    Attributes:
        name: for a report.
        sha256: of its weights.
        maps: pictures → feature maps `[N, C, h, w]`, one of each stage.
    """

    name: str
    sha256: str
    maps: Callable[[Tensor], Sequence[Tensor]]

    def features(self, x: Tensor) -> list[Tensor]:
        """What is compared of each picture: the maps, scaled to unit length at each position, so that what counts is
        what is there, not how strongly."""
        return [F.normalize(each, dim=1) for each in self.maps(x)]

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        """Distance of each picture of `x` to the one of `y`: `[N]`, 0 where they are alike; gradients flow."""
        return apart(self.features(x), self.features(y))


def apart(a: Sequence[Tensor], b: Sequence[Tensor]) -> Tensor:
    """Distance of pictures whose `Perceptual.features` these are, `[N]` in 0..4: the squared distance of features,
    averaged over positions, then over stages."""
    stages = [(x - y).square().sum(dim=1).mean(dim=(1, 2)) for x, y in zip(a, b, strict=True)]
    return torch.stack(stages).mean(dim=0)


def load_perceptual(path: Path | str | None = None, *, device: torch.device | str = "cpu") -> Perceptual:
    """The packaged EfficientNet-Lite0 (ImageNet), or a network of your own.

    Args:
        path: a TorchScript file, called as `net(x)`, `x` float `[N, 3, H, W]` in 0..1 of the model's size; it returns
            a list of feature maps `[N, C, h, w]`, and gradients flow through it.

    Raises:
        StyleganvError: if the file is missing, damaged, or not to be called so.
    """
    device = torch.device(device)
    if path is None:
        return Perceptual("efficientnet_lite0", sha256_of(offline_weights()), _efficientnet_maps(device))
    path = Path(path)
    try:
        net = torch.jit.load(str(path), map_location=device).eval()
        x = torch.linspace(0, 1, 3 * 64 * 64, device=device).view(1, 3, 64, 64).requires_grad_()
        maps = net(x)
        flows = sum(each.sum() for each in maps if each.shape[0] == 1 and each.ndim == 4)
        (gradient,) = torch.autograd.grad(flows, x)
        usable = (
            isinstance(maps, list | tuple)
            and all(m.ndim == 4 for m in maps)
            and bool(gradient.isfinite().all() and gradient.any())
        )
    except Exception as error:  # TorchScript raises what it likes
        raise _unusable(path) from error
    if not usable:
        raise _unusable(path)
    return Perceptual(path.name, sha256_of(path), net)


def _unusable(path: Path) -> StyleganvError:
    return StyleganvError(
        f"{path} is no perceptual network: give a TorchScript file that turns pictures [N, 3, H, W] in 0..1 into a "
        "list of feature maps [N, C, h, w], through which gradients flow."
    )


def _efficientnet_maps(device: torch.device) -> Callable[[Tensor], list[Tensor]]:
    net = efficientnet(offline_weights(), device)
    _fold_normalisation(net)

    def maps(x: Tensor) -> list[Tensor]:
        x = normalize_imagenet(_enlarged(x))
        x = net._swish(net._bn0(net._conv_stem(x)))
        found = []
        for index, block in enumerate(net._blocks[: STAGES[-1] + 1]):
            x = block(x)
            if index in STAGES:
                found.append(x)
        return found

    return maps


def _fold_normalisation(net: Any) -> None:
    """Into the convolution before it, which makes the network a third faster on a CPU."""
    pairs = (("_expand_conv", "_bn0"), ("_depthwise_conv", "_bn1"), ("_project_conv", "_bn2"), ("_conv_stem", "_bn0"))
    for owner in (net, *net._blocks):
        for conv, norm in pairs:
            if hasattr(owner, conv):
                setattr(owner, conv, fuse_conv_bn_eval(getattr(owner, conv), getattr(owner, norm)))
                setattr(owner, norm, nn.Identity())


def _enlarged(x: Tensor) -> Tensor:
    """Twice as large, within what the network is good at; sides are whole multiples of its coarsest cell."""
    height, width = x.shape[-2:]
    longer = max(height, width)
    scale = min(max(2 * longer, SMALLEST), LARGEST) / longer
    size = [max(32, 32 * round(side * scale / 32)) for side in (height, width)]
    return F.interpolate(x, size, mode="bilinear", antialias=True)


def psnr(x: Tensor, y: Tensor) -> Tensor:
    """Peak signal-to-noise ratio of each picture in dB: `[N]`, infinite where they are alike."""
    return -10 * torch.log10((x - y).square().mean(dim=(1, 2, 3)))


def ssim(x: Tensor, y: Tensor) -> Tensor:
    """Structural similarity of each picture (Wang et al. 2004): `[N]` float64 on the CPU, 1 where they are alike.

    The mean over all windows that lie inside the picture, and over the colour channels.

    Raises:
        StyleganvError: if a side is shorter than the window's 11 pixels.
    """
    if min(x.shape[-2:]) < WINDOW:
        raise StyleganvError(f"Pictures of {x.shape[-2]}x{x.shape[-1]} are too small for SSIM: its window is 11x11.")
    # Variances are differences of large numbers, beside a constant of 0.0009: float32 would be wrong by 1e-4.
    x, y = x.cpu().double(), y.cpu().double()
    distance = torch.arange(WINDOW, dtype=torch.float64) - WINDOW // 2
    weight = torch.exp(-distance.square() / (2 * SIGMA**2))
    window = (weight / weight.sum()).expand(3, 1, -1)

    def blurred(values: Tensor) -> Tensor:
        return F.conv2d(F.conv2d(values, window[..., None], groups=3), window[:, :, None], groups=3)

    mean_x, mean_y = blurred(x), blurred(y)
    variance_x, variance_y = blurred(x * x) - mean_x**2, blurred(y * y) - mean_y**2
    covariance = blurred(x * y) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + C1) / (mean_x**2 + mean_y**2 + C1)
    structure = (2 * covariance + C2) / (variance_x + variance_y + C2)
    return (luminance * structure).mean(dim=(1, 2, 3))
