"""Training of MoCoGAN: a generator, a discriminator of single frames, and one of 16 consecutive frames.

As published: binary cross-entropy, Adam, no averaging of weights. Batch normalization uses the statistics of each
process's clips; those of the first process are saved.

Shapes: B clips of this process, T frames per clip.
"""

from copy import deepcopy
from typing import Any, cast

import torch
from torch import Tensor, nn

from styleganv.clip import Clip
from styleganv.config import RunConfig
from styleganv.data.dataset import VideoDataset
from styleganv.data.sampling import clip_random
from styleganv.methods.mocogan.networks import ClipDiscriminator, Mocogan, MocoganConfig, MocoganVideos
from styleganv.methods.network_config import fill_config
from styleganv.methods.stylegan_v.inputs import (
    DISCRIMINATOR_PHASE,
    GENERATOR_PHASE,
    ClipNoise,
    FakeInputs,
    draw_noise,
    local_clip_indices,
    scale_frames,
    stack_labels,
)
from styleganv.methods.stylegan_v.losses import discriminator_loss, generator_loss
from styleganv.noise import seeded, torch_random
from styleganv.training.batches import ClipDataset, copy_async
from styleganv.training.trainer import Trainer, data_sizes

BETAS, WEIGHT_DECAY = (0.5, 0.999), 1e-5
#: Purposes of random numbers, in addition to those of `data.sampling` and `stylegan_v.inputs`.
FRAME_PURPOSE, LAYER_NOISE_PURPOSE = 4, 30


def sample_recurrent_inputs(
    clips: ClipDataset,
    clip_indices: list[int],
    *,
    phase: int,
    z_dim: int,
    noise_dim: int,
    num_slots: int,
    device: torch.device,
) -> FakeInputs:
    """Draw the inputs of generated clips that start at time 0, with the motion noise of `num_slots` frames.

    The other arguments are those of `sample_fake_inputs`.
    """
    z, slots = draw_noise(clips, clip_indices, phase, (z_dim,), (num_slots, noise_dim), device=device)
    labels = [clips.fake_inputs(2 * index + phase)[1] for index in clip_indices]
    times = torch.arange(clips.num_frames, dtype=torch.float64, device=device).expand(len(clip_indices), -1)
    first = torch.zeros(len(clip_indices), dtype=torch.long, device=device)
    return FakeInputs(z, times, ClipNoise(slots, first), stack_labels(labels, device))


def sample_frames(clip: Clip, clip_indices: list[int], seed: int) -> Clip:
    """Return one random frame of each clip, as clips of T = 1."""
    num_frames = clip.frames.shape[1]
    chosen = [int(clip_random(seed, FRAME_PURPOSE, index).integers(num_frames)) for index in clip_indices]
    frame = copy_async(torch.tensor(chosen), clip.frames.device)
    row = torch.arange(len(frame), device=frame.device)
    return Clip(clip.frames[row, frame][:, None], clip.times[row, frame][:, None], clip.label)


def build_trainer(config: RunConfig, data: VideoDataset, device: torch.device) -> "MocoganTrainer":
    """Return a freshly initialized trainer for a dataset; the same seed gives the same weights."""
    sizes = data_sizes(config, data) | {"channel_max": config.model.channel_max}
    with seeded(config.training.seed):
        generator = Mocogan(fill_config(MocoganConfig, config, data))
        image, video = (ClipDiscriminator(num_frames=n, **sizes) for n in (1, config.training.num_frames))
    return MocoganTrainer(config, generator.to(device), image.to(device), video.to(device))


class MocoganTrainer(Trainer):
    """Trainer that updates the discriminators first, then the generator."""

    method = "mocogan"

    def __init__(
        self, config: RunConfig, generator: Mocogan, image: ClipDiscriminator, video: ClipDiscriminator
    ) -> None:
        super().__init__(config, next(generator.parameters()).device)
        self.generator = generator
        self.image, self.video = image, video
        self.discriminators = nn.ModuleList([image, video])
        self.optimizer_g, self.optimizer_d = (
            torch.optim.Adam(
                network.parameters(), lr=config.training.lr, betas=BETAS, weight_decay=WEIGHT_DECAY, fused=True
            )
            for network in (self.generator, self.discriminators)
        )

    def train_step(self, clips: ClipDataset, real: Clip) -> None:
        real, indices = scale_frames(real), local_clip_indices(self.clips_seen, len(real.frames))
        self.update_d(clips, real, indices)
        self.update_g(clips, indices)
        self.step += 1

    def update_d(self, clips: ClipDataset, real: Clip, clip_indices: list[int]) -> None:
        """Update both discriminators."""
        with self.optimizer_step(self.discriminators, self.optimizer_d), self.autocast():
            with torch.no_grad():
                fake = self._generate(clips, clip_indices, DISCRIMINATOR_PHASE)
            image_real, video_real = self._compute_logits(real, clip_indices, 0)
            image_fake, video_fake = self._compute_logits(fake, clip_indices, 1)
            loss = discriminator_loss(image_real, image_fake) + discriminator_loss(video_real, video_fake)
            loss.backward()
        self.log_scalars(loss_d=loss, logits_real=video_real.mean(), logits_fake=video_fake.mean())

    def update_g(self, clips: ClipDataset, clip_indices: list[int]) -> None:
        """Update the generator."""
        with self.optimizer_step(self.generator, self.optimizer_g, frozen=self.discriminators), self.autocast():
            fake = self._generate(clips, clip_indices, GENERATOR_PHASE)
            image, video = self._compute_logits(fake, clip_indices, 2)
            loss = generator_loss(image) + generator_loss(video)
            loss.backward()
        self.log_scalars(loss_g=loss)

    def _generate(self, clips: ClipDataset, clip_indices: list[int], phase: int) -> Clip:
        inputs = sample_recurrent_inputs(
            clips,
            clip_indices,
            phase=phase,
            z_dim=self.generator.z_dim,
            noise_dim=self.generator.motion_dim,
            num_slots=clips.num_frames,
            device=self.device,
        )
        slots = cast(ClipNoise, inputs.noise).slots
        return Clip(self.generator(inputs.z, slots, inputs.label), inputs.times, inputs.label)

    def _compute_logits(self, clip: Clip, clip_indices: list[int], purpose: int) -> tuple[Tensor, Tensor]:
        """Return the logits of one frame of each clip, and of the clips; `purpose` separates the layer noise."""
        seed = self.config.training.seed
        random = torch_random(self.device, seed, LAYER_NOISE_PURPOSE + purpose, clip_indices[0])
        frame = sample_frames(clip, clip_indices, seed)
        return self.image(frame.frames, clip.label, random), self.video(clip.frames, clip.label, random)

    def inference_network(self) -> Mocogan:
        return self.generator

    def video_model(self, data: VideoDataset) -> MocoganVideos:
        """Return a sampler of a copy, since sampling changes the network's mode."""
        return MocoganVideos(deepcopy(self.generator), fps=data.fps, labels=data.labels, device=self.device)

    def state_parts(self) -> dict[str, Any]:
        return {
            "generator": self.generator,
            "discriminators": self.discriminators,
            "optimizer_g": self.optimizer_g,
            "optimizer_d": self.optimizer_d,
        }
