"""Searches by text and in uploaded clips: real processes of the real verbs, which are followed, stopped and refused."""

import json
import os
import shlex
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
from numpy.typing import NDArray
from PIL import Image, ImageSequence
from serving import running

pytest.importorskip("transformers", reason="pip install styleganv[clip]")
pytest.importorskip("uvicorn", reason="pip install styleganv[studio]")

from taught import taught_clip

from styleganv.cli import main
from styleganv.errors import StyleganvError
from styleganv.faces.drawing import draw_video
from styleganv.faces.factors import sample_face
from styleganv.media import writing
from styleganv.studio import jobs as studio_jobs
from styleganv.studio.jobs import Job, Jobs, progress, video_suffix
from styleganv.studio.scene import Scene, Take
from styleganv.studio.stage import Stage

TAKE = Take(start=0.5, seconds=0.4, fps=25, speed=1, format="webp")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("searches")


@pytest.fixture(scope="module")
def model(folder: Path) -> Path:
    return tiny.save(folder / "model", height=32, width=32)


@pytest.fixture(scope="module")
def clip(folder: Path) -> Path:
    return taught_clip(folder / "clip", 1)


@pytest.fixture(scope="module")
def video(folder: Path) -> Path:
    """One second of a drawn face, in a name as people have them."""
    drawn = draw_video(sample_face(np.random.default_rng(5)), 5, num_frames=25, height=48, width=64)
    writing.write_video(folder / "my holiday.mp4", iter(drawn), 25)
    return folder / "my holiday.mp4"


@pytest.fixture
def stage(model: Path) -> Stage:
    return Stage(model)


@pytest.fixture
def jobs(clip: Path) -> Iterator[Jobs]:
    begun = Jobs(clip=clip)
    yield begun
    begun.close()


