"""The studio without a server: requests of the page, models, streams, and the commands that it shows."""

import shlex
import shutil
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
from PIL import Image

from styleganv.cli import main
from styleganv.config import RunConfig
from styleganv.data.dataset import VideoDataset
from styleganv.editing.latents import latents_from_seed, render_latents
from styleganv.errors import StyleganvError
from styleganv.label_space import LabelSpace
from styleganv.runs import resume
from styleganv.studio.commands import export_commands
from styleganv.studio.frame_stream import FrameStream
from styleganv.studio.sources import open_sources
from styleganv.studio.studio_model import StudioModel
from styleganv.studio.video_params import ExportParams
from styleganv.studio.video_source import RealVideoSource
from styleganv.timeline.notation import VideoParams
from styleganv.timeline.timeline import Timeline


def params_of(**values: Any) -> VideoParams:
    return VideoParams.from_json(values)


def test_params_that_a_model_does_not_support_are_refused(studio_model: StudioModel) -> None:
    for params, message in (
        (params_of(label=7), "Unknown class 7"),
        (params_of(mix="1:0-40"), "Unknown style layer 8"),
        (params_of(directions={"content 99": 1}), "Unknown direction content 99"),
        (params_of(content="result-99"), "has no result-99"),
        (params_of(content="../x"), "Unknown content or motion ../x: use a seed"),
        (params_of(motion="result-1e5"), "Unknown content or motion result-1e5"),
    ):
        with pytest.raises(StyleganvError, match=message):
            studio_model.frames(params, start=0, fps=25)


