"""FaceForensics: faces of YouTube videos, cropped to a square around the face that is constant over a video."""

import json
from pathlib import Path

from styleganv.data.rules.rule import DatasetRule, Selection, match_names
from styleganv.data.takes import Take
from styleganv.errors import StyleganvError, describe
from styleganv.media.sources import SourceScan, VideoSource

ORIGINAL = r"original_sequences/youtube/(?P<compression>\w+)/videos/(?P<number>\d{3})"
MASK = r"manipulated_sequences/\w+/masks/videos/(?P<number>\d{3})_\d{3}"
#: Of several compressions of the same videos, the first in this order is used.
COMPRESSIONS = ("c23", "c0", "raw", "c40")
SPLIT = Path("splits", "train.json")


def select(scan: SourceScan) -> Selection:
    """Take the original videos of the train split, each with a mask of its face from a manipulated copy."""
    originals, _ = match_names(scan.videos, ORIGINAL, "")
    masks, _ = match_names(scan.videos, MASK, "")
    selection = Selection()
    if not originals:
        return selection
    mask_of = {match["number"]: video for video, match in reversed(masks)}  # of several masks, the first
    found = {match["compression"] for _, match in originals}
    compression = next((name for name in COMPRESSIONS if name in found), min(found))
    train = _train_split(originals[0][0])
    if train is None:
        selection.warnings.append(
            f"{SPLIT} not found in the source, so all originals are used: copy it there from the dataset's repository "
            "to use the train split."
        )
    for video, match in originals:
        number = match["number"]
        if match["compression"] != compression:
            selection.skipped.append((video.name, f"another compression than {compression}"))
        elif train is not None and number not in train:
            selection.skipped.append((video.name, "not in the train split"))
        elif number not in mask_of:
            selection.skipped.append((video.name, "it has no mask: add manipulated_sequences/Deepfakes/masks"))
        else:
            selection.takes.append(Take(number, video, mask=mask_of[number]))
    return selection


def _train_split(video: VideoSource) -> set[str] | None:
    """Return the numbers of the train split, from pairs of them; None if the file is missing."""
    path = next(
        (folder / SPLIT for folder in (video.root, *video.root.parents[:3]) if (folder / SPLIT).is_file()), None
    )
    if path is None:
        return None
    try:
        return {str(number) for pair in json.loads(path.read_text()) for number in pair}
    except (OSError, ValueError, TypeError) as error:
        raise StyleganvError(
            f"Cannot read {path} as a list of pairs ({describe(error)}): copy it from the dataset's repository again."
        ) from error


RULE = DatasetRule(
    title="FaceForensics++",
    website="FaceForensics++ on GitHub, by ondyari, with a form to request access",
    terms="research and education only, after signing the terms of use",
    size="1,000 videos, about 10 GB at c23, and the masks of one manipulation, e.g. Deepfakes",
    protocol="talking faces of about 700 identities, 256x256, 30 fps, train split, no classes; "
    "FVD of 2,048 clips of 16 and of 128 frames",
    layout="original_sequences/youtube/c23/videos/NNN.mp4 and manipulated_sequences/Deepfakes/masks/videos/NNN_NNN.mp4",
    resolution=256,
    settings={"fps": 30.0},
    select=select,
)
