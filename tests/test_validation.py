"""Numbers from users and files: finite, in range, of the right type, and named by option where they are not."""

import dataclasses
import json
import math
from collections.abc import Callable, Sequence
from fractions import Fraction as Ratio
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pytest

import styleganv.options
from styleganv.cli.parsing import parse_directions, parse_mixes, parse_resolution, parse_seeds, parse_time_map
from styleganv.config import run_config
from styleganv.errors import StyleganvError
from styleganv.methods.mocogan.networks import MocoganConfig
from styleganv.methods.stylegan_v.config import DiscriminatorConfig, GeneratorConfig
from styleganv.options import MAX_SEEDS, EditOptions, SampleOptions
from styleganv.validation import Interval, Seed, Validated, check, check_arguments, read_fields


@dataclasses.dataclass(frozen=True)
class Example(Validated):
    amount: Annotated[float, Interval(0, 1)] = 0.5
    speed: Annotated[float, Interval(above=0)] = 1.0
    count: Annotated[int, Interval(1, 9)] = 1
    any_count: int | None = None
    flag: bool = False
    name: str = ""
    mode: Literal["a", "b"] = "a"
    size: int | Literal["auto"] = "auto"
    pairs: Sequence[tuple[float, float]] = ()
    seeds: Sequence[Seed | Path] = ()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"amount": 1.5}, "--amount must be a finite number from 0 to 1, got 1.5: correct it."),
        ({"amount": math.nan}, "--amount must be a finite number from 0 to 1, got nan: correct it."),
        ({"amount": np.float32("nan")}, "--amount must be a finite number from 0 to 1, got nan: correct it."),
        ({"amount": True}, "--amount must be a finite number from 0 to 1, got True: correct it."),
        ({"amount": "0.5"}, "--amount must be a finite number from 0 to 1, got '0.5': correct it."),
        ({"amount": None}, "--amount must be a finite number from 0 to 1, got None: correct it."),
        ({"speed": 0}, "--speed must be a finite number greater than 0, got 0: correct it."),
        ({"speed": math.inf}, "--speed must be a finite number greater than 0, got inf: correct it."),
        ({"speed": 10**400}, "--speed must be a finite number greater than 0, got 1000000"),
        ({"count": 0}, "--count must be an integer from 1 to 9, got 0: correct it."),
        ({"count": 1.0}, "--count must be an integer from 1 to 9, got 1.0: correct it."),
        ({"count": True}, "--count must be an integer from 1 to 9, got True: correct it."),
        ({"any_count": 2**63}, "--any-count must be an integer, got 9223372036854775808: correct it."),
        ({"any_count": 10**5000}, "--any-count must be an integer, got a number of thousands of digits: correct it."),
        ({"flag": 1}, "--flag must be true or false, got 1: correct it."),
        ({"name": 5}, "--name must be text, got 5: correct it."),
        ({"mode": "c"}, "--mode must be one of a, b, got 'c': correct it."),
        ({"size": "big"}, "--size must be an integer or auto, got 'big': correct it."),
        ({"pairs": [(0, 1), (2, math.nan)]}, "--pairs must be a finite number, got nan: correct it."),
        ({"pairs": [(0, 1, 2)]}, "--pairs must be 2 values (a finite number, a finite number), got (0, 1, 2)"),
        ({"pairs": 3}, "--pairs must be a list, each 2 values"),
        ({"seeds": [1, -1]}, "--seeds must be an integer from 0 to 9223372036854775807 or a path, got -1: correct it."),
        ({"seeds": range(-1, 10**18)}, "--seeds must be an integer from 0 to"),
    ],
)
def test_invalid_values_are_named_with_their_range(values: dict[str, Any], message: str) -> None:
    with pytest.raises(StyleganvError) as caught:
        Example(**values)
    assert str(caught.value).startswith(message)
    with pytest.raises(StyleganvError) as caught:
        read_fields(Example, values, "file.yaml", "group")
    (name,) = values
    assert str(caught.value).startswith(f"file.yaml: group.{name} must be ")


def test_numbers_of_other_libraries_become_pythons() -> None:
    example = Example(
        amount=np.float32(0.5), speed=3, count=np.int64(4), any_count=np.uint8(7), pairs=[(np.int8(1), 2)]
    )
    assert json.loads(json.dumps(dataclasses.asdict(example))) == dataclasses.asdict(Example(0.5, 3, 4, 7)) | {
        "pairs": [[1, 2]],
        "seeds": [],
    }
    assert Example(amount=Ratio(1, 4)).amount == 0.25  # type: ignore[arg-type]


