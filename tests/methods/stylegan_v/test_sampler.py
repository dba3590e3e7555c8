"""Sampling: a frame depends only on its seeds and its time."""

import math
import re
import shutil
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny import FPS, save

from styleganv import noise
from styleganv.errors import StyleganvError
from styleganv.methods.loading import load
from styleganv.methods.stylegan_v.config import GeneratorConfig
from styleganv.methods.stylegan_v.generator import Generator
from styleganv.methods.stylegan_v.mapping import compute_label_means
from styleganv.methods.stylegan_v.sampler import CHUNK, VideoGenerator, buffer_chunks
from styleganv.options import ComputeOptions, OutputOptions, SampleOptions
from styleganv.video_files import generate

FAR = 1e7 / FPS


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("conv") / "model")


@pytest.fixture(scope="module")
def videos(folder: Path) -> VideoGenerator:
    return load(folder, device="cpu")


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("classes") / "model", num_classes=3, height=16, width=24)


@pytest.fixture(scope="module")
def spline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("spline") / "model", motion_path="bspline")


@pytest.fixture(scope="module")
def lstm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("lstm") / "model", motion="lstm")


def test_attributes(classes: Path) -> None:
    videos = load(classes)
    assert (videos.fps, videos.height, videos.width) == (FPS, 16, 24)
    assert videos.class_names == ["class0", "class1", "class2"]
    assert videos.config["generator"]["num_classes"] == 3


@pytest.mark.parametrize("kind", ["folder", "classes", "spline", "lstm"])
def test_frames_equal_those_of_the_generator(kind: str, request: pytest.FixtureRequest) -> None:
    videos = load(request.getfixturevalue(kind), device="cpu")
    label = 1 if videos.class_names else None
    sampled = videos.sample(seed=3, motion_seed=4, start=0.5, seconds=1, fps=30, psi=0.7, label=label)

    net = videos.generator
    times = 0.5 * FPS + torch.arange(30, dtype=torch.float64)[None] * FPS / 30
    slots = net.num_slots(float(times.max()))
    motion_noise = noise.SeededNoise([4], 16)(torch.zeros(1, dtype=torch.long), torch.arange(slots)[None])
    z = torch.from_numpy(noise.normal(3, noise.CONTENT, 0, 16))[None]
    with torch.no_grad():
        one_hot = None if label is None else torch.eye(3)[[label]]
        w = net.mapping(z, one_hot)
        mean = (
            net.mapping.w_mean
            if label is None
            else compute_label_means(net.mapping, torch.eye(net.num_classes)[[label]])
        )
        frames = net.synthesize(torch.lerp(mean, w, 0.7), times, motion_noise, one_hot)[0].permute(0, 2, 3, 1)
    unrounded = (frames * 127.5 + 127.5).clamp(0, 255).numpy()
    assert np.abs(sampled - unrounded).max() <= 0.5 + 127.5e-4
    assert sampled.dtype == np.uint8 and sampled.std() > 5
    assert (sampled[0] != sampled[-1]).any()


def test_a_frame_is_the_same_for_any_chunking_start_and_rate(videos: VideoGenerator) -> None:
    whole = videos.sample(seed=1, seconds=2, fps=50)
    assert len(whole) == 100
    np.testing.assert_array_equal(videos.sample(seed=1, seconds=2), whole[::2])
    np.testing.assert_array_equal(videos.sample(seed=1, start=0.22, seconds=0.3, fps=50), whole[11:26])
    np.testing.assert_array_equal(videos.sample(seed=1, start=1.1, seconds=0.01)[0], whole[55])
    np.testing.assert_array_equal(list(islice(videos.stream(seed=1, fps=50), 37)), whole[:37])
    np.testing.assert_array_equal(
        videos.sample(seed=1, seconds=1, fps=30), videos.sample(seed=1, seconds=1, fps=90)[::3]
    )


def test_seeds(videos: VideoGenerator) -> None:
    def sample(seed: int, motion_seed: int | None = None) -> np.ndarray:
        return videos.sample(seed=seed, motion_seed=motion_seed, seconds=0.4)

    np.testing.assert_array_equal(sample(1), sample(1, 1))
    assert (sample(1) != sample(2)).any()
    assert (sample(1) != sample(1, 2)).any() and (sample(1, 2) != sample(2)).any()
    grid = videos.grid([1, 2], [1, 2, 3], seconds=0.4)
    assert grid.shape == (3, 2, 10, 16, 16, 3)
    np.testing.assert_array_equal(grid[2, 1], sample(2, 3))


