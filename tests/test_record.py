"""The record of a run: what it holds, how it grows with each resume, and what of it is published."""

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from settings import with_training

from styleganv import __version__, record
from styleganv.config import RunConfig
from styleganv.data.dataset import VideoDataset
from styleganv.errors import StyleganvError
from styleganv.record import (
    RECORD,
    DatasetFacts,
    RunRecord,
    Session,
    describe_dataset,
    read_record,
    summarize,
    without_paths,
    write_record,
)
from styleganv.runs import resume

SESSION = Session(
    started="2026-01-01T00:00:00+00:00",
    styleganv="0.1.0",
    python="3.11.0",
    torch="2.13.0",
    device="NVIDIA H200",
    num_processes=2,
    clips_before=0,
    cuda="13.0",
    revision="abc-dirty",
    command="styleganv train '/home/me/my videos/data.zip' --out=/home/me/runs/x --lr 0.1 --config ../a/my.yaml",
    device_hours=1.5,
    peak_memory_gib=3.25,
)
DATA = DatasetFacts("a\n.zip", "0f", videos=2, frames=9, height=16, width=32, fps=25.0, classes=3)


def test_a_run_and_its_model_have_a_record(finished_run: Path, faces: Path, tiny: RunConfig) -> None:
    found = read_record(finished_run)
    assert found and len(found.sessions) == 1
    (session,) = found.sessions
    assert (session.styleganv, session.torch, session.cuda) == (__version__, torch.__version__, None)
    assert (session.clips_before, session.clips_seen, session.num_processes) == (0, 16, 1)
    assert 0 < session.device_hours < 1 and session.peak_memory_gib and session.peak_memory_gib > 0.05
    assert found.dataset == describe_dataset(VideoDataset(faces))
    assert (found.dataset.name, found.dataset.videos, found.dataset.frames) == ("faces.zip", 16, 640)
    assert found.settings["training"]["seed"] == tiny.training.seed and found.settings["model"]["z_dim"] == 16
    of_model = read_record(finished_run / "model")
    assert of_model and (of_model.id, of_model.dataset) == (found.id, found.dataset)
    assert str(Path.home()) not in (finished_run / RECORD).read_text()  # nor the folder of the dataset
    assert str(faces.parent) not in (finished_run / RECORD).read_text()


@pytest.mark.usefixtures("no_run_images")
def test_a_resumed_run_adds_a_session(finished_run: Path, tiny: RunConfig, tmp_path: Path) -> None:
    run = shutil.copytree(finished_run, tmp_path / "run")
    before = read_record(run)
    resume(run, config=with_training(tiny, total_clips=24), command="styleganv train --resume run")
    after = read_record(run)
    assert before and after and after.sessions[0] == before.sessions[0]
    last = after.sessions[1]
    assert (last.command, last.clips_before, last.clips_seen) == ("styleganv train --resume run", 16, 24)
    assert after.device_hours == pytest.approx(before.device_hours + last.device_hours)
    assert after.peak_memory_gib == max(session.peak_memory_gib or 0 for session in after.sessions)
    assert after.id == before.id and after.settings["training"]["total_clips"] == 24


@pytest.mark.usefixtures("no_run_images")
@pytest.mark.parametrize("text", ["{", None])
def test_a_damaged_or_missing_record_ends_no_training(
    text: str | None, finished_run: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = shutil.copytree(finished_run, tmp_path / "run")
    (run / RECORD).unlink()
    if text is not None:
        (run / RECORD).write_text(text)
    with caplog.at_level("INFO", "styleganv"):
        resume(run)
    assert ("A new record begins." in caplog.text) == (text is not None)
    found, old = read_record(run), read_record(finished_run)
    assert found and old and found.id != old.id and [session.clips_before for session in found.sessions] == [16]


def test_a_record_survives_its_file(tmp_path: Path) -> None:
    original = RunRecord("1", "64", "runs/other", DATA, {"training": {"seed": 3}}, (SESSION, SESSION))
    write_record(tmp_path, original)
    assert read_record(tmp_path) == original
    values = json.loads((tmp_path / RECORD).read_text())
    values["sessions"][0]["later"] = values["dataset"]["later"] = values["later"] = 1
    (tmp_path / RECORD).write_text(json.dumps(values))
    assert read_record(tmp_path) == original and read_record(tmp_path / "nowhere") is None


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"id": 3}',
        "{}",
        '{"id": "a", "sessions": [{"started": 1}]}',
        "\xff",
        '{"id": "a", "dataset": {"name": 3}}',
    ],
)
def test_a_damaged_record_is_one_sentence(text: str, tmp_path: Path) -> None:
    (tmp_path / RECORD).write_text(text, "latin-1")
    with pytest.raises(StyleganvError, match=r"record\.json"):
        read_record(tmp_path)


def test_a_summary_adds_up_sessions() -> None:
    later = replace(SESSION, torch="2.14.0", device="CPU x", num_processes=1, cuda=None, command=None, revision=None)
    later = replace(later, device_hours=0.25, peak_memory_gib=None)
    summary = summarize(RunRecord("1", "64", None, DATA, {"training": {"seed": 0}}, (SESSION, later, later)))
    assert summary["Dataset"] == r"a\x0a.zip: 2 videos, 9 frames of 16x32 (height x width), 25 fps, 3 classes"
    assert (summary["Seed"], summary["License of the dataset"]) == ("0", "not stated")
    assert (summary["GPU hours"], summary["Peak memory"]) == ("2", "3.25 GiB")
    assert summary["Device"] == "2 x NVIDIA H200; CPU x"
    assert summary["Software"] == (
        "styleganv 0.1.0 (git abc-dirty), Python 3.11.0, PyTorch 2.13.0, CUDA 13.0; "
        "styleganv 0.1.0, Python 3.11.0, PyTorch 2.14.0"
    )
    assert summary["Command"] == SESSION.command and "Fine-tuned from" not in summary
    assert summarize(RunRecord("1")) == {}


def test_what_is_published_has_no_paths() -> None:
    published = without_paths(RunRecord("1", finetune=r"C:\Users\me\runs\other", sessions=(SESSION,)))
    assert published.sessions[0].command == "styleganv train data.zip --out=x --lr 0.1 --config my.yaml"
    assert published.finetune == "other" and without_paths(published) == published


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_the_revision_of_a_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def git(*words: str) -> str:
        person = ("-c", "user.name=a", "-c", "user.email=a@b")
        done = subprocess.run(["git", "-C", str(tmp_path), *person, *words], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    monkeypatch.setattr(record, "CHECKOUT", tmp_path)
    assert record._git_revision() is None
    git("init", "-q")
    (tmp_path / "a").write_text("1")
    git("add", "a")
    git("commit", "-qm", "first")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "nowhere"))
    revision = record._git_revision()
    monkeypatch.delenv("GIT_DIR")
    assert revision and git("rev-parse", "HEAD").startswith(revision)
    (tmp_path / "a").write_text("2")
    assert record._git_revision() == f"{revision}-dirty"
    monkeypatch.setenv("PATH", "")
    assert record._git_revision() is None
