"""Weights, losses and frames of fixed seeds stay what they were, whatever moves in the source.

`tests/golden/<kind>.json` has the numbers of each kind of model. `python tests/test_golden.py DATA.zip` writes new
ones, which only a deliberate change of the mathematics calls for.
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
KINDS = ("stylegan-v", "stylegan2", "mocogan", "mocogan-stylegan2", "digan", "videogpt")
STEPS = 3
#: Of what follows from the seed alone, and of what a few steps of Adam have made of it, which divide rounding errors of
#: tiny gradients by tiny gradients.
EXACT, TRAINED = 1e-4, 2e-3


def settings_of(kind: str) -> RunConfig:
    """Four channels, four clips, R1 in the first of two steps."""
    config = RunConfig(
        model=ModelConfig(channel_base=64, channel_max=4, z_dim=8, w_dim=8, motion_dim=8, slot_distance=4),
        training=TrainingConfig(batch_size=4, precision="float32", num_workers=0, r1_interval=2),
        augment=AugmentConfig(augment_p=0.3),
    )
    return apply_method(config, kind)


def numbers_of(kind: str, faces: Path) -> dict[str, Any]:
    """Of a training of a few steps: means and deviations of the weights before and after it, the losses of each step,
    and a video."""
    config, data = settings_of(kind), VideoDataset(faces)
    training = config.training
    trainer = build_trainer(config, data, torch.device("cpu"))
    clips = ClipDataset(
        data,
        TrainingConfig(num_frames=training.num_frames, max_span=training.max_span, conditional=False),
        frame_sampler=trainer.frame_sampler,
    )
    batches = iterate_batches(clips, first=0, batch_size=training.batch_size, num_workers=0, device=torch.device("cpu"))
    found: dict[str, Any] = {"before": weights_of(trainer.inference_network()), "losses": []}
    for _ in range(STEPS):
        trainer.train_step(clips, next(batches))
        found["losses"].append(trainer.pop_scalars())
    found["after"] = weights_of(trainer.inference_network())
    frames = trainer.video_model(data).sample(seed=3, seconds=4 / data.fps)
    found["frames"] = frames.reshape(len(frames), 4, 4, 4, 4, 3).mean(axis=(2, 4)).round(3).tolist()
    return found


def weights_of(network: torch.nn.Module) -> dict[str, list[float]]:
    return {
        name: [float(value.double().mean()), float(value.double().std(correction=0))]
        for name, value in network.state_dict().items()
    }


@pytest.mark.parametrize("kind", KINDS)
def test_fixed_seeds_give_what_they_gave(kind: str, faces: Path) -> None:
    golden = json.loads((GOLDEN / f"{kind}.json").read_text())
    found = numbers_of(kind, faces)
    assert found["before"].keys() == golden["before"].keys()
    for name, value in golden["before"].items():
        np.testing.assert_allclose(found["before"][name], value, rtol=EXACT, atol=EXACT, err_msg=name)
    for step, (losses, value) in enumerate(zip(found["losses"], golden["losses"], strict=True)):
        assert losses.keys() == value.keys()
        for name in value:
            tolerance = TRAINED if step else EXACT
            np.testing.assert_allclose(losses[name], value[name], rtol=tolerance, atol=tolerance, err_msg=name)
    for name, value in golden["after"].items():
        np.testing.assert_allclose(found["after"][name], value, rtol=TRAINED, atol=TRAINED, err_msg=name)
    np.testing.assert_allclose(found["frames"], golden["frames"], atol=1.0)  # of 255


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    torch.set_num_threads(1)
    data = Path(sys.argv[1])
    make_faces(data, num_videos=16, num_frames=40, resolution=(16, 16))
    for kind in KINDS:
        (GOLDEN / f"{kind}.json").write_text(json.dumps(numbers_of(kind, data), indent=0) + "\n")
