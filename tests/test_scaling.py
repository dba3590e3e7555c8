"""The tables of docs/scaling.md are those that its script calculates."""

import json
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
RESULTS = json.loads((ROOT / "benchmarks" / "results" / "2026-11-30-scaling.json").read_text())
DOCUMENT = (ROOT / "docs" / "scaling.md").read_text()


@pytest.fixture
def scaling(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import scaling

    return scaling


def test_tables_of_the_document_are_calculated(scaling: ModuleType) -> None:
    assert scaling.measured_table(RESULTS) in DOCUMENT
    assert scaling.assumed_table() in DOCUMENT
    for preset in scaling.SIZES:
        assert scaling.table(preset, RESULTS[preset]) in DOCUMENT


def test_a_slower_network_and_smaller_parts_of_a_batch_cost_efficiency(scaling: ModuleType) -> None:
    parts = RESULTS["256-faces"]
    few, many, large = (scaling.estimate("256-faces", parts, *sizes) for sizes in ((8, 64), (64, 64), (64, 512)))
    assert few.averaging == few.averaging_slow  # one node
    assert many.averaging_slow > many.averaging > few.averaging
    assert few.arithmetic == pytest.approx(8 * many.arithmetic) == pytest.approx(large.arithmetic)
    assert many.clips_per_s < large.clips_per_s < 64 / 8 * few.clips_per_s
