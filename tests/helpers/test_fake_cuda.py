"""The pretended CUDA device behaves like a real one where the tests rely on it."""

import copy
import io
import threading

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from fake_cuda import fake_cuda
from fake_cuda_tensors import TransferLog
from torch import Tensor, nn

pytestmark = pytest.mark.gpu


def test_new_tensors_are_where_they_are_asked_for(transfers: TransferLog) -> None:
    x = torch.ones(2, device="cuda")
    random = torch.Generator("cuda").manual_seed(1)
    made = [x, x.double(), x + 1, x[1:], x * torch.tensor(2.0), torch.zeros_like(x), x.new_zeros(3), copy.deepcopy(x)]
    made += [torch.randn(3, generator=random, device="cuda"), torch.arange(3, device=torch.device("cuda", 0))]
    assert {str(y.device) for y in made} == {"cuda:0"} and x.is_cuda and not x.is_cpu
    assert x.cpu().device.type == torch.zeros(2).device.type == torch.zeros_like(x, device="cpu").device.type == "cpu"
    assert "h2d" not in transfers.counts and transfers.counts["generators"] == 1


def test_what_a_gpu_cannot_do_raises(transfers: TransferLog) -> None:
    x = torch.zeros(3, device="cuda")
    with pytest.raises(RuntimeError, match="same device"):
        x + torch.zeros(3)
    with pytest.raises(RuntimeError, match="same device as the indexed tensor"):
        torch.zeros(3)[torch.tensor([0], device="cuda")]
    with pytest.raises(RuntimeError, match="Expected a 'cuda' device type for generator"):
        torch.rand(3, generator=torch.Generator(), device="cuda")
    for convert in (Tensor.numpy, np.asarray):
        with pytest.raises(TypeError, match="copy the tensor to host"):
            convert(x)


@pytest.mark.parametrize(
    ("expression", "counts"),
    [
        ("x.item()", {"sync": 1}),
        ("x.tolist()", {"sync": 1}),
        ("bool(x > 0)", {"sync": 1}),
        ("x[None][x[None] > 0]", {"sync": 1}),
        ("torch.bincount(x[None].long())", {"sync": 1}),
        ("torch.tensor(1.0, device='cuda')", {"h2d": 1}),
        ("x.new_tensor([1.0])", {"h2d": 1}),
        ("torch.zeros(3).to('cuda', non_blocking=True)", {"h2d": 1}),
        ("torch.zeros(3).pin_memory().to('cuda', non_blocking=True)", {"h2d async": 1, "pinned": 1}),
        ("torch.zeros(3).pin_memory().to('cuda')", {"h2d": 1, "pinned": 1}),
        ("x[None][[0]]", {"h2d": 1}),
        ("x.cpu()", {"d2h": 1}),
        ("x[None].copy_(torch.zeros(1))", {"h2d": 1}),
        ("x + 1, x[None][:1], torch.zeros(3, device='cuda')", {}),
    ],
)
def test_transfers_are_counted(transfers: TransferLog, expression: str, counts: dict[str, int]) -> None:
    x = torch.ones((), device="cuda")
    transfers.clear()
    eval(expression, {"x": x, "torch": torch})
    transfers.counts.pop("ops", None)
    assert transfers.counts == counts


def test_gradients_equal_those_of_the_cpu(transfers: TransferLog) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Tanh(), nn.Conv2d(4, 1, 3))
    images = torch.randn(2, 3, 8, 8)
    results = []
    for device in ("cpu", "cuda"):
        trained = copy.deepcopy(network).to(device, memory_format=torch.channels_last)
        optimizer = torch.optim.Adam(trained.parameters(), betas=(0.0, 0.99), fused=True)
        x = images.to(device).requires_grad_()
        (gradient,) = torch.autograd.grad(trained(x).sum(), x, create_graph=True)
        gradient.square().sum().backward()
        optimizer.step()
        assert {weight.device.type for weight in trained.parameters()} == {device}
        results.append([weight.detach().cpu() for weight in trained.parameters()])
    torch.testing.assert_close(*results)


def test_gradients_cross_the_devices(transfers: TransferLog) -> None:
    x = torch.ones(3, requires_grad=True)
    (x.to("cuda") * 2).sum().backward()
    assert x.grad is not None and x.grad.device.type == "cpu" and x.grad.tolist() == [2.0] * 3


def test_modules_are_saved_loaded_and_used_in_threads(transfers: TransferLog) -> None:
    layer, buffer = nn.Linear(2, 2).to("cuda"), io.BytesIO()
    torch.save(layer.state_dict(), buffer)
    buffer.seek(0)
    weights = torch.load(buffer, map_location="cpu", weights_only=True)
    assert weights["weight"].device.type == "cpu"
    layer.load_state_dict(weights)
    outputs = []
    thread = threading.Thread(target=lambda: outputs.append(layer(torch.ones(1, 2, device="cuda"))))
    thread.start()
    thread.join()
    assert outputs[0].device.type == layer.weight.device.type == "cuda"


def test_autocast_follows_the_device(transfers: TransferLog) -> None:
    x = torch.ones(2, 2, device="cuda")
    with torch.autocast("cuda", torch.bfloat16):
        assert F.linear(x, x).dtype == torch.bfloat16 and torch.is_autocast_enabled("cuda")


def test_everything_is_undone() -> None:
    before = (torch.zeros, torch.Generator, torch.Tensor.to, torch.cuda.is_available, threading.Thread.run)
    with fake_cuda(memory_gib=3, bfloat16=False):
        assert torch.cuda.is_available() and not torch.cuda.is_bf16_supported(including_emulation=False)
        assert torch.cuda.mem_get_info()[1] == 3 * 2**30
    assert before == (torch.zeros, torch.Generator, torch.Tensor.to, torch.cuda.is_available, threading.Thread.run)
    assert torch.zeros(2).device.type == "cpu"
