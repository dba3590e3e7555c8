"""Findings: real trainings that went well and that were spoiled, and each check with logs that are just about fine."""

import json
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from styleganv.config import AugmentConfig, RunConfig, TrainingConfig
from styleganv.record import DatasetFacts
from styleganv.training.health import Facts, find_problems

#: `emoji`, `faces` and `sky` are trainings behind pretrained models. `fast` had 30 times the learning rate of
#: tiny-cpu; `four` had four videos, no augmentation and a weak R1. Numbers have three digits.
REAL_LOGS = json.loads((Path(__file__).parent / "real_logs.json").read_text())
DOCS = Path(__file__).resolve().parents[2] / "docs"
RELATIVISTIC = RunConfig(training=TrainingConfig(loss="relativistic"), augment=AugmentConfig(augment="fixed"))


def real_log(name: str) -> list[dict[str, Any]]:
    columns = REAL_LOGS[name]
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def log(**values: list[float]) -> list[dict[str, Any]]:
    """A line every 100 clips and 10 seconds, with these scalars."""
    rows = zip(*values.values(), strict=True)
    return [
        {"clips_seen": 100 * i, "frames_seen": 200 * i, "time": 10.0 * i, **dict(zip(values, row, strict=True))}
        for i, row in enumerate(rows, start=1)
    ]


def names(facts: Facts) -> list[str]:
    return [finding.name for finding in find_problems(facts)]


@pytest.mark.parametrize("name", [name for name in REAL_LOGS if name not in ("fast", "four")])
def test_no_good_training_is_in_trouble(name: str) -> None:
    records = real_log(name)
    for end in range(1, len(records) + 1):
        found = find_problems(Facts(records[:end], "end", RELATIVISTIC))
        assert all(finding.severity == "note" for finding in found), found


def test_spoiled_trainings_are() -> None:
    assert names(Facts(real_log("fast"), "end", RELATIVISTIC)) == ["explosion"]
    logistic = replace(RELATIVISTIC, training=TrainingConfig(loss="logistic"))
    (lost,) = find_problems(Facts(real_log("four"), "end", logistic))
    assert lost.name == "lost_balance" and "its loss fell to 0.363, and the generator's rose to 5.34" in lost.text


def evaluations(*scores: float) -> Facts:
    return Facts(log(frechet_efficientnet=list(scores)))


FIVE = [1.0] * 5
ADA = RunConfig(augment=AugmentConfig(augment="ada", augment_max_p=0.5))
DECAY = RunConfig(training=TrainingConfig(lr_decay_clips=100.0))


@pytest.mark.parametrize(
    "name, wrong, fine",
    [
        ("divergence", Facts(log(loss_g=[1.0]), "diverged"), Facts(log(loss_g=[1.0]), "end")),
        ("divergence", Facts(log(loss_g=[1.0, math.nan])), Facts(log(r1=[1.0, math.nan]))),
        ("explosion", Facts(log(loss_g=[1.0, 101.0])), Facts(log(loss_g=[101.0, *FIVE]))),
        (
            "lost_balance",
            Facts(log(loss_d=[0.2] * 5, loss_g=[2.6] * 5)),
            Facts(log(loss_d=[0.2] * 5, loss_g=[2.4] * 5)),
        ),
        (
            "lost_balance",
            Facts(log(loss_d_projected=[0.1] * 5, loss_g_projected=[3.0] * 5), "", RELATIVISTIC),
            Facts(log(loss_d_projected=[0.2] * 5, loss_g_projected=[3.0] * 5), "", RELATIVISTIC),
        ),
        ("mode_collapse", Facts(log(snapshot_diversity=[40.0, 9.0])), Facts(log(snapshot_diversity=[40.0, 11.0]))),
        ("mode_collapse", Facts(log(snapshot_diversity=[5.0, 1.9])), Facts(log(snapshot_diversity=[1.0, 0.5]))),
        ("rising_distance", evaluations(9, 5, 6, 7, 8), evaluations(9, 5, 6, 5.5, 8)),
        ("rising_distance", evaluations(5, 6, 6, 6), evaluations(5, 6, 6)),
        ("augmentation_cap", Facts(log(augment_p=[0.5] * 5), "", ADA), Facts(log(augment_p=[0.49] * 5), "", ADA)),
        ("augmentation_cap", Facts(log(augment_p=FIVE), "", ADA), Facts(log(augment_p=FIVE), "", RELATIVISTIC)),
        ("silence", Facts(log(loss_g=FIVE), silent=601.0), Facts(log(loss_g=FIVE), silent=599.0)),
        ("silence", Facts(log(loss_g=FIVE), silent=601.0), Facts(log(loss_g=FIVE))),
        (
            "slow_down",
            Facts(log(clips_per_second=[10.0] * 20 + [4.0] * 5)),
            Facts(log(clips_per_second=[10.0] * 20 + [6.0] * 5)),
        ),
        ("decayed_learning_rate", Facts(log(loss_g=[1.0] * 26), "", DECAY), Facts(log(loss_g=[1.0] * 24), "", DECAY)),
    ],
)  # fmt: skip
def test_each_check_has_a_threshold(name: str, wrong: Facts, fine: Facts) -> None:
    (finding,) = find_problems(wrong)
    assert finding.name == name and finding.text.endswith(".") and finding.numbers
    assert names(fine) == []


def test_a_doubled_distance_is_an_error() -> None:
    assert [finding.severity for finding in find_problems(evaluations(5, 11, 12, 13))] == ["error"]
    assert [finding.severity for finding in find_problems(evaluations(5, 7, 8, 9))] == ["warning"]


def test_few_videos_may_be_repeated_if_seen_often() -> None:
    records = log(loss_g=FIVE)
    facts = DatasetFacts("x.zip", "", videos=99, frames=20, height=8, width=8, fps=25)
    assert names(Facts(records, dataset=facts)) == ["repeated_data"]
    assert names(Facts(records, dataset=replace(facts, frames=21))) == []
    assert names(Facts(records, dataset=replace(facts, videos=100))) == []


def test_the_worst_comes_first_and_nothing_is_known_of_an_empty_log() -> None:
    records = log(loss_g=[500.0] * 26)
    assert names(Facts(records, "", DECAY)) == ["explosion", "decayed_learning_rate"]
    assert names(Facts([])) == names(Facts([{"clips_seen": 0, "loss_g": "x"}])) == []


def test_each_finding_leads_to_a_section_of_the_documentation() -> None:
    source = (Path(__file__).resolve().parents[2] / "src/styleganv/training/health.py").read_text()
    anchors = re.findall(r"\{PAGE\}#([\w-]+)", source)
    headings = re.findall(r"^#+ (.+)$", (DOCS / "troubleshooting.md").read_text(), re.MULTILINE)
    known = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert len(anchors) == 10 and set(anchors) <= known, set(anchors) - known
