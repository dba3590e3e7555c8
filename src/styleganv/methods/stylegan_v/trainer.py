"""A GAN as four verbs: update the generator, the discriminator, its R1 penalty, and the averaged generator.

Shapes: B clips of this process, T frames a clip. `clips_seen` counts clips of all processes; frames are
always T times as many and never mixed up with them.
"""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from styleganv import distributed
from styleganv.clip import Clip
from styleganv.config import RunConfig
from styleganv.data.dataset import VideoDataset
from styleganv.methods.stylegan_v.config import DiscriminatorConfig, GeneratorConfig
from styleganv.methods.stylegan_v.discriminator import STDDEV_GROUP, Discriminator
from styleganv.methods.stylegan_v.generator import Generator
from styleganv.methods.stylegan_v.inputs import FakeInputs, sample_fake_inputs
from styleganv.methods.stylegan_v.losses import (
    discriminator_loss,
    generator_loss,
    r1_penalty,
    r1_penalty_clip_by_clip,
    relativistic_discriminator_loss,
    relativistic_generator_loss,
)
from styleganv.methods.stylegan_v.sampler import VideoGenerator
from styleganv.model_folder import STYLEGAN_V
from styleganv.noise import seeded, torch_random
from styleganv.training.augment import NUM_UNIFORM, AdaptiveAugmentation, augment
from styleganv.training.batches import ClipDataset
from styleganv.training.trainer import Trainer, data_sizes
from styleganv.video_model import VideoModel

CPU = torch.device("cpu")
GENERATOR_PHASE, DISCRIMINATOR_PHASE = 0, 1


def build_networks(
    config: RunConfig, data: VideoDataset, device: torch.device = CPU
) -> tuple[Generator, Discriminator]:
    """Freshly initialised networks for a data set, on a device; the same seed gives the same weights."""
    model, training = config.model, config.training
    sizes = data_sizes(config, data)
    with seeded(training.seed):
        generator = Generator(
            GeneratorConfig(
                **sizes,
                z_dim=model.z_dim,
                w_dim=model.w_dim,
                mapping_layers=model.mapping_layers,
                channel_base=model.channel_base,
                channel_max=model.channel_max,
                motion=model.motion,
                motion_noise_dim=model.motion_dim,
                motion_code_dim=model.motion_dim,
                num_frequencies=model.motion_dim // 2,
                slot_distance=model.slot_distance,
                longest_period=model.longest_period,
                amplitude=model.amplitude,
            )
        )
        discriminator = Discriminator(
            DiscriminatorConfig(
                **sizes,
                num_frames=training.num_frames,
                channel_base=model.channel_base,
                channel_max=model.channel_max,
                condition=model.condition,
                condition_dim=model.w_dim,
                minibatch_stddev=model.minibatch_stddev,
            )
        )
    for network in (generator, discriminator):
        network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return generator, discriminator


