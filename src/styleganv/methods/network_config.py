"""Network configs: the fields that methods share, and how a run's settings fill them.

A model folder's `config.json` stores the fields of the config that its network was built from.
"""

from dataclasses import KW_ONLY, asdict, dataclass, fields
from typing import Annotated, Any, TypeVar

from styleganv.config import RunConfig
from styleganv.data.dataset import VideoDataset
from styleganv.training.trainer import data_sizes
from styleganv.validation import ChannelBase, Interval, Layers, Size, Validated


@dataclass(frozen=True)
class FrameConfig(Validated):
    """Fields of every network."""

    height: Size
    """Frame height in pixels; `nn.layers.resolutions` defines the possible sizes."""
    width: Size
    """Frame width in pixels."""
    _: KW_ONLY
    num_classes: Annotated[int, Interval(0, 1_000_000)] = 0
    """Classes K of the dataset; 0 for an unconditional network."""


@dataclass(frozen=True, kw_only=True)
class StyleConfig(FrameConfig):
    """Fields of every generator with a mapping network."""

    z_dim: Size = 512
    """Width of the content noise z."""
    w_dim: Size = 512
    """Width of the content style w."""
    mapping_layers: Layers = 2
    """Layers from z to w."""
    channel_base: ChannelBase = 16384
    """Channels at resolution r are `min(channel_base / r, channel_max)`."""
    channel_max: Size = 512
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
