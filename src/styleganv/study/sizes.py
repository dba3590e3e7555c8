"""How much a study measures: samples for a tenth of the training time, with a minimum, equal for all trials.

Distances only compare for equal numbers of clips, so the sizes are chosen once, from the speed of this machine, and
kept in every `trial.json`.
"""

import logging
import time
from dataclasses import dataclass

import torch

from styleganv.metrics.features import load_feature_extractor
from styleganv.metrics.protocols import DEFAULT_PROTOCOL, named_protocol
from styleganv.validation import Count

logger = logging.getLogger(__name__)

#: Fraction of the training time that measuring may take; half of it is for distances, and a quarter for the motion
#: report. The rest is for loading, and for timing the sampling.
MEASURING_TIME = 0.1
#: Clips and frames per clip of the distances; the last entry is the minimum.
CLIP_SIZES = ((256, 16), (128, 16), (64, 16), (32, 16), (32, 8))
#: Videos and maximum frames of the motion report, and its cost: the number of frames whose features take as long (from
#: StyleGAN-V at 32x32 on one core); the last entry is the minimum.
MOTION_SIZES = ((16, 64, 400), (4, 32, 140))


@dataclass(frozen=True)
class Sizes:
    """Sample sizes of a trial's measurements.

    Attributes:
        num_clips, num_frames: real and generated clips (each) of the distances, and frames per clip.
        motion_videos, motion_frames: videos of the motion report, and maximum frames of each.
    """

    num_clips: Count = 256
    num_frames: Count = 16
    motion_videos: Count = 16
    motion_frames: Count = 64


#: Sizes of trials whose training time is unknown in advance.
UNKNOWN_TIME = Sizes(64, 16, *MOTION_SIZES[-1][:2])


def fitting_sizes(minutes: float, seconds_per_frame: float) -> Sizes:
    """Return the largest sizes that fit in a tenth of `minutes`, or the minimum.

    `seconds_per_frame` is the time that the features of a frame take.
    """
    frames = 60 * minutes * MEASURING_TIME / seconds_per_frame
    clips = next((size for size in CLIP_SIZES if size[0] * size[1] <= frames / 2), CLIP_SIZES[-1])
    motion = next((size for size in MOTION_SIZES if size[2] <= frames / 4), MOTION_SIZES[-1])
    return Sizes(*clips, *motion[:2])


def seconds_per_frame() -> float:
    """Return the time that the features of a frame take on this machine."""
    logger.info("Timing this machine to choose the number of clips …")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    extractor = load_feature_extractor(named_protocol(DEFAULT_PROTOCOL).extractor, device=device)
    clips = torch.zeros(1, 8, 3, 32, 32, dtype=torch.uint8)
    extractor(clips)  # the first call is slower
    before = time.monotonic()
    extractor(clips)
    return (time.monotonic() - before) / clips.shape[1]
