"""Motion: noise at equidistant slots → codes u → v(t), continuous in time and never periodic.

Shapes: B clips, T times a clip, S slots, K classes, F frequencies, U code width. Times are in frames.
"""

import math
from collections.abc import Callable
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from styleganv.nn.layers import Dense

# (clip [N], slots [N, S]) -> noise [N, S, noise_dim]: the noise of these slots of the clips numbered `clip`.
# Addressing by slot number is what makes every time equally cheap.
SlotNoise = Callable[[Tensor, Tensor], Tensor]


def noise_from_tensor(noise: Tensor) -> SlotNoise:
    """The slots 0 … S−1 of `noise [B, S, noise_dim]` as a `SlotNoise`.

    Raises (when called): ValueError if a slot outside 0 … S−1 is asked for.
    """

    def noise_of(clip: Tensor, slots: Tensor) -> Tensor:
        if int(slots.min()) < 0 or int(slots.max()) >= noise.shape[1]:
            raise ValueError(
                f"these times need the motion noise of slots {int(slots.min())} to {int(slots.max())}; "
                f"it has slots 0 to {noise.shape[1] - 1}"
            )
        return noise[clip[:, None], slots]

    return noise_of


def _slots_held(noise: SlotNoise) -> int | None:
    """How many slots the noise holds, if it says so (training's does): it spares a GPU the wait for the times."""
    return getattr(noise, "num_slots", None)


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
        """Multiply the weights by their gain for good: for generating, where that is more than the convolution."""
        self.weight.mul_(self.weight_gain)
        self.weight_gain = 1.0


class AcyclicEncoding(nn.Module):
    """Time encoding whose waves are stretched and shifted by the codes, stitched so that it never jumps.

    `v(t) = φ(t) − lerp(φ(t_l), φ(t_r), a) + lerp(M u_l, M u_r, a)` (StyleGAN-V, eqs. 5–6), with
    `φ(t) = A(u_l) ⊙ [sin, cos](ω σ(u_l) t + ρ(u_l) s)`. At a slot the first two terms cancel and v = M u.
    All linear maps are bias-free: with a bias, motion collapses to one for all videos.
    """

    def __init__(
        self,
        code_dim: int,
        num_frequencies: int,
        *,
        shortest_period: float,
        longest_period: float,
        amplitude: bool,
    ) -> None:
        super().__init__()
        self.num_frequencies = num_frequencies
        self.shortest_period, self.longest_period = shortest_period, longest_period
        self.period = Dense(code_dim, num_frequencies, bias=False)
        self.phase = Dense(code_dim, num_frequencies, bias=False)
        self.amplitude = Dense(code_dim, 2 * num_frequencies, bias=False) if amplitude else None
        self.align = Dense(code_dim, 2 * num_frequencies, bias=False)

    def periods(self, device: torch.device) -> Tensor:
        """Base periods in frames `[F]`, the longest first. No buffer, since `module.half()` would round it."""
        ends = math.log2(self.shortest_period), math.log2(self.longest_period)
        return torch.exp2(torch.linspace(*ends, self.num_frequencies, dtype=torch.float64, device=device)).flip(0)

    def forward(self, left: Tensor, right: Tensor, t: Tensor, t_left: Tensor, t_right: Tensor) -> Tensor:
        """`left`, `right [B, T, U]`, times `[B, T]` float64 → v `[B, T, 2F]` in the dtype of the codes.

        Phases are float64: at t = 10⁷ frames float32 would be wrong by whole radians.
        """
        return self.between(left, right, t_left, t_right)(t)

    def between(self, left: Tensor, right: Tensor, t_left: Tensor, t_right: Tensor) -> Callable[[Tensor], Tensor]:
        """`forward` as a function of t, with all that is the same for every t done once."""
        period = self.periods(left.device)
        sigma = torch.tanh(self.period(left)) + 1
        frequency = 2 * math.pi / period * sigma.double()
        phase = self.phase(left).double() * (self.longest_period / period)

        def wave(time: Tensor) -> Tensor:
            angle = frequency * time[..., None] + phase
            return torch.cat([angle.sin(), angle.cos()], dim=-1)

        wave_left, wave_right = wave(t_left), wave(t_right)
        amplitude = None if self.amplitude is None else self.amplitude(left)
        aligned_left, aligned_right = self.align(left), self.align(right)

        def v(t: Tensor) -> Tensor:
            a = ((t - t_left) / (t_right - t_left))[..., None]
            residue = (wave(t) - torch.lerp(wave_left, wave_right, a)).to(left.dtype)
            if amplitude is not None:
                residue = amplitude * residue
            return residue + torch.lerp(aligned_left, aligned_right, a.to(left.dtype))

        return v


