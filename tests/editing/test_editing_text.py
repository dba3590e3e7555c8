"""Edits by text with a real, tiny CLIP trained on captions of drawn shapes; results are measured in the frames."""

import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from shapes import COLORS, hue_distances, measure
from torch import Tensor
from trained_models import CONTENTS, MOTIONS, caption, factors_of, trained_clip, trained_generator, video_of

from styleganv.cli import main
from styleganv.editing.clip_model import ClipModel, load_clip_model
from styleganv.editing.direction_search import find_directions
from styleganv.editing.latents import Latents, latents_from_seed, load_latents, render_latents
from styleganv.editing.perceptual import load_perceptual
from styleganv.editing.text import ImageDistance, TextEditOptions, edit_by_text
from styleganv.errors import StyleganvError
from styleganv.methods.stylegan_v.sampler import VideoGenerator, load_video_generator
from styleganv.options import DirectionOptions

pytestmark = pytest.mark.slow  # the library alone takes seconds to import

QUICK = TextEditOptions(num_steps=25, num_frames=2)
NEXT = {"red": "green", "green": "blue", "blue": "red"}
#: Maximum mean displacement of the shape's center, as a fraction of the frame; another motion seed gives over twice it.
MAX_DISPLACEMENT = 0.08


@pytest.fixture(scope="module")
def trained_folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("trained")
    return trained_generator(folder / "model", 350), trained_clip(folder / "clip", 150)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A generator and a CLIP after one training step, for tests that do not depend on what they learned."""
    folder = tmp_path_factory.mktemp("untrained")
    return trained_generator(folder / "model", 1), trained_clip(folder / "clip", 1)


@pytest.fixture(scope="module")
def video(trained_folders: tuple[Path, Path]) -> VideoGenerator:
    return load_video_generator(trained_folders[0], device="cpu")


@pytest.fixture(scope="module")
def clip(trained_folders: tuple[Path, Path]) -> ClipModel:
    return load_clip_model(trained_folders[1])


def frames_of(video: VideoGenerator, latents: Latents, start: float = 0.0) -> NDArray[np.uint8]:
    return np.stack(list(render_latents(video, latents, start=start, seconds=0.96)))


def color_fraction(frames: NDArray[np.uint8], color: str) -> float:
    """Return the fraction of frames whose foreground is mostly nearest to this color."""
    colorful = np.ptp(frames.astype(np.float64), axis=-1) * measure(frames).mask
    nearest = hue_distances(frames).argmin(axis=-1)
    weight = np.stack([(colorful * (nearest == k)).sum(axis=(1, 2)) for k in range(len(COLORS))])
    return float((weight.argmax(axis=0) == list(COLORS).index(color)).mean())


def displacement(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    return float(np.abs(measure(a).center - measure(b).center).mean())


@pytest.mark.long
def test_the_trained_generator_and_clip_are_good_enough(video: VideoGenerator, clip: ClipModel) -> None:
    """The other tests depend on it."""
    fractions = [
        color_fraction(frames_of(video, latents_from_seed(video, c, motion_seed=1)), factors_of(c, 1).color)
        for c in range(12)
    ]
    assert np.mean(fractions) > 0.9
    a, b = (frames_of(video, latents_from_seed(video, 0, motion_seed=m)) for m in (1, 2))
    assert displacement(a, b) > 2 * MAX_DISPLACEMENT
    captions = sorted({caption(factors_of(c, 0)) for c in range(CONTENTS)})
    for content in range(6):
        near = clip.embed_images(video_of(content, 3)).mean(dim=0) @ clip.embed_texts(captions).T
        assert captions[int(near.argmax())] == caption(factors_of(content, 3))


@pytest.mark.long
def test_an_edit_changes_the_color_at_all_times_and_keeps_the_motion(video: VideoGenerator, clip: ClipModel) -> None:
    identity, fractions, displacements = load_perceptual().distance_from, [], []
    options = TextEditOptions(num_steps=25, num_frames=2, num_starts=24)
    for content in range(3):
        before = latents_from_seed(video, content, motion_seed=content % MOTIONS)
        factors = factors_of(content, content % MOTIONS)
        wanted = NEXT[factors.color]
        after = edit_by_text(video, before, f"a {wanted} {factors.shape}", clip, identity=identity, options=options)
        assert after.motion is before.motion
        for start in (0.0, 500.0):  # the search used no frames of the second
            frames = frames_of(video, after, start)
            fractions.append(color_fraction(frames, wanted))
            displacements.append(displacement(frames, frames_of(video, before, start)))
    assert np.mean(fractions) > 0.85, fractions
    assert np.nanmean(displacements) < MAX_DISPLACEMENT, displacements


@pytest.mark.long
def test_a_text_that_is_true_already_changes_little(video: VideoGenerator, clip: ClipModel) -> None:
    before = latents_from_seed(video, 0, motion_seed=1)
    factors, frames = factors_of(0, 1), frames_of(video, before)
    after = frames_of(video, edit_by_text(video, before, caption(factors), clip, options=QUICK))
    assert color_fraction(frames, factors.color) > 0.9 and color_fraction(after, factors.color) > 0.9
    assert displacement(after, frames) < MAX_DISPLACEMENT


def similarity_to(wanted: Tensor, video: VideoGenerator, clip: ClipModel, latents: Latents) -> float:
    frames = torch.from_numpy(frames_of(video, latents)).permute(0, 3, 1, 2) / 127.5 - 1
    return float((clip.embed_images(frames) @ wanted.T).mean())


def test_an_edit_approaches_the_text_and_both_penalties_make_it_smaller(folders: tuple[Path, Path]) -> None:
    """As far as networks can that have learned nothing; with those that have, `make long` measures colors."""
    video, clip = load_video_generator(folders[0], device="cpu"), load_clip_model(folders[1])
    before, wanted = latents_from_seed(video, 1, motion_seed=1), clip.embed_texts(["a red circle"])

    def edit(identity: ImageDistance | None = None, **weights: float) -> tuple[float, float]:
        """Return the size of the edit, and the similarity to the text."""
        options = replace(QUICK, num_starts=4, **weights)  # type: ignore[arg-type]
        after = edit_by_text(video, before, "a red circle", clip, identity=identity, options=options)
        assert after.motion is before.motion
        return float((after.styles - before.styles).norm()), similarity_to(wanted, video, clip, after)

    size, similarity = edit(distance_weight=0.0)
    assert similarity > similarity_to(wanted, video, clip, before) + 0.05
    assert edit(distance_weight=3.0)[0] < 0.7 * size
    assert edit(load_perceptual().distance_from, distance_weight=0.0, identity_weight=1.0)[0] < size


@pytest.mark.long
def test_other_contents_help_without_a_gradient(video: VideoGenerator, clip: ClipModel) -> None:
    before, wanted = latents_from_seed(video, 0, motion_seed=1), clip.embed_texts(["a blue bar"])

    def similarity(num_starts: int) -> float:
        options = TextEditOptions(num_steps=1, learning_rate=1e-6, num_starts=num_starts)
        return similarity_to(wanted, video, clip, edit_by_text(video, before, "a blue bar", clip, options=options))

    assert similarity(48) > similarity(0) + 0.3


def test_only_the_chosen_layers_change_and_the_seed_repeats(folders: tuple[Path, Path]) -> None:
    video, clip = load_video_generator(folders[0], device="cpu"), load_clip_model(folders[1])
    before = latents_from_seed(video, 1)
    options = TextEditOptions(num_steps=3, layers=[2, 3], seed=5)
    a, b = (edit_by_text(video, before, "a red bar", clip, options=options) for _ in range(2))
    changed = (a.styles != before.styles).any(dim=1).tolist()
    assert changed == [False, False, True, True, False, False]
    assert torch.equal(a.styles, b.styles)


@pytest.mark.long
def test_one_direction_for_all_contents(trained_folders: tuple[Path, Path], video: VideoGenerator) -> None:
    options = DirectionOptions(
        text="a blue circle", source_text="a red circle", num_samples=48, clip_model=str(trained_folders[1])
    )
    directions = find_directions(video, options)
    is_bluer = []
    for seed in range(100, 108):  # not among the samples
        latents = latents_from_seed(video, seed)
        bluer, redder = (
            frames_of(video, directions.apply(latents, "a blue circle", strength)).astype(float) for strength in (2, -2)
        )
        is_bluer.append((bluer[..., 2] - bluer[..., 0]).mean() > (redder[..., 2] - redder[..., 0]).mean())
    assert sum(is_bluer) >= 7


def test_commands(folders: tuple[Path, Path], tmp_path: Path) -> None:
    (model, clip), video = folders, load_video_generator(folders[0], device="cpu")
    out, saved = tmp_path / "green.mp4", tmp_path / "green.safetensors"
    arguments = f"edit {model} --out {out} --seed 0 --seconds 0.4 --side-by-side --device cpu"
    arguments += f" --clip-model {clip} --save-latents {saved}"
    main([*arguments.split(), "--text", "a green circle", "--text-steps", "4"])
    assert out.is_file()
    assert not torch.equal(load_latents(video, saved).styles, latents_from_seed(video, 0).styles)
    arguments = f"directions {model} --out {tmp_path / 'text.safetensors'} --clip-model {clip} --num-samples 8"
    main([*arguments.split(), "--text", "a green circle", "--source-text", "a red circle"])
    assert (tmp_path / "text.png").is_file()


def test_invalid_texts_options_and_models_fail(folders: tuple[Path, Path], tmp_path: Path) -> None:
    video, clip = load_video_generator(folders[0], device="cpu"), load_clip_model(folders[1])
    latents = latents_from_seed(video, 0)
    for text, layers, message in ((" ", None, "text is empty"), ("x", [99], "Unknown style layer 99")):
        with pytest.raises(StyleganvError, match=message):
            edit_by_text(video, latents, text, clip, options=TextEditOptions(layers=layers))
    with pytest.raises(StyleganvError, match="--num-steps must be an integer of at least 1, got 0"):
        TextEditOptions(num_steps=0)
    with pytest.raises(StyleganvError, match=r"Cannot load CLIP .*nowhere"):
        load_clip_model(tmp_path / "nowhere")
    half = tmp_path / "half"
    shutil.copytree(folders[1], half)
    (half / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(StyleganvError, match=r"Cannot load CLIP .*half"):
        load_clip_model(half)
    weights = load_file(folders[1] / "model.safetensors")
    del weights["visual_projection.weight"]
    save_file(weights, half / "model.safetensors", {"format": "pt"})
    with pytest.raises(StyleganvError, match=r"its weights lack visual_projection\.weight"):
        load_clip_model(half)


def test_without_the_library_the_error_names_it(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)  # as if it were not installed
    with pytest.raises(SystemExit) as end:
        main(["edit", str(folders[0]), "--out", str(tmp_path / "x.mp4"), "--text", "a red bar"])
    assert end.value.code == 1
    assert "pip install 'styleganv[clip]'" in capsys.readouterr().err.splitlines()[-1]
