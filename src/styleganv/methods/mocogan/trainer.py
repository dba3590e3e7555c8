"""Trains MoCoGAN: a generator against a discriminator of single frames and one of 16 consecutive ones.

Binary cross-entropy, Adam, no average of the weights, as published. Batch normalisation takes the statistics of the
clips of each process by itself; the first process's are saved.

Shapes: B clips of this process, T frames a clip.
"""

from copy import deepcopy
from typing import Any, cast

import torch
from torch import Tensor, nn

from styleganv import distributed
from styleganv.clip import Clip
from styleganv.config import RunConfig
from styleganv.data.dataset import VideoDataset
from styleganv.data.sampling import clip_random
from styleganv.methods.mocogan.networks import ClipDiscriminator, Mocogan, MocoganConfig, MocoganVideos
from styleganv.methods.stylegan_v.inputs import ClipNoise, FakeInputs
from styleganv.methods.stylegan_v.losses import discriminator_loss, generator_loss
from styleganv.noise import seeded, torch_random
from styleganv.training.batches import ClipDataset
from styleganv.training.trainer import Trainer, data_sizes

BETAS, WEIGHT_DECAY = (0.5, 0.999), 1e-5
GENERATOR_PHASE, DISCRIMINATOR_PHASE = 0, 1
#: What random numbers are for, beside those of `data.sampling` and `training.gan`.
STILL, NOISE = 4, 30


def sample_recurrent_inputs(
    clips: ClipDataset,
    numbers: list[int],
    *,
    phase: int,
    z_dim: int,
    noise_dim: int,
    num_slots: int,
    device: torch.device,
) -> FakeInputs:
    """Inputs of the fake clips `numbers`, all from the start of a video on, with the noise of `num_slots` frames;
    `phase` tells the two networks' draws apart."""
    random = [torch_random(device, clips.seed, 10 + phase, n) for n in numbers]
    z = torch.stack([torch.randn(z_dim, generator=g, device=device) for g in random])
    slots = torch.stack([torch.randn(num_slots, noise_dim, generator=g, device=device) for g in random])
    label = torch.stack([clips.fake_inputs(2 * n + phase, longest=clips.num_frames)[1] for n in numbers]).to(device)
    times = torch.arange(clips.num_frames, dtype=torch.float64, device=device).expand(len(numbers), -1)
    first = torch.zeros(len(numbers), dtype=torch.long, device=device)
    return FakeInputs(z, times, ClipNoise(slots, first), label if label.shape[1] else None)


def sample_frames(clip: Clip, numbers: list[int], seed: int) -> Clip:
    """One random frame of each clip, as clips of T = 1."""
    num_frames = clip.frames.shape[1]
    chosen = [int(clip_random(seed, STILL, n).integers(num_frames)) for n in numbers]
    at = torch.tensor(chosen, device=clip.frames.device)
    each = torch.arange(len(at), device=at.device)
    return Clip(clip.frames[each, at][:, None], clip.times[each, at][:, None], clip.label)


def build(config: RunConfig, data: VideoDataset, device: torch.device) -> "MocoganTrainer":
    """Freshly initialised, for a data set, on a device; the same seed gives the same weights."""
    model, training = config.model, config.training
    sizes: dict[str, Any] = data_sizes(config, data) | {"channel_max": model.channel_max}
    with seeded(training.seed):
        generator = Mocogan(MocoganConfig(z_dim=model.z_dim, motion_dim=model.motion_dim, **sizes))
        image, video = (ClipDiscriminator(num_frames=frames, **sizes) for frames in (1, training.num_frames))
    return MocoganTrainer(config, generator.to(device), image.to(device), video.to(device))


class MocoganTrainer(Trainer):
    """Networks and optimisers; the discriminators learn first, then the generator."""

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
        real = Clip(real.frames.float() / 127.5 - 1, real.times, real.label)
        numbers = [self.clips_seen + distributed.rank() + distributed.world_size() * i for i in range(len(real.frames))]
        with self.optimizer_step(self.discriminators, self.optimizer_d), self.autocast():
            with torch.no_grad():
                fake = self._fake(clips, numbers, DISCRIMINATOR_PHASE)
            reals, fakes = (self._judge(clip, numbers, purpose) for purpose, clip in enumerate((real, fake)))
            loss = discriminator_loss(reals[0], fakes[0]) + discriminator_loss(reals[1], fakes[1])
            loss.backward()
        self.log_scalars(loss_d=loss, logits_real=reals[1].mean(), logits_fake=fakes[1].mean())
        with self.optimizer_step(self.generator, self.optimizer_g, frozen=self.discriminators), self.autocast():
            fakes = self._judge(self._fake(clips, numbers, GENERATOR_PHASE), numbers, 2)
            loss = generator_loss(fakes[0]) + generator_loss(fakes[1])
            loss.backward()
        self.log_scalars(loss_g=loss)
        self.step += 1

    def _fake(self, clips: ClipDataset, numbers: list[int], phase: int) -> Clip:
        inputs = sample_recurrent_inputs(
            clips,
            numbers,
            phase=phase,
            z_dim=self.generator.z_dim,
            noise_dim=self.generator.motion_dim,
            num_slots=clips.num_frames,
            device=self.device,
        )
        slots = cast(ClipNoise, inputs.noise).slots
        return Clip(self.generator(inputs.z, slots, inputs.label), inputs.times, inputs.label)

    def _judge(self, clip: Clip, numbers: list[int], purpose: int) -> tuple[Tensor, Tensor]:
        """Logits of a frame of each clip, and of the clips."""
        seed = self.config.training.seed
        random = torch_random(self.device, seed, NOISE + purpose, numbers[0])
        still = sample_frames(clip, numbers, seed)
        return self.image(still.frames, clip.label, random), self.video(clip.frames, clip.label, random)

    def inference_network(self) -> Mocogan:
        return self.generator

    def video_model(self, data: VideoDataset) -> MocoganVideos:
        """Of a copy: the network in training keeps its mode."""
        return MocoganVideos(deepcopy(self.generator), fps=data.fps, class_names=data.class_names, device=self.device)

    def state_parts(self) -> dict[str, Any]:
        return {
            "generator": self.generator,
            "discriminators": self.discriminators,
            "optimizer_g": self.optimizer_g,
            "optimizer_d": self.optimizer_d,
        }
