"""Motion: noise at equidistant slots → codes u → v(t), continuous in time and never periodic.

A slot is the place of one motion noise vector on the time axis.

Shapes: B clips, T times per clip, S slots, K classes, F frequencies, U code width. Times are in frames.
"""

import math
from collections.abc import Callable
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from styleganv.methods.stylegan_v.encoding import ENCODINGS, MotionPath
from styleganv.methods.stylegan_v.loop import MotionLoop
from styleganv.nn.layers import Dense

# (clip [N], slots [N, S]) -> noise [N, S, noise_dim]: the noise of these slots of the clips with index `clip`.
# Since slots are addressed by number, every time costs the same.
SlotNoise = Callable[[Tensor, Tensor], Tensor]


def noise_from_tensor(noise: Tensor) -> SlotNoise:
    """Return slots 0 … S−1 of `noise [B, S, noise_dim]` as a `SlotNoise`.

    The returned function raises a ValueError for a slot outside of 0 … S−1.
    """

    def get_noise(clip: Tensor, slots: Tensor) -> Tensor:
        first, last = int(slots.min()), int(slots.max())
        if first < 0 or last >= noise.shape[1]:
            raise ValueError(
                f"These times require the motion noise of slots {first} to {last}, got slots 0 to "
                f"{noise.shape[1] - 1}: pass more slots."
            )
        return noise[clip[:, None], slots]

    return get_noise


def _num_held_slots(noise: SlotNoise) -> int | None:
    """Return the number of slots that the noise holds, if known; a GPU then need not wait for the times."""
    return getattr(noise, "num_slots", None)


def _with_label(x: Tensor, label: Tensor | None) -> Tensor:
    """Append `label [N, K]` to every slot of `x [N, S, noise_dim]`."""
    if label is None:
        return x
    return torch.cat([x, label.to(x.dtype)[:, None].expand(-1, x.shape[1], -1)], dim=2)


