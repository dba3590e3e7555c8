"""What the networks cost, counted instead of timed: elements that operators write, forwards and backwards.

These ratios guard what `benchmarks/run.py` measures in seconds, on any machine and under any load.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from settings import with_training
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from styleganv.config import RunConfig, TrainingConfig
from styleganv.data.dataset import VideoDataset
from styleganv.faces.dataset import make_faces
from styleganv.methods.stylegan_v.config import DiscriminatorConfig, GeneratorConfig
from styleganv.methods.stylegan_v.discriminator import Discriminator
from styleganv.methods.stylegan_v.folded import FoldedSynthesis, StoredWeights
from styleganv.methods.stylegan_v.generator import Generator
from styleganv.methods.stylegan_v.memory import estimate_step_memory_gib
from styleganv.methods.stylegan_v.motion import Motion, code_at_time
from styleganv.nn import convolve, modulated_conv, winograd
from styleganv.noise import SeededNoise
from styleganv.training.batches import ClipDataset

SMALL = {"channel_base": 1024, "channel_max": 64}


class Written(TorchDispatchMode):
    """Counts the elements of all new tensors (views write nothing)."""

    elements = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if not func.is_view:
            outputs = result if isinstance(result, (tuple, list)) else [result]
            self.elements += sum(x.numel() for x in outputs if isinstance(x, Tensor))
        return result


def written(run: Callable[[], object]) -> int:
    with Written() as count:
        run()
    return count.elements


@pytest.fixture(autouse=True)
def clip_by_clip(monkeypatch: pytest.MonkeyPatch) -> None:
    """As large networks run on a processor."""
    monkeypatch.setattr(modulated_conv, "CALL_ELEMENTS", -math.inf)


def discriminator_cost(condition: str) -> int:
    d = Discriminator(DiscriminatorConfig(64, 64, condition=condition, **SMALL))  # type: ignore[arg-type]
    frames, times = torch.randn(4, 3, 3, 64, 64), torch.tensor([[0.0, 3.0, 8.0]]).expand(4, -1)
    return written(lambda: F.softplus(d(frames, times)).sum().backward())


def test_modulation_of_the_discriminator_is_nearly_free() -> None:
    """Of elements; of time much less, as convolutions take most of it. By scaling activations it would be 1.38."""
    assert discriminator_cost("modulate+project") < 1.2 * discriminator_cost("project")


def generator_cost(clips: int, frames: int, motion: str) -> int:
    # The motion network as much narrower than usual as the rest, or it would weigh eight times too much.
    narrow = {"motion_noise_dim": 64, "motion_code_dim": 64, "num_frequencies": 32}
    g = Generator(GeneratorConfig(64, 64, motion=motion, **SMALL, **narrow))  # type: ignore[arg-type]
    times = 5.0 * torch.arange(frames).expand(clips, -1)
    return written(lambda: g(torch.randn(clips, 512), times).sum().backward())


def test_video_costs_what_images_cost() -> None:
    """Of elements clearly less: three frames share a style, and motion is small."""
    assert generator_cost(4, 3, "conv") < 0.75 * generator_cost(12, 1, "none")


def test_less_memory_is_foretold_where_less_is_taken(tmp_path: Path, tiny: RunConfig) -> None:
    make_faces(tmp_path / "data.zip", num_videos=4, num_frames=40, resolution=(64, 64))
    data = VideoDataset(tmp_path / "data.zip")
    clips = ClipDataset(data, TrainingConfig(num_frames=3, max_span=32, conditional=False))
    config = replace(tiny, model=replace(tiny.model, channel_base=512))

    def need(**changes: Any) -> float:
        return estimate_step_memory_gib(with_training(config, batch_size=32, **changes), clips, torch.device("cpu"))

    assert need(micro_batch=4) < 0.4 * need()
    assert need(checkpointing=True) < 0.6 * need()


def test_folding_spares_what_every_call_would_do_again() -> None:
    g = Generator(GeneratorConfig(64, 64, **SMALL)).eval()  # type: ignore[arg-type]
    styles, codes = torch.randn(g.synthesis.num_styles, 512), torch.randn(8, 512)
    with torch.no_grad():
        folded = FoldedSynthesis(g.synthesis, styles, StoredWeights(g.synthesis))
        unfolded = written(lambda: g.synthesis(styles[None], codes[None]))
        assert written(lambda: list(folded(codes))) < 0.8 * unfolded


def test_a_moment_costs_little_where_its_slot_is_known() -> None:
    motion = Motion().double().eval()
    at = code_at_time(motion, SeededNoise([0], motion.noise_dim), None)
    with torch.no_grad():
        first = written(lambda: at(17.0))
        assert written(lambda: at(18.0)) < 0.1 * first


def operations(run: Callable[[], object]) -> int:
    with FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops()


def test_winograd_spares_more_than_half_of_a_wide_convolution_and_its_gradients(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In float32, a quarter of the products and what transforming takes."""
    x, kernel = torch.randn(1, 256, 32, 32, requires_grad=True), torch.randn(256, 256, 3, 3, requires_grad=True)

    def both() -> None:
        y = convolve(x, kernel, None)
        torch.autograd.grad(y, (x, kernel), y.detach())

    spared = operations(both)
    monkeypatch.setattr(winograd, "enabled", False)
    assert spared < 0.35 * operations(both)


def kept(run: Callable[[], Tensor]) -> tuple[int, Tensor]:
    """Elements that wait for the backward pass, and the result."""
    sizes: dict[int, int] = {}

    def keep(x: Tensor) -> Tensor:
        sizes[x.data_ptr()] = x.numel()
        return x

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        result = run()
    return sum(sizes.values()), result


def test_checkpointing_keeps_less_than_half_and_gives_the_same_gradients() -> None:
    g, d = Generator(GeneratorConfig(64, 64, **SMALL)), Discriminator(DiscriminatorConfig(64, 64, **SMALL))  # type: ignore[arg-type]
    z, times = torch.randn(4, 512), torch.tensor([[0.0, 3.0, 8.0]]).expand(4, -1)
    noise = torch.randn(4, g.num_slots(8.0), 512)
    results = []
    for checkpointing in (False, True):
        g.synthesis.gradient_checkpointing = d.gradient_checkpointing = checkpointing
        elements, logits = kept(lambda: d(g(z, times, noise), times))
        parameters = [p for network in (g, d) for p in network.parameters()]
        results.append((elements, torch.autograd.grad(logits.square().sum(), parameters, allow_unused=True)))
    (all_of_it, expected), (rest, gradients) = results
    assert rest < 0.5 * all_of_it
    for a, b in zip(expected, gradients, strict=True):
        assert (a is None) == (b is None)
        if a is not None and b is not None:
            torch.testing.assert_close(b, a, rtol=1e-4, atol=1e-6 * float(a.abs().max()))
