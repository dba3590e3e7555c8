"""The demo: what it writes, what its page shows, and that it can be repeated."""

import re
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

import av
import numpy as np
import pytest
from settings import with_training

from styleganv import cli
from styleganv.config import get_preset
from styleganv.demo import FULL, demo
from styleganv.errors import StyleganvError
from styleganv.pretrained import pretrained_names
from styleganv.training.checkpoint import load_checkpoint


def linked_files(page: Path) -> list[Path]:
    """The files that a page shows or links to."""
    return [page.parent / unquote(name) for name in re.findall(r'(?:src|href)="([^"]+)"', page.read_text())]


def decoded(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


@pytest.mark.slow
@pytest.mark.parametrize("times", [pytest.param([0.02]), pytest.param([0.02, 0.05], marks=pytest.mark.long)])
def test_the_demo_shows_models_edits_and_a_training(
    times: list[float], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("styleganv.demo.FULL", replace(FULL, num_videos=16, seconds=0.2))
    monkeypatch.setattr("styleganv.demo.SEEDS", range(2))
    monkeypatch.setattr("styleganv.demo.COLUMNS", 1)
    monkeypatch.setattr("styleganv.demo.get_preset", lambda name: with_training(get_preset(name), batch_size=8))
    for name in ("NUM_CONTENT_SEEDS", "NUM_MOTION_SEEDS"):
        monkeypatch.setattr(f"styleganv.training.run_log.{name}", 1)
    out = tmp_path / "new" / "demo"
    trained = 0.0
    for minutes in times:  # the second call resumes the training
        cli.main(["demo", "--out", str(out), "--minutes", str(minutes)])
        total = load_checkpoint(out / "run" / "checkpoint.pt")["minutes"]
        assert trained + minutes <= total < trained + minutes + 0.5
        trained = total
        said = capsys.readouterr().err
        assert "Done in" in said and "prepare FOLDER" in said and "already exists" not in said
        shown = linked_files(out / "index.html")
        assert all(file.stat().st_size > 0 for file in shown)
        names = {str(file.relative_to(out)) for file in shown}
        assert names >= {f"{name}.mp4" for name in pretrained_names()}
        assert names >= {"grid.mp4", "mixed.mp4", "interpolated.mp4", "before.mp4", "after.mp4", "run/index.html"}
        assert "http-equiv" not in (out / "index.html").read_text()  # it no longer reloads itself
        assert all(file.stat().st_size > 0 for file in linked_files(out / "run" / "index.html"))
    before, after = decoded(out / "before.mp4"), decoded(out / "after.mp4")
    assert before.shape == after.shape == (5, 2 * 128 + 2, 128, 3)
    rates = [decoded(out / "videos" / f"{fps}fps.mp4") for fps in (6, 25, 60)]
    assert [len(frames) for frames in rates] == [1, 5, 12]
    difference = np.abs(rates[0][0].astype(int) - rates[2][0])  # the same video, at time 0
    assert difference.mean() < 3


def test_a_folder_of_someone_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(StyleganvError, match=r"thesis\.txt"):
        demo(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
