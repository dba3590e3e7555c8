"""DIGAN's training: StyleGAN-V's steps with another generator and two discriminators.

One discriminator sees two frames and the time between them as 7 channels of one picture, the other sees one of the
two frames; losses and penalties are means over the verdicts of both. Motion, R1 and augmentation (one strength, for
both) are otherwise as in `stylegan_v/trainer.py`. Two choices where the description is open: the frame that is judged
by itself is the first where the gap is even and the second where it is odd; generated times are whole, as real ones
are.

Shapes: B clips of two frames, K classes.
"""

from dataclasses import replace
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from styleganv.config import RunConfig
from styleganv.data.dataset import VideoDataset
from styleganv.data.sampling import FAKE, clip_random, draw_pair_offsets, draw_real_pair
from styleganv.methods.digan.networks import DiganConfig, DiganGenerator, DiganVideos
from styleganv.methods.stylegan_v.config import DiscriminatorConfig
from styleganv.methods.stylegan_v.discriminator import Discriminator
from styleganv.methods.stylegan_v.inputs import FakeInputs
from styleganv.methods.stylegan_v.losses import r1_penalty
from styleganv.methods.stylegan_v.trainer import CPU, GanTrainer
from styleganv.noise import seeded, torch_random
from styleganv.training.batches import ClipDataset
from styleganv.training.trainer import data_sizes
from styleganv.video_model import VideoModel


class PairDiscriminator(nn.Module):
    """Two of StyleGAN2's discriminators: of both frames with their distance in time, and of one frame."""

    def __init__(self, config: DiscriminatorConfig, *, window: float) -> None:
        super().__init__()
        self.window = window
        self.video = Discriminator(replace(config, num_frames=1, in_channels=7))
        self.image = Discriminator(replace(config, num_frames=1))

    def forward(self, frames: Tensor, times: Tensor, label: Tensor | None = None) -> Tensor:
        """`frames [B, 2, 3, H, W]`, `times [B, 2]` in frames → logits `[2·B]`, those of pairs first."""
        return torch.cat([self.judge_pair(frames, times, label), self.judge_frame(frames, times, label)])

    def judge_pair(self, frames: Tensor, times: Tensor, label: Tensor | None) -> Tensor:
        batch, _, _, height, width = frames.shape
        gap = (times[:, 1] - times[:, 0]).to(frames.dtype) / self.window
        gaps = gap[:, None, None, None].expand(batch, 1, height, width)
        return self.video(torch.cat([frames.flatten(1, 2), gaps], dim=1)[:, None], times[:, :1], label)

    def judge_frame(self, frames: Tensor, times: Tensor, label: Tensor | None) -> Tensor:
        odd = (times[:, 1] - times[:, 0]).round().long() % 2
        clip = torch.arange(len(frames), device=frames.device)
        return self.image(frames[clip, odd][:, None], times[:, :1], label)


def build_networks(
    config: RunConfig, data: VideoDataset, device: torch.device = CPU
) -> tuple[DiganGenerator, PairDiscriminator]:
    """Freshly initialised networks for a data set, on a device; the same seed gives the same weights."""
    model, training = config.model, config.training
    sizes: dict[str, Any] = data_sizes(config, data)
    sizes |= {"channel_base": model.channel_base, "channel_max": model.channel_max}
    with seeded(training.seed):
        generator = DiganGenerator(
            DiganConfig(
                z_dim=model.z_dim,
                w_dim=model.w_dim,
                mapping_layers=model.mapping_layers,
                motion_dim=model.motion_dim,
                window=training.max_span,
                **sizes,
            )
        )
        discriminator = PairDiscriminator(
            DiscriminatorConfig(condition=model.condition, condition_dim=model.w_dim, **sizes), window=training.max_span
        )
    discriminator.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return generator.to(device), discriminator


class DiganTrainer(GanTrainer):
    """Another pair of networks in `GanTrainer`'s steps."""

    method = "digan"
    frame_sampler = staticmethod(draw_real_pair)

    def __init__(self, config: RunConfig, generator: DiganGenerator, discriminator: PairDiscriminator) -> None:
        # Both are called as the networks of StyleGAN-V are.
        super().__init__(config, cast(Any, generator), cast(Any, discriminator))
        for judge in (discriminator.video, discriminator.image):
            judge.gradient_checkpointing = config.training.gradient_checkpointing

    def video_model(self, data: VideoDataset) -> VideoModel:
        generator = cast(DiganGenerator, self.generator_ema)
        return DiganVideos(generator, fps=data.fps, class_names=data.class_names, device=self.device)

    def _fakes(self, clips: ClipDataset, numbers: list[int], phase: int) -> list[FakeInputs]:
        """Times of the first window, as long as that of some training video, and its class."""
        generator, fakes = cast(DiganGenerator, self.generator), []
        for part in range(self.num_micro_batches):
            times, labels, normal = [], [], []
            for number in numbers[part :: self.num_micro_batches]:
                random = clip_random(clips.seed, FAKE, 2 * number + phase)
                video = clips.videos[int(random.integers(len(clips.videos)))]
                times.append(draw_pair_offsets(random, clips.data.videos[video].num_frames, clips.max_span))
                labels.append(clips.label(video))
                drawn = torch_random(self.device, clips.seed, 10 + phase, number)
                normal.append(torch.randn(generator.z_dim + generator.motion_dim, generator=drawn, device=self.device))
            z, motion = torch.stack(normal).split([generator.z_dim, generator.motion_dim], dim=1)
            t, label = torch.from_numpy(np.stack(times)).double(), torch.stack(labels).to(self.device)
            fakes.append(FakeInputs(z, t.to(self.device), motion, label if label.shape[1] else None))
        return fakes

    def _r1_penalty(self, frames: Tensor, times: Tensor, label: Tensor | None) -> Tensor:
        """Of each discriminator by itself, `[2·B]`: the square norm over all that it sees of a clip."""
        judges = cast(PairDiscriminator, self.discriminator)
        penalties = [
            r1_penalty(judge(frames, times, label), frames) for judge in (judges.judge_pair, judges.judge_frame)
        ]
        return 2 * torch.cat(penalties)  # `r1_penalty` is a mean over the two frames
