"""Edits by text, with a real (tiny) CLIP that knows captions of the embedded shapes, measured by what is drawn."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

pytest.importorskip("transformers", reason="pip install styleganv[clip]")

from shapes import COLOURS, hue_distances, measure
from taught import CONTENTS, MOTIONS, caption, factors_of, taught_clip, taught_generator, video_of

from styleganv.cli import main
from styleganv.editing.clip_model import ClipModel, load_clip
from styleganv.editing.latents import Latents, latents_of, open_latents, play
from styleganv.editing.perceptual import load_perceptual
from styleganv.editing.text import edit_by_text, text_direction
from styleganv.errors import StyleganvError
from styleganv.methods.stylegan_v.sampler import VideoGenerator, load_video_generator

NEXT = {"red": "green", "green": "blue", "blue": "red"}
#: Largest mean distance of the shape's centre from where it was, a fraction of the frame; under another motion seed it
#: is more than twice as far.
STAYS = 0.08


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("taught")
    return taught_generator(folder / "model", 1000), taught_clip(folder / "clip", 400)


@pytest.fixture(scope="module")
def video(folders: tuple[Path, Path]) -> VideoGenerator:
    return load_video_generator(folders[0], device="cpu")


@pytest.fixture(scope="module")
def clip(folders: tuple[Path, Path]) -> ClipModel:
    return load_clip(folders[1])


def frames_of(video: VideoGenerator, latents: Latents, start: float = 0.0) -> NDArray[np.uint8]:
    return np.stack(list(play(video, latents, start=start, seconds=0.96)))


def share_of(frames: NDArray[np.uint8], colour: str) -> float:
    """Of the frames whose foreground is mostly nearest to this colour."""
    colourful = np.ptp(frames.astype(np.float64), axis=-1) * measure(frames).mask
    nearest = hue_distances(frames).argmin(axis=-1)
    weight = np.stack([(colourful * (nearest == k)).sum(axis=(1, 2)) for k in range(len(COLOURS))])
    return float((weight.argmax(axis=0) == list(COLOURS).index(colour)).mean())


def moved(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    return float(np.abs(measure(a).centre - measure(b).centre).mean())


def test_the_teachers_pupils_know_what_they_should(video: VideoGenerator, clip: ClipModel) -> None:
    """Else nothing below would mean anything."""
    colours = [
        share_of(frames_of(video, latents_of(video, c, motion_seed=1)), factors_of(c, 1).colour) for c in range(12)
    ]
    assert np.mean(colours) > 0.9
    a, b = (frames_of(video, latents_of(video, 0, motion_seed=m)) for m in (1, 2))
    assert moved(a, b) > 2 * STAYS
    kinds = sorted({caption(factors_of(c, 0)) for c in range(CONTENTS)})
    for content in range(6):
        near = clip.images(video_of(content, 3)).mean(dim=0) @ clip.texts(kinds).T
        assert kinds[int(near.argmax())] == caption(factors_of(content, 3))


def test_an_edit_changes_the_colour_at_all_times_and_leaves_the_motion(video: VideoGenerator, clip: ClipModel) -> None:
    identity, shares, distances = load_perceptual(), [], []
    for content in range(4):
        before = latents_of(video, content, motion_seed=content % MOTIONS)
        factors = factors_of(content, content % MOTIONS)
        wanted = NEXT[factors.colour]
        after = edit_by_text(video, before, f"a {wanted} {factors.shape}", clip, steps=75, frames=2, identity=identity)
        assert after.motion is before.motion
        for start in (0.0, 500.0):  # no moment of the second was seen
            shown = frames_of(video, after, start)
            shares.append(share_of(shown, wanted))
            distances.append(moved(shown, frames_of(video, before, start)))
    assert np.mean(shares) > 0.85, shares
    assert np.nanmean(distances) < STAYS, distances


def test_what_is_there_already_stays(video: VideoGenerator, clip: ClipModel) -> None:
    before = latents_of(video, 0, motion_seed=1)
    factors, shown = factors_of(0, 1), frames_of(video, before)
    after = frames_of(video, edit_by_text(video, before, caption(factors), clip, steps=25, frames=2))
    assert share_of(shown, factors.colour) > 0.9 and share_of(after, factors.colour) > 0.9
    assert moved(after, shown) < STAYS


def test_identity_and_staying_keep_the_edit_smaller(video: VideoGenerator, clip: ClipModel) -> None:
    before = latents_of(video, 1, motion_seed=1)

    def step(**more: float) -> float:
        after = edit_by_text(video, before, "a red circle", clip, steps=25, frames=2, **more)  # type: ignore[arg-type]
        return float((after.styles - before.styles).norm())

    free = step(stay=0.0)
    assert step(stay=3.0) < 0.7 * free
    identity = load_perceptual()
    kept = edit_by_text(video, before, "a red circle", clip, steps=25, frames=2, stay=0.0, identity=identity, keep=1.0)
    assert float((kept.styles - before.styles).norm()) < free


def test_other_contents_help_where_there_is_no_slope(video: VideoGenerator, clip: ClipModel) -> None:
    before, wanted = latents_of(video, 0, motion_seed=1), clip.texts(["a blue bar"])

    def nearness(starts: int) -> float:
        after = edit_by_text(video, before, "a blue bar", clip, steps=1, rate=1e-6, starts=starts)
        frames = torch.from_numpy(frames_of(video, after)).permute(0, 3, 1, 2) / 127.5 - 1
        return float((clip.images(frames) @ wanted.T).mean())

    assert nearness(48) > nearness(0) + 0.3


def test_only_the_chosen_layers_and_the_same_again(video: VideoGenerator, clip: ClipModel) -> None:
    before = latents_of(video, 1)
    a, b = (edit_by_text(video, before, "a red bar", clip, steps=3, layers=[2, 3], seed=5) for _ in range(2))
    changed = (a.styles != before.styles).any(dim=1).tolist()
    assert changed == [False, False, True, True, False, False]
    assert torch.equal(a.styles, b.styles)


def test_one_direction_for_all_contents(video: VideoGenerator, clip: ClipModel) -> None:
    found = text_direction(video, "a blue circle", clip, source_text="a red circle", seeds=range(48))
    more = []
    for seed in range(100, 108):  # none of them in the samples
        latents = latents_of(video, seed)
        bluer, redder = (
            frames_of(video, found.moved(latents, "a blue circle", strength)).astype(float) for strength in (2, -2)
        )
        more.append((bluer[..., 2] - bluer[..., 0]).mean() > (redder[..., 2] - redder[..., 0]).mean())
    assert sum(more) >= 7


def test_by_the_command_line(folders: tuple[Path, Path], video: VideoGenerator, tmp_path: Path) -> None:
    model, clip = folders
    out, kept = tmp_path / "green.mp4", tmp_path / "green.safetensors"
    words = f"edit {model} --out {out} --seed 0 --seconds 0.4 --side-by-side --device cpu"
    words += f" --clip-model {clip} --save-latents {kept}"
    main([*words.split(), "--text", "a green circle", "--text-steps", "4"])
    assert out.is_file()
    assert not torch.equal(open_latents(video, kept).styles, latents_of(video, 0).styles)
    words = f"directions {model} --out {tmp_path / 'text.safetensors'} --clip-model {clip} --samples 8 --device cpu"
    main([*words.split(), "--text", "a green circle", "--source-text", "a red circle"])
    assert (tmp_path / "text.png").is_file()


def test_mistakes_are_told_in_one_sentence(
    folders: tuple[Path, Path],
    video: VideoGenerator,
    clip: ClipModel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    latents = latents_of(video, 0)
    for text, more in ((" ", {}), ("x", {"steps": 0}), ("x", {"layers": [99]})):
        with pytest.raises(StyleganvError, match=r"text is empty|cannot take 0 steps|no style layer 99"):
            edit_by_text(video, latents, text, clip, **more)  # type: ignore[arg-type]
    with pytest.raises(StyleganvError, match=r"There is no CLIP at .*nowhere"):
        load_clip(tmp_path / "nowhere")
    half = tmp_path / "half"
    shutil.copytree(folders[1], half)
    (half / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(StyleganvError, match=r"There is no CLIP at .*half"):
        load_clip(half)
    weights = load_file(folders[1] / "model.safetensors")
    del weights["visual_projection.weight"]
    save_file(weights, half / "model.safetensors", {"format": "pt"})
    with pytest.raises(StyleganvError, match=r"its weights lack visual_projection\.weight"):
        load_clip(half)


def test_without_the_library_its_name_is_told(folders: tuple[Path, Path], tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['transformers'] = None\n"
        "from styleganv.cli import main\n"
        f"main(['edit', '{folders[0]}', '--out', '{tmp_path / 'x.mp4'}', '--text', 'a red bar'])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 1 and "pip install styleganv[clip]" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
