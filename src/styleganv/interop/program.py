"""The generator as two modules of plain tensor operations that PyTorch and ONNX can export.

    z, psi(, label) ──MappingProgram──▶ styles ─┐
    times, motion_noise, first_slot(, label) ───┴─VideoProgram──▶ frames

For the web, `VideoProgram` is in two parts: `MotionWindow` gives the motion codes that `SynthesisProgram` gets.

The caller draws the noise. The program gets a window of the endless video: the slots around the requested times.
Everything that depends on time is float64, as in `VideoGenerator`; synthesis is float32.

Shapes: B videos, T times, S slots in the window, K classes, L style layers, H height, W width. Times are in frames.
"""

from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.func import functional_call

from styleganv.errors import StyleganvError
from styleganv.label_space import LabelKind
from styleganv.methods.stylegan_v.generator import Generator, SynthesisNetwork
from styleganv.methods.stylegan_v.mapping import Mapping, compute_label_means, mean_samples
from styleganv.methods.stylegan_v.motion import Motion, MotionConv1d
from styleganv.methods.stylegan_v.multiscale_noise import FilterBank, MultiscaleMotion
from styleganv.methods.stylegan_v.synthesis import Synthesis


class MappingProgram(nn.Module):
    """Mapping network: z and label → one style per layer.

    Its `means` are the mean w of each class, `[K, w_dim]`; without classes, the running mean `[1, w_dim]`. Of labels
    that are not one class each, the mean is computed when it is needed.
    """

    means: Tensor | None
    samples: Tensor

    def __init__(self, mapping: Mapping, num_styles: int, kind: LabelKind = "class") -> None:
        super().__init__()
        self.mapping, self.num_styles = mapping, num_styles
        means = mapping.w_mean[None]
        if mapping.num_classes and kind == "class":
            means = compute_label_means(mapping, torch.eye(mapping.num_classes))
        self.register_buffer("means", None if mapping.num_classes and kind != "class" else means)
        if self.means is None:
            self.register_buffer("samples", mean_samples(mapping).float())

    def forward(self, z: Tensor, psi: Tensor, label: Tensor | None = None) -> Tensor:
        """Map `z [B, z_dim]`, `psi [B]` (1 = full variety, 0 = mean w) and `label [B, K]` to `[B, L, w_dim]`."""
        mean = self._mean(z.shape[0], label)
        w = torch.lerp(mean, self.mapping(z, label), psi[:, None])
        return w[:, None].expand(-1, self.num_styles, -1)

    def _mean(self, num_videos: int, label: Tensor | None) -> Tensor:
        """Return the mean w of each label, `[B, w_dim]`."""
        if self.means is None and label is not None:
            z = self.samples.expand(num_videos, -1, -1)
            w = self.mapping(z.flatten(0, 1), label[:, None].expand(-1, z.shape[1], -1).flatten(0, 1))
            return w.reshape(-1, z.shape[1], w.shape[1]).mean(dim=1)
        assert self.means is not None
        return self.means.expand(num_videos, -1) if label is None else label @ self.means


class VideoProgram(nn.Module):
    """Synthesis of frames at any times, with motion noise given for a window of slots."""

    def __init__(self, synthesis: SynthesisNetwork, motion: Motion) -> None:
        super().__init__()
        self.synthesis, self.window = SynthesisProgram(synthesis), MotionWindow(motion)

    def forward(
        self, styles: Tensor, times: Tensor, motion_noise: Tensor, first_slot: Tensor, label: Tensor | None = None
    ) -> Tensor:
        """Return float32 frames `[B, T, 3, H, W]`, roughly in −1..1.

        Args:
            styles: `[B, L, w_dim]`, float32.
            times: `[B, T]` in frames, float64, ≥ 0.
            motion_noise: `[B, S, noise_dim]`, float32, standard normal, for the slots from `first_slot` on.
            first_slot: `[B]`, int64; at most `floor(times / slot_distance)`, and at least that + `window_slots` − S.
            label: `[B, K]`, float32, for a conditional model.

        A time whose slots are outside the window raises an index error.
        """
        return self.synthesis(styles, self.window(times, motion_noise, first_slot, label))


class SynthesisProgram(nn.Module):
    """Synthesis of frames from styles and motion codes."""

    def __init__(self, synthesis: SynthesisNetwork) -> None:
        super().__init__()
        self.synthesis = synthesis

    def forward(self, styles: Tensor, codes: Tensor) -> Tensor:
        """Map `styles [B, L, w_dim]` and `codes [B, T, v_dim]` to float32 frames `[B, T, 3, H, W]`."""
        each = styles[:, None].expand(codes.shape[0], codes.shape[1], -1, -1)
        return synthesize(self.synthesis, each.flatten(0, 1), codes.flatten(0, 1)).unflatten(0, codes.shape[:2])


class ImageProgram(nn.Module):
    """Synthesis of an image model: `styles [B, L, w_dim]` → `[B, 1, 3, H, W]`."""

    def __init__(self, synthesis: SynthesisNetwork) -> None:
        super().__init__()
        self.synthesis = synthesis

    def forward(self, styles: Tensor) -> Tensor:
        return synthesize(self.synthesis, styles, None)[:, None]


