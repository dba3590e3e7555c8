"""Model folders: damaged weights."""

import json
from pathlib import Path

import pytest
import tiny
from safetensors.torch import load_file, save_file

from styleganv.errors import StyleganvError
from styleganv.methods.loading import load


def test_a_flipped_bit_is_detected(tmp_path: Path) -> None:
    weights = tiny.save(tmp_path / "model") / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[len(data) // 2] ^= 1
    weights.write_bytes(data)
    with pytest.raises(StyleganvError, match=r"model is damaged \(wrong hash of model\.safetensors\)"):
        load(tmp_path / "model")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_of_version_0_1_load_if_they_are_finite(value: float, tmp_path: Path) -> None:
    folder = tiny.save(tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    del config["sha256"]
    (folder / "config.json").write_text(json.dumps(config))
    load(folder)
    weights = load_file(folder / "model.safetensors")
    name = next(name for name in weights if "conv" in name)
    weights[name].view(-1)[1] = value
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(StyleganvError, match=f"{name} is not finite"):
        load(folder)
