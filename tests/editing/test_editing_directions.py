"""Directions: those planted are found again, named, kept, and do the same to every video."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny import save

from styleganv.cli import main
from styleganv.editing.directions import (
    Directions,
    directions_sheet,
    find_directions,
    load_directions,
    motion_effect,
    principal_directions,
    sample_latents,
    save_directions,
    scored_direction,
)
from styleganv.editing.explore import explore
from styleganv.editing.latents import latents_of, play
from styleganv.editing.scores import SCORES, read_labels
from styleganv.errors import StyleganvError
from styleganv.methods.stylegan_v.motion import Motion
from styleganv.methods.stylegan_v.sampler import VideoGenerator
from styleganv.methods.stylegan_v.synthesis import ModulatedConv
from styleganv.nn import modulated_conv2d


def spread(scales: list[float], count: int = 4000) -> tuple[torch.Tensor, torch.Tensor]:
    """Samples with known principal directions `[D, D]` (rows) and standard deviations."""
    torch.manual_seed(0)
    axes = torch.linalg.qr(torch.randn(len(scales), len(scales)))[0].T
    return torch.randn(count, len(scales)) * torch.tensor(scales) @ axes + 5, axes


def test_principal_directions_of_known_samples() -> None:
    scales = [5.0, 3.0, 1.0, 0.5]
    samples, axes = spread(scales)
    found = principal_directions(samples, 3, "content")
    assert found.names == ("1", "2", "3")
    assert (found.vectors @ axes.T).abs().diag().min() > 0.999
    assert torch.allclose(found.scale, torch.tensor(scales[:3]), rtol=0.05)
    assert torch.allclose(found.share, torch.tensor(scales[:3]) ** 2 / sum(s**2 for s in scales), atol=0.02)
    values, vectors = np.linalg.eigh(np.cov(samples.double().numpy().T))  # the obvious twin
    assert np.allclose(found.scale.numpy() ** 2, values[::-1][:3], rtol=1e-5)
    assert np.allclose(np.abs(found.vectors.numpy() @ vectors[:, ::-1][:, :3]), np.eye(3), atol=1e-4)


def test_the_effect_tells_which_of_equal_directions_matter() -> None:
    samples, axes = spread([1.0, 1.0, 1.0, 1.0])
    effect = samples @ torch.stack([10 * axes[2], axes[0]], dim=1)
    found = principal_directions(samples, 4, "motion", effect)
    assert len(found.names) == 2  # the effect has no more
    assert (found.vectors[0] @ axes[2]).abs() > 0.99 and (found.vectors[1] @ axes[0]).abs() > 0.97
    assert torch.allclose(found.scale, torch.ones(2), rtol=0.05) and found.share[0] > 0.98


@pytest.mark.parametrize("kind", ["plain", "lstm"])
def test_the_effect_of_motion_is_what_the_first_convolution_gets(kind: str, request: pytest.FixtureRequest) -> None:
    generator = request.getfixturevalue(kind).generator
    conv = generator.synthesis.blocks[0].conv1
    assert isinstance(conv, ModulatedConv)
    torch.manual_seed(0)
    codes = torch.randn(3, 16)
    v = generator.motion.encoding.align(codes) if kind == "plain" else codes
    with torch.inference_mode():
        style = conv.affine(generator.mapping.w_mean[None])
        moved, still = (
            modulated_conv2d(generator.synthesis.input(each, 0), conv.weight, style)
            for each in (v, torch.zeros_like(v))
        )
    inside = (moved - still)[:, :, 1:-1, 1:-1]  # at the border some of the kernel sees nothing
    expected = motion_effect(request.getfixturevalue(kind), codes)[:, :, None, None].expand_as(inside)
    assert torch.allclose(inside, expected, atol=1e-5) and expected.abs().max() > 1e-3


def test_a_planted_score_and_labels_are_found_again() -> None:
    samples, axes = spread([1.0, 1.0, 1.0, 1.0])
    found = scored_direction(samples, samples @ axes[1] * 3 + 7, "score", "content")
    assert found.vectors[0] @ axes[1] > 0.99 and torch.allclose(found.scale, torch.ones(1), rtol=0.05)
    labels = (samples @ axes[2] > 5 * axes[2].sum()).float()
    assert scored_direction(samples, labels, "label", "content").vectors[0] @ axes[2] > 0.99
    with pytest.raises(StyleganvError, match="same brightness"):
        scored_direction(samples, torch.ones(len(samples)), "brightness", "content")


@pytest.mark.parametrize("space", ["content", "motion"])
@pytest.mark.parametrize("kind", ["plain", "classes", "lstm"])
def test_samples_are_the_latents_of_their_seeds(space: str, kind: str, request: pytest.FixtureRequest) -> None:
    video: VideoGenerator = request.getfixturevalue(kind)
    found = sample_latents(video, space, [4, 9, 4])  # type: ignore[arg-type]
    assert torch.allclose(found[0], found[2], atol=1e-6) and not torch.allclose(found[0], found[1], atol=1e-3)
    if space == "content":
        assert torch.allclose(found[1], latents_of(video, 9).styles[0], atol=1e-6)
    elif isinstance(video.generator.motion, Motion):
        motion = video.generator.motion
        label = torch.eye(3)[[video.class_of(9)]] if kind == "classes" else None
        noise = latents_of(video, 9).motion.slot_noise(motion.noise_dim)
        code = motion.codes(torch.zeros(1, dtype=torch.long), torch.arange(motion.reach + 1)[None], noise, label)
        assert torch.allclose(found[1], code[0, 0], atol=1e-6)


def test_a_direction_changes_every_moment_alike(plain: VideoGenerator) -> None:
    latents = latents_of(plain, 2)
    content, motion = (find_directions(plain, space, count=2, samples=40) for space in ("content", "motion"))
    moved = content.moved(latents, "2", 1.5)
    step = 1.5 * content.scale[1] * content.vectors[1]
    assert torch.allclose(moved.styles - latents.styles, step.expand_as(latents.styles), atol=1e-6)
    assert moved.motion is latents.motion
    some = content.moved(latents, "2", 1.5, [0, 3])
    assert (some.styles != latents.styles).any(dim=1).tolist() == [True, False, False, True, False, False]
    twice = motion.moved(motion.moved(latents, "1", 1), "1", 2)
    assert twice.motion.shift is not None and torch.equal(twice.styles, latents.styles)
    assert torch.allclose(twice.motion.shift, 3 * motion.scale[0] * motion.vectors[0], atol=1e-6)
    for start in (0.0, 4000.0):
        before = np.stack(list(play(plain, latents, start=start, seconds=0.2)))
        after = np.stack(list(play(plain, twice, start=start, seconds=0.2)))
        assert (before != after).any(axis=(1, 2, 3)).all()
    with pytest.raises(StyleganvError, match="no direction '7': choose one of 1, 2"):
        content.moved(latents, "7", 1)
    with pytest.raises(StyleganvError, match="has no layers"):
        motion.moved(latents, "1", 1, [0])


def test_a_score_rises_along_its_direction(plain: VideoGenerator) -> None:
    found = find_directions(plain, "content", samples=60, score="brightness")
    assert found.names == ("brightness",)

    def brightness(seed: int, strength: float) -> float:
        moved = found.moved(latents_of(plain, seed), "brightness", strength)
        return SCORES["brightness"](np.stack(list(play(plain, moved, seconds=0.2))))

    higher = [brightness(seed, 1.5) > brightness(seed, -1.5) for seed in range(100, 110)]
    assert sum(higher) >= 9


@pytest.mark.parametrize("score", SCORES)
def test_scores_say_what_they_are_called(score: str) -> None:
    dark = np.full((4, 8, 8, 3), 20, np.uint8)
    much = dark.copy()
    if score == "brightness":
        much += 50
    elif score == "contrast":
        much[:, ::2] += 50
    elif score == "motion":
        much[1::2] += 50
    else:
        much[..., {"red": 0, "green": 1, "blue": 2, "saturation": 1}[score]] += 50
    assert SCORES[score](much) > SCORES[score](dark)


def test_labels_as_a_person_writes_them(plain: VideoGenerator, tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("seed,what\n1,round\n2, square\n3,round\n")
    assert read_labels(path) == ([1, 2, 3], {"round to square": [0, 1, 0]})
    found = find_directions(plain, "content", labels=path)
    w = sample_latents(plain, "content", [1, 2, 3])
    expected = torch.nn.functional.normalize(w[1] - (w[0] + w[2]) / 2, dim=0)
    assert torch.allclose(found.vectors[0], expected, atol=1e-5)  # the difference of the means
    path.write_text("1,0.5\n2,3\n9,-1\n")
    assert read_labels(path) == ([1, 2, 9], {"score": [0.5, 3, -1]})
    path.write_text("1,a\n2,b\n3,c\n4,a\n")
    assert find_directions(plain, "content", labels=path).names == ("a", "b", "c")
    path.write_bytes(b"\xef\xbb\xbf1,0.5\n2,3\n9,-1\n")  # as spreadsheets begin a file
    assert read_labels(path)[0] == [1, 2, 9]


@pytest.mark.parametrize(
    "text, told",
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
def test_labels_that_say_nothing_are_refused(text: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(StyleganvError, match=told):
        read_labels(tmp_path / "labels.csv")
    with pytest.raises(StyleganvError, match="cannot be read"):
        read_labels(tmp_path / "none.csv")


def test_kept_in_a_file(plain: VideoGenerator, tmp_path: Path) -> None:
    found = find_directions(plain, "motion", count=3, samples=30)
    save_directions(tmp_path / "d.safetensors", found)
    again = load_directions(plain, tmp_path / "d.safetensors")
    assert (again.space, again.names) == (found.space, found.names) and torch.equal(again.vectors, found.vectors)
    save_directions(tmp_path / "wide.safetensors", replace(found, vectors=torch.ones(3, 99)))
    with pytest.raises(StyleganvError, match="of another model"):
        load_directions(plain, tmp_path / "wide.safetensors")
    (tmp_path / "text.safetensors").write_text("hello")
    with pytest.raises(StyleganvError, match="cannot be read"):
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
def test_a_broken_file_is_told(broken: dict[str, Any], plain: VideoGenerator, tmp_path: Path) -> None:
    whole = Directions("content", torch.eye(2, 16), torch.ones(2), torch.ones(2), ("1", "2"))
    save_directions(tmp_path / "d.safetensors", whole)
    assert load_directions(plain, tmp_path / "d.safetensors").names == ("1", "2")
    save_directions(tmp_path / "d.safetensors", replace(whole, **broken))
    with pytest.raises(StyleganvError, match=r"d\.safetensors cannot be read .*: find them again"):
        load_directions(plain, tmp_path / "d.safetensors")


def test_what_cannot_be_found_is_said(image: VideoGenerator, plain: VideoGenerator) -> None:
    with pytest.raises(StyleganvError, match="no motion"):
        find_directions(image, "motion", samples=10)
    with pytest.raises(StyleganvError, match="no score 'beauty': choose one of brightness"):
        find_directions(plain, score="beauty", samples=10)
    with pytest.raises(StyleganvError, match="3 samples"):
        find_directions(plain, samples=2)
    with pytest.raises(StyleganvError, match="give one of them"):
        find_directions(plain, score="red", labels="labels.csv")


def test_a_sheet_shows_each_direction_at_both_ends(plain: VideoGenerator) -> None:
    still = Directions("content", torch.zeros(1, 16), torch.ones(1), torch.ones(1), ("nothing",))
    moving = find_directions(plain, "content", count=1, samples=30)
    sheets = [directions_sheet(plain, each, seed=0) for each in (still, moving)]
    cells = [
        [sheet[52:116, left : left + 64] for left in range(sheet.shape[1] - 10 - 7 * 74 + 10, 9999, 74)][:7]
        for sheet in sheets
    ]
    assert all(np.array_equal(cell, cells[0][0]) for cell in cells[0])
    assert not np.array_equal(cells[1][0], cells[1][6])


@pytest.mark.parametrize("kind", ["plain", "image"])
def test_the_page_holds_every_picture(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    video: VideoGenerator = request.getfixturevalue(kind)
    written = explore(video, tmp_path / "explored", samples=30, components=2)
    names = {path.name for path in written}
    assert all(path.is_file() for path in written)
    assert ("motion-directions.png" in names) == ("slow-motion.mp4" in names) == (kind == "plain")
    page = written[0].read_text()
    pictures = [name for name in names if name.endswith((".png", ".mp4"))]
    assert page.count("data:image/png") + page.count("data:video/mp4") == len(pictures)
    assert "://" not in page.split("</style>")[1]  # nothing from outside
    explore(video, tmp_path / "explored", samples=30, components=2)  # again, in its own folder
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    (tmp_path / "mine" / "index.html").write_text("a page of one's own")
    for place in (tmp_path / "mine", tmp_path / "mine" / "thesis.txt"):
        with pytest.raises(StyleganvError, match="holds other things"):
            explore(video, place, samples=30)
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"


def test_the_verbs_say_what_they_wrote(
    plain: VideoGenerator, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:

    folder = save(tmp_path / "model")
    main(["directions", str(folder), "--out", str(tmp_path / "red.safetensors"), "--score=red", "--samples=10"])
    assert "red.safetensors: red\nPicture:" in capsys.readouterr().out and (tmp_path / "red.png").is_file()
    for words, told in (
        ([str(tmp_path / "nowhere")], "nowhere is not a model"),
        ([str(folder), "--out", str(tmp_path / "x.png")], "end its name with .safetensors"),
        ([str(folder), "--text", "a", "--score", "red"], "leave out --score"),
        ([str(folder), "--source-text", "a"], "give --text too"),
    ):
        with pytest.raises(SystemExit):
            main(["directions", "--out", str(tmp_path / "x.safetensors"), *words])
        assert told in capsys.readouterr().err and not list(tmp_path.glob("x.*"))
