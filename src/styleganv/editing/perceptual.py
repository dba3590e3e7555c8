"""Distances between images: perceptual (features of a network), PSNR and SSIM.

Shapes: N images, C channels, H height, W width. Images are float `[N, 3, H, W]` in 0..1.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from styleganv.errors import StyleganvError
from styleganv.metrics.features import sha256_of
from styleganv.nn.imagenet import efficientnet, extract_maps, fold_batch_norm, normalize_imagenet, offline_weights

#: Blocks of EfficientNet-Lite0 whose outputs are compared: 1/2, 1/4, 1/8 and 1/16 of the input's size.
BLOCKS = (0, 2, 4, 10)
#: Limits of the input's longer side: the network was trained at 224², and below 128² its feature maps are too small.
MIN_SIDE, MAX_SIDE = 128, 224
#: SSIM (Wang et al. 2004): an 11×11 Gaussian window, and constants for a range of 1.
WINDOW, SIGMA, C1, C2 = 11, 1.5, 0.01**2, 0.03**2


@dataclass(frozen=True)
class Perceptual:
    """A network as a measure of distance (the idea of LPIPS, Zhang et al. 2018, with equal weights).

    Attributes:
        sha256: hash of its weights.
        maps: images → feature maps `[N, C, h, w]`, one per stage.
    """

    name: str
    sha256: str
    maps: Callable[[Tensor], Sequence[Tensor]]

    def features(self, x: Tensor) -> list[Tensor]:
        """Return the feature maps, scaled to unit length at each position, so that their strength does not matter."""
        return [F.normalize(stage, dim=1) for stage in self.maps(x)]

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the distance of each image of `x` to that of `y`, `[N]`, 0 for equal ones; gradients flow."""
        return self.distance_from(y)(x)

    def distance_from(self, y: Tensor) -> Callable[[Tensor], Tensor]:
        """Return the distance from `y` as a function of other images."""
        features = self.features(y)
        return lambda x: feature_distance(self.features(x), features)


def feature_distance(a: Sequence[Tensor], b: Sequence[Tensor]) -> Tensor:
    """Return the distance `[N]` in 0..4 of images with these `Perceptual.features`.

    It is the squared distance of features, averaged over positions, then over stages.
    """
    stages = [(x - y).square().sum(dim=1).mean(dim=(1, 2)) for x, y in zip(a, b, strict=True)]
    return torch.stack(stages).mean(dim=0)


def load_perceptual(path: Path | str | None = None, *, device: torch.device | str = "cpu") -> Perceptual:
    """Return the packaged EfficientNet-Lite0 (ImageNet), or a network of the user's.

    Args:
        path: TorchScript file, called as `net(x)` with images of the model's size; it returns a list of feature maps
            `[N, C, h, w]`, through which gradients flow. Default: the packaged network.

    Raises:
        StyleganvError: if the file is missing, damaged, or has another interface.
    """
    device = torch.device(device)
    if path is None:
        return Perceptual("efficientnet_lite0", sha256_of(offline_weights()), _efficientnet_maps(device))
    path = Path(path)
    try:
        net = torch.jit.load(str(path), map_location=device).eval()
        x = torch.linspace(0, 1, 3 * 64 * 64, device=device).view(1, 3, 64, 64).requires_grad_()
        maps = net(x)
        total = sum(m.sum() for m in maps if m.shape[0] == 1 and m.ndim == 4)
        (gradient,) = torch.autograd.grad(total, x)
        is_list = isinstance(maps, list | tuple) and all(m.ndim == 4 for m in maps)
        if not is_list or not gradient.isfinite().all() or not gradient.any():
            raise ValueError("not such a list")
    except Exception as error:  # TorchScript raises errors of many types
        raise StyleganvError(
            f"{path} is not a perceptual network: pass a TorchScript file that maps images [N, 3, H, W] in 0..1 to a "
            "list of feature maps [N, C, h, w], through which gradients flow."
        ) from error
    return Perceptual(path.name, sha256_of(path), net)


def _efficientnet_maps(device: torch.device) -> Callable[[Tensor], list[Tensor]]:
    net = efficientnet(offline_weights(), device)
    fold_batch_norm(net)

    def maps(x: Tensor) -> list[Tensor]:
        return extract_maps(net, normalize_imagenet(_enlarge(x)), BLOCKS)

    return maps


def _enlarge(x: Tensor) -> Tensor:
    """Return images of twice the size within the network's limits; sides are multiples of its coarsest cell."""
    height, width = x.shape[-2:]
    longer = max(height, width)
    scale = min(max(2 * longer, MIN_SIDE), MAX_SIDE) / longer
    size = [max(32, 32 * round(side * scale / 32)) for side in (height, width)]
    return F.interpolate(x, size, mode="bilinear", antialias=True)


def psnr(x: Tensor, y: Tensor) -> Tensor:
    """Return the peak signal-to-noise ratio of each image in dB, `[N]`; infinite for equal ones."""
    return -10 * torch.log10((x - y).square().mean(dim=(1, 2, 3)))


def ssim(x: Tensor, y: Tensor) -> Tensor:
    """Return the structural similarity of each image (Wang et al. 2004), `[N]` float64 on the CPU; 1 for equal ones.

    It is the mean over all windows inside the image and over the color channels.

    Raises:
        StyleganvError: if a side is shorter than the window's 11 pixels.
    """
    if min(x.shape[-2:]) < WINDOW:
        raise StyleganvError(
            f"SSIM requires images of at least {WINDOW}x{WINDOW}, got {x.shape[-2]}x{x.shape[-1]}: use larger images."
        )
    # Variances are differences of large numbers, compared with 0.0009: float32 would err by 1e-4.
    x, y = x.cpu().double(), y.cpu().double()
    distance = torch.arange(WINDOW, dtype=torch.float64) - WINDOW // 2
    weight = torch.exp(-distance.square() / (2 * SIGMA**2))
    window = (weight / weight.sum()).expand(3, 1, -1)

    def blur(values: Tensor) -> Tensor:
        return F.conv2d(F.conv2d(values, window[..., None], groups=3), window[:, :, None], groups=3)

    mean_x, mean_y = blur(x), blur(y)
    variance_x, variance_y = blur(x * x) - mean_x**2, blur(y * y) - mean_y**2
    covariance = blur(x * y) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + C1) / (mean_x**2 + mean_y**2 + C1)
    structure = (2 * covariance + C2) / (variance_x + variance_y + C2)
    return (luminance * structure).mean(dim=(1, 2, 3))
