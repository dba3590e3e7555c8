"""Presets build, settings survive YAML, and what is not a setting is refused by name."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from styleganv.config import (
    PRESETS,
    RunConfig,
    format_template,
    get_preset,
    load_settings,
    read_settings,
    run_config,
    save_settings,
)
from styleganv.data.dataset import VideoDataset
from styleganv.data.dataset_writer import write_dataset
from styleganv.errors import StyleganvError
from styleganv.methods import apply_method
from styleganv.methods.stylegan_v.trainer import build_networks

RESOLUTIONS = {"tiny-cpu": 32, "64": 64, "128": 128, "256-faces": 256, "256-sky": 256, "512": 512, "1024": 1024}


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_builds_its_networks(name: str, tmp_path: Path) -> None:
    config, resolution = get_preset(name), RESOLUTIONS[name]
    frame = np.zeros((resolution, resolution, 3), np.uint8)
    videos = [("still", [frame] * 3, None, {})]
    write_dataset(tmp_path / "data.zip", videos, height=resolution, width=resolution, fps=25)
    nowhere = torch.device("meta")  # shapes without numbers: the large networks cost nothing
    with nowhere:
        generator, discriminator = build_networks(config, VideoDataset(tmp_path / "data.zip"), nowhere)
    assert discriminator.num_frames == config.training.num_frames
    assert len(discriminator.blocks) == int(np.log2(resolution)) - 2
    assert generator.synthesis.num_styles == 2 * int(np.log2(resolution)) - 2
    channels = min(config.model.channel_base // resolution, config.model.channel_max)
    assert generator.synthesis.blocks[-1].conv1.weight.shape[0] == channels
    assert discriminator.from_rgb.weight.shape[0] == channels
    distance = 16 if config.model.slot_distance == "auto" else config.model.slot_distance  # nothing moves
    assert generator.motion is not None and generator.motion.slot_distance == distance


@pytest.mark.parametrize("name", PRESETS)
def test_batches_divide_into_micro_batches_and_groups_of_four(name: str) -> None:
    training = get_preset(name).training
    micro = training.micro_batch_size or training.batch_size
    assert training.batch_size % micro == 0 and micro % 4 == 0
    assert training.num_frames in (2, 3) and training.num_frames - 1 <= training.max_span


def test_presets_carry_the_published_numbers() -> None:
    faces, sky = get_preset("256-faces"), get_preset("256-sky")
    assert (faces.model.slot_distance, sky.model.slot_distance) == (16, 256)
    assert dataclasses.replace(sky, model=faces.model) == faces  # they differ in nothing else
    assert (faces.training.batch_size, faces.training.lr, faces.training.r1_interval) == (64, 0.0025, 16)
    assert {name for name in PRESETS if get_preset(name).training.g_interval != 4} == {"tiny-cpu"}  # tuned without
    assert get_preset("tiny-cpu").training.g_interval is None
    assert get_preset("1024").training.lr == 0.002 and get_preset("1024").model.channel_base == 32768


def test_an_unknown_preset_lists_the_names() -> None:
    with pytest.raises(StyleganvError) as refusal:
        get_preset("faces")
    assert "'faces'" in str(refusal.value) and all(name in str(refusal.value) for name in PRESETS)


@pytest.mark.parametrize("name", PRESETS)
def test_settings_survive_yaml(name: str, tmp_path: Path) -> None:
    config = get_preset(name)
    training = dataclasses.replace(config.training, lr=1e-7, minutes=2.5, r1_gamma=None, total_clips=10**9, mirror=True)
    config = dataclasses.replace(config, training=training)
    save_settings(config, tmp_path / "settings.yaml")
    assert load_settings(tmp_path / "settings.yaml") == config
    tree = yaml.safe_load((tmp_path / "settings.yaml").read_text())
    assert list(tree) == ["training", "model", "augment", "logging"] and tree["training"]["minutes"] == 2.5
    save_settings(config, tmp_path / "settings.yaml", name)
    assert read_settings(tmp_path / "settings.yaml").preset == name
    assert load_settings(tmp_path / "settings.yaml") == config


def test_missing_settings_take_their_defaults(tmp_path: Path) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text("training:\n  batch_size: 8\n  g_interval: 4\n")
    config = load_settings(path)
    expected = dataclasses.replace(RunConfig().training, batch_size=8)
    assert config == dataclasses.replace(RunConfig(), training=expected)


@pytest.mark.parametrize("text", ["training:\n  batch_size: 16\n", "model:\n  z_dim: 512\n", ""])
def test_a_run_from_before_a_setting_keeps_what_it_was_trained_with(text: str, tmp_path: Path) -> None:
    (tmp_path / "settings.yaml").write_text(text)
    expected = dataclasses.replace(RunConfig().training, g_interval=None)
    assert load_settings(tmp_path / "settings.yaml") == dataclasses.replace(RunConfig(), training=expected)


@pytest.mark.parametrize(
    "text, told",
    [
        ("training:\n  bach: 8\n", "training.bach: did you mean training.batch_size?"),
        ("model:\n  batch_size: 8\n", "model.batch_size: did you mean training.batch_size?"),
        ("batch_size: 8\n", "batch_size: did you mean training.batch_size?"),
        ("trainig:\n  batch: 8\n", "trainig: did you mean training?"),
        ("perset: 64\n", "perset: did you mean preset?"),
        ("model:\n  3: 8\n", "model.3: remove it."),
        ("xyzzyx: {}\n", "xyzzyx: remove it."),
    ],
)
def test_an_unknown_setting_suggests_the_nearest(text: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text(text)
    with pytest.raises(StyleganvError) as refusal:
        load_settings(path)
    assert str(refusal.value) == f"{path} has the unknown setting {told}"


@pytest.mark.parametrize(
    "text",
    [
        "training: [",
        "- 1\n- 2\n",
        "training: 3\n",
        "just words",
        "training:\n  lr: 1\ntraining:\n  seed: 1\n",
        "training:\n  lr: 1\n  lr: 2\n",
        "? [a, b]\n: 3\n",
        "training: &a {lr: *a}\n",
        f"# {'x' * 100_000}\n",
    ],
)
def test_a_damaged_file_is_one_sentence(text: str, tmp_path: Path) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text(text)
    with pytest.raises(StyleganvError, match=r"settings\.yaml.*: (correct|remove) "):
        load_settings(path)


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("method", ["stylegan-v", "digan"])
def test_the_template_is_a_settings_file_with_the_same_settings(name: str, method: str, tmp_path: Path) -> None:
    config, path = apply_method(get_preset(name), method), tmp_path / "my.yaml"
    path.write_text(format_template(config, name), "utf-8")
    file = read_settings(path)
    assert (file.preset, file.method, file.apply(RunConfig())) == (name, method, config)
    lines = path.read_text("utf-8").splitlines()
    for group in dataclasses.fields(RunConfig):
        for field in dataclasses.fields(getattr(config, group.name)):
            (number,) = (i for i, line in enumerate(lines) if line.startswith(f"  {field.name}: "))
            assert lines[number - 1].startswith("  # ") and "  # " in lines[number], field.name


def test_a_template_names_settings_as_in_the_file_and_states_their_ranges() -> None:
    text = format_template(get_preset("128"), "128")
    assert text.startswith("# Settings for ") and "\npreset: '128'\n" in text
    lines = [
        "  # Interval in steps that the generator's Adam is corrected for; None (tiny-cpu): no correction.",
        "  g_interval: 4  # an integer of at least 1, or null",
        "  # Discriminator blocks to freeze with --finetune, from the highest resolution down.",
        "  # Number of channels at resolution r: channel_base / r, at most channel_max.",
        "  channel_base: 16384  # an integer from 1 to 16777216",
        "  slot_distance: auto  # a finite number greater than 0 and at most 1000000000 or auto",
        "  mirror: false  # true or false",
    ]
    assert [line for line in lines if f"\n{line}\n" not in text] == []


@pytest.mark.parametrize("text", ["preset: 64\n", "\ufeffpreset: '64'\ntraining:\n  # none\nmodel: {}\n"])
def test_a_file_may_state_a_preset_and_no_settings(text: str, tmp_path: Path) -> None:
    (tmp_path / "my.yaml").write_text(text, "utf-8")
    file = read_settings(tmp_path / "my.yaml")
    assert file.preset == "64" and file.method is None and file.apply(get_preset("64")) == get_preset("64")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(StyleganvError, match=r"Cannot read settings .*none\.yaml"):
        load_settings(tmp_path / "none.yaml")


def test_settings_cannot_be_changed_in_place() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        RunConfig().training.batch_size = 3  # type: ignore[misc]


def test_every_setting_says_what_it_is() -> None:
    source = Path(run_config.__file__).read_text()
    for group in dataclasses.fields(RunConfig):
        for field in dataclasses.fields(group.default_factory):  # type: ignore[arg-type]
            line = next(i for i, text in enumerate(source.splitlines()) if text.startswith(f"    {field.name}: "))
            assert source.splitlines()[line + 1].startswith('    """'), field.name


