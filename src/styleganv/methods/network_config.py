"""Network configs: the fields that methods share, and how a run's settings fill them.

A model folder's `config.json` stores the fields of the config that its network was built from.
"""

from dataclasses import KW_ONLY, asdict, dataclass, fields
from typing import Any, TypeVar

from styleganv.config import RunConfig
from styleganv.data.dataset import VideoDataset
from styleganv.training.trainer import data_sizes


@dataclass(frozen=True)
class FrameConfig:
    """Fields of every network."""

    height: int
    """Frame height in pixels; `nn.layers.resolutions` defines the possible sizes."""
    width: int
    """Frame width in pixels."""
    _: KW_ONLY
    num_classes: int = 0
    """Classes K of the dataset; 0 for an unconditional network."""


@dataclass(frozen=True, kw_only=True)
class StyleConfig(FrameConfig):
    """Fields of every generator with a mapping network."""

    z_dim: int = 512
    """Width of the content noise z."""
    w_dim: int = 512
    """Width of the content style w."""
    mapping_layers: int = 2
    """Layers from z to w."""
    channel_base: int = 16384
    """Channels at resolution r are `min(channel_base / r, channel_max)`."""
    channel_max: int = 512
    """Maximum number of channels of any layer."""


C = TypeVar("C", bound=FrameConfig)


def fill_config(config_class: type[C], config: RunConfig, data: VideoDataset, **extra: Any) -> C:
    """Return a network config from the model settings and the dataset's sizes, matched by name.

    Args:
        config_class: dataclass of the network.
        config: settings of the run.
        data: dataset to train on.
        extra: fields that are named differently in the settings; they take precedence.
    """
    values = asdict(config.model) | data_sizes(config, data) | extra
    return config_class(**{f.name: values[f.name] for f in fields(config_class) if f.name in values})
