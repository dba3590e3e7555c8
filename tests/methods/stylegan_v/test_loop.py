"""Seamless loops: the frame at the end is the first one exactly, and nothing jumps at the seam."""

from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny import save

from styleganv.cli import main
from styleganv.editing.edits import piecewise_linear
from styleganv.errors import StyleganvError
from styleganv.methods.loading import load
from styleganv.methods.stylegan_v.loop import MotionLoop
from styleganv.methods.stylegan_v.motion import make_code_function
from styleganv.methods.stylegan_v.multiscale_noise import FilterBank
from styleganv.methods.stylegan_v.sampler import VideoGenerator, load_video_generator
from styleganv.noise import SeededNoise

KINDS: list[dict[str, Any]] = [
    {},
    {"motion_path": "bspline"},
    {"motion_noise": "multiscale"},
    {"motion_path": "bspline", "motion_noise": "multiscale"},
    {"amplitude": False, "slot_distance": 6.3, "motion_path": "bspline"},
]


@pytest.fixture(scope="module", params=KINDS, ids=str)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> VideoGenerator:
    return load_video_generator(save(tmp_path_factory.mktemp("loop") / "model", **request.param), device="cpu")


@pytest.mark.parametrize(
    "start, duration, num_slots, length",
    [(0, 40, 5, 40), (3, 43.9, 5, 40), (17, 44.1, 6, 48), (8, 0.1, 1, 8), (1e7 + 1, 40, 5, 40)],
)
def test_a_circle_has_whole_slots_and_the_nearest_length(
    start: float, duration: float, num_slots: int, length: float
) -> None:
    loop = MotionLoop(start, duration, 8)
    assert (loop.num_slots, loop.length, loop.first_slot) == (num_slots, length, start // 8)
    assert [loop.time(start + k * duration) for k in range(4)] == [start] * 4
    at = [loop.time(start + duration * k / 100) for k in range(100)]
    assert loop.first_slot * 8 <= min(at) and max(at) < loop.first_slot * 8 + length
    assert max(b - a for a, b in pairwise(at)) == pytest.approx(length / 100, abs=1e-5)  # one speed on all of it


@pytest.mark.parametrize("num_slots", [1, 2, 3, 7])
@pytest.mark.parametrize("start", [0.0, 21.0])
def test_codes_are_continuous_at_the_seam(model: VideoGenerator, num_slots: int, start: float) -> None:
    motion = model._motion
    assert motion is not None and model.slot_distance is not None
    loop = MotionLoop(start, num_slots * model.slot_distance, model.slot_distance)
    code = make_code_function(motion, SeededNoise([3], 16), None, loop=loop)  # type: ignore[arg-type]
    first, last = loop.first_slot * model.slot_distance, loop.first_slot * model.slot_distance + loop.length
    assert torch.allclose(code(last - 1e-9), code(first), atol=1e-6)
    slope = [(code(t + 1e-3) - code(t)).norm() / 1e-3 for t in np.linspace(first, last - 1e-3, 50)]
    assert (code(first) - code(last - 1e-3)).norm() / 1e-3 <= 1.01 * max(slope)


@pytest.mark.parametrize("seconds, fps, start", [(2.0, 25, 0.0), (0.7, 30, 4.2), (3.33, 7, 1000.25)])
def test_a_loop_ends_where_it_starts(model: VideoGenerator, seconds: float, fps: float, start: float) -> None:
    total = round(seconds * fps)
    loop = model.sample(seed=3, start=start, seconds=seconds, fps=fps, loop=True)
    assert len(loop) == total
    # The loop from a frame later on is the same one, turned.
    circle = model.close_loop(start, start + total / fps)
    assert circle is not None
    code_at = model.code_function(3, None, None, circle)
    assert code_at is not None
    times = [circle.time((start + k / fps) * model.fps) for k in range(2 * total)]
    assert times[:total] == times[total:]
    again = list(model.frames(model.styles_from_seed(3), iter(times[total:]), code_at))
    np.testing.assert_array_equal(again, loop)
    steps = np.abs(np.diff(np.concatenate([loop, loop[:1]]).astype(float), axis=0)).mean(axis=(1, 2, 3))
    assert steps[-1] <= 1.5 * steps[:-1].max()


def test_a_whole_number_of_slots_keeps_the_speed(tmp_path: Path) -> None:
    """With one slot per code, noise of a long loop is that of the video but for what looks ahead over the seam."""
    model = load_video_generator(save(tmp_path / "model", slot_distance=1.0), device="cpu")
    loop = model.sample(seed=5, seconds=4, loop=True)
    video = model.sample(seed=5, seconds=4)
    np.testing.assert_array_equal(loop[: 100 - 22], video[: 100 - 22])
    assert (loop[-1] != video[-1]).any()


def test_filtered_periodic_noise_has_unit_variance() -> None:
    bank = FilterBank(64)
    white = torch.randn(4000, 3, 64, generator=torch.Generator().manual_seed(0))
    filtered = bank(white.repeat(1, 43, 1), 3)[:, 0]
    assert (filtered.var(dim=0) - 1).abs().max() < 0.15
    torch.testing.assert_close(bank(white[:2].repeat(1, 43, 1)), bank(white[:2].repeat(1, 43, 1), 129))


def test_a_time_map_can_loop_but_not_backward(tmp_path: Path) -> None:
    model = load_video_generator(save(tmp_path / "model"), device="cpu")
    styles = model.styles_from_seed(1)
    fast = list(model.render(styles, 1, time_map=lambda t: 2 * t, seconds=1.6, loop=True))
    slow = list(model.render(styles, 1, seconds=3.2, loop=True))
    np.testing.assert_array_equal(fast, slow[::2])
    frozen = list(model.render(styles, 1, time_map=lambda _: 0.5, seconds=0.4, loop=True))
    np.testing.assert_array_equal(frozen, [frozen[0]] * 10)
    with pytest.raises(StyleganvError, match="runs forward, got 2 to 1 seconds"):
        model.render(styles, 1, time_map=piecewise_linear([(0, 2), (1, 1)]), seconds=1, loop=True)
    with pytest.raises(StyleganvError, match="A loop requires a duration"):
        next(islice(model.stream(seed=0, loop=True), 1))


def test_what_cannot_be_closed_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = save(tmp_path / "lstm", motion="lstm")
    with pytest.raises(StyleganvError, match="Videos of this StyleGAN-V model cannot be closed to a loop"):
        load(folder, device="cpu").stream(seed=0, seconds=1, loop=True)
    with pytest.raises(SystemExit):
        main(["generate", str(folder), "--out", str(tmp_path / "out"), "--loop", "--device", "cpu"])
    assert "cannot be closed to a loop" in capsys.readouterr().err and not (tmp_path / "out").exists()
    image = load(save(tmp_path / "image", motion="none"), device="cpu")
    frames = image.sample(seed=0, seconds=0.2, loop=True)
    np.testing.assert_array_equal(frames, [frames[0]] * 5)


def test_commands_write_loops(tmp_path: Path) -> None:
    folder, span = str(save(tmp_path / "model")), ["--seconds", "0.96", "--loop", "--device", "cpu"]
    main(["generate", folder, "--out", str(tmp_path / "out"), "--seeds", "3", "--format", "frames", *span])
    main(["edit", folder, "--out", str(tmp_path / "edit.webp"), "--seed", "3", "--interpolate-to", "4", *span])
    assert len(list((tmp_path / "out" / "seed0003-loop").iterdir())) == 24 and (tmp_path / "edit.webp").is_file()
