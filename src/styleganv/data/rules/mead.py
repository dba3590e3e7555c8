"""MEAD: actors who speak with eight emotions, filmed from seven sides."""

from styleganv.data.rules.rule import DatasetRule, Selection, match_names, with_classes
from styleganv.data.takes import Take
from styleganv.media.sources import SourceScan

VIDEO = r"(?P<actor>[MW]\d{3})/video/front/(?P<emotion>\w+)/(?P<level>level_\d)/(?P<number>\d+)"


def select(scan: SourceScan) -> Selection:
    """Take the front views, with the actor as class."""
    matched, skipped = match_names(scan.videos, VIDEO, "not a front view, ACTOR/video/front/EMOTION/level_N/NNN.mp4")
    takes = [Take("_".join(match.groups()), video) for video, match in matched]
    return Selection(*with_classes(takes, [match["actor"] for _, match in matched]), skipped)


RULE = DatasetRule(
    title="MEAD",
    website="the page of MEAD (Wang et al., ECCV 2020), by wywu on GitHub",
    terms="research only; see its page",
    size="60 actors, of which a part is released, 1920x1080",
    protocol="talking faces, front view, the center square at 1024x1024, 30 fps, conditional; "
    "FVD of 2,048 clips of 16 and of 128 frames",
    layout="ACTOR/video/front/EMOTION/level_N/NNN.mp4",
    resolution=1024,
    settings={"fps": 30.0},
    select=select,
)