def until(true: Callable[[], Any], seconds: float = 400) -> None:
    """Jobs give way to other work: beside four busy processes one took ten times as long."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def ended(job: Job) -> Job:
    until(lambda: job.state != "running")
    return job


def begun(jobs: Jobs, stage: Stage, video: Path, *, seconds: float = 0.5, steps: int) -> Job:
    upload = jobs.upload(stage, video.name, start=0.2, seconds=seconds, steps=steps)
    upload.write_bytes(video.read_bytes())
    return jobs.in_clip(stage, upload, video.name, start=0.2, seconds=seconds, steps=steps)


def read(path: Path) -> NDArray[np.float64]:
    with Image.open(path) as file:
        return np.stack([np.asarray(frame.convert("RGB"), float) for frame in ImageSequence.Iterator(file)])


def saved(stage: Stage, scene: Scene) -> NDArray[np.float64]:
    stage.write(scene, TAKE, Path("saved.webp"))
    return read(Path("saved.webp"))


def typed(stage: Stage, scene: Scene) -> NDArray[np.float64]:
    """After the lines that the studio tells."""
    for line in stage.command(scene, TAKE).splitlines():
        main(shlex.split(line)[1:])
    return read(Path("video.webp"))


def test_a_text_changes_what_is_seen_and_its_lines_do_it_again(
    jobs: Jobs, stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    scene = Scene(seed=3, motion_seed=2, psi=0.8, mix=(4, 1, 2, 0.5), moved=(("motion 1", 2.0),))
    job = ended(jobs.by_text(stage, scene, " a green circle ", 4))
    assert (job.state, job.error, job.name) == ("done", "", "a green circle")
    assert {path.name for path in (job.folder / "found").iterdir()} == {"comparison.mp4", "latents.safetensors"}
    found = Scene(found=job.number, motion_seed=None)
    shown = saved(stage, found)
    assert np.abs(shown - saved(stage, scene)).mean() > 6
    assert np.abs(shown - typed(stage, found)).mean() < 3  # searched and stored in half precision, with other threads
    # The motion is the scene's; another one, and less of the content, can be had of it.
    other = Scene(found=job.number, motion_seed=9, psi=0.5)
    assert np.abs(typed(stage, other) - saved(stage, other)).mean() < 3
    assert np.abs(saved(stage, other) - shown).mean() > 6
    with pytest.raises(StyleganvError, match="choose a seed"):
        Scene.of({"found": job.number, "grid": [1, 2]})
    with pytest.raises(StyleganvError, match="no longer there"):
        stage.frames(Scene(found=99), start=0, fps=25)


def test_an_uploaded_clip_is_found_and_its_lines_do_it_again(
    jobs: Jobs, stage: Stage, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    job = ended(begun(jobs, stage, video, steps=5))
    assert (job.state, job.error, job.name) == ("done", "", "my holiday.mp4")
    scene = Scene(found=job.number, motion_seed=None)
    (tmp_path / video.name).write_bytes(video.read_bytes())
    assert np.abs(typed(stage, scene) - saved(stage, scene)).mean() < 3
    report = json.loads((tmp_path / f"projection-{job.number}" / "report.json").read_text())
    assert len(report["frames"]["psnr"]) == 12 and report["source"]["start"] == 0.2


def test_a_search_is_cancelled_and_nothing_stays(jobs: Jobs, stage: Stage, video: Path) -> None:
    job = begun(jobs, stage, video, steps=2000)
    with pytest.raises(StyleganvError, match="Another search is running: wait for it, or cancel it"):
        jobs.by_text(stage, Scene(), "red", 1)
    until(lambda: job.doing == "projecting")
    job.end(keep=False)
    assert job.state == "cancelled" and job.process.poll() is not None and not job.folder.exists()
    assert job.number not in stage.finds
    assert ended(begun(jobs, stage, video, steps=1)).state == "done"  # the next one can begin


def test_a_search_is_stopped_and_the_best_is_kept(jobs: Jobs, stage: Stage, video: Path) -> None:
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as of a studio behind nohup, which children inherit
    job = begun(jobs, stage, video, steps=2000)
    signal.signal(signal.SIGINT, handler)
    until(lambda: job.share >= 0.01 and job.doing == "projecting")
    assert os.getpriority(os.PRIO_PROCESS, job.process.pid) == os.getpriority(os.PRIO_PROCESS, 0) + 10
    job.end(keep=True)
    job.end(keep=True)  # a second press
    assert ended(job).state == "done" and not list(job.folder.glob("clip.*"))
    assert json.loads((job.folder / "found" / "report.json").read_text())["interrupted"]
    job.end(keep=False)  # it has ended
    assert job.state == "done" and job.folder.exists()


def test_what_cannot_be_searched(jobs: Jobs, stage: Stage, video: Path, tmp_path: Path) -> None:
    for text, steps, told in (
        ("  ", 1, "0 letters"),
        ("x" * 201, 1, "201 letters"),
        ("a\0b", 1, "in one line"),
        ("red", 0, "cannot take 0 steps"),
        ("red", "x", "take x steps"),
    ):
        with pytest.raises(StyleganvError, match=told):
            jobs.by_text(stage, Scene(), text, steps)
    with pytest.raises(StyleganvError, match="instead of a grid"):
        jobs.by_text(stage, Scene(grid=(2, 2)), "red", 1)
    for seconds, steps, told in ((0.0, 1, "choose up to 10 s"), (11.0, 1, "choose up to 10 s"), (1.0, 2001, "steps")):
        with pytest.raises(StyleganvError, match=told):
            begun(jobs, stage, video, seconds=seconds, steps=steps)
    with pytest.raises(StyleganvError, match=r"notes.txt is no video this program knows: give one of avi"):
        jobs.upload(stage, "notes.txt", start=0, seconds=1, steps=1)
    assert jobs.upload(stage, "../../x.MP4", start=0, seconds=1, steps=1).name == "clip.mp4"
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video" * 100)
    job = ended(begun(jobs, stage, broken, steps=1))
    assert job.state == "failed" and job.error == "Cannot read broken.mp4 as a video: replace or remove it."
    other = Stage(tiny.save(tmp_path / "still", motion="none"))
    with pytest.raises(StyleganvError, match="makes images"):
        begun(jobs, other, video, steps=1)
    nowhere = Jobs(clip=tmp_path / "none")
    assert "There is no CLIP at" in ended(nowhere.by_text(stage, Scene(), "red", 1)).error
    nowhere.close()


@pytest.mark.parametrize("name", ["x.mp4", "X.MOV", "a b.webm"])
def test_suffixes_of_videos(name: str) -> None:
    assert name.lower().endswith(video_suffix(name))


def test_progress_is_read_from_bars() -> None:
    assert progress("projecting:  42%|####  | 42/100 [00:05<00:07,  8.1step/s, psnr=20]\n") == (
        "projecting",
        0.42,
        "00:07",
    )
    assert progress("seeds:   0%|      | 0/64 [00:00<?, ?it/s]") == ("seeds", 0.0, "")
    assert progress("styleganv: no bar") is None


# Over the network


def sent(address: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, Any]:
    try:
        with urllib.request.urlopen(urllib.request.Request(address + path, body, headers)) as answer:
            content = answer.read()
            return answer.status, json.loads(content) if path.endswith(("jobs", "text")) else content
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_the_server_takes_uploads_within_limits(model: Path, video: Path, clip: Path) -> None:
    with running([model], "--clip-model", str(clip)) as address:
        status, _ = sent(address, "api/models/0/clip?name=a.mp4&seconds=0.5&steps=2", video.read_bytes())
        assert status == 200
        until(lambda: sent(address, "api/jobs")[1][0]["state"] == "done")
        assert sent(address, "api/jobs/1/comparison.mp4")[1][4:8] == b"ftyp"
        assert sent(address, "api/jobs/1/report.json")[0] in (404, 422)
        assert sent(address, "api/jobs/7/comparison.mp4")[0] == 404
        asked = json.dumps({"scene": {"found": 1, "motionSeed": None}, "text": "red", "steps": 1}).encode()
        assert sent(address, "api/models/0/text", asked, **{"Content-Type": "application/json"})[0] == 200
        until(lambda: sent(address, "api/jobs")[1][1]["state"] == "done")
        for path, body, status, told in (
            ("api/models/0/clip?name=a.txt", b"x", 400, "no video"),
            ("api/models/7/clip?name=a.mp4", b"x", 400, "no such model"),
            ("api/models/0/clip?name=a.mp4&seconds=99", b"x", 400, "up to 10 s"),
            ("api/models/0/text", b"x" * 100_000, 413, "more than the 0.0625 MB"),
        ):
            found = sent(address, path, body)
            assert found[0] == status and told in found[1], found
        # A page of another site can post to this port, too.
        assert sent(address, "api/models/0/clip?name=a.mp4", b"x", Origin="http://evil.example")[0] == 403
        large = urllib.request.Request(address + "api/models/0/clip?name=a.mp4", b"x")
        large.add_header("Content-Length", str(2**28 + 1))
        with pytest.raises(urllib.error.HTTPError, match="413"):
            urllib.request.urlopen(large)


def test_searches_end_with_the_studio(
    model: Path, video: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with running([model]) as address:
        sent(address, "api/models/0/clip?name=a.mp4&seconds=0.5&steps=2000", video.read_bytes())
        until(lambda: sent(address, "api/jobs")[1][0]["doing"] == "projecting")
        (inside,) = tmp_path.glob("styleganv-studio-*")
        searching = [p for p in Path("/proc").glob("[0-9]*") if str(inside).encode() in (p / "cmdline").read_bytes()]
        assert len(searching) == 1
    until(lambda: not searching[0].exists(), 20)
    until(lambda: not inside.exists(), 20)


def test_limits_are_what_the_page_says() -> None:
    page = (Path(studio_jobs.__file__).parent / "page.js").read_text()
    from styleganv.studio.server import MOST_UPLOADED

    assert f"const MOST_UPLOADED = 2 ** {MOST_UPLOADED.bit_length() - 1};" in page
