"""Text edits and projections: processes of the real commands, which are followed, stopped and canceled."""

import json
import os
import shlex
import signal
import urllib.error
import urllib.request
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import warm
from exporting import export_frames
from job_waits import wait, wait_until
from numpy.typing import NDArray
from PIL import Image, ImageSequence
from serving import serving, serving_here

pytest.importorskip("transformers", reason="pip install styleganv[clip]")
pytest.importorskip("uvicorn", reason="pip install styleganv[studio]")

from styleganv.cli import main
from styleganv.errors import StyleganvError
from styleganv.studio.access import UPLOAD
from styleganv.studio.commands import export_commands
from styleganv.studio.job import STOPPABLE_STAGE, Job
from styleganv.studio.jobs import JobManager
from styleganv.studio.searches import (
    ClipParams,
    edit_by_text,
    find_directions,
    project,
    receive_upload,
    rename_direction,
    video_suffix,
)
from styleganv.studio.studio_model import StudioModel
from styleganv.studio.video_params import ExportParams
from styleganv.timeline.notation import VideoParams

EXPORT = ExportParams(start=0.5, seconds=0.4, fps=25, speed=1, format="webp")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.save(tmp_path_factory.mktemp("model") / "model", height=32, width=32)


@pytest.fixture
def studio_model(model: Path) -> StudioModel:
    return StudioModel(model)


@pytest.fixture
def warm_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start jobs as forks of a process that has loaded PyTorch already."""
    monkeypatch.setattr("styleganv.studio.job.subprocess", warm)


def start_projection(manager: JobManager, model: StudioModel, video: Path, num_steps: int) -> Job:
    with receive_upload(manager, model, video.name) as upload:
        upload.write_bytes(video.read_bytes())
        return project(manager, model, upload, video.name, ClipParams(start=0.2, seconds=0.5, num_steps=num_steps))


def read(path: Path) -> NDArray[np.float64]:
    with Image.open(path) as file:
        return np.stack([np.asarray(frame.convert("RGB"), float) for frame in ImageSequence.Iterator(file)])


def export_video(model: StudioModel, params: VideoParams) -> NDArray[np.float64]:
    Path("export.webp").unlink(missing_ok=True)
    export_frames(model, params, EXPORT, Path("export.webp"))
    return read(Path("export.webp"))


def run_commands(model: StudioModel, params: VideoParams, first: int = 0) -> NDArray[np.float64]:
    """Return the video that the page's command lines write, from one of them on."""
    Path("video.webp").unlink(missing_ok=True)
    for line in export_commands(model, params, EXPORT).lines[first:]:
        main(shlex.split(line)[1:])
    return read(Path("video.webp"))


@pytest.mark.long
@pytest.mark.usefixtures("warm_jobs")
def test_text_edit_changes_the_video_and_its_commands_repeat_it(
    manager: JobManager, studio_model: StudioModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / studio_model.name).symlink_to(studio_model.path)  # Commands give a model elsewhere by its name only.
    params = VideoParams.from_json(
        {"content": 3, "motion": 2, "psi": 0.8, "mix": "4:1-2@0.5", "directions": {"motion 1": 2}}
    )
    job = wait(edit_by_text(manager, studio_model, params, " a green circle ", 4))
    assert (job.state, job.error, job.task.name) == ("done", "", "a green circle")
    assert {path.name for path in (job.folder / "result").iterdir()} == {"comparison.mp4", "latents.safetensors"}
    result = VideoParams.from_json({"content": f"result-{job.number}"})
    video = export_video(studio_model, result)
    assert np.abs(video - export_video(studio_model, params)).mean() > 6
    # The job may use bfloat16 and another number of threads.
    assert np.abs(video - run_commands(studio_model, result)).mean() < 3
    # The result keeps its motion. Another motion and less content can be selected.
    other = VideoParams.from_json({"content": f"result-{job.number}", "motion": 9, "psi": 0.5})
    assert np.abs(run_commands(studio_model, other, first=-1) - export_video(studio_model, other)).mean() < 3
    assert np.abs(export_video(studio_model, other) - video).mean() > 6


@pytest.mark.usefixtures("warm_jobs")
@pytest.mark.slow
def test_projection_finds_a_clip_and_its_commands_repeat_it(
    manager: JobManager, studio_model: StudioModel, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / studio_model.name).symlink_to(studio_model.path)
    job = wait(start_projection(manager, studio_model, video, num_steps=5))
    assert (job.state, job.error, job.task.name) == ("done", "", video.name)
    params = VideoParams.from_json({"content": f"result-{job.number}"})
    (tmp_path / video.name).write_bytes(video.read_bytes())
    assert np.abs(run_commands(studio_model, params) - export_video(studio_model, params)).mean() < 3
    report = json.loads((tmp_path / f"projection-{job.number}" / "report.json").read_text())
    assert len(report["frames"]["psnr"]) == 12 and report["source"]["start"] == 0.2