def test_classes(classes: Path) -> None:
    videos = load(classes)
    by_class = [videos.sample(seed=5, seconds=0.2, label=k) for k in range(3)]
    np.testing.assert_array_equal(videos.sample(seed=5, seconds=0.2, label="class2"), by_class[2])
    np.testing.assert_array_equal(videos.sample(seed=5, seconds=0.2, label="2"), by_class[2])
    assert (by_class[0] != by_class[1]).any()
    drawn = noise.uniform_integer(5, noise.CLASS, 3)
    np.testing.assert_array_equal(videos.sample(seed=5, seconds=0.2), by_class[drawn])


def test_far_times_are_continuous_and_exact(videos: VideoGenerator) -> None:
    """At t = 10⁷ frames, float32 phases would err by radians, and neighboring frames would be unrelated."""
    close = videos.sample(seed=1, start=FAR, seconds=8e-3 / FPS, fps=1000 * FPS).astype(int)
    assert np.abs(np.diff(close, axis=0)).max() <= 1
    smooth = videos.sample(seed=1, start=FAR, seconds=3 / FPS, fps=20 * FPS).astype(int)
    steps = np.abs(np.diff(smooth, axis=0)).mean(axis=(1, 2, 3))
    # Rounded phases would stay constant and then jump.
    assert steps.max() < 0.1 * steps.sum()
    two_seconds = videos.sample(seed=1, start=FAR, seconds=2).astype(int)
    assert np.abs(two_seconds[0] - two_seconds[-1]).max() > 20
    expected = videos.sample(seed=1, start=FAR, seconds=1)
    np.testing.assert_array_equal(videos.sample(seed=1, start=FAR - 11 / FPS, seconds=2)[11:36], expected)


