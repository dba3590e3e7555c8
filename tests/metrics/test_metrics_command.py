"""`evaluate` as a public function and as a command."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from tiny import save

import styleganv
from styleganv import cli
from styleganv.data.dataset_writer import write_dataset
from styleganv.faces.dataset import make_faces
from styleganv.faces.factor_report import compare_factors
from styleganv.metrics.protocols import PROTOCOLS

WITHOUT_FILES = ("efficientnet", "patch", "128f", "frames")
ALL_FILES = [name for name in PROTOCOLS if not any(word in name for word in WITHOUT_FILES)]


def test_the_public_function(faces: Path, weights: Path, tmp_path: Path) -> None:
    options = styleganv.EvaluateOptions(weights=weights, cache=tmp_path)
    report = styleganv.evaluate(faces, faces, protocols=["fvd2048_16f"], options=options)
    assert report.results[0].measures["fvd"].mean >= 0


def test_the_command(
    faces: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STYLEGANV_CACHE", str(tmp_path / "cache"))
    argv = f"evaluate --real {faces} --fake {faces} --protocol fvd2048_16f,kvd2048_16f --num-clips 8 --repeats 2"
    argv += f" --weights {weights} --split train --json {tmp_path / 'out' / 'report.json'}"
    cli.main(argv.split())
    shown = capsys.readouterr().out
    assert "fvd8_16f" in shown and "kvd8_16f" in shown and "train" in shown
    stored = json.loads((tmp_path / "out" / "report.json").read_text())
    assert len(stored["results"]) == 2 and stored["seeds"] == [0, 1]
    assert list((tmp_path / "cache").iterdir())


@pytest.mark.slow
def test_factors_and_distances(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """At 16 frames instead of 64, which takes a third of the time."""
    monkeypatch.setattr("styleganv.metrics.evaluate.compare_factors", partial(compare_factors, num_frames=16))
    make_faces(tmp_path / "drawn.zip", num_videos=2, num_frames=16)
    argv = f"evaluate --real {tmp_path}/drawn.zip --fake {tmp_path}/drawn.zip --protocol fvd2048_16f --factors"
    cli.main([*argv.split(), "--weights", str(weights), "--json", str(tmp_path / "r.json"), "--cache", str(tmp_path)])
    assert "Ground-truth factors: 2 videos of 16 frames" in capsys.readouterr().out
    factors = json.loads((tmp_path / "r.json").read_text())["factors"]
    assert factors["generated"]["valid"] == 1 and factors["factors"]["head"]["distance"] == 0


@pytest.mark.parametrize(
    "more, message",
    [
        ("--fake {p}/nothing", "nothing"),
        ("--real {p}/nothing.zip", "nothing.zip"),
        ("--protocol fvd", "fvd2048_16f"),
        ("--protocol fvd2048_16f --weights {p}", "i3d_torchscript.pt"),
        ("--protocol fvd2048_16f,fid50k --weights {w}/i3d_torchscript.pt", "pass their folder"),
        ("--protocol fvd2048_16f --weights {n}", "399"),
        ("--protocol fvd2048_16f --weights {w} --sha256 abc", "SHA-256"),
        ("--protocol fvd2048_128f --weights {w}", "128 frames"),
        ("--num-clips 1", "at least 2, got 1"),
        ("--num-frames 0", "--num-frames must be an integer of at least 1, got 0"),
        ("--num-frames 4 --protocol fvd2048_16f --weights {w}", "at least 10 frames"),
        ("--features {p}/out.json", "is the destination of two results"),
        ("--features {p}", "is a folder"),
        ("--store-as png", "--store-as must be jpeg1 to jpeg100, got"),
        ("--num-resamples -1", "--num-resamples must be an integer from 0 to 10000, got -1"),
        ("--repeats 0", "--repeats must be an integer from 1 to 10000, got 0"),
        ("--per-class", "no class name in common"),
        ("--resolution 0", "--resolution must be an integer from 1"),
        ("--resolution 8by8", "8by8"),
        ("--fake {p}/larger.zip", "--resolution"),
        ("--real {p}/model", "is a model"),
        ("--device gpu9", "gpu9"),
        ("--real {p}/short.zip --factors --protocol fvd2048_16f --weights {w}", "64 frames"),
    ],
)
def test_errors_are_one_sentence(
    more: str,
    message: str,
    faces: Path,
    weights: Path,
    narrow_i3d: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    larger = [("a", np.zeros((20, 24, 24, 3), np.uint8), None, {})]
    write_dataset(tmp_path / "larger.zip", larger, height=24, width=24, fps=25)
    make_faces(tmp_path / "short.zip", num_videos=4, num_frames=40, resolution=(16, 16))
    save(tmp_path / "model")
    argv = more.format(p=tmp_path, w=weights, n=narrow_i3d).split()
    for name in ("--real", "--fake"):
        argv += [] if name in argv else [name, str(faces)]
    with pytest.raises(SystemExit) as end:
        cli.main(["evaluate", *argv, "--cache", str(tmp_path / "cache"), "--json", str(tmp_path / "out.json")])
    assert end.value.code == 1
    shown = capsys.readouterr().err.strip().splitlines()[-1]
    assert shown.startswith("styleganv: ") and shown.endswith(".") and message in shown, shown
    assert not (tmp_path / "out.json").exists()