@pytest.mark.slow
@pytest.mark.usefixtures("warm_jobs")
def test_canceled_job_leaves_nothing(manager: JobManager, studio_model: StudioModel, video: Path) -> None:
    job = start_projection(manager, studio_model, video, num_steps=2000)
    waiting = edit_by_text(manager, studio_model, VideoParams(), "red", 1)
    wait_until(lambda: job.can_stop)
    assert waiting.state == "waiting" and waiting.process is None
    waiting.cancel()
    assert "preview.webp" in job.to_dict()["files"]
    with Image.open(job.folder / "preview.webp") as image:
        assert image.size == (32, 32)
    job.cancel()
    assert job.process is not None and job.process.poll() is not None
    assert {job.state, waiting.state} == {"canceled"} and not (job.folder.exists() or waiting.folder.exists())
    assert job.number not in studio_model.search_results and not job.can_stop
    start_projection(manager, studio_model, video, num_steps=1).cancel()  # The next one can start.


@pytest.mark.long
def test_stopped_projection_keeps_its_best_result(manager: JobManager, studio_model: StudioModel, video: Path) -> None:
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)  # `nohup … &` does so, and child processes inherit it.
    job = start_projection(manager, studio_model, video, num_steps=2000)
    signal.signal(signal.SIGINT, handler)
    wait_until(lambda: job.can_stop and job.fraction >= 0.01)
    assert job.stage == STOPPABLE_STAGE and job.remaining_seconds > 0
    assert job.process is not None
    assert os.getpriority(os.PRIO_PROCESS, job.process.pid) == os.getpriority(os.PRIO_PROCESS, 0) + 10
    job.stop()
    job.stop()
    assert wait(job).state == "done" and not list(job.folder.glob("clip.*"))
    assert json.loads((job.folder / "result" / "report.json").read_text())["interrupted"]
    job.cancel()  # No effect on a finished job.
    assert job.state == "done" and job.folder.exists()


def test_invalid_searches_are_refused(manager: JobManager, studio_model: StudioModel, tmp_path: Path) -> None:
    for text, steps, message in (
        ("  ", 1, "got 0: change it"),
        ("x" * 201, 1, "got 201: change it"),
        ("a\0b", 1, "one line"),
        ("red", 0, "must be 1 to 2000, got 0"),
        ("red", "x", "must be 1 to 2000, got x"),
    ):
        with pytest.raises(StyleganvError, match=message):
            edit_by_text(manager, studio_model, VideoParams(), text, steps)
    with pytest.raises(StyleganvError, match="requires a single video, got a grid"):
        edit_by_text(manager, studio_model, VideoParams(grid=(2, 2)), "red", 1)
    for params, message in (
        ({"seconds": 0.0}, "at most 10 s, got 0 s"),
        ({"seconds": 11.0}, "at most 10 s, got 11 s"),
        ({"start": -1.0}, "0 s to 3600 s, got -1 s"),
        ({"num_steps": 2001}, "must be 1 to 2000, got 2001"),
    ):
        with pytest.raises(StyleganvError, match=message):
            ClipParams(**params)  # type: ignore[arg-type]
    with (
        pytest.raises(StyleganvError, match=r"Unknown video format of notes.txt: use one of "),
        receive_upload(manager, studio_model, "notes.txt"),
    ):
        pass
    with receive_upload(manager, studio_model, "../../x.MP4") as upload:
        assert upload.name == "clip.mp4"
        with (
            pytest.raises(StyleganvError, match="Another video is being uploaded"),
            receive_upload(manager, studio_model, "y.mp4"),
        ):
            pass
    assert not upload.parent.exists()
    image_model = StudioModel(tiny.save(tmp_path / "image", motion="none"))
    with (
        pytest.raises(StyleganvError, match="requires a video model, got an image model"),
        receive_upload(manager, image_model, "x.mp4"),
    ):
        pass


@pytest.mark.usefixtures("warm_jobs")
@pytest.mark.slow
def test_failed_jobs_have_an_error_in_the_users_words(studio_model: StudioModel, tmp_path: Path) -> None:
    manager, broken = JobManager(clip_model=tmp_path / "none"), tmp_path / "broken.mp4"
    broken.write_bytes(b"no video" * 100)
    job = wait(start_projection(manager, studio_model, broken, num_steps=1))
    assert job.state == "failed" and job.error.startswith("Cannot read broken.mp4 as a video")
    job = wait(edit_by_text(manager, studio_model, VideoParams(), "red", 1))
    assert job.state == "failed" and f"{tmp_path / 'none'}" in job.error
    manager.close()


