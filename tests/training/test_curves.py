"""Curves of incomplete logs."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from styleganv.training import curves

RECORD = {"clips_seen": 64, "loss_g": 1.0, "loss_d": 1.2, "logits_real": 0.5, "logits_fake": -0.5, "r1": 0.1}


@pytest.mark.parametrize(
    "records",
    [
        [],
        [RECORD],
        [{"clips_seen": 0}, RECORD, {**RECORD, "clips_seen": 128, "loss_g": float("nan"), "r1": None}],
        [{**RECORD, "clips_seen": 64 * i, "augment_p": i / 500} for i in range(250)],
    ],
)
def test_curves_are_drawn_from_incomplete_logs(tmp_path: Path, records: list[dict[str, float]]) -> None:
    curves.plot_curves(tmp_path / "curves.png", records)
    image = np.asarray(Image.open(tmp_path / "curves.png").convert("RGB")).astype(int)
    assert image.shape[1] > 1000
    colored = (np.ptp(image, axis=-1) > 60).sum()
    assert colored > 20 if records else colored == 0