def test_long_ranges_are_not_visited() -> None:
    seeds = range(2**62)
    assert Example(seeds=seeds).seeds is seeds


def test_arguments_of_functions() -> None:
    @check_arguments
    def function(
        model: object, *, num_steps: Annotated[int, Interval(1)] = 1, call: Callable[[], None] | None = None
    ) -> int:
        """Text."""
        return num_steps

    assert function(None, num_steps=np.int32(3)) == 3 and function(None) == 1 and function.__doc__ == "Text."
    with pytest.raises(StyleganvError, match="--num-steps must be an integer of at least 1, got 0"):
        function(None, num_steps=0)
    with pytest.raises(TypeError):
        function()  # type: ignore[call-arg]


def test_fields_of_a_file() -> None:
    assert read_fields(Example, {"amount": 1, "pairs": [[0, 1]]}, "f").pairs == ((0, 1),)
    for values, message in (
        ({"amuont": 1}, r"f has unknown settings \(group\.amuont\)"),
        ({1: 1}, r"f has unknown settings \(group\.1\)"),
        ([], "f: group must be a mapping"),
        (None, "f: group must be a mapping"),
    ):
        with pytest.raises(StyleganvError, match=message):
            read_fields(Example, values, "f", "group")
    with pytest.raises(StyleganvError, match=r"f lacks g\.height, g\.width: add them"):
        read_fields(GeneratorConfig, {"z_dim": 4}, "f", "g")


def test_long_values_are_shortened() -> None:
    with pytest.raises(StyleganvError) as caught:
        check("f", ["x" * 10_000] * 10_000, int)
    assert len(str(caught.value)) < 1000


def option_classes() -> list[type]:
    """The dataclasses of all options, settings and network configs."""
    modules = (styleganv.options, run_config)
    found = [
        one
        for module in modules
        for one in vars(module).values()
        if dataclasses.is_dataclass(one) and one is not Interval
    ]
    return [*{one.__name__: one for one in found}.values(), GeneratorConfig, DiscriminatorConfig, MocoganConfig]  # type: ignore[misc]


@pytest.mark.parametrize("options", option_classes(), ids=lambda one: one.__name__)
def test_every_option_refuses_what_is_no_number(options: type) -> None:
    """Of any type: nan, inf, and an integer that no other library can store."""
    assert issubclass(options, Validated)
    required = {
        field.name: {"layers": [0], "strength": 1.0, "height": 16, "width": 16, "content": 0}.get(field.name, "text")
        for field in dataclasses.fields(options)
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    }
    options(**required)
    for field in dataclasses.fields(options):
        for value in (math.nan, math.inf, -math.inf, 10**400):
            with pytest.raises(StyleganvError, match=r"^--[a-z0-9-]+ must be .*: correct it\.$"):
                options(**required | {field.name: value})


@pytest.mark.parametrize("text", ["0-99999999999", "1,0-99999999999", "0-999999,7", f"0-{'9' * 40}"])
def test_long_lists_of_seeds_are_refused(text: str) -> None:
    with pytest.raises(StyleganvError, match=r"--seeds must list at most 1,000,000 numbers, got [0-9,]+: split"):
        parse_seeds(text)


def test_a_range_of_seeds_is_lazy() -> None:
    assert parse_seeds(f"1-{MAX_SEEDS}") == range(1, MAX_SEEDS + 1)
    assert parse_seeds("3-5,9") == [3, 4, 5, 9]


@pytest.mark.parametrize(
    "parse",
    [
        lambda: parse_seeds("9" * 5000),
        lambda: parse_resolution("9" * 5000),
        lambda: list(parse_mixes(f"{'9' * 5000}:0")),
        lambda: list(parse_mixes(f"{'9' * 30}:0")),
        lambda: list(parse_mixes(f"7:0@{'9' * 400}")),
        lambda: list(parse_directions(f"file:name={'9' * 400}")),
        lambda: EditOptions(time_map=parse_time_map(f"0:0,1:{'9' * 400}")),
        lambda: SampleOptions(label=1.5),  # type: ignore[arg-type]
    ],
)
def test_numbers_of_any_length_are_one_sentence(parse: Callable[[], Any]) -> None:
    with pytest.raises(StyleganvError) as caught:
        parse()
    assert "\n" not in str(caught.value)
