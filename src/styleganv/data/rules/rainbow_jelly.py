"""RainbowJelly: one long video of jellyfish, in pieces of 512 frames."""

from styleganv.data.rules.rule import DatasetRule, Selection
from styleganv.data.takes import Take
from styleganv.media.sources import SourceScan

LENGTH = 512


def select(scan: SourceScan) -> Selection:
    """Take every video file; the settings cut it."""
    return Selection([Take(video.name, video) for video in scan.videos if video.kind == "video"])


RULE = DatasetRule(
    title="RainbowJelly",
    website="YouTube; the page of StyleGAN-V names the video",
    terms="those of YouTube; the video belongs to its maker",
    size="one video of several hours",
    protocol=f"jellyfish, the center square at 256x256, 30 fps, pieces of {LENGTH} frames, no classes; "
    "FVD of 2,048 clips of 16 and of 128 frames",
    layout="a video file",
    resolution=256,
    settings={"fps": 30.0, "split_every": LENGTH, "min_frames": LENGTH},
    select=select,
)
