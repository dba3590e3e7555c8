"""Upload and download: through folders, and through the real Hub client with a local server."""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml
from hub_server import HubServer, hub_server
from huggingface_hub import constants
from PIL import Image
from tiny import save

from styleganv.errors import StyleganvError
from styleganv.interop.card import format_card
from styleganv.interop.hub import pull, push
from styleganv.methods.stylegan_v.pretrained import load_generator
from styleganv.methods.stylegan_v.sampler import load_video_generator
from styleganv.model_folder import CARD, OWN_CLIP, PREVIEW, WEIGHTS, save_model
from styleganv.pretrained import FOLDER
from styleganv.record import RECORD, DatasetFacts, RunRecord, Session, read_record, write_record


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[HubServer]:
    with hub_server() as server:
        # These follow HF_ENDPOINT only at import.
        template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, server.address)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "ENDPOINT", server.address)
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
        monkeypatch.setenv("HF_TOKEN", "hf_of_nobody")
        yield server


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("hub") / "model", num_classes=3, width=24)


#: What is exchanged of a model without a card of its own.
FILES = {*WEIGHTS, CARD, PREVIEW}


def frames(folder: Path) -> np.ndarray:
    return load_video_generator(folder, device="cpu").sample(seed=1, seconds=0.4)


def same_files(one: Path, other: Path) -> bool:
    return all((one / name).read_bytes() == (other / name).read_bytes() for name in FILES)


def test_through_a_folder(model: Path, tmp_path: Path) -> None:
    assert push(model, str(tmp_path / "published"), license="mit") == str(tmp_path / "published")
    assert pull(str(tmp_path / "published"), tmp_path / "again") == tmp_path / "again"
    assert {path.name for path in (tmp_path / "again").iterdir()} == FILES
    assert same_files(tmp_path / "published", tmp_path / "again")
    assert np.array_equal(frames(tmp_path / "again"), frames(model))
    assert {path.name for path in model.iterdir()} == {"config.json", "model.safetensors"}


