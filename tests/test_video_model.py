"""Loaded models as Python objects: printed, moved, copied and pickled, without side effects on the process."""

import copy
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from test_golden import METHOD_NAMES, build_config
from tiny import save

from styleganv import video_model
from styleganv.data.dataset import VideoDataset
from styleganv.errors import StyleganvError
from styleganv.methods import build_trainer
from styleganv.methods.loading import load
from styleganv.model_folder import save_model
from styleganv.video_model import Frame, VideoModel, choose_dtype

STATE = """
import logging, os, random, signal, sys, threading, warnings
import numpy, torch, styleganv
from styleganv.allocator import keep_freed_memory

def state():
    return {
        "threads": (torch.get_num_threads(), torch.get_num_interop_threads(), threading.active_count()),
        "defaults": (torch.get_default_dtype(), torch.get_default_device(), torch.is_grad_enabled()),
        "precision": torch.get_float32_matmul_precision(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "cudnn": (torch.backends.cudnn.enabled, torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic,
                  torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32),
        "random": (torch.get_rng_state().tolist(), str(numpy.random.get_state()), random.getstate()),
        "environment": dict(os.environ),
        "warnings": list(warnings.filters),
        "signals": {number: signal.getsignal(number) for number in signal.valid_signals()},
        "logging": (logging.root.level, list(logging.root.handlers), logging.root.manager.disable),
        "python": (os.getcwd(), list(sys.path), sys.excepthook, sys.getrecursionlimit()),
        "allocator": keep_freed_memory.cache_info().currsize,
    }

before = state()
model = styleganv.load(sys.argv[1], device="cpu")
changed = [name for name, value in state().items() if value != before[name]]
model.sample(seed=0, seconds=0.2)
changed += [name for name, value in state().items() if value != before[name]]
print(changed)
"""


@pytest.fixture(scope="module", params=METHOD_NAMES)
def model(request: pytest.FixtureRequest, faces: Path, tmp_path_factory: pytest.TempPathFactory) -> VideoModel:
    data, folder = VideoDataset(faces), tmp_path_factory.mktemp(request.param) / "model"
    network = build_trainer(build_config(request.param), data, torch.device("cpu")).inference_network()
    save_model(folder, network, method=request.param, data={"fps": data.fps, "class_names": []}, training={})
    return load(folder, device="cpu")


def first_frames(model: VideoModel) -> Frame:
    return model.sample(seed=3, seconds=4 / model.fps)


def test_copies_generate_the_same_frames(model: VideoModel) -> None:
    expected = first_frames(model)  # fills caches, which copies must not share
    for copied in (copy.deepcopy(model), pickle.loads(pickle.dumps(model)), copy.deepcopy(model).to("cpu")):
        assert type(copied) is type(model) and copied.network is not model.network
        np.testing.assert_array_equal(first_frames(copied), expected)
        with torch.no_grad():
            for weight in copied.network.parameters():
                weight.zero_()
    np.testing.assert_array_equal(first_frames(model), expected)


def test_a_model_prints_what_it_is(model: VideoModel) -> None:
    text = repr(model)
    num_parameters = sum(parameter.numel() for parameter in model.network.parameters())
    expected = (
        model.name,
        "16x16",
        f"{model.fps:g} fps",
        "no classes",
        f"{num_parameters:,}",
        "cpu",
        str(model.source),
    )
    assert all(part in text for part in expected), text
    assert model.source is not None and (model.source / "config.json").is_file()


def test_classes_and_a_model_without_a_folder_are_printed(tmp_path: Path) -> None:
    model = load(save(tmp_path / "model", num_classes=7), device="cpu", precision="bfloat16")
    assert "7 classes (class0, class1, class2, class3, class4, …)" in repr(model) and "bfloat16" in repr(model)
    model.source = None
    assert "from memory" in repr(model)


def test_a_model_moves_in_place(model: VideoModel) -> None:
    expected = first_frames(model)
    assert model.to("cpu") is model and model.device == torch.device("cpu")
    np.testing.assert_array_equal(first_frames(model), expected)
    with pytest.raises(StyleganvError, match="Device abacus is not available"):
        model.to("abacus")
    assert model.device == torch.device("cpu")


@pytest.mark.gpu
def test_a_model_moves_to_the_gpu_and_back(model: VideoModel, gpu: torch.device) -> None:
    expected = first_frames(model)
    on_gpu = first_frames(model.to("cuda"))
    assert next(model.network.parameters()).device.type == "cuda"
    assert np.abs(on_gpu.astype(int) - expected).mean() < 2 or model.name == "VideoGPT"  # rounding may change its codes
    np.testing.assert_array_equal(first_frames(model.to("cpu")), expected)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="pickles of a pretended device are on the CPU")
def test_a_model_on_the_gpu_is_pickled(model: VideoModel) -> None:
    expected = first_frames(model.to("cuda"))
    np.testing.assert_array_equal(first_frames(pickle.loads(pickle.dumps(model))), expected)
    model.to("cpu")


@pytest.mark.slow
def test_loading_and_sampling_leave_the_process_as_it_is(tmp_path: Path) -> None:
    folder = save(tmp_path / "model")
    done = subprocess.run([sys.executable, "-c", STATE, str(folder)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_bfloat16_without_hardware_support_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder = save(tmp_path / "model")
    for is_supported, num_warnings in ((True, 0), (False, 1)):
        video_model._warn_of_slow_bfloat16.cache_clear()
        monkeypatch.setattr("torch.cpu._is_avx512_bf16_supported", lambda is_supported=is_supported: is_supported)
        caplog.clear()
        for precision in ("float32", "bfloat16", "bfloat16"):
            load(folder, device="cpu", precision=precision)
        choose_dtype("auto", torch.device("cpu"))
        choose_dtype("bfloat16", torch.device("cpu"))  # as training does
        assert [record.levelname for record in caplog.records] == ["WARNING"] * num_warnings
        assert all("use --precision float32" in record.message for record in caplog.records)