class Motion(nn.Module):
    """Acyclic motion codes (StyleGAN-V, section 3.1): any time t ≥ 0 sees 2·kernel noise slots and no others."""

    def __init__(
        self,
        *,
        noise_dim: int = 512,
        code_dim: int = 512,
        num_frequencies: int = 256,
        kernel_size: int = 11,
        slot_distance: float = 16,
        longest_period: float = 1024,
        amplitude: bool = True,
        num_classes: int = 0,
    ) -> None:
        """Slot distance and longest period in frames; the shortest period is the slot distance."""
        super().__init__()
        self.noise_dim = noise_dim
        self.slot_distance = slot_distance
        self.out_dim = 2 * num_frequencies
        # A code sees its own noise slot and the `reach` slots after it.
        self.reach = 2 * (kernel_size - 1)
        self.convs = nn.Sequential(
            MotionConv1d(noise_dim + num_classes, noise_dim, kernel_size),
            MotionConv1d(noise_dim, code_dim, kernel_size),
        )
        self.encoding = AcyclicEncoding(
            code_dim,
            num_frequencies,
            shortest_period=slot_distance,
            longest_period=max(longest_period, slot_distance),
            amplitude=amplitude,
        )

    def forward(
        self, times: Tensor, noise: SlotNoise, label: Tensor | None = None, shift: Tensor | None = None
    ) -> Tensor:
        """Motion codes v at `times [B, T]` (frames, ≥ 0), with `label [B, K]` for a class-conditional model.

        `shift [U]` is added to every code u: an edit of the whole motion.

        Returns `[B, T, 2F]` in the dtype of the weights. Run in float64 (`motion.double()`) the codes of a
        time do not depend on which other times are asked for, however large the time.
        """
        times = times.double()
        slot = torch.floor(times / self.slot_distance)
        left, right = self._neighbours(slot.long(), noise, label)
        if shift is not None:
            left, right = left + shift, right + shift
        t_left = slot * self.slot_distance
        return self.encoding(left, right, times, t_left, t_left + self.slot_distance)

    def window(self, span: float) -> int:
        """Most noise slots that times within `span` frames see, from the slot of the first one on."""
        return int(span // self.slot_distance) + 3 + self.reach

    def codes(self, clip: Tensor, slots: Tensor, noise: SlotNoise, label: Tensor | None) -> Tensor:
        """Codes u from the noise at `slots [N, S]` of the clips `clip [N]`: `[N, S − reach, U]`."""
        weight: Tensor = self.convs[0].weight  # type: ignore[assignment]
        x = noise(clip, slots).to(device=weight.device, dtype=weight.dtype)
        if label is not None:
            x = torch.cat([x, label[clip].to(x.dtype)[:, None].expand(-1, x.shape[1], -1)], dim=2)
        return self.convs(x.transpose(1, 2)).transpose(1, 2)

    def _neighbours(self, slot: Tensor, noise: SlotNoise, label: Tensor | None) -> tuple[Tensor, Tensor]:
        """Codes of the slots `slot [B, T]` and of the ones after them, each `[B, T, U]`."""
        batch, num_times = slot.shape
        clip = torch.arange(batch, device=slot.device)
        first, last = slot.amin(dim=1), slot.amax(dim=1) + 1
        held = _slots_held(noise)
        count = int((last - first).max()) + 1 if held is None else held - self.reach
        if count + self.reach > num_times * (2 + self.reach):
            # Times far apart: a window of noise for each time costs less than one window over all of them.
            window = slot.flatten()[:, None] + torch.arange(2 + self.reach, device=slot.device)
            pairs = self.codes(clip.repeat_interleave(num_times), window, noise, label)
            left, right = pairs.unflatten(0, (batch, num_times)).unbind(dim=2)
            return left, right
        window = first[:, None] + torch.arange(count + self.reach, device=slot.device)
        # Clips that need fewer slots than others repeat their last one; nobody reads the codes it gives.
        window = window.minimum((last + self.reach)[:, None])
        codes = self.codes(clip, window, noise, label)
        offset = slot - first[:, None]
        return codes[clip[:, None], offset], codes[clip[:, None], offset + 1]


class RecurrentMotion(nn.Module):
    """MoCoGAN's motion model, the paper's ablation: an LSTM over one noise vector a frame, then a mapping.

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
        """Motion codes at `times [B, T]` (frames, ≥ 0): `[B, T, U]`; `shift [U]` is added to every one."""
        times = times.double()
        slot = torch.floor(times).long()
        clip = torch.arange(len(times), device=times.device)
        weight: Tensor = self.lstm.weight_ih_l0  # type: ignore[assignment]
        slots = torch.arange(_slots_held(noise) or int(slot.max()) + 2, device=slot.device).expand(len(slot), -1)
        slots = slots.minimum(slot.amax(dim=1, keepdim=True) + 1)
        x = noise(clip, slots).to(device=weight.device, dtype=weight.dtype)
        if label is not None:
            x = torch.cat([x, label.to(x.dtype)[:, None].expand(-1, x.shape[1], -1)], dim=2)
        codes = self.lstm(x)[0]
        left, right = (self.layers(codes[clip[:, None], s]) for s in (slot, slot + 1))
        v = torch.lerp(left, right, (times - slot)[..., None].to(left.dtype))
        return v if shift is None else v + shift


def code_at_time(
    motion: Motion | RecurrentMotion, slot_noise: SlotNoise, label: Tensor | None, shift: Tensor | None = None
) -> Callable[[float], Tensor]:
    """v at one time in frames, `[v_dim]` float32, of the video whose noise is `slot_noise` and whose codes u are
    shifted by `shift [U]`.

    `motion.forward` gives the same for many times at once, up to the rounding of sums over windows that
    depend on which times they are.
    """
    video = torch.zeros(1, dtype=torch.long)
    moved = torch.zeros(()) if shift is None else shift

    def acyclic(motion: Motion) -> Callable[[float], Tensor]:
        @lru_cache(maxsize=4)
        def after(slot: int) -> Callable[[Tensor], Tensor]:
            window = torch.arange(slot, slot + 2 + motion.reach)[None]
            left, right = (motion.codes(video, window, slot_noise, label)[0] + moved)[:, None, None]
            t_left = torch.tensor([[slot * motion.slot_distance]], dtype=torch.float64)
            return motion.encoding.between(left, right, t_left, t_left + motion.slot_distance)

        def at(time: float) -> Tensor:
            v = after(math.floor(time / motion.slot_distance))
            return v(torch.tensor([[time]], dtype=torch.float64))[0, 0].float()

        return at

    def recurrent(motion: RecurrentMotion) -> Callable[[float], Tensor]:
        codes: list[Tensor] = []
        state: tuple[Tensor, Tensor] | None = None

        def at(time: float) -> Tensor:
            nonlocal state
            slot = math.floor(time)
            while len(codes) < slot + 2:
                x = slot_noise(video, torch.tensor([[len(codes)]])).double()
                if label is not None:
                    x = torch.cat([x, label.double()[:, None]], dim=2)
                hidden, state = motion.lstm(x, state)
                codes.append(motion.layers(hidden)[0, 0] + moved)
            return torch.lerp(codes[slot], codes[slot + 1], time - slot).float()

        return at

    return acyclic(motion) if isinstance(motion, Motion) else recurrent(motion)
