"""Synthesis of several objects: each place of a frame attends to objects, which it takes its style from.

    w₀ … w_k, v₀(t) … v_k(t) ──Layout──▶ masks P, coordinates ─┐
    w_i + motion of v_i(t) ────────────────────────────────────┴─▶ blocks ──▶ frames

The idea is GANformer2's (Hudson and Zitnick 2021): several latents instead of one, and a layout that assigns each
place to them. w and v(t) are split into equal parts, one for the background (part 0) and one for each of k objects.
An object is an ellipse, whose position, size, rotation and depth are linear in its parts, so that its motion code
moves it. The attention P(x) is a softmax over the parts; the scores of an object depend on the place x by its
coordinates in the object, the score of the background is 0. The style at a place is `Σ_i P_i(x) (w_i + M v_i)`. Each
block also sees the coordinates in the object, so that what it draws there moves along. GANformer2 obtains its scores
from features instead; ellipses can move continuously and are the same for any order of the objects, except that each
object has an anchor of its own in the frame.

Below 8², a pixel is larger than an object, and all places belong to the background.

Shapes: B clips, T frames per clip, N = B·T images, L styles, P = k + 1 parts, C channels, H height, W width. Positions
are in shorter sides of the frame, relative to its center, x to the right and y down.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from styleganv.methods.stylegan_v.synthesis import ModulatedConv, SynthesisBlock, ToRGB
from styleganv.nn import UNIT_GAIN, compute_demodulation, convolve, leaky_relu, upsample2d
from styleganv.nn.layers import Conv2d, Dense, channels_at, run_block, working_dtype

#: Lowest resolution, by the longer side, at which places belong to objects.
MIN_ATTENTION = 8
#: Initial distance of anchors from the center, and radius of an object whose size is not changed.
ANCHOR_DISTANCE, RADIUS = 0.22, 0.17
#: How much a unit-variance output of the layout changes position, logarithm of the radii, rotation (radians) and depth.
POSITION_GAIN, SIZE_GAIN, ROTATION_GAIN, DEPTH_GAIN = 0.1, 0.15, 0.3, 1.5
#: Score inside an object of average depth; that of the background is 0.
MEAN_DEPTH = 4.0
#: How fast the score falls at the outline of an ellipse.
SHARPNESS = 6.0
#: Frequencies of the sinusoids of the coordinates that blocks see, in quarter turns per radius.
OCTAVES = (1.0, 2.0)
NUM_COORDINATES = 2 + 4 * len(OCTAVES)


class Layout(nn.Module):
    """Content and motion of the parts → masks, and the coordinates in the part that each place belongs to.

    Attributes:
        anchors: position of each object without content and motion, `[k, 2]`.
    """

    def __init__(self, num_objects: int, w_dim: int, motion_dim: int) -> None:
        """Build the layout for parts of w and v of these widths; `motion_dim` is 0 for images."""
        super().__init__()
        angles = 2 * math.pi * torch.arange(num_objects) / num_objects
        self.anchors = nn.Parameter(ANCHOR_DISTANCE * torch.stack([angles.sin(), -angles.cos()], dim=1))
        #: From w to position (2), logarithm of the radii (2), rotation and depth; the depth is constant in a video.
        self.content = Dense(w_dim, 6)
        #: From v to what it adds to all of these but the depth. A bias would collapse motion.
        self.motion = Dense(motion_dim, 5, bias=False) if motion_dim else None

    def forward(self, w: Tensor, v: Tensor | None, height: int, width: int) -> tuple[Tensor, Tensor]:
        """Return masks `[N, P, H, W]`, whose sum over the parts is 1, and coordinates `[N, 2, H, W]`, in −2..2.

        Args:
            w: `[N, P, w_dim / P]`.
            v: `[N, P, v_dim / P]`; None for an image model.
            height, width: size of the masks.
        """
        side = min(height, width)
        rows = (torch.arange(height, device=w.device) + 0.5 - height / 2) / side
        columns = (torch.arange(width, device=w.device) + 0.5 - width / 2) / side
        places = torch.stack([columns.expand(height, -1), rows[:, None].expand(-1, width)])
        inside, depth = self._coordinates(w[:, 1:], None if v is None else v[:, 1:], places)
        scores = depth[..., None, None] + F.logsigmoid(SHARPNESS * (1 - inside.square().sum(dim=2)))
        masks = F.pad(scores, (0, 0, 0, 0, 1, 0)).softmax(dim=1)
        coordinates = torch.cat([(2 * places).expand(w.shape[0], 1, -1, -1, -1), inside], dim=1).clamp(-2, 2)
        return masks, (masks[:, :, None] * coordinates).sum(dim=1)

    def _coordinates(self, w: Tensor, v: Tensor | None, places: Tensor) -> tuple[Tensor, Tensor]:
        """Return the places `[2, H, W]` in the coordinates of each object, `[N, k, 2, H, W]`, and its depth `[N, k]`.

        A radius of the object is 1 there.
        """
        content = self.content(w)
        form, depth = content[..., :5], MEAN_DEPTH + DEPTH_GAIN * content[..., 5]
        if v is not None and self.motion is not None:
            form = form + self.motion(v)
        position = self.anchors + POSITION_GAIN * form[..., :2]
        radii = RADIUS * torch.exp(SIZE_GAIN * form[..., 2:4])
        angle = ROTATION_GAIN * form[..., 4, None, None]
        x, y = (places - position[..., None, None]).unbind(dim=2)
        cos, sin = angle.cos(), angle.sin()
        turned = torch.stack([cos * x + sin * y, cos * y - sin * x], dim=2)
        return turned / radii[..., None, None], depth


def encode_coordinates(coordinates: Tensor) -> Tensor:
    """Return coordinates `[N, 2, H, W]` and their sinusoids, `[N, 10, H, W]`, all in −1..1."""
    waves = [f(octave * math.pi / 2 * coordinates) for octave in OCTAVES for f in (torch.sin, torch.cos)]
    return torch.cat([coordinates / 2, *waves], dim=1)


def blend(masks: Tensor, values: Tensor) -> Tensor:
    """Return `Σ_p masks [N, P, H, W] · values [N, P, C]`, `[N, C, H, W]` in channels-last format."""
    batch, _, height, width = masks.shape
    blended = masks.flatten(2).transpose(1, 2) @ values.to(masks.dtype)
    return blended.view(batch, height, width, -1).permute(0, 3, 1, 2)


def attend(conv: ModulatedConv, x: Tensor, w: Tensor, before: Tensor, after: Tensor) -> Tensor:
    """Convolve `x [N, C_in, H, W]`, modulated by the style of each place, then add the bias and activate.

    Since masks sum to 1, blending the scales of the parts equals modulating by the blended style. The convolution is
    shared: activations are scaled before it, and demodulated after it.

    Args:
        conv: convolution to apply.
        x: features.
        w: style of each part `[N, P, w_dim / P]`.
        before: masks of the size of `x`.
        after: masks of the size of the result.
    """
    style = conv.affine(w)
    x = convolve(x * blend(before, style), conv.weight.to(x.dtype), None, conv.fir)
    demodulation = compute_demodulation(conv.weight, style) * UNIT_GAIN
    bias = (conv.bias * UNIT_GAIN).to(x.dtype)[:, None, None]
    return leaky_relu(torch.addcmul(bias, x, blend(after, demodulation)))


def attend_rgb(to_rgb: ToRGB, x: Tensor, w: Tensor, masks: Tensor) -> Tensor:
    """Return the colors `[N, 3, H, W]` of features, with the style of each place."""
    style = to_rgb.affine(w) * to_rgb.style_gain
    return convolve(x * blend(masks, style), to_rgb.weight.to(x.dtype), to_rgb.bias.to(x.dtype))


class AttentionBlock(SynthesisBlock):
    """A block of `Synthesis` whose styles depend on the place, and which sees the coordinates in the objects."""

    def __init__(self, in_channels: int, out_channels: int, w_dim: int, *, first: bool, attends: bool) -> None:
        """Build a block; if it does not attend, all places belong to the background, and it sees no coordinates."""
        super().__init__(in_channels, out_channels, w_dim, first=first)
        channels = in_channels if first else out_channels
        self.place = Conv2d(NUM_COORDINATES, channels, 1, bias=False, activate=False) if attends else None

    def forward(  # type: ignore[override]
        self, x: Tensor, image: Tensor | None, styles: Tensor, before: Tensor, masks: Tensor, coordinates: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return features and image at this resolution.

        Args:
            x: features of the previous block.
            image: image of the previous block; None for the first.
            styles: `[N, 2 or 3, P, w_dim / P]`, one per convolution and one for to-RGB.
            before: masks of the previous block.
            masks: masks `[N, P, H, W]` of this resolution.
            coordinates: `[N, 2, H, W]`.
        """
        *conv_styles, rgb_style = styles.unbind(dim=1)
        if self.conv0 is not None:
            x = attend(self.conv0, x, conv_styles[0], before, masks)
        if self.place is not None:
            x = x + self.place(encode_coordinates(coordinates))
        x = attend(self.conv1, x, conv_styles[-1], masks, masks)
        color = attend_rgb(self.to_rgb, x, rgb_style, masks).to(styles.dtype)
        return x, color if image is None else upsample2d(image, self.fir) + color


