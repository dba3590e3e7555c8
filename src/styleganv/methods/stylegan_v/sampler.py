"""Videos from a model: any length, any frame rate, any start, in constant memory; same seed, same video.

    seed ──▶ z, class ──▶ w ───────────────────────────────┐
    motion seed ──▶ noise of slots ──▶ codes u ──▶ v(time) ──▶ synthesis ──▶ uint8 frames

Motion is computed on the CPU in float64, frame by frame from codes that each belong to one slot; synthesis always
starts with `CHUNK` frames. So a frame depends on nothing but its seeds and its time.

Shapes: T frames, H height, W width, M motions, N contents, K classes, L style layers, U code width.
Times are in seconds of the data's clock outside, in frames of the data inside.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import torch
from torch import Tensor

from styleganv import noise
from styleganv.errors import StyleganvError
from styleganv.methods.stylegan_v.folded import FoldedSynthesis, StoredWeights
from styleganv.methods.stylegan_v.generator import Generator
from styleganv.methods.stylegan_v.motion import MotionConv1d, RecurrentMotion, SlotNoise, code_at_time
from styleganv.methods.stylegan_v.pretrained import load_generator
from styleganv.model_folder import ready, sampler_arguments
from styleganv.video_model import MAX_FRAMES, TICKS, Frame, Precision, VideoModel, check_psi, exactly, levels

#: A style for each layer `[L, w_dim]`, or a function from seconds to them.
Styles = Tensor | Callable[[float], Tensor]

#: Frames in a call of the synthesis network.
CHUNK = 8
#: A recurrent motion walks through all frames before the one asked for.
MAX_RECURRENT_FRAMES = 20_000


def by_chunk(frames: Iterator[Frame]) -> Iterator[Frame]:
    """The same frames, for streams that go on side by side: none keeps half-finished ones while others compute."""
    while chunk := list(islice(frames, CHUNK)):
        yield from chunk


def load_video_generator(
    path: Path | str, *, device: str | torch.device | None = None, precision: Precision = "float32"
) -> "VideoGenerator":
    """Like `load`, for what needs StyleGAN-V's styles and motion codes.

    Raises:
        StyleganvError: also if the model is of another kind.
    """
    generator, config = load_generator(path)
    return ready(VideoGenerator(generator, **sampler_arguments(path, config), device=device, precision=precision))


class VideoGenerator(VideoModel):
    """A trained generator (StyleGAN-V, or StyleGAN2 where it has no motion) as a source of videos.

    Attributes:
        generator: the network. The rest as for every `VideoModel`.
        chunk: frames that go through the network together. As their number may round differently, frames are the
            same bit for bit only if it is.
        lead: the same of the first of them, where somebody waits for a picture.
    """

    chunk = CHUNK
    lead: int | None = None

    def __init__(self, generator: Generator, **arguments: Any) -> None:
        """Moves the generator's mapping and synthesis to the device; its motion network is copied and stays on
        the CPU, whose float64 some devices lack.

        Args:
            arguments: `fps`, and if wanted `class_names`, `device`, `precision`, `config`, as for every `VideoModel`.
        """
        super().__init__(generator, **arguments)
        self.generator = generator
        for part in (generator.mapping, generator.synthesis):
            part.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        # Videos of one content that are generated side by side (a grid) share their folded network.
        self._folded: WeakValueDictionary[bytes, FoldedSynthesis] = WeakValueDictionary()
        self._stored: StoredWeights | None = None
        self._motion = deepcopy(generator.motion)
        if self._motion is None:
            self.name, self.still, self.motion_seeds = "StyleGAN2", True, False
        else:
            self._motion.cpu().double()
            self.slot_distance = float(self._motion.slot_distance)
            for layer in self._motion.modules():
                if isinstance(layer, MotionConv1d):
                    layer.absorb_gain()
        if isinstance(self._motion, RecurrentMotion):
            self.max_frames = MAX_RECURRENT_FRAMES
            self.why_max_frames = "with lstm motion walks through all earlier frames"

    def _frames_at(
        self, seed: int, motion_seed: int, times: Iterator[float], *, psi: float, label: int | None
    ) -> Iterator[Frame]:
        return self._frames(
            self.style(seed, psi=psi, label=label), times, None, self._code_at(motion_seed, label, None)
        )

    def style(self, seed: int, *, psi: float = 1.0, label: str | int | None = None) -> Tensor:
        """The content of a seed: a style for each layer, `[L, w_dim]` on the device (all alike).

        Raises:
            StyleganvError: for an unknown class or a psi that is no number.
        """
        check_psi(psi)
        w = self._style(seed, self._one_hot(self.class_index(seed, label)), psi)
        return w.expand(self.generator.synthesis.num_styles, -1)

    def render(
        self,
        styles: Styles,
        motion: int | SlotNoise,
        *,
        label: str | int | None = None,
        shift: Tensor | None = None,
        clock: Callable[[float], float] | None = None,
        start: float = 0.0,
        seconds: float | None = None,
        fps: float | None = None,
    ) -> Iterator[Frame]:
        """Frames `[H, W, 3]` of any content under any motion, in constant memory: what editing is made of.

        Args:
            styles: `[L, w_dim]`, a style for each layer; or a function from the seconds of the video to them, for a
                content that changes (slower, as nothing can be folded).
            motion: a motion seed, or the noise of each slot.
            label: class name or number; a conditional model's motion depends on it too.
            shift: `[U]`, added to every motion code u.
            clock: from the seconds of the video to those of the motion, ≥ 0; the same where left out.
            start, seconds, fps: as for `sample`; endless where `seconds` is left out.
        """
        total = None if seconds is None else self.num_frames(seconds, fps)
        self._check(start, seconds)
        times = islice(self._times(start, self._rate(fps)), total)
        return self._frames(styles, times, clock, self._code_at(motion, label, shift))

    @torch.inference_mode()
    def _style(self, seed: int, one_hot: Tensor | None, psi: float) -> Tensor:
        """w `[w_dim]` on the device."""
        z = torch.from_numpy(noise.normal(seed, noise.CONTENT, 0, self.generator.z_dim))[None].to(self.device)
        label = None if one_hot is None else one_hot.to(self.device)
        return self.generator.mapping(z, label, psi=psi)[0]

    @torch.inference_mode()
    def _folded_for(self, styles: Tensor) -> Callable[[Tensor | None], Iterator[Tensor]]:
        synthesis = self.generator.synthesis
        with self._memory_suffices():
            if self._stored is None or not self._stored.fit(synthesis):
                self._stored = StoredWeights(synthesis, getattr(torch, self.precision))
                self._folded.clear()
            key = styles.cpu().contiguous().numpy().tobytes()
            folded = self._folded.get(key)
            if folded is None:
                folded = self._folded[key] = FoldedSynthesis(synthesis, styles.to(self.device), self._stored)
        return folded

    def _code_at(
        self, motion: int | SlotNoise, label: str | int | None, shift: Tensor | None
    ) -> Callable[[float], Tensor] | None:
        """v at a time; None for a model of images."""
        one_hot = self._one_hot(label)
        if self._motion is None:
            return None
        slot_noise = noise.SeededNoise([motion], self._motion.noise_dim) if isinstance(motion, int) else motion
        return code_at_time(self._motion, slot_noise, one_hot, shift)

    def _frames(
        self,
        styles: Styles,
        times: Iterator[float],
        clock: Callable[[float], float] | None,
        code_at: Callable[[float], Tensor] | None,
    ) -> Iterator[Frame]:
        synthesis = self._folded_for(styles) if isinstance(styles, Tensor) else None
        if code_at is None and synthesis is not None:
            picture = next(self._synthesize(synthesis, None))
            yield from (picture.copy() for _ in times)
            return
        size = self.lead or self.chunk
        while chunk := list(islice(times, size)):
            padded = chunk + chunk[-1:] * (size - len(chunk))
            size = self.chunk
            codes = None
            if code_at is not None:
                moments = padded if clock is None else [self._tick(clock(time / self.fps)) for time in padded]
                with torch.inference_mode():
                    codes = torch.stack([code_at(moment) for moment in moments])
            if synthesis is not None:
                yield from islice(self._synthesize(synthesis, codes), len(chunk))
            elif not isinstance(styles, Tensor):
                each = torch.stack([styles(time / self.fps) for time in padded]).to(self.device)
                yield from islice(self._synthesize(partial(self._unfolded, each), codes), len(chunk))

    def _tick(self, seconds: float) -> float:
        """Seconds of the motion in frames of the data, a whole number of ticks."""
        time = round(seconds * self.fps * TICKS) / TICKS
        last = MAX_FRAMES if self.max_frames is None else self.max_frames
        if not 0 <= time <= last:
            raise StyleganvError(f"Motion cannot be at {seconds:g} seconds: choose 0 to {last / self.fps:.3g}.")
        return time

    def _unfolded(self, styles: Tensor, codes: Tensor | None) -> Iterator[Tensor]:
        """Frames `[T, 3, H, W]`, each of its own `styles [T, L, w_dim]`."""
        with self.autocast():
            frames = self.generator.synthesis(styles, None if codes is None else codes[:, None])[:, 0]
        yield frames

    def _synthesize(
        self, synthesis: Callable[[Tensor | None], Iterator[Tensor]], codes: Tensor | None
    ) -> Iterator[Frame]:
        """Codes `[T, v_dim]` on the CPU → uint8 `[H, W, 3]` of each; None gives an image model's one."""
        with self._memory_suffices():
            parts = synthesis(None if codes is None else codes.to(self.device))
        while True:
            # For each part alone, as others may compute while somebody looks at one.
            with torch.inference_mode(), exactly(), self._memory_suffices():
                frames = next(parts, None)
            if frames is None:
                return
            pictures = levels(frames)
            del frames
            yield from pictures

    @contextmanager
    def _memory_suffices(self) -> Iterator[None]:
        try:
            yield
        except torch.OutOfMemoryError as error:
            raise StyleganvError(
                f"The memory of {self.device} is full: stop other programs on it, choose precision bfloat16, "
                "or device cpu."
            ) from error
