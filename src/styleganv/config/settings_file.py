"""A run's `settings.yaml`: plain YAML with every resolved setting."""

import dataclasses
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import yaml

from styleganv.config.run_config import RunConfig
from styleganv.errors import StyleganvError
from styleganv.files import atomic_write

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


def save_settings(config: RunConfig, path: Path) -> None:
    """Write all settings as YAML."""
    with atomic_write(path, overwrite=True) as tmp_path:
        tmp_path.write_text(yaml.safe_dump(dataclasses.asdict(config), sort_keys=False))


def load_settings(path: Path) -> RunConfig:
    """Return the settings in a file of `save_settings`, also of version 0.1. Missing settings have their defaults.

    Raises:
        StyleganvError: if the file cannot be read, or a setting is unknown or of the wrong type.
    """
    groups = get_type_hints(RunConfig)
    try:
        tree = yaml.safe_load(path.read_text()) or {}
    except (OSError, yaml.YAMLError) as error:
        raise StyleganvError(f"Cannot read settings {path} ({error}): restore the file.") from error
    if not isinstance(tree, dict) or not all(isinstance(values, dict) for values in tree.values()):
        raise StyleganvError(f"{path} must contain settings under {', '.join(groups)}: restore the file.")
    tree = _convert(tree)
    if unknown := tree.keys() - groups.keys():
        raise StyleganvError(f"{path} has unknown settings ({', '.join(sorted(unknown))}): remove them.")
    return RunConfig(**{name: _read_group(path, name, groups[name], values) for name, values in tree.items()})


def _convert(tree: dict[str, Any]) -> dict[str, Any]:
    """Return the settings under the names of this version."""
    converted = {
        group: {RENAMED.get(group, {}).get(name, name): value for name, value in values.items()}
        for group, values in tree.items()
    }
    if "report" in converted:
        converted["logging"] = converted.pop("report")
    return converted


def _read_group(path: Path, group: str, config: type, values: dict[str, Any]) -> Any:
    types = get_type_hints(config)
    if unknown := [f"{group}.{name}" for name in values if name not in types]:
        raise StyleganvError(f"{path} has unknown settings ({', '.join(unknown)}): remove them.")
    for name, value in values.items():
        if not _is_instance(value, types[name]):
            # YAML reads 2e-3 as text; 0.002 and 2.0e-3 are numbers.
            raise StyleganvError(f"{path}: {group}.{name} must be {_describe(types[name])}, got {value!r}: correct it.")
    return config(**values)


def _is_instance(value: Any, hint: Any) -> bool:
    """Return whether a value read from YAML is of a setting's type; integers are accepted as floats."""
    if get_origin(hint) is Literal:
        return value in get_args(hint)
    if get_args(hint):
        return any(_is_instance(value, one) for one in get_args(hint))
    return type(value) is hint or (hint is float and type(value) is int)


def _describe(hint: Any) -> str:
    """Return a description of a type for the user."""
    if get_origin(hint) is Literal:
        return "one of " + ", ".join(get_args(hint))
    if get_args(hint):
        return " or ".join(_describe(one) for one in get_args(hint))
    return {int: "an integer", float: "a number", bool: "true or false", type(None): "null"}.get(hint, "text")
