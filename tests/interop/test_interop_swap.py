"""Layer swapping: each block equals that of the right model bit for bit."""

from pathlib import Path

import pytest
import torch
from tiny import save

from styleganv import cli
from styleganv.errors import StyleganvError
from styleganv.interop.swap import swap, swap_layers
from styleganv.methods.stylegan_v.pretrained import load_generator
from styleganv.methods.stylegan_v.sampler import load_video_generator
from styleganv.model_folder import save_model


def models(tmp_path: Path, **changes: int) -> tuple[Path, Path]:
    low = save(tmp_path / "low", height=32, width=48)
    high = save(tmp_path / "high", height=32, width=48, **changes)
    generator, config = load_generator(high)
    for parameter in generator.parameters():
        parameter.add_(torch.randn_like(parameter))
    save_model(high, generator, data=config["data"] | {"fps": 50}, training={}, overwrite=True)
    return low, high


@pytest.mark.parametrize("resolution, num_low", [(12, 1), (24, 2), (48, 3)])
def test_blocks_are_those_of_their_model(resolution: int, num_low: int, tmp_path: Path) -> None:
    low, high = models(tmp_path)
    swap(low, high, tmp_path / "swapped", resolution=resolution)
    swapped, config = load_generator(tmp_path / "swapped")
    ours, theirs = (load_generator(folder)[0].state_dict() for folder in (low, high))
    for name, value in swapped.state_dict().items():
        from_high = name.startswith("synthesis.blocks.") and int(name.split(".")[2]) >= num_low
        assert torch.equal(value, (theirs if from_high else ours)[name]), name
    assert config["data"]["fps"] == 25 and config["training"]["swapped"]["resolution"] == resolution
    assert load_video_generator(tmp_path / "swapped").sample(seed=0, seconds=0.1).shape == (2, 32, 48, 3)


def test_the_original_models_are_unchanged(tmp_path: Path) -> None:
    low, high = (load_generator(folder)[0] for folder in models(tmp_path))
    before = {name: value.clone() for name, value in (low.state_dict() | high.state_dict()).items()}
    swap_layers(low, high, 24).synthesis.constant.add_(1)
    assert all(torch.equal(value, before[name]) for name, value in (low.state_dict() | high.state_dict()).items())


def test_models_of_different_sizes_are_rejected(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    low, high = models(tmp_path, channel_max=4)
    with pytest.raises(StyleganvError, match="networks of the same size"):
        swap(low, high, tmp_path / "swapped", resolution=24)
    with pytest.raises(StyleganvError, match=r"--resolution must be one of 12, 24, 48 .*got 16"):
        swap(low, low, tmp_path / "swapped", resolution=16)
    with pytest.raises(SystemExit):
        cli.main(["swap", str(low), str(tmp_path / "nothing"), str(tmp_path / "swapped"), "--resolution", "24"])
    assert "nothing is not a model" in capsys.readouterr().err
    assert not (tmp_path / "swapped").exists()
    cli.main(["swap", str(low), str(low), str(tmp_path / "swapped"), "--resolution", "24"])
    assert "swapped" in capsys.readouterr().out
