"""Every command and option that a text of the program mentions exists."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import styleganv
from styleganv import cli

ROOT = Path(styleganv.__file__).parent
#: Options of all commands, which the parser does not list.
GENERAL = {"--help", "--quiet", "--verbose", "--version"}
#: Words of a command of git.
OPTIONS_OF_GIT = {"--always", "--dirty", "--abbrev=12", "--exclude=*"}
OPTION = r"(?<![\w-])--[a-z][a-z0-9-]*"


@cache
def options_of(command: str) -> frozenset[str]:
    import contextlib
    import io

    with contextlib.redirect_stdout(io.StringIO()) as shown, pytest.raises(SystemExit):
        cli.main([command, "--help"])
    return frozenset(re.findall(OPTION, shown.getvalue())) | GENERAL


def texts() -> Iterator[tuple[str, str]]:
    """Yield (file and line, text) of every string of the source; values in it are {}."""
    for path in sorted(ROOT.rglob("*.py")):
        tree = ast.parse(path.read_text())
        parts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr):
                text = "".join(str(each.value) if isinstance(each, ast.Constant) else "{}" for each in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in parts:
                text = node.value
            else:
                continue
            yield f"{path.relative_to(ROOT)}:{node.lineno}", text


def mistakes_in(text: str) -> list[str]:
    """Return the commands and options in a text that do not exist."""
    text = re.sub(r"var\(--\w+\)", "", text)  # variables of style sheets
    mistakes = []
    everywhere = frozenset().union(*map(options_of, cli.COMMANDS))
    # A command line ends with its line, its quotes, or what follows it in a sentence.
    for name, rest in re.findall(r"(?:\bstyleganv|PROGRAM\}|^\{\}) ([a-z]+)\b([^`\n):;]*)", text):
        if name in cli.COMMANDS:
            mistakes += [f"{name} {option}" for option in re.findall(OPTION, rest) if option not in options_of(name)]
        elif re.search(rf"`styleganv {name}|(?:run|with|to resume:|next:) styleganv {name}", text, re.IGNORECASE):
            mistakes.append(f"styleganv {name}")
    return mistakes + [option for option in re.findall(OPTION, text) if option not in everywhere]


def test_commands_and_options_in_texts_exist() -> None:
    found = [(where, text) for where, text in texts() if text not in OPTIONS_OF_GIT]
    assert len([text for _, text in found if re.search(OPTION, text)]) > 100
    wrong = [f"{where}: {mistakes}" for where, text in found if (mistakes := mistakes_in(text))]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    "text, mistakes",
    [
        ("Pass --seeds: see `styleganv generate`.", []),
        ("Pass --sedes.", ["--sedes"]),
        ("To resume: styleganv train --resume {}", []),
        ("To go on: run styleganv continue --resume {}", ["styleganv continue"]),
        ("Next: styleganv generate {} --preset 64", ["generate --preset"]),
    ],
)
def test_mistakes_are_found(text: str, mistakes: list[str]) -> None:
    assert mistakes_in(text) == mistakes
