"""What a video is made of, apart from the network: the styles of its content, and its motion. Read this first.

    seed, or a file ──open_latents──▶ Latents ──an edit──▶ Latents ──play──▶ uint8 frames
                                                              └──save_latents──▶ file

Every editor takes and gives `Latents`, and they are values: an edit makes new ones. Content and motion are two
fields, so the motion of one video on the content of another is `replace(content, motion=other.motion)`.

Shapes: T frames, L style layers, S slots, U code width, H height, W width. Times are in seconds of the data's clock.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from styleganv.errors import StyleganvError
from styleganv.files import atomic_write
from styleganv.methods.stylegan_v.sampler import Frame, Styles, VideoGenerator
from styleganv.noise import CONTENT, SeededNoise, normal

FORMAT = "styleganv-latents-1"


@dataclass(frozen=True)
class MotionLatents:
    """How a video moves, at any time.

    Attributes:
        seed: of the noise of every slot that `noise` does not hold.
        noise: of the slots 0 … S−1 `[S, noise_dim]`, float32 on the CPU, as a projection finds it; None: all of `seed`.
        label: class of a conditional model, whose motion depends on it too.
        shift: `[U]`, added to every motion code u; None: none.
    """

    seed: int
    noise: Tensor | None = None
    label: int | None = None
    shift: Tensor | None = None

    def slot_noise(self, noise_dim: int) -> "RecordedNoise":
        """The noise of any slot (a `SlotNoise`)."""
        return RecordedNoise(self.noise, SeededNoise([self.seed], noise_dim))


@dataclass(frozen=True)
class Latents:
    """All that tells one video of a model from another.

    Attributes:
        styles: content, a style for each layer `[L, w_dim]`, float32 on the CPU.
        motion: of the whole endless video.
    """

    styles: Tensor
    motion: MotionLatents


class RecordedNoise:
    """Motion noise of one video: recorded for its first slots, from a seed ever after (a `SlotNoise`)."""

    def __init__(self, recorded: Tensor | None, beyond: SeededNoise) -> None:
        self.recorded, self.beyond = recorded, beyond

    def __call__(self, clip: Tensor, slots: Tensor) -> Tensor:
        """Noise of `slots [N, S]` of the one video: `[N, S, noise_dim]`; gradients flow to what is recorded."""
        seeded = self.beyond(clip, slots)
        if self.recorded is None:
            return seeded
        held = slots < len(self.recorded)
        return torch.where(held[..., None].cpu(), self.recorded[slots.clamp(max=len(self.recorded) - 1)], seeded)


def latents_of(
    video: VideoGenerator,
    seed: int,
    *,
    motion_seed: int | None = None,
    psi: float = 1.0,
    label: str | int | None = None,
) -> Latents:
    """The latents behind `video.sample(seed=…)`, whose arguments these are."""
    index = video.class_index(seed, label)
    styles = video.style(seed, psi=psi, label=index).cpu().clone()
    return Latents(styles, MotionLatents(seed if motion_seed is None else motion_seed, label=index))


def open_latents(
    video: VideoGenerator, place: str | int | Path, *, psi: float = 1.0, label: str | int | None = None
) -> Latents:
    """A seed's latents, or those in a file that `save_latents` wrote (with the content truncated by `psi`, too).

    Raises:
        StyleganvError: if `place` is neither, or the file is damaged or of another model.
    """
    if isinstance(place, int) or str(place).isdecimal():
        return latents_of(video, int(str(place)), psi=psi, label=label)
    path = Path(place)
    if path.is_dir():
        path /= "latents.safetensors"
    try:
        with safe_open(path, "pt") as file:
            about = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in list(file.keys())}
        if about.get("format") != FORMAT:
            raise StyleganvError(
                f"{path} holds no latents: give a seed, or a file that styleganv project or edit wrote."
            )
        motion = MotionLatents(
            int(about["motion_seed"]),
            tensors.get("motion_noise"),
            int(about["label"]) if "label" in about else None,
            tensors.get("motion_shift"),
        )
        latents = Latents(tensors["styles"], motion)
    except FileNotFoundError as error:
        raise StyleganvError(f"{place} is neither a seed nor a file: give a whole number or a latents file.") from error
    except (SafetensorError, KeyError, ValueError, OSError) as error:
        raise StyleganvError(f"The latents {path} cannot be read ({error}): make them again.") from error
    _check(video, latents, path)
    return truncated(video, latents, psi)


def truncated(video: VideoGenerator, latents: Latents, psi: float) -> Latents:
    """With the content nearer to the mean: `psi` 1 leaves it, 0 is the mean itself; the motion stays."""
    if psi == 1:
        return latents
    mean = video.generator.mapping.w_mean.cpu()
    return replace(latents, styles=torch.lerp(mean.expand_as(latents.styles), latents.styles, psi))


def save_latents(path: Path | str, latents: Latents) -> None:
    """Write the file whole: safetensors, so that reading it executes nothing."""
    motion = latents.motion
    tensors = {"styles": latents.styles, "motion_noise": motion.noise, "motion_shift": motion.shift}
    about = {"format": FORMAT, "motion_seed": str(motion.seed)}
    if motion.label is not None:
        about["label"] = str(motion.label)
    with atomic_write(path) as tmp_path:
        kept = {name: value.detach().cpu().float().contiguous() for name, value in tensors.items() if value is not None}
        save_file(kept, tmp_path, about)


def _check(video: VideoGenerator, latents: Latents, path: Path) -> None:
    """Raises StyleganvError if they are not of this model."""
    synthesis, motion = video.generator.synthesis, video.generator.motion
    wanted = [synthesis.num_styles, video.generator.mapping.w_mean.numel()]
    problem = None
    if list(latents.styles.shape) != wanted:
        problem = f"its styles are {list(latents.styles.shape)}, the model's {wanted}"
    recorded = latents.motion.noise
    if recorded is not None and (motion is None or recorded.ndim != 2 or recorded.shape[1] != motion.noise_dim):
        problem = (
            f"its motion noise is {list(recorded.shape)}, the model's [slots, {motion.noise_dim if motion else 0}]"
        )
    if (latents.motion.label is not None) != bool(video.generator.num_classes):
        problem = "only one of the two has classes"
    if problem:
        raise StyleganvError(
            f"The latents {path} are of another model ({problem}): give the model they were made with."
        )


def play(
    video: VideoGenerator,
    latents: Latents,
    *,
    styles: Styles | None = None,
    clock: Callable[[float], float] | None = None,
    start: float = 0.0,
    seconds: float | None = None,
    fps: float | None = None,
) -> Iterator[Frame]:
    """Frames uint8 `[H, W, 3]` in constant memory; see `VideoGenerator.render`.

    Args:
        styles: instead of the latents' own: often a function of the seconds, for a content that changes.
        clock: from the seconds of the video to those of the motion; the same where left out.
        start, seconds, fps: as for `VideoGenerator.sample`; endless where `seconds` is left out.
    """
    motion = latents.motion
    noise_dim = 0 if video.generator.motion is None else video.generator.motion.noise_dim
    return video.render(
        latents.styles if styles is None else styles,
        motion.slot_noise(noise_dim),
        label=motion.label,
        shift=motion.shift,
        clock=clock,
        start=start,
        seconds=seconds,
        fps=fps,
    )


def differentiable_frames(
    video: VideoGenerator, styles: Tensor, motion: MotionLatents, times: Sequence[float] | Tensor
) -> Tensor:
    """The same frames for an optimisation: gradients flow to `styles`, `motion.noise` and `motion.shift`.

    Args:
        styles: `[L, w_dim]`.
        times: `[T]` in seconds.

    Returns:
        `[T, 3, H, W]`, float32 on the model's device, roughly in −1..1, in the model's precision.
    """
    generator, codes = video.generator, None
    moments = torch.as_tensor(times, dtype=torch.float64) * video.fps
    if generator.motion is not None:
        label = None if motion.label is None else torch.eye(generator.num_classes)[[motion.label]]
        slot_noise = motion.slot_noise(generator.motion.noise_dim)
        # The generator's own motion network is the float32 one, on the CPU beside the noise.
        codes = generator.motion.cpu()(moments[None], slot_noise, label, motion.shift).to(video.device)
    with video.autocast():
        return generator.synthesis(styles[None].to(video.device), codes)[0].float()


@torch.no_grad()
def spread_of_w(video: VideoGenerator) -> Tensor:
    """Standard deviation of w `[w_dim]` over contents (and classes), on the CPU."""
    count, classes = 1024, video.generator.num_classes
    z = torch.from_numpy(normal(0, CONTENT, 0, count * video.generator.z_dim)).view(count, -1)
    labels = torch.eye(classes)[torch.arange(count) % classes].to(video.device) if classes else None
    return video.generator.mapping(z.to(video.device), labels).std(dim=0).cpu()
