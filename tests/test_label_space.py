"""Labels of every kind as text, as vectors, in JSON, and drawn from the examples of a dataset."""

import json

import numpy as np
import pytest

from styleganv.errors import StyleganvError
from styleganv.label_space import MAX_EXAMPLES, LabelSpace, class_numbers

ONE = LabelSpace(("cats", "dogs", "emus"))
SEVERAL = LabelSpace(("glasses", "hat", "smile"), "classes")
VECTOR = LabelSpace(("age", "mood"), "vector")


@pytest.mark.parametrize(
    ("space", "text", "label", "vector"),
    [
        (ONE, "dogs", 1, [0, 1, 0]),
        (ONE, 2, 2, [0, 0, 1]),
        (SEVERAL, "smile", (0, 0, 1), [0, 0, 1]),
        (SEVERAL, "smile, glasses", (1, 0, 1), [1, 0, 1]),
        (SEVERAL, ["hat", "smile"], (0, 1, 1), [0, 1, 1]),
        (SEVERAL, "0,2", (1, 0, 1), [1, 0, 1]),
        (SEVERAL, "", (0, 0, 0), [0, 0, 0]),
        (VECTOR, "0.1,-0.7", (0.1, -0.7), [0.1, -0.7]),
        (VECTOR, [3, 1e-7], (3, 1e-7), [3, 1e-7]),
    ],
)
def test_labels_are_text_and_vectors(space, text, label, vector):
    assert space.parse(text) == label
    assert space.parse(space.format(label)) == label
    np.testing.assert_array_equal(space.to_vector(label), np.float32(vector))


@pytest.mark.parametrize(
    ("space", "label", "message"),
    [
        (LabelSpace(), "cats", "no classes, got label cats: omit the label"),
        (LabelSpace(("cats",)), "cats", "no classes"),
        (ONE, "cat", "Unknown class cat: choose cats, dogs, emus, or 0 to 2"),
        (ONE, ["cats"], "Unknown class"),
        (SEVERAL, "smile,cat", "Unknown class cat: choose glasses, hat, smile, or 0 to 2"),
        (SEVERAL, "smile;hat", "Unknown class smile;hat"),
        (VECTOR, "0.1", r"must be 2 numbers \(age,mood\), got 0.1: correct it"),
        (VECTOR, "0.1,x", r"must be 2 numbers \(age,mood\), got 0.1,x"),
        (VECTOR, "1,2,3", "must be 2 numbers"),
        (VECTOR, "", "must be 2 numbers"),
        (VECTOR, 1, "must be 2 numbers"),
        (VECTOR, "nan,1", "finite number .* got nan"),
        (VECTOR, "1,1e39", "finite number"),
    ],
)
def test_wrong_labels_are_one_sentence(space, label, message):
    with pytest.raises(StyleganvError, match=message) as caught:
        space.parse(label)
    assert "\n" not in str(caught.value) and str(caught.value).endswith(".")


@pytest.mark.parametrize(
    ("space", "label"),
    [(ONE, 3), (ONE, -1), (ONE, (1.0, 0.0, 0.0)), (SEVERAL, 1), (SEVERAL, (1.0, 0.5, 0.0)), (VECTOR, (1.0,))],
)
def test_labels_of_another_space_have_no_vector(space, label):
    assert space.problem(label)
    with pytest.raises(StyleganvError, match=r"The label .*: choose another one"):
        space.to_vector(label)


def test_examples_are_as_frequent_as_in_the_dataset_and_show_each_class():
    labels = [(1.0, 0.0, 0.0)] * 3000 + [(0.0, 0.0, 1.0)] * 1000 + [(0.0, 1.0, 1.0), None]
    space = SEVERAL.with_examples(labels)
    assert len(space.examples) in (MAX_EXAMPLES, MAX_EXAMPLES + 1)
    counts = space.count(space.examples)
    assert counts["glasses"] / len(space.examples) == pytest.approx(0.75, abs=0.01) and counts["hat"] >= 1
    assert ONE.with_examples([0, 1, 1]) == ONE  # classes are equally frequent
    numbers = VECTOR.with_examples([(x / 1000, 0.0) for x in range(1000)])
    assert len(numbers.examples) == MAX_EXAMPLES
    assert np.mean([x for x, _ in numbers.examples]) == pytest.approx(0.4995, abs=1e-3)


@pytest.mark.parametrize("space", [ONE, SEVERAL, VECTOR])
def test_a_model_folder_stores_the_space(space):
    rare = [(0.0, 0.0, 1.0)] * 999 + [(1.0, 1.0, 1.0), (0.0, 0.0, 0.0)]
    labels = {"classes": rare, "vector": [(0.1, -2.0), (1 / 3, 1e-9)]}
    space = space.with_examples(labels.get(space.kind, []))
    stored = json.loads(json.dumps(space.to_dict()))
    assert LabelSpace.from_dict("config.json: ", stored) == space
    assert list(LabelSpace(("a", "b")).to_dict()) == ["class_names"]  # as before


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        ({"class_names": ["a", 1]}, "class_names must be text, got 1"),
        ({"class_names": ["a"], "label_kind": "other"}, "label_kind must be one of class, classes, vector"),
        ({"class_names": ["a", "b"], "label_kind": "vector", "labels": ["1"]}, "labels are damaged"),
        ({"class_names": ["a", "b"], "label_kind": "classes", "labels": ["a"]}, "labels lack a class"),
    ],
)
def test_a_damaged_space_is_named(stored, message):
    with pytest.raises(StyleganvError, match=f"x: {message}"):
        LabelSpace.from_dict("x: ", stored)


def test_unused_classes_are_dropped():
    space, labels = ONE.without_unused([2, None, 0])
    assert space.names == ("cats", "emus") and labels == [1, None, 0]
    space, labels = SEVERAL.without_unused([(0.0, 0.0, 1.0), None, (1.0, 0.0, 1.0)])
    assert space.names == ("glasses", "smile") and labels == [(0.0, 1.0), None, (1.0, 1.0)]
    assert VECTOR.without_unused([(0.0, 0.0)]) == (VECTOR, [(0.0, 0.0)])


def test_summaries_count_classes_and_give_ranges():
    assert ONE.summarize([0, 0, 2, None]) == "cats (2), emus (1)"
    assert SEVERAL.summarize([(1.0, 0.0, 1.0), (0.0, 0.0, 1.0)]) == "glasses (1), smile (2); any number per video"
    assert VECTOR.summarize([(0.0, 1.0), None, (1.0, 2.0)]) == (
        "2 numbers per video: age 0 to 1 (mean 0.5), mood 1 to 2 (mean 1.5)"
    )
    assert VECTOR.summarize([None]) == ONE.summarize([]) == "none"
    assert [class_numbers(label) for label in (None, 2, (1.0, 0.0, 1.0))] == [[], [2], [0, 2]]
