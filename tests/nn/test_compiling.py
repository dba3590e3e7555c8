"""Compiled layers equal the plain ones, for a cheap backend on the CPU; a compiler that fails is left alone."""

import copy
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from settings import with_training
from small_networks import randn
from torch import Tensor, nn

from styleganv.config import RunConfig
from styleganv.data.dataset import VideoDataset
from styleganv.methods.stylegan_v.discriminator import DiscriminatorBlock
from styleganv.methods.stylegan_v.synthesis import ModulatedConv
from styleganv.methods.stylegan_v.trainer import GanTrainer, build_networks
from styleganv.nn.compiling import LayerCompiler
from styleganv.nn.hardware import gpu_algorithms
from styleganv.training.batches import ClipDataset, iterate_batches

CPU = torch.device("cpu")
BACKEND = "aot_eager"  # traces forward and backward pass, but generates no code


@pytest.fixture(autouse=True)
def no_graphs() -> None:
    """Forget the graphs of other tests."""
    torch._dynamo.reset()


def layers() -> dict[str, nn.Module]:
    torch.manual_seed(0)
    return {
        "conv": ModulatedConv(5, 6, 8),
        "up": ModulatedConv(5, 6, 8, up=True),
        "block": DiscriminatorBlock(5, 6, 7, 8),
        "plain block": DiscriminatorBlock(5, 6, 7, 0),
    }


