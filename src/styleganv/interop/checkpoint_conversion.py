"""Conversion of official weights to our networks: names, sizes inferred from shapes, and what is dropped."""

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
from styleganv.methods.stylegan_v.encoding import AcyclicEncoding
from styleganv.methods.stylegan_v.generator import Generator
from styleganv.methods.stylegan_v.motion import Motion
from styleganv.nn.resample import FIR_TAPS

Network = TypeVar("Network", Generator, Discriminator)

#: Official parameter name → ours; blocks, officially named by resolution, are renumbered first.
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
#: Buffers that follow from other values, which is checked.
DERIVED = re.compile(r"(^|\.)(resample_filter|freqs|phase_scales|fourier_coefs)$")
#: StyleGAN2's pixel noise, which these networks do not have.
PIXEL_NOISE = re.compile(r"\.noise_(const|strength)$")
MAX_RESOLUTION = 4096


class UnsupportedCheckpoint(StyleganvError):
    """The weights are not those of an official network; the text gives the reason."""


def convert_generator(tensors: dict[str, Tensor], slot_distance: float | None = None) -> tuple[Generator, list[str]]:
    """Return our generator with official weights, in evaluation mode, and warnings about what differs.

    Args:
        slot_distance: frames between noise slots, which no weight shows; None for the shortest period.

    Raises:
        UnsupportedCheckpoint: if weights are missing, unknown, or of inconsistent sizes.
    """
    used, warnings = _without_derived(tensors), []
    noise = [name for name in used if PIXEL_NOISE.search(name)]
    if noise:
        warnings.append(f"Pixel noise ({len(noise)} arrays) is dropped: frames equal those of noise_mode 'none'.")
    ours = {rename_generator_parameter(name): tensor for name, tensor in used.items() if name not in noise}
    channels = _channels(tensors, r"synthesis\.b(\d+)\.conv1\.weight")
    channel_base, channel_max = _channel_settings(channels)
    resolution = max(channels)
    first = _shape(tensors, "mapping.fc0.weight", 2)
    num_classes = _shape(tensors, "mapping.embed.weight", 2)[1] if "mapping.embed.weight" in tensors else 0
    motion: dict[str, Any] = {"motion": "none"}
    if any("motion_encoder" in name for name in tensors):
        motion = _motion(tensors, slot_distance)
        if slot_distance is None:
            warnings.append(
                f"The file does not store the slot distance: {motion['slot_distance']:g} frames, the shortest period, "
                "is assumed. If the model was trained with another motion_z_distance, its videos differ."
            )
    sizes: dict[str, Any] = dict(
        num_classes=num_classes,
        z_dim=first[1] - (first[0] if num_classes else 0),
        w_dim=first[0],
        mapping_layers=sum(bool(re.fullmatch(r"mapping\.fc\d+\.weight", name)) for name in tensors),
        channel_base=channel_base,
        channel_max=channel_max,
        **motion,
    )
    _check_sizes(sizes)
    generator = _fill(partial(Generator, GeneratorConfig(resolution, resolution, **sizes)), ours)
    if isinstance(generator.motion, Motion):
        _check_time_encoding(generator.motion.encoding, tensors)
    return generator.eval().requires_grad_(False), warnings


def convert_discriminator(tensors: dict[str, Tensor], *, num_classes: int) -> Discriminator:
    """Return our discriminator with official weights; it projects the condition and does not modulate.

    Raises:
        UnsupportedCheckpoint: as for `convert_generator`.
    """
    channels = _channels(tensors, r"b(\d+)\.conv0\.weight", lowest=8)
    channels[4] = _shape(tensors, "b4.conv.weight", 4)[0]
    channel_base, channel_max = _channel_settings(channels)
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
        raise UnsupportedCheckpoint("class-conditional image discriminators are not supported")
    sizes |= {"channel_base": channel_base, "channel_max": channel_max}
    _check_sizes(sizes)
    config = DiscriminatorConfig(resolution, resolution, num_classes=num_classes, condition="project", **sizes)
    ours = {rename_discriminator_parameter(name, resolution): x for name, x in _without_derived(tensors).items()}
    discriminator = _fill(partial(Discriminator, config), ours)
    frequencies = tensors.get("time_encoder.time_encoder.fourier_coefs")
    if discriminator.condition is not None and not _close(frequencies, discriminator.condition.frequency):
        raise UnsupportedCheckpoint("unexpected values in time_encoder.time_encoder.fourier_coefs")
    return discriminator.eval().requires_grad_(False)


def rename_generator_parameter(name: str) -> str:
    """Return our name of a generator parameter."""
    name = re.sub(r"^synthesis\.b(\d+)\.", lambda m: f"synthesis.blocks.{int(m[1]).bit_length() - 3}.", name)
    for pattern, ours in GENERATOR_NAMES:
        name = re.sub(pattern, ours, name)
    return name


def rename_discriminator_parameter(name: str, resolution: int) -> str:
    """Return our name of a discriminator parameter; blocks count from the full resolution down."""
    for pattern, ours in DISCRIMINATOR_NAMES:
        name = re.sub(pattern, ours, name)
    top = resolution.bit_length()
    return re.sub(r"^b(\d+)\.", lambda m: f"blocks.{top - int(m[1]).bit_length()}.", name)


