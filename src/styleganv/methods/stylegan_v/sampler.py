"""Sampler of StyleGAN-V: videos of any length, frame rate and start in constant memory; one seed, one video.

    seed ──▶ z, class ──▶ w ───────────────────────────────┐
    motion seed ──▶ motion noise ──▶ codes u ──▶ v(time) ──▶ synthesis ──▶ uint8 frames

Motion is computed on the CPU in float64, one frame at a time, from codes that each belong to one slot. The synthesis
network always starts with `CHUNK` frames. A frame therefore depends only on its seeds and its time.

Shapes: T frames, H height, W width, K classes, L style layers, U width of a motion code.
Times are in seconds at the interface and in frames of the dataset's frame rate inside.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from functools import cache, partial
from itertools import islice
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import torch
from torch import Tensor

from styleganv import noise
from styleganv.errors import StyleganvError
from styleganv.label_space import Label, LabelArgument
from styleganv.methods.stylegan_v.folded import FoldedSynthesis, StoredWeights, fold_and_run
from styleganv.methods.stylegan_v.generator import Generator
from styleganv.methods.stylegan_v.loop import MotionLoop
from styleganv.methods.stylegan_v.mapping import Truncation
from styleganv.methods.stylegan_v.motion import MotionConv1d, RecurrentMotion, SlotNoise, make_code_function
from styleganv.methods.stylegan_v.pretrained import load_generator
from styleganv.methods.stylegan_v.synthesis import Synthesis
from styleganv.model_folder import sampler_arguments
from styleganv.nn.cuda_graph import GraphedFunction
from styleganv.options import Precision
from styleganv.validation import NonNegative, Positive, Psi, Seed, check_arguments
from styleganv.video_model import MAX_FRAMES, TICKS, Frame, VideoModel, deterministic, to_uint8

logger = logging.getLogger(__name__)

#: One style per layer `[L, w_dim]`, or a function from seconds to them.
Styles = Tensor | Callable[[float], Tensor]

#: Frames in a call of the synthesis network.
CHUNK = 8
#: Limit of recurrent motion, which computes all frames before the requested one.
MAX_RECURRENT_FRAMES = 20_000


def buffer_chunks(frames: Iterator[Frame]) -> Iterator[Frame]:
    """Yield the same frames, computed a chunk at a time: none of several parallel streams keeps unfinished frames."""
    while chunk := list(islice(frames, CHUNK)):
        yield from chunk


def load_video_generator(
    path: Path | str, *, device: str | torch.device | None = None, precision: Precision = "float32"
) -> "VideoGenerator":
    """Return the StyleGAN-V model in a model folder or run; `load` accepts models of all methods.

    Raises:
        StyleganvError: as `load`, and for a model of another method.
    """
    generator, config = load_generator(path)
    return VideoGenerator(generator, **sampler_arguments(path, config), device=device, precision=precision)


@cache
def _log_speed(num_slots: int, percent: int) -> None:
    """Log, once per process, how a loop changes the speed of the motion."""
    if percent:
        change = f"{abs(percent)}% {'faster' if percent > 0 else 'slower'}"
        logger.info(f"The motion runs {change}, so that the loop has whole slots ({num_slots}).")


class VideoGenerator(VideoModel):
    """A trained generator (StyleGAN-V, or StyleGAN2 if it has no motion) as a source of videos.

    Attributes:
        generator: the network; see `VideoModel` for the other attributes.
        truncation: what psi does to w.
        chunk_size: frames per call of the network. Rounding may depend on it, so frames are the same bit for bit only
            for the same size.
        first_chunk_size: the same for the first call, for a shorter latency; None: `chunk_size`.
        cuda_graphs: whether a GPU replays recorded kernels for chunks of the same size; frames are the same without.
    """

    name = "StyleGAN-V"

    chunk_size = CHUNK
    first_chunk_size: int | None = None
    cuda_graphs = True
    supports_loops = True

    def __init__(self, generator: Generator, **arguments: Any) -> None:
        """Move mapping and synthesis to the device; keep a copy of the motion network on the CPU.

        Some devices lack the float64 that motion is computed in.

        Args:
            generator: network to sample from.
            arguments: `fps`, and optionally the other arguments of `VideoModel`.
        """
        super().__init__(generator, **arguments)
        self.generator, self.truncation = generator, Truncation(generator.mapping)
        self._move_network()
        self._motion = deepcopy(generator.motion)
        if self._motion is None:
            self.name, self.is_image_model, self.supports_motion_seed = "StyleGAN2", True, False
        else:
            self._motion.cpu().double()
            self.slot_distance = float(self._motion.slot_distance)
            for layer in self._motion.modules():
                if isinstance(layer, MotionConv1d):
                    layer.absorb_gain()
        if isinstance(self._motion, RecurrentMotion):
            self.max_frames = MAX_RECURRENT_FRAMES
            self.supports_loops = False

    def _move_network(self) -> None:
        for part in (self.generator.mapping, self.generator.synthesis):
            part.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._clear_folded()

    def _clear_folded(self) -> None:
        # Videos of one content that are generated in parallel (a grid) share their folded network.
        self._folded: WeakValueDictionary[bytes, FoldedSynthesis] = WeakValueDictionary()
        self._stored: StoredWeights | None = None
        self._graphs: dict[torch.Size, GraphedFunction] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in ("_folded", "_stored", "_graphs")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._clear_folded()

    def _frames_at(
        self, seed: int, motion_seed: int, times: Iterator[float], *, psi: float, label: Label | None
    ) -> Iterator[Frame]:
        return self.frames(self._styles(seed, label, psi), times, self.code_function(motion_seed, label))

    def _loop_frames(
        self, seed: int, motion_seed: int, *, psi: float, label: Label | None, **span: Any
    ) -> Iterator[Frame]:
        return self.render(self._styles(seed, label, psi), motion_seed, label=label, loop=True, **span)

    @check_arguments
    def styles_from_seed(self, seed: Seed, *, psi: Psi = 1.0, label: LabelArgument | None = None) -> Tensor:
        """Return the content of a seed: w repeated for each layer, `[L, w_dim]` on the device.

        Raises:
            StyleganvError: for an unknown class or a psi out of range.
        """
        return self._styles(seed, self.choose_label(seed, label), psi)

    def _styles(self, seed: int, label: Label | None, psi: float) -> Tensor:
        w = self._map(seed, label, psi)
        return w.expand(self.generator.synthesis.num_styles, -1)

    @check_arguments
    def render(
        self,
        styles: Styles,
        motion: int | SlotNoise,
        *,
        label: Label | None = None,
        shift: Tensor | None = None,
        time_map: Callable[[float], float] | None = None,
        start: NonNegative = 0.0,
        seconds: Positive | None = None,
        fps: Positive | None = None,
        loop: bool = False,
    ) -> Iterator[Frame]:
        """Yield frames `[H, W, 3]` of any content with any motion in constant memory; editing is built on this.

        Args:
            styles: `[L, w_dim]`, one style per layer; or a function from video time in seconds to them, for content
                that changes. A function is slower, as nothing can be folded.
            motion: motion seed, or the motion noise of each slot.
            label: label (`choose_label`), which a conditional model's motion depends on too.
            shift: `[U]`, added to every motion code u.
            time_map: function from video time to motion time, both in seconds ≥ 0; default: the identity.
            start, seconds, fps, loop: as for `stream`.
        """
        total = None if seconds is None else self.num_frames(seconds, fps)
        self._check(start, seconds)
        self._check_loop(loop, seconds)
        rate = self._output_fps(fps)
        times = islice(self.times(start, rate), total)
        circle = None
        if loop and total is not None:
            first, last = (time if time_map is None else time_map(time) for time in (start, start + total / rate))
            circle = self.close_loop(first, last)
        code_at = self.code_function(motion, label, shift, circle)

        def code_in_video(time: float) -> Tensor:
            assert code_at is not None
            if time_map is not None:
                time = self.motion_time(time_map(time / self.fps))
            return code_at(time if circle is None else circle.time(time))

        return self.frames(styles, times, None if code_at is None else code_in_video)

    def close_loop(self, start: float, end: float) -> MotionLoop | None:
        """Return the loop of the motion between two times in seconds; None if nothing moves.

        Raises:
            StyleganvError: for motion that ends before its start, and recurrent motion.
        """
        self._check_loop(True, end - start)
        if end < start:
            raise StyleganvError(
                f"A loop requires motion that runs forward, got {start:g} to {end:g} seconds: change the time map."
            )
        if end == start or self.slot_distance is None:
            return None
        loop = MotionLoop(start * self.fps, (end - start) * self.fps, self.slot_distance)
        _log_speed(loop.num_slots, round(100 * loop.length / loop.duration - 100))
        return loop

    @torch.inference_mode()
    def _map(self, seed: int, label: Label | None, psi: float) -> Tensor:
        """Return w `[w_dim]` on the device."""
        vector = self.label_tensor(label)
        z = torch.from_numpy(noise.normal(seed, noise.CONTENT, 0, self.generator.z_dim))[None].to(self.device)
        w = self.generator.mapping(z, None if vector is None else vector.to(self.device))
        return self.truncation(w, vector, psi)[0]

    def _synthesis_for(self, styles: Tensor) -> Callable[[Tensor | None], Iterator[Tensor]]:
        """Return the function from motion codes `[T, v_dim]` to frames `[T, 3, H, W]` for one content."""
        synthesis = self.generator.synthesis
        if not isinstance(synthesis, Synthesis):  # others have nothing to fold into plain convolutions
            return partial(self._unfolded, styles.to(self.device))
        if self.cuda_graphs and self.device.type == "cuda" and not self.is_image_model:
            return partial(self._replay, synthesis, styles.to(self.device))
        return self._folded_for(synthesis, styles)

    def _replay(self, synthesis: Synthesis, styles: Tensor, codes: Tensor | None) -> Iterator[Tensor]:
        """Yield the frames of a CUDA graph for all contents, which folds the style too: at each call, but quickly."""
        assert codes is not None
        stored = self._update_stored(synthesis)
        if codes.shape not in self._graphs:
            self._graphs[codes.shape] = GraphedFunction(partial(fold_and_run, synthesis, stored))
        yield self._graphs[codes.shape](styles, codes)

    @torch.inference_mode()
    def _folded_for(self, synthesis: Synthesis, styles: Tensor) -> Callable[[Tensor | None], Iterator[Tensor]]:
        with self._report_out_of_memory():
            stored = self._update_stored(synthesis)
            key = styles.cpu().contiguous().numpy().tobytes()
            folded = self._folded.get(key)
            if folded is None:
                folded = FoldedSynthesis(synthesis, styles.to(self.device), stored)
                self._folded[key] = folded
        return folded

    def _update_stored(self, synthesis: Synthesis) -> StoredWeights:
        """Return the prepared weights; if the network's have changed, prepare them again and drop what used them."""
        if self._stored is None or not self._stored.matches(synthesis):
            self._clear_folded()
            self._stored = StoredWeights(synthesis, getattr(torch, self.precision))
        return self._stored

    def code_function(
        self,
        motion: int | SlotNoise,
        label: Label | None,
        shift: Tensor | None = None,
        loop: MotionLoop | None = None,
    ) -> Callable[[float], Tensor] | None:
        """Return v as a function of the time in frames (with a loop, `loop.time`); None for an image model.

        Args:
            motion, label, shift: as for `render`.
        """
        vector = self.label_tensor(label)
        if self._motion is None:
            return None
        slot_noise = noise.SeededNoise([motion], self._motion.noise_dim) if isinstance(motion, int) else motion
        return make_code_function(self._motion, slot_noise, vector, shift, loop)

    def frames(
        self, styles: Styles, times: Iterator[float], code_at: Callable[[float], Tensor] | None
    ) -> Iterator[Frame]:
        """Yield a frame `[H, W, 3]` for each of these times in frames of the dataset (`VideoModel.times`).

        Args:
            styles: as for `render`.
            code_at: function from a time in frames to v `[v_dim]`; None for an image model.
        """
        synthesis = self._synthesis_for(styles) if isinstance(styles, Tensor) else None
        if code_at is None and synthesis is not None:
            image = next(self._synthesize(synthesis, None))
            yield from (image.copy() for _ in times)
            return
        size = self.first_chunk_size or self.chunk_size
        while chunk := list(islice(times, size)):
            padded = chunk + chunk[-1:] * (size - len(chunk))
            size = self.chunk_size
            codes = None
            if code_at is not None:
                with torch.inference_mode():
                    codes = torch.stack([code_at(time) for time in padded])
            if synthesis is not None:
                yield from islice(self._synthesize(synthesis, codes), len(chunk))
            elif not isinstance(styles, Tensor):
                per_frame = torch.stack([styles(time / self.fps) for time in padded]).to(self.device)
                yield from islice(self._synthesize(partial(self._unfolded, per_frame), codes), len(chunk))

    def motion_time(self, seconds: float) -> float:
        """Convert motion time in seconds to frames of the dataset, a whole number of ticks.

        Raises:
            StyleganvError: for a time out of range.
        """
        time = round(seconds * self.fps * TICKS) / TICKS
        last = MAX_FRAMES if self.max_frames is None else self.max_frames
        if not 0 <= time <= last:
            raise StyleganvError(
                f"Motion time must be 0 to {last / self.fps:.3g} seconds, got {seconds:g}: choose another time."
            )
        return time

    def _unfolded(self, styles: Tensor, codes: Tensor | None) -> Iterator[Tensor]:
        """Yield frames `[T, 3, H, W]` of one content `styles [L, w_dim]`, or each with its own, `[T, L, w_dim]`."""
        per_frame = styles.ndim == 3
        if codes is not None:
            codes = codes[:, None] if per_frame else codes[None]
        with self.autocast():
            frames = self.generator.synthesis(styles if per_frame else styles[None], codes)
        yield frames.flatten(0, 1)

    def _synthesize(
        self, synthesis: Callable[[Tensor | None], Iterator[Tensor]], codes: Tensor | None
    ) -> Iterator[Frame]:
        """Yield a uint8 frame `[H, W, 3]` for each of `codes [T, v_dim]` on the CPU; for None, an image model's one."""
        with self._report_out_of_memory():
            parts = synthesis(None if codes is None else codes.to(self.device))
        while True:
            # The contexts hold for one part at a time: other code runs between two parts.
            with torch.inference_mode(), deterministic(), self._report_out_of_memory():
                frames = next(parts, None)
            if frames is None:
                return
            images = to_uint8(frames)
            del frames
            yield from images

    @contextmanager
    def _report_out_of_memory(self) -> Iterator[None]:
        try:
            yield
        except torch.OutOfMemoryError as error:
            raise StyleganvError(
                f"Not enough memory on {self.device}: stop other programs that use it, or choose precision bfloat16 or "
                "device cpu."
            ) from error
