"""All methods by name: StyleGAN-V and the methods it is compared with, one folder each.

To add one, write a folder with a `METHOD` record (see `method.py`) here, or in another package that declares the
record under the entry point group `styleganv.methods`. Nothing else has to change. Read `stylegan_v/` first.
"""

from collections.abc import Iterator, Mapping
from dataclasses import is_dataclass, replace
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pkgutil import iter_modules
from typing import TYPE_CHECKING

from styleganv.config import RunConfig
from styleganv.errors import StyleganvError
from styleganv.methods.method import Method

if TYPE_CHECKING:
    import torch

    from styleganv.data.dataset import VideoDataset
    from styleganv.training.trainer import Trainer

DEFAULT_METHOD = "stylegan-v"


@cache
def _records() -> dict[str, Method]:
    folders = [name for _, name, is_folder in iter_modules(__path__) if is_folder]
    methods: list[Method] = [import_module(f"{__name__}.{name}").METHOD for name in folders]
    methods += [_load_entry_point(entry) for entry in entry_points(group=__name__)]
    methods.sort(key=lambda method: (method.name != DEFAULT_METHOD, method.name))
    names = [name for method in methods for name in (method.name, *method.ablations)]
    if duplicates := sorted({name for name in names if names.count(name) > 1}):
        raise StyleganvError(
            f"Several installed methods are named {', '.join(duplicates)}: uninstall one of their packages."
        )
    return {method.name: method for method in methods}


def _load_entry_point(entry: EntryPoint) -> Method:
    """Return the record that an installed package declares.

    Raises:
        StyleganvError: if the package cannot be imported, or declares something else.
    """
    try:
        method = entry.load()
    except Exception as error:
        package = entry.dist.name if entry.dist else entry.value
        raise StyleganvError(
            f"The method {entry.name} of the package {package} cannot be loaded ({error}): repair or uninstall it."
        ) from error
    if not isinstance(method, Method):
        raise StyleganvError(f"{entry.value} is not a styleganv.methods.method.Method: correct its entry point.")
    return method


class _Methods(Mapping[str, Method]):
    """Records by name, imported on first access; StyleGAN-V comes first."""

    def __getitem__(self, name: str) -> Method:
        if name not in _records():
            raise KeyError(name)
        return _records()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(_records())

    def __len__(self) -> int:
        return len(_records())


METHODS: Mapping[str, Method] = _Methods()


def get_method(name: str) -> Method:
    """Return the method with this name.

    Raises:
        StyleganvError: for an unknown method; the message lists all names.
    """
    if name not in METHODS:
        raise StyleganvError(f"Unknown method {name!r}: choose one of {', '.join(METHODS)}.")
    return METHODS[name]


def apply_method(config: RunConfig, name: str) -> RunConfig:
    """Return the settings changed to a method, with the values of its paper.

    Raises:
        StyleganvError: for an unknown method; the message lists all names.
    """
    method = get_method(name)
    if method.has_own_losses:
        own = replace(
            config.training,
            loss="logistic",
            second_discriminator="none",
            lr_decay_clips=None,
            r1_decay_clips=None,
            grow_from=None,
            grow_clips=None,
        )
        config = replace(config, training=own)
    changed = method.adapt(config)
    return replace(changed, model=replace(changed.model, method=name))


def ablation_names() -> list[str]:
    """Return the names of the ablations of all methods."""
    return [name for method in METHODS.values() for name in method.ablations]


def apply_ablation(config: RunConfig, ablation: str | None) -> RunConfig:
    """Return the settings changed to an ablation of their method; unchanged for None.

    Raises:
        StyleganvError: if the method has no such ablation.
    """
    if ablation is None:
        return config
    method = get_method(config.model.method)
    if ablation not in ablation_names():
        raise StyleganvError(f"Unknown ablation {ablation!r}: choose one of {', '.join(ablation_names())}.")
    if ablation not in method.ablations:
        raise StyleganvError(f"--ablation {ablation} is not available for --method {method.name}: omit --ablation.")
    return method.ablations[ablation].adapt(config)


def build_trainer(config: RunConfig, data: "VideoDataset", device: "torch.device") -> "Trainer":
    """Return a freshly initialized trainer for a dataset; the same seed gives the same weights.

    Raises:
        StyleganvError: if the method does not learn this kind of labels.
    """
    method = get_method(config.model.method)
    if config.training.conditional and data.num_classes and data.labels.kind not in method.label_kinds:
        raise StyleganvError(
            f"--method {method.name} learns one class per video, but {data.path} has {data.labels}: pass "
            "--no-conditional, or choose another method."
        )
    trainer = method.implementation().build_trainer(config, data, device)
    # Found here, the mistakes of a new method cost no training.
    if trainer.method not in METHODS:
        raise TypeError(f"{type(trainer).__name__}.method must be the name of a method, got {trainer.method!r}")
    if not is_dataclass(getattr(trainer.inference_network(), "config", None)):
        raise TypeError(f"{type(trainer).__name__}.inference_network() must have a dataclass as attribute `config`")
    return trainer
