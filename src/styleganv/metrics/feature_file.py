"""Features of an evaluation as an npz file, for other measures.

For every protocol P and both sets S ("real", "fake"), the file holds

    P/S/features     float32 [n, d] of n clips; [n, r, d] if a clip has r rows, one per frame or patch
    P/S/videos       names of the clips' videos [n]; those of a model are seeds
    P/S/first_frames numbers of the clips' first frames [n]

and "report": JSON of the protocols and extractors, by protocol, and of both sets.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from styleganv.files import atomic_write
from styleganv.metrics.clips import Window
from styleganv.metrics.statistics import Statistics
from styleganv.metrics.tasks import Draw, DrawSamples
from styleganv.metrics.video_set import VideoSet


def write_features(
    path: Path | str, draws: Sequence[Draw], samples: Sequence[DrawSamples], *, overwrite: bool = False
) -> None:
    """Write the features of draws, atomically; those of single classes are omitted, since all videos include them."""
    arrays: dict[str, Any] = {}
    report: dict[str, Any] = {"protocols": {}, "extractors": {}}
    for draw, sample in zip(draws, samples, strict=True):
        task, name = draw.task, draw.task.protocol.name
        if task.class_name is not None:
            continue
        real = sample.parts[0] + sample.parts[1] if draw.split.halves else sample.parts[0]
        arrays |= _arrays(f"{name}/real", task.real, draw.split.windows, real.pool())
        arrays |= _arrays(f"{name}/fake", task.fake, draw.generated, sample.fake.pool())
        report["protocols"][name], report["extractors"][name] = task.protocol.to_dict(), task.extractor.to_dict()
        report |= {"real": task.real.to_dict(), "fake": task.fake.to_dict()}
    with atomic_write(path, overwrite=overwrite) as tmp_path, open(tmp_path, "wb") as file:
        np.savez(file, report=np.array(json.dumps(report)), **arrays)


def _arrays(prefix: str, videos: VideoSet, windows: Sequence[Window], features: Statistics) -> dict[str, Any]:
    assert isinstance(features, Tensor), "features are kept if they are to be written"
    rows = features.numpy().reshape(len(windows), -1, features.shape[1])
    return {
        f"{prefix}/features": rows[:, 0] if rows.shape[1] == 1 else rows,
        f"{prefix}/videos": np.array([videos.videos.video_name(window.video) for window in windows]),
        f"{prefix}/first_frames": np.array([window.first for window in windows]),
    }
