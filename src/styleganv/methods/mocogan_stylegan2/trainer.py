"""Training of MoCoGAN with StyleGAN2's networks.

It follows StyleGAN-V's steps, but on 16 consecutive frames from the start of a video. StyleGAN2's discriminator sees
one frame per clip, MoCoGAN's video discriminator the whole clip. The latter learns at a tenth of the rate and without
R1. Its batch normalization uses the statistics of each micro-batch and process; those of the first process are saved.
"""

from typing import Any

import torch
from torch import Tensor

from styleganv.clip import Clip
from styleganv.config import RunConfig
from styleganv.data.dataset import VideoDataset
from styleganv.methods.mocogan.networks import ClipDiscriminator
from styleganv.methods.mocogan.trainer import LAYER_NOISE_PURPOSE, sample_frames, sample_recurrent_inputs
from styleganv.methods.mocogan_stylegan2.networks import (
    MocoganStylegan2,
    MocoganStylegan2Config,
    MocoganStylegan2Videos,
)
from styleganv.methods.network_config import fill_config
from styleganv.methods.stylegan_v.config import DiscriminatorConfig
from styleganv.methods.stylegan_v.discriminator import Discriminator
from styleganv.methods.stylegan_v.inputs import FakeInputs
from styleganv.methods.stylegan_v.losses import discriminator_loss, generator_loss
from styleganv.methods.stylegan_v.trainer import GanTrainer, build_adam, to_channels_last
from styleganv.noise import seeded, torch_random
from styleganv.training.batches import ClipDataset
from styleganv.training.trainer import data_sizes

NOISE_STD, VIDEO_LR_MULTIPLIER = 0.1, 0.1


def build_trainer(config: RunConfig, data: VideoDataset, device: torch.device) -> "MocoganStylegan2Trainer":
    """Return a freshly initialized trainer for a dataset; the same seed gives the same weights."""
    model, training = config.model, config.training
    with seeded(training.seed):
        generator = MocoganStylegan2(fill_config(MocoganStylegan2Config, config, data))
        image = Discriminator(fill_config(DiscriminatorConfig, config, data, num_frames=1, condition_dim=model.w_dim))
        video = ClipDiscriminator(
            num_frames=training.num_frames,
            noise_std=NOISE_STD,
            channel_max=model.channel_max,
            **data_sizes(config, data),
        )
    networks = to_channels_last(generator, device), to_channels_last(image, device)
    return MocoganStylegan2Trainer(config, *networks, video.to(device))


class MocoganStylegan2Trainer(GanTrainer):
    """`GanTrainer` whose discriminator sees single frames, with a second discriminator of clips."""

    method = "mocogan-stylegan2"
    sampler = MocoganStylegan2Videos

    def __init__(
        self, config: RunConfig, generator: MocoganStylegan2, image: Discriminator, video: ClipDiscriminator
    ) -> None:
        super().__init__(config, generator, image)
        self.video = video
        self.optimizer_v = build_adam(video, config.training.lr * VIDEO_LR_MULTIPLIER, 0.99)

    def update_g(self, real: Clip, fakes: list[FakeInputs], clip_indices: list[int]) -> None:
        self.video.requires_grad_(False)
        super().update_g(real, fakes, clip_indices)
        self.video.requires_grad_(True)

    def update_d(self, real: Clip, fakes: list[FakeInputs], clip_indices: list[int]) -> None:
        with self.optimizer_step(self.video, self.optimizer_v):
            super().update_d(real, fakes, clip_indices)

    def update_r1(self, real: Clip, clip_indices: list[int]) -> None:
        super().update_r1(self._sample_frames(real, clip_indices), clip_indices)

    def _compute_losses_g(self, fake: Clip, real: Clip, clip_indices: list[int]) -> list[Tensor]:
        video = generator_loss(self._compute_video_logits(fake, clip_indices, 0))
        (image,) = super()._compute_losses_g(self._sample_frames(fake, clip_indices), real, clip_indices)
        return [image + video]

    def _compute_losses_d(self, fake: Clip, real: Clip, clip_indices: list[int]) -> tuple[list[Tensor], Tensor]:
        fake_frame, real_frame = (self._sample_frames(clip, clip_indices) for clip in (fake, real))
        (image,), realness = super()._compute_losses_d(fake_frame, real_frame, clip_indices)
        video_real = self._compute_video_logits(real, clip_indices, 1)
        video_fake = self._compute_video_logits(fake, clip_indices, 2)
        self.log_scalars(video_real=video_real.mean(), video_fake=video_fake.mean())
        return [image + discriminator_loss(video_real, video_fake)], realness

    def _compute_video_logits(self, clip: Clip, clip_indices: list[int], purpose: int) -> Tensor:
        key = self.config.training.seed, LAYER_NOISE_PURPOSE + purpose, clip_indices[0]
        logits: Tensor = self.video(clip.frames, clip.label, torch_random(self.device, *key))
        return logits

    def _sample_frames(self, clip: Clip, clip_indices: list[int]) -> Clip:
        return sample_frames(clip, clip_indices, self.config.training.seed)

    def _sample_all(self, clips: ClipDataset, clip_indices: list[int], phase: int) -> FakeInputs:
        # The motion network also reads the noise of the next frame, which has no weight at whole times.
        return sample_recurrent_inputs(
            clips,
            clip_indices,
            phase=phase,
            z_dim=self.config.model.z_dim,
            noise_dim=self.config.model.motion_dim,
            num_slots=clips.num_frames + 1,
            device=self.device,
        )

    def state_parts(self) -> dict[str, Any]:
        return super().state_parts() | {"video": self.video, "optimizer_v": self.optimizer_v}
