"""Directions: planted ones are recovered, named, saved, and change every video alike."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny import save

from styleganv.cli import main
from styleganv.editing.direction_search import compute_motion_effect, draw_directions, find_directions
from styleganv.editing.directions import (
    Directions,
    find_principal_directions,
    find_scored_direction,
    load_directions,
    sample_latents,
    save_directions,
)
from styleganv.editing.explore import PAGE_FILES, explore
from styleganv.editing.latents import latents_from_seed, render_latents
from styleganv.editing.scores import SCORES, load_annotations
from styleganv.errors import StyleganvError
from styleganv.methods.stylegan_v.motion import Motion
from styleganv.methods.stylegan_v.sampler import VideoGenerator
from styleganv.methods.stylegan_v.synthesis import ModulatedConv
from styleganv.nn import modulated_conv2d
from styleganv.options import DirectionOptions


def draw_samples(scales: list[float], count: int = 4000) -> tuple[torch.Tensor, torch.Tensor]:
    """Samples with known principal directions `[D, D]` (rows) and standard deviations."""
    torch.manual_seed(0)
    axes = torch.linalg.qr(torch.randn(len(scales), len(scales)))[0].T
    return torch.randn(count, len(scales)) * torch.tensor(scales) @ axes + 5, axes


def test_principal_directions_of_known_samples() -> None:
    scales = [5.0, 3.0, 1.0, 0.5]
    samples, axes = draw_samples(scales)
    directions = find_principal_directions(samples, 3, "content")
    assert directions.names == ("1", "2", "3")
    assert (directions.vectors @ axes.T).abs().diag().min() > 0.999
    assert torch.allclose(directions.scale, torch.tensor(scales[:3]), rtol=0.05)
    assert torch.allclose(directions.share, torch.tensor(scales[:3]) ** 2 / sum(s**2 for s in scales), atol=0.02)
    values, vectors = np.linalg.eigh(np.cov(samples.double().numpy().T))  # a direct computation
    assert np.allclose(directions.scale.numpy() ** 2, values[::-1][:3], rtol=1e-5)
    assert np.allclose(np.abs(directions.vectors.numpy() @ vectors[:, ::-1][:, :3]), np.eye(3), atol=1e-4)


def test_the_effect_ranks_directions_of_equal_variance() -> None:
    samples, axes = draw_samples([1.0, 1.0, 1.0, 1.0])
    effect = samples @ torch.stack([10 * axes[2], axes[0]], dim=1)
    directions = find_principal_directions(samples, 4, "motion", effect)
    assert len(directions.names) == 2  # the effect has two dimensions
    assert (directions.vectors[0] @ axes[2]).abs() > 0.99 and (directions.vectors[1] @ axes[0]).abs() > 0.97
    assert torch.allclose(directions.scale, torch.ones(2), rtol=0.05) and directions.share[0] > 0.98


@pytest.mark.parametrize("kind", ["plain", "lstm"])
def test_the_effect_of_motion_is_that_on_the_first_convolution(kind: str, request: pytest.FixtureRequest) -> None:
    generator = request.getfixturevalue(kind).generator
    conv = generator.synthesis.blocks[0].conv1
    assert isinstance(conv, ModulatedConv)
    torch.manual_seed(0)
    codes = torch.randn(3, 16)
    v = generator.motion.encoding.align(codes) if kind == "plain" else codes
    with torch.inference_mode():
        style = conv.affine(generator.mapping.w_mean[None])
        with_motion, without = (
            modulated_conv2d(generator.synthesis.input(each, 0), conv.weight, style)
            for each in (v, torch.zeros_like(v))
        )
    inside = (with_motion - without)[:, :, 1:-1, 1:-1]  # at the border part of the kernel covers padding
    expected = compute_motion_effect(request.getfixturevalue(kind), codes)[:, :, None, None].expand_as(inside)
    assert torch.allclose(inside, expected, atol=1e-5) and expected.abs().max() > 1e-3


def test_planted_scores_and_labels_are_recovered() -> None:
    samples, axes = draw_samples([1.0, 1.0, 1.0, 1.0])
    directions = find_scored_direction(samples, samples @ axes[1] * 3 + 7, "score", "content")
    assert directions.vectors[0] @ axes[1] > 0.99 and torch.allclose(directions.scale, torch.ones(1), rtol=0.05)
    labels = (samples @ axes[2] > 5 * axes[2].sum()).float()
    assert find_scored_direction(samples, labels, "label", "content").vectors[0] @ axes[2] > 0.99
    with pytest.raises(StyleganvError, match="same brightness"):
        find_scored_direction(samples, torch.ones(len(samples)), "brightness", "content")


@pytest.mark.parametrize("space", ["content", "motion"])
@pytest.mark.parametrize("kind", ["plain", "classes", "lstm"])
def test_samples_are_the_latents_of_the_seeds(space: str, kind: str, request: pytest.FixtureRequest) -> None:
    video: VideoGenerator = request.getfixturevalue(kind)
    directions = sample_latents(video, space, [4, 9, 4])  # type: ignore[arg-type]
    assert torch.allclose(directions[0], directions[2], atol=1e-6) and not torch.allclose(
        directions[0], directions[1], atol=1e-3
    )
    if space == "content":
        assert torch.allclose(directions[1], latents_from_seed(video, 9).styles[0], atol=1e-6)
    elif isinstance(video.generator.motion, Motion):
        motion = video.generator.motion
        label = torch.eye(3)[[video.label_from_seed(9)]] if kind == "classes" else None
        noise = latents_from_seed(video, 9).motion.slot_noise(motion.noise_dim)
        code = motion.compute_codes(
            torch.zeros(1, dtype=torch.long), torch.arange(motion.lookahead_slots + 1)[None], noise, label
        )
        assert torch.allclose(directions[1], code[0, 0], atol=1e-6)


def test_a_direction_applies_at_all_times(plain: VideoGenerator) -> None:
    latents = latents_from_seed(plain, 2)
    content, motion = (
        find_directions(plain, DirectionOptions(space=space, num_directions=2, num_samples=40))  # type: ignore[arg-type]
        for space in ("content", "motion")
    )
    moved = content.apply(latents, "2", 1.5)
    step = 1.5 * content.scale[1] * content.vectors[1]
    assert torch.allclose(moved.styles - latents.styles, step.expand_as(latents.styles), atol=1e-6)
    assert moved.motion is latents.motion
    some = content.apply(latents, "2", 1.5, [0, 3])
    assert (some.styles != latents.styles).any(dim=1).tolist() == [True, False, False, True, False, False]
    twice = motion.apply(motion.apply(latents, "1", 1), "1", 2)
    assert twice.motion.shift is not None and torch.equal(twice.styles, latents.styles)
    assert torch.allclose(twice.motion.shift, 3 * motion.scale[0] * motion.vectors[0], atol=1e-6)
    for start in (0.0, 4000.0):
        before = np.stack(list(render_latents(plain, latents, start=start, seconds=0.2)))
        after = np.stack(list(render_latents(plain, twice, start=start, seconds=0.2)))
        assert (before != after).any(axis=(1, 2, 3)).all()
    with pytest.raises(StyleganvError, match="Unknown direction '7': choose one of 1, 2"):
        content.apply(latents, "7", 1)
    with pytest.raises(StyleganvError, match="has no layers"):
        motion.apply(latents, "1", 1, [0])


def test_a_score_increases_along_its_direction(plain: VideoGenerator) -> None:
    directions = find_directions(plain, DirectionOptions(num_samples=60, score="brightness"))
    assert directions.names == ("brightness",)

    def brightness(seed: int, strength: float) -> float:
        moved = directions.apply(latents_from_seed(plain, seed), "brightness", strength)
        return SCORES["brightness"](np.stack(list(render_latents(plain, moved, seconds=0.2))))

    higher = [brightness(seed, 1.5) > brightness(seed, -1.5) for seed in range(100, 110)]
    assert sum(higher) >= 9


@pytest.mark.parametrize("score", SCORES)
def test_scores_measure_what_their_names_say(score: str) -> None:
    dark = np.full((4, 8, 8, 3), 20, np.uint8)
    changed = dark.copy()
    if score == "brightness":
        changed += 50
    elif score == "contrast":
        changed[:, ::2] += 50
    elif score == "motion":
        changed[1::2] += 50
    else:
        changed[..., {"red": 0, "green": 1, "blue": 2, "saturation": 1}[score]] += 50
    assert SCORES[score](changed) > SCORES[score](dark)


def test_annotations_of_two_names_numbers_and_more_names(plain: VideoGenerator, tmp_path: Path) -> None:
    path = tmp_path / "annotations.csv"
    path.write_text("seed,what\n1,round\n2, square\n3,round\n")
    assert load_annotations(path) == ([1, 2, 3], {"round to square": [0, 1, 0]})
    directions = find_directions(plain, DirectionOptions(annotations=path))
    w = sample_latents(plain, "content", [1, 2, 3])
    expected = torch.nn.functional.normalize(w[1] - (w[0] + w[2]) / 2, dim=0)
    assert torch.allclose(directions.vectors[0], expected, atol=1e-5)  # the difference of the means
    path.write_text("1,0.5\n2,3\n9,-1\n")
    assert load_annotations(path) == ([1, 2, 9], {"score": [0.5, 3, -1]})
    path.write_text("1,a\n2,b\n3,c\n4,a\n")
    assert find_directions(plain, DirectionOptions(annotations=path)).names == ("a", "b", "c")
    path.write_bytes(b"\xef\xbb\xbf1,0.5\n2,3\n9,-1\n")  # byte order mark of spreadsheets
    assert load_annotations(path)[0] == [1, 2, 9]


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "seed,label"),
        ("1,a\n2,b\n", "seed,label"),
        ("1\n2\n3\n", "seed,label"),
        ("1,a\nx,b\n3,c\n", "seed,label"),
        ("1,a:b\n2,c\n3,c\n", "'a:b' .* cannot name"),
        ("1,a\n2,\n3,c\n", "'' .* cannot name"),
        ("1,nan\n2,1\n3,2\n", "not finite"),
    ],
)
def test_invalid_annotations_fail(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "annotations.csv").write_text(text)
    with pytest.raises(StyleganvError, match=message):
        load_annotations(tmp_path / "annotations.csv")
    with pytest.raises(StyleganvError, match="Cannot read annotations"):
        load_annotations(tmp_path / "none.csv")


def test_saved_and_loaded(plain: VideoGenerator, tmp_path: Path) -> None:
    directions = find_directions(plain, DirectionOptions(space="motion", num_directions=3, num_samples=30))
    save_directions(tmp_path / "d.safetensors", directions)
    again = load_directions(plain, tmp_path / "d.safetensors")
    assert (again.space, again.names) == (directions.space, directions.names) and torch.equal(
        again.vectors, directions.vectors
    )
    save_directions(tmp_path / "wide.safetensors", replace(directions, vectors=torch.ones(3, 99)))
    with pytest.raises(StyleganvError, match="do not match this model"):
        load_directions(plain, tmp_path / "wide.safetensors")
    (tmp_path / "text.safetensors").write_text("hello")
    with pytest.raises(StyleganvError, match="Cannot read directions"):
        load_directions(plain, tmp_path / "text.safetensors")


@pytest.mark.parametrize(
    "broken",
    [
        {"vectors": torch.ones(16)},
        {"vectors": torch.full((2, 16), torch.nan)},
        {"scale": torch.ones(1)},
        {"names": ("1",)},
        {"space": "time"},
    ],
    ids=lambda broken: next(iter(broken)),
)
def test_a_broken_file_fails(broken: dict[str, Any], plain: VideoGenerator, tmp_path: Path) -> None:
    intact = Directions("content", torch.eye(2, 16), torch.ones(2), torch.ones(2), ("1", "2"))
    save_directions(tmp_path / "d.safetensors", intact)
    assert load_directions(plain, tmp_path / "d.safetensors").names == ("1", "2")
    save_directions(tmp_path / "d.safetensors", replace(intact, **broken), overwrite=True)
    with pytest.raises(StyleganvError, match=r"Cannot read directions .*d\.safetensors"):
        load_directions(plain, tmp_path / "d.safetensors")


@pytest.mark.parametrize(
    "options, message",
    [
        ({"score": "beauty"}, "Unknown score 'beauty': choose one of brightness"),
        ({"num_samples": 2}, "--num-samples must be an integer from 3 to"),
        ({"num_directions": 0}, "--num-directions must be an integer of at least 1"),
        ({"space": "time"}, "--space must be one of content, motion, got 'time'"),
        ({"score": "red", "annotations": "a.csv"}, "--score and --annotations exclude each other"),
        ({"text": "a", "score": "red"}, "--score and --text exclude each other"),
        ({"text": "a", "space": "motion"}, "--text requires --space content"),
        ({"source_text": "a"}, "--source-text requires --text"),
    ],
)
def test_invalid_options_fail(options: dict[str, Any], message: str, plain: VideoGenerator) -> None:
    with pytest.raises(StyleganvError, match=message):
        find_directions(plain, DirectionOptions(**{"num_samples": 10} | options))


def test_an_image_model_has_no_directions_of_motion(image: VideoGenerator) -> None:
    with pytest.raises(StyleganvError, match="got an image model"):
        find_directions(image, DirectionOptions(space="motion", num_samples=10))


def test_scoring_reports_progress_and_can_be_canceled(plain: VideoGenerator) -> None:
    reports = []

    def cancel(done: int, total: int, stage: str) -> None:
        reports.append((done, total, stage))
        if done == 2:
            raise RuntimeError("cancelled")

    with pytest.raises(RuntimeError, match="cancelled"):
        find_directions(plain, DirectionOptions(score="red", num_samples=5), progress=cancel)
    assert reports == [(done, 5, "scoring red") for done in range(3)]


def test_the_image_shows_each_direction_at_both_ends(plain: VideoGenerator) -> None:
    zero = Directions("content", torch.zeros(1, 16), torch.ones(1), torch.ones(1), ("nothing",))
    first = find_directions(plain, DirectionOptions(num_directions=1, num_samples=30))
    sheets = [draw_directions(plain, each, seed=0) for each in (zero, first)]
    cells = [
        [sheet[52:116, left : left + 64] for left in range(sheet.shape[1] - 10 - 7 * 74 + 10, 9999, 74)][:7]
        for sheet in sheets
    ]
    assert all(np.array_equal(cell, cells[0][0]) for cell in cells[0])
    assert not np.array_equal(cells[1][0], cells[1][6])


@pytest.mark.parametrize("kind", [pytest.param("plain", marks=pytest.mark.slow), "image"])
def test_the_page_contains_every_figure(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("styleganv.editing.explore.SECONDS", 0.2)
    video: VideoGenerator = request.getfixturevalue(kind)
    written = explore(video, tmp_path / "explored", num_samples=30, num_directions=2)
    names = {path.name for path in written}
    assert all(path.is_file() for path in written)
    assert ("motion-directions.png" in names) == ("slow-motion.mp4" in names) == (kind == "plain")
    page = written[0].read_text()
    figures = [name for name in names if name.endswith((".png", ".mp4"))]
    assert page.count("data:image/png") + page.count("data:video/mp4") == len(figures)
    assert "://" not in page.split("</style>")[1]  # no external resources
    assert names <= set(PAGE_FILES)
    with pytest.raises(StyleganvError, match=r"explored already exists.*--overwrite"):
        explore(video, tmp_path / "explored", num_samples=30)
    explore(video, tmp_path / "explored", num_samples=30, num_directions=2, overwrite=True)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("mine")
    (tmp_path / "mine" / "index.html").write_text("mine")
    for path in (tmp_path / "mine", tmp_path / "mine" / "thesis.txt"):
        with pytest.raises(StyleganvError, match=r"contains other files|is not a folder"):
            explore(video, path, num_samples=30)
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "mine"


def test_the_command_writes_a_file_and_an_image(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = save(tmp_path / "model")
    main(["directions", str(folder), "--out", str(tmp_path / "red.safetensors"), "--score=red", "--num-samples=10"])
    output = capsys.readouterr()
    assert "Wrote directions red to" in output.out and (tmp_path / "red.png").is_file()
    assert "scoring red: 100%" in output.err
    for arguments, message in (
        ([str(tmp_path / "nowhere")], "nowhere is not a model"),
        ([str(folder), "--out", str(tmp_path / "x.png")], "--out must end with .safetensors"),
        ([str(folder), "--text", "a", "--score", "red"], "exclude each other"),
    ):
        with pytest.raises(SystemExit):
            main(["directions", "--out", str(tmp_path / "x.safetensors"), *arguments])
        assert message in capsys.readouterr().err and not list(tmp_path.glob("x.*"))
