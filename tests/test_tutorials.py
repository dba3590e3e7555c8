"""The tutorials and the notebook run from top to bottom, on small data."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient

from styleganv.cli import main
from styleganv.faces.drawing import draw_video
from styleganv.faces.factors import sample_face
from styleganv.media.writing import write_video
from styleganv.study.trial import variants

ROOT = Path(__file__).parents[1]
#: What the commands get besides, so that they end in seconds.
SMALL = {
    "prepare": "--resolution 16 --num-workers 1",
    "train": "--total-clips 8 --batch-size 8 --num-workers 0 --second-discriminator none --channel-base 128 "
    "--channel-max 8 --z-dim 16 --w-dim 16 --motion-dim 16",
    "generate": "--seconds 0.2 --scale 1",
    "edit": "--seconds 0.2 --scale 1",
    "project": "--num-steps 2 --seconds 0.2",
    "directions": "--num-samples 8",
    "evaluate": "--num-clips 4",
    "diagnose": "--num-videos 2 --max-frames 16",
}


def commands(tutorial: str) -> list[list[str]]:
    """Return the commands of a tutorial's marked blocks, in order."""
    text = (ROOT / "docs" / "tutorials" / f"{tutorial}.md").read_text()
    blocks = re.findall(r"<!-- test: tutorial -->\n```sh\n(.*?)```", text, re.DOTALL)
    assert len(blocks) == text.count("```sh\n") > 1, "a block that is not marked is not tested"
    return [shlex.split(line) for block in blocks for line in block.splitlines()]


Follow = Callable[..., None]


@pytest.fixture
def follow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_run_images: None, small_features: None) -> Follow:
    """Return a function that runs the commands of a tutorial in an empty folder, with other names for some."""
    monkeypatch.chdir(tmp_path)

    def run(tutorial: str, **names: Path) -> None:
        renamed = {name.replace("_", "-"): str(path) for name, path in names.items()}
        for program, command, *words in commands(tutorial):
            assert program == "styleganv"
            words = [renamed.get(word, word) for word in words]
            main([command, *words, *SMALL.get(command, "").split()])

    return run


@pytest.fixture
def my_videos(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for i in range(8):
        video = draw_video(sample_face(random), i, num_frames=20, height=24, width=32)
        write_video(tmp_path / "my-videos" / f"holiday {i}.mp4", video, 25)


@pytest.mark.long
@pytest.mark.usefixtures("my_videos")
def test_own_footage(follow: Follow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("styleganv.motion_report.figures.draw_chart", lambda *_, **__: "")  # most of the report's time
    follow("own-footage")
    assert len(list((tmp_path / "videos").glob("*.mp4"))) == 8
    assert (tmp_path / "grid" / "grid.mp4").exists() and (tmp_path / "report.html").exists()


@pytest.mark.long
@pytest.mark.usefixtures("my_videos")
def test_fine_tuning(follow: Follow, tmp_path: Path, finished_run: Path) -> None:
    follow("fine-tuning", faces_64=finished_run)
    assert (tmp_path / "runs" / "tuned" / "model" / "config.json").exists()
    assert len(list((tmp_path / "mixed").glob("*.mp4"))) == 8


@pytest.mark.long
def test_edit(follow: Follow, tmp_path: Path, finished_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("styleganv.editing.explore.SECONDS", 0.2)
    follow("edit", faces_64=finished_run)
    assert (tmp_path / "explored" / "index.html").exists()
    assert len(list(tmp_path.glob("*.mp4"))) == 8


def test_study(follow: Follow, monkeypatch: pytest.MonkeyPatch) -> None:
    """The trainings of a study, which take minutes, are tested elsewhere (tests/study): here, what is asked for."""
    asked = []

    def study(data: tuple[Path, ...], out: Path, **options: Any) -> Path:
        asked.append((data, out, options))
        return out / "comparison.md"

    monkeypatch.setattr("styleganv.study.study.study", study)
    follow("study")
    assert [options["num_repeats"] for *_, options in asked] == [1, 2]
    assert len({(data, out, options["methods"]) for data, out, options in asked}) == 1, "another study"
    assert set(asked[0][2]["methods"]) <= set(variants())


@pytest.mark.long
def test_the_notebook_runs_and_shows_videos(tmp_path: Path) -> None:
    notebook = nbformat.read(ROOT / "examples" / "first_steps.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "strip the outputs"
    done = NotebookClient(notebook, timeout=240, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = [output["data"] for cell in done.cells for output in cell.get("outputs", ()) if "data" in output]
    videos = [data["text/html"] for data in shown if "text/html" in data]
    assert len(videos) == 6 and all("data:video/mp4;base64," in html for html in videos)
