"""Evaluation during training: the distance between the averaged generator's videos and real ones."""

from typing import Any

from styleganv.data.dataset import VideoDataset
from styleganv.metrics.evaluate import evaluate
from styleganv.metrics.protocols import DEFAULT_PROTOCOL, named_protocol
from styleganv.options import MIN_EVAL_CLIPS, ComputeOptions, EvaluateOptions
from styleganv.video_model import VideoModel
from styleganv.videos import DatasetVideos, ModelVideos

#: The offline protocol: it requires no file, and its values are only compared within a run.
PROTOCOL = named_protocol(DEFAULT_PROTOCOL)


class _TrainingVideos(ModelVideos):
    """Videos of a model in training, whose statistics are not cached."""

    @property
    def identity(self) -> dict[str, Any]:
        return {"kind": "model in training", "sha256": None, "storage": {"format": "none"}}


def can_evaluate(data: VideoDataset) -> bool:
    """Return whether enough videos are long enough."""
    return sum(video.num_frames >= PROTOCOL.span for video in data.videos) >= MIN_EVAL_CLIPS


def distance(videos: VideoModel, data: VideoDataset, num_clips: int) -> dict[str, float]:
    """Return `frechet_efficientnet` of the same content and motion seeds every time, and its noise floor."""
    protocol = PROTOCOL.with_num_clips(num_clips)
    compute = ComputeOptions(device=str(videos.device))
    options = EvaluateOptions(num_resamples=0)
    sets = DatasetVideos(data), _TrainingVideos(videos)
    report = evaluate(*sets, protocols=[protocol], options=options, compute=compute)
    (result,) = report.results
    return {
        protocol.key: result.measures[protocol.key].mean,
        f"{protocol.key}_floor": result.noise_floor[protocol.key].mean,
    }
