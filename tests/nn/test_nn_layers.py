"""The resolutions that both networks are built from, and constants of layers."""

import copy
import itertools

import pytest
import torch

from styleganv.errors import StyleganvError
from styleganv.nn.layers import Conv2d, resolutions


@pytest.mark.parametrize(
    "size, smallest, count",
    [
        ((64, 64), (4, 4), 5),
        ((72, 96), (9, 12), 4),
        ((144, 256), (9, 16), 5),
        ((24, 40), (6, 10), 3),
        ((8, 8), (4, 4), 2),
        ((32, 256), (4, 32), 4),
        ((1024, 1024), (4, 4), 9),
    ],
)
def test_resolutions_by_hand(size: tuple[int, int], smallest: tuple[int, int], count: int) -> None:
    levels = resolutions(*size)
    assert levels[0] == smallest and levels[-1] == size and len(levels) == count
    assert all(b == (2 * a[0], 2 * a[1]) for a, b in itertools.pairwise(levels))


@pytest.mark.parametrize(
    "size", [(100, 270), (7, 7), (33, 64), (4, 4), (127, 129), (272, 272), (300, 273), (1080, 1920), (1, 1)]
)
def test_unsupported_resolutions_suggest_a_supported_one(size: tuple[int, int]) -> None:
    with pytest.raises(StyleganvError, match=f"{size[0]}x{size[1]} cannot be halved") as refusal:
        resolutions(*size)
    suggestion = str(refusal.value).rstrip(".").split()[-1]
    resolutions(*map(int, suggestion.split("x")))


@pytest.mark.gpu
def test_the_fir_filter_is_a_constant_on_the_device_of_its_module(gpu: torch.device) -> None:
    layer = Conv2d(4, 4, 3, down=True)
    assert layer.state_dict().keys() == {"weight", "bias"}
    fir = copy.deepcopy(layer).bfloat16().fir
    assert fir is not None and fir.dtype == torch.bfloat16
    assert torch.equal(fir.double() * 64, torch.outer(*[torch.tensor([1.0, 3, 3, 1], dtype=torch.float64)] * 2))
    assert {"cuda:0"} == {str(buffer.device) for buffer in layer.to(gpu).buffers()}
