"""The study: real trainings of seconds in processes of their own, interrupted, continued, failed and compared."""

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from styleganv.cli import main
from styleganv.config import PRESETS, get_preset
from styleganv.errors import StyleganvError
from styleganv.faces.dataset import make_faces
from styleganv.methods import METHODS, ablation_names, apply_ablation, apply_method
from styleganv.study.comparison import _number
from styleganv.study.entrants import all_entrants
from styleganv.study.study import study
from styleganv.training.preflight import check_settings
from styleganv.training.run_log import read_log

ENTRANTS = all_entrants()


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STYLEGANV_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "small.zip"
    make_faces(path, num_videos=8, num_frames=20, resolution=(16, 16))
    return path


@pytest.mark.parametrize("entrant", ENTRANTS)
@pytest.mark.parametrize("preset_name", PRESETS)
def test_settings_of_every_entrant_fit_together(entrant: str, preset_name: str) -> None:
    config = ENTRANTS[entrant].config(preset_name, minutes=3, seed=7)
    check_settings(config)
    METHODS[config.model.method].check(config)
    assert config.training.minutes == 3 and config.training.seed == 7
    assert config.model.method == ENTRANTS[entrant].method


def test_all_models_and_ablations_take_part() -> None:
    assert {one.method for one in ENTRANTS.values()} == set(METHODS)
    assert {one.ablation for one in ENTRANTS.values()} - {None} == set(ablation_names())


def test_ablations_are_of_styleganv() -> None:
    config = get_preset("64")
    assert apply_ablation(config, "lstm").model.motion == "lstm"
    assert apply_ablation(config, "unconditioned").model.condition == "none"
    assert apply_ablation(config, "more-frames").training.num_frames == 8
    with pytest.raises(StyleganvError, match="no ablation 'gru': choose one of lstm, "):
        apply_ablation(config, "gru")
    with pytest.raises(StyleganvError, match="not available for --method digan"):
        apply_ablation(apply_method(config, "digan"), "lstm")


def test_a_study_compares_and_does_nothing_twice(data: Path, tmp_path: Path) -> None:
    models = ("stylegan2", "videogpt")
    page = study([data], tmp_path / "out", models=models, minutes=0.02, clips=4, jobs=2)
    text = page.read_text()
    assert "## small" in text and "8 videos of 16×16 pixels" in text and "| StyleGAN2 (images) |" in text
    rows = [row for row in text.splitlines() if row.startswith("| VideoGPT | ")]
    assert "frechet_efficientnet4_16f" in text and sum("more than 16 frames" in row for row in rows) == 1
    with Image.open(tmp_path / "out" / "comparison" / "small.webp") as film:
        assert film.n_frames == 48  # type: ignore[attr-defined]
    found = json.loads((tmp_path / "out/small/videogpt/0/measures.json").read_text())
    assert found["frames_a_second"]["16"] > 1 and "makes clips of 16 frames" in found["frames_a_second"]["128"]
    assert found["motion_frames"] == 16 and found["motion"]["speed"]["value"] is not None
    assert all(quality["floor"] > 0 for quality in found["quality"].values())
    trained = json.loads((tmp_path / "out/small/videogpt/0/training.json").read_text())
    assert trained["minutes"] >= 0.02 and trained["frames"] == 16 * trained["clips"] > 0

    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*/*/*/*") if path.is_file()}
    study([data], tmp_path / "out", models=models, minutes=0.02, clips=4)
    assert {path: path.stat().st_mtime_ns for path in made} == made
    with pytest.raises(StyleganvError, match=r"was begun with minutes 0\.02: ask for that again"):
        study([data], tmp_path / "out", models=models, minutes=3, clips=4)


def test_an_interrupted_study_goes_on_where_it_was(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ["study", str(data), "--out", str(out), "--models", "stylegan2", "--minutes", "0.3", "--clips", "4"]
    run = out / "small" / "stylegan2" / "0" / "run"
    process = subprocess.Popen([sys.executable, "-m", "styleganv.cli", *words], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 90
    while not (run / "log.jsonl").exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.1)
    time.sleep(2)
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130 and "The same command goes on where this one ended." in told
    assert not (run.parent / "training.json").exists()
    before = read_log(run / "log.jsonl")[-1]["clips_seen"]
    main(words)
    log = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    starts = [line["clips_seen"] for line in log if line.get("event") == "start"]
    assert starts == [0, before] and before > 0
    trained = json.loads((run.parent / "training.json").read_text())
    assert 0.3 <= trained["minutes"] < 0.6 and trained["clips"] > before


def test_what_fails_is_told_and_the_rest_is_done(tmp_path: Path) -> None:
    make_faces(tmp_path / "odd.zip", num_videos=4, num_frames=16, resolution=(18, 32))
    with pytest.raises(StyleganvError, match=r"1 of 1 could not be done .*videogpt.*18x32 cannot be.*again"):
        study([tmp_path / "odd.zip"], tmp_path / "out", models=("videogpt",), minutes=0.02, clips=4)
    assert (tmp_path / "out" / "comparison.md").exists()


def test_bad_input(data: Path, tmp_path: Path) -> None:
    with pytest.raises(StyleganvError, match="gan cannot take part: choose of stylegan-v, lstm,"):
        study([data], tmp_path, models=("gan",))
    with pytest.raises(StyleganvError, match="more than 0"):
        study([data], tmp_path, minutes=0)
    with pytest.raises(StyleganvError, match="the same name"):
        study([data, data], tmp_path)
    with pytest.raises(StyleganvError, match="no preset 'big'"):
        study([data], tmp_path, preset="big")
    with pytest.raises(StyleganvError, match="Protocol fvd is not known"):
        study([data], tmp_path, protocols=("fvd",))
    assert not list(tmp_path.iterdir())


def test_numbers_for_tables() -> None:
    assert _number([]) == _number([None, float("nan")]) == "–"
    assert _number([0.0]) == "0" and _number([1234.5]) == "1,234" and _number([0.01234]) == "0.0123"
    assert re.fullmatch(r"11\.0 ± 1", _number([10.0, 12.0]))
