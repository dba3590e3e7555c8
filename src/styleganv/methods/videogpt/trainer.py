"""Training of VideoGPT in two stages: the VQ-VAE for the first half of the run, then the transformer over its codes.

Half is of the clips or, for a run limited by time, of the minutes. Shapes as in `networks.py`; M codes per step.
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
from styleganv.methods.network_config import fill_config
from styleganv.methods.videogpt.networks import VideoGpt, VideoGptConfig, VideoGptVideos
from styleganv.noise import derive_seed, seeded, torch_random
from styleganv.training.batches import ClipDataset, copy_async
from styleganv.training.trainer import Trainer

VQVAE_FRACTION = 0.5  # of the run
DATA_VARIANCE, COMMITMENT = 0.06, 0.25
DECAY, MIN_USES = 0.99, 0.5  # of the codebook; uses per step, on average
RESTART_PURPOSE, DROPOUT_PURPOSE = 30, 31  # purposes of random numbers


class VideoGptTrainer(Trainer):
    """Both networks with one optimizer each; stage 1 trains the VQ-VAE, stage 2 the transformer."""

    method = "videogpt"

    def __init__(self, config: RunConfig, data: VideoDataset, device: torch.device) -> None:
        super().__init__(config, device)
        training = config.training
        with seeded(training.seed):
            net = VideoGpt(fill_config(VideoGptConfig, config, data, num_frames=training.num_frames))
        self.net = net.to(device).eval()
        self.optimizer_vqvae, self.optimizer_gpt = (
            torch.optim.Adam(part.parameters(), lr=training.lr, fused=True) for part in (net.vqvae, net.transformer)
        )

    @property
    def stage(self) -> int:
        """Return 2 from half of the run on, and once stage 2 has started, even if clips or minutes are added."""
        return 2 if self.progress >= VQVAE_FRACTION or self.optimizer_gpt.state else 1

    def train_step(self, clips: ClipDataset, real: Clip) -> None:
        frames, stage = (real.frames.float() / 255 - 0.5).transpose(1, 2), self.stage
        if stage == 1:
            self._set_lr(self.optimizer_vqvae, self.progress / VQVAE_FRACTION)
            self.update_vqvae(frames)
        else:
            label = torch.zeros_like(real.times[:, 0], dtype=torch.long)
            label = label if real.label is None else real.label.argmax(dim=1)
            self._set_lr(self.optimizer_gpt, (self.progress - VQVAE_FRACTION) / (1 - VQVAE_FRACTION))
            self.update_gpt(frames, label)
        self.log_scalars(stage=torch.full((), float(stage), device=self.device))
        self.step += 1

    def _set_lr(self, optimizer: torch.optim.Optimizer, progress: float) -> None:
        """Set the learning rate by a cosine schedule that reaches 0 at the end of the stage (progress 1)."""
        for group in optimizer.param_groups:
            group["lr"] = self.config.training.lr * (1 + math.cos(math.pi * min(max(progress, 0.0), 1.0))) / 2

    def update_vqvae(self, frames: Tensor) -> None:
        """Train the VQ-VAE to reconstruct clips `[B, 3, T, H, W]`, and update the codebook."""
        vqvae = self.net.vqvae
        counts, sums = torch.zeros_like(vqvae.codebook.counts), torch.zeros_like(vqvae.codebook.vectors)
        with self.optimizer_step(vqvae, self.optimizer_vqvae):
            for part in range(self.num_micro_batches):
                loss, codes, flat = self._compute_vqvae_loss(frames[part :: self.num_micro_batches], part == 0)
                (loss / self.num_micro_batches).backward()
                counts.index_add_(0, codes, torch.ones_like(codes, dtype=counts.dtype))  # bincount would wait for a GPU
                sums.index_add_(0, codes, flat)
        totals = distributed.all_reduce_sum(torch.cat([counts[:, None], sums], dim=1))
        vqvae.codebook.follow(totals[:, 0], totals[:, 1:], DECAY)
        fraction = totals[:, 0] / totals[:, 0].sum()
        self.log_scalars(codes_used=torch.special.entr(fraction).sum().exp())  # perplexity

    def _compute_vqvae_loss(self, frames: Tensor, restart: bool) -> tuple[Tensor, Tensor, Tensor]:
        """Return the loss of clips, their codes `[M]` and the encoded features `[M, D]`.

        With `restart`, features first replace unused vectors of the codebook.
        """
        vqvae = self.net.vqvae
        with self.autocast():
            z = vqvae.encoder(frames)
        z = z.float().movedim(1, -1)
        flat = z.detach().flatten(0, 3)
        if restart:
            vqvae.codebook.restart(self._sample_candidates(flat), MIN_USES)
        codes = vqvae.codebook(flat)
        nearest = vqvae.codebook.vectors[codes].view_as(z)
        with self.autocast():
            decoded = vqvae.decoder((z + (nearest - z).detach()).movedim(-1, 1))
        reconstruction, commitment = F.mse_loss(decoded.float(), frames), F.mse_loss(z, nearest)
        loss = reconstruction / DATA_VARIANCE + COMMITMENT * commitment
        self.log_scalars(loss_vqvae=loss, reconstruction=reconstruction, commitment=commitment)
        return loss, codes, flat

    def _sample_candidates(self, flat: Tensor) -> Tensor:
        """Return random features `[K, D]`, the same for all processes, from another process at each step."""
        random = torch_random(torch.device("cpu"), self.config.training.seed, RESTART_PURPOSE, self.step)
        num_vectors = len(self.net.vqvae.codebook.vectors)
        chosen = flat[copy_async(torch.randint(len(flat), (num_vectors,), generator=random), flat.device)]
        return distributed.all_reduce_sum(chosen * (self.step % distributed.world_size() == distributed.rank()))

    def update_gpt(self, frames: Tensor, label: Tensor) -> None:
        """Train the transformer to predict the codes of clips `[B, 3, T, H, W]` with classes `label [B]`."""
        gpt = self.net.transformer
        seed = derive_seed(self.config.training.seed, DROPOUT_PURPOSE, self.step, distributed.rank())
        with self.optimizer_step(gpt, self.optimizer_gpt), seeded(seed, self.device):
            gpt.train()
            for part in range(self.num_micro_batches):
                with self.autocast():
                    with torch.no_grad():
                        codes = self.net.vqvae.encode(frames[part :: self.num_micro_batches])
                    logits = gpt(codes, label[part :: self.num_micro_batches])
                loss = F.cross_entropy(logits.float().flatten(0, 1), codes.flatten())
                (loss / self.num_micro_batches).backward()
                self.log_scalars(loss_gpt=loss)  # in nats per code
        gpt.eval()

    def inference_network(self) -> VideoGpt:
        return self.net

    def video_model(self, data: VideoDataset) -> VideoGptVideos:
        return VideoGptVideos(self.net, fps=data.fps, labels=data.labels, device=self.device)

    def state_parts(self) -> dict[str, Any]:
        return {"net": self.net, "optimizer_vqvae": self.optimizer_vqvae, "optimizer_gpt": self.optimizer_gpt}
