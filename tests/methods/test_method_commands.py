"""Commands from training to the motion report, for the methods that are not tested elsewhere with all of them."""

import json
import math
from collections.abc import Iterator
from pathlib import Path

import pytest

from styleganv.cli import main

FLAGS = """--channel-base 128 --channel-max 8 --z-dim 16 --w-dim 16 --motion-dim 16
--batch-size 4 --total-clips 8 --precision float32 --log-every 4"""


def styleganv(*arguments: object) -> None:
    main([str(argument) for argument in arguments])


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Measure the dataset once for all methods."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STYLEGANV_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.mark.slow
@pytest.mark.usefixtures("small_features")
@pytest.mark.parametrize(
    ("method", "measured", "unavailable"),
    [
        ("mocogan", "drift_1000", {"between": "fixed frame rate"}),
        pytest.param("mocogan-stylegan2", "drift_1000", {"between": "fixed frame rate"}, marks=pytest.mark.long),
        ("digan", "drift_hour", {"slot_jump": "no motion slots"}),
    ],
)
def test_commands_from_training_to_the_motion_report(
    method: str,
    measured: str,
    unavailable: dict[str, str],
    faces: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("styleganv.motion_report.figures.draw_chart", lambda *_, **__: "")  # most of the page's time
    run, report = tmp_path / "run", tmp_path / "report.json"
    styleganv("train", faces, "--out", run, "--method", method, *FLAGS.split())
    assert (run / "curves.png").exists() and (run / "snapshots" / "000000008.png").exists()
    styleganv("generate", run, "--out", tmp_path / "videos", "--seeds", "0-1", "--seconds", 0.4)
    styleganv("generate", run, "--out", tmp_path / "grid", "--seeds", "0-1", "--seconds", 0.4, "--format", "grid")
    assert len(list((tmp_path / "videos").iterdir())) == 2 and list((tmp_path / "grid").iterdir())
    styleganv("evaluate", "--real", faces, "--fake", run, "--num-clips", 4, "--json", tmp_path / "distances.json")
    assert "frechet_efficientnet" in (tmp_path / "distances.json").read_text()
    page = ["--out", tmp_path / "report.html", "--json", report]
    styleganv("diagnose", run, "--num-videos", 2, "--max-frames", 16, *page)
    diagnostics = {each["name"]: each for each in json.loads(report.read_text())["diagnostics"]}
    assert math.isfinite(diagnostics[measured]["value"])
    for name, reason in unavailable.items():
        assert diagnostics[name]["value"] is None and reason in diagnostics[name]["verdict"]