def test_far_times_need_as_much_noise_as_near_ones(videos: VideoGenerator, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks: list[int] = []
    normal = noise.normal

    def counted(seed: int, stream: int, block: int, count: int) -> np.ndarray:
        blocks.append(block)
        return normal(seed, stream, block, count)

    monkeypatch.setattr(noise, "normal", counted)
    costs = []
    for start in (0, FAR):
        blocks.clear()
        videos.sample(seed=1, start=start, seconds=1)
        costs.append(len(blocks))
    assert costs[0] == costs[1] < 40


@pytest.mark.slow
def test_memory_does_not_grow_with_length(videos: VideoGenerator) -> None:
    peaks = []
    for frames in (200, 2000):
        tracemalloc.start()
        for _ in islice(videos.stream(seed=1), frames):
            pass
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # The frames would need 1.5 MB; the noise of the last 4096 slots is cached on purpose.
    assert peaks[1] < peaks[0] + 400_000, peaks


@pytest.fixture
def two_threads() -> Iterator[None]:
    """Work on two threads, and on one as before at the end."""
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(1)


def test_the_number_of_threads_changes_frames_by_one_level_at_most(two_threads: None) -> None:
    """Layers are wide enough for sums to be divided among threads; about one value in 100,000 differs."""
    torch.manual_seed(0)
    network = Generator(GeneratorConfig(64, 64)).eval().requires_grad_(False)

    def sample() -> np.ndarray:
        return VideoGenerator(network, fps=FPS, device="cpu").sample(seed=1, start=3600, seconds=0.3, psi=0.9)

    of_two = sample()
    torch.set_num_threads(1)
    of_one = sample()
    assert of_one.std() > 20
    assert np.abs(of_one.astype(int) - of_two).max() <= 1


def test_recurrent_motion(lstm: Path) -> None:
    videos = load(lstm)
    whole = videos.sample(seed=1, seconds=2, fps=50)
    np.testing.assert_array_equal(videos.sample(seed=1, start=0.2, seconds=1), whole[10:60:2])
    with pytest.raises(StyleganvError, match="within 800 seconds"):
        videos.stream(seed=1)


def test_the_frames_of_an_image_model_are_equal(tmp_path: Path) -> None:
    video = load(save(tmp_path / "model", motion="none")).sample(seed=1, seconds=0.4)
    assert video.shape == (10, 16, 16, 3) and (video == video[0]).all() and video.std() > 5


def test_bfloat16_is_close(folder: Path, videos: VideoGenerator) -> None:
    half = load(folder, device="cpu", precision="bfloat16").sample(seed=1, seconds=0.4).astype(int)
    exact = videos.sample(seed=1, seconds=0.4)
    assert 0 < np.abs(half - exact).mean() < 3


def damage(folder: Path, how: str) -> Path:
    """Return a damaged copy of a good model."""
    model = folder / "model"
    shutil.copytree(folder.parent / "good", model)
    weights = model / "model.safetensors"
    if how == "truncated":
        weights.write_bytes(weights.read_bytes()[: weights.stat().st_size // 2])
    elif how == "no weights":
        weights.unlink()
    elif how == "no fps":
        config = model / "config.json"
        config.write_text(config.read_text().replace('"fps"', '"speed"'))
    else:  # a field
        config = model / "config.json"
        config.write_text(re.sub(rf"{how}[.0-9]*", f"{how.split()[0]} NaN", config.read_text()))
    return model


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("truncated", "is damaged"),
        ("no weights", "is not a model"),
        ("no fps", "config.json: data.fps must be a finite number from 0.01 to 1000, got None"),
        ('"fps": 25', r"config.json: data.fps must be .* got nan"),
        ('"z_dim": 16', r"config.json: generator.z_dim must be an integer from 1 to 65536, got nan"),
    ],
)
def test_damaged_models(tmp_path: Path, folder: Path, how: str, message: str) -> None:
    shutil.copytree(folder, tmp_path / "good")
    (tmp_path / "bad").mkdir()
    with pytest.raises(StyleganvError, match=message) as caught:
        load(damage(tmp_path / "bad", how))
    assert is_one_sentence(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label": "dog"}, r"Unknown class dog: choose class0, class1, class2, or 0 to 2"),
        ({"label": 3}, "Unknown class 3"),
        ({"label": -1}, "Unknown class -1"),
        ({"start": -0.1}, "--start must be a finite number of at least 0, got -0.1"),
        ({"start": math.nan}, "got nan"),
        ({"start": 1e300}, "got 1e.300"),
        ({"fps": 0}, "--fps must be a finite number from 0.01 to 1000, got 0"),
        ({"fps": -25}, "--fps .* got -25"),
        ({"seconds": 0}, "--seconds .* got 0"),
        ({"seconds": math.inf}, "--seconds must be a finite number greater than 0, got inf"),
        ({"psi": math.nan}, "psi must be a finite number from -100 to 100, got nan"),
        ({"seeds": []}, "at least one seed"),
        ({"motion_seeds": [1, 2]}, "got 2 for 1"),
        ({"format": "avi"}, "--format must be one of mp4, .* got 'avi'"),
        ({"scale": 0}, "--scale must be an integer from 1 to 64, got 0"),
        ({"device": "abacus"}, "Device abacus is not available"),
        ({"precision": "float8"}, "--precision must be one of float32, bfloat16, got 'float8'"),
        ({"model": "nowhere"}, "nowhere is not a model"),
    ],
)
def test_invalid_arguments_fail_in_one_sentence(
    classes: Path, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(StyleganvError, match=message) as caught:
        kinds: dict[str, Any] = {"sample": SampleOptions, "compute": ComputeOptions, "output": OutputOptions}
        options = {
            name: kind(**{key: value for key, value in change.items() if key in kind.__annotations__})
            for name, kind in kinds.items()
        }
        options["sample"] = replace(options["sample"], seconds=change.get("seconds", 0.2))
        rest = {key: v for key, v in change.items() if not any(key in kind.__annotations__ for kind in kinds.values())}
        generate(**({"model": classes, "out": tmp_path / "out", "seeds": [0]} | options | rest))
    assert is_one_sentence(caught.value)
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


def test_label_for_a_model_without_classes(videos: VideoGenerator) -> None:
    with pytest.raises(StyleganvError, match="no classes"):
        videos.sample(seed=0, seconds=1, label="dog")


def is_one_sentence(error: Exception) -> bool:
    text = str(error).replace("e.g. ", "")
    return text.endswith(".") and "\n" not in text and ". " not in text


def test_a_number_names_a_class_where_names_are_numbers(tmp_path: Path) -> None:
    folder = save(tmp_path / "model", num_classes=3)
    config = folder / "config.json"
    config.write_text(config.read_text().replace("class0", "2").replace("class1", "5").replace("class2", "9"))
    model = load(folder, device="cpu")
    assert [model.choose_label(0, label) for label in ("2", 5, np.int64(9))] == [0, 1, 2]
    for label in (0, "1", 10, 2.0, True, "9" * 5000):
        with pytest.raises(
            StyleganvError, match=r"Unknown class .*: choose 2, 5, 9\.|--label must be text or an integer"
        ):
            model.choose_label(0, label)  # type: ignore[arg-type]
    assert model.labels.format(1) == "5"
    five = model.sample(seed=0, seconds=0.04, label=5)
    np.testing.assert_array_equal(five, model.sample(seed=0, seconds=0.04, label="5"))
    assert (five != model.sample(seed=0, seconds=0.04, label=2)).any()


def test_class_names_must_match_the_classes(tmp_path: Path) -> None:
    folder = save(tmp_path / "model", num_classes=3)
    config = folder / "config.json"
    config.write_text(re.sub(r'"class0",\s*', "", config.read_text()))
    with pytest.raises(StyleganvError, match="3 classes but 2 class names"):
        load(folder, device="cpu")


def test_rendering_equals_sampling_with_separate_content_and_motion(classes: Path) -> None:
    videos = load(classes)
    content = videos.styles_from_seed(3, label=1)
    rendered = np.stack(list(videos.render(content, 7, label=1, start=2.0, seconds=0.5)))
    np.testing.assert_array_equal(rendered, videos.sample(seed=3, motion_seed=7, label=1, start=2.0, seconds=0.5))
    with pytest.raises(StyleganvError, match="requires a class: pass a label"):
        next(videos.render(content, 7))


def test_changing_content_passes_through_its_first_and_last(videos: VideoGenerator) -> None:
    first, last = videos.styles_from_seed(0), videos.styles_from_seed(1)
    changing = np.stack(list(videos.render(lambda t: torch.lerp(first, last, min(t, 1.0)), 5, seconds=1.5)))
    for frame, seed in ((0, 0), (30, 1)):
        expected = videos.sample(seed=seed, motion_seed=5, seconds=1.5)[frame]
        assert np.abs(changing[frame].astype(int) - expected).max() <= 1  # folding changes the rounding
    assert np.abs(changing[10].astype(int) - changing[0]).max() > 1


def test_a_time_map_slows_and_reverses_motion(videos: VideoGenerator) -> None:
    content = videos.styles_from_seed(0)
    plain = videos.sample(seed=0, seconds=2.0)
    slow = np.stack(list(videos.render(content, 0, time_map=lambda t: t / 2, seconds=2.0)))
    np.testing.assert_array_equal(slow[::2], plain[:25])
    reversed_ = np.stack(list(videos.render(content, 0, time_map=lambda t: 1.0 - t, seconds=1.0)))
    np.testing.assert_array_equal(reversed_, plain[25:0:-1])
    with pytest.raises(StyleganvError, match=r"Motion time .* got -"):
        list(videos.render(content, 0, time_map=lambda t: -t, seconds=1.0))


def test_changed_weights_take_effect_while_a_stream_is_open(tmp_path: Path) -> None:
    video = load(save(tmp_path / "model"), device="cpu")
    assert isinstance(video, VideoGenerator)
    stream = video.stream(seed=0)
    before = next(stream)
    with torch.no_grad():
        for weight in video.generator.synthesis.parameters():
            weight.mul_(1.5)
    changed = video.sample(seed=0, seconds=0.2)
    fresh = VideoGenerator(video.generator, fps=video.fps, device="cpu")
    np.testing.assert_array_equal(changed, fresh.sample(seed=0, seconds=0.2))
    assert (changed[0] != before).any()


def test_parallel_streams_finish_their_chunk_before_others_compute() -> None:
    frames = iter(np.arange(CHUNK + 3))
    buffered = buffer_chunks(frames)
    assert next(buffered) == 0 and next(frames) == CHUNK
    assert list(buffered) == [*range(1, CHUNK), CHUNK + 1, CHUNK + 2]
