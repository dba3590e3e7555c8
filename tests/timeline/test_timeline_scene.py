"""Scenes: keyframes equal the same edits by other means, and any frame alone equals the same frame in sequence."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tiny import save

from styleganv.editing.directions import Directions, find_principal_directions
from styleganv.editing.edits import blend_motions, mix_styles
from styleganv.editing.latents import Latents, MotionLatents, latents_from_seed, render_latents
from styleganv.errors import StyleganvError
from styleganv.methods.loading import load
from styleganv.methods.stylegan_v.sampler import VideoGenerator, load_video_generator
from styleganv.timeline.notation import VideoParams
from styleganv.timeline.scene import Scene, frames
from styleganv.timeline.timeline import Timeline
from styleganv.video_model import VideoModel


class Names:
    """A resolver of one search result and of random directions."""

    def __init__(self, model: VideoGenerator) -> None:
        self.model = model
        samples = torch.randn(50, 16, generator=torch.Generator().manual_seed(0))
        self.directions = {space: find_principal_directions(samples, 2, space) for space in ("content", "motion")}  # type: ignore[arg-type]

    def find_latents(self, name: str) -> Latents:
        if name != "result-1":
            raise StyleganvError(f"{name} not found")
        return latents_from_seed(self.model, 77)

    def find_direction(self, full_name: str) -> tuple[Directions, str]:
        space, _, name = full_name.partition(" ")
        return self.directions[space], name


@pytest.fixture(scope="module", params=[{"motion_path": "bspline"}, {"num_classes": 3, "width": 24}], ids=str)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> VideoGenerator:
    return load_video_generator(save(tmp_path_factory.mktemp("scene") / "model", **request.param), device="cpu")


def video(model: Any, timeline: Timeline, num_frames: int, **options: Any) -> NDArray[np.uint8]:
    return np.stack(list(islice(frames(model, timeline, Names(model), **options), num_frames)))


def constant(**values: Any) -> Timeline:
    return Timeline.constant(VideoParams.from_json(values))


def keyframes(*each: dict[str, Any], **more: Any) -> Timeline:
    return Timeline.from_json({"keyframes": list(each), **more})


CHANGING = keyframes(
    {"time": 0, "content": 3, "psi": 0.7, "motion": 7, "mix": "5:0-1@0"},
    {"time": 0.4, "content": "3@0.5,8@0.7", "speed": 2, "directions": {"content 1": 2, "motion 1": 1}},
    {"time": 0.8, "motion": "7@0.6,result-1@0.8", "speed": 0.5, "mix": "5:0-1@0.8"},
    {"time": 1.2, "content": "result-1", "motion": 9, "psi": 1},
    seconds=1.6,
)


def test_one_keyframe_is_the_video_of_its_seeds(model: VideoGenerator) -> None:
    expected = model.sample(seed=3, motion_seed=7, psi=0.7, start=1000.04, seconds=0.32)
    np.testing.assert_array_equal(video(model, constant(content=3, motion=7, psi=0.7), 8, start=1000.04), expected)
    np.testing.assert_array_equal(video(model, constant(content=3), 3), model.sample(seed=3, seconds=0.12))
    fast = model.sample(seed=3, start=2, seconds=0.16, fps=50)
    np.testing.assert_array_equal(video(model, keyframes({"content": 3, "speed": 0.5}, start=2), 8), fast)


def test_edits_equal_those_of_the_editor(model: VideoGenerator) -> None:
    names = Names(model)
    latents = mix_styles(latents_from_seed(model, 3, psi=0.5), latents_from_seed(model, 5, psi=0.5), [0, 1], 0.25)
    latents = names.directions["content"].apply(latents, "1", 2)
    latents = names.directions["motion"].apply(latents, "2", -1)
    timeline = constant(content=3, psi=0.5, mix="5:0-1@0.25", directions={"content 1": 2, "motion 2": -1})
    np.testing.assert_array_equal(video(model, timeline, 8), list(render_latents(model, latents, seconds=0.32)))
    saved = Scene(model, timeline, names).latents(0.0)
    assert torch.equal(saved.styles, latents.styles) and saved.motion.label == latents.motion.label


def test_terms_are_sums_relative_to_mean_w(model: VideoGenerator) -> None:
    a, b = (
        latents_from_seed(model, 3, label=1 if model.num_classes else None),
        latents_from_seed(model, 8, label=1 if model.num_classes else None),
    )
    label = {"label": 1} if model.num_classes else {}

    def styles(**values: Any) -> torch.Tensor:
        return Scene(model, constant(**values, **label), Names(model)).latents(0.0).styles

    mean = model.truncation.mean(model.label_tensor(a.motion.label))
    torch.testing.assert_close(styles(content="3@0.6,8@0.4"), 0.6 * a.styles + 0.4 * b.styles)
    torch.testing.assert_close(styles(content="3,8@-0.5"), mean + (a.styles - mean) - 0.5 * (b.styles - mean))
    torch.testing.assert_close(styles(content="3,8", psi=0.5), mean + 0.5 * (a.styles - mean) + 0.5 * (b.styles - mean))
    torch.testing.assert_close(styles(content="3@0.5"), styles(content=3, psi=0.5))


def test_motion_rotates_from_one_to_the_next(model: VideoGenerator) -> None:
    scene = Scene(model, keyframes({"motion": 7}, {"time": 2, "motion": "9@3"}), Names(model))
    for time, expected in ((0, [1, 0]), (1, [0.5**0.5, 0.5**0.5]), (2, [0, 1]), (5, [0, 1])):
        terms = {motion.seed: weight for weight, motion in scene.latents(time).motion.terms}
        assert [terms.get(seed, 0) for seed in (7, 9)] == pytest.approx(expected)
    half = [(1.0, MotionLatents(7, label=scene.latents(1).motion.label)), (1.0, MotionLatents(9))]
    expected = render_latents(model, Latents(latents_from_seed(model, 0).styles, blend_motions(half)), seconds=0.2)
    np.testing.assert_array_equal(video(model, constant(content=0, motion="7,9"), 5), list(expected))
    # The content's motion, too, if none is stated.
    scene = Scene(model, keyframes({"content": 7}, {"time": 2, "content": 9}), Names(model))
    assert [motion.seed for _, motion in scene.latents(1).motion.terms] == [7, 9]


@pytest.mark.parametrize("loop", [False, True])
def test_any_frame_alone_is_that_of_the_sequence(model: VideoGenerator, loop: bool) -> None:
    timeline = Timeline(CHANGING.keyframes, 1.6, start=3.0, loop=loop)
    sequence = video(model, timeline, 24, fps=12.5)
    for k in (1, 19, 23):
        np.testing.assert_array_equal(video(model, timeline, 1, start=k / 12.5)[0], sequence[k])
    np.testing.assert_array_equal(video(model, timeline, 8, start=0.8, fps=25)[::2], sequence[10:14])
    assert (np.abs(np.diff(sequence[:20].astype(int), axis=0)).max(axis=(1, 2, 3)) > 0).all()
    if loop:
        np.testing.assert_array_equal(sequence[20:], sequence[:4])


def test_motion_time_is_the_integral_of_speed(model: VideoGenerator) -> None:
    timeline = keyframes({"content": 3, "speed": 0}, {"time": 1, "speed": 2}, start=1, seconds=2)
    scene = Scene(model, timeline, Names(model))
    # Smoothstep from 0 to 2 has integral 2 (s³ − s⁴/2).
    for time, moved in ((0, 0), (0.5, 2 * (0.5**3 - 0.5**4 / 2)), (1, 1), (2, 3)):
        assert scene._motion_frames(25 * time) == pytest.approx(25 * (1 + moved), abs=1e-6)
    still = keyframes({"content": 3, "speed": 0}, seconds=1, loop=True)
    np.testing.assert_array_equal(*video(model, still, 2))


@pytest.mark.parametrize("seconds, fps", [(1.6, 15), (1.66, 20)])
def test_a_loop_of_everything_has_no_seam(model: VideoGenerator, seconds: float, fps: float) -> None:
    timeline = Timeline(CHANGING.keyframes, seconds, loop=True)
    total = round(seconds * fps)
    loop = video(model, timeline, 2 * total, fps=total / seconds).astype(int)
    np.testing.assert_array_equal(loop[:total], loop[total:])
    changes = np.abs(np.diff(loop[: total + 1], axis=0)).mean(axis=(1, 2, 3))
    assert changes[-1] < 2 * np.median(changes)


def test_what_switches_switches_at_its_keyframe(model: VideoGenerator) -> None:
    timeline = keyframes({"time": 0.2, "mix": "5:0-1"}, {"time": 0.4, "mix": "6:0-1"})
    scene, latents = Scene(model, timeline, Names(model)), [latents_from_seed(model, seed) for seed in (0, 5, 6)]
    for time, source in ((0, 1), (0.39, 1), (0.4, 2), (9, 2)):
        assert torch.equal(scene.latents(time).styles[:2], latents[source].styles[:2])
    looped = Scene(model, Timeline(timeline.keyframes, 1, loop=True), Names(model))
    assert torch.equal(looped.latents(0.1).styles[:2], latents[2].styles[:2])
    if model.num_classes:
        labels = keyframes({"content": 3, "label": 1}, {"time": 0.4, "label": "class2"})
        expected = [latents_from_seed(model, 3, label=label) for label in (1, 2)]
        for time, latent in zip((0.3, 0.4), expected, strict=True):
            shown = Scene(model, labels, Names(model)).latents(time)
            assert torch.equal(shown.styles, latent.styles) and shown.motion.label == latent.motion.label


def test_a_grid_varies_motion_by_row_and_content_by_column(model: VideoGenerator) -> None:
    (sheet,) = video(model, constant(content=3, motion=5, grid=[2, 3]), 1)
    h, w = model.height + 2, model.width + 2
    for row in range(2):
        for column in range(3):
            cell = sheet[row * h : row * h + model.height, column * w : column * w + model.width]
            expected = model.sample(seed=3 + column, motion_seed=5 + row, seconds=0.04)[0]
            np.testing.assert_array_equal(cell, expected)
    (sheet,) = video(model, constant(content=3, grid=[2, 1]), 1)
    np.testing.assert_array_equal(sheet[h:], model.sample(seed=3, motion_seed=4, seconds=0.04)[0])


@pytest.mark.parametrize(
    "timeline, message",
    [
        (constant(content="result-2"), "result-2 not found"),
        (constant(mix="3:0-40"), "Unknown style layer"),
        (constant(content="result-1", grid=[1, 2]), "A grid requires seeds, got result-1"),
        (constant(content="3@0"), "Motion requires a weight other than 0"),
        (constant(label=7), "Unknown class 7|has no classes"),
        (keyframes({"motion": 7}, {"time": 1, "motion": "7@-1"}), "The motion at 1 s is the opposite"),
    ],
)
def test_what_a_model_cannot_show_is_refused(model: VideoGenerator, timeline: Timeline, message: str) -> None:
    with pytest.raises(StyleganvError, match=message):
        frames(model, timeline, Names(model))


class Stripes(VideoModel):
    """A model of another method: gray frames of seed, motion seed and time."""

    name, supports_any_fps, supports_truncation, max_frames = "Stripes", False, False, 50

    def _frames_at(
        self, seed: int, motion_seed: int, times: Iterator[float], *, psi: float, label: Any
    ) -> Iterator[NDArray[np.uint8]]:
        for time in times:
            yield np.full((4, 4, 3), 100 * seed + 10 * motion_seed + time, np.uint8)


def test_other_methods_show_seeds_and_refuse_the_rest() -> None:
    network = torch.nn.Linear(1, 1)
    network.height, network.width, network.num_classes = 4, 4, 0  # type: ignore[assignment]
    model = Stripes(network, fps=25)

    def first(timeline: Timeline, **options: Any) -> list[int]:
        return [int(frame[0, 0, 0]) for frame in frames(model, timeline, None, **options)]  # type: ignore[arg-type]

    assert first(constant(content=1, motion=3), start=1.8) == [130 + t for t in range(45, 50)]
    assert first(constant(content=1))[:2] == [110, 111]
    assert len(first(keyframes({"content": 1}, {"time": 1, "content": 1}), start=1.96)) == 1
    for timeline, message in (
        (
            keyframes({"content": 1}, {"time": 1, "content": 2}),
            "does not support changes over time, got several values",
        ),
        (constant(content="1,2"), "supports only single seeds"),
        (constant(content="result-1"), "supports only single seeds"),
        (constant(mix="1:0"), "Stripes does not support mix: remove it"),
        (constant(directions={"content 1": 1}), "Stripes does not support directions"),
        (constant(psi=0.5), "Stripes does not support truncation"),
        (keyframes({"speed": 2}), "Stripes does not support speed 2"),
        (Timeline(loop=True), "cannot be closed to a loop"),
    ):
        with pytest.raises(StyleganvError, match=message):
            first(timeline)


def test_other_models_show_what_they_can(tmp_path: Path) -> None:
    image = load(save(tmp_path / "image", motion="none"), device="cpu")
    shown = video(image, keyframes({"content": 3}, {"time": 0.2, "content": 4}, loop=True, seconds=0.4), 11)
    np.testing.assert_array_equal(shown[0], image.sample(seed=3, seconds=0.04)[0])
    np.testing.assert_array_equal(shown[10], shown[0])
    lstm = load(save(tmp_path / "lstm", motion="lstm"), device="cpu")
    with pytest.raises(StyleganvError, match="cannot be closed to a loop"):
        frames(lstm, Timeline(loop=True), Names(lstm))  # type: ignore[arg-type]
    lstm.max_frames = 500
    assert len(video(lstm, keyframes({"speed": 2}), 99, start=10 - 0.2)) == 5
    with pytest.raises(StyleganvError, match="must be 0 to 20 seconds"):
        frames(lstm, keyframes({"speed": 2}), Names(lstm), start=11)  # type: ignore[arg-type]
