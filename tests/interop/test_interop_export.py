"""Exported files compared with the model: any number of videos, times and slots, early and late."""

import logging
import re
import runpy
import subprocess
import sys
import warnings
from collections.abc import Callable
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from tiny import FPS, save

from styleganv import noise
from styleganv.errors import StyleganvError
from styleganv.interop.export import export
from styleganv.interop.program import build_programs
from styleganv.methods.stylegan_v.pretrained import load_generator
from styleganv.methods.stylegan_v.sampler import load_video_generator
from styleganv.model_folder import save_model

pytestmark = pytest.mark.slow
DOCUMENT = (Path(__file__).parents[2] / "docs" / "export.md").read_text()
EXAMPLES = Path(__file__).parents[2] / "examples"
#: Slot distance that is not exact in float32.
CONDITIONAL = {"num_classes": 3, "height": 8, "width": 12, "slot_distance": 12.3, "motion_kernel": 3}

#: The programs of `mine.onnx`, as PyTorch's exporter returned them.
TRACED: list[Any] = []


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Export `mine`, class-conditional and not square, in both formats; save the image model `images`."""
    folder = tmp_path_factory.mktemp("exports")
    mine = save(folder / "mine", **CONDITIONAL)
    save(folder / "images", motion="none", height=8, width=8)
    export_onnx = torch.onnx.export

    def remember(*args: Any, **options: Any) -> Any:
        TRACED.append(export_onnx(*args, **options))
        return TRACED[-1]

    with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
        warnings.simplefilter("error")
        patch.setattr(torch.onnx, "export", remember)
        for suffix in (".onnx", ".pt2"):
            export(mine, folder / f"mine{suffix}")
    return folder


def inputs_of(video: "VideoOf", seconds: list[list[float]]) -> dict[str, np.ndarray]:
    """Return inputs for seeds 0, 1, … at different times, with noise from the slot of the earliest time on."""
    times = np.array(seconds) * FPS
    first = (times.min(axis=1) // video.motion.slot_distance).astype(np.int64)
    slots = int((times.max(axis=1) // video.motion.slot_distance - first).max()) + video.motion.window_slots
    drawn = [[noise.normal(s, noise.MOTION, f + i, 16) for i in range(slots)] for s, f in enumerate(first.tolist())]
    labels = np.eye(3, dtype=np.float32)[np.arange(len(times)) % 3]
    return {"times": times, "motion_noise": np.array(drawn), "first_slot": first, "label": labels}


class VideoOf:
    """The model's own videos at any time in seconds."""

    def __init__(self, path: Path) -> None:
        self.video = load_video_generator(path, device="cpu")
        self.motion = self.video.generator.motion

    def frames(self, seed: int, seconds: float, label: int | None) -> np.ndarray:
        return self.video.sample(seed=seed, start=seconds, seconds=0.01, label=label, psi=0.7)[0]


SECONDS = {
    "one": [[0.3]],
    "several": [[0.0, 0.1, 2.6, 1.0], [7.0, 7.5, 7.25, 7.1], [0.3, 0.2, 0.1, 0.0]],
    "far": [[40_000.0, 40_000.02]],  # a million frames
}


@pytest.mark.parametrize("seconds", SECONDS.values(), ids=SECONDS)
@pytest.mark.parametrize("suffix", [".onnx", ".pt2"])
def test_seeds_give_the_frames_of_the_model(suffix: str, seconds: list[list[float]], folder: Path) -> None:
    """Compare frames from z through both files with those of `generate`."""
    video = VideoOf(folder / "mine")
    count = len(seconds)
    inputs = inputs_of(video, seconds)
    z = np.stack([noise.normal(seed, noise.CONTENT, 0, 16) for seed in range(count)])
    psi = np.full(count, 0.7, np.float32)
    styles = run(folder / f"mine-mapping{suffix}", {"z": z, "psi": psi, "label": inputs["label"]})
    frames = run(folder / f"mine{suffix}", {"styles": styles} | inputs)
    assert frames.shape == (count, len(seconds[0]), 3, 8, 12)
    for b, row in enumerate(seconds):
        for t, second in enumerate(row):
            expected = video.frames(b, second, b % 3)
            # Half a level is the rounding to uint8.
            levels = (frames[b, t] * 127.5 + 127.5).clip(0, 255).transpose(1, 2, 0)
            assert np.abs(levels - expected).max() <= 0.5 + 127.5e-3


@cache
def opened(file: Path) -> Callable[[dict[str, np.ndarray]], np.ndarray]:
    if file.suffix == ".onnx":
        session = onnxruntime.InferenceSession(file)
        return lambda inputs: session.run(None, inputs)[0]
    program = torch.export.load(file).module()
    return lambda inputs: program(*[torch.from_numpy(value) for value in inputs.values()]).detach().numpy()


