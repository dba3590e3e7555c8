"""SkyTimelapse: clouds from time-lapse videos, as folders of frames."""

from styleganv.data.rules.rule import DatasetRule, Selection, match_names
from styleganv.data.takes import Take
from styleganv.media.sources import SourceScan

CLIP = r"sky_train/(?:[^/]+/)?[^/]+"


def select(scan: SourceScan) -> Selection:
    """Take every folder of frames of the train split."""
    folders = [video for video in scan.videos if video.kind == "frames"]
    matched, skipped = match_names(folders, CLIP, "not in sky_train")
    return Selection([Take(video.name.rpartition("/")[2], video) for video, _ in matched], skipped=skipped)


RULE = DatasetRule(
    title="SkyTimelapse",
    website="the page of MD-GAN (Xiong et al., CVPR 2018), by weixiong-ur on GitHub",
    terms="none stated; the videos are from YouTube and belong to their makers",
    size="about 1,000 videos of at least 128 frames for training, 640x360",
    protocol="clouds, the center square at 256x256, 25 fps, train split, no classes; "
    "FVD of 2,048 clips of 16 and of 128 frames",
    layout="sky_train/VIDEO/CLIP/FRAME.jpg",
    resolution=256,
    settings={"fps": 25.0, "source_fps": 25.0, "min_frames": 128},
    select=select,
)
