"""Reading `log.jsonl`, the log of a run: one JSON record per line, damaged lines are skipped."""

import json
from pathlib import Path
from typing import Any

#: Scores of the evaluations in the log → their titles; the first one selects the best model.
SCORES = {"frechet_efficientnet": "distance to real videos", "frechet_efficientnet_floor": "noise floor"}


def read_records(path: Path) -> list[dict[str, Any]]:
    """Return the records of a log without damaged lines, and without those that the run repeated after a crash."""
    records: list[dict[str, Any]] = []
    for line in path.read_bytes().split(b"\n"):
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if not (isinstance(record, dict) and isinstance(record.get("clips_seen"), int)):
            continue
        if record.get("event") == "start":
            records = [earlier for earlier in records if earlier["clips_seen"] <= record["clips_seen"]]
        records.append(record)
    return records


def merge_records(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return those with scalars or scores in the order of clips, one for each number of clips."""
    merged: dict[int, dict[str, Any]] = {}
    for record in records:
        if "event" not in record:
            merged[record["clips_seen"]] = merged.get(record["clips_seen"], {}) | record
    return [merged[clips] for clips in sorted(merged)]


def read_log(path: Path) -> list[dict[str, Any]]:
    """Return the records of a log with scalars or scores in the order of clips, one for each number of clips."""
    return merge_records(read_records(path))
