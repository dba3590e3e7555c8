"""GAN training in four updates: generator, discriminators, gradient penalties, and the averaged generator.

Shapes: B clips of this process, T frames per clip. `clips_seen` counts clips over all processes. Frames are always T
times as many; the two are never mixed up.
"""

import contextlib
import copy
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from styleganv import distributed
from styleganv.clip import Clip
from styleganv.config import RunConfig
from styleganv.data.dataset import VideoDataset
from styleganv.data.inspect import choose_slot_distance
from styleganv.methods.network_config import fill_config
from styleganv.methods.stylegan_v.config import DiscriminatorConfig, GeneratorConfig
from styleganv.methods.stylegan_v.discriminator import Discriminator, DiscriminatorBlock
from styleganv.methods.stylegan_v.generator import Generator
from styleganv.methods.stylegan_v.growing import Growth, reduce_frames
from styleganv.methods.stylegan_v.inputs import (
    AUGMENT_D_FAKE,
    AUGMENT_D_REAL,
    AUGMENT_G_FAKE,
    AUGMENT_G_REAL,
    AUGMENT_R1,
    AUGMENT_R2,
    DISCRIMINATOR_PHASE,
    GENERATOR_PHASE,
    AugmentNumbers,
    FakeInputs,
    local_clip_indices,
    sample_fake_inputs,
    scale_frames,
)
from styleganv.methods.stylegan_v.losses import (
    compute_logits,
    discriminator_loss,
    generator_loss,
    r1_penalty,
    r1_penalty_clip_by_clip,
    relativistic_discriminator_loss,
    relativistic_generator_loss,
)
from styleganv.methods.stylegan_v.projected import ProjectedDiscriminator
from styleganv.methods.stylegan_v.sampler import VideoGenerator
from styleganv.methods.stylegan_v.synthesis import ModulatedConv, Synthesis
from styleganv.model_folder import STYLEGAN_V
from styleganv.nn.compiling import LayerCompiler
from styleganv.noise import seeded
from styleganv.training.augment import AdaptiveAugmentation, augment
from styleganv.training.backends import step_backends
from styleganv.training.batches import ClipDataset
from styleganv.training.trainer import Trainer
from styleganv.video_model import VideoModel

CPU = torch.device("cpu")
#: Weight of the second discriminator's gradient penalties, relative to the first's: its features react to smaller
#: changes of a frame.
PROJECTED_PENALTY = 0.01
N = TypeVar("N", bound=nn.Module)


def build_networks(
    config: RunConfig, data: VideoDataset, device: torch.device = CPU
) -> tuple[Generator, Discriminator]:
    """Return freshly initialized networks for a dataset; the same seed gives the same weights."""
    config = choose_slot_distance(config, data)
    model, training, width = config.model, config.training, config.model.motion_dim
    widths = {"motion_noise_dim": width, "motion_code_dim": width, "num_frequencies": width // 2}
    with seeded(training.seed):
        generator = Generator(fill_config(GeneratorConfig, config, data, **widths))
        sizes = {"num_frames": training.num_frames, "condition_dim": model.w_dim, "grow_from": training.grow_from}
        discriminator = Discriminator(fill_config(DiscriminatorConfig, config, data, **sizes))
    blocks = list(generator.synthesis.blocks) if isinstance(generator.synthesis, Synthesis) else []
    for block in blocks[::-1][: len(discriminator.lower_from_rgb)]:
        nn.init.zeros_(block.get_parameter("to_rgb.weight"))  # missing until the network has grown
    return to_channels_last(generator, device), to_channels_last(discriminator, device)


def to_channels_last(network: N, device: torch.device) -> N:
    """Move a network to a device, in channels-last memory format."""
    return network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]


@dataclass(frozen=True)
class Critic:
    """A discriminator in training."""

    network: Discriminator | ProjectedDiscriminator
    optimizer: torch.optim.Optimizer
    gamma: float
    """Weight of its gradient penalties."""
    suffix: str = ""
    """End of the names of its scalars in the log."""


