"""Edits by text: a search for content that CLIP finds more similar to a text.

    latents ──mix with other contents──▶ best mix ──gradient steps──▶ latents

Only styles change, and CLIP sees frames from random times of the video. An edit therefore holds at all times and leaves
the motion codes alone. The idea is from StyleCLIP (Patashnik et al. 2021). Mixes are contents that the model can show.
Gradients also find what only CLIP takes for the text, all the more the smaller the CLIP is.

Shapes: N contents, L style layers, D width of w, T frames.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import torch
from torch import Tensor

from styleganv.editing.clip_model import ClipModel, embed_text
from styleganv.editing.directions import sample_latents
from styleganv.editing.edits import check_layer
from styleganv.editing.latents import Latents, compute_w_std, render_differentiably
from styleganv.methods.stylegan_v.sampler import VideoGenerator
from styleganv.progress import Progress, Stage
from styleganv.validation import Count, Interval, NonNegative, Positive, Seed, Validated

#: Slots from the start of the video in which times are drawn; later ones have the same distribution.
NUM_SLOTS = 16

#: Contents that match the text best, of which parts are mixed in; and how many are rendered at once.
NUM_MIXED, BATCH_SIZE = 16, 16
#: Layers that a mix takes from another content, as fractions of all layers. The first one scales the motion, so it
#: changes with all others only.
BANDS = ((0.0, 1.0), (0.1, 1.0), (0.1, 0.3), (0.1, 0.5), (0.2, 0.5), (0.3, 0.7), (0.5, 0.8), (0.5, 1.0), (0.7, 1.0))

#: Minimum gain of a mix over the original, relative to the range of the contents' similarities with the text.
MIN_GAIN = 0.1


@dataclass(frozen=True)
class TextEditOptions(Validated):
    """How `edit_by_text` optimizes the content code.

    Attributes:
        refine: take steps of Adam from the best mix with other contents, which can leave what the model can show.
        num_frames: frames at random times that each step uses.
        num_starts: other content codes of which parts are mixed in, in case CLIP has no gradient near the original.
        learning_rate: peak learning rate of Adam, in standard deviations of w.
        distance_weight: weight of the squared distance from the original, in standard deviations of w.
        identity_weight: weight of the distance of the frames from the original ones.
        layers: style layers to change, 0 the coarsest; None for all.
        seed: random seed of the times, and first seed of the other content codes.
    """

    refine: bool = True
    num_steps: Count = 100
    num_frames: Count = 4
    num_starts: Annotated[int, Interval(0)] = 64
    learning_rate: Positive = 0.1
    distance_weight: NonNegative = 0.03
    identity_weight: NonNegative = 0.3
    layers: Sequence[int] | None = None
    seed: Seed = 0


#: For a model's own small CLIP: it tells drawings apart, but its gradient leads to frames that are none.
OWN_CLIP_EDIT = TextEditOptions(refine=False, num_starts=256, identity_weight=0.25)

#: Distance `[T]` of images in 0..1, `[T, 3, H, W]`, from others, which are given first and looked at once.
ImageDistance = Callable[[Tensor], Callable[[Tensor], Tensor]]


@dataclass
class _TextLoss:
    """Loss of an offset of the styles `[L, w_dim]`, in standard deviations of w."""

    model: VideoGenerator
    latents: Latents
    target: Tensor
    clip_model: ClipModel
    identity: ImageDistance | None
    options: TextEditOptions

    def __post_init__(self) -> None:
        num_layers, layers, motion = len(self.latents.styles), self.options.layers, self.model.generator.motion
        self.layer_mask = torch.zeros(num_layers, 1)
        for layer in range(num_layers) if layers is None else layers:
            check_layer(layer, num_layers)
            self.layer_mask[layer] = 1
        self.w_std = compute_w_std(self.model).clamp_min(1e-8)
        self.random = torch.Generator().manual_seed(self.options.seed)
        self.slot_distance = 1.0 if motion is None else motion.slot_distance

    def apply(self, offset: Tensor) -> Tensor:
        """Return the changed styles."""
        return self.latents.styles + self.layer_mask * self.w_std * offset

    def draw_times(self) -> tuple[Tensor, Callable[[Tensor], Tensor] | None]:
        """Return random times in seconds, and the distance from the original frames at them if there is `identity`."""
        random_slots = torch.rand(self.options.num_frames, generator=self.random, dtype=torch.float64) * NUM_SLOTS
        times = random_slots * self.slot_distance / self.model.fps
        if self.identity is None:
            return times, None
        with torch.no_grad():
            return times, self.identity(self._render(torch.zeros_like(self.latents.styles), times) / 2 + 0.5)

    def __call__(
        self, offset: Tensor, times: Tensor, difference: Callable[[Tensor], Tensor] | None, limit: float | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return the distance of the frames from the text, and the total loss; from `limit` on, a part is enough."""
        frames = self._render(offset, times)
        distance = 1 - (self.clip_model.embed_images(frames) @ self.target.T).mean()
        num_changed = self.layer_mask.sum() * len(self.w_std)
        loss = distance + self.options.distance_weight * (self.layer_mask * offset).square().sum() / num_changed
        if difference is not None and (limit is None or float(loss) < limit):
            loss = loss + self.options.identity_weight * difference(frames / 2 + 0.5).mean()
        return distance, loss

    @torch.no_grad()
    def find_mix(self, contents: Tensor, advance: Callable[[], None]) -> Tensor:
        """Return the offset `[L, D]` of the best mix with some contents `[N, D]`; zero if none is clearly better.

        All layers of each content are compared with the text. The total loss then decides between parts of the best.
        """
        times, difference = self.draw_times()
        offsets = (contents[:, None] - self.latents.styles) / self.w_std
        parts = []
        for batch in offsets.split(BATCH_SIZE):
            frames = self._render(batch, times[:1]).flatten(0, 1)
            parts.append(self.clip_model.embed_images(frames) @ self.target[0])
            for _ in batch:
                advance()
        similarities = torch.cat(parts)
        best = torch.zeros_like(self.latents.styles)
        # A text that is true already should change nothing, although some content always matches it a little better.
        margin = MIN_GAIN * float(similarities.max() - similarities.min())
        lowest = float(self(best, times, difference)[1]) - margin
        for index in similarities.argsort(descending=True)[:NUM_MIXED].tolist():
            for mask in _layer_bands(len(best)):
                candidate = mask * offsets[index]
                if (loss := float(self(candidate, times, difference, lowest)[1])) < lowest:
                    best, lowest = candidate, loss
        return best

    def _render(self, offset: Tensor, times: Tensor) -> Tensor:
        return render_differentiably(self.model, self.apply(offset), self.latents.motion, times)


