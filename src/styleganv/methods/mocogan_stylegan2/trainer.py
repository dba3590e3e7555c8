"""Trains MoCoGAN with StyleGAN2's networks: as StyleGAN-V is, but on 16 consecutive frames from the start of a video,
with StyleGAN2's discriminator for a frame of each clip and MoCoGAN's for the clip.

The video discriminator's batch normalisation takes the statistics of each micro-batch and process by itself; the first
process's are saved. It learns at a tenth of the rate, and without an R1 penalty.
"""

from typing import Any, cast

import torch
from torch import Tensor

from styleganv.clip import Clip
from styleganv.config import RunConfig
from styleganv.data.dataset import VideoDataset
from styleganv.methods.mocogan.networks import ClipDiscriminator
from styleganv.methods.mocogan.trainer import NOISE, sample_frames, sample_recurrent_inputs
from styleganv.methods.mocogan_stylegan2.networks import (
    MocoganStylegan2,
    MocoganStylegan2Config,
    MocoganStylegan2Videos,
)
from styleganv.methods.stylegan_v.config import DiscriminatorConfig
from styleganv.methods.stylegan_v.discriminator import Discriminator
from styleganv.methods.stylegan_v.inputs import FakeInputs
from styleganv.methods.stylegan_v.losses import discriminator_loss, generator_loss
from styleganv.methods.stylegan_v.trainer import GanTrainer, adam
from styleganv.noise import seeded, torch_random
from styleganv.training.batches import ClipDataset
from styleganv.training.trainer import data_sizes

NOISE_STD, VIDEO_LR = 0.1, 0.1


def build(config: RunConfig, data: VideoDataset, device: torch.device) -> "MocoganStylegan2Trainer":
    """Freshly initialised, for a data set, on a device; the same seed gives the same weights."""
    model, training = config.model, config.training
    sizes: dict[str, Any] = data_sizes(config, data) | {"channel_max": model.channel_max}
    with seeded(training.seed):
        generator = MocoganStylegan2(
            MocoganStylegan2Config(
                z_dim=model.z_dim,
                w_dim=model.w_dim,
                mapping_layers=model.mapping_layers,
                channel_base=model.channel_base,
                motion_dim=model.motion_dim,
                **sizes,
            )
        )
        image = Discriminator(
            DiscriminatorConfig(
                num_frames=1,
                channel_base=model.channel_base,
                condition=model.condition,
                condition_dim=model.w_dim,
                **sizes,
            )
        )
        video = ClipDiscriminator(num_frames=training.num_frames, noise_std=NOISE_STD, **sizes)
    for network in (generator, image):
        network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return MocoganStylegan2Trainer(config, generator, image, video.to(device))


class MocoganStylegan2Trainer(GanTrainer):
    """`GanTrainer` whose discriminator sees sample_frames, with a second one that sees the clips."""

    method = "mocogan-stylegan2"

    def __init__(
        self, config: RunConfig, generator: MocoganStylegan2, image: Discriminator, video: ClipDiscriminator
    ) -> None:
        super().__init__(config, generator, image)
        self.video = video
        self.optimizer_v = adam(video, config.training.lr * VIDEO_LR, 0.99)

    def update_g(self, real: Clip, fakes: list[FakeInputs], numbers: list[int]) -> None:
        self.video.requires_grad_(False)
        super().update_g(real, fakes, numbers)
        self.video.requires_grad_(True)

    def update_d(self, real: Clip, fakes: list[FakeInputs], numbers: list[int]) -> None:
        with self.optimizer_step(self.video, self.optimizer_v):
            super().update_d(real, fakes, numbers)

    def update_r1(self, real: Clip, numbers: list[int]) -> None:
        super().update_r1(self._stills(real, numbers), numbers)

    def _loss_g(self, fake: Clip, real: Clip, numbers: list[int]) -> Tensor:
        video = generator_loss(self._judge_video(fake, numbers, 0))
        return super()._loss_g(self._stills(fake, numbers), real, numbers) + video

    def _loss_d(self, fake: Clip, real: Clip, numbers: list[int]) -> tuple[Tensor, Tensor]:
        loss, logits = super()._loss_d(self._stills(fake, numbers), self._stills(real, numbers), numbers)
        seen = [self._judge_video(clip, numbers, purpose) for purpose, clip in enumerate((real, fake), start=1)]
        self.log_scalars(video_real=seen[0].mean(), video_fake=seen[1].mean())
        return loss + discriminator_loss(*seen), logits

    def _judge_video(self, clip: Clip, numbers: list[int], purpose: int) -> Tensor:
        random = torch_random(self.device, self.config.training.seed, NOISE + purpose, numbers[0])
        logits: Tensor = self.video(clip.frames, clip.label, random)
        return logits

    def _stills(self, clip: Clip, numbers: list[int]) -> Clip:
        return sample_frames(clip, numbers, self.config.training.seed)

    def _fakes(self, clips: ClipDataset, numbers: list[int], phase: int) -> list[FakeInputs]:
        # Beside each frame the motion network looks at the next one, which whole times give no weight.
        model, slots = self.config.model, clips.num_frames + 1
        return [
            sample_recurrent_inputs(
                clips,
                numbers[part :: self.num_micro_batches],
                phase=phase,
                z_dim=model.z_dim,
                noise_dim=model.motion_dim,
                num_slots=slots,
                device=self.device,
            )
            for part in range(self.num_micro_batches)
        ]

    def video_model(self, data: VideoDataset) -> MocoganStylegan2Videos:
        average = cast(MocoganStylegan2, self.generator_ema)
        return MocoganStylegan2Videos(average, fps=data.fps, class_names=data.class_names, device=self.device)

    def state_parts(self) -> dict[str, Any]:
        return super().state_parts() | {"video": self.video, "optimizer_v": self.optimizer_v}
