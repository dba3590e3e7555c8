"""Gradients of one process stay where they are; those of two are averaged, while the backward pass still runs."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import warm
from torch import Tensor, nn

from styleganv import distributed
from styleganv.training import gradients
from styleganv.training.gradients import AveragedGradients, split_buckets


def build_network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(*(nn.Linear(8, 8) for _ in range(4)))


def backward(network: nn.Module, seed: int) -> None:
    x = torch.randn(4, 8, generator=torch.Generator().manual_seed(seed))
    network(x).square().mean().backward()


def test_gradients_of_one_process_are_not_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "cat", None)
    network = build_network()
    with AveragedGradients(network.parameters(), num_backwards=1) as averaged:
        backward(network, seed=0)
        before = [(p.grad.data_ptr(), p.grad.clone()) for p in network.parameters()]  # type: ignore[union-attr]
        assert bool(averaged.finish())
    for parameter, (address, value) in zip(network.parameters(), before, strict=True):
        assert parameter.grad is not None and parameter.grad.data_ptr() == address
        assert torch.equal(parameter.grad, value)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_gradient_that_is_not_finite_is_found(value: float) -> None:
    network = build_network()
    with AveragedGradients(network.parameters()) as averaged:
        backward(network, seed=0)
        network[1].weight.grad[3, 5] = value  # type: ignore[index]
        assert not bool(averaged.finish())


def test_buckets_start_with_the_last_parameters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gradients, "BUCKET_BYTES", 4 * 100)
    parameters = [nn.Parameter(torch.zeros(n)) for n in (10, 300, 60, 30, 20)]
    sizes = [[p.numel() for p in bucket.parameters] for bucket in split_buckets(parameters)]
    assert sizes == [[20, 30, 60], [300], [10]]
    assert split_buckets([]) == []


def average_in_two_processes(folder: Path) -> None:
    """Write averaged gradients in four ways, and how far the backward pass was when each bucket started."""
    gradients.BUCKET_BYTES = 4 * 72  # a layer
    launch, progress, launched = AveragedGradients._launch, [], []

    def record(self: AveragedGradients) -> None:
        launched.append(len(progress))
        launch(self)

    AveragedGradients._launch = record  # type: ignore[method-assign]
    results: dict[str, Any] = {}
    with distributed.processes():
        rank = distributed.rank()
        for name, num_backwards, unused in (
            ("end", None, False),
            ("overlap", 2, False),
            ("end unused", None, True),
            ("overlap unused", 2, True),
        ):
            network = build_network()
            progress.clear()
            launched.clear()
            for layer in network:
                layer.weight.register_post_accumulate_grad_hook(lambda _: progress.append(1))
            with AveragedGradients(network.parameters(), num_backwards) as averaged:
                for part in range(2):  # micro-batches
                    backward(network[:-1] if unused else network, seed=2 * part + rank)
                finite = bool(averaged.finish())
            results[name] = [p.grad for p in network.parameters()], list(launched), finite
        network = build_network()
        with AveragedGradients(network.parameters()) as averaged:
            backward(network, seed=0)
            if rank:
                network[0].bias.grad[0] = math.nan  # type: ignore[index]
            results["nan"] = bool(averaged.finish())
        averaged = AveragedGradients(network.parameters(), num_backwards=1)
        with averaged, pytest.raises(RuntimeError, match="more often than announced"):
            backward(network, seed=0)
            backward(network, seed=0)
        dist.barrier()
    torch.save(results, folder / f"{rank}.pt")


@pytest.mark.slow
def test_two_processes_average_while_the_backward_pass_runs(tmp_path: Path) -> None:
    warm.run_two(average_in_two_processes, tmp_path)
    for rank in range(2):
        results = torch.load(tmp_path / f"{rank}.pt")
        for unused in ("", " unused"):
            network = build_network()
            used = network[:-1] if unused else network
            for seed in range(4):
                backward(used, seed)
            for name in ("end", "overlap"):
                averaged, _, finite = results[name + unused]
                assert finite
                for parameter, gradient in zip(network.parameters(), averaged, strict=True):
                    assert_half(parameter.grad, gradient)
        assert results["end"][1] == [8] * 4  # eight weights have their gradients before the first bucket starts
        assert results["overlap"][1][0] < 8 and len(results["overlap"][1]) == 4
        assert results["overlap unused"][1] == [6] * 4  # the unused layer is first in order
        assert results["nan"] is False


def assert_half(total: Tensor | None, mean: Tensor | None) -> None:
    assert (total is None) == (mean is None)
    if total is not None and mean is not None:
        torch.testing.assert_close(mean, total / 2)
