"""Settings files: YAML with any settings; a run's `settings.yaml` has all of them.

    preset: tiny-cpu        # where missing settings come from
    training:
      batch_size: 8

Names, types and ranges are those of `RunConfig`.
"""

import difflib
import re
from collections.abc import Hashable
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, get_type_hints

import yaml

from styleganv.config.presets import PRESETS
from styleganv.config.run_config import RunConfig
from styleganv.errors import StyleganvError, describe
from styleganv.files import atomic_write
from styleganv.validation import check, read_fields

#: Names of settings in files of version 0.1 → current names.
RENAMED = {
    "model": {"kind": "method"},
    "training": {
        "clips": "total_clips",
        "batch": "batch_size",
        "micro_batch": "micro_batch_size",
        "checkpointing": "gradient_checkpointing",
        "frames": "num_frames",
        "workers": "num_workers",
        "threads": "num_threads",
    },
    "augment": {"augment_clips": "ada_clips"},
    "report": {
        "report_every": "log_every",
        "evaluate_every": "eval_every",
        "evaluate_clips": "eval_clips",
    },
}

#: Settings that the files of older runs lack → what these were trained with, where that is not the default.
BEFORE: dict[str, dict[str, Any]] = {"training": {"g_interval": None}}

#: More than any settings file has.
MAX_CHARACTERS = 100_000
#: The dataclass of each group.
GROUPS = get_type_hints(RunConfig)
#: Names → where they are in a file, e.g. lr → training.lr.
FULL_NAMES = {"preset": "preset"} | {group: group for group in GROUPS}
FULL_NAMES |= {field.name: f"{group}.{field.name}" for group, config in GROUPS.items() for field in fields(config)}


@dataclass(frozen=True)
class SettingsFile:
    """The settings that a file states.

    Attributes:
        preset: name of the preset that it starts from, if it names one.
        settings: checked values by group and name.
    """

    preset: str | None
    settings: dict[str, dict[str, Any]]

    @property
    def method(self) -> str | None:
        """Name of the method, if the file states it."""
        return self.settings.get("model", {}).get("method")

    def apply(self, config: RunConfig) -> RunConfig:
        """Return the config with the settings of the file."""
        changed = {group: replace(getattr(config, group), **values) for group, values in self.settings.items()}
        return replace(config, **changed)


def save_settings(config: RunConfig, path: Path, preset: str | None = None) -> None:
    """Write all settings as YAML, and the name of the preset that they started from."""
    tree = ({"preset": preset} if preset else {}) | asdict(config)
    with atomic_write(path, overwrite=True) as tmp_path:
        tmp_path.write_text(yaml.safe_dump(tree, sort_keys=False))


def load_settings(path: Path) -> RunConfig:
    """Return the settings in the file of a run, also of version 0.1.

    Missing settings have their defaults, except those of `BEFORE`.

    Raises:
        StyleganvError: as `read_settings`.
    """
    settings = read_settings(path).settings
    before = {group: values | settings.get(group, {}) for group, values in BEFORE.items()}
    return SettingsFile(None, settings | before).apply(RunConfig())


def read_settings(path: Path) -> SettingsFile:
    """Return what a settings file states.

    Raises:
        StyleganvError: if the file cannot be read, or a setting is unknown, of the wrong type, or out of range.
    """
    tree = read_yaml(path, "settings")
    if not isinstance(tree, dict):
        raise StyleganvError(f"{path} must contain settings under {', '.join(GROUPS)}: correct it.")
    preset = tree.pop("preset", None)
    if preset is not None:
        known = Literal[tuple(PRESETS)]  # type: ignore[valid-type]
        preset = check(f"{path}: preset", str(preset) if isinstance(preset, int) else preset, known)  # YAML reads 64
    groups = _current_names(tree)
    _check_names(path, groups)
    read = {name: read_fields(GROUPS[name], values, path, name) for name, values in groups.items()}
    return SettingsFile(
        preset, {group: {name: getattr(read[group], name) for name in values} for group, values in groups.items()}
    )


def read_yaml(path: Path, kind: str) -> Any:
    """Return the content of a YAML file, an empty mapping if there is none.

    Raises:
        StyleganvError: if it cannot be read; the message says what `kind` of file it is.
    """
    try:
        with open(path, encoding="utf-8-sig") as file:
            text = file.read(MAX_CHARACTERS)
        if len(text) == MAX_CHARACTERS:
            raise ValueError("it is too long")
        return yaml.load(text, _Loader) or {}
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise StyleganvError(f"Cannot read {kind} {path} ({describe(error)}): correct the file or its path.") from error


class _Loader(yaml.SafeLoader):
    """YAML in which no name occurs twice, where the last one would win, and 2e-3 is a number, as in YAML 1.2."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        if twice := [name for name in names if names.count(name) > 1]:
            raise yaml.YAMLError(f"{twice[0]} occurs twice")
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def _current_names(tree: dict[str, Any]) -> dict[str, Any]:
    """Return the settings under the names of this version."""
    renamed = {}
    for group, values in tree.items():
        values = {} if values is None else values  # all of its lines were deleted
        if isinstance(values, dict):
            values = {RENAMED.get(group, {}).get(name, name): value for name, value in values.items()}
        renamed[group] = values
    if "report" in renamed:
        renamed["logging"] = renamed.pop("report")
    return renamed


def _check_names(path: Path, groups: dict[str, Any]) -> None:
    """Raise a StyleganvError for the first unknown name, with the nearest valid one."""
    for group, values in groups.items():
        if group not in GROUPS:
            raise _unknown(path, str(group), str(group))
        if not isinstance(values, dict):
            raise StyleganvError(f"{path} must contain settings under {', '.join(GROUPS)}: correct {group}.")
        for name in map(str, values):
            if FULL_NAMES.get(name) != f"{group}.{name}":
                raise _unknown(path, f"{group}.{name}", name)


def _unknown(path: Path, full_name: str, name: str) -> StyleganvError:
    nearest = difflib.get_close_matches(name, FULL_NAMES, n=1, cutoff=0.5)
    remedy = f"did you mean {FULL_NAMES[nearest[0]]}?" if nearest else "remove it."
    return StyleganvError(f"{path} has the unknown setting {full_name[:80]}: {remedy}")
