"""MoCoGAN with StyleGAN2's networks, as StyleGAN-V's authors compare with: an LSTM's motion code joins the style.

    content z, class ──Mapping──▶ w ───────────┐
    noise of each frame ──LSTM, Mapping──▶ v ──┴─▶ [w; v] ──▶ Synthesis ──▶ frame

Shapes: B clips, T frames a clip, L style layers, V width of v, H height, W width.
"""

from collections.abc import Callable, Iterator
from dataclasses import KW_ONLY, asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from styleganv.methods.stylegan_v.config import GeneratorConfig
from styleganv.methods.stylegan_v.generator import Generator
from styleganv.methods.stylegan_v.motion import SlotNoise
from styleganv.methods.stylegan_v.sampler import VideoGenerator
from styleganv.methods.stylegan_v.synthesis import Synthesis
from styleganv.nn.layers import resolutions


@dataclass(frozen=True)
class MocoganStylegan2Config:
    """Architecture of a `MocoganStylegan2`."""

    height: int
    """Frame height in pixels; `resolutions` says which are possible."""
    width: int
    """Frame width in pixels."""
    _: KW_ONLY
    num_classes: int = 0
    """Classes K of the dataset; 0 for an unconditional model."""
    z_dim: int = 512
    """Width of the content noise z."""
    w_dim: int = 512
    """Width of the content style w."""
    mapping_layers: int = 2
    """Layers from z to w."""
    channel_base: int = 16384
    """Channels at resolution r are `min(channel_base / r, channel_max)`."""
    channel_max: int = 512
    """Maximum number of channels of any layer."""
    motion_dim: int = 512
    """Width V of a frame's motion noise and motion code."""

    def generator(self) -> GeneratorConfig:
        """Return the config of StyleGAN-V's generator with an LSTM of these sizes."""
        sizes: dict[str, Any] = asdict(self)
        motion_dim = sizes.pop("motion_dim")
        return GeneratorConfig(motion="lstm", motion_noise_dim=motion_dim, motion_code_dim=motion_dim, **sizes)


class MocoganStylegan2(Generator):
    """Generator of clips whose every layer is modulated by `[w; v]`; times must be whole frames."""

    def __init__(self, config: MocoganStylegan2Config) -> None:
        super().__init__(config.generator())
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
        """Frames `[B, T, 3, H, W]` from `w [B, w_dim]`, or `[B, L, w_dim]` with a style of its own for each layer."""
        codes = self.motion_codes(times, motion_noise, label)
        assert codes is not None
        styles = w if w.ndim == 3 else w[:, None].expand(-1, self.synthesis.num_styles, -1)
        each = styles.repeat_interleave(codes.shape[1], dim=0)
        return self.frames(each, codes.flatten(0, 1)).unflatten(0, codes.shape[:2])

    def frames(self, styles: Tensor, codes: Tensor) -> Tensor:
        """Pictures `[N, 3, H, W]` of `styles [N, L, w_dim]` and motion codes `[N, V]`."""
        joined = torch.cat([styles, codes[:, None].expand(-1, styles.shape[1], -1)], dim=2)
        pictures: Tensor = self.synthesis(joined, None)
        return pictures[:, 0]


class MocoganStylegan2Videos(VideoGenerator):
    """Videos frame by frame, with contents and motions of their own seeds; the content can be truncated.

    Nothing can be folded for a video, since the motion code changes the style with every frame.
    """

    name = "MoCoGAN with StyleGAN2"
    supports_any_fps = False

    def __init__(self, generator: MocoganStylegan2, **arguments: Any) -> None:
        super().__init__(generator, **arguments)
        self.slot_distance = None
        self._network = generator

    def _folded_for(self, styles: Tensor) -> Callable[[Tensor | None], Iterator[Tensor]]:
        styles = styles.to(self.device)

        def pictures(codes: Tensor | None) -> Iterator[Tensor]:
            assert codes is not None
            with self.autocast():
                frames = self._network.frames(styles.expand(len(codes), -1, -1), codes)
            yield frames

        return pictures
