"""Named protocols: what exactly is measured under a name, as data. A changed number changes the name."""

from dataclasses import asdict, dataclass, replace
from typing import Any

from styleganv.errors import StyleganvError


@dataclass(frozen=True)
class Protocol:
    """How clips are chosen, which network sees them, and what is computed.

    Attributes:
        stem, tail: the name is `stem` + number + `tail`; of frames, where the detector judges frames, else of clips.
        metric: a key of `distances.METRICS`: frechet, kernel, kernel_subsets, inception_score, precision_recall or
            patch_swd.
        detector: a key of `features.DETECTORS`.
        key: of the number in reports.
        clips: at most so many of each side.
        frames: in a clip.
        stride: frames of the video from one to the next of a clip.
        clips_per_video: at most; None takes as many as fit without overlap. A model always gives one, from t = 0.
        per_frame: whether every frame is judged by itself.
    """

    stem: str
    tail: str
    metric: str
    detector: str
    key: str
    clips: int
    frames: int = 16
    stride: int = 1
    clips_per_video: int | None = 1
    per_frame: bool = False

    @property
    def name(self) -> str:
        count = self.items(self.clips)
        return f"{self.stem}{f'{count // 1000}k' if count >= 10_000 and count % 1000 == 0 else count}{self.tail}"

    @property
    def span(self) -> int:
        """Frames of the video from a clip's first to its last, both counted."""
        return (self.frames - 1) * self.stride + 1

    def items(self, clips: int) -> int:
        """How many features so many clips have."""
        return clips * self.frames if self.per_frame else clips

    def described(self) -> dict[str, Any]:
        """For a report."""
        return {"name": self.name, **asdict(self)}

    def with_clips(self, clips: int) -> "Protocol":
        """The same with another number of clips, and therefore another name."""
        if clips < 2:
            raise StyleganvError(f"A distance cannot be had from {clips} clips: choose 2 or more.")
        return replace(self, clips=clips)


_VIDEO = "efficientnet_lite0_motion"
_FRAME = "efficientnet_lite0_frames"
_ALL = (
    Protocol("fvd", "_16f", "frechet", "i3d_kinetics400", "fvd", 2048, 16),
    Protocol("fvd", "_128f", "frechet", "i3d_kinetics400", "fvd", 2048, 128),
    Protocol("fvd", "_128f_subsample8f", "frechet", "i3d_kinetics400", "fvd", 2048, 16, stride=8),
    Protocol("kvd", "_16f", "kernel", "i3d_kinetics400", "kvd", 2048),
    Protocol("precision_recall_i3d", "_16f", "precision_recall", "i3d_kinetics400", "i3d", 2048),
    Protocol("is_ucf101_", "_16f", "inception_score", "c3d_ucf101", "is_ucf101", 2048),
    # 50,000 frames of each side, 16 in a row.
    Protocol("fid", "", "frechet", "inception_v3", "fid", 3125, clips_per_video=None, per_frame=True),
    Protocol("kid", "", "kernel_subsets", "inception_v3", "kid", 3125, clips_per_video=None, per_frame=True),
    Protocol("is_frames", "", "inception_score", "inception_v3_classes", "is_frames", 3125, 16, 1, None, True),
    # Offline: the weights come with an installed package. Neither FVD nor FID, and comparable with neither.
    Protocol("frechet_efficientnet", "_16f", "frechet", _VIDEO, "frechet_efficientnet", 2048),
    Protocol("frechet_efficientnet", "_16f", "frechet", _VIDEO, "frechet_efficientnet", 256),
    Protocol("kernel_efficientnet", "_16f", "kernel", _VIDEO, "kernel_efficientnet", 2048),
    Protocol("precision_recall_efficientnet", "_16f", "precision_recall", _VIDEO, "efficientnet", 2048),
    Protocol("frechet_efficientnet_frames", "", "frechet", _FRAME, "frechet_efficientnet_frames", 512, per_frame=True),
    # No network at all: patches of pixels, of single frames and of three in a row.
    Protocol("patch_swd", "_1f", "patch_swd", "patches_1f", "patch_swd_1f", 512, 1),
    Protocol("patch_swd", "_3f", "patch_swd", "patches_3f", "patch_swd_3f", 512, 3),
)
PROTOCOLS = {protocol.name: protocol for protocol in _ALL}

#: What is measured where nothing is named.
DEFAULT_PROTOCOL = "frechet_efficientnet2048_16f"


def named_protocol(name: str) -> Protocol:
    """Raises StyleganvError, with all names, for one that is not known."""
    if name not in PROTOCOLS:
        raise StyleganvError(f"Protocol {name} is not known: choose from {', '.join(PROTOCOLS)}.")
    return PROTOCOLS[name]
