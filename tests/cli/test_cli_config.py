"""`styleganv config`, and `styleganv train --config`: a preset, then the file, then options."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from styleganv import cli
from styleganv.cli.training import train_defaults
from styleganv.config import get_preset, load_settings, save_settings
from styleganv.methods import apply_ablation, apply_method


def defaults(text: str, folder: Path, *options: str) -> tuple:
    (folder / "my.yaml").write_text(text)
    return train_defaults(["data.zip", "--out", "run", "--config", str(folder / "my.yaml"), *options])[:2]


def refusal(argv: str, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as end:
        cli.main(argv.split())
    assert end.value.code == 1
    return capsys.readouterr().err.strip()


def test_the_printed_file_gives_the_preset(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["config", "256-sky", "--method", "digan"])
    expected = apply_method(get_preset("256-sky"), "digan")
    assert defaults(capsys.readouterr().out, tmp_path) == (expected, "256-sky")


def test_a_file_changes_its_preset_and_method(tmp_path: Path) -> None:
    config, name = defaults("preset: 128\nmodel:\n  method: digan\ntraining:\n  lr: 1e-3\n", tmp_path)
    digan = apply_method(get_preset("128"), "digan")
    assert name == "128" and config.training.lr == 0.001 != digan.training.lr
    assert config.model == digan.model and config.augment == digan.augment


def test_options_override_the_file(tmp_path: Path) -> None:
    text = "preset: 128\nmodel:\n  method: digan\n  z_dim: 7\ntraining:\n  num_frames: 5\n"
    config, name = defaults(text, tmp_path, "--preset", "64", "--method", "stylegan-v")
    assert name == "64" and config.training.batch_size == get_preset("64").training.batch_size
    assert (config.model.method, config.model.z_dim, config.training.num_frames) == ("stylegan-v", 7, 5)
    config, _ = defaults("training:\n  num_frames: 5\n", tmp_path, "--ablation", "more-frames")
    assert config.training.num_frames == apply_ablation(get_preset("64"), "more-frames").training.num_frames == 8


def test_without_a_preset_the_machine_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert defaults("", tmp_path) == (get_preset("tiny-cpu"), "tiny-cpu")


def test_the_settings_of_a_run_are_a_settings_file(
    finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They start the same training again, and an option changes one of them."""
    started = []
    monkeypatch.setattr("styleganv.runs.train", lambda data, out, config, **_: started.append(config) or out)
    file = finished_run / "settings.yaml"
    for more in ([], ["--total-clips", "8"]):
        cli.main(["train", "data.zip", "--out", str(tmp_path / "again"), "--config", str(file), *more])
    config = load_settings(file)
    assert started == [config, replace(config, training=replace(config.training, total_clips=8))]


def test_a_resumed_run_takes_no_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    message = "styleganv: --resume continues a run with its own settings: omit --config."
    assert refusal(f"train --resume {tmp_path} --config my.yaml", capsys) == message


@pytest.mark.parametrize(
    "text, told",
    [
        ("model:\n  method: gan\n", "my.yaml: model.method must be one of stylegan-v, "),
        ("training:\n  lr: 0\n", "my.yaml: training.lr must be a finite number greater than 0, got 0"),
        ("training:\n  learning_rate: 1\n", "my.yaml has the unknown setting training.learning_rate"),
        (None, "Cannot read settings "),
    ],
)
def test_a_wrong_file_is_one_sentence(
    text: str | None, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if text is not None:
        (tmp_path / "my.yaml").write_text(text)
    message = refusal(f"train data.zip --out {tmp_path}/run --config {tmp_path}/my.yaml", capsys)
    assert told in message and message.count("\n") == 0 and not (tmp_path / "run").exists()


def test_a_saved_file_keeps_every_setting(tmp_path: Path) -> None:
    config = get_preset("512")
    save_settings(config, tmp_path / "settings.yaml", "512")
    assert defaults((tmp_path / "settings.yaml").read_text(), tmp_path) == (config, "512")


def test_the_documented_file(tmp_path: Path) -> None:
    howto = (Path(__file__).parents[2] / "docs" / "howto.md").read_text()
    (text,) = re.findall(r"```yaml\n(.*?)```", howto, re.DOTALL)
    config, name = defaults(text, tmp_path)
    assert (name, config.model.slot_distance, config.training.lr) == ("128", 32, 0.002)
