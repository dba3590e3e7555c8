"""UCF-101: human actions in 101 classes."""

from styleganv.data.rules.rule import DatasetRule, Selection, match_names, with_classes
from styleganv.data.takes import Take
from styleganv.media.sources import SourceScan

VIDEO = r"(?P<class_name>[A-Za-z]+)/v_[A-Za-z]+_g\d+_c\d+"
NUM_CLASSES = 101


def select(scan: SourceScan) -> Selection:
    """Take all videos, train and test, with the class of their folder."""
    matched, skipped = match_names(scan.videos, VIDEO, "not named Class/v_Class_gNN_cNN")
    takes = [Take(video.name.rpartition("/")[2], video) for video, _ in matched]
    selection = Selection(*with_classes(takes, [match["class_name"] for _, match in matched]), skipped)
    num_classes = len(selection.labels.names)
    if num_classes != NUM_CLASSES:
        selection.warnings.append(
            f"{num_classes} of {NUM_CLASSES} classes found: unpack the whole dataset to compare with published results."
        )
    return selection


RULE = DatasetRule(
    title="UCF-101",
    website="the UCF Center for Research in Computer Vision (crcv.ucf.edu)",
    terms="none stated; the videos are from YouTube and belong to their makers",
    size="13,320 videos, about 7 GB, 320x240",
    protocol="actions of 101 classes, the center square at 256x256, 25 fps, train and test together; "
    "FVD of 2,048 clips of 16 and of 128 frames, inception score",
    layout="UCF-101/CLASS/v_CLASS_gNN_cNN.avi",
    resolution=256,
    settings={"fps": 25.0},
    select=select,
)
