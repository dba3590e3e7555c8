"""The queue of jobs, and exports: their order, limits and results."""

import io
import subprocess
from pathlib import Path
from typing import Any

import pytest
from job_waits import wait, wait_until

pytest.importorskip("uvicorn", reason="pip install styleganv[studio]")

from styleganv.errors import StyleganvError
from styleganv.progress import FORMAT_VARIABLE, progress_bar, track
from styleganv.studio.exports import check_project, export
from styleganv.studio.job import Job, Task, parse_progress
from styleganv.studio.jobs import JobManager
from styleganv.studio.studio_model import StudioModel


@pytest.fixture
def studio_model(models: list[Path]) -> StudioModel:
    return StudioModel(models[0])


def test_progress_of_a_process_is_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FORMAT_VARIABLE, "json")
    file = io.StringIO()
    with progress_bar(file) as progress:
        list(track("ab", progress, 2, "projecting"))
    reports = [parse_progress(line) for line in file.getvalue().splitlines()]
    assert reports == [{"done": done, "total": 2, "stage": "projecting"} for done in range(3)]
    assert parse_progress("7") is parse_progress('{"other": 1}') is parse_progress("styleganv: no report") is None


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let jobs run commands of the shell instead of `styleganv`."""
    start = subprocess.Popen

    def popen(words: list[str], **options: Any) -> "subprocess.Popen[str]":
        return start(["sh", "-c", words[3]], **options)

    monkeypatch.setattr("styleganv.studio.job.subprocess.Popen", popen)


def shell(manager: JobManager, model: StudioModel, script: str, kind: Any = "export") -> Job:
    """Submit a script, which can write to its folder, $0."""

    def make(number: int, folder: Path) -> Task:
        script_here = script.replace("$0", str(folder))
        return Task(kind, f"job {number}", model, (script_here,), ("command",), {"out": folder / "out"})

    return manager.submit(make)


@pytest.mark.usefixtures("quick")
def test_jobs_run_one_at_a_time_in_their_order(manager: JobManager, studio_model: StudioModel, tmp_path: Path) -> None:
    log = tmp_path / "log"
    jobs = [shell(manager, studio_model, f"echo +{n} >> {log}; sleep 0.05; echo -{n} >> {log}") for n in range(4)]
    jobs[2].cancel()
    for job in jobs:
        wait(job)
    assert log.read_text().split() == ["+0", "-0", "+1", "-1", "+3", "-3"]
    assert [job.state for job in jobs] == ["done", "done", "canceled", "done"]


@pytest.mark.usefixtures("quick")
def test_a_job_reports_progress_and_fails_in_one_sentence(manager: JobManager, studio_model: StudioModel) -> None:
    job = shell(
        manager, studio_model, """echo '{"done": 1, "total": 4, "stage": "generating, x"}' >&2; sleep 0.4; exit 3"""
    )
    wait_until(lambda: job.fraction)
    assert (job.fraction, job.stage) == (0.25, "generating") and job.remaining_seconds >= 0
    assert wait(job).state == "failed" and job.error == "The job failed with exit status 3: start it again."
    assert (
        wait(shell(manager, studio_model, "echo styleganv: Too bad: change it. >&2; exit 1")).error
        == "Too bad: change it."
    )


@pytest.mark.usefixtures("quick")
def test_the_queue_is_bounded(manager: JobManager, studio_model: StudioModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("styleganv.studio.jobs.MAX_WAITING", 2)
    jobs = [shell(manager, studio_model, "sleep 30")]
    wait_until(lambda: jobs[0].state == "running")
    jobs += [shell(manager, studio_model, "true") for _ in range(2)]
    with pytest.raises(StyleganvError, match="2 jobs are waiting already: wait for them, or cancel some"):
        shell(manager, studio_model, "true")
    for job in reversed(jobs):
        job.cancel()
    assert wait(shell(manager, studio_model, "true")).state == "done"


@pytest.mark.usefixtures("quick")
def test_old_jobs_are_dropped_with_their_files(
    manager: JobManager, studio_model: StudioModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("styleganv.studio.jobs.MAX_DISK_BYTES", 250)
    script = "head -c 100 /dev/zero > $0/out"
    jobs = [wait(shell(manager, studio_model, script, kind)) for kind in ("directions", *["export"] * 3)]
    wait_until(lambda: list(manager.jobs) == [1, 4])  # searches stay, and the newest export
    assert [job.folder.exists() for job in jobs] == [True, False, False, True]
    assert manager.jobs[4].to_dict()["files"] == {"out": 100}
    monkeypatch.setattr("styleganv.studio.jobs.MAX_FINISHED", 1)
    wait(shell(manager, studio_model, "true"))
    wait_until(lambda: list(manager.jobs) == [5])


@pytest.mark.usefixtures("quick")
def test_a_job_that_fills_the_disk_is_ended(
    manager: JobManager, studio_model: StudioModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("styleganv.studio.job.MAX_DISK_BYTES", 50)
    monkeypatch.setattr("styleganv.studio.job.MEASURE_SECONDS", 0)
    script = "head -c 100 /dev/zero > $0/out; echo x >&2; exec sleep 30"
    job = wait(shell(manager, studio_model, script))
    assert job.state == "failed" and "the limit of the studio: run its command" in job.error


@pytest.mark.parametrize(
    "text, message",
    [
        (None, "is no text of a project"),
        ("- 1", "is no YAML mapping"),
        ("a: [", "cannot be read"),
        ("a: &x [1]\nb: *x", "is no text of a project"),
        ("keyframes: [{content: ../x.safetensors}]", "another folder"),
        ("keyframes: [{content: '3,/etc/x@0.5'}]", "another folder"),
        ("keyframes: [{directions: {'../c.safetensors:1': 2}}]", "another folder"),
        ("keyframes: [{mix: 'C:x:0-3'}]", "another folder"),
        ("[" * 60_000, "is no text of a project"),
    ],
)
def test_projects_that_could_name_other_files_are_refused(text: Any, message: str) -> None:
    with pytest.raises(StyleganvError, match=f"The project .*{message}.*: correct it, or save it"):
        check_project(text)


def test_projects_of_the_page_are_accepted() -> None:
    text = "model: runs/mine\nkeyframes:\n- {content: '3@0.5,edit-2.safetensors', label: a/b, mix: '5:0-3@0.5;6:4-5'}\n"
    assert check_project(text) == text


def test_an_export_renders_a_project_with_the_files_that_it_names(
    manager: JobManager, studio_model: StudioModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied: list[Task] = []
    monkeypatch.setattr("styleganv.studio.job.Job.run", lambda job: copied.append(job.task) or job.cancel())
    text = "keyframes: [{content: 3, directions: {'motion.safetensors:1': 2}}]"
    job = export(manager, studio_model, {"project": text, "format": "mov", "scale": 4, "address": "?content=3"})
    wait(job)
    (task,) = copied
    assert task.argv[:1] == ("render",) and task.argv[2:4] == ("--model", studio_model.path)
    assert task.argv[-4:] == ("--out", str(job.folder / "export-1.mov"), "--scale", "4")
    assert task.commands[0].startswith("styleganv directions one --out motion.safetensors")
    assert task.commands[1] == "styleganv render export-1.yaml --out export-1.mov --scale 4"
    assert job.to_dict()["address"] == "?content=3"
    for values, message in (
        ({"format": "avi"}, "Unknown format avi"),
        ({"scale": 17}, "The scale must be 1 to 16"),
        ({"crf": 99}, "99"),
        ({"name": "x\n"}, None),
        ({"name": "a\nb"}, "The name must be one line"),
    ):
        if message:
            with pytest.raises(StyleganvError, match=message):
                export(manager, studio_model, {"project": text} | values)
    bad = export(manager, studio_model, {"project": text, "address": "javascript:alert(1)"})
    assert bad.to_dict()["address"] == ""
