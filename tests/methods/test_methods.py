"""A method is a folder and a record: a method of another package is trained, sampled, evaluated and compared."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from styleganv.config import RunConfig, get_preset
from styleganv.errors import StyleganvError
from styleganv.faces.dataset import make_faces
from styleganv.methods import METHODS, apply_ablation, apply_method, get_method

TOY = '''
"""Videos of the mean frame, with brightness that depends on seed and time."""
import math
from dataclasses import dataclass
import torch
from torch import nn
from styleganv.clip import Clip
from styleganv.methods.method import Implementation, Method
from styleganv.training.trainer import Trainer, data_sizes
from styleganv.video_model import VideoModel, to_uint8

@dataclass(frozen=True)
class MeanConfig:
    height: int
    width: int
    num_classes: int

class Mean(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.height, self.width, self.num_classes = config.height, config.width, config.num_classes
        self.frame = nn.Parameter(torch.zeros(3, self.height, self.width))

class MeanVideos(VideoModel):
    name = "Mean frame"
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._move_network()
    def _frames_at(self, seed, motion_seed, times, *, psi, label):
        for t in times:
            brightness = 0.2 * math.sin(seed + motion_seed + t)
            yield to_uint8(self.network.frame[None].detach() + brightness)[0]

class MeanTrainer(Trainer):
    method = "toy"
    def __init__(self, settings, data, device):
        super().__init__(settings, device)
        self.net = Mean(MeanConfig(**data_sizes(settings, data))).to(device)
        self.optimizer = torch.optim.SGD(self.net.parameters(), lr=0.5)
    def train_step(self, clips, real: Clip):
        with self.optimizer_step(self.net, self.optimizer):
            loss = (real.frames.float() / 127.5 - 1 - self.net.frame).square().sum(dim=(2, 3, 4)).mean()
            loss.backward()
        self.log_scalars(loss_g=loss)
        self.step += 1
    def inference_network(self):
        return self.net
    def video_model(self, data):
        return MeanVideos(self.net, fps=data.fps, labels=data.labels, device=self.device)
    def state_parts(self):
        return {"net": self.net, "optimizer": self.optimizer}

METHOD = Method("toy", "Mean frame", lambda: Implementation(MeanConfig, Mean, MeanVideos, MeanTrainer))
'''
#: Added to the package, which every process imports: the numbers of `evaluate` do not matter here.
SMALL_FEATURES = "from styleganv.metrics import features\nfeatures.EFFICIENTNET_SIZE = (64, 64)\n"


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return an environment in which a package with the method is installed."""
    site = tmp_path_factory.mktemp("site")
    (site / "toy_method").mkdir()
    (site / "toy_method" / "__init__.py").write_text(TOY + SMALL_FEATURES)
    info = site / "toy_method-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-method\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[styleganv.methods]\ntoy = toy_method:METHOD\n")
    paths = [str(site), *filter(None, [os.environ.get("PYTHONPATH")])]
    cache = str(tmp_path_factory.mktemp("cache"))
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths), "STYLEGANV_CACHE": cache, "OMP_NUM_THREADS": "1"}


def run_commands(environment: dict[str, str], *commands: list[object]) -> None:
    """Run commands one after another in one process, which then loads PyTorch only once."""
    argvs = [[str(argument) for argument in command] for command in commands]
    code = f"from styleganv.cli import main\nfor argv in {argvs}: main(argv)"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.long
def test_a_method_of_another_package_works_everywhere(environment: dict[str, str], tmp_path: Path) -> None:
    data, run = tmp_path / "faces.zip", tmp_path / "run"
    make_faces(data, num_videos=8, num_frames=24, resolution=(16, 16))
    folder = tmp_path / "study"
    run_commands(
        environment,
        ["train", data, "--out", run, "--method", "toy", "--preset", "tiny-cpu", "--total-clips", 16],
        ["generate", run, "--out", tmp_path / "videos", "--seeds", "0-1", "--seconds", 0.4],
        ["study", data, "--methods", "toy", "--minutes", 0.005, "--num-clips", 4, "--out", folder],
    )
    assert len(list((tmp_path / "videos").glob("*.mp4"))) == 2
    measures = json.loads((folder / "faces/toy/0/measures.json").read_text())  # by the function of `evaluate`
    assert all(quality["floor"] > 0 for quality in measures["quality"].values()) and measures["quality"]
    assert "Mean frame" in (folder / "comparison.md").read_text()


def test_records_have_the_values_of_their_papers() -> None:
    assert next(iter(METHODS)) == "stylegan-v"
    config = get_preset("64")
    assert apply_method(config, "stylegan2").training.num_frames == 1
    assert np.isclose(apply_method(config, "videogpt").training.lr, 0.0003)
    assert apply_ablation(config, None) is config
    for name in METHODS:
        get_method(name).check(apply_method(config, name))


def test_an_unknown_method_is_rejected_with_all_names() -> None:
    with pytest.raises(StyleganvError, match="Unknown method 'stylegan3': choose one of stylegan-v, "):
        apply_method(RunConfig(), "stylegan3")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import no_such_module", "cannot be loaded (No module named 'no_such_module')"),
        ("from dataclasses import replace\nfrom styleganv.methods.digan import METHOD", "are named digan"),
        pytest.param("METHOD = 3", "is not a styleganv.methods.method.Method", marks=pytest.mark.long),
    ],
)
def test_a_broken_package_fails_only_commands_that_need_methods(code: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text(code)
    info = tmp_path / "broken-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[styleganv.methods]\nbroken = broken:METHOD\n")
    paths = [str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    run = [sys.executable, "-m", "styleganv"]
    assert subprocess.run([*run, "--version"], env=environment, capture_output=True).returncode == 0
    arguments = ["train", "data.zip", "--out", "run"]
    failed = subprocess.run([*run, *arguments], env=environment, capture_output=True, text=True)
    assert failed.returncode == 1 and message in failed.stderr and "Traceback" not in failed.stderr
