"""Pickles in the layout of official checkpoints, with any weights.

The classes they refer to exist only while a pickle is written.
"""

import pickle
import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from styleganv.methods.stylegan_v.discriminator import Discriminator
from styleganv.methods.stylegan_v.generator import Generator

BUFFERS = re.compile(r"(resample_filter|w_avg|freqs|phase_scales|fourier_coefs|noise_const)$")
FILTER = torch.tensor([1.0, 3.0, 3.0, 1.0])
FILTER = torch.outer(FILTER, FILTER) / 64


@contextmanager
def classes(prefix: str) -> Iterator[dict[str, Any]]:
    """Create the classes a pickle refers to, in temporary modules."""
    made: set[str] = set()

    def put(module: str, thing: Any) -> Any:
        parts = module.split(".")
        for i in range(1, len(parts) + 1):
            name = ".".join(parts[:i])
            if name not in sys.modules:
                sys.modules[name] = ModuleType(name)
                made.add(name)
        thing.__module__, thing.__qualname__ = module, thing.__name__
        setattr(sys.modules[module], thing.__name__, thing)
        return thing

    def _reconstruct_persistent_obj(meta: Any) -> Any:
        raise AssertionError("called")

    things = {"persistent": put(f"{prefix}torch_utils.persistence", _reconstruct_persistent_obj)}
    for module, name, base in (
        (f"{prefix}dnnlib.util", "EasyDict", dict),
        (f"{prefix}training.layers", "TemporalDifferenceEncoder", object),
        ("omegaconf.dictconfig", "DictConfig", object),
        ("omegaconf.listconfig", "ListConfig", object),
        ("omegaconf.nodes", "AnyNode", object),
        ("omegaconf.base", "ContainerMetadata", object),
        ("omegaconf.base", "Metadata", object),
    ):
        things[name] = put(module, type(name, (base,), {}))
    try:
        yield things
    finally:
        for name in made:
            del sys.modules[name]


class _Persistent:
    """A module that pickles as a call with its source code, which would write the file `source_writes`."""

    def __init__(self, rebuild: Any, class_name: str, source_writes: Path, state: dict[str, Any]) -> None:
        self.parts = rebuild, class_name, source_writes, state

    def __reduce__(self) -> Any:
        rebuild, class_name, source_writes, state = self.parts
        source = f"open({str(source_writes)!r}, 'w').write('run')"
        meta = {"type": "class", "version": 6, "module_src": source, "class_name": class_name, "state": state}
        return rebuild, (meta,)


def write_pickle(
    path: Path,
    generator: dict[str, Tensor],
    discriminator: dict[str, Tensor] | None,
    *,
    prefix: str = "",
    protocol: int = pickle.DEFAULT_PROTOCOL,
    settings: Mapping[str, object] | None = None,
    discriminator_settings: Mapping[str, object] | None = None,
) -> Path:
    """Write a snapshot with these official parameters; its source code would write `path` with suffix `.run`.

    Settings have dotted names: of an attribute of a module, such as "b4.group_size", or in the settings of all modules,
    such as "cfg.motion.motion_z_distance".
    """
    with classes(prefix) as things:

        def module(tensors: dict[str, Tensor], class_name: str, settings: Mapping[str, object], name: str = "") -> Any:
            parameters = {key: value for key, value in tensors.items() if "." not in key}
            inner: dict[str, dict[str, Tensor]] = defaultdict(dict)
            for key, value in tensors.items():
                if "." in key:
                    first, rest = key.split(".", 1)
                    inner[first][rest] = value
            state = {
                "training": False,
                "_parameters": {
                    key: nn.Parameter(value, requires_grad=value.is_floating_point())
                    for key, value in parameters.items()
                    if not BUFFERS.search(key)
                },
                "_buffers": {key: value for key, value in parameters.items() if BUFFERS.search(key)},
                "_modules": {key: module(values, "Layer", of(key, settings), key) for key, values in inner.items()},
                "_non_persistent_buffers_set": set(),
                "_init_args": (),
                "_init_kwargs": things["EasyDict"](c_dim=np.int64(0), rate=np.float32(0.5)),
                "cfg": group(nested({"num_frames": 3, "motion": {}} | below("cfg", settings))),
            } | {key: value for key, value in settings.items() if "." not in key}
            if name == "conv" and inner.keys() == {"0", "1"}:
                plain: Any = nn.Sequential()
            elif "weight_ih_l0" in parameters:
                plain = nn.LSTM(1, 1)
            elif name == "const_embed":
                plain = nn.Embedding(1, 1)
            elif name == "time_encoder" and "const_embed" in inner:
                plain = things["TemporalDifferenceEncoder"]()
            else:
                return _Persistent(things["persistent"], class_name, path.with_suffix(".run"), state)
            plain.__dict__.update({key: state[key] for key in ("_parameters", "_buffers", "_modules")})
            return plain

        def leaf(value: object) -> Any:
            node = things["AnyNode"]()
            node._val, node._metadata = value, things["Metadata"]()
            return node

        def group(members: Mapping[str, object], parent: Any = None) -> Any:
            made = things["DictConfig"]()
            made._metadata, made._parent = things["ContainerMetadata"](), parent
            made._metadata.ref_type, made._metadata.resolver_cache = Any, defaultdict(dict)
            made._content = {
                key: group(value, made) if isinstance(value, Mapping) else leaf(value) for key, value in members.items()
            }
            return made

        ours = module(generator, "Generator", settings or {})
        theirs = None
        if discriminator is not None:
            theirs = module(discriminator, "Discriminator", discriminator_settings or {})
        weight = nn.Parameter(torch.ones(2))
        adam = torch.optim.Adam([weight])
        weight.grad = torch.ones(2)
        adam.step()
        state = {"state": adam.state, "param_groups": adam.param_groups, "defaults": {"lr": 0.1}}
        optimizer = torch.optim.Adam.__new__(torch.optim.Adam)
        optimizer.__dict__.update(state)
        content = {
            "G": ours,
            "D": theirs,
            "G_ema": ours,
            "augment_pipe": None,
            "G_opt": optimizer,
            "training_set_kwargs": things["EasyDict"](path="data.zip", use_labels=True),
            "stats": things["EasyDict"](cur_nimg=np.int64(3000), cur_tick=1, batch_idx=7),
        }
        with open(path, "wb") as file:
            pickle.dump(content, file, protocol=protocol)
    return path