class MotionWindow(nn.Module):
    """`Motion` over a window of slots, computed in float64 from float32 weights."""

    def __init__(self, motion: Motion) -> None:
        super().__init__()
        self.gathered = _Gathered(motion)

    def forward(self, times: Tensor, motion_noise: Tensor, first_slot: Tensor, label: Tensor | None = None) -> Tensor:
        """Return float32 motion codes `[B, T, v_dim]`; arguments as for `VideoProgram`."""
        weights = {name: weight.double() for name, weight in self.gathered.named_parameters()}
        return functional_call(self.gathered, weights, (times, motion_noise, first_slot, label)).float()


class _Gathered(nn.Module):
    """`Motion.forward` that computes the codes of the whole window and gathers those at the times."""

    def __init__(self, motion: Motion) -> None:
        super().__init__()
        self.motion = deepcopy(motion)
        self.motion.convs = nn.Sequential(*[_MatrixConv1d(conv) for conv in motion.convs])  # type: ignore[arg-type]
        if isinstance(self.motion, MultiscaleMotion):
            self.motion.filters = _SummedFilters(self.motion.filters)  # type: ignore[assignment]
        periods = motion.encoding.periods(motion.convs[0].bias.device)  # type: ignore[arg-type]
        # As constants: the ONNX exporter would evaluate the formula in float32.
        self.motion.encoding.periods = lambda device: periods  # type: ignore[method-assign]

    def forward(self, times: Tensor, motion_noise: Tensor, first_slot: Tensor, label: Tensor | None) -> Tensor:
        motion, batch = self.motion, torch.arange(times.shape[0], device=times.device)
        slot = torch.floor(times / motion.slot_distance)
        offset = slot.long() - first_slot[:, None]
        codes = motion.compute_codes(batch, first_slot[:, None], lambda clip, slots: motion_noise, label)
        # A negative index would count from the end.
        offset = torch.where(offset < 0, codes.shape[1], offset)[:, :, None].expand(-1, -1, codes.shape[2])
        around = torch.stack([codes.gather(1, offset + k) for k in range(motion.encoding.num_codes)], dim=2)
        t_left = slot * motion.slot_distance
        return motion.encoding(around, times, t_left, t_left + motion.slot_distance)


class _MatrixConv1d(nn.Module):
    """`MotionConv1d` as a matrix product: onnxruntime convolves in float32 only."""

    def __init__(self, conv: MotionConv1d) -> None:
        super().__init__()
        self.weight, self.bias = conv.weight, conv.bias
        self.weight_gain, self.bias_gain = conv.weight_gain, conv.bias_gain

    def forward(self, x: Tensor) -> Tensor:
        """Map `[B, C_in, S]` to `[B, C_out, S − kernel + 1]`."""
        kernel = self.weight.shape[2]
        count = x.shape[2] - kernel + 1
        windows = torch.cat([x[:, :, k : k + count] for k in range(kernel)], dim=1).transpose(1, 2)
        weight = self.weight.transpose(1, 2).flatten(1) * self.weight_gain
        x = (windows @ weight.T + self.bias * self.bias_gain).transpose(1, 2)
        return torch.maximum(x, 0.2 * x)


class _SummedFilters(nn.Module):
    """`FilterBank` as a sum of products, for the same reason."""

    taps: Tensor

    def __init__(self, filters: FilterBank) -> None:
        super().__init__()
        self.register_buffer("taps", filters.taps.double(), persistent=False)

    def forward(self, noise: Tensor, period: int | None = None) -> Tensor:
        """Map `[B, S, C]` to `[B, S − K + 1, C]`; exported programs have no loops, so there is no period."""
        length = self.taps.shape[1]
        windows = torch.arange(noise.shape[1] - length + 1)[:, None] + torch.arange(length)
        return (noise[:, windows] * self.taps.T).sum(dim=2)


def synthesize(synthesis: SynthesisNetwork, styles: Tensor, codes: Tensor | None) -> Tensor:
    """Return frames `[N, 3, H, W]` for `styles [N, L, w_dim]` and motion codes `[N, v_dim]`.

    This is `Synthesis.forward` without its size-dependent branches.
    """
    if not isinstance(synthesis, Synthesis):
        return synthesis.compute_images(styles, codes)
    x, image = synthesis.input(codes, styles.shape[0]), None
    for block, *block_styles in synthesis.styled_blocks(styles, codes):
        x, image = block(x, image, *block_styles)
    assert image is not None
    return image


def build_programs(
    generator: Generator, kind: LabelKind = "class"
) -> tuple[MappingProgram, VideoProgram | ImageProgram]:
    """Return the two programs of a generator with this kind of labels; they share its weights.

    Raises:
        StyleganvError: if its motion is an LSTM.
    """
    mapping = MappingProgram(generator.mapping, generator.synthesis.num_styles, kind)
    if generator.motion is None:
        return mapping, ImageProgram(generator.synthesis)
    if not isinstance(generator.motion, Motion):
        raise StyleganvError(
            "LSTM motion cannot be exported, because each frame depends on all earlier ones: "
            "export a model with motion conv or none."
        )
    return mapping, VideoProgram(generator.synthesis, generator.motion)
