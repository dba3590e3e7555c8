"""The models that come with the package: found by name everywhere, complete, and small."""

import json
import socket
from pathlib import Path

import numpy as np
import pytest
import torch
from settings import with_training

import styleganv
from styleganv.cli import main
from styleganv.config import get_preset
from styleganv.data.dataset import VideoDataset
from styleganv.errors import StyleganvError
from styleganv.faces.dataset import make_faces
from styleganv.methods.stylegan_v.finetune import (
    copy_matching_weights,
    copy_projected,
    load_pretrained,
    match_pretrained,
)
from styleganv.methods.stylegan_v.trainer import GanTrainer, build_networks
from styleganv.model_folder import is_model, model_folder, save_model
from styleganv.pretrained import FOLDER, pretrained_folder, pretrained_models, pretrained_names

NAMES = pretrained_names()


def test_there_are_models() -> None:
    assert "faces-64" in NAMES
    assert [model.name for model in styleganv.pretrained_models()] == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_loaded_offline(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("used the network"))
    model = styleganv.load(name, device="cpu")
    assert model.source == FOLDER / name
    frames = model.sample(seed=0, seconds=2 / model.fps)
    assert frames.shape == (2, model.height, model.width, 3) and frames.std() > 10


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> VideoDataset:
    path = tmp_path_factory.mktemp("data") / "faces.zip"
    make_faces(path, num_videos=4, num_frames=40, resolution=(64, 64))
    return VideoDataset(path)


@pytest.mark.parametrize("name", NAMES)
def test_fine_tuning_starts_with_all_weights(name: str, data: VideoDataset) -> None:
    pretrained = load_pretrained(name)
    config = match_pretrained(get_preset("tiny-cpu"), pretrained)
    networks = build_networks(config, data)
    notes = copy_matching_weights(pretrained, config, *networks)
    projected = GanTrainer(config, *networks).projected
    assert projected is not None and pretrained.projected is not None
    notes.append(copy_projected(pretrained, projected))
    titles = ("generator", "discriminator", "second discriminator")
    assert notes == [f"Copied the {title} from {name}." for title in titles]
    for key, weight in projected.state_dict().items():
        assert torch.equal(weight, pretrained.projected[key]), key
    generator, source = networks[0].state_dict(), pretrained.generator.state_dict()
    assert all(torch.equal(generator[key], source[key]) for key in source)


def test_with_other_clips_the_second_discriminator_is_copied_in_part(data: VideoDataset) -> None:
    pretrained = load_pretrained("faces-64")
    config = match_pretrained(with_training(get_preset("tiny-cpu"), num_frames=3), pretrained)
    projected = GanTrainer(config, *build_networks(config, data)).projected
    assert projected is not None
    note = copy_projected(pretrained, projected)
    assert note.startswith("Copied the second discriminator from faces-64, except (newly initialized): ")
    assert "heads.0.layers.0" in note and "heads.0.layers.2" not in note


@pytest.mark.parametrize("name", NAMES)
def test_weights_are_small_and_the_card_is_complete(name: str) -> None:
    folder = FOLDER / name
    assert sum(file.stat().st_size for file in folder.iterdir()) < 6e6
    assert sum(file.stat().st_size for file in (folder / "clip").glob("*")) < 5e6
    card = (folder / "README.md").read_text()
    for part in (name, "clips", "license", "patch distance", "motion report", "## Weaknesses", "styleganv train"):
        assert part in card, part
    for picture in ("preview.webp", "neighbors.png"):
        assert picture in card and (folder / picture).stat().st_size > 1000


def test_all_models_together_are_small() -> None:
    assert sum(file.stat().st_size for file in FOLDER.rglob("*") if file.is_file()) < 20e6


def test_a_folder_of_the_same_name_goes_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert model_folder("faces-64") == pretrained_folder("faces-64")
    Path("faces-64").mkdir()
    assert model_folder("faces-64") == Path("faces-64") and not is_model("faces-64")
    with pytest.raises(StyleganvError, match="faces-64 is not a model, but hides the pretrained model of that name"):
        styleganv.load("faces-64")


def test_an_unknown_name_lists_the_models(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="1"):
        main(["generate", "face-64", "--out", str(tmp_path / "videos")])
    assert ", ".join(NAMES) in capsys.readouterr().err
    assert not (tmp_path / "videos").exists()


def test_models_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    main(["models"])
    printed = capsys.readouterr().out
    for model in pretrained_models():
        assert model.name in printed and model.license in printed and str(model.folder / "README.md") in printed


def test_half_precision_changes_little(tmp_path: Path) -> None:
    """Weights in float16 give the frames of the float32 weights; the mean difference is below two gray levels."""
    model = styleganv.load(model_folder("faces-64"), device="cpu")
    with torch.no_grad():
        for parameter in model.network.parameters():
            parameter *= 1 + 1e-4  # no longer a float16 number
    metadata = {"title": "t", "data": "d", "license": "l"}
    for dtype in (torch.float32, torch.float16):
        save_model(
            tmp_path / str(dtype), model.network, data=model.config["data"], training={}, metadata=metadata, dtype=dtype
        )
    full, half = (
        styleganv.load(tmp_path / str(dtype), device="cpu").sample(seed=1, seconds=0.2).astype(np.int16)
        for dtype in (torch.float32, torch.float16)
    )
    assert np.abs(full - half).max() > 0 and np.abs(full - half).mean() < 2
    assert json.loads((tmp_path / "torch.float16" / "config.json").read_text())["metadata"] == metadata


def test_a_damaged_second_discriminator_is_named(tmp_path: Path) -> None:
    source = FOLDER / "faces-64"
    for file in filter(Path.is_file, source.iterdir()):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "projected.safetensors").write_bytes(b"damaged")
    with pytest.raises(StyleganvError, match="damaged"):
        load_pretrained(tmp_path)
