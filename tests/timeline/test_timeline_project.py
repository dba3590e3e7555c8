"""Project files and the command `styleganv render`."""

from pathlib import Path

import av
import numpy as np
import pytest
from tiny import save

from styleganv.cli import main
from styleganv.editing.edits import interpolate
from styleganv.editing.latents import latents_from_seed, save_latents
from styleganv.errors import StyleganvError
from styleganv.methods.stylegan_v.sampler import load_video_generator
from styleganv.timeline.project import Project, format_project, read_project, render, write_project
from styleganv.timeline.timeline import Timeline


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model, latents and directions, for projects."""
    folder = tmp_path_factory.mktemp("project")
    save(folder / "tiny")
    model = load_video_generator(folder / "tiny", device="cpu")
    half = interpolate(latents_from_seed(model, 1), latents_from_seed(model, 2), 0.5)
    save_latents(folder / "half.safetensors", half)
    main(["directions", str(folder / "tiny"), "--out", str(folder / "content.safetensors"), "--num-samples", "50"])
    return folder


def decoded(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def test_command_renders_a_project_beside_its_files(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project = folder / "project.yaml"
    project.write_text(
        "model: tiny\nseconds: 0.7\nfps: 20\nloop: true\nkeyframes:\n"
        "  - {time: 0, content: 3, motion: 7, psi: 0.8}\n"
        "  - {time: 2e-1, content: '3@0.5,half.safetensors@0.5', mix: '5:0-1@0.5', speed: 2}\n"
        "  - {time: 0.4, directions: {'content.safetensors:1': 1.5}}\n"
    )
    monkeypatch.chdir(tmp_path)
    main(["render", str(project), "--out", "video.mp4", "--scale", "1", "--crf", "0", "--device", "cpu"])
    assert capsys.readouterr().out == "video.mp4\n"
    frames = decoded(Path("video.mp4"))
    assert frames.shape == (14, 16, 16, 3) and (frames[0] != frames[5]).any()
    with pytest.raises(SystemExit):
        main(["render", str(project), "--out", "video.mp4", "--device", "cpu"])
    assert "video.mp4 already exists" in capsys.readouterr().err
    constant = tmp_path / "constant.yaml"
    write_project(
        constant, Project(Timeline.from_json({"seconds": 0.2, "keyframes": [{"content": 3, "grid": [2, 3]}]}))
    )
    with pytest.raises(StyleganvError, match="names no model: add the key model, or pass --model"):
        render(constant, "grid.webp")
    main(["render", str(constant), "--out", "grid.webp", "--model", str(folder / "tiny"), "--device", "cpu"])
    from PIL import Image

    with Image.open("grid.webp") as image:
        assert image.size == (3 * 130 - 2, 2 * 130 - 2)


def test_a_project_is_written_and_read_again(tmp_path: Path) -> None:
    values = {"seconds": 2.0, "keyframes": [{"time": 0.0, "content": 3, "mix": "5:0@1", "grid": [1, 2]}]}
    project = Project(Timeline.from_json(values), "faces-64")
    write_project(tmp_path / "a.yaml", project)
    assert read_project(tmp_path / "a.yaml") == project
    assert format_project(project).startswith("model: faces-64\nseconds: 2.0\nkeyframes:\n- time: 0.0\n  content: 3\n")
    with pytest.raises(StyleganvError, match="already exists"):
        write_project(tmp_path / "a.yaml", project)


@pytest.mark.parametrize(
    "text, message",
    [
        ("keyframes: [", "Cannot read project .*project.yaml"),
        ("- 3", "project.yaml: A project must be a mapping"),
        ("modle: tiny", "project.yaml: Unknown key 'modle': did you mean model"),
        ("model: 3", "project.yaml: model must be text, got 3"),
        (
            "keyframes: [{}, {time: 1, contnet: 3}]",
            "project.yaml: Keyframe 2: Unknown key 'contnet': did you mean content",
        ),
        ("keyframes: [{content: 3, content: 4}]", "content occurs twice"),
        ("keyframes: [{mix: 5:3}]", "Keyframe 1: mix must be text"),
        (
            "model: tiny\nkeyframes: [{}, {time: 1, content: a.safetensors}]",
            "Keyframe 2: content: Latents file .*not found",
        ),
        ("model: tiny\nkeyframes: [{mix: '1:9'}]", "Keyframe 1: mix: Unknown style layer 9"),
        (
            "model: tiny\nkeyframes: [{directions: {x: 1}}]",
            "Keyframe 1: directions: Unknown direction x: pass FILE:NAME",
        ),
        (
            "model: tiny\nkeyframes: [{directions: {'content.safetensors:99': 1}}]",
            "Unknown direction 99 of content.safetensors: choose one of 1, 2",
        ),
        ("model: nowhere\n", "nowhere"),
        ("model: tiny\nkeyframes: [{label: 1}]", "Keyframe 1: label: "),
    ],
)
def test_mistakes_are_named_with_file_keyframe_and_key(text: str, message: str, folder: Path, tmp_path: Path) -> None:
    project = folder / "mistake" / ".." / "project.yaml"
    (folder / "mistake").mkdir(exist_ok=True)
    project.write_text(text.replace("\\\n", "\n"))
    with pytest.raises(StyleganvError, match=message):
        render(project, tmp_path / "out.mp4")
    assert list(tmp_path.iterdir()) == []
