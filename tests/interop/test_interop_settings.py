"""Settings and modules are found in pickled networks, however often a file refers to one object."""

import re
from typing import Any

import pytest

from styleganv.interop.checkpoint_conversion import UnsupportedCheckpoint
from styleganv.interop.checkpoint_settings import MAX_NAME_LENGTH, find_settings
from styleganv.interop.import_checkpoint import extract_tensors
from styleganv.interop.pickle_interpreter import PickledObject


def group(parent: PickledObject | None = None, **members: Any) -> PickledObject:
    return PickledObject("DictConfig", state={"_content": members, "_parent": parent})


def network(**attributes: Any) -> PickledObject:
    return PickledObject("Network", state=attributes)


def test_settings_are_found_by_the_end_of_their_name() -> None:
    block = network(mbstd_group_size=8, _init_kwargs=PickledObject("EasyDict", items={"group_size": 4}))
    found = find_settings(network(_modules={"b4": block}, group_size_of=1), r"\w*group_size")
    assert found == {"_modules.b4.mbstd_group_size": 8, "_modules.b4._init_kwargs.group_size": 4}
    assert find_settings(block, "size") == {}


def test_interpolations_start_at_the_outermost_settings() -> None:
    """A network stores a part of the settings, which refers to the rest of them."""
    root = group(slots=20)
    model = group(root, slots=1, missing="${a.b}", distance="${slots}", text="${slots} frames", number=group(value=3))
    found = find_settings(network(cfg=model), "distance|missing|text")
    assert found == {"cfg.distance": 20}
    model.state["_parent"] = model  # a file can contain any reference
    assert find_settings(network(cfg=model), "distance") == {"cfg.distance": 1}


def test_an_interpolation_outside_of_settings_is_unknown() -> None:
    assert find_settings(network(slots=3, distance="${slots}"), "distance") == {}


@pytest.mark.parametrize("leaf", [{}, {"distance": 1}])
def test_shared_settings_take_little_time(leaf: dict[str, int]) -> None:
    shared: Any = leaf
    for _ in range(40):
        shared = {f"a{k}": shared for k in range(40)}
    assert find_settings(network(cfg=shared), "distance") == {}
    assert find_settings(network(**{"x" * MAX_NAME_LENGTH: {"x" * (MAX_NAME_LENGTH + 1): 1}}), "x+") == {}


def test_shared_modules_take_little_time() -> None:
    shared = network()
    for _ in range(60):
        shared = network(_modules={"a": shared, "b": shared})
    with pytest.raises(UnsupportedCheckpoint, match=re.escape("more weights than the file can hold")):
        extract_tensors(shared, 100)
