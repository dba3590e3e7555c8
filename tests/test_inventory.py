"""`styleganv info` and `styleganv runs`: what a path holds, and a table of runs."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from styleganv import cli
from styleganv.config import RunConfig, save_settings
from styleganv.data.dataset_writer import write_dataset
from styleganv.data.prepare import prepare
from styleganv.errors import StyleganvError
from styleganv.inventory import COLUMNS, Run, describe_path, format_runs, list_runs, sort_runs
from styleganv.media.writing import write_image
from styleganv.options import PrepareOptions
from styleganv.record import RECORD


def start_run(folder: Path, *log: dict[str, object], preset: str | None = None) -> Path:
    """A run that wrote only its settings and its log."""
    folder.mkdir(parents=True)
    save_settings(RunConfig(), folder / "settings.yaml", preset)
    (folder / "log.jsonl").write_text("".join(f"{json.dumps(record)}\n" for record in log))
    return folder


@pytest.fixture(scope="module")
def folder(finished_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inventory")
    shutil.copytree(finished_run, folder / "done", ignore=shutil.ignore_patterns("snapshots", "tensorboard"))
    start, score = {"event": "start", "clips_seen": 0}, "frechet_efficientnet"
    scores = [{"clips_seen": clips, score: value} for clips, value in ((8, 3.0), (16, 1.5), (24, 2.25))]
    start_run(folder / "deep" / "er", start, *scores, {"event": "interrupted", "clips_seen": 24}, preset="128")
    start_run(folder / "diverged", start, {"event": "diverged", "clips_seen": 40})
    start_run(folder / "killed", start, {"clips_seen": 32, score: float("nan")})
    start_run(folder / "broken").joinpath("settings.yaml").write_text("training: [")
    start_run(folder / "done" / "model" / "hidden")  # inside another run
    (folder / "data").mkdir()
    return folder


def test_runs_are_found_with_their_states(folder: Path) -> None:
    runs = {run.name: run for run in list_runs(folder)}
    assert {name: run.state for name, run in runs.items()} == {
        "broken": "unreadable",
        "deep/er": "interrupted",
        "diverged": "diverged",
        "done": "finished",
        "killed": "crashed",
    }
    assert (runs["deep/er"].best, runs["deep/er"].last, runs["deep/er"].preset) == (1.5, 2.25, "128")
    assert (runs["done"].clips, runs["killed"].clips, runs["killed"].hours) == (16, 32, None)
    assert runs["done"].hours and runs["done"].method == "stylegan-v" and runs["done"].device
    assert runs["killed"].best is None
    (single,) = list_runs(folder / "deep" / "er")
    assert single.name == "er"


def test_a_locked_run_is_running(folder: Path, tmp_path: Path) -> None:
    run = start_run(tmp_path / "run", {"event": "end", "clips_seen": 8})
    with FileLock(run / ".lock"):
        assert list_runs(tmp_path)[0].state == "running"
    assert list_runs(tmp_path)[0].state == "finished"


def test_the_table_is_sorted(folder: Path) -> None:
    runs = list_runs(folder)
    names = {column: [run.name for run in sort_runs(runs, column)] for column in COLUMNS}
    assert names["name"] == sorted(names["name"])
    assert names["clips"] == ["diverged", "killed", "deep/er", "done", "broken"]
    assert names["best"][0] == "deep/er" and names["hours"][0] == "done"
    lines = format_runs([Run("a", "running", clips=1200000, hours=2, best=0.5), Run("bcde", "finished")]).splitlines()
    assert lines == [
        "name  method  preset      clips  hours  device  best  last  state",
        "a     –       –       1,200,000   2.00  –        0.5     –  running",
        "bcde  –       –               –      –  –          –     –  finished",
    ]


def test_the_commands_print_and_write_them(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["runs", str(folder), "--sort", "best"])
    assert capsys.readouterr().out.splitlines()[1].startswith("deep/er  ")
    table, contents = tmp_path / "table.json", tmp_path / "contents.json"
    cli.main(["runs", str(folder), "--json", str(table)])
    assert [run["name"] for run in json.loads(table.read_text())][:2] == ["broken", "deep/er"]
    capsys.readouterr()
    cli.main(["info", str(folder / "done"), "--json", str(contents)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{folder / 'done'}: run"
    assert {line.split("  ")[0] for line in lines} >= {"State", "Method", "Clips", "Dataset", "CPU hours", "Software"}
    found = json.loads(contents.read_text())
    assert found["kind"] == "run" and found["run"]["state"] == "finished" and found["record"]["sessions"]
    assert found["model"]["generator"]["height"] == 16 and found["settings"]["model"]["z_dim"] == 16
    with pytest.raises(SystemExit):
        cli.main(["runs", str(folder / "data")])
    assert "No runs found in" in capsys.readouterr().err


def test_a_run_without_a_model_or_a_record(folder: Path) -> None:
    facts = describe_path(folder / "deep" / "er").facts
    assert facts["Record"] == "none" and facts["Distance"] == "best 1.5, last 2.25" and facts["Clips"] == "24"
    with pytest.raises(StyleganvError, match=r"settings\.yaml"):
        describe_path(folder / "broken")


def test_models(finished_run: Path, tmp_path: Path) -> None:
    model = describe_path(finished_run / "model")
    assert model.kind == "model" and model.facts["Frame size"] == "16x16 (height x width)"
    assert model.facts["Clips"] == "16" and "Dataset hash" in model.facts
    copy = shutil.copytree(finished_run / "model", tmp_path / "model")
    (copy / RECORD).unlink()
    assert describe_path(copy).facts["Record"] == "none"
    (copy / "config.json").write_text('{"generator": 3}')
    with pytest.raises(StyleganvError, match="is damaged"):
        describe_path(copy)
    assert describe_path("faces-64").facts["License"] == "MIT"


def test_datasets_and_the_license_of_their_videos(tmp_path: Path) -> None:
    for i in range(3):
        write_image(tmp_path / "source" / "clip" / f"{i}.png", np.full((16, 16, 3), 60 * i, np.uint8))
    options = PrepareOptions(license="CC BY 4.0")
    prepare(tmp_path / "source", tmp_path / "data.zip", resolution=(16, 16), options=options, num_workers=1)
    contents = describe_path(tmp_path / "data.zip")
    assert contents.kind == "dataset" and contents.facts["License"] == "CC BY 4.0"
    assert contents.facts["Dataset"] == "data.zip: 1 video, 3 frames of 16x16 (height x width), 25 fps"
    assert contents.to_dict()["license"] == "CC BY 4.0"
    options = PrepareOptions(fps=25)
    prepare(tmp_path / "source", tmp_path / "s", resolution=(16, 16), options=options, shard=(1, 1), num_workers=1)
    assert describe_path(tmp_path / "s").facts["Dataset"].startswith("s: 1 video, 3 frames"), "a folder of shards"
    frames = np.zeros((2, 16, 16, 3), np.uint8)
    write_dataset(tmp_path / "b.zip", [("a", frames, 0, {})], height=16, width=16, fps=8, class_names=["cat"])
    assert describe_path(tmp_path / "b.zip").facts["Classes"] == "cat"
    assert describe_path(tmp_path / "b.zip").facts["License"] == "not stated"
    (tmp_path / "labels.csv").write_text("name,age,mood\nclip,0.5,-1\n")
    options = PrepareOptions(classes=str(tmp_path / "labels.csv"))
    shards = tmp_path / "shards"
    prepare(tmp_path / "source", shards, resolution=(16, 16), shard=(1, 1), options=options, num_workers=1)
    facts = describe_path(shards).facts
    assert facts["Numbers per video"] == "age, mood" and "Classes" not in facts


@pytest.mark.parametrize("name", ["nowhere", "notes.txt", "folder"])
def test_anything_else_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("text")
    (tmp_path / "folder").mkdir()
    with pytest.raises(StyleganvError, match=rf"{name} is neither a run, a model nor a dataset: pass .*faces-64"):
        describe_path(tmp_path / name)


def test_the_commands_do_not_wait_for_torch(folder: Path) -> None:
    program = (
        "import sys; from styleganv.cli import main\n"
        f"main(['runs', {str(folder)!r}]); main(['info', {str(folder / 'done')!r}])\n"
        "sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
