"""Cost of the networks, counted instead of timed: elements that operators write, forward and backward.

These ratios guard what `benchmarks/run.py` measures in seconds, independently of machine and load.
"""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from styleganv.methods.stylegan_v.config import DiscriminatorConfig, GeneratorConfig
from styleganv.methods.stylegan_v.discriminator import Discriminator
from styleganv.methods.stylegan_v.folded import FoldedSynthesis, StoredWeights
from styleganv.methods.stylegan_v.generator import Generator
from styleganv.methods.stylegan_v.motion import Motion, make_code_function
from styleganv.nn import convolve, modulated_conv, winograd
from styleganv.noise import SeededNoise

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
    """Run clip by clip, as large networks do on a CPU."""
    monkeypatch.setattr(modulated_conv, "CALL_ELEMENTS", -math.inf)


def discriminator_cost(condition: str) -> int:
    d = Discriminator(DiscriminatorConfig(64, 64, condition=condition, **SMALL))  # type: ignore[arg-type]
    frames, times = torch.randn(4, 3, 3, 64, 64), torch.tensor([[0.0, 3.0, 8.0]]).expand(4, -1)
    return written(lambda: F.softplus(d(frames, times)).sum().backward())


def test_modulation_of_the_discriminator_is_nearly_free() -> None:
    """Count elements; in time the difference is smaller. By scaling activations the ratio would be 1.38."""
    assert discriminator_cost("modulate+project") < 1.2 * discriminator_cost("project")


def generator_cost(clips: int, frames: int, motion: str) -> int:
    # The motion network is narrowed like the rest; otherwise it would count eight times too much.
    narrow = {"motion_noise_dim": 64, "motion_code_dim": 64, "num_frequencies": 32}
    g = Generator(GeneratorConfig(64, 64, motion=motion, **SMALL, **narrow))  # type: ignore[arg-type]
    times = 5.0 * torch.arange(frames).expand(clips, -1)
    return written(lambda: g(torch.randn(clips, 512), times).sum().backward())


def test_video_costs_less_than_images() -> None:
    """Three frames share a style, and motion is small."""
    assert generator_cost(4, 3, "conv") < 0.75 * generator_cost(12, 1, "none")


def test_folding_saves_work_of_every_call() -> None:
    g = Generator(GeneratorConfig(64, 64, **SMALL)).eval()  # type: ignore[arg-type]
    styles, codes = torch.randn(g.synthesis.num_styles, 512), torch.randn(8, 512)
    with torch.no_grad():
        folded = FoldedSynthesis(g.synthesis, styles, StoredWeights(g.synthesis))
        unfolded = written(lambda: g.synthesis(styles[None], codes[None]))
        assert written(lambda: list(folded(codes))) < 0.8 * unfolded


def test_a_time_in_a_known_slot_is_cheap() -> None:
    motion = Motion().double().eval()
    at = make_code_function(motion, SeededNoise([0], motion.noise_dim), None)
    with torch.no_grad():
        first = written(lambda: at(17.0))
        assert written(lambda: at(18.0)) < 0.1 * first


def operations(run: Callable[[], object]) -> int:
    with FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops()


def test_winograd_saves_more_than_half_of_a_wide_convolution(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In float32: a quarter of the products, plus the transforms."""
    x, kernel = torch.randn(1, 256, 32, 32, requires_grad=True), torch.randn(256, 256, 3, 3, requires_grad=True)

    def both() -> None:
        y = convolve(x, kernel, None)
        torch.autograd.grad(y, (x, kernel), y.detach())

    cost = operations(both)
    monkeypatch.setattr(winograd, "enabled", False)
    assert cost < 0.35 * operations(both)


def count_saved(run: Callable[[], Tensor]) -> tuple[int, Tensor]:
    """Return the elements saved for the backward pass, and the result."""
    sizes: dict[int, int] = {}

    def record(x: Tensor) -> Tensor:
        sizes[x.data_ptr()] = x.numel()
        return x

    with torch.autograd.graph.saved_tensors_hooks(record, lambda x: x):
        result = run()
    return sum(sizes.values()), result


def test_gradient_checkpointing_saves_half_and_keeps_the_gradients() -> None:
    g, d = Generator(GeneratorConfig(64, 64, **SMALL)), Discriminator(DiscriminatorConfig(64, 64, **SMALL))  # type: ignore[arg-type]
    z, times = torch.randn(4, 512), torch.tensor([[0.0, 3.0, 8.0]]).expand(4, -1)
    noise = torch.randn(4, g.num_slots(8.0), 512)
    results = []
    for gradient_checkpointing in (False, True):
        g.synthesis.gradient_checkpointing = d.gradient_checkpointing = gradient_checkpointing
        elements, logits = count_saved(lambda: d(g(z, times, noise), times))
        parameters = [p for network in (g, d) for p in network.parameters()]
        results.append((elements, torch.autograd.grad(logits.square().sum(), parameters, allow_unused=True)))
    (saved, expected), (saved_less, gradients) = results
    assert saved_less < 0.5 * saved
    for a, b in zip(expected, gradients, strict=True):
        assert (a is None) == (b is None)
        if a is not None and b is not None:
            torch.testing.assert_close(b, a, rtol=1e-4, atol=1e-6 * float(a.abs().max()))