def _layer_bands(num_layers: int) -> list[Tensor]:
    """Return a mask `[L, 1]` per band of layers."""
    layers = torch.arange(num_layers)[:, None]
    return [(layers >= round(low * num_layers)) & (layers < round(high * num_layers)) for low, high in BANDS]


def edit_by_text(
    model: VideoGenerator,
    latents: Latents,
    text: str,
    clip_model: ClipModel,
    *,
    identity: ImageDistance | None = None,
    options: TextEditOptions = TextEditOptions(),
    progress: Progress | None = None,
) -> Latents:
    """Return latents with a content that shows what the text says; the motion is the same object as before.

    Args:
        text: description of the wanted video, e.g. "a green face".
        identity: distance such as `Perceptual.distance_from`, which keeps what the text does not mention.

    Raises:
        StyleganvError: for an empty text or an unknown layer.
    """
    loss_of = _TextLoss(model, latents, embed_text(clip_model, text), clip_model, identity, options)
    styles = latents.styles
    num_steps = options.num_steps if options.refine else 0
    stage = Stage(progress, options.num_starts + num_steps, "editing")
    offset = torch.zeros_like(styles)
    if options.num_starts:
        seeds = range(options.seed, options.seed + options.num_starts)
        offset = loss_of.find_mix(sample_latents(model, "content", seeds), stage.advance)
    offset.requires_grad_()
    optimizer = torch.optim.Adam([offset], lr=options.learning_rate)
    for step in range(num_steps):
        optimizer.param_groups[0]["lr"] = options.learning_rate * (1 + math.cos(math.pi * step / num_steps)) / 2
        distance, total = loss_of(offset, *loss_of.draw_times())
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        stage.advance(f"distance {float(distance.detach()):.3f}")
    return replace(latents, styles=loss_of.apply(offset).detach())
