"""The documents say what is true: their commands run, their links and flags exist, no path of one machine is named."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import styleganv
from styleganv.cli import COMMANDS, main
from styleganv.config import PRESETS
from styleganv.faces.drawing import draw_video
from styleganv.faces.factors import sample_face
from styleganv.media.writing import write_video

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
README = (ROOT / "README.md").read_text()
# What the documents' commands get besides, so that they end in seconds.
TINY = {
    "total_clips": 16,
    "batch_size": 8,
    "channel_base": 256,
    "channel_max": 8,
    "z_dim": 16,
    "w_dim": 16,
    "motion_dim": 16,
}


def block(name: str) -> str:
    """The README's code block that is marked `<!-- test: name -->`."""
    found = re.search(rf"<!-- test: {name} -->\n```\w+\n(.*?)```", README, re.DOTALL)
    assert found, f"README.md has no block marked {name}"
    return found[1]


def flags(text: str) -> set[str]:
    return set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", text))


def plain(document: Path) -> str:
    """Its text with every command on one line, torchrun's own part and other launchers left out."""
    text = re.sub(r"\\\n\s*", "", document.read_text())
    text = re.sub(r'--launch "[^"\n]*"', "--launch srun", text)
    return re.sub(r"torchrun .*?-m styleganv.cli", "styleganv", text)


def help_text(*words: str, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit):
        main([*words, "--help"])
    return capsys.readouterr().out


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where somebody stands who has a few videos of their own."""
    random = np.random.default_rng(0)
    for i in range(8):
        video = draw_video(sample_face(random), i, num_frames=40, height=72, width=96)
        write_video(tmp_path / "my-videos" / f"holiday {i}.mp4", video, 25)
    return tmp_path


def test_own_videos_in_three_commands() -> None:
    """They are those of the tutorial, which tests/test_tutorials.py runs."""
    tutorial = (ROOT / "docs" / "tutorials" / "own-footage.md").read_text().splitlines()
    commands = block("shell").splitlines()
    assert len(commands) == 3 and set(commands) <= set(tutorial)


@pytest.mark.slow
def test_own_videos_in_python(folder: Path) -> None:
    """As a file of one's own, since worker processes read it again."""
    guard = 'if __name__ == "__main__":  # prepare starts worker processes\n'
    code, used = block("python"), ('get_preset("tiny-cpu")', "range(8)", "seconds=10", guard)
    assert all(code.count(text) == 1 for text in used)
    model = {name: value for name, value in TINY.items() if name not in ("total_clips", "batch_size")}
    tiny = f"""RunConfig(
        model=ModelConfig(**{model}),
        training=TrainingConfig(total_clips={TINY["total_clips"]}, batch_size=8, second_discriminator="none"),
    )"""
    small = """    from styleganv.config import ModelConfig, RunConfig, TrainingConfig
    from styleganv.training.run_log import RunLog

    RunLog.write_snapshot = RunLog.write_curves = lambda *_: None
"""  # in the process itself only: importing them takes each worker seconds
    (folder / "mine.py").write_text(
        code.replace(used[0], tiny)
        .replace(used[1], "range(2)")
        .replace(used[2], "seconds=1")
        .replace(guard, guard + small)
        + "\n    assert frames.shape == (50, 64, 64, 3) and frame.shape == (64, 64, 3)\n"
    )
    done = subprocess.run([sys.executable, "mine.py"], cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert len(list((folder / "videos").glob("*.mp4"))) == 2


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_resolve(document: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text()):
        if not re.match(r"[a-z]+:|#", target):
            assert (document.parent / target.split("#")[0]).exists(), f"{document.name} links to {target}"


def test_flags_exist(capsys: pytest.CaptureFixture[str]) -> None:
    known = set().union(*(flags(help_text(command, capsys=capsys)) for command in COMMANDS))
    known |= {
        "--version",
        "--quiet",
        "--verbose",
        "--help",
        "--max-restarts",
        "--rdzv-conf",
        "--array",
        "--gpus",
        "--wrap",
    }  # the last five are of torchrun and Slurm
    unknown = {document.name: flags(plain(document)) - known for document in DOCUMENTS}
    assert not any(unknown.values()), unknown


def test_commands_are_understood(capsys: pytest.CaptureFixture[str]) -> None:
    """With --help at its end a command is read: a wrong name or choice is refused, and its flags are its own."""
    blocks = [code for document in DOCUMENTS for code in re.findall(r"```sh\n(.*?)```", plain(document), re.DOTALL)]
    lines = [line for code in blocks for line in code.splitlines() if line.startswith("styleganv ")]
    # These read a run or a file.
    commands = [shlex.split(line)[1:] for line in lines if "--resume" not in line and "--config" not in line]
    assert len(commands) > 10
    for words in commands:
        text = help_text(*words, capsys=capsys)
        assert text.startswith(f"usage: styleganv {words[0]}"), words
        assert flags(" ".join(words)) <= flags(text), words


def test_every_preset_is_explained() -> None:
    text = (ROOT / "docs" / "choose.md").read_text()
    assert not [name for name in PRESETS if f"`{name}`" not in text]


def test_no_path_of_one_machine_is_named() -> None:
    """Neither folders outside the repository nor the host of a package index."""
    texts = [*ROOT.glob("src/**/*.py"), *DOCUMENTS]
    texts += [ROOT / name for name in ("Makefile", "pyproject.toml", "constraints.txt", "CITATION.cff", ".ci/run")]
    place = re.compile(r"/work\b|/root\b|/home/|/tmp/|\.\./shared|download\.pytorch|pypi\.|--(extra-)?index-url")
    named = [f"{path.relative_to(ROOT)}: {found[0]}" for path in texts if (found := place.search(path.read_text()))]
    assert not named


def test_versions_agree() -> None:
    latest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    cited = re.search(r"^version: (\S+)", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)
    assert latest and latest[1] == styleganv.__version__
    assert cited and cited[1] == styleganv.__version__


@pytest.mark.slow
def test_python_snippets_are_typed(tmp_path: Path) -> None:
    """Every Python block of every document, as a user's type checker sees it."""
    snippets = tmp_path / "snippets"  # a package with settings of its own in pyproject.toml
    snippets.mkdir()
    (snippets / "__init__.py").touch()
    for document in DOCUMENTS:
        for i, code in enumerate(re.findall(r"```python\n(.*?)```", document.read_text(), re.DOTALL)):
            (snippets / f"{document.stem.replace('-', '_')}_{i}.py").write_text(code)
    # With the cache of `make check`, which has read everything but the snippets.
    words = ["-m", "mypy", str(snippets)]
    done = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