class AttentionSynthesis(nn.Module):
    """`styles [B, L, w_dim]` and motion codes `v [B, T, v_dim]` → frames `[B, T, 3, H, W]`, as `Synthesis`.

    Consecutive numbers of a style belong to one part, and every P-th number of v, whose sinusoids are sorted by period.
    The layout uses the first style.

    Attributes:
        gradient_checkpointing: recompute the activations of each block in the backward pass, to save memory.
    """

    gradient_checkpointing = False

    def __init__(
        self,
        sizes: list[tuple[int, int]],
        *,
        num_objects: int,
        w_dim: int,
        motion_dim: int,
        channel_base: int,
        channel_max: int,
    ) -> None:
        """Build the network.

        Raises:
            ValueError: if w_dim or motion_dim is not a multiple of the number of parts.
        """
        super().__init__()
        self.num_parts = num_objects + 1
        for name, width in (("w_dim", w_dim), ("motion_dim", motion_dim)):
            if width % self.num_parts:
                raise ValueError(f"{name} must be a multiple of num_objects + 1 = {self.num_parts}, got {width}")
        part = w_dim // self.num_parts
        channels = [channels_at(size, channel_base, channel_max) for size in sizes]
        self.sizes, self.num_styles = sizes, 2 * len(sizes)
        self.constant = nn.Parameter(torch.randn(channels[0], *sizes[0]))
        self.layout = Layout(num_objects, part, motion_dim // self.num_parts)
        #: From v to what it adds to all styles of its part.
        self.motion = Dense(motion_dim // self.num_parts, part, bias=False) if motion_dim else None
        self.blocks = nn.ModuleList(
            AttentionBlock(n_in, n_out, part, first=i == 0, attends=max(sizes[i]) >= MIN_ATTENTION)
            for i, (n_in, n_out) in enumerate(zip([channels[0], *channels[:-1]], channels, strict=True))
        )

    def forward(self, styles: Tensor, motion: Tensor | None) -> Tensor:
        """Return frames `[B, T, 3, H, W]`; for motion None, images, with T = 1.

        Raises:
            ValueError: if `styles` does not have one style for each of the L layers.
        """
        batch, num_frames = (styles.shape[0], 1) if motion is None else motion.shape[:2]
        codes = None if motion is None else motion.flatten(0, 1)
        images = self.compute_images(styles.repeat_interleave(num_frames, dim=0), codes)
        return images.unflatten(0, (batch, num_frames)).contiguous()

    def compute_images(self, styles: Tensor, codes: Tensor | None) -> Tensor:
        """Return images `[N, 3, H, W]` for `styles [N, L, w_dim]` and motion codes `[N, v_dim]` (None: no motion)."""
        dtype = working_dtype(styles)
        with torch.autocast(styles.device.type, enabled=False):
            w, v = self.split(styles, codes)
            maps = [(masks.to(dtype), places.to(dtype)) for masks, places in self.layouts(w[:, 0], v)]
            if v is not None and self.motion is not None:
                w = w + self.motion(v)[:, None]
            x = self.constant.expand(w.shape[0], -1, -1, -1).to(dtype=dtype, memory_format=torch.channels_last)
            image: Tensor | None = None
            before = maps[0][0]
            for i, (block, (masks, places)) in enumerate(zip(self.blocks, maps, strict=True)):
                own = w[:, max(0, 2 * i - 1) : 2 * i + 2]
                x, image = run_block(
                    block, x, image, own, before, masks, places, gradient_checkpointing=self.gradient_checkpointing
                )
                before = masks
        assert image is not None
        return image

    def split(self, styles: Tensor, codes: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Return the parts `[N, L, P, w_dim / P]` of styles and `[N, P, v_dim / P]` of motion codes."""
        if styles.shape[1] != self.num_styles:
            raise ValueError(f"styles must be [B, {self.num_styles}, w_dim], got {list(styles.shape)}")
        w = styles.unflatten(2, (self.num_parts, -1))
        if codes is None:
            return w, None
        return w, codes.to(styles.dtype).unflatten(1, (-1, self.num_parts)).transpose(1, 2)

    def layouts(self, w: Tensor, v: Tensor | None) -> list[tuple[Tensor, Tensor]]:
        """Return masks `[N, P, H, W]` and coordinates `[N, 2, H, W]` at each resolution, the lowest first.

        They are averaged down from the highest resolution, so that they move by less than a pixel everywhere.
        """
        masks, places = self.layout(w, v, *self.sizes[-1])
        maps = []
        for size in self.sizes[::-1]:
            if masks.shape[-2:] != size:
                masks, places = F.avg_pool2d(masks, 2), F.avg_pool2d(places, 2)
            maps.append((masks if max(size) >= MIN_ATTENTION else _background_only(masks), places))
        return maps[::-1]

    def motion_effect(self, v: Tensor) -> Tensor:
        """Return what `v [n, v_dim]` adds to the layout and the styles, `[n, P·(5 + w_dim / P)]`, in the dtype of v."""
        assert self.motion is not None and self.layout.motion is not None
        parts = v.unflatten(1, (-1, self.num_parts)).transpose(1, 2)
        networks = self.layout.motion, self.motion
        effects = [F.linear(parts, (dense.weight * dense.weight_gain).to(v.dtype)) for dense in networks]
        return torch.cat(effects, dim=2).flatten(1)


def _background_only(masks: Tensor) -> Tensor:
    """Return masks of the same shape by which all places belong to the background."""
    first = torch.zeros_like(masks)
    first[:, 0] = 1
    return first
