"""Watching runs over HTTP: a folder of runs, models that are loaded when they are needed, stop and resume."""

import json
import re
import shutil
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import warm
from serving import serving_here

from styleganv.config import RunConfig, save_settings
from styleganv.errors import StyleganvError
from styleganv.studio import run_list, studio_model
from styleganv.studio.model_pool import ModelPool
from styleganv.studio.run_list import RunList, is_run_folder
from styleganv.studio.studio_model import StudioModel
from styleganv.timeline.notation import VideoParams
from styleganv.training import health


def request(url: str, method: str = "GET") -> tuple[int, Any]:
    """The status, and the JSON or the bytes of the response."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=30) as response:
            body, kind = response.read(), response.headers["content-type"]
            return response.status, json.loads(body) if kind == "application/json" else body
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


@pytest.fixture
def folder(finished_run: Path, tmp_path: Path) -> Path:
    """A folder of two runs, one of them deeper."""
    for name in ("a", "deep/b"):
        shutil.copytree(finished_run, tmp_path / "runs" / name, ignore=shutil.ignore_patterns("tensorboard"))
    return tmp_path / "runs"


def test_a_folder_of_runs_is_watched(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_list.RunList, "_next_search", property(lambda _: 0.0, lambda *_: None), raising=False)
    with serving_here([folder]) as url:
        status, runs = request(f"{url}api/runs")
        assert status == 200 and [run["name"] for run in runs] == ["runs/a", "runs/deep/b"]
        assert runs[0]["state"] == "finished" and runs[0]["findings"] == [] and runs[0]["snapshots"] == [16]
        assert str(folder.parent) not in json.dumps(runs)
        _, log = request(f"{url}api/runs/runs/deep/b/log")
        assert log["columns"]["clips_seen"] == [8, 16] and log["is_new"]
        _, rest = request(f"{url}api/runs/runs/deep/b/log?after={log['end']}&version={log['version']}")
        assert not rest["is_new"] and rest["columns"] == {}
        assert request(f"{url}api/runs/runs/a/snapshots") == (200, [16])
        assert request(f"{url}api/runs/runs/a/snapshots/16.png")[1].startswith(b"\x89PNG")
        assert request(f"{url}api/runs/runs/a/snapshots/16.mp4")[1][4:8] == b"ftyp"
        assert request(f"{url}api/runs/runs/a/snapshots/17.png")[0] == 404
        assert request(f"{url}api/runs/runs/a/snapshots/16.exe")[0] == 422
        assert request(f"{url}api/runs/runs/../a/log")[0] == 400
        settings = request(f"{url}api/runs/runs/a/settings")[1]
        assert settings["training.total_clips"] == "16" and settings["model.method"] == "stylegan-v"
        (folder / "a" / "output.log").write_text(f"cut\n{'x' * 2**14}\nFailed at {folder}/a/data.zip\n")
        tail = request(f"{url}api/runs/runs/a/tail")[1]
        assert json.loads(tail["log"][-1])["event"] == "end"
        assert tail["output"] == ["Failed at runs/a/data.zip"]  # whole lines, no absolute paths
        assert request(f"{url}api/runs/other/log")[1] == {"error": "Unknown run other: reload the page."}
        shutil.copytree(folder / "a", folder / "c", ignore=shutil.ignore_patterns("tensorboard"))
        assert [run["name"] for run in request(f"{url}api/runs")[1]] == ["runs/a", "runs/deep/b", "runs/c"]
        assert [run["can_control"] for run in runs] == [False, False]
        shutil.rmtree(folder / "c")  # a deleted run is not in the list, but its name is not given to another
        assert [run["name"] for run in request(f"{url}api/runs")[1]] == ["runs/a", "runs/deep/b"]
        names = [model["name"] for model in request(f"{url}api/sources")[1]]
        assert names == ["runs/a", "runs/deep/b", "runs/c"]
        for action in ("stop", "resume"):
            status, answer = request(f"{url}api/runs/runs/a/{action}", "POST")
            assert status == 403 and "start the studio with --token" in answer["error"]


def test_every_finding_has_a_section_that_helps(folder: Path) -> None:
    source = Path(health.__file__).read_text()
    anchors = set(re.findall(r"\{PAGE\}#([\w-]+)", source))
    assert len(anchors) >= 9
    with serving_here([folder]) as url:
        for anchor in anchors:
            status, section = request(f"{url}api/help/{anchor}")
            assert status == 200 and len(section["text"]) > 50 and "\n#" not in section["text"]
        assert section["title"] and request(f"{url}api/help/nothing")[0] == 400
        assert request(f"{url}api/help/the-losses-explode")[1]["title"] == "The losses explode"


def test_only_runs_that_can_be_stopped_are(folder: Path) -> None:
    with serving_here([folder], token="secret") as url:
        status, answer = request(f"{url}api/runs/runs/a/stop?token=secret", "POST")
        assert status == 400 and answer["error"] == "runs/a is not in training: there is nothing to stop."


def test_models_of_runs_are_loaded_when_they_are_needed(finished_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[str] = []
    load = studio_model.load

    def counted(path: str, **options: Any) -> Any:
        loaded.append(path)
        return load(path, **options)

    monkeypatch.setattr(studio_model, "load", counted)
    pool = ModelPool(2)
    models = [StudioModel(finished_run, name=f"run {i}", pool=pool) for i in range(20)]
    data = models[0].metadata()
    assert (data.name, data.width, data.height, data.kind, data.loaded) == ("run 0", 16, 16, "run", False)
    assert loaded == []
    for model in (models[0], models[1], models[0], models[2]):
        next(model.frames(VideoParams(), start=0, fps=25))
    assert len(loaded) == 3 and models[0].metadata().loaded
    assert [model._model is not None for model in models[:3]] == [True, False, True]
    next(models[1].frames(VideoParams(), start=0, fps=25))
    assert len(loaded) == 4


def test_a_run_before_its_first_save_has_a_name(tmp_path: Path) -> None:
    save_settings(RunConfig(), tmp_path / "settings.yaml")
    model = StudioModel(tmp_path, name="new", pool=ModelPool())
    assert model.metadata().name == "new" and not model.metadata().loaded
    with pytest.raises(StyleganvError):
        next(model.frames(VideoParams(), start=0, fps=25))


def test_names_are_unique_and_each_run_is_found_once(folder: Path, models: list[Path]) -> None:
    assert [is_run_folder(path) for path in (folder, folder / "a", models[0], "faces-64")] == [
        True,
        False,
        False,
        False,
    ]
    runs = RunList([folder / "a", folder / "deep" / "b", folder])
    assert list(runs.runs) == ["a", "b"] and runs.search() == []
    shutil.copytree(folder / "a", folder.parent / "more" / "a", ignore=shutil.ignore_patterns("tensorboard"))
    assert list(RunList([folder / "a", folder.parent / "more" / "a"]).runs) == ["a", "a (2)"]
    (folder.parent / "empty").mkdir()
    with pytest.raises(StyleganvError, match=r"No model or run found in .*empty: pass a model folder"):
        RunList([folder.parent / "empty"])


def wait_for(condition: Callable[[], Any], seconds: float = 120) -> Any:
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.1)
    return value


@pytest.mark.long
def test_a_real_training_is_stopped_and_resumed(faces: Path, tiny: RunConfig, tmp_path: Path) -> None:
    run = tmp_path / "runs" / "mine"
    save_settings(tiny, tmp_path / "settings.yaml")
    words = ["train", faces, "--out", run, "--config", tmp_path / "settings.yaml", "--total-clips", 10**6]
    command = [sys.executable, "-m", "styleganv.cli", *map(str, words)]
    with warm.Popen(command, stdout=warm.DEVNULL, stderr=warm.DEVNULL) as training:
        try:
            wait_for(lambda: (run / "log.jsonl").is_file() and "loss_g" in (run / "log.jsonl").read_text())
            with serving_here([tmp_path / "runs"], token="secret") as url:

                def state() -> Any:
                    return request(f"{url}api/runs?token=secret")[1][0]

                assert state()["state"] == "running" and 0 < state()["fraction"] < 1
                assert request(f"{url}api/runs/runs/mine/resume?token=secret", "POST")[0] == 400
                assert request(f"{url}api/runs/runs/mine/stop?token=secret", "POST") == (200, {})
                assert training.wait(60) == 0
                stopped = state()
                assert stopped["state"] == "interrupted" and (run / "checkpoint.pt").is_file()
                assert request(f"{url}api/runs/runs/mine/resume?token=secret", "POST") == (200, {})
                assert state()["state"] == "running"
                assert request(f"{url}api/runs/runs/mine/resume?token=secret", "POST")[0] == 400
                wait_for(lambda: state()["clips"] > stopped["clips"])
                assert request(f"{url}api/runs/runs/mine/stop?token=secret", "POST") == (200, {})
                wait_for(lambda: state()["state"] == "interrupted")
                (run / "data.txt").write_text("/nowhere/data.zip\nabc\n")
                assert request(f"{url}api/runs/runs/mine/resume?token=secret", "POST") == (200, {})
                failure = wait_for(lambda: state()["failure"])
                assert "The dataset of" in failure and "no longer at data.zip" in failure
        finally:
            training.kill()
