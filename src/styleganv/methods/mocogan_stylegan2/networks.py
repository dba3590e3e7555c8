"""MoCoGAN with StyleGAN2's networks, the StyleGAN-V authors' baseline: an LSTM's motion code joins the style.

    content z, class ──Mapping──▶ w ───────┐
    noise per frame ──LSTM, Mapping──▶ v ──┴─▶ [w; v] ──▶ Synthesis ──▶ frame

Shapes: B clips, T frames per clip, L style layers, V width of v, H height, W width.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from styleganv.methods.network_config import StyleConfig
from styleganv.methods.stylegan_v.config import GeneratorConfig
from styleganv.methods.stylegan_v.generator import Generator
from styleganv.methods.stylegan_v.motion import SlotNoise
from styleganv.methods.stylegan_v.sampler import VideoGenerator
from styleganv.methods.stylegan_v.synthesis import Synthesis
from styleganv.nn.layers import resolutions
from styleganv.validation import Size


@dataclass(frozen=True, kw_only=True)
class MocoganStylegan2Config(StyleConfig):
    """Architecture of a `MocoganStylegan2`."""

    motion_dim: Size = 512
    """Width V of a frame's motion noise and motion code."""

    def to_generator_config(self) -> GeneratorConfig:
        """Return the config of StyleGAN-V's generator with an LSTM of these sizes."""
        sizes: dict[str, Any] = asdict(self)
        motion_dim = sizes.pop("motion_dim")
        return GeneratorConfig(motion="lstm", motion_noise_dim=motion_dim, motion_code_dim=motion_dim, **sizes)


class MocoganStylegan2(Generator):
    """Generator of clips in which `[w; v]` modulates every layer; times must be whole frames."""

    def __init__(self, config: MocoganStylegan2Config) -> None:
        super().__init__(config.to_generator_config())
        self.config: Any = config
        self.synthesis = Synthesis(
            resolutions(config.height, config.width),
            w_dim=config.w_dim + config.motion_dim,
            motion_dim=0,
            channel_base=config.channel_base,
            channel_max=config.channel_max,
        )

    def synthesize(
        self,
        w: Tensor,
        times: Tensor,
        motion_noise: Tensor | SlotNoise | None = None,
        label: Tensor | None = None,
    ) -> Tensor:
        """Return frames `[B, T, 3, H, W]` from `w [B, w_dim]`, or `[B, L, w_dim]` with one style per layer."""
        codes = self.motion_codes(times, motion_noise, label)
        assert codes is not None
        styles = w if w.ndim == 3 else w[:, None].expand(-1, self.synthesis.num_styles, -1)
        repeated = styles.repeat_interleave(codes.shape[1], dim=0)
        return self.synthesize_frames(repeated, codes.flatten(0, 1)).unflatten(0, codes.shape[:2])

    def synthesize_frames(self, styles: Tensor, codes: Tensor) -> Tensor:
        """Return images `[N, 3, H, W]` from `styles [N, L, w_dim]` and motion codes `[N, V]`."""
        joined = torch.cat([styles, codes[:, None].expand(-1, styles.shape[1], -1)], dim=2)
        images: Tensor = self.synthesis(joined, None)
        return images[:, 0]


class MocoganStylegan2Videos(VideoGenerator):
    """Videos frame by frame, with separate content and motion seeds and truncation.

    No style can be folded into the weights, since the motion code changes it with every frame.
    """

    name = "MoCoGAN with StyleGAN2"
    supports_any_fps = False

    def __init__(self, generator: MocoganStylegan2, **arguments: Any) -> None:
        super().__init__(generator, **arguments)
        self.slot_distance = None
        self._network = generator

    def _synthesis_for(self, styles: Tensor) -> Callable[[Tensor | None], Iterator[Tensor]]:
        styles = styles.to(self.device)

        def synthesize(codes: Tensor | None) -> Iterator[Tensor]:
            assert codes is not None
            with self.autocast():
                frames = self._network.synthesize_frames(styles.expand(len(codes), -1, -1), codes)
            yield frames

        return synthesize
