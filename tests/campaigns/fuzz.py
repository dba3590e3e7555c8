"""`python -m tests.campaigns.fuzz`: seeded cases of bad and of unusual input, run through the real command line.

Each case must end in success, or in one sentence on stderr and exit status 1 or 2: without a traceback, within 20 s
(time without a processor does not count) and 2 GiB, and with nothing changed but its destination. `--only N` repeats a
case and keeps its folder.
"""

import argparse
import json
import os
import random
import shutil
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from . import data_cases, model_cases, option_cases, sandbox, studio_requests
from .case import Case, judge
from .inputs import Inputs, load_inputs, make_inputs

Generator = Callable[[random.Random, Inputs, Path], Case]
#: How many of every 25 cases are of each kind.
SHARES = {
    "media": 5,
    "archives": 2,
    "labels": 2,
    "datasets": 2,
    "options": 4,
    "settings": 1,
    "latents": 2,
    "models": 2,
    "checkpoints": 1,
    "pickles": 1,
    "destinations": 1,
    "studio": 2,
}
SCHEDULE = [kind for kind, share in SHARES.items() for _ in range(share)]


@dataclass
class Summary:
    """Counts and failures of a campaign."""

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    failures: list[tuple[int, str, str, list[str]]] = field(default_factory=list)
    remarks: list[tuple[int, str, str, list[str]]] = field(default_factory=list)
    slowest: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    largest: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def add(self, number: int, kind: str, end: str, what: str, problems: list[str]) -> None:
        """Count a case."""
        failed = any(not problem.startswith("words") for problem in problems)
        self.counts[kind, "cases"] += 1
        self.counts[kind, "failures" if failed else end] += 1
        if problems:
            (self.failures if failed else self.remarks).append((number, kind, what, problems))

    def print(self, seed: int) -> None:
        """Print failures by kind of problem, and the table."""
        by_problem = Counter(
            (problem.split(":")[0], kind) for _, kind, _, problems in self.failures for problem in problems
        )
        for number, kind, what, problems in self.failures:
            print(f"\ncase {number} ({kind}): {what}")
            for problem in problems:
                print(f"    {problem}")
            print(f"    repeat: python -m tests.campaigns.fuzz --seed {seed} --only {number}")
        for number, _, _, problems in self.remarks:
            print(f"remark, case {number}: {'; '.join(problems)}")
        columns = ("cases", "success", "sentence", "failures")
        print("\n" + f"{'kind':<14}" + "".join(f"{column:>10}" for column in columns) + "   slowest   memory")
        for kind in [kind for kind in SHARES if self.counts[kind, "cases"]]:
            row = "".join(f"{self.counts[kind, column]:>10}" for column in columns)
            print(f"{kind:<14}{row}{self.slowest[kind]:>8.1f} s{self.largest[kind] / 2**20:>5.0f} MiB")
        totals = [sum(self.counts[kind, column] for kind in SHARES) for column in columns]
        print(f"{'all':<14}" + "".join(f"{total:>10}" for total in totals))
        for (problem, kind), count in by_problem.most_common():
            print(f"{count:>4} × {problem} ({kind})")


