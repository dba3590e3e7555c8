"""Released weights as our networks: names, sizes read off the weights' shapes, and what is known to be left out."""

import itertools
import math
import re
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor

from styleganv.errors import StyleganvError
from styleganv.methods.stylegan_v.config import DiscriminatorConfig, GeneratorConfig
from styleganv.methods.stylegan_v.discriminator import Discriminator
from styleganv.methods.stylegan_v.generator import Generator
from styleganv.methods.stylegan_v.motion import AcyclicEncoding, Motion
from styleganv.nn.resample import FIR_TAPS

Network = TypeVar("Network", Generator, Discriminator)

#: Released parameter name → ours; blocks, which are named by resolution there, are numbered before.
GENERATOR_NAMES = [
    (r"^mapping\.w_avg$", "mapping.w_mean"),
    (r"^mapping\.fc(\d+)\.", r"mapping.layers.\1."),
    (r"^synthesis\.motion_encoder\.conv\.", "motion.convs."),
    (r"^synthesis\.motion_encoder\.time_encoder\.periods_predictor\.", "motion.encoding.period."),
    (r"^synthesis\.motion_encoder\.time_encoder\.phase_predictor\.", "motion.encoding.phase."),
    (r"^synthesis\.motion_encoder\.time_encoder\.aligners_predictor\.", "motion.encoding.align."),
    (r"^synthesis\.blocks\.0\.(input\.input\.)?const$", "synthesis.constant"),
    (r"\.torgb\.", ".to_rgb."),
]
DISCRIMINATOR_NAMES = [
    (r"^time_encoder\.const_embed\.", "condition.embedding."),
    (r"^mapping\.embed\.", "condition.embed."),
    (r"^mapping\.fc(\d+)\.", r"condition.layers.\1."),
    (r"^b4\.conv\.", "conv."),
    (r"^b4\.fc\.", "dense."),
    (r"^b4\.out\.", "out."),
    (r"^b\d+\.fromrgb\.", "from_rgb."),
]
#: What follows from other numbers; that it does is checked.
DERIVED = re.compile(r"(^|\.)(resample_filter|freqs|phase_scales|fourier_coefs)$")
#: StyleGAN2's pixel noise, which these networks do not have.
PIXEL_NOISE = re.compile(r"\.noise_(const|strength)$")
MAX_RESOLUTION = 4096


class NotReleased(StyleganvError):
    """The weights are not those of a network as it was released."""


def generator_from(tensors: dict[str, Tensor]) -> tuple[Generator, list[str]]:
    """Our generator with released weights, in evaluation mode, and remarks on what was left out.

    Raises:
        NotReleased: if weights are missing, left over, or of sizes that do not belong together.
    """
    used, remarks = _without_derived(tensors), []
    noise = [name for name in used if PIXEL_NOISE.search(name)]
    if noise:
        remarks.append(f"Pixel noise ({len(noise)} arrays) is left out: frames are those of noise_mode 'none'.")
    ours = {our_generator_name(name): tensor for name, tensor in used.items() if name not in noise}
    channels = _channels(tensors, r"synthesis\.b(\d+)\.conv1\.weight")
    base, most = _channel_settings(channels)
    resolution = max(channels)
    first = _shape(tensors, "mapping.fc0.weight", 2)
    num_classes = _shape(tensors, "mapping.embed.weight", 2)[1] if "mapping.embed.weight" in tensors else 0
    motion = _motion(tensors, num_classes) if any("motion_encoder" in name for name in tensors) else {"motion": "none"}
    arguments: dict[str, Any] = dict(
        num_classes=num_classes,
        z_dim=first[1] - (first[0] if num_classes else 0),
        w_dim=first[0],
        mapping_layers=sum(bool(re.fullmatch(r"mapping\.fc\d+\.weight", name)) for name in tensors),
        channel_base=base,
        channel_max=most,
        **motion,
    )
    _assert_sizes(arguments)
    generator = _filled(partial(Generator, GeneratorConfig(resolution, resolution, **arguments)), ours)
    if isinstance(generator.motion, Motion):
        _assert_times(generator.motion.encoding, tensors)
    return generator.eval().requires_grad_(False), remarks


