"""While training: how far the averaged generator's videos are from real ones."""

from typing import Any

from styleganv.data.dataset import VideoDataset
from styleganv.metrics.evaluate import evaluate
from styleganv.metrics.protocols import DEFAULT_PROTOCOL, named_protocol
from styleganv.metrics.videos import DatasetVideos, ModelVideos
from styleganv.training.preflight import MIN_VIDEOS
from styleganv.video_model import VideoModel

#: The offline protocol: it needs no file, and is compared with earlier values of the same run.
PROTOCOL = named_protocol(DEFAULT_PROTOCOL)


class _Changing(ModelVideos):
    """Of a model that the next step changes: its statistics are not worth keeping."""

    @property
    def identity(self) -> dict[str, Any]:
        return {"kind": "model in training", "sha256": None, "storage": {"format": "none"}}


def can_evaluate(data: VideoDataset) -> bool:
    """Whether enough videos are long enough."""
    return sum(video.num_frames >= PROTOCOL.span for video in data.videos) >= MIN_VIDEOS


def distance(videos: VideoModel, data: VideoDataset, num_clips: int) -> dict[str, float]:
    """`frechet_efficientnet` of the same contents and motions every time, and of real videos against each other."""
    protocol = PROTOCOL.with_clips(num_clips)
    report = evaluate(DatasetVideos(data), _Changing(videos), protocols=[protocol], device=str(videos.device))
    (result,) = report.results
    return {
        protocol.key: result.measures[protocol.key].mean,
        f"{protocol.key}_floor": result.real_against_real[protocol.key].mean,
    }
