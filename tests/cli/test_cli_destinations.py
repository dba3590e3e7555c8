"""Commands that write: a destination that exists is refused before anything else, and nothing is touched."""

import re
from pathlib import Path

import pytest

from styleganv import cli

EXISTS, OTHERS = "already exists", r"contains other files \(notes\.txt\): choose a new folder"
#: Commands with an input that does not exist, so that any work before the check ends in another sentence.
REFUSED = [
    ("prepare nowhere old.zip --resolution 8", EXISTS),
    ("inspect nowhere.zip --contact-sheet old.png", EXISTS),
    ("generate nowhere --out videos --seeds 2-4", EXISTS),
    ("generate nowhere --out videos --seeds 1 --format frames", EXISTS),
    ("generate nowhere --out videos --format grid --psi 0.5", EXISTS),
    ("generate nowhere --out videos --seeds 5 --motion-seeds 6 --label a/b --start 2.5", EXISTS),
    ("evaluate --real nowhere --fake nowhere --json old.json", EXISTS),
    ("diagnose nowhere --out old.html", EXISTS),
    ("diagnose nowhere --json old.json", EXISTS),
    ("project nowhere clip.mp4 --out notes", OTHERS),
    ("edit nowhere --out old.mp4", EXISTS),
    ("edit nowhere --out new.mp4 --save-latents old.safetensors", EXISTS),
    ("directions nowhere --out new.safetensors", r"new\.png already exists"),
    ("explore nowhere --out notes", OTHERS),
    ("import nowhere.pkl notes", OTHERS),
    ("import nowhere.pkl model", EXISTS),
    ("swap nowhere nowhere notes --resolution 8", OTHERS),
    ("swap nowhere nowhere model --resolution 8", EXISTS),
    ("export nowhere old.onnx", EXISTS),
    ("export nowhere new.pt2", r"new-mapping\.pt2 already exists"),
    ("push nowhere ./notes", OTHERS),
    ("push nowhere ./model", EXISTS),
    ("pull ./nowhere notes", OTHERS),
    ("pull ./nowhere model", EXISTS),
    ("train nowhere.zip --out run", r"run contains other files \(model/notes\.txt\)"),
    ("train nowhere.zip --out imported", r"imported/model already exists: choose another path\."),
    ("study nowhere.zip --out study", r"comparison\.md already exists: choose another path\."),
    ("demo --out notes", OTHERS),
]
#: What has no such option: runs and studies are continued.
WITHOUT_OPTION = ("train", "study", "demo")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    files = [f"old{suffix}" for suffix in (".zip", ".png", ".json", ".html", ".mp4", ".safetensors", ".onnx")]
    files += ["new.png", "new-mapping.pt2", "notes/notes.txt", "model/config.json", "run/model/notes.txt"]
    files += ["imported/model/config.json", "study/comparison.md", "videos/seed0004.mp4", "videos/seed0001/000000.png"]
    files += ["videos/grid-psi0.5.png", "videos/seed0005-motion0006-label-a_b-start2.5.mp4"]
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("kept")
    return tmp_path


def snapshot(folder: Path) -> dict[str, str | None]:
    return {str(path): path.read_text() if path.is_file() else None for path in folder.rglob("*")}


def refusal(command: str, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as end:
        cli.main(command.split())
    assert end.value.code == 1
    text = capsys.readouterr().err
    assert text.count("\n") == 1
    return text


@pytest.mark.parametrize("command, message", REFUSED, ids=[command for command, _ in REFUSED])
def test_what_exists_is_refused_before_the_work(
    command: str, message: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = snapshot(here)
    text = refusal(command, capsys)
    assert re.search(message, text)
    assert ("--overwrite" in text) == (EXISTS in text and not command.startswith(WITHOUT_OPTION))
    assert snapshot(here) == before


@pytest.mark.parametrize("command", [command for command, message in REFUSED if message == OTHERS])
def test_overwrite_does_not_replace_files_of_others(
    command: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = snapshot(here)
    if not command.startswith(WITHOUT_OPTION):
        assert re.search(OTHERS, refusal(f"{command} --overwrite", capsys))
    assert snapshot(here) == before


@pytest.mark.parametrize("command", sorted({command.split()[0] for command, _ in REFUSED}))
def test_the_option_reads_the_same_everywhere(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main([command, "--help"])
    text = " ".join(re.sub(r"[│\n]", " ", capsys.readouterr().out).split())
    described = "Replace existing output, but not a folder that contains other files." in text
    assert described == (command not in WITHOUT_OPTION)


def test_the_source_is_not_replaced_by_its_dataset(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = snapshot(here)
    assert "is also the source" in refusal("prepare old.zip ./old.zip --resolution 8 --overwrite", capsys)
    assert snapshot(here) == before