def below(first: str, settings: Mapping[str, object]) -> dict[str, object]:
    """Return the settings whose dotted name starts with `first`, by the rest of the name."""
    return {name.removeprefix(f"{first}."): value for name, value in settings.items() if name.startswith(f"{first}.")}


def of(module: str, settings: Mapping[str, object]) -> dict[str, object]:
    """Return the settings of a submodule: its own, and those of all modules."""
    return below(module, settings) | {name: value for name, value in settings.items() if name.startswith("cfg.")}


def nested(settings: Mapping[str, object]) -> dict[str, Any]:
    """Return settings by dotted name as groups of settings."""
    groups = {name.split(".")[0] for name in settings if "." in name}
    own = {name: value for name, value in settings.items() if "." not in name}
    return own | {name: nested(below(name, settings)) for name in groups}


def official_generator(generator: Generator) -> dict[str, Tensor]:
    """Return our weights under the official names, with derived buffers."""
    weights = {}
    for name, value in generator.state_dict().items():
        name = re.sub(r"blocks\.(\d+)", lambda m: f"b{4 << int(m[1])}", name)
        for ours, theirs in (
            ("mapping.w_mean", "mapping.w_avg"),
            ("mapping.layers.", "mapping.fc"),
            ("motion.convs.", "synthesis.motion_encoder.conv."),
            ("motion.encoding.period.", "synthesis.motion_encoder.time_encoder.periods_predictor."),
            ("motion.encoding.phase.", "synthesis.motion_encoder.time_encoder.phase_predictor."),
            ("motion.encoding.align.", "synthesis.motion_encoder.time_encoder.aligners_predictor."),
            ("synthesis.constant", f"synthesis.b4.{'input.input.' if generator.motion else ''}const"),
            (".to_rgb.", ".torgb."),
        ):
            name = name.replace(ours, theirs)
        weights[name] = value[None] if name.endswith("input.input.const") else value
    if generator.motion is not None:
        periods = generator.motion.encoding.periods(torch.device("cpu"))  # type: ignore[union-attr]
        prefix = "synthesis.motion_encoder.time_encoder."
        weights[f"{prefix}freqs"] = (2 * torch.pi / periods).float()[None]
        weights[f"{prefix}phase_scales"] = (periods[0] / periods).float()[None]
    else:
        for name in [key for key in weights if re.search(r"conv\d\.weight$", key)]:
            layer, resolution = name.removesuffix("weight"), int(re.search(r"b(\d+)", name)[1])  # type: ignore[index]
            weights[f"{layer}noise_const"] = torch.randn(resolution, resolution)
            weights[f"{layer}noise_strength"] = torch.ones([])
    return weights | {f"synthesis.b{r}.resample_filter": FILTER for r in (4, 8)}


def official_discriminator(discriminator: Discriminator) -> dict[str, Tensor]:
    """Return the discriminator's weights under the official names."""
    weights = {}
    top = 4 << len(discriminator.blocks)
    for name, value in discriminator.state_dict().items():
        name = re.sub(r"blocks\.(\d+)", lambda m: f"b{top >> int(m[1])}", name)
        for ours, theirs in (
            (r"^condition\.embedding\.", "time_encoder.const_embed."),
            (r"^condition\.embed\.", "mapping.embed."),
            (r"^condition\.layers\.", "mapping.fc"),
            (r"^conv\.", "b4.conv."),
            (r"^dense\.", "b4.fc."),
            (r"^out\.", "b4.out."),
            (r"^from_rgb\.", f"b{top}.fromrgb."),
        ):
            name = re.sub(ours, theirs, name)
        weights[name] = value
    if discriminator.condition is not None:
        weights["time_encoder.time_encoder.fourier_coefs"] = discriminator.condition.frequency[None]
    return weights | {"b8.skip.resample_filter": FILTER}