def discriminator_from(tensors: dict[str, Tensor], *, num_classes: int) -> Discriminator:
    """Our discriminator with released weights; it projects the condition and does not modulate.

    Raises:
        NotReleased: as for `generator_from`.
    """
    channels = _channels(tensors, r"b(\d+)\.conv0\.weight", lowest=8)
    channels[4] = _shape(tensors, "b4.conv.weight", 4)[0]
    base, most = _channel_settings(channels)
    resolution = max(channels)
    sizes: dict[str, Any] = {"num_frames": 1}
    if "time_encoder.const_embed.weight" in tensors:
        gaps, width = _shape(tensors, "time_encoder.const_embed.weight", 2)
        inputs = _shape(tensors, "mapping.embed.weight", 2)[1] - num_classes
        sizes = {
            "num_frames": 1 + inputs // (width + 2 * math.ceil(math.log2(max(2, gaps)))),
            "condition_dim": _shape(tensors, "b4.out.weight", 2)[0],
            "max_gap": gaps,
        }
    elif "mapping.embed.weight" in tensors:
        raise NotReleased("judges classes of images, by a mapping that ours does not have.")
    _assert_sizes(sizes | {"channel_base": base, "channel_max": most})
    discriminator = _filled(
        partial(
            Discriminator,
            DiscriminatorConfig(
                resolution,
                resolution,
                num_classes=num_classes,
                channel_base=base,
                channel_max=most,
                condition="project",
                **sizes,
            ),
        ),
        {our_discriminator_name(name, resolution): value for name, value in _without_derived(tensors).items()},
    )
    waves = tensors.get("time_encoder.time_encoder.fourier_coefs")
    if discriminator.condition is not None and not _close(waves, discriminator.condition.frequency):
        raise NotReleased("tells times apart by other waves than the released ones.")
    return discriminator.eval().requires_grad_(False)


def our_generator_name(name: str) -> str:
    """What the generator's parameter of that released name is called here."""
    name = re.sub(r"^synthesis\.b(\d+)\.", lambda m: f"synthesis.blocks.{int(m[1]).bit_length() - 3}.", name)
    for pattern, ours in GENERATOR_NAMES:
        name = re.sub(pattern, ours, name)
    return name


def our_discriminator_name(name: str, resolution: int) -> str:
    """The same for the discriminator, whose blocks are counted from the full resolution down."""
    for pattern, ours in DISCRIMINATOR_NAMES:
        name = re.sub(pattern, ours, name)
    top = resolution.bit_length()
    return re.sub(r"^b(\d+)\.", lambda m: f"blocks.{top - int(m[1]).bit_length()}.", name)


