"""The discriminator: conditioning, order of frames, and groups of clips."""

import pytest
import torch
from small_networks import SMALL_D, discriminator, randn, times
from torch import Tensor

from styleganv.methods.stylegan_v.config import DiscriminatorConfig
from styleganv.methods.stylegan_v.discriminator import Discriminator


def logit_change(d: Discriminator, t: Tensor) -> float:
    frames = randn(2, 3, 3, 32, 32)
    return float((d(frames, times()) - d(frames, t)).detach().abs().max())


@pytest.mark.parametrize("condition", ["modulate+project", "project", "none"])
def test_time_distances_matter_only_if_they_condition(condition: str) -> None:
    d = discriminator(condition=condition)
    stretched = times() * 2
    assert (logit_change(d, stretched) > 1e-4) == (condition != "none")
    fractional = times() + torch.tensor([0.0, 0.3, 0.4])
    assert (logit_change(d, fractional) > 1e-5) == (condition != "none")
    assert logit_change(d, times() + 1024) < 1e-6  # only differences count


def test_modulation_acts_inside_the_blocks() -> None:
    """Before the projection, distances still change the output of the blocks."""
    t, features = times(), {}
    frames = randn(2, 3, 3, 32, 32)
    for condition in ("modulate+project", "project"):
        d = discriminator(condition=condition)
        out: list[Tensor] = []
        d.dense.register_forward_hook(lambda module, given, result, out=out: out.append(result.detach()))
        d(frames, t), d(frames, 2 * t)
        features[condition] = float((out[0] - out[1]).abs().max())
    assert features["project"] == 0 and features["modulate+project"] > 1e-4


def test_the_order_of_frames_affects_the_logits() -> None:
    d, frames = discriminator(condition="none"), randn(2, 3, 3, 32, 32)
    assert (d(frames, times()) - d(frames.flip(1), times())).detach().abs().max() > 1e-4
    with pytest.raises(ValueError, match="clips of 3 frames, got 2"):
        d(frames[:, :2], times()[:, :2])


def test_gaps_beyond_max_gap_give_finite_logits() -> None:
    d = discriminator()
    assert torch.isfinite(d(randn(2, 3, 3, 32, 32), times() * 1e4)).all()


def test_without_minibatch_stddev_clips_are_independent() -> None:
    frames = torch.randn(4, 3, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    times = torch.arange(3.0).expand(4, 3)
    for minibatch_stddev in (True, False):
        d = Discriminator(DiscriminatorConfig(16, 16, **SMALL_D, minibatch_stddev=minibatch_stddev))
        alone = torch.cat([d(frames[[i]], times[[i]]) for i in range(4)])
        assert torch.allclose(d(frames, times), alone, atol=1e-5) == (not minibatch_stddev)


def test_strided_parts_of_a_batch_give_the_logits_of_the_whole() -> None:
    d, frames, t = discriminator().double(), randn(8, 3, 3, 32, 32).double(), times(8)
    whole = d(frames, t)
    for part in range(2):
        torch.testing.assert_close(d(frames[part::2], t[part::2]), whole[part::2], atol=1e-12, rtol=0)
    # Contiguous halves form other groups, so the assertion above can fail.
    assert (d(frames[:4], t[:4]) - whole[:4]).detach().abs().max() > 1e-6
