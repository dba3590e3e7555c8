"""Synthesis network: StyleGAN2's "skip" generator, driven by a style w and a motion code v at its input.

Shapes: B clips, T frames per clip, N = B·T images, L style layers, C channels, H height, W width.
"""

from typing import cast

import torch
from torch import Tensor, nn

from styleganv.methods.stylegan_v.motion_layers import ChannelAttention, MotionStyles
from styleganv.nn import (
    UNIT_GAIN,
    fir_kernel,
    leaky_relu,
    modulated_conv2d,
    prefers_single_clips,
    sum_squares,
    upsample2d,
)
from styleganv.nn.layers import Dense, channels_at, run_block, working_dtype


class ModulatedConv(nn.Module):
    """3×3 convolution modulated by w, then bias and activation; `up` doubles the resolution."""

    fir: Tensor | None

    def __init__(self, in_channels: int, out_channels: int, w_dim: int, *, up: bool = False) -> None:
        super().__init__()
        self.affine = Dense(w_dim, in_channels, bias_init=1.0)
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, 3, 3))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.register_buffer("fir", fir_kernel(4.0) if up else None, persistent=False)

    @property
    def up(self) -> bool:
        return self.fir is not None

    def forward(self, x: Tensor, w: Tensor, squares: Tensor | None = None) -> Tensor:
        """Map `x [N, C_in, H, W]` and `w [B, w_dim]` to `[N, C_out, H or 2H, W or 2W]`.

        `squares` is `sum_squares(self.weight)`, if already computed.
        """
        style, bias = self.affine(w), self.bias * UNIT_GAIN
        x = modulated_conv2d(x, self.weight, style, bias=bias, fir=self.fir, gain=UNIT_GAIN, squares=squares)
        return leaky_relu(x)


