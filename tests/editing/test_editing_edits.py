"""Edits: their ends are the originals, what they do not touch stays, and they hold at any time."""

from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from tiny import save

from styleganv.cli import main
from styleganv.editing.edit import edit
from styleganv.editing.edits import at_speed, content_over_time, interpolated, mixed, remapped
from styleganv.editing.latents import Latents, latents_of, open_latents, play
from styleganv.errors import StyleganvError
from styleganv.methods.stylegan_v.sampler import VideoGenerator
from styleganv.options import ComputeOptions, EditOptions, OutputOptions, SampleOptions


def frames_of(video: VideoGenerator, latents: Latents, **more: object) -> np.ndarray:
    return np.stack(list(play(video, latents, **({"seconds": 0.4} | more))))  # type: ignore[arg-type]


def test_mixing_all_layers_is_the_other_content_and_none_the_first(plain: VideoGenerator) -> None:
    a, b = latents_of(plain, 1), latents_of(plain, 2)
    everything = mixed(a, b, range(len(a.styles)))
    assert np.array_equal(frames_of(plain, everything), frames_of(plain, replace(b, motion=a.motion)))
    assert np.array_equal(frames_of(plain, mixed(a, b, [])), frames_of(plain, a))
    fine = mixed(a, b, [len(a.styles) - 1])
    assert torch.equal(fine.styles[:-1], a.styles[:-1]) and torch.equal(fine.styles[-1], b.styles[-1])
    assert not torch.equal(a.styles[-1], b.styles[-1])  # and the original was not written to


def test_a_clock_ends_where_recurrent_motion_does(lstm: VideoGenerator) -> None:
    latents = latents_of(lstm, 1)
    with pytest.raises(StyleganvError, match="Motion cannot be at 900 seconds: choose 0 to 800"):
        frames_of(lstm, latents, clock=remapped([(0, 900)]))


@pytest.mark.parametrize("layer", [-1, 6])
def test_there_are_only_so_many_layers(layer: int, plain: VideoGenerator) -> None:
    latents = latents_of(plain, 1)
    assert len(latents.styles) == 6
    with pytest.raises(StyleganvError, match=rf"no style layer {layer}: choose 0 \(coarsest\) to 5"):
        mixed(latents, latents, [layer])


def test_interpolation_ends_at_the_originals(plain: VideoGenerator) -> None:
    a, b = latents_of(plain, 1), latents_of(plain, 2)
    assert torch.equal(interpolated(a, b, 0).styles, a.styles)
    assert torch.equal(interpolated(a, b, 1).styles, b.styles)
    assert torch.allclose(interpolated(a, b, 0.25).styles, 0.75 * a.styles + 0.25 * b.styles)
    assert interpolated(a, b, 0.5).motion is a.motion


def test_content_over_time_passes_through_all_gently(plain: VideoGenerator) -> None:
    contents = [latents_of(plain, seed) for seed in (1, 2, 3)]
    at = content_over_time(contents, 4, start=10)
    for time, styles in zip((0, 10, 12, 14, 99), (contents[i].styles for i in (0, 0, 1, 2, 2)), strict=True):
        assert torch.allclose(at(time), styles, atol=1e-6)
    assert torch.allclose(at(11), (contents[0].styles + contents[1].styles) / 2, atol=1e-6)
    step = 1e-3  # smoothstep: at rest at each content, and nowhere a jump
    assert (at(12 + step) - at(12)).abs().max() < 1e-5 < (at(11 + step) - at(11)).abs().max()
    with pytest.raises(StyleganvError, match="two contents"):
        content_over_time(contents[:1], 4)


def test_clocks() -> None:
    slow, shifted = at_speed(0.25), at_speed(0.5, start=8)
    assert [slow(t) for t in (0, 4)] == [0, 1] and [shifted(t) for t in (8, 10)] == [8, 9]
    clock = remapped([(1, 2), (3, 6), (4, 0)])
    assert [clock(t) for t in (0, 1, 2, 3, 3.5, 4, 5)] == [2, 2, 4, 6, 3, 0, 1]
    still = remapped([(0, 3)])
    assert still(0) == still(100) == 3


@pytest.mark.parametrize("points", [[], [(0, 0), (0, 1)], [(2, 0), (1, 1)], [(0, -1)]])
def test_impossible_clocks_are_refused(points: list[tuple[float, float]]) -> None:
    with pytest.raises(StyleganvError, match="remapped video"):
        remapped(points)
    with pytest.raises(StyleganvError, match="speed"):
        at_speed(-1)


def test_slow_motion_is_the_same_video_at_a_higher_rate(plain: VideoGenerator) -> None:
    latents = latents_of(plain, 1)
    slow = frames_of(plain, latents, clock=at_speed(0.25), seconds=0.8, fps=25)
    assert np.array_equal(slow, frames_of(plain, latents, seconds=0.2, fps=100))
    frozen = frames_of(plain, latents, clock=remapped([(0, 1.0)]))
    assert (frozen == frozen[0]).all()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("edit") / "model")


