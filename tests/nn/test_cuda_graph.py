"""Functions replayed as CUDA graphs equal ordinary ones: on a GPU or, without one, on a pretended one."""

import logging
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from styleganv.nn.cuda_graph import GraphedFunction

pytestmark = pytest.mark.gpu


@pytest.fixture(autouse=True)
def inference() -> Iterator[None]:
    with torch.inference_mode():
        yield


def numbers(seed: int, gpu: torch.device) -> Tensor:
    return torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(seed)).to(gpu)


def test_replays_read_the_current_inputs(gpu: torch.device) -> None:
    weight = numbers(9, gpu)[:1]

    def function(x: Tensor, y: Tensor) -> Tensor:
        x = x + 1
        x.mul_(y[0].expand_as(x))
        return torch.nn.functional.conv2d(x, weight, padding=3)[:, :, 1:]

    graphed = GraphedFunction(function)
    for seed in range(4):
        x, y = numbers(seed, gpu), numbers(seed + 10, gpu)
        torch.testing.assert_close(graphed(x, y), function(x, y), rtol=0, atol=0)


def test_outputs_are_not_overwritten_by_later_calls(gpu: torch.device) -> None:
    graphed = GraphedFunction(torch.exp)
    inputs = [numbers(seed, gpu) for seed in range(4)]
    outputs = [graphed(x) for x in inputs]
    for x, y in zip(inputs, outputs, strict=True):
        torch.testing.assert_close(y, x.exp(), rtol=0, atol=0)


def test_inputs_are_not_changed(gpu: torch.device) -> None:
    def function(x: Tensor) -> Tensor:
        return x.clone().neg_()

    graphed, x = GraphedFunction(function), numbers(0, gpu)
    before = x.clone()
    for _ in range(3):
        torch.testing.assert_close(graphed(x), -before, rtol=0, atol=0)
    torch.testing.assert_close(x, before, rtol=0, atol=0)


def test_weights_that_change_in_place_take_effect(gpu: torch.device) -> None:
    weight, x = torch.ones(1, device=gpu), numbers(0, gpu)
    graphed = GraphedFunction(lambda x: x * weight)
    for factor in (1.0, 2.0, 3.0):
        weight.fill_(factor)
        torch.testing.assert_close(graphed(x), x * factor, rtol=0, atol=0)


def test_a_function_that_cannot_be_recorded_is_called(gpu: torch.device, caplog: pytest.LogCaptureFixture) -> None:
    graphed, x = GraphedFunction(lambda x: x * float(x.abs().max())), numbers(0, gpu)  # waits for the GPU
    with caplog.at_level(logging.WARNING, "styleganv"):
        for _ in range(4):
            torch.testing.assert_close(graphed(x), x * x.abs().max(), rtol=0, atol=0)
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith("Recording a CUDA graph failed (") and "\n" not in line


def test_the_pretended_graph_is_no_ordinary_call() -> None:
    """A graph whose inputs are not copied, or whose output is kept, gives other numbers."""
    from fake_cuda import fake_cuda

    with fake_cuda() as log:
        gpu = torch.device("cuda", 0)
        x, graph = numbers(0, gpu), torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            y = x.exp()
        assert y.isnan().all() and log.counts["graphs"] == 1
        graph.replay()
        first = y.clone()
        torch.testing.assert_close(first, x.exp(), rtol=0, atol=0)
        x.add_(1)
        assert torch.equal(y, first)
        graph.replay()
        assert torch.equal(y, x.exp()) and not torch.equal(y, first)