@pytest.mark.parametrize(
    "text, told",
    [
        ("training:\n  lr: 2e\n", "training.lr must be a finite number greater than 0, got '2e'"),
        ("training:\n  lr: -2e-3\n", "training.lr must be a finite number greater than 0, got -0.002"),
        (
            "preset: huge\n",
            "settings.yaml: preset must be one of tiny-cpu, 64, 128, 256-faces, 256-sky, 512, 1024",
        ),
        ("preset: true\n", "preset must be one of"),
        ("training:\n  batch: 8.5\n", "training.batch_size must be an integer from 1 to 16777216, got 8.5"),
        ("training:\n  minutes: soon\n", "training.minutes must be a finite number of at least 0, got 'soon'"),
        ("training:\n  mirror: 1\n", "training.mirror must be true or false, got 1"),
        ("model:\n  motion: gru\n", "model.motion must be one of conv, lstm, none, got 'gru'"),
        ("model:\n  longest_period: .nan\n", "model.longest_period must be a finite number greater than 0"),
        ("augment:\n  augment_p: .inf\n", "augment.augment_p must be a finite number from 0 to 1, got inf"),
        ("training:\n  seed: -1\n", "training.seed must be an integer from 0 to"),
        ("training:\n  batch: true\n", "training.batch_size must be an integer from 1 to 16777216, got True"),
        (f"training:\n  seed: {'9' * 5000}\n", "Cannot read settings"),
        (
            "training:\n  lr: &a [x]\n  seed: [*a, *a]\n",
            "training.lr must be a finite number greater than 0, got ['x']",
        ),
    ],
)
def test_settings_of_a_wrong_type_or_out_of_range_are_refused(text: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "settings.yaml").write_text(text)
    with pytest.raises(StyleganvError) as refusal:
        load_settings(tmp_path / "settings.yaml")
    assert told in str(refusal.value)