def run_layer(layer: nn.Module, dtype: torch.dtype, scale: float = 1.0) -> list[Tensor]:
    """Return the output and the gradients of an input of two clips of three frames, and of all weights."""
    x = (scale * randn(6, 5, 8, 8)).to(dtype).contiguous(memory_format=torch.channels_last).requires_grad_()
    y = layer(x, randn(2, 8, seed=1))
    weights = [weight for weight in layer.parameters() if weight.requires_grad]
    return [y, *torch.autograd.grad((y.float() * randn(*y.shape, seed=2)).sum(), [x, *weights])]


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", layers())
def test_outputs_and_gradients_are_equal(name: str, dtype: torch.dtype) -> None:
    layer = layers()[name]
    with gpu_algorithms():
        expected = run_layer(layer, dtype)
    LayerCompiler(BACKEND).compile_layers(layer, ModulatedConv, DiscriminatorBlock)
    for ours, theirs in zip(run_layer(layer, dtype), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
        assert ours.stride() == theirs.stride()


def test_a_compiled_clamp_passes_gradients_through() -> None:
    layer = layers()["conv"]
    with gpu_algorithms():
        expected = run_layer(layer, torch.bfloat16, scale=1e4)
    assert (expected[0].abs() == 256).float().mean() > 0.9
    LayerCompiler(BACKEND).compile_layers(layer, ModulatedConv)
    for ours, theirs in zip(run_layer(layer, torch.bfloat16, scale=1e4), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
    assert expected[1].abs().min() > 0


def test_only_the_layers_of_this_network_are_compiled() -> None:
    calls: list[int] = []
    network = nn.Sequential(ModulatedConv(5, 5, 8), nn.Linear(3, 3))
    LayerCompiler(counting_backend(calls)).compile_layers(network, ModulatedConv)
    copied = copy.deepcopy(network)
    run_layer(copied[0], torch.float32)
    copied[1](torch.zeros(1, 3))
    assert not calls and network.state_dict().keys() == copied.state_dict().keys()
    run_layer(network[0], torch.float32)
    assert len(calls) == 1


def counting_backend(calls: list[int], failures: set[int] = frozenset()) -> Callable[..., Any]:  # type: ignore[assignment]
    """Return a backend that numbers its graphs, from 0, and fails at some of them."""

    def backend(graph: torch.fx.GraphModule, inputs: list[Tensor]) -> Callable[..., Any]:
        calls.append(len(calls))
        if calls[-1] in failures:
            raise RuntimeError("no compiler here\nsecond line")
        return graph.forward

    return backend


@pytest.mark.parametrize("failure, num_tried", [(0, 1), (1, 2)])
def test_a_failure_is_logged_once_and_leaves_the_rest_plain(
    failure: int, num_tried: int, caplog: pytest.LogCaptureFixture
) -> None:
    convs = nn.ModuleList(ModulatedConv(5, channels, 8) for channels in range(2, 6))  # with a graph each
    with gpu_algorithms():
        expected = [run_layer(conv, torch.float32) for conv in convs]
    calls: list[int] = []
    LayerCompiler(counting_backend(calls, {failure})).compile_layers(convs, ModulatedConv)
    with caplog.at_level(logging.WARNING, "styleganv"):
        for _ in range(2):
            for conv, values in zip(convs, expected, strict=True):
                for ours, theirs in zip(run_layer(conv, torch.float32), values, strict=True):
                    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
    assert len(calls) == num_tried
    (line,) = [record.getMessage() for record in caplog.records if record.name.startswith("styleganv")]
    assert line.startswith("torch.compile failed (") and "no compiler here" in line and "\n" not in line


def test_an_error_of_the_layer_itself_is_no_failure_of_the_compiler(caplog: pytest.LogCaptureFixture) -> None:
    conv = ModulatedConv(5, 5, 8)
    LayerCompiler("eager").compile_layers(conv, ModulatedConv)
    with pytest.raises(RuntimeError):
        conv(torch.zeros(2, 3, 8, 8), torch.zeros(2, 8))
    assert not [record for record in caplog.records if record.name.startswith("styleganv")]
    assert conv(torch.zeros(2, 5, 8, 8), torch.zeros(2, 8)).shape == (2, 5, 8, 8)


def test_lack_of_memory_is_not_a_failure_of_the_compiler() -> None:
    def backend(graph: torch.fx.GraphModule, inputs: list[Tensor]) -> Callable[..., Any]:
        def run(*_: Any) -> Any:
            raise torch.OutOfMemoryError("too little")

        return run

    conv = ModulatedConv(5, 5, 8)
    LayerCompiler(backend).compile_layers(conv, ModulatedConv)
    with pytest.raises(torch.OutOfMemoryError):
        conv(torch.zeros(2, 5, 8, 8), torch.zeros(2, 8))


def test_paused_layers_are_differentiable_twice() -> None:
    compiler, conv = LayerCompiler(BACKEND), ModulatedConv(5, 5, 8)
    compiler.compile_layers(conv, ModulatedConv)
    x, w = randn(2, 5, 8, 8).requires_grad_(), randn(2, 8, seed=1)

    def penalty() -> Tensor:
        (gradient,) = torch.autograd.grad(conv(x, w).square().sum(), x, create_graph=True)
        return gradient.square().sum()

    with pytest.raises(RuntimeError):  # or PyTorch would silently detach the gradient
        penalty().backward()
    with compiler.paused():
        penalty().backward()
    assert conv.weight.grad is not None and conv.weight.grad.abs().sum() > 0


def train_steps(config: RunConfig, data: VideoDataset, *backends: Any) -> GanTrainer:
    """Train a step for each backend, each by a trainer that resumes the one before; None is plain.

    All use the algorithms for GPUs.
    """
    clips, state = ClipDataset(data, config.training), None
    batches = iterate_batches(clips, first=0, batch_size=config.training.batch_size, num_workers=0, device=CPU)
    with gpu_algorithms():
        for backend in backends:
            trainer = GanTrainer(config, *build_networks(config, data))
            if backend is not None:
                trainer.compiler = LayerCompiler(backend)
                trainer.compile_layers()
            if state is not None:
                trainer.load_state_dict(state)
            trainer.train_step(clips, next(batches))
            state = trainer.state_dict()
    return trainer


@pytest.mark.long
def test_training_is_the_same_compiled(tiny: RunConfig, faces: Path) -> None:
    """With resuming, gradient checkpointing, and R1, which takes the plain layers."""
    config = with_training(tiny, batch_size=4, r1_interval=1, gradient_checkpointing=True)
    plain, compiled = (train_steps(config, VideoDataset(faces), None, backend) for backend in (None, BACKEND))
    for name in ("generator", "discriminator", "generator_ema"):
        ours, theirs = compiled.state_dict()[name], plain.state_dict()[name]
        for key, weight in theirs.items():
            torch.testing.assert_close(ours[key], weight, rtol=1e-5, atol=1e-5)
    assert compiled.pop_scalars()["r1"] == pytest.approx(plain.pop_scalars()["r1"], rel=1e-5)


@pytest.mark.long
def test_a_failure_amid_a_step_with_gradient_checkpointing(tiny: RunConfig, faces: Path) -> None:
    """The backward pass recomputes layers as the forward pass computed them, compiled or not."""
    config, data = with_training(tiny, gradient_checkpointing=True), VideoDataset(faces)
    calls: list[int] = []
    trainer = train_steps(config, data, counting_backend(calls, {3}))
    plain = train_steps(config, data, None)
    assert len(calls) > 3
    for weight, expected in zip(trainer.generator.parameters(), plain.generator.parameters(), strict=True):
        torch.testing.assert_close(weight, expected, rtol=1e-5, atol=1e-5)