class ToRGB(nn.Module):
    """1×1 modulated convolution to color, without demodulation or activation."""

    def __init__(self, in_channels: int, w_dim: int) -> None:
        super().__init__()
        self.affine = Dense(w_dim, in_channels, bias_init=1.0)
        self.weight = nn.Parameter(torch.randn(3, in_channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(3))
        self.style_gain = 1 / in_channels**0.5

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        style = self.affine(w) * self.style_gain
        return modulated_conv2d(x, self.weight, style, bias=self.bias, demodulate=False)


class SynthesisBlock(nn.Module):
    """One resolution: modulated convolution up ×2 (not in the first block), modulated convolution, to-RGB.

    Attributes:
        attentions: one per convolution, if motion enters all layers; else none.
    """

    fir: Tensor

    def __init__(
        self, in_channels: int, out_channels: int, w_dim: int, *, first: bool, motion_layers: bool = False
    ) -> None:
        super().__init__()
        self.conv0 = None if first else ModulatedConv(in_channels, out_channels, w_dim, up=True)
        self.conv1 = ModulatedConv(in_channels if first else out_channels, out_channels, w_dim)
        self.to_rgb = ToRGB(out_channels, w_dim)
        widths = [conv.weight.shape[1] for conv in self.convs()] if motion_layers else []
        self.attentions = nn.ModuleList(ChannelAttention(width) for width in widths)
        self.register_buffer("fir", fir_kernel(4.0), persistent=False)

    def convs(self) -> list[ModulatedConv]:
        """Return the block's modulated convolutions in order."""
        return [conv for conv in (self.conv0, self.conv1) if conv is not None]

    def forward(
        self, x: Tensor, image: Tensor | None, styles: Tensor, motion_styles: Tensor | None, *squares: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return features and image at this resolution.

        Args:
            x: features of the previous block.
            image: image of the previous block; None for the first.
            styles: `[B, 2 or 3, w_dim]`, one per convolution and one for to-RGB.
            motion_styles: `[N, 2 or 3, J, D]` for the same layers, if motion enters all layers.
            squares: `sum_squares` of each convolution's weight, if already computed.
        """
        *conv_styles, rgb_style = styles.unbind(dim=1)
        for i, (conv, w) in enumerate(zip(self.convs(), conv_styles, strict=True)):
            x = conv(self.modulate(i, x, motion_styles), w, squares[i] if squares else None)
        # Colors are summed in float32: over all resolutions, half precision would be off by one of 255 levels.
        color = self.to_rgb(x, rgb_style).to(styles.dtype)
        return x, color if image is None else upsample2d(image, self.fir) + color

    def modulate(self, conv: int, x: Tensor, motion_styles: Tensor | None) -> Tensor:
        """Return the input `x` of a convolution modulated by its motion styles; unchanged for None."""
        return x if motion_styles is None else x * self.attentions[conv](motion_styles[:, conv]).to(x.dtype)


#: A block, its styles `[B, 2 or 3, w_dim]`, its motion styles, and `sum_squares` of its convolutions, if computed.
_StyledBlock = tuple[SynthesisBlock, Tensor, Tensor | None, tuple[Tensor, ...]]


class Synthesis(nn.Module):
    """`styles [B, L, w_dim]` and motion codes `v [B, T, v_dim]` → frames `[B, T, 3, H, W]`.

    Attributes:
        gradient_checkpointing: recompute the activations of each block in the backward pass, to save memory.
        num_skipped: number of highest resolutions to leave out, while the network grows.
    """

    gradient_checkpointing = False
    num_skipped = 0

    def __init__(
        self,
        sizes: list[tuple[int, int]],
        *,
        w_dim: int,
        motion_dim: int,
        channel_base: int,
        channel_max: int,
        motion_layers: bool = False,
    ) -> None:
        """Build the network; with `motion_layers`, motion enters all layers instead of only the first one."""
        super().__init__()
        channels = [channels_at(size, channel_base, channel_max) for size in sizes]
        self.constant = nn.Parameter(torch.randn(channels[0], *sizes[0]))
        inputs = [channels[0] + motion_dim, *channels[:-1]]
        self.blocks = nn.ModuleList(
            [
                SynthesisBlock(n_in, n_out, w_dim, first=(i == 0), motion_layers=motion_layers)
                for i, (n_in, n_out) in enumerate(zip(inputs, channels, strict=True))
            ]
        )
        # To-RGB shares the style index of the next block's first convolution: 2·blocks styles in all.
        self.num_styles = 2 * len(sizes)
        self.motion_styles = MotionStyles(w_dim, motion_dim) if motion_layers else None

    def forward(self, styles: Tensor, motion: Tensor | None) -> Tensor:
        """Return frames `[B, T, 3, H, W]`; for motion None, the images of the constant input, with T = 1.

        Raises:
            ValueError: if `styles` does not have one style for each of the L layers.
        """
        dtype = working_dtype(styles)
        batch, num_frames = (len(styles), 1) if motion is None else motion.shape[:2]
        with torch.autocast(styles.device.type, enabled=False):
            codes = None if motion is None else motion.flatten(0, 1)
            x = self.input(codes, batch).to(dtype)
            used = self.styled_blocks(styles, codes)[: len(self.blocks) - self.num_skipped]
            blocks: list[_StyledBlock] = [(*block, ()) for block in used]
            image = self._run_blocks(blocks, x, None, num_frames)
            if image.requires_grad:
                image.register_hook(_to_channels_last)  # once, instead of in each to-RGB
        return image.unflatten(0, (batch, num_frames)).contiguous()

    def _run_blocks(self, blocks: list[_StyledBlock], x: Tensor, image: Tensor | None, num_frames: int) -> Tensor:
        """Return the images after these blocks; blocks for which it is faster run clip by clip."""
        for i, (block, styles, motion, squares) in enumerate(blocks):
            pixels = 4 * x.shape[2] * x.shape[3]
            if len(styles) > 1 and image is not None and prefers_single_clips(block.conv1.weight, num_frames, pixels):
                return self._run_single_clips(blocks[i:], x, image, num_frames)
            inputs = (x, image, styles, motion, *squares)
            x, image = run_block(block, *inputs, gradient_checkpointing=self.gradient_checkpointing)
        assert image is not None
        return image

    def _run_single_clips(self, blocks: list[_StyledBlock], x: Tensor, image: Tensor, num_frames: int) -> Tensor:
        squares = [tuple(sum_squares(conv.weight) for conv in block.convs()) for block, *_ in blocks]
        images = []
        for b, (clip_x, clip_image) in enumerate(zip(x.split(num_frames), image.split(num_frames), strict=True)):
            frames = slice(b * num_frames, (b + 1) * num_frames)
            own = [
                (block, styles[[b]], None if motion is None else motion[frames], shared)
                for (block, styles, motion, _), shared in zip(blocks, squares, strict=True)
            ]
            images.append(self._run_blocks(own, clip_x, clip_image, num_frames))
        return torch.cat(images)

    def styled_blocks(
        self, styles: Tensor, codes: Tensor | None = None
    ) -> list[tuple[SynthesisBlock, Tensor, Tensor | None]]:
        """Return each block with its styles `[B, 2 or 3, w_dim]` and motion styles `[N, 2 or 3, J, D]`.

        Args:
            styles: `[B, L, w_dim]`.
            codes: motion codes `[N, v_dim]`. Without them, or if motion enters the first layer only, there are no
                motion styles.
        """
        if styles.shape[1] != self.num_styles:
            raise ValueError(f"styles must be [B, {self.num_styles}, w_dim], got {list(styles.shape)}")
        blocks = cast(list[SynthesisBlock], list(self.blocks))
        layers = [slice(max(0, 2 * i - 1), 2 * i + 2) for i in range(len(blocks))]
        motion = None if self.motion_styles is None or codes is None else self.motion_styles(styles, codes)
        return [
            (block, styles[:, own], None if motion is None else motion[:, own])
            for block, own in zip(blocks, layers, strict=True)
        ]

    def input(self, codes: Tensor | None, num_images: int) -> Tensor:
        """Return the constant joined with the motion codes `[N, v_dim]`, broadcast over the pixels.

        Returns:
            `[N, C + v_dim, h, w]`, channels-last; without codes, the constant for each of `num_images` images.
        """
        if codes is None:
            constant = self.constant.expand(num_images, -1, -1, -1)
            return constant.contiguous(memory_format=torch.channels_last)
        constant = self.constant.permute(1, 2, 0).expand(codes.shape[0], -1, -1, -1)
        wide = codes[:, None, None].to(constant.dtype).expand(-1, *constant.shape[1:3], -1)
        return torch.cat([constant, wide], dim=3).permute(0, 3, 1, 2)


def _to_channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)
