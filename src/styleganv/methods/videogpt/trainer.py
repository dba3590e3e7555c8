"""Training of VideoGPT in two stages: the VQ-VAE for the first half of the run, then the transformer over its codes.

Half of the clips or, in a run that ends by time, of the minutes. Shapes as in `networks.py`, and M codes of a
step in all.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from styleganv import distributed
from styleganv.clip import Clip
from styleganv.config import RunConfig
from styleganv.data.dataset import VideoDataset
from styleganv.methods.videogpt.networks import VideoGpt, VideoGptConfig, VideoGptVideos
from styleganv.noise import derive_seed, seeded, torch_random
from styleganv.training.batches import ClipDataset
from styleganv.training.trainer import Trainer, data_sizes

VQVAE_SHARE = 0.5  # of the run
DATA_VARIANCE, COMMITMENT = 0.06, 0.25
DECAY, FEWEST_USES = 0.99, 0.5  # of the codebook; uses are of a step, on average
RESTART, DROPOUT = 30, 31  # purposes of random numbers


class VideoGptTrainer(Trainer):
    """Both networks, an optimiser each, and the stage: 1 trains the VQ-VAE, 2 the transformer."""

    method = "videogpt"

    def __init__(self, config: RunConfig, data: VideoDataset, device: torch.device) -> None:
        super().__init__(config, device)
        training, sizes = config.training, data_sizes(config, data)
        with seeded(training.seed):
            net = VideoGpt(
                VideoGptConfig(num_frames=training.num_frames, channel_max=config.model.channel_max, **sizes)
            )
        self.net = net.to(device).eval()
        self.optimizer_vqvae, self.optimizer_gpt = (
            torch.optim.Adam(part.parameters(), lr=training.lr, fused=True) for part in (net.vqvae, net.transformer)
        )

    @property
    def stage(self) -> int:
        """2 from the half of the run on, and whenever that stage has begun, whatever clips or minutes are added."""
        return 2 if self.progress >= VQVAE_SHARE or self.optimizer_gpt.state else 1

    def train_step(self, clips: ClipDataset, real: Clip) -> None:
        frames, stage = (real.frames.float() / 255 - 0.5).transpose(1, 2), self.stage
        if stage == 1:
            self._set_rate(self.optimizer_vqvae, self.progress / VQVAE_SHARE)
            self.update_vqvae(frames)
        else:
            label = torch.zeros_like(real.times[:, 0], dtype=torch.long)
            label = label if real.label is None else real.label.argmax(dim=1)
            self._set_rate(self.optimizer_gpt, (self.progress - VQVAE_SHARE) / (1 - VQVAE_SHARE))
            self.update_gpt(frames, label)
        self.log_scalars(stage=torch.tensor(float(stage), device=self.device))
        self.step += 1

    def _set_rate(self, optimizer: torch.optim.Optimizer, done: float) -> None:
        """Along half a cosine, to 0 where the stage is done."""
        for group in optimizer.param_groups:
            group["lr"] = self.config.training.lr * (1 + math.cos(math.pi * min(max(done, 0.0), 1.0))) / 2

    def update_vqvae(self, frames: Tensor) -> None:
        """Reconstruct clips `[B, 3, T, H, W]` through their codes, and move the codebook."""
        vqvae = self.net.vqvae
        counts, sums = torch.zeros_like(vqvae.codebook.counts), torch.zeros_like(vqvae.codebook.vectors)
        with self.optimizer_step(vqvae, self.optimizer_vqvae):
            for part in range(self.num_micro_batches):
                mine = frames[part :: self.num_micro_batches]
                with self.autocast():
                    z = vqvae.encoder(mine)
                z = z.float().movedim(1, -1)
                flat = z.detach().flatten(0, 3)
                if part == 0:
                    vqvae.codebook.restart(self._candidates(flat), FEWEST_USES)
                codes = vqvae.codebook(flat)
                nearest = vqvae.codebook.vectors[codes].view_as(z)
                with self.autocast():
                    shown = vqvae.decoder((z + (nearest - z).detach()).movedim(-1, 1))
                reconstruction, commitment = F.mse_loss(shown.float(), mine), F.mse_loss(z, nearest)
                loss = reconstruction / DATA_VARIANCE + COMMITMENT * commitment
                (loss / self.num_micro_batches).backward()
                counts += torch.bincount(codes, minlength=len(counts))
                sums.index_add_(0, codes, flat)
                self.log_scalars(loss_vqvae=loss, reconstruction=reconstruction, commitment=commitment)
        both = distributed.all_reduce_sum(torch.cat([counts[:, None], sums], dim=1))
        vqvae.codebook.follow(both[:, 0], both[:, 1:], DECAY)
        share = both[:, 0] / both[:, 0].sum()
        self.log_scalars(codes_used=torch.special.entr(share).sum().exp())  # perplexity: as if so many were used alike

    def _candidates(self, flat: Tensor) -> Tensor:
        """Encoded places `[K, D]`, at random, of a process that is another one at each step; for all processes."""
        random = torch_random(flat.device, self.config.training.seed, RESTART, self.step)
        count = len(self.net.vqvae.codebook.vectors)
        chosen = flat[torch.randint(len(flat), (count,), generator=random, device=flat.device)]
        return distributed.all_reduce_sum(chosen * (self.step % distributed.world_size() == distributed.rank()))

    def update_gpt(self, frames: Tensor, label: Tensor) -> None:
        """Make the codes of clips `[B, 3, T, H, W]` more likely."""
        gpt = self.net.transformer
        seed = derive_seed(self.config.training.seed, DROPOUT, self.step, distributed.rank())
        with self.optimizer_step(gpt, self.optimizer_gpt), seeded(seed, self.device):
            gpt.train()
            for part in range(self.num_micro_batches):
                with self.autocast():
                    with torch.no_grad():
                        codes = self.net.vqvae.encode(frames[part :: self.num_micro_batches])
                    logits = gpt(codes, label[part :: self.num_micro_batches])
                loss = F.cross_entropy(logits.float().flatten(0, 1), codes.flatten())
                (loss / self.num_micro_batches).backward()
                self.log_scalars(loss_gpt=loss)  # nats a code
        gpt.eval()

    def inference_network(self) -> VideoGpt:
        return self.net

    def video_model(self, data: VideoDataset) -> VideoGptVideos:
        return VideoGptVideos(self.net, fps=data.fps, class_names=data.class_names, device=self.device)

    def state_parts(self) -> dict[str, Any]:
        return {"net": self.net, "optimizer_vqvae": self.optimizer_vqvae, "optimizer_gpt": self.optimizer_gpt}