def run(file: Path, inputs: dict[str, np.ndarray]) -> np.ndarray:
    return opened(file)(inputs)


def test_far_times_are_exact(folder: Path) -> None:
    """At ten million frames, where a phase in float32 would be wrong by radians."""
    video = VideoOf(folder / "mine")
    inputs = inputs_of(video, [[400_000.0, 400_000.5]])
    generator, _ = load_generator(folder / "mine")
    styles = torch.randn(1, generator.synthesis.num_styles, 16, generator=torch.Generator().manual_seed(0))
    frames = run(folder / "mine.onnx", {"styles": styles.numpy()} | inputs)
    label = torch.from_numpy(inputs["label"])
    codes = generator.motion.double()(torch.from_numpy(inputs["times"]), noise.SeededNoise([0], 16), label)
    assert np.abs(frames - generator.synthesis(styles, codes.float()).numpy()).max() < 1e-4


@pytest.mark.parametrize("late", [-100.0, 100.0])
def test_a_time_outside_the_window_is_an_error(late: float, folder: Path) -> None:
    video = VideoOf(folder / "mine")
    inputs = inputs_of(video, [[40.0]])
    inputs["times"] = inputs["times"] + late
    styles = np.zeros((1, video.video.generator.synthesis.num_styles, 16), np.float32)
    for suffix in (".onnx", ".pt2"):
        with pytest.raises(Exception, match=r"[Oo]ut of|bounds"):
            run(folder / f"mine{suffix}", {"styles": styles} | inputs)


def test_metadata_of_the_files(folder: Path) -> None:
    model = onnx.load(folder / "mine.onnx")
    onnx.checker.check_model(model, full_check=True)
    metadata = {each.key: each.value for each in model.metadata_props}
    assert metadata["class_names"] == '["class0", "class1", "class2"]' and metadata["slot_distance"] == "12.3"
    shapes = {each.name: each.shape for each in onnxruntime.InferenceSession(folder / "mine.onnx").get_inputs()}
    assert shapes["times"] == ["videos", "times"] and shapes["motion_noise"] == ["videos", "slots", 16]
    extra = {"styleganv.json": ""}
    torch.export.load(folder / "mine.pt2", extra_files=extra)
    assert '"fps": "25"' in extra["styleganv.json"]


def test_a_spline_between_motion_codes(tmp_path: Path) -> None:
    """The exported program, before any exporter, at the first and the last times of its window."""
    video = VideoOf(save(tmp_path / "spline", motion_path="bspline"))
    generator, seconds = video.video.generator, [[0.0, 0.3, 2.0], [4000.0, 4000.7, 4001.9]]
    inputs = {name: torch.from_numpy(value) for name, value in inputs_of(video, seconds).items() if name != "label"}
    styles = torch.stack([video.video.styles_from_seed(seed) for seed in (0, 1)])
    program = build_programs(generator)[1]
    codes = deepcopy(generator.motion).double()(inputs["times"], noise.SeededNoise([0, 1], 16))
    torch.testing.assert_close(program(styles, **inputs), generator.synthesis(styles, codes.float()), atol=1e-4, rtol=0)


@pytest.mark.parametrize("suffix", [".pt2", pytest.param(".onnx", marks=pytest.mark.long)])
def test_an_image_model(suffix: str, folder: Path, tmp_path: Path) -> None:
    export(folder / "images", tmp_path / f"images{suffix}")
    video = load_video_generator(folder / "images", device="cpu")
    styles = torch.stack([video.styles_from_seed(seed) for seed in (0, 1, 2)]).numpy()
    frames = run(tmp_path / f"images{suffix}", {"styles": styles})
    for seed, image in enumerate(frames[:, 0]):
        expected = video.sample(seed=seed, seconds=0.01)[0]
        levels = (image * 127.5 + 127.5).clip(0, 255).transpose(1, 2, 0)
        assert np.abs(levels - expected).max() <= 0.5 + 127.5e-3


