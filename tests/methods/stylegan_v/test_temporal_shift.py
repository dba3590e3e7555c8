"""Temporal shift of the discriminator's channels against a loop over frames and channels."""

import math

import pytest
import torch
from small_networks import discriminator, randn, times
from torch import Tensor

from styleganv.methods.stylegan_v.discriminator import Discriminator
from styleganv.methods.stylegan_v.growing import GrowthStage
from styleganv.methods.stylegan_v.losses import r1_penalty, r1_penalty_clip_by_clip
from styleganv.methods.stylegan_v.temporal_shift import shift_channels
from styleganv.nn import modulated_conv

WIDE = {"channel_base": 1024, "channel_max": 16}


def slow_shift(x: Tensor, num_frames: int) -> Tensor:
    shifted, (images, channels) = x.clone(), x.shape[:2]
    for n in range(images):
        frame = n % num_frames
        for c in range(2 * (channels // 8)):
            step = -1 if c < channels // 8 else 1
            inside = 0 <= frame + step < num_frames
            shifted[n, c] = x[n + step, c] if inside else 0
    return shifted


@pytest.mark.parametrize("channels", [3, 8, 17, 32])
@pytest.mark.parametrize("num_frames", [1, 2, 3, 6])
def test_channel_by_channel(num_frames: int, channels: int) -> None:
    x = randn(6, channels, 2, 5)
    shifted = shift_channels(x, num_frames)
    assert torch.equal(shifted, slow_shift(x, num_frames))
    assert (not torch.equal(shifted, x)) == (channels >= 8)
    channels_last = shift_channels(x.contiguous(memory_format=torch.channels_last), num_frames)
    assert torch.equal(channels_last, shifted)
    assert channels_last.is_contiguous(memory_format=torch.channels_last)


def test_gradients_by_finite_differences() -> None:
    x = randn(6, 8, 1, 2).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: shift_channels(x, 3).square(), x)
    assert torch.autograd.gradgradcheck(lambda x: shift_channels(x, 3).square(), x)


def frame_features(d: Discriminator, frames: Tensor) -> Tensor:
    """Return the features `[T, C, h, w]` of the frames of one clip before they are joined."""
    features = d.compute_features(frames[None], d.embed(times(1), None))[0]
    return features.detach().unflatten(0, (len(frames), -1))


def test_the_features_of_a_frame_depend_on_its_neighbors() -> None:
    """At 32², one block precedes the join, and a frame sees its neighbors; at 64², two blocks, and two frames away."""
    for size, reach in ((32, 1), (64, 2)):
        frames = randn(3, 3, size, size)
        changed = frames.clone()
        changed[0] += 1
        for shift in (False, True):
            d = discriminator(size, size, temporal_shift=shift, **WIDE)
            difference = (frame_features(d, frames) - frame_features(d, changed)).abs().amax(dim=(1, 2, 3))
            assert (difference > 0).tolist() == [shift * reach >= i for i in range(3)]


def test_clips_do_not_exchange_channels_and_weights_stay_the_same() -> None:
    d, plain = (discriminator(temporal_shift=shift, minibatch_stddev=False, **WIDE) for shift in (True, False))
    for (name, weight), (other, same) in zip(d.state_dict().items(), plain.state_dict().items(), strict=True):
        assert name == other and torch.equal(weight, same)
    frames = randn(4, 3, 3, 32, 32)
    alone = torch.cat([d(frames[[i]], times(4)[[i]]) for i in range(4)])
    torch.testing.assert_close(d(frames, times(4)), alone, atol=1e-5, rtol=0)
    assert (d(frames, times(4)) - plain(frames, times(4))).detach().abs().max() > 1e-3


def test_a_single_frame_has_no_neighbors() -> None:
    frames = randn(4, 1, 3, 32, 32)
    shifted, plain = (discriminator(num_frames=1, temporal_shift=shift, **WIDE) for shift in (True, False))
    assert torch.equal(shifted(frames, times(4, 1)), plain(frames, times(4, 1)))


@pytest.mark.parametrize("condition", ["modulate+project", "project"])
@pytest.mark.parametrize("fade", [1.0, 0.5])
def test_clip_by_clip_equals_the_batch(fade: float, condition: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Logits, the penalty in both ways, and its gradient at the weights, also while the network grows."""
    frames, t = randn(4, 3, 3, 32, 32).double().requires_grad_(), times(4)

    def results() -> list[Tensor]:
        d = discriminator(temporal_shift=True, condition=condition, grow_from=16, **WIDE).double()
        d.stage = GrowthStage(fade=fade)
        logits = d(frames, t)
        penalty = r1_penalty(logits, frames)
        torch.testing.assert_close(r1_penalty_clip_by_clip(d, frames, t, None), penalty)
        penalty.sum().backward()
        weights = [p.grad for p in d.parameters() if p.grad is not None]
        return [logits.detach(), penalty.detach(), *weights]

    together = results()
    monkeypatch.setattr(modulated_conv, "CALL_ELEMENTS", -math.inf)
    for a, b in zip(together, results(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-10 * float(a.abs().max()))
