"""VideoGPT's networks, each against a slow or closed-form twin."""

import math

import pytest
import torch
from torch import Tensor

from styleganv.errors import StyleganvError
from styleganv.methods.videogpt.networks import (
    AxialAttention,
    Codebook,
    Transformer,
    VideoGpt,
    VideoGptConfig,
    sample_codes,
)


def test_each_axis_attends_separately() -> None:
    torch.manual_seed(0)
    x = torch.randn(1, 8, 3, 4, 5, requires_grad=True)
    attention = AxialAttention(8)
    assert not attention(x).any()  # until it has learned
    for axis in attention.axes:
        torch.nn.init.normal_(axis.out.weight)
    y = attention(x)
    assert y.shape == x.shape
    (seen,) = torch.autograd.grad(y[0, :, 1, 2, 3].sum(), x)
    places = seen[0].abs().sum(dim=0) > 0
    expected = torch.zeros(3, 4, 5, dtype=torch.bool)
    expected[:, 2, 3] = expected[1, :, 3] = expected[1, 2, :] = True
    assert torch.equal(places, expected)


def test_the_codebook_follows_the_nearest_features_and_restarts_unused_vectors() -> None:
    random = torch.Generator().manual_seed(0)
    book, first = Codebook(4, 3), torch.randn(4, 3, generator=random)
    book.restart(first, 0.5)
    assert torch.equal(book.vectors, first)  # at first, none was ever used
    z = torch.randn(50, 3, generator=random)
    codes = book(z)
    assert torch.equal(codes, (z[:, None] - first).square().sum(dim=2).argmin(dim=1))
    counts = torch.tensor([float((codes == k).sum()) for k in range(4)])
    sums = torch.stack([z[codes == k].sum(dim=0) for k in range(4)])
    book.follow(counts, sums, 0.9)
    torch.testing.assert_close(book.counts, 0.9 + 0.1 * counts)
    torch.testing.assert_close(book.vectors, (0.9 * first + 0.1 * sums) / (0.9 + 0.1 * counts)[:, None])
    moved = book.vectors.clone()
    for _ in range(8):  # only the first is used: 0.9⁸ of a use is left of the others
        book.follow(torch.tensor([5.0, 0, 0, 0]), 5 * moved[:1] * torch.tensor([[1.0], [0], [0], [0]]), 0.9)
    book.restart(first, 2.0)
    torch.testing.assert_close(book.vectors, torch.cat([moved[:1], first[1:]]))


@pytest.mark.parametrize("classes", [0, 3])
def test_cached_generation_equals_the_full_pass_and_is_causal(classes: int) -> None:
    torch.manual_seed(0)
    gpt = Transformer((2, 3, 2), 16, 8, classes).eval()
    for parameter in gpt.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    codes, label = torch.randint(16, (3, 12)), torch.arange(3) % max(1, classes)
    with torch.no_grad():
        whole = gpt(codes, label)
        logits: list[Tensor] = []

        def choose(logits_now: Tensor, position: int) -> Tensor:
            logits.append(logits_now)
            return codes[:, position]

        assert torch.equal(gpt.generate(label, choose, torch.float32), codes)
        torch.testing.assert_close(torch.stack(logits, dim=1), whole, rtol=1e-5, atol=1e-5)
        changed = codes.clone()
        changed[:, 5] = (codes[:, 5] + 1) % 16
        other = gpt(changed, label)
        assert torch.equal(other[:, :6], whole[:, :6]) and (other[:, 6:] != whole[:, 6:]).any(dim=2).all()
        if classes:
            assert (gpt(codes, (label + 1) % 3) != whole).any(dim=2).all()


def test_sampled_codes_have_the_probabilities_of_the_logits() -> None:
    logits = torch.tensor([1.0, -2.0, -math.inf, 0.5, 0.0])
    n = 100_000
    codes = sample_codes(logits.expand(n, 5), (torch.arange(n) + 0.5).double() / n)
    shares = torch.bincount(codes, minlength=5) / n
    torch.testing.assert_close(shares, logits.softmax(dim=0), rtol=0, atol=2 / n)
    assert sample_codes(logits[None], torch.tensor([1 - 1e-17]).double()) == 4  # 1 in float64: the last, not one beyond


def test_published_widths() -> None:
    with torch.device("meta"):
        net = VideoGpt(VideoGptConfig(128, 128))
    assert net.vqvae.encoder[0].weight.shape == (240, 3, 4, 4, 4) and net.vqvae.codebook.vectors.shape == (2048, 256)
    assert len(net.transformer.layers) == 8 and net.transformer.logits.weight.shape == (2048, 576)
    assert net.shape == (4, 32, 32) and net.num_codes == 4096
    with pytest.raises(StyleganvError, match="got 16 frames of 18x32"):
        VideoGpt(VideoGptConfig(18, 32))