def test_a_whole_number_passes_for_a_float(tmp_path: Path) -> None:
    (tmp_path / "settings.yaml").write_text("training:\n  minutes: 5\n  r1_gamma: null\n  lr: 2e-3\n")
    training = load_settings(tmp_path / "settings.yaml").training
    assert (training.minutes, training.r1_gamma, training.lr) == (5, None, 0.002)


def test_settings_of_version_0_1_are_read(tmp_path: Path) -> None:
    (tmp_path / "settings.yaml").write_text(
        "model:\n  kind: digan\n  z_dim: 32\n"
        "training:\n  clips: 9\n  batch: 4\n  micro_batch: 2\n  checkpointing: true\n  frames: 2\n"
        "  workers: 1\n  threads: 3\n"
        "augment:\n  augment_clips: 7\n"
        "report:\n  report_every: 5\n  evaluate_every: null\n  evaluate_clips: 6\n"
    )
    config = load_settings(tmp_path / "settings.yaml")
    training, every = config.training, config.logging
    assert (config.model.method, config.model.z_dim, config.augment.ada_clips) == ("digan", 32, 7)
    assert (training.total_clips, training.batch_size, training.micro_batch_size, training.num_frames) == (9, 4, 2, 2)
    assert training.gradient_checkpointing and (training.num_workers, training.num_threads) == (1, 3)
    assert (every.log_every, every.eval_every, every.eval_clips) == (5, None, 6)
