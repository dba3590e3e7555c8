"""The notation: what is written is read again, and every mistake is named."""

from typing import Any

import pytest

from styleganv.errors import StyleganvError
from styleganv.timeline.notation import Mix, Term, VideoParams
from styleganv.timeline.timeline import Keyframe, Timeline


@pytest.mark.parametrize(
    "values, params",
    [
        ({}, VideoParams()),
        ({"content": 3}, VideoParams((Term(3),))),
        ({"content": "3@0.6, edit-2.safetensors@-.4"}, VideoParams((Term(3, 0.6), Term("edit-2.safetensors", -0.4)))),
        ({"content": "result-2", "motion": 7}, VideoParams((Term("result-2"),), (Term(7),))),
        ({"content": "a@b.safetensors@2"}, VideoParams((Term("a@b.safetensors", 2),))),
        ({"psi": "0.8", "label": "dogs", "grid": "2x3"}, VideoParams(psi=0.8, label="dogs", grid=(2, 3))),
        ({"psi": 1, "label": 2, "grid": [1, 4]}, VideoParams(label=2, grid=(1, 4))),
        (
            {"mix": "5:0-3@0.5;x.safetensors:7,9"},
            VideoParams(mix=(Mix(5, (0, 1, 2, 3), 0.5), Mix("x.safetensors", (7, 9)))),
        ),
        ({"mix": "C:/a.safetensors:2"}, VideoParams(mix=(Mix("C:/a.safetensors", (2,)),))),
        ({"directions": {"content 1": 1.5, "motion 2": 0}}, VideoParams(directions=(("content 1", 1.5),))),
        (
            {"directions": "content 1:1.5;a.safetensors:2:-1"},
            VideoParams(directions=(("content 1", 1.5), ("a.safetensors:2", -1))),
        ),
        ({"motion": None, "mix": ""}, VideoParams()),
    ],
)
def test_words_are_read_and_written_again(values: dict[str, Any], params: VideoParams) -> None:
    assert VideoParams.from_json(values) == params
    assert VideoParams.from_json(params.to_json()) == params
    # In an address, all values but class numbers are text.
    text = {key: str(value) for key, value in params.to_json().items() if key != "label"}
    text |= {} if params.label is None else {"label": params.label}
    if params.directions:
        text["directions"] = ";".join(f"{name}:{strength!r}" for name, strength in params.directions)
    if "grid" in text:
        text["grid"] = "{}x{}".format(*params.grid)
    assert VideoParams.from_json(text) == params


@pytest.mark.parametrize(
    "values, message",
    [
        ([], "must be a mapping"),
        ({"contnet": 3}, "Unknown key 'contnet': did you mean content"),
        ({"seed": 3}, "Unknown key 'seed': "),
        ({"content": -1}, "content must be made of seeds or names of latents, got '-1'"),
        ({"content": 1.5}, "content must be text, got 1.5"),
        ({"content": True}, "content must be text, got True"),
        ({"content": "3@1e9"}, "A weight of content must be a finite number from -1000 to 1000"),
        ({"content": ""}, "content must be TERM"),
        ({"content": "9" * 25}, "A seed of content must be an integer"),
        ({"content": ",".join("1" * 17)}, "content must have at most 16 parts, got 17"),
        ({"motion": "3@0"}, "A weight of motion must differ from 0"),
        ({"psi": 1e9}, "psi must be a finite number from -100 to 100"),
        ({"psi": "nan"}, "psi must be a finite number"),
        ({"psi": True}, "psi must be a finite number"),
        ({"mix": 303}, "mix must be text, e.g. '5:0-3@0.5', got 303: put it in quotes"),
        ({"mix": "5"}, "mix must be TERM:LAYERS"),
        ({"mix": "5:3-2"}, "layers of mix must be ascending"),
        ({"mix": "5:0-99"}, "layers of mix must be ascending"),
        ({"directions": [1]}, "directions must be a mapping"),
        ({"directions": {"content 1": "x"}}, "directions content 1 must be a finite number"),
        ({"directions": "1.5"}, "directions must be at most"),
        ({"grid": [9, 9]}, "1 to 24 cells, got 9 × 9"),
        ({"grid": [0, 2]}, "1 to 24 cells, got 0 × 2"),
        ({"grid": [-2, -2]}, "1 to 24 cells"),
        ({"grid": 2}, "grid must be 2 values"),
        ({"label": True}, "label must be"),
        ({"label": "x" * 20_000}, "label must have at most"),
    ],
)
def test_mistakes_are_named(values: Any, message: str) -> None:
    with pytest.raises(StyleganvError, match=message):
        VideoParams.from_json(values)


def test_a_timeline_is_read_and_written_again() -> None:
    values = {
        "seconds": 4.0,
        "fps": 30.0,
        "start": 2.5,
        "loop": True,
        "keyframes": [{"time": 0.0, "content": 3, "speed": 0.5}, {"time": 2.0, "content": "3@0.5,8@0.5", "psi": 0.7}],
    }
    timeline = Timeline.from_json(values)
    assert timeline.to_json() == values and timeline.stated("speed") == [(0, 0.5)]
    assert timeline.keyframes[1].values == {"content": (Term(3, 0.5), Term(8, 0.5)), "psi": 0.7}
    assert Timeline.from_json({}) == Timeline() and Timeline().seconds == 5
    assert Timeline.from_json({"keyframes": [{}, {"time": 7}]}).seconds == 7
    params = VideoParams((Term(3),), psi=0.5)
    assert Timeline.constant(params).stated("psi") == [(0, 0.5)] and Timeline.constant(params).stated("motion") == []
    assert Keyframe.from_json({"time": "1.5"}) == Keyframe(1.5)


@pytest.mark.parametrize(
    "values, message",
    [
        ({"second": 4}, "Unknown key 'second': did you mean seconds"),
        ({"seconds": 0}, "seconds must be a finite number greater than 0"),
        ({"loop": "yes"}, "loop must be true or false"),
        ({"keyframes": []}, "must have 1 to 1000 keyframes, got 0"),
        ({"keyframes": 3}, "keyframes must be a list"),
        ({"keyframes": [{}, 3]}, "Keyframe 2: A keyframe must be a mapping"),
        ({"keyframes": [{}, {"time": 1, "psy": 3}]}, "Keyframe 2: Unknown key 'psy': did you mean psi"),
        ({"keyframes": [{}, {"time": 1, "psi": "x"}]}, "Keyframe 2: psi must be a finite number"),
        ({"keyframes": [{}, {"time": 1}, {"time": 1}]}, "Keyframe 3: time must be later than 1 s, got 1 s"),
        ({"keyframes": [{"speed": -1}]}, "Keyframe 1: speed must be a finite number of at least 0"),
        ({"keyframes": [{}, {"time": 4}], "seconds": 4, "loop": True}, "Keyframe 2: time must be before 4 s, where"),
        ({"keyframes": [{"grid": [1, 2]}, {"time": 1, "grid": [2, 2]}]}, "A video has one grid"),
    ],
)
def test_mistakes_in_a_timeline_are_named(values: dict[str, Any], message: str) -> None:
    with pytest.raises(StyleganvError, match=message):
        Timeline.from_json(values)
