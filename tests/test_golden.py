"""Weights, losses and frames of fixed seeds do not change when the source is restructured.

`tests/golden/<method>.json` has the numbers of each method. `python tests/test_golden.py DATA.zip [METHOD …]` rewrites
them; DATA.zip is written. Do this only after a deliberate change of the mathematics.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from styleganv.config import AugmentConfig, ModelConfig, RunConfig, TrainingConfig
from styleganv.data.dataset import VideoDataset
from styleganv.faces.dataset import make_faces
from styleganv.methods import apply_method, build_trainer
from styleganv.training.batches import ClipDataset, iterate_batches

GOLDEN = Path(__file__).parent / "golden"
METHOD_NAMES = ("stylegan-v", "stylegan2", "mocogan", "mocogan-stylegan2", "digan", "videogpt")
STEPS = 3
#: Tolerances before and after training. Adam divides tiny gradients, and their rounding errors, by tiny gradients.
EXACT, TRAINED = 1e-4, 2e-3
#: Relative tolerance of VideoGPT's perplexity: with another CPU's rounding, one of 256 vectors can get another nearest
#: code, which shifts the codebook from then on.
ONE_CODE = 1e-2


def build_config(method: str) -> RunConfig:
    """Return settings with four channels, four clips, and R1 in every other step."""
    config = RunConfig(
        model=ModelConfig(channel_base=64, channel_max=4, z_dim=8, w_dim=8, motion_dim=8, slot_distance=4),
        training=TrainingConfig(batch_size=4, precision="float32", num_workers=0, r1_interval=2),
        augment=AugmentConfig(augment_p=0.3),
    )
    return apply_method(config, method)


def train_briefly(method: str, faces: Path) -> dict[str, Any]:
    """Return statistics of the weights before and after a few steps, the losses of each step, and a video."""
    config, data = build_config(method), VideoDataset(faces)
    training = config.training
    trainer = build_trainer(config, data, torch.device("cpu"))
    clips = ClipDataset(
        data,
        TrainingConfig(num_frames=training.num_frames, max_span=training.max_span, conditional=False),
        frame_sampler=trainer.frame_sampler,
    )
    batches = iterate_batches(clips, first=0, batch_size=training.batch_size, num_workers=0, device=torch.device("cpu"))
    numbers: dict[str, Any] = {"before": summarize_weights(trainer.inference_network()), "losses": []}
    for _ in range(STEPS):
        trainer.train_step(clips, next(batches))
        numbers["losses"].append(trainer.pop_scalars())
    numbers["after"] = summarize_weights(trainer.inference_network())
    frames = trainer.video_model(data).sample(seed=3, seconds=4 / data.fps)
    numbers["frames"] = frames.reshape(len(frames), 4, 4, 4, 4, 3).mean(axis=(2, 4)).round(3).tolist()
    return numbers


def summarize_weights(network: torch.nn.Module) -> dict[str, list[float]]:
    """Return mean and standard deviation of each weight."""
    return {
        name: [float(value.double().mean()), float(value.double().std(correction=0))]
        for name, value in network.state_dict().items()
    }


@pytest.mark.parametrize("method", METHOD_NAMES)
def test_fixed_seeds_give_the_golden_numbers(method: str, faces: Path) -> None:
    golden = json.loads((GOLDEN / f"{method}.json").read_text())
    numbers = train_briefly(method, faces)
    assert numbers["before"].keys() == golden["before"].keys()
    for name, value in golden["before"].items():
        np.testing.assert_allclose(numbers["before"][name], value, rtol=EXACT, atol=EXACT, err_msg=name)
    for step, (losses, value) in enumerate(zip(numbers["losses"], golden["losses"], strict=True)):
        assert losses.keys() == value.keys()
        for name in value:
            tolerance = ONE_CODE if name == "codes_used" else TRAINED if step else EXACT
            np.testing.assert_allclose(losses[name], value[name], rtol=tolerance, atol=tolerance, err_msg=name)
    for name, value in golden["after"].items():
        np.testing.assert_allclose(numbers["after"][name], value, rtol=TRAINED, atol=TRAINED, err_msg=name)
    np.testing.assert_allclose(numbers["frames"], golden["frames"], atol=1.0)  # of 255


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    torch.set_num_threads(1)
    data = Path(sys.argv[1])
    make_faces(data, num_videos=16, num_frames=40, resolution=(16, 16))
    for method in sys.argv[2:] or METHOD_NAMES:
        (GOLDEN / f"{method}.json").write_text(json.dumps(train_briefly(method, data), indent=0) + "\n")
