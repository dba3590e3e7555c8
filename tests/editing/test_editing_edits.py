"""Edits: their extremes equal the originals, untouched parts stay, and they apply at all times."""

import math
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from tiny import save

from styleganv.cli import main
from styleganv.editing.edit import edit
from styleganv.editing.edits import (
    constant_speed,
    interpolate,
    interpolate_over_time,
    mix_styles,
    piecewise_linear,
)
from styleganv.editing.latents import Latents, latents_from_seed, load_latents, render_latents, save_latents
from styleganv.errors import StyleganvError
from styleganv.media.enlarging import enlarge
from styleganv.methods.stylegan_v.sampler import VideoGenerator
from styleganv.options import ComputeOptions, EditOptions, LatentsOptions, OutputOptions, SampleOptions, StyleMix


def frames_of(video: VideoGenerator, latents: Latents, **more: object) -> np.ndarray:
    return np.stack(list(render_latents(video, latents, **({"seconds": 0.4} | more))))  # type: ignore[arg-type]


def test_mixing_all_layers_gives_the_other_content_and_none_the_first(plain: VideoGenerator) -> None:
    a, b = latents_from_seed(plain, 1), latents_from_seed(plain, 2)
    all_mixed = mix_styles(a, b, range(len(a.styles)))
    assert np.array_equal(frames_of(plain, all_mixed), frames_of(plain, replace(b, motion=a.motion)))
    assert np.array_equal(frames_of(plain, mix_styles(a, b, [])), frames_of(plain, a))
    fine = mix_styles(a, b, [len(a.styles) - 1])
    assert torch.equal(fine.styles[:-1], a.styles[:-1]) and torch.equal(fine.styles[-1], b.styles[-1])
    assert not torch.equal(a.styles[-1], b.styles[-1])  # and the original is unchanged


def test_time_map_beyond_recurrent_motion_fails(lstm: VideoGenerator) -> None:
    latents = latents_from_seed(lstm, 1)
    with pytest.raises(StyleganvError, match="0 to 800 seconds, got 900"):
        frames_of(lstm, latents, time_map=piecewise_linear([(0, 900)]))


@pytest.mark.parametrize("layer", [-1, 6])
def test_unknown_layer_fails(layer: int, plain: VideoGenerator) -> None:
    latents = latents_from_seed(plain, 1)
    assert len(latents.styles) == 6
    with pytest.raises(StyleganvError, match=rf"Unknown style layer {layer}: choose 0 \(coarsest\) to 5"):
        mix_styles(latents, latents, [layer])


def test_interpolation_ends_at_the_originals(plain: VideoGenerator) -> None:
    a, b = latents_from_seed(plain, 1), latents_from_seed(plain, 2)
    assert torch.equal(interpolate(a, b, 0).styles, a.styles)
    assert torch.equal(interpolate(a, b, 1).styles, b.styles)
    assert torch.allclose(interpolate(a, b, 0.25).styles, 0.75 * a.styles + 0.25 * b.styles)
    assert interpolate(a, b, 0.5).motion is a.motion


def test_interpolation_over_time_passes_through_all_contents_smoothly(plain: VideoGenerator) -> None:
    contents = [latents_from_seed(plain, seed) for seed in (1, 2, 3)]
    styles_at = interpolate_over_time(contents, 4, start=10)
    for time, styles in zip((0, 10, 12, 14, 99), (contents[i].styles for i in (0, 0, 1, 2, 2)), strict=True):
        assert torch.allclose(styles_at(time), styles, atol=1e-6)
    assert torch.allclose(styles_at(11), (contents[0].styles + contents[1].styles) / 2, atol=1e-6)
    step = 1e-3  # smoothstep: the rate of change is 0 at each content, and nothing jumps
    at_content, between = ((styles_at(t + step) - styles_at(t)).abs().max() for t in (12, 11))
    assert at_content < 1e-5 < between
    with pytest.raises(StyleganvError, match="at least 2 latents"):
        interpolate_over_time(contents[:1], 4)


def test_time_maps() -> None:
    slow, shifted = constant_speed(0.25), constant_speed(0.5, start=8)
    assert [slow(t) for t in (0, 4)] == [0, 1] and [shifted(t) for t in (8, 10)] == [8, 9]
    time_map = piecewise_linear([(1, 2), (3, 6), (4, 0)])
    assert [time_map(t) for t in (0, 1, 2, 3, 3.5, 4, 5)] == [2, 2, 4, 6, 3, 0, 1]
    frozen = piecewise_linear([(0, 3)])
    assert frozen(0) == frozen(100) == 3