def _without_derived(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights without derived buffers, and check the low-pass filters."""
    taps = torch.tensor(FIR_TAPS)
    kernel = torch.outer(taps, taps) / taps.sum() ** 2
    for name, tensor in tensors.items():
        if name.endswith("resample_filter") and not _close(tensor, kernel):
            raise UnsupportedCheckpoint(f"{name} is not the filter [1, 3, 3, 1]")
    return {name: tensor for name, tensor in tensors.items() if not DERIVED.search(name)}


def _motion(tensors: dict[str, Tensor], slot_distance: float | None) -> dict[str, Any]:
    """Return the motion fields of `GeneratorConfig`."""
    prefix = "synthesis.motion_encoder."
    noise, _, kernel = _shape(tensors, f"{prefix}conv.0.weight", 3)
    code = _shape(tensors, f"{prefix}conv.1.weight", 3)[0]
    frequencies = tensors.get(f"{prefix}time_encoder.freqs")
    if frequencies is None or frequencies.numel() == 0 or not bool((frequencies > 0).all()):
        raise UnsupportedCheckpoint("motion without acyclic motion codes")
    periods = 2 * math.pi / frequencies.double().flatten()
    shortest = _round_period(float(periods[-1]))
    slot_distance = shortest if slot_distance is None else slot_distance
    return {
        "motion": "conv",
        "motion_noise_dim": noise,
        "motion_code_dim": code,
        "num_frequencies": frequencies.numel(),
        "motion_kernel": kernel,
        "slot_distance": slot_distance,
        "shortest_period": None if shortest == slot_distance else shortest,
        "longest_period": _round_period(float(periods[0])),
        "amplitude": False,
    }


def _check_time_encoding(encoding: AcyclicEncoding, tensors: dict[str, Tensor]) -> None:
    periods = encoding.periods(torch.device("cpu"))
    scales = encoding.longest_period / periods
    for name, ours in (("freqs", 2 * math.pi / periods), ("phase_scales", scales)):
        if not _close(tensors.get(f"synthesis.motion_encoder.time_encoder.{name}"), ours):
            ends = f"{periods[-1]:g} and {periods[0]:g} frames"
            raise UnsupportedCheckpoint(f"time_enc has other {name} than its min and max period give, {ends}")


def _channels(tensors: dict[str, Tensor], pattern: str, lowest: int = 4) -> dict[int, int]:
    """Return channels by resolution: `lowest`, its double, and so on without a gap."""
    channels = {int(m[1]): tensor.shape[0] for name, tensor in tensors.items() if (m := re.fullmatch(pattern, name))}
    steps = sorted(channels)
    doubling = all(b == 2 * a for a, b in itertools.pairwise(steps))
    if not steps or steps[0] != lowest or not doubling or steps[-1] > MAX_RESOLUTION:
        raise UnsupportedCheckpoint("no blocks of 4², 8², 16², … pixels, as in square StyleGAN2 networks")
    return channels


def _channel_settings(channels: dict[int, int]) -> tuple[int, int]:
    """Return the `channel_base` and `channel_max` that give these channels.

    The base need not be divisible by any resolution, e.g. 6553 for `fmaps` 0.2: the smallest possible one is returned.
    """
    base, most = max(level * count for level, count in channels.items()), max(channels.values())
    if any(min(base // level, most) != count for level, count in channels.items()):
        raise UnsupportedCheckpoint(f"irregular channels {sorted(channels.items())}")
    return base, most


def _check_sizes(sizes: dict[str, Any]) -> None:
    """Check that a network of these sizes can be built; its weights are compared later."""
    wrong = {name: size for name, size in sizes.items() if isinstance(size, (int, float)) and not 0 <= size < 2**31}
    if wrong or min(sizes.get("z_dim", 1), sizes.get("num_frames", 1), sizes.get("condition_dim", 1)) < 1:
        raise UnsupportedCheckpoint(f"impossible sizes {wrong or sizes}")


def _fill(make: Callable[[], Network], weights: dict[str, Tensor]) -> Network:
    """Return the network with all weights; they must match its parameters one to one."""
    with torch.device("meta"):  # allocates nothing before the sizes are checked
        expected = {name: value.shape for name, value in make().state_dict().items()}
    for problem, names in (
        ("missing", expected.keys() - weights.keys()),
        ("unexpected", weights.keys() - expected.keys()),
    ):
        if names:
            raise UnsupportedCheckpoint(
                f"{problem} weights: {', '.join(sorted(names)[:3])}{' …' if len(names) > 3 else ''}"
            )
    for name, shape in expected.items():
        weight = weights[name]
        if [n for n in weight.shape if n != 1] != [n for n in shape if n != 1] or not weight.dtype.is_floating_point:
            raise UnsupportedCheckpoint(f"{name} is {weight.dtype} {list(weight.shape)}, expected floats {list(shape)}")
        if not bool(weight.isfinite().all()):
            raise UnsupportedCheckpoint(f"{name} has non-finite values")
    with torch.random.fork_rng(devices=[]):
        network = make()
    network.load_state_dict({name: weights[name].reshape(shape).float() for name, shape in expected.items()})
    return network


def _shape(tensors: dict[str, Tensor], name: str, dimensions: int) -> list[int]:
    tensor = tensors.get(name)
    if tensor is None or tensor.ndim != dimensions or 0 in tensor.shape:
        raise UnsupportedCheckpoint(f"missing weights: {name} with {dimensions} dimensions")
    return list(tensor.shape)


def _round_period(period: float) -> float:
    """Round periods to whole frames, which float32 frequencies give inexactly."""
    return float(round(period)) if abs(period - round(period)) < 1e-4 * period else period


def _close(theirs: Tensor | None, ours: Tensor) -> bool:
    if theirs is None or theirs.numel() != ours.numel():
        return False
    return torch.allclose(theirs.double().reshape(ours.shape), ours.double(), rtol=1e-4, atol=0)