class GanTrainer(Trainer):
    """Trainer of StyleGAN-V and, without motion, StyleGAN2; each `update_…` is one part of a step.

    Attributes:
        gamma: weight of the first discriminator's gradient penalties.
        projected: second discriminator; None without it.
        critics: the discriminators with what trains them.
        discriminators: their networks as one module.
        optimizers: all optimizers, with their initial learning rates.
        ada: augmentation probability and its controller.
        augment_numbers: random numbers for the augmentation.
        growth: schedule of the resolutions.
        compiler: compiles layers of both networks on GPUs.
        sampler: builds the video model of the averaged generator.
    """

    method = STYLEGAN_V
    sampler: type[VideoModel] = VideoGenerator

    def __init__(self, config: RunConfig, generator: Generator, discriminator: Discriminator) -> None:
        super().__init__(config, next(generator.parameters()).device)
        training, pixels = config.training, generator.height * generator.width
        self.generator, self.discriminator = generator, discriminator
        for network in (generator.synthesis, discriminator):
            network.gradient_checkpointing = training.gradient_checkpointing
        self.generator_ema = copy.deepcopy(generator).eval().requires_grad_(False)
        gamma = training.r1_gamma
        self.gamma = training.r1_scale * pixels / training.batch_size if gamma is None else gamma
        num_lower = len(discriminator.lower_from_rgb) if training.grow_from else 0
        self.growth = Growth(num_lower, training.grow_clips)
        # Lazy regularization adds steps, so Adam's hyperparameters are corrected (StyleGAN2, appendix B). The released
        # code also corrects the generator's, for an interval of 4, although its path-length term is gone.
        lazy = training.r1_interval / (training.r1_interval + 1)
        lazy_g = 1.0 if training.g_interval is None else training.g_interval / (training.g_interval + 1)
        for parameter in frozen_parameters(discriminator, training.freeze_d):
            parameter.requires_grad_(False)
        self.optimizer_g = build_adam(generator, training.lr * lazy_g, 0.99**lazy_g)
        self.optimizer_d = build_adam(discriminator, training.lr * lazy, 0.99**lazy)
        self.optimizers = [(self.optimizer_g, training.lr * lazy_g), (self.optimizer_d, training.lr * lazy)]
        self.critics = [Critic(discriminator, self.optimizer_d, self.gamma)]
        self.projected: ProjectedDiscriminator | None = None
        if training.second_discriminator == "projected":
            self.projected = ProjectedDiscriminator(discriminator.config, seed=training.seed, device=self.device)
            self.optimizer_p = build_adam(self.projected, training.lr * lazy, 0.99**lazy)
            self.optimizers.append((self.optimizer_p, training.lr * lazy))
            self.critics.append(Critic(self.projected, self.optimizer_p, PROJECTED_PENALTY * self.gamma, "_projected"))
        self.discriminators = nn.ModuleList(critic.network for critic in self.critics)
        self.ada = AdaptiveAugmentation(
            config.augment.augment_p,
            target=config.augment.augment_target,
            max_p=config.augment.augment_max_p,
            clips=config.augment.ada_clips,
            device=self.device,
        )
        self.augment_numbers = AugmentNumbers(training.seed, training.batch_size, self.device)
        self.compiler = LayerCompiler()
        if training.compile and self.device.type == "cuda":
            self.compile_layers()

    def compile_layers(self) -> None:
        """Compile the layers of both networks that consist of many small operations, not those of `generator_ema`."""
        self.compiler.compile_layers(self.generator, ModulatedConv)
        self.compiler.compile_layers(self.discriminator, DiscriminatorBlock)

    @property
    def relativistic(self) -> bool:
        """Return whether losses compare pairs of real and generated clips."""
        return self.config.training.loss == "relativistic"

    def train_step(self, clips: ClipDataset, real: Clip) -> None:
        self._decay_learning_rates()
        self._grow()
        indices = local_clip_indices(self.clips_seen, len(real.frames))
        real = scale_frames(real)
        real = Clip(reduce_frames(real.frames, self.growth.stage), real.times, real.label)
        self.update_g(real, self._sample_inputs(clips, indices, GENERATOR_PHASE), indices)
        fakes = self._sample_inputs(clips, indices, DISCRIMINATOR_PHASE)
        self.update_d(real, fakes, indices)
        if self.step % self.config.training.r1_interval == 0:
            self.update_r1(real, indices)
            if self.relativistic:
                self.update_r2(fakes, indices)
        self.step += 1
        self.update_ema(self.generator, self.generator_ema)

    def _decay_learning_rates(self) -> None:
        factor = self._decay(self.config.training.lr_decay_clips)
        for optimizer, lr in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = lr * factor

    def _decay(self, start: float | None) -> float:
        """Return a factor that decays as 1/√clips from `start` clips on; 1 before, and for None."""
        return 1.0 if start is None or self.clips_seen <= start else (start / self.clips_seen) ** 0.5

    def _grow(self) -> None:
        """Set both networks to the resolution that the progress of the run demands."""
        if self.growth.num_lower:
            self.growth.update(self.progress, self.clips_seen)
            self.discriminator.stage = self.growth.stage
            self.generator.synthesis.num_skipped = self.growth.stage.num_skipped

    def update_g(self, real: Clip, fakes: list[FakeInputs], clip_indices: list[int]) -> None:
        """Update the generator, and the running mean of w; one item of `fakes` per micro-batch."""
        w_means = []
        with self.optimizer_step(
            self.generator, self.optimizer_g, frozen=self.discriminators, num_backwards=self.num_micro_batches
        ):
            for fake, part, indices in self._zip_parts(fakes, real, clip_indices):
                with self.autocast():
                    w = self.generator.mapping(fake.z, fake.label)
                    frames = self.generator.synthesize(w, fake.times, fake.noise, fake.label)
                    frames = self._augment(frames, indices, AUGMENT_G_FAKE)
                    losses = self._compute_losses_g(Clip(frames, fake.times, fake.label), part, indices)
                self._backward(losses, "loss_g")
                w_means.append(w.detach().mean(dim=0))
        self._update_statistics(w_means)

    def update_d(self, real: Clip, fakes: list[FakeInputs], clip_indices: list[int]) -> None:
        """Update the discriminators, the augmentation probability and, as released, the running mean of w.

        There is one item of `fakes` per micro-batch.
        """
        sign, w_means = torch.zeros((), device=self.device), []
        with contextlib.ExitStack() as steps:
            for critic in self.critics:
                backwards = self.num_micro_batches if critic is self.critics[0] else None
                step = self.optimizer_step(
                    critic.network, critic.optimizer, frozen=self.generator, num_backwards=backwards
                )
                steps.enter_context(step)
            for fake, part, indices in self._zip_parts(fakes, real, clip_indices):
                with self.autocast():
                    with torch.no_grad():
                        w = self.generator.mapping(fake.z, fake.label)
                        frames = self.generator.synthesize(w, fake.times, fake.noise, fake.label)
                        frames = self._augment(frames, indices, AUGMENT_D_FAKE)
                    real_frames = self._augment(part.frames, indices, AUGMENT_D_REAL)
                    losses, realness = self._compute_losses_d(
                        Clip(frames, fake.times, fake.label), Clip(real_frames, part.times, part.label), indices
                    )
                self._backward(losses, "loss_d")
                sign += realness.sign().mean() / self.num_micro_batches
                w_means.append(w.mean(dim=0))
        self._update_statistics(w_means)
        if self.config.augment.augment == "ada":
            self.ada.update(distributed.all_reduce_mean(sign), self.config.training.batch_size)

    def _update_statistics(self, means: list[Tensor]) -> None:
        """Update the running statistics with the mean w of each micro-batch of this process."""
        mean = torch.stack(means).mean(dim=0)
        self.generator.update_statistics(distributed.all_reduce_mean(mean))

    def update_r1(self, real: Clip, clip_indices: list[int]) -> None:
        """Penalize the discriminators' gradients at real clips."""
        self._penalize(self._split(real), clip_indices, "r1", AUGMENT_R1)

    def update_r2(self, fakes: list[FakeInputs], clip_indices: list[int]) -> None:
        """Penalize the discriminators' gradients at generated clips."""
        with torch.no_grad(), self.autocast():
            frames = [self.generator(fake.z, fake.times, fake.noise, fake.label) for fake in fakes]
        clips = [Clip(x.float(), fake.times, fake.label) for x, fake in zip(frames, fakes, strict=True)]
        self._penalize(clips, clip_indices, "r2", AUGMENT_R2)

    def _penalize(self, parts: list[Clip], clip_indices: list[int], name: str, purpose: int) -> None:
        """Take a step against the discriminators' gradients at augmented clips, in float32; a part per micro-batch."""
        clips = []
        for part, clip in enumerate(parts):
            frames = self._augment(clip.frames, clip_indices[part :: self.num_micro_batches], purpose)
            clips.append(Clip(frames, clip.times, clip.label))
        # In proportion to the number of pixels, as the default of gamma.
        scale = self.config.training.r1_interval / 2 / 4**self.growth.stage.num_skipped
        scale *= self._decay(self.config.training.r1_decay_clips)
        exact = partial(step_backends, self.device, tf32=self.config.training.tf32)  # also if called outside the loop
        for critic in self.critics:
            step = self.optimizer_step(critic.network, critic.optimizer, frozen=self.generator)
            with exact(), self.compiler.paused(), step:
                for clip in clips:
                    frames = clip.frames.detach().requires_grad_()
                    penalty = self._compute_penalty(critic.network, Clip(frames, clip.times, clip.label)).mean()
                    (penalty * critic.gamma * scale / self.num_micro_batches).backward()
                    self.log_scalars(**{name + critic.suffix: penalty})

    def _compute_penalty(self, network: nn.Module, clip: Clip) -> Tensor:
        if self.config.training.gradient_checkpointing and isinstance(network, Discriminator):
            return r1_penalty_clip_by_clip(network, clip.frames, clip.times, clip.label)
        return r1_penalty(network(clip.frames, clip.times, clip.label), clip.frames)

    def _backward(self, losses: list[Tensor], name: str) -> None:
        """Add the gradient of a micro-batch's losses, one per discriminator, and log them."""
        self.log_scalars(**{name + critic.suffix: loss for critic, loss in zip(self.critics, losses, strict=True)})
        (torch.stack(losses).sum() / self.num_micro_batches).backward()

    def _compute_losses_g(self, fake: Clip, real: Clip, clip_indices: list[int]) -> list[Tensor]:
        """Return the generator's loss by each discriminator, for augmented `fake` and unaugmented `real` clips."""
        networks = [critic.network for critic in self.critics]
        logits_fake = [network(fake.frames, fake.times, fake.label) for network in networks]
        if not self.relativistic:
            return [generator_loss(logits) for logits in logits_fake]
        with torch.no_grad():  # a pass of its own, since the generator learns nothing from the gradient at real clips
            frames = self._augment(real.frames, clip_indices, AUGMENT_G_REAL)
            logits_real = [network(frames, real.times, real.label) for network in networks]
        return [relativistic_generator_loss(*pair) for pair in zip(logits_fake, logits_real, strict=True)]

    def _compute_losses_d(self, fake: Clip, real: Clip, clip_indices: list[int]) -> tuple[list[Tensor], Tensor]:
        """Return each discriminator's loss for augmented clips, and the realness that ADA is controlled by.

        Realness is the first one's logits of the real clips; for the relativistic loss, minus those of the generated
        ones.
        """
        compute = relativistic_discriminator_loss if self.relativistic else discriminator_loss
        losses, realness = [], None
        for critic in self.critics:
            logits_fake, logits_real = compute_logits(critic.network, fake, real)
            losses.append(compute(logits_real, logits_fake))
            if realness is None:
                realness = (logits_real - logits_fake if self.relativistic else logits_real).detach()
            means = {"logits_real": logits_real.mean(), "logits_fake": logits_fake.mean()}
            self.log_scalars(**{name + critic.suffix: mean for name, mean in means.items()})
        assert realness is not None  # there is always a first discriminator
        return losses, realness

    def _split(self, clip: Clip) -> list[Clip]:
        """Return the micro-batches of this process's clips: strided parts."""
        n, label = self.num_micro_batches, clip.label
        return [Clip(clip.frames[i::n], clip.times[i::n], None if label is None else label[i::n]) for i in range(n)]

    def _zip_parts(
        self, fakes: list[FakeInputs], real: Clip, clip_indices: list[int]
    ) -> list[tuple[FakeInputs, Clip, list[int]]]:
        """Return the inputs, real clips and clip indices of each micro-batch."""
        indices = [clip_indices[i :: self.num_micro_batches] for i in range(self.num_micro_batches)]
        return list(zip(fakes, self._split(real), indices, strict=True))

    def _sample_inputs(self, clips: ClipDataset, clip_indices: list[int], phase: int) -> list[FakeInputs]:
        """Return the inputs of generated clips for each micro-batch."""
        return self._sample_all(clips, clip_indices, phase).split(self.num_micro_batches)

    def _sample_all(self, clips: ClipDataset, clip_indices: list[int], phase: int) -> FakeInputs:
        return sample_fake_inputs(
            clips,
            clip_indices,
            phase=phase,
            z_dim=self.generator.z_dim,
            motion=self.generator.motion,
            device=self.device,
        )

    def _augment(self, frames: Tensor, clip_indices: list[int], purpose: int) -> Tensor:
        """Return augmented frames of a micro-batch; random numbers depend on seed, purpose and clip index."""
        options = self.config.augment
        if options.augment == "none":
            return frames
        uniform = self.augment_numbers(purpose, clip_indices, self.num_micro_batches)
        with torch.autocast(self.device.type, enabled=False):
            return augment(
                frames, self.ada.p, uniform, rotation=options.augment_rotation, mirror=options.augment_mirror
            )

    def pop_scalars(self) -> dict[str, float]:
        values = super().pop_scalars()
        return values and values | {"augment_p": float(self.ada.p)}

    def inference_network(self) -> Generator:
        return self.generator_ema

    def video_model(self, data: VideoDataset) -> VideoModel:
        return self.sampler(self.generator_ema, fps=data.fps, labels=data.labels, device=self.device)

    def state_parts(self) -> dict[str, Any]:
        parts: dict[str, Any] = {
            "generator": self.generator,
            "discriminator": self.discriminator,
            "generator_ema": self.generator_ema,
            "optimizer_g": self.optimizer_g,
            "optimizer_d": self.optimizer_d,
            "strength": self.ada,  # the name in checkpoints
        }
        if self.growth.num_lower:
            parts["growth"] = self.growth
        if self.projected is not None:
            parts |= {"projected": self.projected, "optimizer_p": self.optimizer_p}
        return parts


def frozen_parameters(discriminator: Discriminator, num_blocks: int) -> list[nn.Parameter]:
    """Return the parameters that freeze-D (Mo et al. 2020) freezes: from-RGB and blocks, the largest first."""
    modules = [discriminator.from_rgb, *discriminator.blocks[:num_blocks]] if num_blocks else []
    return [parameter for module in modules for parameter in module.parameters()]


def build_adam(network: nn.Module, lr: float, beta2: float) -> torch.optim.Adam:
    """Return StyleGAN2's optimizer, Adam without momentum, for the trainable weights."""
    trainable = [parameter for parameter in network.parameters() if parameter.requires_grad]
    return torch.optim.Adam(trainable, lr=lr, betas=(0.0, beta2), eps=1e-8, fused=True)
