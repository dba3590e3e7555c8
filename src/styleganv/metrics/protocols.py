"""Named protocols: exactly what is measured under a name, as data. Other numbers of clips or frames change the name."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from styleganv.errors import StyleganvError


@dataclass(frozen=True)
class Protocol:
    """How clips are chosen, which network extracts their features, and what is computed.

    Attributes:
        stem, tail: parts of the name: `stem` + number of features + `tail`.
        metric: key of `distances.METRICS`.
        extractor: key of `features.FEATURE_EXTRACTORS`.
        key: key of the number in reports.
        num_clips: maximum number of real and of generated clips.
        stride: distance between consecutive frames of a clip, in frames of the video.
        clips_per_video: maximum; None = as many as fit without overlap. A model gives one per video, from t = 0.
        per_frame: whether each frame has features of its own.
        released: whether to follow the `conventions` of the official StyleGAN-V code where they differ from ours; the
            name then ends in "_released".
    """

    stem: str
    tail: str
    metric: str
    extractor: str
    key: str
    num_clips: int
    num_frames: int = 16
    stride: int = 1
    clips_per_video: int | None = 1
    per_frame: bool = False
    released: bool = False

    @property
    def name(self) -> str:
        count = self.num_features(self.num_clips)
        number = f"{count // 1000}k" if count >= 10_000 and count % 1000 == 0 else count
        return f"{self.stem}{number}{self.tail}{'_released' if self.released else ''}"

    @property
    def span(self) -> int:
        """Number of frames of the video that a clip takes, and therefore the minimum length of a video.

        It ends with the clip's last frame; if `released`, with the frames that the stride would skip after it.
        """
        return self.num_frames * self.stride if self.released else (self.num_frames - 1) * self.stride + 1

    @property
    def conventions(self) -> dict[str, str]:
        """Choices that a name such as FVD leaves open and that change its value, for reports."""
        found = {}
        if self.metric == "frechet":
            found["covariance"] = "divided by n" if self.released else "divided by n - 1"
        if self.metric == "inception_score":
            order = "in the order of the clips, from i*n//10" if self.released else "of a shuffled order"
            found["splits"] = f"10 {order}"
        classes = "as frequent as in the real videos" if self.released else "equally frequent"
        found["classes of a model"] = f"{classes} (labels of other kinds: as in its dataset)"
        if self.stride > 1:
            found["minimum length"] = f"{self.span} frames"
        return found

    def num_features(self, num_clips: int) -> int:
        """Return the number of features of `num_clips` clips."""
        return num_clips * self.num_frames if self.per_frame else num_clips

    def to_dict(self) -> dict[str, Any]:
        """Return what a report states about the protocol."""
        return {"name": self.name, **asdict(self), "conventions": self.conventions}

    def with_num_clips(self, num_clips: int) -> "Protocol":
        """Return the protocol with another number of clips, and therefore another name."""
        if num_clips < 2:
            raise StyleganvError(f"A distance requires at least 2 clips, got {num_clips}: raise --num-clips.")
        return replace(self, num_clips=num_clips)

    def with_num_frames(self, num_frames: int) -> "Protocol":
        """Return the protocol with clips of another length, and therefore another name.

        Protocols of single frames stay as they are. Patches are not extended, since they fit into longer clips.
        """
        if self.metric == "patch_swd":
            num_frames = min(num_frames, self.num_frames)
        if self.num_frames == 1 or num_frames == self.num_frames:
            return self
        old, new = (f"_{count * self.stride}f" for count in (self.num_frames, num_frames))
        return replace(
            self,
            num_frames=num_frames,
            tail=self.tail.replace(old, new) if old in self.tail else self.tail + new,
            extractor=self.extractor.replace(old, new),
            key=self.key.replace(old, new),
        )


_VIDEO = "efficientnet_lite0_motion"
_FRAME = "efficientnet_lite0_frames"
_FVD = (
    Protocol("fvd", "_16f", "frechet", "i3d_kinetics400", "fvd", 2048, 16),
    Protocol("fvd", "_128f", "frechet", "i3d_kinetics400", "fvd", 2048, 128),
    Protocol("fvd", "_128f_subsample8f", "frechet", "i3d_kinetics400", "fvd", 2048, 16, stride=8),
)
_IS_UCF101 = Protocol("is_ucf101_", "_16f", "inception_score", "c3d_ucf101", "is_ucf101", 2048)
_RELEASED = tuple(replace(protocol, released=True) for protocol in (*_FVD, _IS_UCF101))
_ALL = (
    *_FVD,
    Protocol("kvd", "_16f", "kernel", "i3d_kinetics400", "kvd", 2048),
    Protocol("precision_recall_i3d", "_16f", "precision_recall", "i3d_kinetics400", "i3d", 2048),
    _IS_UCF101,
    *_RELEASED,
    # 50,000 real and 50,000 generated frames, 16 consecutive ones per clip.
    Protocol("fid", "", "frechet", "inception_v3", "fid", 3125, clips_per_video=None, per_frame=True),
    Protocol("kid", "", "kernel_subsets", "inception_v3", "kid", 3125, clips_per_video=None, per_frame=True),
    Protocol("is_frames", "", "inception_score", "inception_v3_classes", "is_frames", 3125, 16, 1, None, True),
    # 50,000 images, or frames that need not be consecutive.
    Protocol("fid", "_1f", "frechet", "inception_v3", "fid", 50_000, 1, clips_per_video=None, per_frame=True),
    Protocol("kid", "_1f", "kernel_subsets", "inception_v3", "kid", 50_000, 1, clips_per_video=None, per_frame=True),
    Protocol("is_frames", "_1f", "inception_score", "inception_v3_classes", "is_frames", 50_000, 1, 1, None, True),
    # Offline: the weights are part of an installed package. Not comparable with FVD or FID.
    Protocol("frechet_efficientnet", "_16f", "frechet", _VIDEO, "frechet_efficientnet", 2048),
    Protocol("frechet_efficientnet", "_16f", "frechet", _VIDEO, "frechet_efficientnet", 256),
    Protocol("kernel_efficientnet", "_16f", "kernel", _VIDEO, "kernel_efficientnet", 2048),
    Protocol("precision_recall_efficientnet", "_16f", "precision_recall", _VIDEO, "efficientnet", 2048),
    Protocol("frechet_efficientnet_frames", "", "frechet", _FRAME, "frechet_efficientnet_frames", 512, per_frame=True),
    Protocol(
        "frechet_efficientnet_frames", "_1f", "frechet", _FRAME, "frechet_efficientnet_frames", 8192, 1, 1, None, True
    ),
    # Without a network: patches of pixels, of single frames and of two or three consecutive frames.
    Protocol("patch_swd", "_1f", "patch_swd", "patches_1f", "patch_swd_1f", 512, 1),
    Protocol("patch_swd", "_2f", "patch_swd", "patches_2f", "patch_swd_2f", 512, 2),
    Protocol("patch_swd", "_3f", "patch_swd", "patches_3f", "patch_swd_3f", 512, 3),
)
PROTOCOLS = {protocol.name: protocol for protocol in _ALL}
#: Names that stand for several protocols.
PROTOCOL_SETS = {
    "released": tuple(protocol.name for protocol in _RELEASED if protocol.key == "fvd"),
    "released_ucf101": tuple(protocol.name for protocol in _RELEASED),
}

#: Used unless a protocol is named.
DEFAULT_PROTOCOL = "frechet_efficientnet2048_16f"


def named_protocol(name: str) -> Protocol:
    """Return the protocol of a name; raise StyleganvError if there is none."""
    if name not in PROTOCOLS:
        raise StyleganvError(f"Unknown protocol {name!r}: choose from {', '.join([*PROTOCOLS, *PROTOCOL_SETS])}.")
    return PROTOCOLS[name]


def expand_protocols(
    protocols: Sequence[str | Protocol], *, num_clips: int | None = None, num_frames: int | None = None
) -> list[Protocol]:
    """Return the protocols of names and of sets, each once.

    Args:
        num_clips, num_frames: number of clips and of frames per clip. None: the protocols'.

    Raises:
        StyleganvError: for an unknown name or too few clips.
    """
    expanded: list[Protocol] = []
    for protocol in protocols:
        if isinstance(protocol, Protocol):
            expanded.append(protocol)
        else:
            expanded += map(named_protocol, PROTOCOL_SETS.get(protocol, (protocol,)))
    if num_clips is not None:
        expanded = [protocol.with_num_clips(num_clips) for protocol in expanded]
    if num_frames is not None:
        expanded = [protocol.with_num_frames(num_frames) for protocol in expanded]
    return list(dict.fromkeys(expanded))