def test_the_example_of_the_document_needs_only_onnxruntime(folder: Path) -> None:
    match = re.search(r"<!-- test: onnxruntime -->\n```python\n(.*?)```", DOCUMENT, re.DOTALL)
    assert match
    code = match[1] + "\nimport sys\nassert 'torch' not in sys.modules\nnp.savez('seen', begin, next_day)\n"
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    video = load_video_generator(folder / "mine", device="cpu")
    for seen, start, rate in zip(np.load(folder / "seen.npz").values(), (0, 86400), (2, 50), strict=True):
        expected = video.sample(seed=0, motion_seed=1, label=0, start=start, seconds=len(seen) / rate, fps=rate)
        assert np.abs(seen.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("name", ["onnx", "torch_export"])
def test_the_players_need_only_their_runtime(name: str, folder: Path, tmp_path: Path) -> None:
    """Each gets the frames of the model for the numbers that it draws."""
    player = EXAMPLES / f"{name}_player.py"
    imported = {line.split()[1] for line in player.read_text().splitlines() if line.startswith(("import", "from"))}
    assert imported <= {"json", "sys", "numpy", "onnxruntime", "torch"}
    generator, _ = load_generator(folder / "mine")
    mapping, video = build_programs(generator)
    slots = int(49 // 12.3) + generator.motion.window_slots
    label, times = torch.eye(1, 3), torch.arange(50.0, dtype=torch.float64)[None]
    if name == "onnx":
        run_player(player, folder / "mine.onnx", tmp_path / "frames.npy")
        frames, random = np.load(tmp_path / "frames.npy"), np.random.default_rng(0)
        z, drawn = (torch.from_numpy(random.standard_normal(s, np.float32)) for s in ((1, 16), (1, slots, 16)))
    else:
        run_player(player, folder / "mine.pt2", tmp_path / "frames.pt")
        frames, seeded = torch.load(tmp_path / "frames.pt").numpy(), torch.Generator().manual_seed(0)
        z, drawn = (torch.randn(size, generator=seeded) for size in ((1, 16), (1, slots, 16)))
    with torch.no_grad():
        styles = mapping(z, torch.tensor([0.8]), label)
        expected = video(styles, times, drawn, torch.zeros(1, dtype=torch.int64), label)[0]
    assert frames.dtype == np.uint8 and frames.shape == (50, 8, 12, 3)
    levels = (expected * 127.5 + 127.5).clamp(0, 255).permute(0, 2, 3, 1).numpy()
    assert np.abs(frames - levels).max() <= 0.5 + 127.5e-3 and np.ptp(frames) > 50


def run_player(player: Path, *arguments: Path) -> None:
    """Run an example in this process, as importing PyTorch takes seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [str(player), *map(str, arguments)])
        runpy.run_path(str(player), run_name="__main__")


def test_a_file_that_differs_is_discarded(folder: Path, tmp_path: Path) -> None:
    """Weights are so large that float32 sums differ by more than the limit; the old file is unchanged."""
    generator, config = load_generator(folder / "images")
    with torch.no_grad():
        for block in generator.synthesis.blocks:
            block.to_rgb.weight *= 1e6
    save_model(tmp_path / "wild", generator, data=config["data"], training={})
    (tmp_path / "wild.pt2").write_bytes(b"earlier")
    with pytest.raises(StyleganvError, match=r"wild\.pt2 was discarded because it differs"):
        export(tmp_path / "wild", tmp_path / "wild.pt2", overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["wild", "wild.pt2"]
    assert (tmp_path / "wild.pt2").read_bytes() == b"earlier"


def test_unsupported_exports(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StyleganvError, match=r"LSTM .* conv or none"):
        export(save(tmp_path / "lstm", motion="lstm"), tmp_path / "x.onnx")
    with pytest.raises(StyleganvError, match=r"\.onnx or \.pt2"):
        export(folder / "mine", tmp_path / "x.tflite")
    with pytest.raises(StyleganvError, match="is not a model"):
        export(tmp_path / "nothing", tmp_path / "x.onnx")
    monkeypatch.setitem(sys.modules, "onnxscript", None)  # as if it were not installed
    with pytest.raises(StyleganvError, match=r"onnxscript: run pip install 'styleganv\[export\]'"):
        export(folder / "mine", tmp_path / "x.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["lstm"]
    assert logging.getLogger("torch.onnx").level == logging.NOTSET


@pytest.mark.parametrize("suffix", [".onnx", ".pt2"])
def test_a_full_disk_and_existing_files_are_reported(
    suffix: str, folder: Path, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    traced = iter(TRACED)  # tracing takes seconds, and writes nothing
    monkeypatch.setattr(torch.onnx, "export", lambda *_, **__: next(traced))
    (small_disk / "filler").write_bytes(bytes(200_000))
    with pytest.raises(StyleganvError, match="the disk is full"):
        export(folder / "mine", small_disk / f"mine{suffix}")
    assert [path.name for path in small_disk.iterdir()] == ["filler"]
    (small_disk / f"mine-mapping{suffix}").write_text("another's")
    with pytest.raises(StyleganvError, match=r"mine-mapping\S+ already exists.*--overwrite"):
        export(small_disk / "no-model", small_disk / f"mine{suffix}")
    (small_disk / f"folder{suffix}").mkdir()
    with pytest.raises(StyleganvError, match="is a folder"):
        export(small_disk / "no-model", small_disk / f"folder{suffix}", overwrite=True)