def test_class_numbers_are_positions_also_where_names_are_numbers(
    studio_model: StudioModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = params_of(content=5, motion=0, label=1)
    expected = next(studio_model.frames(params, start=0, fps=25))
    monkeypatch.setattr(studio_model.model, "labels", LabelSpace(("1", "2", "0")))
    np.testing.assert_array_equal(next(studio_model.frames(params, start=0, fps=25)), expected)
    export = ExportParams(start=0, seconds=1, fps=25, speed=1, format="mp4")
    (line,) = export_commands(studio_model, params, export).lines
    assert "--label 2" in line


def test_stream_continues_where_the_last_request_ended(studio_model: StudioModel) -> None:
    stream, params = FrameStream(studio_model), params_of(content=3)
    frames = stream.read(params, start=1, fps=25, num_frames=3)
    frames += stream.read(params, start=1 + 3 / 25, fps=25, num_frames=5)
    for frame, expected in zip(frames, studio_model.frames(params, start=1, fps=25), strict=False):
        np.testing.assert_array_equal(frame, expected)
    np.testing.assert_array_equal(stream.read(params, start=1, fps=25, num_frames=1)[0], frames[0])
    assert len(stream.read(params, start=1, fps=25, num_frames=9, is_over=lambda _: True)) == 1


def test_videos_of_a_recurrent_model_end(tmp_path: Path) -> None:
    model = StudioModel(tiny.save(tmp_path / "lstm", motion="lstm"))
    assert model.metadata().max_seconds == 20_000 / 25 and model.metadata().supports_any_fps
    model.model.max_frames = 500  # A late frame costs as many LSTM steps.
    assert len(list(model.frames(VideoParams(), start=500 / 25 - 0.2, fps=25))) == 5


@pytest.mark.slow
def test_command_generates_the_exported_video(
    studio_model: StudioModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / studio_model.name).symlink_to(studio_model.path)
    directions = {"motion 1": 2.0, "content 2": -1.5}
    params = params_of(content=5, motion=2, psi=0.8, label=1, mix="4:1-2@0.5", directions=directions)
    export = ExportParams(start=2, seconds=0.4, fps=20, speed=0.5, format="webp")
    for line in export_commands(studio_model, params, export).lines:
        main(shlex.split(line)[1:])
    studio_model.export(params, export, tmp_path / "export.webp")
    with Image.open("video.webp") as one, Image.open("export.webp") as two:
        assert one.n_frames == two.n_frames == 8  # type: ignore[attr-defined]
        for i in range(8):
            one.seek(i), two.seek(i)
            a, b = (np.asarray(image.convert("RGB"), float) for image in (one, two))
            assert np.abs(a - b).mean() < 2


def test_command_of_a_grid(studio_model: StudioModel) -> None:
    export = ExportParams(start=0, seconds=1, fps=25, speed=1, format="mp4")
    (line,) = export_commands(studio_model, params_of(content=3, motion=1, grid=[2, 3]), export).lines
    assert " --format grid --seeds 3-5 --motion-seeds 1-2 --start 0 --seconds 1 --fps 25" in line
    (line,) = export_commands(studio_model, params_of(content=3, grid=[1, 2]), export).lines
    assert " --seeds 3-4 --motion-seeds 3 " in line


@pytest.mark.parametrize(
    "params, speed",
    [
        (params_of(content="3@0.5,8@0.5", motion="7,9@-0.5", psi=0.7), 2),
        (params_of(content=3, grid=[1, 2], directions={"content 1": 1}), 1),
        (
            Timeline.from_json(
                {"seconds": 0.4, "fps": 25, "loop": True, "keyframes": [{"content": 3}, {"time": 0.2, "content": 4}]}
            ),
            1,
        ),
    ],
)
def test_a_project_file_repeats_what_no_other_command_can(
    params: VideoParams | Timeline,
    speed: float,
    studio_model: StudioModel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / studio_model.name).symlink_to(studio_model.path)
    export = ExportParams(
        start=0 if isinstance(params, Timeline) else 2, seconds=0.4, fps=25, speed=speed, format="webp"
    )
    commands = export_commands(studio_model, params, export)
    assert commands.lines[-1].startswith("styleganv render project.yaml --out video.webp")
    Path("project.yaml").write_text(commands.project)
    for line in commands.lines:
        main(shlex.split(line)[1:])
    studio_model.export(params, export, tmp_path / "export.webp")
    with Image.open("video.webp") as one, Image.open("export.webp") as two:
        assert one.n_frames == two.n_frames == 10  # type: ignore[attr-defined]
        if not isinstance(params, Timeline) and params.grid != (1, 1):
            return  # the studio's own export enlarges the gaps, too
        for i in (0, 9):
            one.seek(i), two.seek(i)
            a, b = (np.asarray(image.convert("RGB"), float) for image in (one, two))
            assert np.abs(a - b).mean() < 2


@pytest.mark.slow
def test_run_is_reloaded_and_its_real_videos_play(
    finished_run: Path, faces: Path, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    config: RunConfig = request.getfixturevalue("tiny")  # In this file, `tiny` is the module.
    run = shutil.copytree(finished_run, tmp_path / "run")
    model, real_videos = open_sources([run])
    assert isinstance(model, StudioModel) and isinstance(real_videos, RealVideoSource)
    assert model.metadata().kind == "run" and len(model.snapshots()) == 1
    expected = VideoDataset(faces).read(3, [5, 6]).transpose(0, 2, 3, 1)
    frames = real_videos.frames(params_of(content=3), start=5 / 25, fps=25)
    np.testing.assert_array_equal(list(islice(frames, 2)), expected)
    stream = FrameStream(model)
    (before,) = stream.read(VideoParams(), start=1, fps=25, num_frames=1)
    resume(run, config=replace(config, training=replace(config.training, total_clips=32)))
    model.refresh()
    (after,) = stream.read(VideoParams(), start=1 + 1 / 25, fps=25, num_frames=1)
    fresh = next(StudioModel(run).frames(VideoParams(), start=1 + 1 / 25, fps=25))
    np.testing.assert_array_equal(after, fresh)
    assert (before != after).any()


def test_far_times_and_drawn_classes_are_exact(studio_model: StudioModel) -> None:
    export = ExportParams(start=1_000_000.25, seconds=4, fps=25, speed=1, format="mp4")
    (line,) = export_commands(studio_model, VideoParams(), export).lines
    assert " --start 1000000.25 --seconds 4 " in line
    # Without a label, the second content has the class that its own seed draws, as in `edit`.
    model = studio_model.generator
    first, second = (next(seed for seed in range(99) if model.label_from_seed(seed) == label) for label in (0, 1))
    mix = f"{second}:0-{studio_model.metadata().num_layers - 1}"
    frame = next(studio_model.frames(params_of(content=first, motion=0, mix=mix), start=0, fps=25))
    latents = replace(latents_from_seed(model, second), motion=latents_from_seed(model, first, motion_seed=0).motion)
    np.testing.assert_array_equal(frame, next(render_latents(model, latents)))
