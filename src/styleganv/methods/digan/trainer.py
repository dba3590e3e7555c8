"""Training of DIGAN: StyleGAN-V's steps with another generator and two discriminators.

One discriminator gets two frames and the time between them as an image of 7 channels, the other one of the two frames.
Losses and penalties are means over the logits of both. Motion, R1 and augmentation (one probability for both) follow
`stylegan_v/trainer.py`. Two choices that the paper leaves open: the single frame is the first if the time between them
is even and the second if it is odd; generated times are whole, like real ones.

Shapes: B clips of two frames, K classes.
"""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from styleganv.clip import Clip
from styleganv.config import RunConfig
from styleganv.data.dataset import VideoDataset
from styleganv.data.sampling import FAKE, clip_random, draw_pair_offsets, draw_real_pair
from styleganv.methods.digan.networks import DiganConfig, DiganGenerator, DiganVideos
from styleganv.methods.network_config import fill_config
from styleganv.methods.stylegan_v.config import DiscriminatorConfig
from styleganv.methods.stylegan_v.discriminator import Discriminator
from styleganv.methods.stylegan_v.inputs import FakeInputs, draw_noise, stack_labels
from styleganv.methods.stylegan_v.losses import r1_penalty
from styleganv.methods.stylegan_v.trainer import CPU, GanTrainer, to_channels_last
from styleganv.noise import seeded
from styleganv.training.batches import ClipDataset, copy_async


class PairDiscriminator(nn.Module):
    """Two StyleGAN2 discriminators: of both frames with their distance in time, and of one frame."""

    gradient_checkpointing: bool

    def __init__(self, config: DiscriminatorConfig, *, window: float) -> None:
        super().__init__()
        self.window = window
        self.video = Discriminator(replace(config, num_frames=1, in_channels=7))
        self.image = Discriminator(replace(config, num_frames=1))

    def forward(self, frames: Tensor, times: Tensor, label: Tensor | None = None) -> Tensor:
        """Return logits `[2·B]`, those of pairs first, of `frames [B, 2, 3, H, W]` at `times [B, 2]` in frames."""
        pair, frame = self.compute_pair_logits(frames, times, label), self.compute_frame_logits(frames, times, label)
        return torch.cat([pair, frame])

    def compute_pair_logits(self, frames: Tensor, times: Tensor, label: Tensor | None) -> Tensor:
        """Return the logits `[B]` of both frames and the time between them."""
        batch, _, _, height, width = frames.shape
        gap = (times[:, 1] - times[:, 0]).to(frames.dtype) / self.window
        gaps = gap[:, None, None, None].expand(batch, 1, height, width)
        return self.video(torch.cat([frames.flatten(1, 2), gaps], dim=1)[:, None], times[:, :1], label)

    def compute_frame_logits(self, frames: Tensor, times: Tensor, label: Tensor | None) -> Tensor:
        """Return the logits `[B]` of one of the two frames."""
        is_odd = (times[:, 1] - times[:, 0]).round().long() % 2
        clip = torch.arange(len(frames), device=frames.device)
        return self.image(frames[clip, is_odd][:, None], times[:, :1], label)


def build_networks(
    config: RunConfig, data: VideoDataset, device: torch.device = CPU
) -> tuple[DiganGenerator, PairDiscriminator]:
    """Return freshly initialized networks for a dataset; the same seed gives the same weights."""
    window = config.training.max_span
    with seeded(config.training.seed):
        generator = DiganGenerator(fill_config(DiganConfig, config, data, window=window))
        pair = fill_config(DiscriminatorConfig, config, data, condition_dim=config.model.w_dim)
        discriminator = PairDiscriminator(pair, window=window)
    return generator.to(device), to_channels_last(discriminator, device)


class DiganTrainer(GanTrainer):
    """`GanTrainer` with DIGAN's networks, which are called like StyleGAN-V's."""

    method = "digan"
    sampler = DiganVideos
    frame_sampler = staticmethod(draw_real_pair)
    generator: DiganGenerator  # type: ignore[assignment]
    discriminator: PairDiscriminator  # type: ignore[assignment]

    def __init__(self, config: RunConfig, generator: DiganGenerator, discriminator: PairDiscriminator) -> None:
        super().__init__(config, generator, discriminator)  # type: ignore[arg-type]
        for part in (discriminator.video, discriminator.image):
            part.gradient_checkpointing = config.training.gradient_checkpointing

    def _sample_all(self, clips: ClipDataset, clip_indices: list[int], phase: int) -> FakeInputs:
        """Draw times from a window at the start of a random training video, and that video's class."""
        z_dim, motion_dim = self.generator.z_dim, self.generator.motion_dim
        times, labels = [], []
        for index in clip_indices:
            random = clip_random(clips.seed, FAKE, 2 * index + phase)
            video = clips.videos[int(random.integers(len(clips.videos)))]
            times.append(draw_pair_offsets(random, clips.data.videos[video].num_frames, clips.max_span))
            labels.append(clips.label(video))
        (noise,) = draw_noise(clips, clip_indices, phase, (z_dim + motion_dim,), device=self.device)
        z, motion = noise.split([z_dim, motion_dim], dim=1)
        t = copy_async(torch.from_numpy(np.stack(times)).double(), self.device)
        return FakeInputs(z, t, motion, stack_labels(labels, self.device))

    def _compute_penalty(self, network: nn.Module, clip: Clip) -> Tensor:
        """Return the penalty of each discriminator, `[2·B]`: the squared norm over all of its inputs of a clip."""
        d, inputs = self.discriminator, (clip.frames, clip.times, clip.label)
        logits = (d.compute_pair_logits(*inputs), d.compute_frame_logits(*inputs))
        # `r1_penalty` is a mean over two frames.
        return 2 * torch.cat([r1_penalty(each, clip.frames) for each in logits])
