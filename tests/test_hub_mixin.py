"""Models are loaded, saved and published as those of diffusers."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import FPS, save

import styleganv
from styleganv.errors import StyleganvError
from styleganv.label_space import LabelKind, LabelSpace
from styleganv.methods.loading import load
from styleganv.methods.mocogan.networks import MocoganVideos
from styleganv.methods.stylegan_v.sampler import VideoGenerator
from styleganv.model_folder import CARD, OWN_CLIP
from styleganv.video_model import VideoModel


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model folder with everything that may lie in one, and a file that does not belong there."""
    folder = save(tmp_path / "model", num_classes=2)
    (folder / OWN_CLIP).mkdir()
    for name in (CARD, f"{OWN_CLIP}/config.json", "discriminator.safetensors", "notes.txt"):
        (folder / name).write_text(name)
    return folder


def frames(model: VideoModel) -> np.ndarray:
    return model.sample(seed=1, seconds=0.1)


def test_present_weights_and_companions_are_saved(folder: Path, tmp_path: Path) -> None:
    model = VideoModel.from_pretrained(folder, device="cpu")
    before = frames(model)
    with torch.no_grad():
        for parameter in model.network.synthesis.parameters():
            parameter.mul_(1.01)
    model.save_pretrained(tmp_path / "saved")
    saved = {path.relative_to(tmp_path / "saved").as_posix() for path in (tmp_path / "saved").rglob("*.*")}
    assert saved == {"config.json", "model.safetensors", CARD, "clip/config.json", "discriminator.safetensors"}
    again = VideoGenerator.from_pretrained(str(tmp_path / "saved"), device="cpu")
    assert np.array_equal(frames(again), frames(model)) and not np.array_equal(frames(again), before)
    assert again.class_names == ["class0", "class1"] and again.fps == FPS
    with pytest.raises(StyleganvError, match=r"saved already exists.*--overwrite"):
        model.save_pretrained(tmp_path / "saved")


@pytest.mark.parametrize("kind", ["vector", "classes"])
def test_labels_of_every_kind_are_saved(kind: LabelKind, folder: Path, tmp_path: Path) -> None:
    model = VideoModel.from_pretrained(folder, device="cpu")
    model.labels = LabelSpace(("age", "mood"), kind, ((0.0, 1.0), (1.0, 0.0)))
    model.save_pretrained(tmp_path / "saved")
    assert VideoModel.from_pretrained(tmp_path / "saved", device="cpu").labels == model.labels


def test_a_model_replaces_itself_and_nothing_else(folder: Path) -> None:
    model = load(folder, device="cpu")
    with pytest.raises(StyleganvError, match=r"contains other files \(notes\.txt\)"):
        model.save_pretrained(folder, overwrite=True)
    (folder / "notes.txt").unlink()
    model.save_pretrained(folder, overwrite=True)
    assert (folder / CARD).read_text() == CARD
    assert np.array_equal(frames(load(folder, device="cpu")), frames(model))


def test_a_model_built_in_memory_states_its_method(folder: Path, tmp_path: Path) -> None:
    network = load(folder, device="cpu").network
    labels = LabelSpace(("cat", "dog"))
    with pytest.raises(StyleganvError, match=r"built without a config"):
        VideoGenerator(network, fps=30, labels=labels).save_pretrained(tmp_path / "saved")
    config = {"model": "stylegan-v"}
    VideoGenerator(network, fps=30, labels=labels, config=config).save_pretrained(tmp_path / "saved")
    saved = load(tmp_path / "saved", device="cpu")
    assert (saved.fps, saved.class_names) == (30, ["cat", "dog"])


def test_the_type_is_that_of_convolutions(folder: Path) -> None:
    model = VideoModel.from_pretrained(folder, device="cpu", torch_dtype=torch.bfloat16)
    assert model.precision == "bfloat16"
    rounded = frames(model)
    exact = frames(load(folder, device="cpu"))
    assert not np.array_equal(rounded, exact)
    assert np.array_equal(frames(model.to(torch.float32)), exact)
    assert np.array_equal(frames(model.to("cpu", torch.bfloat16)), rounded) and model.device.type == "cpu"
    with pytest.raises(StyleganvError, match=r"got torch\.float16"):
        model.to(torch.float16)
    with pytest.raises(StyleganvError, match="nowhere is not available"):
        model.to("nowhere", torch.float32)
    assert model.precision == "bfloat16"


def test_names_are_found_where_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder first, then the package; USER/NAME on the Hub, of which a revision always is."""
    monkeypatch.chdir(tmp_path)
    pulled = []

    def pull(*arguments: object, **options: object) -> Path:
        pulled.append((*arguments, options["revision"]))
        return tmp_path / "someone" / "model"

    monkeypatch.setattr("styleganv.interop.hub.pull", pull)
    save(tmp_path / "someone" / "model")
    assert VideoModel.from_pretrained("someone/model", device="cpu").source == Path("someone/model")
    assert VideoModel.from_pretrained("sky-64", device="cpu").name == "StyleGAN-V" and not pulled
    VideoModel.from_pretrained("someone/other", device="cpu")
    VideoModel.from_pretrained("someone/model", revision="v2", device="cpu")
    assert pulled == [("someone/other", None), ("someone/model", "v2")]
    for name in ("nothing", "./nothing", "a/b/c"):
        with pytest.raises(StyleganvError, match="is not a model"):
            VideoModel.from_pretrained(name)
    with pytest.raises(StyleganvError, match=r"is a model of StyleGAN-V: call VideoModel\.from_pretrained"):
        MocoganVideos.from_pretrained("someone/model", device="cpu")


def test_only_repositories_are_pushed_to(folder: Path) -> None:
    model = styleganv.load(folder, device="cpu")
    for name in ("./folder", "folder", "a/b/c", ""):
        with pytest.raises(StyleganvError, match="Unknown repository"):
            model.push_to_hub(name)
