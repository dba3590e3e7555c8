"""What the hooks of the documentation site insert into its pages. The build itself is `make docs`."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

import styleganv
from styleganv.cli import COMMANDS

DOCS = Path(__file__).parents[1] / "docs"


@pytest.fixture(scope="module")
def hooks() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_hooks", DOCS / "hooks.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_code_next_to_equations_exists(hooks: ModuleType) -> None:
    blocks = []
    for page in (DOCS / "concepts").glob("*.md"):
        found = hooks.SOURCE.findall(page.read_text())
        links = re.findall(r"^\[.*\]\(.*\.py\)", page.read_text(), re.MULTILINE)
        assert len(found) == len(links) > 0, f"{page.name} has a link to code that shows none"
        blocks += [hooks.code_block(path, name) for name, path in found]
    assert len(blocks) > 15 and all('"""' not in block.replace("```", "") for block in blocks)


def test_a_code_block_is_the_function_without_its_docstring(hooks: ModuleType) -> None:
    block = hooks.code_block("src/styleganv/methods/stylegan_v/losses.py", "generator_loss")
    code = "def generator_loss(fake: Tensor) -> Tensor:\n    return F.softplus(-fake).mean()"
    assert block == f'```python title="styleganv/methods/stylegan_v/losses.py"\n{code}\n```'
    method = hooks.code_block("src/styleganv/training/augment.py", "AdaptiveAugmentation.state_dict")
    assert "\ndef state_dict(self)" in method, "not indented"
    with pytest.raises(StopIteration):
        hooks.code_block("src/styleganv/methods/stylegan_v/losses.py", "no_such_loss")


def test_the_reference_has_every_command_and_option(hooks: ModuleType) -> None:
    reference = hooks.command_reference()
    sections = dict(re.findall(r"^## (\S+)\n(.*?)(?=^## |\Z)", reference, re.MULTILINE | re.DOTALL))
    assert list(sections) == list(COMMANDS)
    for name, section in sections.items():
        options = re.findall(r"^  (--?\w.*?)(?:  |$)", hooks.help_text(name), re.MULTILINE)
        assert options and set(options) <= set(re.findall(r"^`(.*?)`\n:   \S", section, re.MULTILINE)), name
    assert "`--psi FLOAT`\n:   Truncation psi: 1 = full variety, 0 = mean w (of the label). (default: 1.0)" in reference


def test_the_reference_has_every_public_name(hooks: ModuleType) -> None:
    assert sorted(hooks.python_reference().split("\n\n")) == sorted(
        f"::: styleganv.{name}" for name in styleganv.__all__
    )


@pytest.mark.parametrize(
    ("link", "with_repository", "without"),
    [
        ("[a](howto.md#b)", "[a](howto.md#b)", "[a](howto.md#b)"),
        ("[a](../howto.md)", "[a](../howto.md)", "[a](../howto.md)"),
        ("[a](https://b.c)", "[a](https://b.c)", "[a](https://b.c)"),
        ("![a](../media/b.webp)", "![a](../media/b.webp)", "![a](../media/b.webp)"),
        ("[a](../../src/b.py)", "[a](https://forge/blob/main/src/b.py)", "a"),
    ],
)
def test_links_out_of_the_documents_lead_to_the_repository(
    hooks: ModuleType, link: str, with_repository: str, without: str
) -> None:
    assert hooks.relink(link, "concepts/generator.md", "https://forge") == with_repository
    assert hooks.relink(link, "concepts/generator.md", "") == without


def test_a_link_to_a_video_becomes_a_player(hooks: ModuleType) -> None:
    html = hooks.on_page_content('<p><a href="media/a.mp4">Two faces</a></p><p>See <a href="b.mp4">b</a></p>')
    assert html.startswith('<figure><video src="media/a.mp4" controls') and "<figcaption>Two faces</figcaption>" in html
    assert html.endswith('<p>See <a href="b.mp4">b</a></p>')
