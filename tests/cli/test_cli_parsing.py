"""Parsers of options."""

import pytest

from styleganv.cli.parsing import parse_seeds
from styleganv.errors import StyleganvError


def test_parse_seeds() -> None:
    assert parse_seeds("0-7,12") == [*range(8), 12]
    assert list(parse_seeds("5")) == [5]
    for text in ("", "7-0", "a", "1,,2", "-3", "1-2-3"):
        with pytest.raises(StyleganvError, match="0-7,12"):
            parse_seeds(text)