class GanTrainer(Trainer):
    """StyleGAN-V and, without motion, StyleGAN2: networks, optimisers and augmentation strength; each `update_…` is a
    part of one training step."""

    method = STYLEGAN_V

    def __init__(self, config: RunConfig, generator: Generator, discriminator: Discriminator) -> None:
        super().__init__(config, next(generator.parameters()).device)
        training, pixels = config.training, generator.height * generator.width
        self.generator, self.discriminator = generator, discriminator
        self.generator.synthesis.gradient_checkpointing = self.discriminator.gradient_checkpointing = (
            training.gradient_checkpointing
        )
        self.generator_ema = copy.deepcopy(self.generator).eval().requires_grad_(False)
        gamma = training.r1_gamma
        self.gamma = training.r1_scale * pixels / training.batch_size if gamma is None else gamma
        # The lazy penalty acts every 16th step, so Adam's rate and memory shrink by 16/17 (StyleGAN2, appendix B).
        lazy = training.r1_interval / (training.r1_interval + 1)
        for parameter in frozen_parameters(self.discriminator, training.freeze_d):
            parameter.requires_grad_(False)
        self.optimizer_g = adam(self.generator, training.lr, 0.99)
        self.optimizer_d = adam(self.discriminator, training.lr * lazy, 0.99**lazy)
        self.ada = AdaptiveAugmentation(
            config.augment.augment_p,
            target=config.augment.augment_target,
            max_p=config.augment.augment_max_p,
            clips=config.augment.ada_clips,
            device=self.device,
        )

    def train_step(self, clips: ClipDataset, real: Clip) -> None:
        """One whole step on this process's share `real` of the batch (frames uint8)."""
        real = Clip(real.frames.float() / 127.5 - 1, real.times, real.label)
        numbers = [self.clips_seen + distributed.rank() + distributed.world_size() * i for i in range(len(real.frames))]
        self.update_g(real, self._fakes(clips, numbers, GENERATOR_PHASE), numbers)
        fakes = self._fakes(clips, numbers, DISCRIMINATOR_PHASE)
        self.update_d(real, fakes, numbers)
        if self.step % self.config.training.r1_interval == 0:
            self.update_r1(real, numbers)
            if self.relativistic:
                self.update_r2(fakes, numbers)
        self.step += 1
        self.update_ema(self.generator, self.generator_ema)

    def update_g(self, real: Clip, fakes: list[FakeInputs], numbers: list[int]) -> None:
        """Make fakes more real, and track the mean of w."""
        w_mean = 0.0
        with self.optimizer_step(self.generator, self.optimizer_g, frozen=self.discriminator):
            for part, fake in enumerate(fakes):
                with self.autocast():
                    w = self.generator.mapping(fake.z, fake.label)
                    frames = self.generator.synthesize(w, fake.times, fake.noise, fake.label)
                    mine = numbers[part :: self.num_micro_batches]
                    frames = self._augmented(frames, mine, purpose=20)
                    loss = self._loss_g(Clip(frames, fake.times, fake.label), self._part(real, part), mine)
                (loss / self.num_micro_batches).backward()
                w_mean = w_mean + w.detach().mean(dim=0) / self.num_micro_batches
                self.log_scalars(loss_g=loss)
        self.generator.mapping.update_mean(distributed.all_reduce_mean(torch.as_tensor(w_mean)))

    def update_d(self, real: Clip, fakes: list[FakeInputs], numbers: list[int]) -> None:
        """Tell real from fake, and adapt the augmentation."""
        sign = torch.zeros((), device=self.device)
        with self.optimizer_step(self.discriminator, self.optimizer_d, frozen=self.generator):
            for part, fake in enumerate(fakes):
                mine, some = numbers[part :: self.num_micro_batches], self._part(real, part)
                with self.autocast():
                    with torch.no_grad():
                        frames = self.generator(fake.z, fake.times, fake.noise, fake.label)
                        frames = self._augmented(frames, mine, purpose=21)
                    shown = self._augmented(some.frames, mine, purpose=22)
                    loss, realness = self._loss_d(
                        Clip(frames, fake.times, fake.label), Clip(shown, some.times, some.label), mine
                    )
                (loss / self.num_micro_batches).backward()
                sign += realness.sign().mean() / self.num_micro_batches
                self.log_scalars(loss_d=loss)
        if self.config.augment.augment == "ada":
            self.ada.update(distributed.all_reduce_mean(sign), self.config.training.batch_size)

    def _part(self, real: Clip, part: int) -> Clip:
        """The real clips of a micro-batch."""
        mine = slice(part, None, self.num_micro_batches)
        return Clip(real.frames[mine], real.times[mine], None if real.label is None else real.label[mine])

    @property
    def relativistic(self) -> bool:
        return self.config.training.loss == "relativistic"

    def _loss_g(self, fake: Clip, real: Clip, numbers: list[int]) -> Tensor:
        """The generator's loss on augmented clips, whose numbers are `numbers`; `real` is not augmented yet."""
        if not self.relativistic:
            return generator_loss(self.discriminator(fake.frames, fake.times, fake.label))
        shown = self._augmented(real.frames, numbers, purpose=24)
        logits_fake, logits_real = self._judge(fake, Clip(shown, real.times, real.label))
        return relativistic_generator_loss(logits_fake, logits_real)

    def _loss_d(self, fake: Clip, real: Clip, numbers: list[int]) -> tuple[Tensor, Tensor]:
        """The discriminator's loss on augmented clips, and how real it takes the real ones for, which steers ADA: their
        logits, or for the relativistic loss those minus the generated ones'."""
        logits_fake, logits_real = self._judge(fake, real)
        self.log_scalars(logits_real=logits_real.mean(), logits_fake=logits_fake.mean())
        if self.relativistic:
            realness = (logits_real - logits_fake).detach()
            return relativistic_discriminator_loss(logits_real, logits_fake), realness
        return discriminator_loss(logits_real, logits_fake), logits_real.detach()

    def _judge(self, fake: Clip, real: Clip) -> tuple[Tensor, Tensor]:
        """Logits of both, in one pass where the groups of the minibatch deviation allow it.

        With fakes and reals in turn, whole groups of strided clips are all fake or all real, as they are apart.
        """
        if len(fake.frames) % STDDEV_GROUP:
            fakes, reals = (self.discriminator(clips.frames, clips.times, clips.label) for clips in (fake, real))
            return fakes, reals
        label = None if fake.label is None or real.label is None else _in_turn(fake.label, real.label)
        both = self.discriminator(_in_turn(fake.frames, real.frames), _in_turn(fake.times, real.times), label)
        return both[::2], both[1::2]

    def update_r1(self, real: Clip, numbers: list[int]) -> None:
        """Penalize the discriminator's slope at real clips."""
        self._penalize([self._part(real, part) for part in range(self.num_micro_batches)], numbers, "r1", purpose=23)

    def update_r2(self, fakes: list[FakeInputs], numbers: list[int]) -> None:
        """Penalize the discriminator's slope at generated clips."""
        with torch.no_grad(), self.autocast():
            frames = [self.generator(fake.z, fake.times, fake.noise, fake.label) for fake in fakes]
        clips = [Clip(x.float(), fake.times, fake.label) for x, fake in zip(frames, fakes, strict=True)]
        self._penalize(clips, numbers, "r2", purpose=25)

    def _penalize(self, clips: list[Clip], numbers: list[int], name: str, *, purpose: int) -> None:
        """A step against the discriminator's slope at clips as it sees them (augmented), in float32.

        `clips` is a list of micro-batches.
        """
        weight = self.gamma / 2 * self.config.training.r1_interval
        exact = torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
        with exact, self.optimizer_step(self.discriminator, self.optimizer_d, frozen=self.generator):
            for part, clip in enumerate(clips):
                mine = numbers[part :: self.num_micro_batches]
                frames = self._augmented(clip.frames, mine, purpose=purpose).detach().requires_grad_()
                penalty = self._r1_penalty(frames, clip.times, clip.label).mean()
                (penalty * weight / self.num_micro_batches).backward()
                self.log_scalars(**{name: penalty})

    def _r1_penalty(self, frames: Tensor, times: Tensor, label: Tensor | None) -> Tensor:
        if self.config.training.gradient_checkpointing:
            return r1_penalty_clip_by_clip(self.discriminator, frames, times, label)
        return r1_penalty(self.discriminator(frames, times, label), frames)

    def pop_scalars(self) -> dict[str, float]:
        values = super().pop_scalars()
        return values and values | {"augment_p": float(self.ada.p)}

    def inference_network(self) -> Generator:
        return self.generator_ema

    def video_model(self, data: VideoDataset) -> VideoModel:
        return VideoGenerator(self.generator_ema, fps=data.fps, class_names=data.class_names, device=self.device)

    def state_parts(self) -> dict[str, Any]:
        return {
            "generator": self.generator,
            "discriminator": self.discriminator,
            "generator_ema": self.generator_ema,
            "optimizer_g": self.optimizer_g,
            "optimizer_d": self.optimizer_d,
            "strength": self.ada,
        }

    def _fakes(self, clips: ClipDataset, numbers: list[int], phase: int) -> list[FakeInputs]:
        """Inputs of fake clips, a strided part of the batch for each micro-batch."""
        return [
            sample_fake_inputs(
                clips,
                numbers[part :: self.num_micro_batches],
                phase=phase,
                z_dim=self.generator.z_dim,
                motion=self.generator.motion,
                longest=int(self.config.model.longest_period),
                device=self.device,
            )
            for part in range(self.num_micro_batches)
        ]

    def _augmented(self, frames: Tensor, numbers: list[int], *, purpose: int) -> Tensor:
        options = self.config.augment
        if options.augment == "none":
            return frames
        uniform = torch.stack(
            [
                torch.rand(
                    NUM_UNIFORM,
                    generator=torch_random(self.device, self.config.training.seed, purpose, n),
                    device=self.device,
                )
                for n in numbers
            ]
        )
        with torch.autocast(self.device.type, enabled=False):
            return augment(
                frames,
                self.ada.p,
                uniform,
                rotation=options.augment_rotation,
                mirror=options.augment_mirror,
            )


def _in_turn(a: Tensor, b: Tensor) -> Tensor:
    """a₀, b₀, a₁, b₁, …"""
    return torch.stack([a, b.to(a.dtype)], dim=1).flatten(0, 1)


def frozen_parameters(discriminator: Discriminator, blocks: int) -> list[nn.Parameter]:
    """What does not learn (freeze-D, Mo et al. 2020): the layer of colours and this many blocks, the largest first."""
    modules = [discriminator.from_rgb, *discriminator.blocks[:blocks]] if blocks else []
    return [parameter for module in modules for parameter in module.parameters()]


def adam(network: nn.Module, lr: float, beta2: float) -> torch.optim.Adam:
    """As StyleGAN2 has it, without momentum; of the weights that learn."""
    learning = [parameter for parameter in network.parameters() if parameter.requires_grad]
    return torch.optim.Adam(learning, lr=lr, betas=(0.0, beta2), eps=1e-8, fused=True)
