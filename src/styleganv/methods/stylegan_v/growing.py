"""Progressive growing (Karras et al. 2018): training starts at a low resolution, and higher ones are added.

To-RGB of a resolution that is still missing is zero, so the generator enlarges what it has learned so far, and then
learns to add detail. In the discriminator, and in the real frames, a new resolution is faded in.

Shapes: B clips, T frames per clip, H height, W width.
"""

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from styleganv.errors import StyleganvError
from styleganv.nn.layers import resolutions

#: Progress of the run at which the full resolution starts.
FULL_FROM = 0.5
#: Part of a resolution's time in which it is faded in.
FADE = 0.5


@dataclass(frozen=True)
class GrowthStage:
    """A resolution in training.

    Attributes:
        num_skipped: number of higher resolutions that are still missing.
        fade: weight of this resolution, 0..1; the next lower one has the rest.
    """

    num_skipped: int = 0
    fade: float = 1.0


class Growth:
    """Schedule of the resolutions; all but the full one take equal parts of the first half of the run, or less.

    Attributes:
        num_lower: number of resolutions that are trained before the full one.
        max_clips: maximum clips of each of them; None: no maximum.
        position: number of resolutions that have been left behind, with a fraction; it never falls, even if a resumed
            run is made longer.
    """

    def __init__(self, num_lower: int, max_clips: int | None = None) -> None:
        self.num_lower, self.max_clips = num_lower, max_clips
        self.position = 0.0

    def update(self, progress: float, clips_seen: int) -> None:
        """Advance to a progress of the run, 0..1, at which it has seen a number of clips."""
        position = progress / FULL_FROM * self.num_lower
        if self.max_clips is not None:
            position = max(position, clips_seen / self.max_clips)
        self.position = max(self.position, min(position, self.num_lower + FADE))

    @property
    def stage(self) -> GrowthStage:
        """Return the resolution to train."""
        index = min(int(self.position), self.num_lower)
        fade = 1.0 if index == 0 else min(1.0, (self.position - index) / FADE)
        return GrowthStage(self.num_lower - index, fade)

    def state_dict(self) -> dict[str, float]:
        return {"position": self.position}

    def load_state_dict(self, state: dict[str, float]) -> None:
        self.position = state["position"]


def count_lower(height: int, width: int, grow_from: int | None, *, minimum: int) -> int:
    """Return the number of resolutions from `grow_from` (the longer side) up to the one below the full one.

    Raises:
        StyleganvError: if the frames are never that large when they are halved, or it is less than `minimum`.
    """
    sides = [max(size) for size in resolutions(height, width)][::-1]
    if grow_from is None or grow_from == sides[0]:
        return 0
    possible = [side for side in sides if side >= minimum]
    if grow_from not in possible:
        raise StyleganvError(
            f"--grow-from {grow_from} is not a resolution of {height}x{width} frames: choose one of "
            f"{', '.join(map(str, possible))}."
        )
    return sides.index(grow_from)


def reduce_frames(frames: Tensor, stage: GrowthStage) -> Tensor:
    """Return frames `[B, T, 3, H, W]` at the size of a stage, with the detail of a new resolution faded in."""
    if stage == GrowthStage():
        return frames
    x = F.avg_pool2d(frames.flatten(0, 1), 2**stage.num_skipped)
    if stage.fade < 1:
        x = F.interpolate(F.avg_pool2d(x, 2), scale_factor=2.0, mode="nearest").lerp(x, stage.fade)
    return x.unflatten(0, frames.shape[:2])
