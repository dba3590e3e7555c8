"""The generator: content z, times t and motion noise → frames. Start reading here.

    z, label ──Mapping──▶ w ─────────────────────────────┐
    motion noise, times, label ──Motion──▶ v(t) ──▶ Synthesis ──▶ frames

All frames of a video share one w, so content never changes; only v depends on time. It enters the first layer, or all
(`motion_layers.py`).

Shapes: B clips, T frames per clip, S slots, K classes, L style layers, H height, W width.
"""

import torch
from torch import Tensor, nn

from styleganv.methods.stylegan_v.alias_free import AliasFreeSynthesis
from styleganv.methods.stylegan_v.attention import AttentionSynthesis
from styleganv.methods.stylegan_v.config import GeneratorConfig
from styleganv.methods.stylegan_v.mapping import Mapping
from styleganv.methods.stylegan_v.motion import Motion, RecurrentMotion, SlotNoise, noise_from_tensor
from styleganv.methods.stylegan_v.multiscale_noise import MultiscaleMotion
from styleganv.methods.stylegan_v.synthesis import Synthesis
from styleganv.nn.layers import resolutions

SynthesisNetwork = Synthesis | AliasFreeSynthesis | AttentionSynthesis


class Generator(nn.Module):
    """StyleGAN-V's generator of clips; with `motion="none"`, StyleGAN2's generator of images."""

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.config = config
        self.height, self.width = config.height, config.width
        self.num_classes, self.z_dim = config.num_classes, config.z_dim
        self.mapping = Mapping(
            config.z_dim,
            config.w_dim,
            num_layers=config.mapping_layers,
            num_classes=config.num_classes,
            num_parts=config.num_objects + 1 if config.synthesis == "attention" else 1,
        )
        self.motion = _build_motion(config)
        self.synthesis = _build_synthesis(config, 0 if self.motion is None else self.motion.out_dim)

    def forward(
        self,
        z: Tensor,
        times: Tensor,
        motion_noise: Tensor | SlotNoise | None = None,
        label: Tensor | None = None,
        psi: float = 1.0,
    ) -> Tensor:
        """Return frames of B videos at any times, `[B, T, 3, H, W]`, float32 also under autocast.

        Frames are roughly in −1..1; there is no tanh.

        Args:
            z: `[B, z_dim]`, standard normal.
            times: `[B, T]` in frames, ≥ 0, not necessarily whole; ignored by an image model.
            motion_noise: `[B, S, noise_dim]`, standard normal, for slots 0 … S−1, S at least
                `num_slots(times.max())`; or a function of the slot number. Default: drawn by `torch.randn`.
            label: `[B, K]` one-hot for a class-conditional model.
            psi: truncation toward the mean w of all classes; 1 = none, 0 = mean w.
        """
        return self.synthesize(self.mapping(z, label, psi=psi), times, motion_noise, label)

    def synthesize(
        self,
        w: Tensor,
        times: Tensor,
        motion_noise: Tensor | SlotNoise | None = None,
        label: Tensor | None = None,
    ) -> Tensor:
        """Return the frames of `forward` from `w [B, w_dim]`, or `[B, L, w_dim]` with one style per layer."""
        styles = w if w.ndim == 3 else w[:, None].expand(-1, self.synthesis.num_styles, -1)
        return self.synthesis(styles, self.motion_codes(times, motion_noise, label))

    def motion_codes(
        self, times: Tensor, motion_noise: Tensor | SlotNoise | None = None, label: Tensor | None = None
    ) -> Tensor | None:
        """Return v(t) `[B, T, v_dim]` at `times [B, T]`; None for an image model."""
        if self.motion is None:
            return None
        if motion_noise is None:
            slots = self.num_slots(float(times.max()))
            motion_noise = torch.randn(len(times), slots, self.motion.noise_dim, device=times.device)
        if isinstance(motion_noise, Tensor):
            motion_noise = noise_from_tensor(motion_noise)
        with torch.autocast(times.device.type, enabled=False):
            return self.motion(times, motion_noise, label if self.num_classes else None)

    def update_statistics(self, w_mean: Tensor) -> None:
        """Update the running statistics after an update; `w_mean [w_dim]` is the mean over its clips."""
        self.mapping.update_mean(w_mean)
        if isinstance(self.synthesis, AliasFreeSynthesis):
            self.synthesis.update_powers()

    def num_slots(self, last_time: float) -> int:
        """Return the number of motion noise slots, from slot 0 on, that times up to `last_time` (frames) use."""
        if self.motion is None:
            return 0
        window = self.motion.window_slots if isinstance(self.motion, Motion) else 2
        return int(last_time // self.motion.slot_distance) + window


def _build_synthesis(config: GeneratorConfig, motion_dim: int) -> SynthesisNetwork:
    """Return the synthesis network for motion codes of this width; 0 for images."""
    widths = {
        "w_dim": config.w_dim,
        "motion_dim": motion_dim,
        "channel_base": config.channel_base,
        "channel_max": config.channel_max,
    }
    if config.synthesis == "alias-free":
        return AliasFreeSynthesis(config.height, config.width, **widths)
    sizes = resolutions(config.height, config.width)
    if config.synthesis == "attention":
        return AttentionSynthesis(sizes, num_objects=config.num_objects, **widths)
    motion_layers = config.motion_layers == "all" and motion_dim > 0
    return Synthesis(sizes, motion_layers=motion_layers, **widths)


def _build_motion(config: GeneratorConfig) -> Motion | RecurrentMotion | None:
    """Return the motion network; None for images."""
    if config.motion == "none":
        return None
    sizes = {
        "noise_dim": config.motion_noise_dim,
        "code_dim": config.motion_code_dim,
        "num_classes": config.num_classes,
    }
    if config.motion == "lstm":
        return RecurrentMotion(**sizes)
    kind = MultiscaleMotion if config.motion_noise == "multiscale" else Motion
    return kind(
        num_frequencies=config.num_frequencies,
        kernel_size=config.motion_kernel,
        slot_distance=config.slot_distance,
        shortest_period=config.shortest_period,
        longest_period=config.longest_period,
        amplitude=config.amplitude,
        path=config.motion_path,
        **sizes,
    )