def main() -> int:
    """Run the campaign; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=1500, help="number of cases")
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--seed", type=int, default=0, help="random seed of all cases")
    parser.add_argument("--kind", choices=SHARES, action="append", help="only cases of this kind; may be repeated")
    parser.add_argument("--only", type=int, action="append", help="only the case of this number, and keep its folder")
    parser.add_argument("--timeout", type=float, default=sandbox.TIMEOUT_SECONDS, help="seconds per case")
    parser.add_argument("--json", type=Path, help="file to write the failures to")
    options = parser.parse_args()
    numbers = options.only or range(options.first, options.first + options.cases)
    chosen = [(number, SCHEDULE[number % len(SCHEDULE)]) for number in numbers]
    chosen = [(number, kind) for number, kind in chosen if options.kind is None or kind in options.kind]
    work = Path(tempfile.mkdtemp(prefix="styleganv-fuzz-"))
    summary, start = Summary(), time.monotonic()
    try:
        for number, kind, end, what, problems in run_cases(chosen, options, work, summary):
            summary.add(number, kind, end, what, problems)
            if problems or options.only:
                print(f"{number} {kind}: {what}\n    {'; '.join(problems) or end}", flush=True)
    finally:
        if not options.only:
            _remove(work)
    summary.print(options.seed)
    minutes = (time.monotonic() - start) / 60
    print(f"{len(chosen)} cases, seed {options.seed}, {len(summary.failures)} failures, {minutes:.1f} minutes")
    if options.json:
        options.json.write_text(json.dumps(summary.failures, indent=1))
    if options.only:
        print(f"The folders of the cases are in {work}")
    return int(bool(summary.failures))


def run_cases(
    chosen: list[tuple[int, str]], options: argparse.Namespace, work: Path, summary: Summary
) -> Iterator[tuple[int, str, str, str, list[str]]]:
    """Run the cases; yield number, kind, how it ended, what it was, and what is wrong."""
    inputs, generators = _set_up(work)
    unchanged = sandbox.snapshot(inputs.folder)
    requests = [(number, kind) for number, kind in chosen if kind == "studio"]
    for number, kind in chosen:
        if kind == "studio":
            continue
        folder = sandbox.empty(work / (f"case{number}" if options.only else "case"))
        case, outcome, problems = run_case(number, options, generators[kind], inputs, folder, work / "home")
        if (changed := sandbox.changes(unchanged, sandbox.snapshot(inputs.folder))) and "inputs" not in problems:
            problems.append(f"outside: an input: {'; '.join(changed[:3])}")
            unchanged = sandbox.snapshot(inputs.folder)
        summary.slowest[kind] = max(summary.slowest[kind], outcome.seconds)
        summary.largest[kind] = max(summary.largest[kind], outcome.peak_bytes)
        what = f"{case.note}\n    {case.command()}"
        yield number, kind, "sentence" if outcome.status else "success", what, problems
        if options.only:
            print(f"--- status {outcome.status}, {outcome.seconds:.1f} s\n{outcome.stderr}{outcome.stdout}")
    if requests:
        yield from studio_requests.run(requests, options.seed, inputs, work, summary)


def run_case(
    number: int, options: argparse.Namespace, generator: Generator, inputs: Inputs, folder: Path, home: Path
) -> tuple[Case, sandbox.Outcome, list[str]]:
    """Run one case in its own folder; return it, how it ended, and what is wrong."""
    rng = random.Random(f"{options.seed}/{number}")
    at = folder / "at"
    (at / "precious").mkdir(parents=True)
    (at / "precious" / "important.txt").write_text("keep")
    (folder / "tmp").mkdir()
    case = generator(rng, inputs, at)
    before = sandbox.snapshot(folder)
    outcome = sandbox.run_command(
        case.argv,
        cwd=at,
        env=sandbox.environment(home, folder / "tmp"),
        output=folder.with_name("output"),
        timeout=options.timeout,
    )
    changed = sandbox.changes(before, sandbox.snapshot(folder))
    changed = [change.removeprefix("at/") for change in changed]
    return case, outcome, judge(case, outcome, changed, at)


def _set_up(work: Path) -> tuple[Inputs, dict[str, Generator]]:
    """Make the inputs, and read the options of all commands, each in a child."""
    for name in ("inputs", "tmp", "home"):
        (work / name).mkdir()
    sandbox.warm_up()
    here = {"cwd": work, "env": sandbox.environment(work / "home", work / "tmp"), "output": work / "output"}
    made = sandbox.run_call(lambda: make_inputs(work / "inputs"), timeout=600, limits=False, **here)
    if made.status:
        sys.exit(f"The inputs could not be made:\n{made.stderr}")
    inputs = load_inputs(work / "inputs")
    names = sorted({argv[0] for argv, _ in option_cases.commands(inputs).values()})
    asked = sandbox.run_call(lambda: print(json.dumps({name: option_cases.options_of(name) for name in names})), **here)
    options = option_cases.make_options(json.loads(asked.stdout))
    for name, (argv, _) in option_cases.commands(inputs).items():
        here["cwd"] = sandbox.empty(work / "valid")
        valid = sandbox.run_command(argv, timeout=120, **here)
        if valid.status:
            sys.exit(f"The command {name} that cases vary must succeed:\n{valid.stderr}")
    generators: dict[str, Generator] = {
        **{name: getattr(data_cases, name) for name in ("media", "archives", "labels", "datasets")},
        **{name: getattr(model_cases, name) for name in SHARES if hasattr(model_cases, name)},
        "options": options,
    }
    return inputs, generators


def _remove(work: Path) -> None:
    """Remove our own folder, also what a case has locked."""
    for parent, folders, _ in os.walk(os.fsencode(work)):
        for name in folders:
            path = os.path.join(parent, name)
            if not os.path.islink(path):
                os.chmod(path, 0o700)
    shutil.rmtree(os.fsencode(work), ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