def _without_derived(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights alone; the low-pass filters are checked here, waves where they belong."""
    taps = torch.tensor(FIR_TAPS)
    kernel = torch.outer(taps, taps) / taps.sum() ** 2
    for name, tensor in tensors.items():
        if name.endswith("resample_filter") and not _close(tensor, kernel):
            raise NotReleased(f"resamples with another filter than [1, 3, 3, 1] ({name}).")
    return {name: tensor for name, tensor in tensors.items() if not DERIVED.search(name)}


def _motion(tensors: dict[str, Tensor], num_classes: int) -> dict[str, Any]:
    prefix = "synthesis.motion_encoder."
    noise, _, kernel = _shape(tensors, f"{prefix}conv.0.weight", 3)
    code = _shape(tensors, f"{prefix}conv.1.weight", 3)[0]
    waves = tensors.get(f"{prefix}time_encoder.freqs")
    if waves is None or waves.numel() == 0 or not bool((waves > 0).all()):
        raise NotReleased("has motion without waves: only the released acyclic motion codes can be imported.")
    periods = 2 * math.pi / waves.double().flatten()
    return {
        "motion": "conv",
        "motion_noise_dim": noise,
        "motion_code_dim": code,
        "num_frequencies": waves.numel(),
        "motion_kernel": kernel,
        "slot_distance": _whole(float(periods[-1])),
        "longest_period": _whole(float(periods[0])),
        "amplitude": False,
    }


def _assert_times(encoding: AcyclicEncoding, tensors: dict[str, Tensor]) -> None:
    periods = encoding.periods(torch.device("cpu"))
    scales = encoding.longest_period / periods
    for name, ours in (("freqs", 2 * math.pi / periods), ("phase_scales", scales)):
        if not _close(tensors.get(f"synthesis.motion_encoder.time_encoder.{name}"), ours):
            raise NotReleased(f"has other {name} than its shortest and longest period give.")


def _channels(tensors: dict[str, Tensor], pattern: str, lowest: int = 4) -> dict[int, int]:
    """Resolution → channels, `lowest`, its double, … without a gap."""
    found = {int(m[1]): tensor.shape[0] for name, tensor in tensors.items() if (m := re.fullmatch(pattern, name))}
    steps = sorted(found)
    doubling = all(b == 2 * a for a, b in itertools.pairwise(steps))
    if not steps or steps[0] != lowest or not doubling or steps[-1] > MAX_RESOLUTION:
        raise NotReleased("has no blocks of 4², 8², 16², … pixels: only square networks of StyleGAN2 can be imported.")
    return found


def _channel_settings(channels: dict[int, int]) -> tuple[int, int]:
    """The `channel_base` and `channel_max` that give these channels."""
    base, most = max(channels) * channels[max(channels)], max(channels.values())
    if any(min(base // level, most) != count for level, count in channels.items()):
        raise NotReleased(f"has channels that follow no rule ({sorted(channels.items())}).")
    return base, most


def _assert_sizes(sizes: dict[str, Any]) -> None:
    """That a network of these sizes can be made at all; whether it is the right one, its weights tell."""
    wrong = {name: size for name, size in sizes.items() if isinstance(size, (int, float)) and not 0 <= size < 2**31}
    if wrong or min(sizes.get("z_dim", 1), sizes.get("num_frames", 1), sizes.get("condition_dim", 1)) < 1:
        raise NotReleased(f"has weights of impossible sizes ({wrong or sizes}).")


def _filled(make: Callable[[], Network], weights: dict[str, Tensor]) -> Network:
    """The network with every weight in its place, and none left over."""
    with torch.device("meta"):  # nothing is made of a size that the weights themselves do not have
        wanted = {name: value.shape for name, value in make().state_dict().items()}
    for kind, names in (
        ("lacks", wanted.keys() - weights.keys()),
        ("has weights without a place here,", weights.keys() - wanted.keys()),
    ):
        if names:
            raise NotReleased(f"{kind} {', '.join(sorted(names)[:3])}{' …' if len(names) > 3 else ''}.")
    for name, shape in wanted.items():
        given = weights[name]
        if [n for n in given.shape if n != 1] != [n for n in shape if n != 1] or not given.dtype.is_floating_point:
            raise NotReleased(f"has {name} of {list(given.shape)} where {list(shape)} is expected.")
        if not bool(given.isfinite().all()):
            raise NotReleased(f"has {name} that is not finite: it diverged, or the file is damaged.")
    with torch.random.fork_rng(devices=[]):
        network = make()
    network.load_state_dict({name: weights[name].reshape(shape).float() for name, shape in wanted.items()})
    return network


def _shape(tensors: dict[str, Tensor], name: str, dimensions: int) -> list[int]:
    found = tensors.get(name)
    if found is None or found.ndim != dimensions or 0 in found.shape:
        raise NotReleased(f"lacks {name} of {dimensions} dimensions.")
    return list(found.shape)


def _whole(period: float) -> float:
    """Periods are whole frames, but come from frequencies in float32."""
    return float(round(period)) if abs(period - round(period)) < 1e-4 * period else period


def _close(theirs: Tensor | None, ours: Tensor) -> bool:
    if theirs is None or theirs.numel() != ours.numel():
        return False
    return torch.allclose(theirs.double().reshape(ours.shape), ours.double(), rtol=1e-4, atol=0)