def decoded(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def test_the_verb_edits_shows_beside_and_keeps(folder: Path, plain: VideoGenerator, tmp_path: Path) -> None:
    found = tmp_path / "found.safetensors"
    main(["directions", str(folder), "--out", str(found), "--count", "3", "--samples", "50", "--device", "cpu"])
    assert found.with_suffix(".png").is_file()
    out, kept = tmp_path / "edited.mp4", tmp_path / "kept.safetensors"
    words = f"edit {folder} --out {out} --seed 3 --motion-seed 4 --psi 0.8 --mix 5:2-3 --seconds 0.4 --device cpu"
    main(
        [*words.split(), "--direction", f"{found}:1=2@0-2;{found}:2=-1", "--side-by-side", "--save-latents", str(kept)]
    )
    assert decoded(out).shape == (10, 16, 2 * 16 + 2, 3)
    latents = open_latents(plain, kept)
    expected = mixed(latents_of(plain, 3, psi=0.8), latents_of(plain, 5, psi=0.8), [2, 3])
    assert torch.equal(latents.styles[4:] - expected.styles[4:], (latents.styles - expected.styles)[[5, 5]])
    assert not torch.allclose(latents.styles[0] - expected.styles[0], latents.styles[5] - expected.styles[5])
    assert latents.motion.seed == 4
    again = edit(
        folder,
        tmp_path / "again.gif",
        content=kept,
        sample=SampleOptions(seconds=0.4),
        compute=ComputeOptions(device="cpu"),
    )
    assert again.is_file()


def test_the_verb_changes_content_and_speed(folder: Path, plain: VideoGenerator, tmp_path: Path) -> None:
    out = edit(
        folder,
        tmp_path / "a.mp4",
        content=1,
        edits=EditOptions(interpolate_to=[2, 1], speed=0.5),
        sample=SampleOptions(seconds=0.8),
        compute=ComputeOptions(device="cpu"),
        output=OutputOptions(scale=2, crf=0),
    )
    video = decoded(out)
    assert video.shape == (20, 32, 32, 3)
    first = frames_of(plain, latents_of(plain, 1), seconds=0.04)[0]
    assert np.abs(video[0, ::2, ::2].astype(int) - first).mean() < 3  # what yuv420p costs


@pytest.mark.parametrize(
    "words, told",
    [
        ("--mix 7", "--mix 7 cannot be read"),
        ("--mix 7:9", "no style layer 9"),
        ("--mix 7:4-2", "Layers cannot be read"),
        ("--seed nowhere", "nowhere is neither a seed nor a file"),
        ("--motion-seed nowhere", "nowhere is neither a seed nor a file"),
        ("--interpolate-to 2,x", "x is neither a seed nor a file"),
        ("--direction a.safetensors", "--direction a.safetensors cannot be read"),
        ("--direction a.safetensors:1=2", "The directions a.safetensors cannot be read"),
        ("--speed -1", "speed -1"),
        ("--speed 2 --time-map 0:0", "give one of them"),
        ("--time-map 0:0,x", "--time-map 0:0,x cannot be read"),
        ("--scale 0", "Scale cannot be 0"),
        ("--text green --clip-model nowhere --crf 99", "CRF of 99"),
        ("--text green --clip-model nowhere --start -1", "start at -1"),
        ("--label 2", "no classes"),
    ],
)
def test_mistakes_are_told_in_one_sentence(
    words: str, told: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And nothing is written, nor searched for, before."""
    places = f"--out {tmp_path / 'x.mp4'} --save-latents {tmp_path / 'kept.safetensors'}"
    with pytest.raises(SystemExit) as ended:
        main([*f"edit {folder} {places} --seconds 0.2 --device cpu".split(), *words.split()])
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert ended.value.code == 1 and told in error and not list(tmp_path.iterdir())


def test_motion_of_another_seed_is_of_the_contents_class(classes: VideoGenerator, tmp_path: Path) -> None:
    """As in `generate`; a label that is given is that of both."""
    model = save(tmp_path / "model", num_classes=3)
    motion_seed = next(seed for seed in range(9) if classes.class_of(seed) != classes.class_of(2))
    for label in (None, "class1"):
        kept = tmp_path / "kept.safetensors"
        edit(
            model,
            tmp_path / "a.mp4",
            content=2,
            motion=motion_seed,
            sample=SampleOptions(seconds=0.1, label=label),
            compute=ComputeOptions(device="cpu"),
            latents_out=kept,
        )
        expected = latents_of(classes, 2, motion_seed=motion_seed, label=label)
        found = open_latents(classes, kept)
        assert found.motion == expected.motion and torch.equal(found.styles, expected.styles)