class MotionConv1d(nn.Module):
    """Unpadded 1-D convolution with leaky ReLU, without the sqrt(2) gain, learning rate × 0.01."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, kernel_size) / 0.01)
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.weight_gain = 0.01 / (in_channels * kernel_size) ** 0.5
        self.bias_gain = 0.01

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight if self.weight_gain == 1.0 else self.weight * self.weight_gain
        return F.leaky_relu(F.conv1d(x, weight, self.bias * self.bias_gain), 0.2)

    @torch.no_grad()
    def absorb_gain(self) -> None:
        """Multiply the weights by their gain permanently; during generation that costs more than the convolution."""
        self.weight.mul_(self.weight_gain)
        self.weight_gain = 1.0


class Motion(nn.Module):
    """Acyclic motion codes (StyleGAN-V, section 3.1): any time t ≥ 0 depends on a window of noise slots only.

    Attributes:
        lookahead_slots: slots after its own whose noise a code depends on.
        window_slots: slots whose noise a time depends on, from the one before it on.
    """

    def __init__(
        self,
        *,
        noise_dim: int = 512,
        code_dim: int = 512,
        num_frequencies: int = 256,
        kernel_size: int = 11,
        slot_distance: float = 16,
        shortest_period: float | None = None,
        longest_period: float = 1024,
        amplitude: bool = True,
        path: MotionPath = "linear",
        num_classes: int = 0,
    ) -> None:
        """Build the network; distance and periods are in frames.

        Sinusoids should not turn back while they last, so the shortest period is by default as long as that.
        """
        super().__init__()
        self.noise_dim = noise_dim
        self.slot_distance = slot_distance
        self.out_dim = 2 * num_frequencies
        self.lookahead_slots = 2 * (kernel_size - 1)
        self.convs = nn.Sequential(
            MotionConv1d(noise_dim + num_classes, noise_dim, kernel_size),
            MotionConv1d(noise_dim, code_dim, kernel_size),
        )
        encoding = ENCODINGS[path]
        if shortest_period is None:
            shortest_period = slot_distance * encoding.lasting_slots
        self.encoding = encoding(
            code_dim,
            num_frequencies,
            shortest_period=shortest_period,
            longest_period=max(longest_period, shortest_period),
            amplitude=amplitude,
        )
        self.window_slots = self.encoding.num_codes + self.lookahead_slots

    def forward(
        self, times: Tensor, noise: SlotNoise, label: Tensor | None = None, shift: Tensor | None = None
    ) -> Tensor:
        """Return motion codes v `[B, T, 2F]` in the dtype of the weights.

        In float64 (`motion.double()`) the codes of a time do not depend on the other times, however large it is.

        Args:
            times: `[B, T]` in frames, ≥ 0.
            noise: motion noise by slot.
            label: `[B, K]` one-hot for a class-conditional model.
            shift: `[U]`, added to every code u: an edit of the whole motion.
        """
        times = times.double()
        slot = torch.floor(times / self.slot_distance)
        codes = self._codes_around(slot.long(), noise, label)
        if shift is not None:
            codes = codes + shift
        t_left = slot * self.slot_distance
        return self.encoding(codes, times, t_left, t_left + self.slot_distance)

    def max_slots(self, span: float) -> int:
        """Return the maximum number of noise slots that times within `span` frames use, from the first time's on."""
        return int(span // self.slot_distance) + 1 + self.window_slots

    def compute_codes(self, clip: Tensor, slots: Tensor, noise: SlotNoise, label: Tensor | None) -> Tensor:
        """Return codes u `[N, S − lookahead, U]` from the noise at `slots [N, S]` of the clips `clip [N]`."""
        weight: Tensor = self.convs[0].weight  # type: ignore[assignment]
        x = noise(clip, slots).to(device=weight.device, dtype=weight.dtype)
        x = _with_label(x, None if label is None else label[clip])
        return self.convs(x.transpose(1, 2)).transpose(1, 2)

    def _codes_around(self, slot: Tensor, noise: SlotNoise, label: Tensor | None) -> Tensor:
        """Return the codes of the slots `slot [B, T]` and of the following ones, `[B, T, K, U]`."""
        batch, num_times = slot.shape
        clip = torch.arange(batch, device=slot.device)
        around = torch.arange(self.encoding.num_codes, device=slot.device)
        first, last = slot.amin(dim=1), slot.amax(dim=1) + len(around) - 1
        held = _num_held_slots(noise)
        num_codes = int((last - first).max()) + 1 if held is None else held - self.lookahead_slots
        if num_codes + self.lookahead_slots > num_times * self.window_slots:
            # For distant times, one window of noise per time is cheaper than one window over all of them.
            window = slot.flatten()[:, None] + torch.arange(self.window_slots, device=slot.device)
            codes = self.compute_codes(clip.repeat_interleave(num_times), window, noise, label)
            return codes.unflatten(0, (batch, num_times))
        window = first[:, None] + torch.arange(num_codes + self.lookahead_slots, device=slot.device)
        # Clips that need fewer slots than others repeat their last one; the resulting codes are never read.
        window = window.minimum((last + self.lookahead_slots)[:, None])
        codes = self.compute_codes(clip, window, noise, label)
        return codes[clip[:, None, None], (slot - first[:, None])[..., None] + around]


class RecurrentMotion(nn.Module):
    """MoCoGAN's motion model, the paper's ablation: an LSTM over one noise vector per frame, then a mapping.

    Codes between whole frames are interpolated. A time t costs t steps of the LSTM, which drifts for large t.
    """

    slot_distance = 1.0

    def __init__(self, *, noise_dim: int = 512, code_dim: int = 512, num_classes: int = 0) -> None:
        super().__init__()
        self.noise_dim = noise_dim
        self.out_dim = code_dim
        self.lstm = nn.LSTM(noise_dim + num_classes, code_dim, batch_first=True)
        self.layers = nn.Sequential(*[Dense(code_dim, code_dim, activate=True, lr_multiplier=0.01) for _ in range(2)])

    def forward(
        self, times: Tensor, noise: SlotNoise, label: Tensor | None = None, shift: Tensor | None = None
    ) -> Tensor:
        """Return motion codes `[B, T, U]`; arguments as for `Motion.forward`."""
        times = times.double()
        slot = torch.floor(times).long()
        clip = torch.arange(len(times), device=times.device)
        weight: Tensor = self.lstm.weight_ih_l0  # type: ignore[assignment]
        slots = torch.arange(_num_held_slots(noise) or int(slot.max()) + 2, device=slot.device).expand(len(slot), -1)
        slots = slots.minimum(slot.amax(dim=1, keepdim=True) + 1)
        x = noise(clip, slots).to(device=weight.device, dtype=weight.dtype)
        codes = self.lstm(_with_label(x, label))[0]
        left, right = (self.layers(codes[clip[:, None], s]) for s in (slot, slot + 1))
        v = torch.lerp(left, right, (times - slot)[..., None].to(left.dtype))
        return v if shift is None else v + shift


def make_code_function(
    motion: Motion | RecurrentMotion,
    noise: SlotNoise,
    label: Tensor | None,
    shift: Tensor | None = None,
    loop: MotionLoop | None = None,
) -> Callable[[float], Tensor]:
    """Return v as a function of one time in frames, `[v_dim]` float32.

    It agrees with `motion.forward` up to rounding, which there depends on the window of times.

    Args:
        motion: motion network in float64, on the CPU.
        noise: motion noise of a single video.
        label: `[1, K]` one-hot for a class-conditional model.
        shift: `[U]`, added to every code u.
        loop: circle that acyclic motion is closed to; times are then those of `loop.time`.
    """
    shift = torch.zeros(()) if shift is None else shift
    if isinstance(motion, RecurrentMotion):
        return _make_recurrent_function(motion, noise, label, shift)
    return _make_acyclic_function(motion, noise if loop is None else loop.close(noise), label, shift, loop)


def _make_acyclic_function(
    motion: Motion, noise: SlotNoise, label: Tensor | None, shift: Tensor, loop: MotionLoop | None
) -> Callable[[float], Tensor]:
    @lru_cache(maxsize=4)
    def bind_slot(slot: int) -> Callable[[Tensor], Tensor]:
        window = torch.arange(slot, slot + motion.window_slots)[None]
        codes = motion.compute_codes(torch.tensor([0]), window, noise, label)[:, None] + shift
        t_left = torch.tensor([[slot * motion.slot_distance]], dtype=torch.float64)
        if loop is None:
            return motion.encoding.bind_slots(codes, t_left, t_left + motion.slot_distance)
        origins = loop.origins(slot + torch.arange(motion.encoding.num_codes))
        return motion.encoding.bind_slots(codes, t_left, t_left + motion.slot_distance, origins)

    def code(time: float) -> Tensor:
        v = bind_slot(math.floor(time / motion.slot_distance))
        return v(torch.tensor([[time]], dtype=torch.float64))[0, 0].float()

    return code


def _make_recurrent_function(
    motion: RecurrentMotion, noise: SlotNoise, label: Tensor | None, shift: Tensor
) -> Callable[[float], Tensor]:
    codes: list[Tensor] = []
    state: tuple[Tensor, Tensor] | None = None

    def code(time: float) -> Tensor:
        nonlocal state
        slot = math.floor(time)
        while len(codes) < slot + 2:
            x = noise(torch.tensor([0]), torch.tensor([[len(codes)]])).double()
            hidden, state = motion.lstm(_with_label(x, label), state)
            codes.append(motion.layers(hidden)[0, 0] + shift)
        return torch.lerp(codes[slot], codes[slot + 1], time - slot).float()

    return code