@pytest.mark.parametrize("points", [[], [(0, 0), (0, 1)], [(2, 0), (1, 1)], [(0, -1)], [(0, math.nan)]])
def test_invalid_time_maps_fail(points: list[tuple[float, float]]) -> None:
    with pytest.raises(StyleganvError, match=r"time.map"):
        piecewise_linear(points)
    with pytest.raises(StyleganvError, match="--speed must be a finite number of at least 0"):
        constant_speed(-1)


def test_slow_motion_is_the_same_video_at_a_higher_rate(plain: VideoGenerator) -> None:
    latents = latents_from_seed(plain, 1)
    slow = frames_of(plain, latents, time_map=constant_speed(0.25), seconds=0.8, fps=25)
    assert np.array_equal(slow, frames_of(plain, latents, seconds=0.2, fps=100))
    frozen = frames_of(plain, latents, time_map=piecewise_linear([(0, 1.0)]))
    assert (frozen == frozen[0]).all()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("edit") / "model")


def decoded(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def test_command_edits_compares_and_saves_latents(folder: Path, plain: VideoGenerator, tmp_path: Path) -> None:
    directions_path = tmp_path / "found.safetensors"
    main(f"directions {folder} --out {directions_path} --num-directions 3 --num-samples 50 --device cpu".split())
    assert directions_path.with_suffix(".png").is_file()
    out, saved = tmp_path / "edited.mp4", tmp_path / "saved.safetensors"
    arguments = f"edit {folder} --out {out} --seed 3 --motion-seed 4 --psi 0.8 --mix 5:2-3 --seconds 0.4 --device cpu"
    main(
        [
            *arguments.split(),
            "--direction",
            f"{directions_path}:1=2@0-2;{directions_path}:2=-1",
            "--side-by-side",
            "--save-latents",
            str(saved),
        ]
    )
    assert decoded(out).shape == (10, 16 * 16, 16 * (2 * 16 + 2), 3)
    latents = load_latents(plain, saved)
    expected = mix_styles(latents_from_seed(plain, 3, psi=0.8), latents_from_seed(plain, 5, psi=0.8), [2, 3])
    assert torch.equal(latents.styles[4:] - expected.styles[4:], (latents.styles - expected.styles)[[5, 5]])
    assert not torch.allclose(latents.styles[0] - expected.styles[0], latents.styles[5] - expected.styles[5])
    assert latents.motion.seed == 4
    again = edit(
        folder,
        tmp_path / "again.gif",
        latents=LatentsOptions(latents=saved),
        sample=SampleOptions(seconds=0.4),
        compute=ComputeOptions(device="cpu"),
    )
    assert again.is_file()


def test_content_and_speed_change_over_time(folder: Path, plain: VideoGenerator, tmp_path: Path) -> None:
    out = edit(
        folder,
        tmp_path / "a.mp4",
        latents=LatentsOptions(seed=1),
        edits=EditOptions(interpolate_to=[2, 1], speed=0.5),
        sample=SampleOptions(seconds=0.8),
        compute=ComputeOptions(device="cpu"),
        output=OutputOptions(scale=4, crf=0),
    )
    video = decoded(out)
    assert video.shape == (20, 64, 64, 3)
    first = frames_of(plain, latents_from_seed(plain, 1), seconds=0.04)[0]
    assert np.abs(video[0].astype(int) - enlarge(first, 4)).mean() < 3  # the error of yuv420p


@pytest.mark.parametrize(
    "arguments, message",
    [
        ("--mix 7", "Cannot read --mix 7"),
        ("--mix file:0", "Cannot read --mix file:0"),
        ("--mix 7:9", "Unknown style layer 9"),
        ("--mix 7:4-2", "Cannot read layers"),
        ("--mix-latents nowhere:0", "nowhere not found"),
        ("--latents nowhere", "nowhere not found"),
        ("--motion-latents nowhere", "nowhere not found"),
        ("--interpolate-to 2,x", "Cannot read --interpolate-to"),
        ("--interpolate-to-latents nowhere", "nowhere not found"),
        ("--seed 1 --latents nowhere", "--seed and --latents exclude each other"),
        ("--motion-seed 1 --motion-latents nowhere", "--motion-seed and --motion-latents exclude each other"),
        ("--direction a.safetensors", "Cannot read --direction a.safetensors"),
        ("--direction a.safetensors:1=2", "Cannot read directions a.safetensors"),
        ("--speed -1", "got -1"),
        ("--speed 2 --time-map 0:0", "--speed and --time-map exclude each other"),
        ("--time-map 0:0,x", "Cannot read --time-map 0:0,x"),
        ("--scale 0", "--scale must be an integer from 1 to 64, got 0"),
        ("--text green --clip-model nowhere --crf 99", "--crf must be an integer from 0 to 51, got 99"),
        ("--text green --clip-model nowhere --start -1", "got -1"),
        ("--label 2", "no classes"),
    ],
)
def test_errors_are_one_sentence_and_come_before_any_work(
    arguments: str, message: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is written or searched for before them."""
    paths = f"--out {tmp_path / 'x.mp4'} --save-latents {tmp_path / 'saved.safetensors'}"
    with pytest.raises(SystemExit) as ended:
        main([*f"edit {folder} {paths} --seconds 0.2 --device cpu".split(), *arguments.split()])
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert ended.value.code == 1 and message in error and not list(tmp_path.iterdir())


def test_motion_of_another_seed_has_the_class_of_the_content(classes: VideoGenerator, tmp_path: Path) -> None:
    """Like in `generate`; a given label applies to both."""
    model = save(tmp_path / "model", num_classes=3)
    motion_seed = next(seed for seed in range(9) if classes.label_from_seed(seed) != classes.label_from_seed(2))
    for label in (None, "class1"):
        saved = tmp_path / "saved.safetensors"
        edit(
            model,
            tmp_path / "a.mp4",
            latents=LatentsOptions(seed=2, motion_seed=motion_seed),
            sample=SampleOptions(seconds=0.1, label=label),
            compute=ComputeOptions(device="cpu"),
            output=OutputOptions(overwrite=True),
            latents_out=saved,
        )
        expected = latents_from_seed(classes, 2, motion_seed=motion_seed, label=label)
        latents = load_latents(classes, saved)
        assert latents.motion == expected.motion and torch.equal(latents.styles, expected.styles)


def test_latents_files_give_content_motion_mixes_and_interpolation(
    folder: Path, plain: VideoGenerator, tmp_path: Path
) -> None:
    save_latents(tmp_path / "a.safetensors", latents_from_seed(plain, 1, motion_seed=8))
    save_latents(tmp_path / "b.safetensors", latents_from_seed(plain, 2, motion_seed=9))
    a, b, saved = (tmp_path / f"{name}.safetensors" for name in ("a", "b", "saved"))
    arguments = f"edit {folder} --out {tmp_path / 'x.mp4'} --latents {a} --motion-latents {b} --mix-latents {b}:2-3"
    arguments += f" --interpolate-to 3 --interpolate-to-latents {b} --seconds 0.2 --save-latents {saved} --device cpu"
    main(arguments.split())
    expected = mix_styles(latents_from_seed(plain, 1), latents_from_seed(plain, 2), [2, 3])
    latents = load_latents(plain, saved)
    assert torch.equal(latents.styles, expected.styles) and latents.motion.seed == 9


@pytest.mark.parametrize("content", [3, "file"])
def test_psi_truncates_seeds_and_latents_files_alike(
    content: int | str, folder: Path, plain: VideoGenerator, tmp_path: Path
) -> None:
    file, saved = tmp_path / "file.safetensors", tmp_path / "saved.safetensors"
    save_latents(file, latents_from_seed(plain, 3))
    edit(
        folder,
        tmp_path / "a.mp4",
        latents=LatentsOptions(seed=3) if content == 3 else LatentsOptions(latents=file),
        edits=EditOptions(mixes=[StyleMix(3 if content == 3 else file, [0])]),
        sample=SampleOptions(seconds=0.1, psi=0.5),
        compute=ComputeOptions(device="cpu"),
        latents_out=saved,
    )
    expected = latents_from_seed(plain, 3, psi=0.5)
    assert torch.allclose(load_latents(plain, saved).styles, expected.styles, atol=1e-6)


def test_an_exception_in_the_callback_cancels_and_leaves_no_file(folder: Path, tmp_path: Path) -> None:
    reports = []

    def cancel(done: int, total: int, stage: str) -> None:
        reports.append((done, total, stage))
        if done == 3:
            raise RuntimeError("cancelled")

    with pytest.raises(RuntimeError, match="cancelled"):
        edit(folder, tmp_path / "a.mp4", sample=SampleOptions(seconds=0.4), progress=cancel)
    assert reports == [(done, 10, "generating") for done in range(4)] and not list(tmp_path.iterdir())
