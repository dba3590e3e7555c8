"""A run's `settings.yaml`: plain YAML with every resolved setting."""

import dataclasses
from pathlib import Path
from typing import Any, get_type_hints

import yaml

from styleganv.config.run_config import RunConfig
from styleganv.errors import StyleganvError, describe
from styleganv.files import atomic_write
from styleganv.validation import read_fields

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

#: Settings that older files lack → what their runs were trained with, where that is not the default.
BEFORE: dict[str, dict[str, Any]] = {"training": {"g_interval": None}}


def save_settings(config: RunConfig, path: Path) -> None:
    """Write all settings as YAML."""
    with atomic_write(path, overwrite=True) as tmp_path:
        tmp_path.write_text(yaml.safe_dump(dataclasses.asdict(config), sort_keys=False))


def load_settings(path: Path) -> RunConfig:
    """Return the settings in a file of `save_settings`, also of version 0.1.

    Missing settings have their defaults, except those of `BEFORE`.

    Raises:
        StyleganvError: if the file cannot be read, or a setting is unknown, of the wrong type, or out of range.
    """
    groups = get_type_hints(RunConfig)
    try:
        tree = yaml.safe_load(path.read_text("utf-8")) or {}
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise StyleganvError(f"Cannot read settings {path} ({describe(error)}): restore the file.") from error
    if not isinstance(tree, dict) or not all(isinstance(values, dict) for values in tree.values()):
        raise StyleganvError(f"{path} must contain settings under {', '.join(groups)}: restore the file.")
    tree = _convert(tree)
    # YAML reads 2e-3 as text; 0.002 and 2.0e-3 are numbers.
    read = {name: read_fields(groups[name], values, path, name) for name, values in tree.items() if name in groups}
    return read_fields(RunConfig, tree | read, path)


def _convert(tree: dict[str, Any]) -> dict[str, Any]:
    """Return the settings under the names of this version, with those that older files lack."""
    converted = {
        group: {RENAMED.get(group, {}).get(name, name): value for name, value in values.items()}
        for group, values in tree.items()
    }
    if "report" in converted:
        converted["logging"] = converted.pop("report")
    for group, values in BEFORE.items():
        converted[group] = values | converted.get(group, {})
    return converted