def test_through_the_hub(hub: HubServer, model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    address = push(model, "someone/shapes", license="mit", private=True)
    assert address == f"{hub.address}/someone/shapes/commit/{hub.commit('someone/shapes')}"
    assert hub.private == {"someone/shapes"} and set(hub.repositories["someone/shapes"]) == FILES
    hub.repositories["someone/shapes"]["evil.py"] = b"print('executed')"
    assert pull("someone/shapes", tmp_path / "again", revision="main") == tmp_path / "again"
    assert {path.name for path in (tmp_path / "again").iterdir()} == FILES
    assert np.array_equal(frames(tmp_path / "again"), frames(model))
    assert "Warning" not in capfd.readouterr().err


@pytest.mark.parametrize("target", ["folder", "hub"])
def test_an_edited_card_is_not_overwritten(target: str, hub: HubServer, model: Path, tmp_path: Path) -> None:
    dest = str(tmp_path / "published") if target == "folder" else "someone/shapes"
    push(model, dest)
    if target == "folder":
        (tmp_path / "published" / "README.md").write_text("edited")
    else:
        hub.repositories[dest]["README.md"] = b"edited"
    if target == "folder":
        with pytest.raises(StyleganvError, match=r"published already exists: .*--overwrite"):
            push(model, dest)
    push(model, dest, overwrite=True)
    assert (pull(dest, tmp_path / "again") / "README.md").read_text() == "edited"
    other = save(tmp_path / "other", num_classes=3, width=24)
    (other / "README.md").write_text("the model's own")
    push(other, dest, overwrite=True)
    assert (pull(dest, tmp_path / "third") / "README.md").read_text() == "the model's own"


@pytest.mark.parametrize("target", ["folder", "hub"])
def test_the_clip_of_a_model_goes_with_it(target: str, hub: HubServer, model: Path, tmp_path: Path) -> None:
    """Its known files only, and none of an earlier model stays beside another one."""
    dest = str(tmp_path / "published") if target == "folder" else "someone/shapes"
    own = save(tmp_path / "own", num_classes=3, width=24)
    (own / CARD).write_text("own card")
    (own / OWN_CLIP).mkdir()
    files = {path.name for path in (FOLDER / "faces-64" / OWN_CLIP).iterdir()}
    for name in (*files, "evil.py"):
        (own / OWN_CLIP / name).write_text(name)
    push(own, dest)
    pulled = pull(dest, tmp_path / "again") / OWN_CLIP
    assert {path.name: path.read_text() for path in pulled.iterdir()} == {name: name for name in files}
    push(model, dest, overwrite=True)
    assert not (pull(dest, tmp_path / "third") / OWN_CLIP).exists()


def test_the_card_states_what_is_recorded(tmp_path: Path, model: Path) -> None:
    generator, config = load_generator(model)
    training = {"clips_seen": 1234567, "frames_seen": 2469134, "frechet_efficientnet": 12.345678}
    save_model(tmp_path / "trained", generator, data=config["data"], training=training)
    push(tmp_path / "trained", str(tmp_path / "published"), license="cc-by-4.0")
    text = (tmp_path / "published" / "README.md").read_text()
    _, front, body = text.split("---\n", 2)
    metadata = yaml.safe_load(front)
    assert metadata["license"] == "cc-by-4.0" and metadata["library_name"] == "styleganv"
    assert {"styleganv", "class-conditional-video-generation"} <= set(metadata["tags"])
    for known in (
        "class0, class1, class2",
        "dataset: 25 fps",
        "1,234,567",
        "2,469,134",
        "12.35",
        "24×16 pixels",
        "# published",
    ):
        assert known in body, known
    with Image.open(tmp_path / "published" / "preview.webp") as preview:
        assert preview.size == (4 * 24 + 3 * 2, 16) and preview.n_frames == 36  # type: ignore[attr-defined]


def test_the_card_of_an_image_model_without_a_license(tmp_path: Path) -> None:
    images = save(tmp_path / "images", motion="none")
    text = format_card(load_video_generator(images, device="cpu"), name="someone/images")
    metadata = yaml.safe_load(text.split("---\n")[1])
    assert "license" not in metadata and "unconditional-image-generation" in metadata["tags"]
    assert "Not stated" in text and "styleganv pull someone/images model" in text
    push(images, str(tmp_path / "published"))
    assert (tmp_path / "published" / "preview.webp").exists()


@pytest.mark.parametrize("target", ["folder", "hub"])
def test_the_record_is_published_without_paths(target: str, hub: HubServer, tmp_path: Path) -> None:
    source = save(tmp_path / "trained")
    command = "styleganv train /home/me/data.zip --out /home/me/runs/x"
    session = Session("2026-01-01T00:00:00+00:00", "0.1.0", "3.11.0", "2.13.0", "CPU x", 1, 0, command)
    data = DatasetFacts("data.zip", "0f", videos=2, frames=9, height=16, width=16, fps=25.0, license="CC0")
    write_record(source, RunRecord("abc", "tiny-cpu", "/home/me/runs/other", data, {}, (session,)))
    dest = str(tmp_path / "published") if target == "folder" else "someone/mine"
    push(source, dest)
    pulled = pull(dest, tmp_path / "again")
    assert {path.name for path in pulled.iterdir()} == {*FILES, RECORD}
    assert "/home/me" not in "".join(path.read_text("latin-1") for path in pulled.iterdir())
    card = (pulled / CARD).read_text()
    for line in ("Dataset: data.zip: 2 videos,", "License of the dataset: CC0", "Fine-tuned from: other\n"):
        assert f"- {line}" in card
    assert "- Command: `styleganv train data.zip --out x`\n" in card
    record = read_record(pulled)
    assert record and record.id == "abc" and record.dataset == data
    push(pulled, str(tmp_path / "once-more"))


def test_errors_of_the_hub(hub: HubServer, model: Path, tmp_path: Path) -> None:
    with pytest.raises(StyleganvError, match=r"someone/nothing not found"):
        pull("someone/nothing", tmp_path / "x")
    hub.repositories["someone/words"] = {"README.md": b"words"}
    with pytest.raises(StyleganvError, match=r"someone/words is not a styleganv model .*config\.json"):
        pull("someone/words", tmp_path / "x")
    with pytest.raises(StyleganvError, match="someone/words"):
        pull("someone/words", tmp_path / "x", revision="nowhere")
    hub.repositories["someone/words"] |= {"config.json": b"{", "model.safetensors": b""}
    with pytest.raises(StyleganvError, match="damaged"):
        pull("someone/words", tmp_path / "x")
    for status, message in ((403, "hf auth login"), (400, "status 400")):
        hub.rejection = status
        with pytest.raises(StyleganvError, match=message):
            push(model, "someone/shapes")
    assert "someone/shapes" not in hub.repositories and list(tmp_path.iterdir()) == []


def test_an_unreachable_hub_is_reported(
    hub: HubServer, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    for act in (lambda: pull("someone/shapes", tmp_path / "x"), lambda: push(model, "someone/shapes")):
        with pytest.raises(StyleganvError, match=r"Cannot reach the Hub for someone/shapes"):
            act()


def test_invalid_locations(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for dest in ("folder", "a/b/c", "hf://a/b", ""):
        with pytest.raises(StyleganvError, match=r"USER/NAME"):
            push(model, dest)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    with pytest.raises(StyleganvError, match="contains other files"):
        push(model, str(tmp_path / "full"))
    for overwrite in (False, True):
        with pytest.raises(StyleganvError, match=r"full contains other files \(notes\.txt\)"):
            pull(str(model), tmp_path / "full", overwrite=overwrite)
    monkeypatch.chdir(tmp_path / "full")
    with pytest.raises(StyleganvError, match="current folder"):
        push(model, ".")
    with pytest.raises(StyleganvError, match="is not a model"):
        push(tmp_path / "full", str(tmp_path / "published"))
    assert [path.name for path in tmp_path.rglob("*")] == ["full", "notes.txt"]
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)  # as if it were not installed
    with pytest.raises(StyleganvError, match=r"styleganv\[export\]"):
        push(model, "someone/shapes")
