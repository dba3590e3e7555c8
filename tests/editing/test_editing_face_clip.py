"""The CLIP that comes with faces-64: chosen by default, small, offline, and good enough to edit with."""

import socket
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from styleganv.cli import main
from styleganv.editing.clip_model import ClipModel, choose_clip_model, load_clip_model
from styleganv.editing.latents import latents_from_seed, load_latents, render_latents
from styleganv.editing.text import OWN_CLIP_EDIT
from styleganv.errors import StyleganvError
from styleganv.faces.drawing import draw_pose
from styleganv.faces.factors import Face, motion, sample_face
from styleganv.faces.recognition import recognize_factors
from styleganv.methods.stylegan_v.sampler import load_video_generator
from styleganv.model_folder import OWN_CLIP
from styleganv.options import DEFAULT_CLIP_MODEL
from styleganv.pretrained import FOLDER, pretrained_names

MODEL = FOLDER / "faces-64"


@pytest.fixture(scope="module")
def clip() -> ClipModel:
    pytest.importorskip("transformers", reason="pip install styleganv[clip]")
    return load_clip_model(MODEL / OWN_CLIP)


def draw_faces(count: int) -> tuple[list[Face], torch.Tensor]:
    """Return faces and one image of each, `[count, 3, 64, 64]` in −1..1."""
    rng = np.random.default_rng(3)
    faces = [sample_face(rng) for _ in range(count)]
    images = np.concatenate([draw_pose(face, motion(i, [40.0]), 64, 64) for i, face in enumerate(faces)])
    return faces, torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1


def test_the_chosen_one_goes_before_the_models_own_and_that_before_openais(tmp_path: Path) -> None:
    assert choose_clip_model(None, MODEL) == MODEL / OWN_CLIP
    assert choose_clip_model("openai/clip-vit-large-patch14", MODEL) == "openai/clip-vit-large-patch14"
    assert choose_clip_model(None, tmp_path) == choose_clip_model(None, None) == DEFAULT_CLIP_MODEL


def test_it_is_small_and_no_video_model() -> None:
    folder = MODEL / OWN_CLIP
    assert sum(file.stat().st_size for file in folder.iterdir()) < 5e6
    assert OWN_CLIP not in pretrained_names()
    card = (folder / "README.md").read_text()
    for part in ("parameters", "captions", "steps", "accuracy", "## Limitations", "examples/train_face_clip.py"):
        assert part in card, part


def test_it_loads_offline_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("transformers", reason="pip install styleganv[clip]")
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("used the network"))
    clip = load_clip_model(MODEL / OWN_CLIP)
    embedding = clip.embed_texts(["a green face"])
    assert embedding.dtype == torch.float32 and embedding.norm() == pytest.approx(1, abs=1e-5)


def test_it_knows_the_color_of_drawn_faces(clip: ClipModel) -> None:
    colors = ("red", "yellow", "green", "cyan", "blue", "magenta")
    faces, images = draw_faces(48)
    chosen = (clip.embed_images(images) @ clip.embed_texts([f"a {color} face" for color in colors]).T).argmax(dim=1)
    true = [round(face.hue * 6) % 6 for face in faces]
    assert np.mean([int(a) == b for a, b in zip(chosen, true, strict=True)]) > 0.8


def test_unknown_words_are_named_beside_the_known_ones(clip: ClipModel) -> None:
    with pytest.raises(
        StyleganvError, match=r"does not support 'Dragon', 'wings': use its words \(a, .*glasses.*yellow\)"
    ):
        clip.embed_texts(["a green face", "a Dragon with wings, and glasses"])


def test_case_and_punctuation_do_not_matter(clip: ClipModel) -> None:
    plain, other = clip.embed_texts(["a green face with round glasses", "A green face, with round glasses!"])
    assert torch.allclose(plain, other, atol=1e-6)


def test_a_wrong_word_ends_the_command_without_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("transformers", reason="pip install styleganv[clip]")
    with pytest.raises(SystemExit, match="1"):
        main(["edit", "faces-64", "--out", str(tmp_path / "a.mp4"), "--text", "a dragon", "--device", "cpu"])
    assert "does not support 'dragon'" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.long
def test_faces_become_green_and_keep_their_motion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("transformers", reason="pip install styleganv[clip]")
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("used the network"))
    model, hues = load_video_generator("faces-64", device="cpu"), []
    for seed in (1, 4):
        out, saved = tmp_path / f"{seed}.mp4", tmp_path / f"{seed}.safetensors"
        arguments = f"edit faces-64 --out {out} --save-latents {saved} --seed {seed} --seconds 1 --device cpu"
        main([*arguments.split(), "--text", "a green face"])
        edited, before = load_latents(model, saved), latents_from_seed(model, seed)
        assert edited.motion == before.motion
        for start in (0.0, 60.0):
            frames = np.stack(list(render_latents(model, edited, start=start, seconds=1, fps=12.5)))
            face = recognize_factors(frames, 12.5).face
            assert face is not None
            hues.append(face.hue)
    assert all(abs(hue - 1 / 3) < 1 / 9 for hue in hues), hues


@pytest.mark.slow
def test_directions_use_it(tmp_path: Path) -> None:
    pytest.importorskip("transformers", reason="pip install styleganv[clip]")
    out = tmp_path / "green.safetensors"
    text = ["--text", "a green face", "--source-text", "a face"]
    main(["directions", "faces-64", "--out", str(out), "--num-samples", "12", "--device", "cpu", *text])
    assert out.is_file() and out.with_suffix(".png").is_file()


@pytest.mark.gpu
@pytest.mark.slow
def test_an_edit_by_text_on_a_gpu(
    clip: ClipModel, gpu: torch.device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library of CLIP is loaded before: its buffers would be empty if it met the pretended device first."""
    monkeypatch.setattr("styleganv.editing.text.NUM_MIXED", 1)
    monkeypatch.setattr("styleganv.editing.edit.OWN_CLIP_EDIT", replace(OWN_CLIP_EDIT, num_starts=20))
    edit = ["edit", "faces-64", "--seconds", "0.1", "--out", str(tmp_path / "edited.mp4"), "--text", "a green face"]
    main(edit)
    assert (tmp_path / "edited.mp4").is_file() and str(gpu) == "cuda:0"