def test_a_search_that_only_reads_is_ended(
    manager: JobManager, studio_model: StudioModel, video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("styleganv.studio.job.MAX_READING_SECONDS", 0.2)
    job = wait(start_projection(manager, studio_model, video, num_steps=1))
    assert job.state == "failed" and job.error.startswith(f"Reading {video.name} took more than 0.2 s: ")
    assert job.process is not None and job.process.wait(timeout=60)
    start_projection(manager, studio_model, video, num_steps=1).cancel()  # The next one can start.


@pytest.mark.parametrize("name", ["x.mp4", "X.MOV", "a b.webm"])
def test_suffixes_of_videos(name: str) -> None:
    assert name.lower().endswith(video_suffix(name))


@pytest.mark.usefixtures("warm_jobs")
@pytest.mark.slow
def test_directions_are_found_named_renamed_and_used(manager: JobManager, studio_model: StudioModel) -> None:
    job = wait(find_directions(manager, studio_model, {"score": "red", "num_samples": 8, "name": "rot"}))
    assert (job.state, job.error) == ("done", "")
    assert studio_model.find_direction("rot")[1] == "red"
    rename_direction(studio_model, "rot", "more red")
    params = VideoParams(directions=(("more red", 2.0),))
    lines = export_commands(studio_model, params, EXPORT).lines
    assert lines[0] == job.task.commands[0] and "directions-1.safetensors:red=2" in lines[1]
    for name, message in (("a:b", "must not contain"), ("content 3", "is called content 3 already"), ("", "one line")):
        with pytest.raises(StyleganvError, match=message):
            rename_direction(studio_model, "more red", name)
    with pytest.raises(StyleganvError, match="No found direction is called rot"):
        rename_direction(studio_model, "rot", "x")
    with pytest.raises(StyleganvError, match="up to 20 directions"):
        find_directions(manager, studio_model, {"num_directions": 21})


# Over the network


def send(url: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, Any]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url + path, body, headers)) as response:
            content = response.read()
            return response.status, json.loads(content) if path.endswith(("jobs", "text")) else content
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@pytest.mark.usefixtures("warm_jobs")
@pytest.mark.long
def test_server_runs_searches(model: Path, video: Path, clip_model: Path) -> None:
    with serving_here([model], clip_model=clip_model) as url:
        status, _ = send(url, "api/jobs/clip?source=model&name=a.mp4&seconds=0.5&num_steps=2", video.read_bytes())
        assert status == 200
        wait_until(lambda: send(url, "api/jobs")[1][0]["state"] == "done")
        assert send(url, "api/jobs/1/comparison.mp4")[1][4:8] == b"ftyp"
        assert send(url, "api/jobs/1/report.json")[0] in (404, 422)
        assert send(url, "api/jobs/7/comparison.mp4")[0] == 404
        params = {"content": "result-1"}
        body = json.dumps({"source": "model", "params": params, "text": "red", "num_steps": 1}).encode()
        assert send(url, "api/jobs/text", body, **{"Content-Type": "application/json"})[0] == 200
        wait_until(lambda: send(url, "api/jobs")[1][1]["state"] == "done")


@pytest.mark.usefixtures("warm_jobs")
@pytest.mark.slow
def test_server_limits_uploads(model: Path) -> None:
    with serving_here([model]) as url:
        for path, body, status, message in (
            ("api/jobs/clip?source=model&name=a.txt", b"x", 400, "Unknown video format"),
            ("api/jobs/clip?source=model&name=a%0Ab.mp4", b"x", 400, "name of the video must be one line"),
            (f"api/jobs/clip?source=model&name={'x' * 300}.mp4", b"x", 400, "of 1 to 255 characters, got 304"),
            ("api/jobs/clip?source=model&name=a.mp4", b"", 400, "The uploaded file is empty"),
            ("api/jobs/clip?source=other&name=a.mp4", b"x", 400, "other is not open in this studio"),
            ("api/jobs/clip?source=model&name=a.mp4&seconds=99", b"x", 400, "at most 10 s"),
            ("api/jobs/text", b"x" * 100_000, 413, "at most 0.0625 MiB"),
        ):
            response = send(url, path, body)
            assert response[0] == status and message in response[1], response
        _, job = send(url, "api/jobs/clip?source=model&name=-rf.mp4", b"x")
        assert "styleganv project model ./-rf.mp4 " in json.loads(job)["command"]
        # Pages of other sites can send requests to this port, too.
        assert send(url, "api/jobs/clip?source=model&name=a.mp4", b"x", Origin="http://evil.example")[0] == 403
        large = urllib.request.Request(url + "api/jobs/clip?source=model&name=a.mp4", b"x")
        large.add_header("Content-Length", str(UPLOAD.num_bytes + 1))
        with pytest.raises(urllib.error.HTTPError, match="413"):
            urllib.request.urlopen(large)


@pytest.mark.slow
def test_searches_end_with_the_studio(
    model: Path, video: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with serving([model]) as (_, url):
        send(url, "api/jobs/clip?source=model&name=a.mp4&seconds=0.5&num_steps=2000", video.read_bytes())
        wait_until(lambda: send(url, "api/jobs")[1][0]["can_stop"])
        (folder,) = tmp_path.glob("styleganv-studio-*")
        processes = [p for p in Path("/proc").glob("[0-9]*") if str(folder).encode() in (p / "cmdline").read_bytes()]
        assert len(processes) == 1
    wait_until(lambda: not processes[0].exists(), 20)
    wait_until(lambda: not folder.exists(), 20)


def test_page_and_server_agree_on_the_upload_limit() -> None:
    script = (files("styleganv.studio") / "page" / "parts" / "search.js").read_text()
    assert f"const MAX_UPLOAD_BYTES = 2 ** {UPLOAD.num_bytes.bit_length() - 1};" in script
